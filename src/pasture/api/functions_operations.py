"""CreateFunction, GetFunction, UpdateFunction*, DeleteFunction, ListFunctions."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pasture.api.function_answers import require_function, shown
from pasture.api.paging import bad_marker, mark, unmark
from pasture.destinations.rights import Lacks, lacks_nothing
from pasture.domain.errors import AccessDenied, InvalidParameterValue, ResourceNotFound
from pasture.domain.function import LATEST, Function, FunctionVersion, UsedLayer
from pasture.domain.identifiers import FunctionRef, locate_function, parse_function
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions import configuration, validation
from pasture.functions.catalog import Catalog
from pasture.functions.package import Package
from pasture.functions.sources import Sources
from pasture.functions.validation import Ground
from pasture.functions.versions import check_updatable
from pasture.images.images import FoundImage
from pasture.runtimes import emulation
from pasture.runtimes.registry import Runtimes, machine_architecture

if TYPE_CHECKING:
    from pasture.api.call import Call

Link = Callable[[str, str, str], str]
"""Where a package can be fetched: (base URL, hex SHA-256, file name) → URL."""


class FunctionsOperations:
    partly: ClassVar = dict.fromkeys(
        ("CreateFunction", "UpdateFunctionCode", "UpdateFunctionConfiguration"),
        "members that differences.md names are refused",
    )

    def __init__(
        self,
        catalog: Catalog,
        runtimes: Runtimes,
        link: Link,
        sources: Sources,
        limits: Limits,
        architecture: str | None = None,
        lacks: Lacks = lacks_nothing,
    ) -> None:
        self._catalog = catalog
        self._runtimes = runtimes
        self._sources = sources
        self._limits = limits
        self._architecture = architecture or machine_architecture()
        self._link = link
        self._lacks = lacks

    async def create_function(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = parse_function(request["FunctionName"], call.scope)
        require_function(ref)
        validation.check_create(request, await self._ground())
        draft = configuration.drafted(request, call.scope, ref.name, self._architecture)
        validation.check_snap_start(draft)
        self._check_dead_letter(draft)
        publish = request.get("Publish", False)
        async with (
            self._sources.code(request["Code"], call.scope, self._architecture) as package,
            self._layers(call, request) as layers,
        ):
            function = await self._catalog.create(
                dataclasses.replace(_of_image(draft, package), layers=layers or ()),
                package,
                tags=request.get("Tags") or {},
                publish=publish,
                code_signing_config=request.get("CodeSigningConfigArn") or "",
            )
        return await self._written(function, publish=publish)

    async def get_function(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        function, version, ref = await self._asked_for(call, request)
        answer: dict[str, Any] = {
            "Configuration": await self._shown_with_progress(version, ref),
            "Code": self._shown_code(call, version),
        }
        if function.tags:
            answer["Tags"] = dict(function.tags)
        if function.reserved_concurrency is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved_concurrency}
        return answer

    async def get_function_configuration(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        _, version, ref = await self._asked_for(call, request)
        return await self._shown_with_progress(version, ref)

    async def update_function_code(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = locate_function(request["FunctionName"], call.scope)
        require_function(ref)
        scope = ref.scope(call.scope)
        current = await self._catalog.get(scope, ref.name)
        validation.check_code(request, current.latest, await self._ground())
        revision_id, publish = request.get("RevisionId"), request.get("Publish", False)

        def edit(version: FunctionVersion) -> FunctionVersion:
            return configuration.edited(version, {m: request[m] for m in _CODE_MEMBERS if m in request})

        check_updatable(current.latest, revision_id)
        async with self._sources.code(request, scope, self._architecture) as package:
            if request.get("DryRun"):
                code = await self._catalog.check_code(current, package)
                version = dataclasses.replace(_of_image(edit(current.latest), package), code=code)
                return await shown(self._runtimes, version)
            function = await self._catalog.update_code(
                scope,
                ref.name,
                package,
                lambda v: _of_image(edit(v), package),
                revision_id=revision_id,
                publish=publish,
            )
        return await self._written(function, publish=publish)

    async def update_function_configuration(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = locate_function(request["FunctionName"], call.scope)
        require_function(ref)
        scope = ref.scope(call.scope)
        if scope != call.scope and "Role" in request:
            # Who may pass a role is said in the role's account, and asked in the caller's.
            raise AccessDenied("Cross-account pass role is not allowed.")
        ground = await self._ground()

        # Layers that the function comes to have are for its account to use, and for the caller to choose.
        async with self._layers(call, request), self._layers(call, request, scope) as layers:

            def edit(version: FunctionVersion) -> FunctionVersion:
                validation.check_configuration(request, version, ground)
                changed = configuration.edited(version, request)
                validation.check_snap_start(changed)
                if "Role" in request or "DeadLetterConfig" in request:
                    self._check_dead_letter(changed)
                return changed if layers is None else dataclasses.replace(changed, layers=layers)

            function = await self._catalog.update_configuration(
                scope, ref.name, edit, revision_id=request.get("RevisionId")
            )
        return await shown(self._runtimes, function.latest)

    async def delete_function(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = locate_function(request["FunctionName"], call.scope, request.get("Qualifier"))
        scope = ref.scope(call.scope)
        if ref.qualifier == LATEST:
            raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
        if ref.qualifier is None:
            await self._catalog.delete(scope, ref.name)
        elif ref.qualifier in (await self._catalog.get(scope, ref.name, ref.qualifier)).aliases:
            raise InvalidParameterValue(
                f"{ref.arn(call.scope)} is an alias. Use DeleteAlias to delete it, or name a version."
            )
        else:
            await self._catalog.versions.delete(scope, ref.name, ref.qualifier)
        return {"StatusCode": 204}

    async def list_functions(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """At most 50, whatever MaxItems says."""
        limit = min(request.get("MaxItems") or self._limits.page_functions, self._limits.page_functions)
        after = unmark(request.get("Marker"))
        if request.get("FunctionVersion") == "ALL":
            return await self._list_all(call, after, limit)
        functions, next_name = await self._catalog.list(call.scope, after=after, limit=limit)
        answer: dict[str, Any] = {"Functions": [configuration.listed(function.latest) for function in functions]}
        if next_name is not None:
            answer["NextMarker"] = mark(next_name)
        return answer

    async def _list_all(self, call: "Call", after: str, limit: int) -> dict[str, Any]:
        name, _, number = after.partition("/")
        if name and not (number.isascii() and number.isdigit()):
            raise bad_marker()
        start = (name, int(number)) if name else ("", -1)
        versions, following = await self._catalog.list_versions(call.scope, after=start, limit=limit)
        answer: dict[str, Any] = {
            "Functions": [configuration.listed(version, qualifier=version.version) for version in versions]
        }
        if following is not None:
            answer["NextMarker"] = mark(f"{following[0]}/{following[1]}")
        return answer

    def _check_dead_letter(self, version: FunctionVersion) -> None:
        """The role must be allowed to write to the dead-letter queue."""
        target = (version.more.get("DeadLetterConfig") or {}).get("TargetArn") or ""
        if target and (action := self._lacks(version.role, target, version.scope.account)):
            service, _, operation = action.partition(":")
            raise InvalidParameterValue(
                f"The provided execution role does not have permissions to call {operation} on {service.upper()}"
            )

    async def _ground(self) -> Ground:
        runtimes = await asyncio.to_thread(self._runtimes.available)  # the first time, it looks for interpreters
        emulated = await asyncio.to_thread(emulation.runtimes, self._architecture)
        emulated = (*emulated, *(self._runtimes.emulated() if emulated else ()))
        return Ground(self._limits, runtimes, self._architecture, emulated, self._sources.no_images)

    async def _shown_with_progress(self, version: FunctionVersion, ref: FunctionRef) -> dict[str, Any]:
        """While an image is pulled, the reason says how far that is."""
        members = await shown(self._runtimes, version, ref.qualifier)
        progress = self._sources.progress(version) if version.is_settling else ""
        for member in ("StateReason", "LastUpdateStatusReason"):
            if progress and member in members:
                members[member] = f"{members[member]} Its image is being pulled: {progress}."
        return members

    @asynccontextmanager
    async def _layers(
        self, call: "Call", request: dict[str, Any], scope: Scope | None = None
    ) -> AsyncIterator[tuple[UsedLayer, ...] | None]:
        """What the request's Layers are; None when it names none and those that there are shall stay.

        They must be open to `scope`, the caller's own when it is None.
        """
        if "Layers" not in request:
            yield None
            return
        validation.check_layers(request["Layers"], self._limits)
        async with self._catalog.layers.using(request["Layers"], scope or call.scope, call.principal.arn) as layers:
            yield layers

    async def _asked_for(self, call: "Call", request: dict[str, Any]) -> tuple[Function, FunctionVersion, FunctionRef]:
        """The function, and the version that the qualifier means; of an alias, the one it is named for."""
        ref = locate_function(request["FunctionName"], call.scope, request.get("Qualifier"))
        scope = ref.scope(call.scope)
        function = await self._catalog.get(scope, ref.name, ref.qualifier)
        alias = function.aliases.get(ref.qualifier or "")
        number = alias.version if alias is not None else ref.qualifier or LATEST
        version = await self._catalog.find_version(scope, ref.name, number)
        if version is None:
            raise ResourceNotFound(f"Function not found: {ref.arn(call.scope)}")
        return function, version, ref

    async def _written(self, function: Function, *, publish: bool) -> dict[str, Any]:
        """What CreateFunction and UpdateFunctionCode answer: with Publish, the version."""
        version: FunctionVersion | None = None
        if publish and function.published is not None:
            number = function.published.version
            version = await self._catalog.find_version(function.scope, function.name, number)
        return await shown(self._runtimes, version or function.latest)

    def _shown_code(self, call: "Call", version: FunctionVersion) -> dict[str, str]:
        if version.is_image:
            return configuration.shown_image(version)
        location = self._link(call.base_url, version.code.sha256, f"{version.name}.zip")
        code = {"RepositoryType": "S3", "Location": location}
        if key := version.more.get("SourceKMSKeyArn"):
            code["SourceKMSKeyArn"] = key
        return code


def _of_image(version: FunctionVersion, package: Package | FoundImage) -> FunctionVersion:
    if not isinstance(package, FoundImage):
        return version
    members = {"ImageUri": package.uri, "ResolvedImageUri": package.resolved_uri}
    return dataclasses.replace(version, more={**version.more, **members})


_CODE_MEMBERS = ("Architectures", "SourceKMSKeyArn")
