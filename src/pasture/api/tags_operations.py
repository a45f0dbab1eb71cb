"""TagResource, UntagResource, ListTags. Of functions: nothing else that has tags is served yet."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pasture.domain.errors import InvalidParameterValue, ResourceNotFound
from pasture.domain.function import Function
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.functions.catalog import Catalog
from pasture.functions.validation import check_tags
from pasture.functions.versions import check_updatable

if TYPE_CHECKING:
    from pasture.api.call import Call

# How AWS names what is not there (recorded, but for the code signing configuration's).
_MISSING = {
    "event-source-mapping": "Event source mapping not found: {arn}",
    "capacity-provider": "Capacity provider not found: {arn}",
    "code-signing-config": "The Lambda code signing configuration {arn} can not be found.",
}


class TagsOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def tag_resource(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _function(call, request["Resource"])

        def edit(function: Function) -> Function:
            check_updatable(function.latest, None)
            tags = {**function.tags, **request["Tags"]}
            check_tags(tags)
            return dataclasses.replace(function, tags=tags)

        await self._catalog.change(ref.scope(call.scope), ref.name, edit)
        return {}

    async def untag_resource(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _function(call, request["Resource"])
        gone = frozenset(request["TagKeys"])

        def edit(function: Function) -> Function:
            kept = {name: value for name, value in function.tags.items() if name not in gone}
            return dataclasses.replace(function, tags=kept)

        await self._catalog.change(ref.scope(call.scope), ref.name, edit)
        return {}

    async def list_tags(self, call: "Call", request: dict[str, Any]) -> dict[str, Mapping[str, str]]:
        ref = _function(call, request["Resource"])
        return {"Tags": dict((await self._catalog.get(ref.scope(call.scope), ref.name)).tags)}


def _function(call: "Call", arn: str) -> FunctionRef:
    """Raises ResourceNotFound for another kind of resource, InvalidParameterValue for an alias or a version."""
    kind = arn.split(":", 6)[5]
    if kind != "function":
        raise ResourceNotFound(_MISSING.get(kind, "The resource you requested does not exist.").format(arn=arn))
    ref = locate_function(arn, call.scope)
    if ref.qualifier is not None:
        raise InvalidParameterValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return ref
