"""PublishVersion and ListVersionsByFunction."""

from typing import TYPE_CHECKING, Any, ClassVar

from pasture.api.function_answers import require_function, shown
from pasture.api.paging import mark, unmark_number
from pasture.domain.function import LATEST
from pasture.domain.identifiers import locate_function
from pasture.domain.limits import Limits
from pasture.functions import configuration, validation
from pasture.functions.catalog import Catalog
from pasture.runtimes.registry import Runtimes

if TYPE_CHECKING:
    from pasture.api.call import Call


class VersionsOperations:
    partly: ClassVar = {"PublishVersion": "PublishTo is refused"}

    def __init__(self, catalog: Catalog, runtimes: Runtimes, limits: Limits) -> None:
        self._catalog = catalog
        self._runtimes = runtimes
        self._limits = limits

    async def publish_version(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = locate_function(request["FunctionName"], call.scope)
        require_function(ref)
        validation.check_publish(request)
        version = await self._catalog.versions.publish(
            ref.scope(call.scope),
            ref.name,
            description=request.get("Description"),
            code_sha256=request.get("CodeSha256"),
            revision_id=request.get("RevisionId"),
        )
        return await shown(self._runtimes, version)

    async def list_versions_by_function(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """`$LATEST` first, then by number; at most 50, whatever MaxItems says."""
        ref = locate_function(request["FunctionName"], call.scope)
        function = await self._catalog.get(ref.scope(call.scope), ref.name)
        limit = min(request.get("MaxItems") or self._limits.page_functions, self._limits.page_functions)
        after = unmark_number(request.get("Marker"), first=-1)
        versions = await self._catalog.versions.list(function, after=after, limit=limit + 1)
        page = versions[:limit]
        answer: dict[str, Any] = {
            "Versions": [configuration.listed(version, qualifier=version.version) for version in page]
        }
        if len(versions) > limit:
            answer["NextMarker"] = mark("0" if page[-1].version == LATEST else page[-1].version)
        return answer
