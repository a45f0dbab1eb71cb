"""Create, Get, List, Update and DeleteEventSourceMapping."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pasture.api.paging import mark, unmark
from pasture.domain.errors import InvalidParameterValue
from pasture.domain.event_source import EventSourceMapping
from pasture.domain.identifiers import FunctionRef, parse_function
from pasture.domain.scope import Scope
from pasture.functions.catalog import Catalog
from pasture.functions.event_source_configuration import drafted, edited, shown
from pasture.functions.event_source_records import MappingKey
from pasture.functions.event_source_validation import check_create, check_mapping, check_update
from pasture.functions.validation import check_tags
from pasture.kit.clock import Clock

if TYPE_CHECKING:
    from pasture.api.call import Call

PAGE = 100
"""However many are asked for (reference 1.2)."""


class EventSourceMappingOperations:
    """`new_id` answers a fresh identifier each time."""

    def __init__(self, catalog: Catalog, clock: Clock, new_id: Callable[[], str]) -> None:
        self._catalog = catalog
        self._mappings = catalog.event_source_mappings
        self._clock = clock
        self._new_id = new_id

    async def create_event_source_mapping(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """What is wrong with the request is told before what is wrong with the function, as on AWS."""
        ref = parse_function(request["FunctionName"], call.scope)
        kind = check_create(request, call.scope, self._clock.now())
        draft = drafted(request, kind, call.scope, ref, self._new_id())
        check_mapping(draft)
        check_tags(draft.tags)
        await self._check_function(call.scope, ref)
        return shown(await self._mappings.create(draft))

    async def get_event_source_mapping(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        return shown(await self._mappings.get(MappingKey(call.scope, request["UUID"])))

    async def update_event_source_mapping(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        key = MappingKey(call.scope, request["UUID"])
        check_update(request, await self._mappings.get(key))
        ref = None
        if "FunctionName" in request:
            ref = parse_function(request["FunctionName"], call.scope)
            await self._check_function(call.scope, ref)

        def edit(mapping: EventSourceMapping) -> EventSourceMapping:
            changed = edited(mapping, request)
            if ref is not None:
                changed = dataclasses.replace(changed, function=ref.name, qualifier=ref.qualifier or "")
            check_mapping(changed)
            return changed

        return shown(await self._mappings.update(key, edit))

    async def delete_event_source_mapping(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        return shown(await self._mappings.delete(MappingKey(call.scope, request["UUID"])))

    async def list_event_source_mappings(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """Of a function that is gone too: its mappings stay."""
        function = ""
        if "FunctionName" in request:
            ref = parse_function(request["FunctionName"], call.scope)
            function = f"{ref.name}:{ref.qualifier}" if ref.qualifier else ref.name
        page, rest = await self._mappings.list(
            call.scope,
            function=function,
            source=request.get("EventSourceArn", ""),
            after=unmark(request.get("Marker")),
            limit=min(request.get("MaxItems", PAGE), PAGE),
        )
        answer: dict[str, Any] = {"EventSourceMappings": [shown(mapping) for mapping in page]}
        return answer if rest is None else {**answer, "NextMarker": mark(rest)}

    async def _check_function(self, scope: Scope, ref: FunctionRef) -> None:
        function = await self._catalog.find(scope, ref.name)
        if function is not None:
            if function.latest.keeps_tenants_apart:
                raise InvalidParameterValue(
                    "Event source mappings are not supported for functions with tenancy configuration."
                )
            if ref.is_latest or ref.qualifier in function.aliases:
                return
            if await self._catalog.find_version(scope, ref.name, ref.qualifier or "") is not None:
                return
        raise InvalidParameterValue("Function does not exist")
