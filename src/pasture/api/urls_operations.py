"""Create, Get, Update, Delete and List of function URLs' configurations: of a function, and of each of its aliases."""

import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pasture.api.paging import mark, unmark
from pasture.domain.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound, ValidationError
from pasture.domain.function import Function
from pasture.domain.function_settings import FunctionUrl, lacking
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.domain.scope import Scope
from pasture.functions.catalog import Catalog
from pasture.functions.settings import with_settings
from pasture.functions.urls import url_id, url_of
from pasture.kit.clock import Clock

if TYPE_CHECKING:
    from pasture.api.call import Call

PAGE = 50
_PATTERN = r"((?!^\d+$)^[0-9a-zA-Z-_]+$)"


class UrlsOperations:
    """`new_id` answers a fresh identifier each time; `domain` the one whose names lead to the server, if any, for
    a client that reaches it at this URL.
    """

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        new_id: Callable[[], str],
        domain: Callable[[str], str] = lambda _base_url: "",
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._new_id = new_id
        self._domain = domain

    async def create_function_url_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _asked_for(call, request)
        scope, qualifier = ref.scope(call.scope), ref.qualifier or ""
        await self._function(scope, ref)
        now = self._clock.now()
        draft = FunctionUrl(
            id=url_id(self._new_id()),
            auth_type=request["AuthType"],
            created=now,
            modified=now,
            invoke_mode=request.get("InvokeMode", "BUFFERED"),
            cors=request.get("Cors"),
        )

        def edit(function: Function) -> Function:
            _check_alias(function, ref)
            if function.latest.keeps_tenants_apart:
                raise InvalidParameterValue("Function URLs are not supported for functions with tenancy configuration.")
            if qualifier in function.settings.urls:
                raise ResourceConflict(
                    f"Failed to create function url config for [functionArn = {ref.arn(call.scope)}]. "
                    "Error message:  FunctionUrlConfig exists for this Lambda function"
                )
            return with_settings(function, urls={**function.settings.urls, qualifier: draft})

        await self._catalog.urls.attach(scope, ref.name, qualifier, draft.id, edit)
        shown = self._shown(call, ref, qualifier, draft)
        del shown["LastModifiedTime"]
        return shown

    async def get_function_url_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _asked_for(call, request)
        scope, qualifier = ref.scope(call.scope), ref.qualifier or ""
        function = await self._catalog.find(scope, ref.name)
        if function is None or qualifier not in function.settings.urls:
            raise _no_url()
        return self._shown(call, ref, qualifier, function.settings.urls[qualifier])

    async def update_function_url_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _asked_for(call, request)
        scope, qualifier = ref.scope(call.scope), ref.qualifier or ""
        await self._function(scope, ref)
        now = self._clock.now()

        def edit(function: Function) -> Function:
            known = _must(function, qualifier)
            changed = dataclasses.replace(
                known,
                auth_type=request.get("AuthType", known.auth_type),
                invoke_mode=request.get("InvokeMode", known.invoke_mode),
                cors=request.get("Cors", known.cors),
                modified=now,
            )
            return with_settings(function, urls={**function.settings.urls, qualifier: changed})

        function = await self._catalog.change(scope, ref.name, edit)
        return self._shown(call, ref, qualifier, function.settings.urls[qualifier])

    async def delete_function_url_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """The policy stays, as on AWS."""
        ref = _asked_for(call, request)
        scope, qualifier = ref.scope(call.scope), ref.qualifier or ""
        if await self._catalog.find(scope, ref.name) is None:
            raise _no_url()

        gone = ""

        def edit(function: Function) -> Function:
            nonlocal gone
            gone = _must(function, qualifier).id
            return with_settings(function, urls=lacking(function.settings.urls, qualifier))

        await self._catalog.change(scope, ref.name, edit)
        await self._catalog.urls.drop(gone)
        return {}

    async def list_function_url_configs(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = locate_function(request["FunctionName"], call.scope)
        scope = ref.scope(call.scope)
        function = await self._function(scope, FunctionRef(ref.name))
        limit, after = request.get("MaxItems", PAGE), unmark(request.get("Marker"))
        rest = [(q, url) for q, url in sorted(function.settings.urls.items()) if f"/{q}" > after]
        page = rest[:limit]
        answer: dict[str, Any] = {"FunctionUrlConfigs": [self._shown(call, ref, q, url) for q, url in page]}
        return {**answer, "NextMarker": mark(f"/{page[-1][0]}")} if len(rest) > limit else answer

    async def _function(self, scope: Scope, ref: FunctionRef) -> Function:
        function = await self._catalog.find(scope, ref.name)
        if function is None:
            raise _no_function()
        _check_alias(function, ref)
        return function

    def _shown(self, call: "Call", ref: FunctionRef, qualifier: str, url: FunctionUrl) -> dict[str, Any]:
        """At the address by which the client reaches the server, since that may change."""
        scope = ref.scope(call.scope)
        shown: dict[str, Any] = {
            "FunctionUrl": url_of(url.id, scope.region, call.base_url, self._domain(call.base_url)),
            "FunctionArn": scope.function_arn(ref.name, qualifier or None),
            "AuthType": url.auth_type,
            "CreationTime": _time(url.created),
            "LastModifiedTime": _time(url.modified),
            "InvokeMode": url.invoke_mode,
        }
        return shown if url.cors is None else {**shown, "Cors": dict(url.cors)}


def _asked_for(call: "Call", request: dict[str, Any]) -> FunctionRef:
    """An alias, or no qualifier: the validator has seen to the Qualifier, not to what comes with the name."""
    ref = locate_function(request["FunctionName"], call.scope, request.get("Qualifier"))
    if ref.qualifier is not None and re.fullmatch(_PATTERN, ref.qualifier) is None:
        raise ValidationError(
            f"1 validation error detected: Value '{ref.qualifier}' at 'qualifier' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {_PATTERN}"
        )
    return ref


def _check_alias(function: Function, ref: FunctionRef) -> None:
    if ref.qualifier is not None and ref.qualifier not in function.aliases:
        raise _no_function()


def _must(function: Function, qualifier: str) -> FunctionUrl:
    url = function.settings.urls.get(qualifier)
    if url is None:
        raise _no_url()
    return url


def _no_function() -> ResourceNotFound:
    return ResourceNotFound("Function does not exist")


def _no_url() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
