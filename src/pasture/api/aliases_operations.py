"""CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases."""

import dataclasses
from typing import TYPE_CHECKING, Any

from pasture.api.function_answers import require_function
from pasture.api.paging import mark, unmark
from pasture.domain.errors import ResourceNotFound
from pasture.domain.function import Alias
from pasture.domain.identifiers import locate_function
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.aliases import weights_of
from pasture.functions.catalog import Catalog

if TYPE_CHECKING:
    from pasture.api.call import Call


class AliasesOperations:
    def __init__(self, catalog: Catalog, limits: Limits) -> None:
        self._catalog = catalog
        self._limits = limits

    async def create_alias(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        scope, name = _function(call, request)
        draft = Alias(
            name=request["Name"],
            version=request["FunctionVersion"],
            revision_id="",
            description=request.get("Description", ""),
            weights=weights_of(request.get("RoutingConfig")),
        )
        return _shown(scope, name, await self._catalog.aliases.create(scope, name, draft))

    async def update_alias(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        scope, name = _function(call, request)

        def edit(alias: Alias) -> Alias:
            routing = request.get("RoutingConfig")
            return dataclasses.replace(
                alias,
                version=request.get("FunctionVersion", alias.version),
                description=request.get("Description", alias.description),
                weights=alias.weights if routing is None else weights_of(routing),
            )

        alias = await self._catalog.aliases.update(
            scope, name, request["Name"], edit, revision_id=request.get("RevisionId")
        )
        return _shown(scope, name, alias)

    async def get_alias(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        scope, name = _function(call, request)
        function = await self._catalog.find(scope, name)
        alias = function.aliases.get(request["Name"]) if function is not None else None
        if alias is None:
            raise ResourceNotFound(f"Cannot find alias arn: {scope.function_arn(name, request['Name'])}")
        return _shown(scope, name, alias)

    async def delete_alias(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        scope, name = _function(call, request)
        await self._catalog.aliases.delete(scope, name, request["Name"])
        return {}

    async def list_aliases(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """In order of name; with FunctionVersion, those that invoke it. At most 50, whatever MaxItems says."""
        scope, name = _function(call, request)
        function = await self._catalog.get(scope, name)
        limit = min(request.get("MaxItems") or self._limits.page_functions, self._limits.page_functions)
        after, version = unmark(request.get("Marker")), request.get("FunctionVersion")
        rest = [
            alias
            for name, alias in sorted(function.aliases.items())
            if name > after and (version is None or version in alias.versions)
        ]
        answer: dict[str, Any] = {"Aliases": [_shown(scope, name, alias) for alias in rest[:limit]]}
        if len(rest) > limit:
            answer["NextMarker"] = mark(rest[limit - 1].name)
        return answer


def _function(call: "Call", request: dict[str, Any]) -> tuple[Scope, str]:
    ref = locate_function(request["FunctionName"], call.scope)
    require_function(ref)
    return ref.scope(call.scope), ref.name


def _shown(scope: Scope, name: str, alias: Alias) -> dict[str, Any]:
    """An AliasConfiguration."""
    shown: dict[str, Any] = {
        "AliasArn": scope.function_arn(name, alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }
    if alias.weights:
        shown["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
    return shown
