"""Condition keys that a resource brings: `lambda:FunctionArn` of an event source mapping is the function it is for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.scope import Scope
from pasture.functions.event_source_records import MappingKey

FindMapping = Callable[[MappingKey], Awaitable[EventSourceMapping | None]]


class ResourceKeys:
    """The finder answers from memory what has been asked for before."""

    def __init__(self, find_mapping: FindMapping) -> None:
        self._find_mapping = find_mapping

    async def __call__(self, arn: str) -> Mapping[str, Sequence[str]]:
        match arn.split(":"):
            case ["arn", _, "lambda", region, account, "event-source-mapping", uuid]:
                mapping = await self._find_mapping(MappingKey(Scope(account, region), uuid))
                return {"lambda:functionarn": (mapping.function_arn,)} if mapping is not None else {}
            case _:
                return {}
