"""Put, Update, Get, List and DeleteFunctionEventInvokeConfig, in the words recorded from AWS (reference 13)."""

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from pasture.api.paging import mark, unmark
from pasture.destinations.kinds import service_of
from pasture.destinations.rights import Lacks, lacks_nothing
from pasture.domain.errors import ApiError, InvalidParameterValue, ResourceNotFound
from pasture.domain.function import LATEST, Function
from pasture.domain.function_settings import EventInvoke, lacking
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.domain.scope import Scope
from pasture.functions.catalog import Catalog
from pasture.functions.settings import with_settings
from pasture.kit.clock import Clock

if TYPE_CHECKING:
    from pasture.api.call import Call

PAGE = 50
_ON_SUCCESS = frozenset({"sqs", "sns", "lambda", "events"})
_ON_FAILURE = _ON_SUCCESS | {"s3"}
# What each service's ARNs end with; FIFO queues and topics are no destinations.
_RESOURCES = {
    "sqs": re.compile(r"[A-Za-z0-9_-]{1,80}"),
    "sns": re.compile(r"[A-Za-z0-9_-]{1,256}"),
    "events": re.compile(r"event-bus/[A-Za-z0-9._/-]{1,256}"),
    "s3": re.compile(r"[A-Za-z0-9._-]{3,63}"),
}


