"""Composes event sources: a poller for every mapping that is enabled, and what they work with."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import msgspec

from pasture.app.invoking import Invoking
from pasture.app.parts import Parts
from pasture.domain.errors import ApiError, ResourceNotFound
from pasture.domain.event_source import EventSourceMapping
from pasture.domain.events import Delivery
from pasture.domain.identifiers import FunctionRef
from pasture.domain.scope import Scope
from pasture.functions.event_source_records import MappingKey
from pasture.functions.event_source_settling import MappingSettling
from pasture.metrics.names import Place
from pasture.sources.following import Following
from pasture.sources.invoking import MappedFunctions
from pasture.sources.kept_checkpoints import KeptCheckpoints
from pasture.sources.results import Edit, Results
from pasture.sources.source import Tools


class EventSources:
    """The pollers of this server. Whoever stops it calls `stop` first, while functions can still be invoked."""

    def __init__(self, following: Following) -> None:
        self._following = following

    async def stop(self, seconds: float) -> None:
        await self._following.close(seconds)


async def open_event_sources(stack: AsyncExitStack, parts: Parts, invoking: Invoking) -> EventSources:
    """Every enabled mapping begins to be read."""
    mappings = parts.catalog.event_source_mappings

    async def write(scope: Scope, uuid: str, edit: Edit) -> None:
        try:
            await mappings.retag(MappingKey(scope, uuid), edit)
        except ResourceNotFound:
            results.forget(scope, uuid)

    results = Results(write)
    stack.push_async_callback(results.close)
    functions = MappedFunctions(
        invoking.resolver, partial(invoking.direct.invoke, rated=False), invoking.recursion.check
    )
    observing = partial(_observe, parts)
    endpoints = parts.settings.event_source_endpoints
    rights, secrets = partial(_lacks, parts, invoking), partial(_secret, parts)

    def tools(mapping: EventSourceMapping) -> Tools:
        return Tools(
            caller=parts.neighbourhood.neighbours,
            functions=functions,
            checkpoints=KeptCheckpoints(parts.documents, mapping),
            deliver=partial(_deliver, invoking, mapping),
            lacks=rights,
            secret=secrets,
            told=partial(results.told, mapping.scope, mapping.uuid),
            observe=observing,
            clock=parts.clock,
            endpoints=endpoints,
        )

    following = Following(tools)
    stack.push_async_callback(following.close, 0.0)
    settling = MappingSettling(mappings, followed=following.follow)
    await settling.open()
    stack.push_async_callback(settling.close)
    after = ""
    while keys := await mappings.keys(after=after):
        after = str(keys[-1])
        for key in keys:
            mapping = await mappings.find(key)
            if mapping is not None and not mapping.is_settling:
                await following.follow(mapping)
    return EventSources(following)


def _observe(parts: Parts, mapping: EventSourceMapping, metric: str, value: float) -> None:
    scope = mapping.scope
    place = Place(scope.account, scope.region, mapping.function, mapping.function_name, mapping=mapping.uuid)
    parts.metrics.recorder.observe(metric, place, value)


async def _lacks(parts: Parts, invoking: Invoking, mapping: EventSourceMapping, action: str, arn: str) -> str:
    try:
        version = await invoking.resolver(mapping.scope, FunctionRef(mapping.function, mapping.qualifier or None))
    except ApiError as error:
        return error.message
    service, _, operation = action.partition(":")
    directory = parts.neighbourhood.neighbours.directory
    embedded = not directory.has(service) or directory.is_embedded(service)
    holder = mapping.scope.account
    if invoking.rights.may_use(version.role, action, arn, embedded=embedded, holder=holder):
        return ""
    return f"The function's execution role does not have permissions to call {operation} on {arn}"


async def _deliver(invoking: Invoking, mapping: EventSourceMapping, delivery: Delivery) -> None:
    """With the rights of the function as it is now, where nobody has said whose."""
    if not delivery.role:
        version = await invoking.resolver(mapping.scope, FunctionRef(mapping.function, mapping.qualifier or None))
        delivery = replace(delivery, role=version.role)
    await invoking.events.outbox.add(delivery)


async def _secret(parts: Parts, scope: Scope, name: str) -> Mapping[str, str]:
    caller = parts.neighbourhood.neighbours
    answer = await caller.call("secretsmanager", "GetSecretValue", {"SecretId": name}, scope=scope)
    try:
        return msgspec.json.decode(answer.get("SecretString", ""), type=dict[str, str])
    except msgspec.DecodeError as error:
        raise ValueError(f"the secret {name} is no JSON object of texts") from error
