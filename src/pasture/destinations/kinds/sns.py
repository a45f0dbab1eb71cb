"""Topics: Publish."""

from typing import Any

from pasture.destinations.kinds import Kind, Need, Place, Tools
from pasture.destinations.kinds.sqs import attributes
from pasture.domain.events import Delivery
from pasture.domain.scope import Scope
from pasture.neighbours.caller import Caller


class _Topics:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def needs(self, target: str) -> tuple[Need, ...]:
        return (Need("sns:Publish", target),)

    async def deliver(self, delivery: Delivery) -> None:
        parameters: dict[str, Any] = {"TopicArn": delivery.target, "Message": delivery.body.decode(errors="replace")}
        if delivery.attributes:
            parameters["MessageAttributes"] = attributes(delivery.attributes)
        scope = Scope(delivery.scope.account, Place.of(delivery.target, delivery.scope).region)
        await self._caller.call("sns", "Publish", parameters, scope=scope, trace_id=delivery.trace_id)


def make(tools: Tools) -> Kind:
    return _Topics(tools.caller)