class EventInvokeOperations:
    def __init__(self, catalog: Catalog, clock: Clock, lacks: Lacks = lacks_nothing) -> None:
        self._catalog = catalog
        self._clock = clock
        self._lacks = lacks

    async def put_function_event_invoke_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """What the request does not name goes back to its default."""
        return await self._write(call, request, EventInvoke(0.0))

    async def update_function_event_invoke_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """What the request does not name stays."""
        return await self._write(call, request, None)

    async def get_function_event_invoke_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _asked_for(call, request)
        function = await self._catalog.find(ref.scope(call.scope), ref.name)
        config = function.settings.event_invoke.get(_qualifier(ref)) if function is not None else None
        if config is None:
            raise _no_config(call, ref)
        return _shown(ref.scope(call.scope), ref.name, _qualifier(ref), config)

    async def list_function_event_invoke_configs(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = locate_function(request["FunctionName"], call.scope)
        scope = ref.scope(call.scope)
        function = await self._function(scope, ref.name)
        limit, after = request.get("MaxItems", PAGE), unmark(request.get("Marker"))
        rest = [found for found in sorted(function.settings.event_invoke.items()) if found[0] > after]
        page = rest[:limit]
        answer: dict[str, Any] = {
            "FunctionEventInvokeConfigs": [_shown(scope, ref.name, qualifier, config) for qualifier, config in page]
        }
        return {**answer, "NextMarker": mark(page[-1][0])} if len(rest) > limit else answer

    async def delete_function_event_invoke_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _asked_for(call, request)
        await self._function(ref.scope(call.scope), ref.name)

        def edit(function: Function) -> Function:
            if _qualifier(ref) not in function.settings.event_invoke:
                raise _no_config(call, ref)
            return with_settings(function, event_invoke=lacking(function.settings.event_invoke, _qualifier(ref)))

        await self._catalog.change(ref.scope(call.scope), ref.name, edit)
        return {}

    async def _write(self, call: "Call", request: dict[str, Any], base: EventInvoke | None) -> dict[str, Any]:
        """`base` is what the request changes; None is what there is, and then there must be one."""
        ref = await self._writable(call, request)
        scope, qualifier = ref.scope(call.scope), _qualifier(ref)
        now = self._clock.now()

        def edit(function: Function) -> Function:
            _check_alias(function, qualifier)
            configs = function.settings.event_invoke
            known = base or configs.get(qualifier)
            if known is None:
                raise _no_config(call, ref)
            return with_settings(function, event_invoke={**configs, qualifier: _edited(known, request, now)})

        function = await self._catalog.change(scope, ref.name, edit)
        return _shown(scope, ref.name, qualifier, function.settings.event_invoke[qualifier])

    async def _writable(self, call: "Call", request: dict[str, Any]) -> FunctionRef:
        """Whose configuration is written; raises for what may not be written."""
        if not {"MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig"}.intersection(request):
            raise InvalidParameterValue("You must specify at least one of error handling or destination setting.")
        ref = _asked_for(call, request)
        scope, qualifier = ref.scope(call.scope), _qualifier(ref)
        function = await self._function(scope, ref.name)
        alias = function.aliases.get(qualifier)
        version = await self._catalog.find_version(scope, ref.name, alias.version if alias else qualifier)
        if version is None:
            raise _no_function()
        await self._check_destinations(scope, ref.name, version.role, request.get("DestinationConfig") or {})
        return ref

    async def _function(self, scope: Scope, name: str) -> Function:
        function = await self._catalog.find(scope, name)
        if function is None:
            raise _no_function()
        return function

    async def _check_destinations(self, scope: Scope, name: str, role: str, config: dict[str, Any]) -> None:
        success, failure = _destination(config, "OnSuccess"), _destination(config, "OnFailure")
        if (success and service_of(success) not in _ON_SUCCESS) or (failure and service_of(failure) not in _ON_FAILURE):
            raise InvalidParameterValue(
                f"The provided destination config DestinationConfig(onSuccess={_told('OnSuccess', success)}, "
                f"onFailure={_told('OnFailure', failure)}) is invalid."
            )
        for arn in (failure, success):
            if arn and service_of(arn) == "lambda":
                await self._check_function(scope, name, arn)
            elif arn and not _RESOURCES[service_of(arn)].fullmatch(arn.split(":", 5)[5]):
                raise _invalid(arn)
            if arn and (action := self._lacks(role, arn, scope.account)):
                operation = action.partition(":")[2]
                raise InvalidParameterValue(
                    f"The function's execution role does not have permissions to call {operation} on {arn}"
                )

    async def _check_function(self, scope: Scope, name: str, arn: str) -> None:
        try:
            target = locate_function(arn, scope)
        except ApiError as error:
            raise _invalid(arn) from error
        if target.account is None and target.name == name:
            raise InvalidParameterValue("You can't specify the function as a destination for itself.")
        if target.account is None and await self._catalog.find(scope, target.name) is None:
            raise _invalid(arn)


def _asked_for(call: "Call", request: dict[str, Any]) -> FunctionRef:
    return locate_function(request["FunctionName"], call.scope, request.get("Qualifier"))


def _qualifier(ref: FunctionRef) -> str:
    return ref.qualifier or LATEST


def _check_alias(function: Function, qualifier: str) -> None:
    """It may have gone since it was looked for; the number of a version that goes is not used again."""
    if qualifier != LATEST and not qualifier.isdigit() and qualifier not in function.aliases:
        raise _no_function()


def _edited(config: EventInvoke, request: dict[str, Any], now: float) -> EventInvoke:
    destinations = request.get("DestinationConfig") or {}
    return dataclasses.replace(
        config,
        modified=now,
        retries=request.get("MaximumRetryAttempts", config.retries),
        age_seconds=request.get("MaximumEventAgeInSeconds", config.age_seconds),
        on_success=_destination(destinations, "OnSuccess", config.on_success),
        on_failure=_destination(destinations, "OnFailure", config.on_failure),
    )


def _destination(config: dict[str, Any], outcome: str, default: str = "") -> str:
    """An empty one takes the destination away."""
    if outcome not in config:
        return default
    return str((config[outcome] or {}).get("Destination") or "")


def _told(outcome: str, arn: str) -> str:
    return f"{outcome}(destination={arn})" if arn else "null"


def _invalid(arn: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"The destination ARN {arn} is invalid.")


def _no_function() -> ResourceNotFound:
    return ResourceNotFound("The function doesn't exist.")


def _no_config(call: "Call", ref: FunctionRef) -> ResourceNotFound:
    arn = ref.scope(call.scope).function_arn(ref.name, _qualifier(ref))
    return ResourceNotFound(f"The function {arn} doesn't have an EventInvokeConfig")


def _shown(scope: Scope, name: str, qualifier: str, config: EventInvoke) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "LastModified": config.modified,
        "FunctionArn": scope.function_arn(name, qualifier),
        "DestinationConfig": {
            "OnSuccess": {"Destination": config.on_success} if config.on_success else {},
            "OnFailure": {"Destination": config.on_failure} if config.on_failure else {},
        },
    }
    if config.retries is not None:
        shown["MaximumRetryAttempts"] = config.retries
    if config.age_seconds is not None:
        shown["MaximumEventAgeInSeconds"] = config.age_seconds
    return shown
