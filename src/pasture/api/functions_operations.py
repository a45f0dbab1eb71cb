"""CreateFunction, GetFunction, UpdateFunction*, DeleteFunction, ListFunctions."""

import asyncio
import base64
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pasture.domain.errors import InvalidParameterValue, ResourceNotFound
from pasture.domain.function import LATEST, Function, FunctionVersion
from pasture.domain.identifiers import FunctionRef, parse_function
from pasture.domain.limits import Limits
from pasture.functions import configuration, validation
from pasture.functions.catalog import Catalog, check_updatable
from pasture.functions.validation import Ground
from pasture.runtimes.registry import Runtimes, machine_architecture

if TYPE_CHECKING:
    from pasture.api.call import Call

Link = Callable[[str, str, str], str]
"""Where a package can be fetched: (base URL, hex SHA-256, file name) → URL."""


class FunctionsOperations:
    def __init__(
        self,
        catalog: Catalog,
        runtimes: Runtimes,
        link: Link,
        limits: Limits,
        architecture: str | None = None,
    ) -> None:
        self._catalog = catalog
        self._runtimes = runtimes
        self._limits = limits
        self._architecture = architecture or machine_architecture()
        self._link = link

    async def create_function(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = parse_function(request["FunctionName"], call.scope)
        _require_function(ref)
        validation.check_create(request, await self._ground())
        draft = configuration.drafted(request, call.scope, ref.name, self._architecture)
        function = await self._catalog.create(draft, request["Code"]["ZipFile"], tags=request.get("Tags") or {})
        return await self._shown(function.latest)

    async def get_function(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        function, ref = await self._asked_for(call, request)
        answer: dict[str, Any] = {
            "Configuration": await self._shown(function.latest, ref.qualifier),
            "Code": self._shown_code(call, function.latest),
        }
        if function.tags:
            answer["Tags"] = dict(function.tags)
        if function.reserved_concurrency is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved_concurrency}
        return answer

    async def get_function_configuration(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        function, ref = await self._asked_for(call, request)
        return await self._shown(function.latest, ref.qualifier)

    async def update_function_code(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = parse_function(request["FunctionName"], call.scope)
        _require_function(ref)
        current = await self._catalog.get(call.scope, ref.name)
        validation.check_code(request, await self._ground())
        zip_bytes, revision_id = request["ZipFile"], request.get("RevisionId")

        def edit(version: FunctionVersion) -> FunctionVersion:
            return configuration.edited(version, {m: request[m] for m in _CODE_MEMBERS if m in request})

        if request.get("DryRun"):
            check_updatable(current.latest, revision_id)
            code = await self._catalog.check_code(zip_bytes)
            return await self._shown(dataclasses.replace(edit(current.latest), code=code))
        function = await self._catalog.update_code(call.scope, ref.name, zip_bytes, edit, revision_id=revision_id)
        return await self._shown(function.latest)

    async def update_function_configuration(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = parse_function(request["FunctionName"], call.scope)
        _require_function(ref)
        ground = await self._ground()

        def edit(version: FunctionVersion) -> FunctionVersion:
            validation.check_configuration(request, version, ground)
            return configuration.edited(version, request)

        function = await self._catalog.update_configuration(
            call.scope, ref.name, edit, revision_id=request.get("RevisionId")
        )
        return await self._shown(function.latest)

    async def delete_function(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = parse_function(request["FunctionName"], call.scope, request.get("Qualifier"))
        if ref.qualifier == LATEST:
            raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
        if ref.qualifier is not None:
            await self._catalog.get(call.scope, ref.name, ref.qualifier)
            raise ResourceNotFound(f"Function not found: {ref.arn(call.scope)}")
        await self._catalog.delete(call.scope, ref.name)
        return {"StatusCode": 204}

    async def list_functions(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """At most 50, whatever MaxItems says."""
        limit = min(request.get("MaxItems") or self._limits.page_functions, self._limits.page_functions)
        after = _unmark(request.get("Marker") or "")
        functions, next_name = await self._catalog.list(call.scope, after=after, limit=limit)
        qualifier = LATEST if request.get("FunctionVersion") == "ALL" else None
        answer: dict[str, Any] = {
            "Functions": [configuration.listed(function.latest, qualifier=qualifier) for function in functions]
        }
        if next_name is not None:
            answer["NextMarker"] = _mark(next_name)
        return answer

    async def _ground(self) -> Ground:
        runtimes = await asyncio.to_thread(self._runtimes.available)  # the first time, it looks for interpreters
        return Ground(self._limits, runtimes, self._architecture)

    async def _asked_for(self, call: "Call", request: dict[str, Any]) -> tuple[Function, FunctionRef]:
        ref = parse_function(request["FunctionName"], call.scope, request.get("Qualifier"))
        function = await self._catalog.get(call.scope, ref.name, ref.qualifier)
        if not ref.is_latest:
            raise ResourceNotFound(f"Function not found: {ref.arn(call.scope)}")
        return function, ref

    async def _shown(self, version: FunctionVersion, qualifier: str | None = None) -> dict[str, Any]:
        ready = self._runtimes.ready(version.runtime)
        runtime_version = ready.version if ready else await asyncio.to_thread(self._runtimes.version, version.runtime)
        return configuration.shown(version, qualifier=qualifier, runtime_version=runtime_version)

    def _shown_code(self, call: "Call", version: FunctionVersion) -> dict[str, str]:
        location = self._link(call.base_url, version.code.sha256, f"{version.name}.zip")
        code = {"RepositoryType": "S3", "Location": location}
        if key := version.more.get("SourceKMSKeyArn"):
            code["SourceKMSKeyArn"] = key
        return code


_CODE_MEMBERS = ("Architectures", "SourceKMSKeyArn")


def _require_function(ref: FunctionRef) -> None:
    if not ref.is_latest:
        raise InvalidParameterValue(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
            "operation. Please specify either a function name or an unqualified function ARN."
        )


def _mark(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _unmark(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise InvalidParameterValue("The provided Marker is invalid. Use the NextMarker of the page before.") from error
