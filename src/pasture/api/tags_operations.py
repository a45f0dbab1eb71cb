"""TagResource, UntagResource, ListTags: of functions, code signing configurations and event source mappings."""

import dataclasses
from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any

from pasture.domain.code_signing import ConfigRef, parse_config_arn
from pasture.domain.errors import InvalidParameterValue, ResourceNotFound
from pasture.domain.event_source import mapping_arn
from pasture.domain.function import Function
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.functions.catalog import Catalog
from pasture.functions.event_source_records import MappingKey
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


Edit = Callable[[Mapping[str, str]], dict[str, str]]


class TagsOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._configs = catalog.code_signing.configs
        self._mappings = catalog.event_source_mappings

    async def tag_resource(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        await self._change(call, request["Resource"], lambda tags: _added(tags, request["Tags"]), adding=True)
        return {}

    async def untag_resource(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        gone = frozenset(request["TagKeys"])
        await self._change(call, request["Resource"], lambda tags: _without(tags, gone))
        return {}

    async def list_tags(self, call: "Call", request: dict[str, Any]) -> dict[str, Mapping[str, str]]:
        arn = request["Resource"]
        if (config := _config(call, arn)) is not None:
            return {"Tags": dict((await self._configs.get(config)).tags)}
        if (mapping := _mapping(call, arn)) is not None:
            found = await self._mappings.find(mapping)
            if found is None:
                raise _missing(arn)
            return {"Tags": dict(found.tags)}
        ref = _function(call, arn)
        return {"Tags": dict((await self._catalog.get(ref.scope(call.scope), ref.name)).tags)}

    async def _change(self, call: "Call", arn: str, edit: Edit, *, adding: bool = False) -> None:
        if (config := _config(call, arn)) is not None:
            await self._configs.change(config, lambda c: dataclasses.replace(c, tags=edit(c.tags)))
            return
        if (mapping := _mapping(call, arn)) is not None:
            try:
                await self._mappings.retag(mapping, lambda m: dataclasses.replace(m, tags=edit(m.tags)))
            except ResourceNotFound as error:
                raise _missing(arn) from error
            return
        ref = _function(call, arn)

        def edit_function(function: Function) -> Function:
            if adding:
                check_updatable(function.latest, None)
            return dataclasses.replace(function, tags=edit(function.tags))

        await self._catalog.change(ref.scope(call.scope), ref.name, edit_function)


def _added(tags: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    together = {**tags, **new}
    check_tags(together)
    return together


def _without(tags: Mapping[str, str], gone: Container[str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if name not in gone}


def _config(call: "Call", arn: str) -> ConfigRef | None:
    """The code signing configuration of the caller's that is meant; None for whatever else."""
    ref = parse_config_arn(arn)
    return ref if ref is not None and ref.scope == call.scope else None


def _mapping(call: "Call", arn: str) -> MappingKey | None:
    """The caller's event source mapping that is meant; None for whatever else."""
    prefix = mapping_arn(call.scope, "")
    return MappingKey(call.scope, arn.removeprefix(prefix)) if arn.startswith(prefix) else None


def _function(call: "Call", arn: str) -> FunctionRef:
    """Raises ResourceNotFound for another kind of resource, InvalidParameterValue for an alias or a version."""
    kind = arn.split(":", 6)[5]
    if kind != "function":
        raise _missing(arn)
    ref = locate_function(arn, call.scope)
    if ref.qualifier is not None:
        raise InvalidParameterValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return ref


def _missing(arn: str) -> ResourceNotFound:
    kind = arn.split(":", 6)[5]
    return ResourceNotFound(_MISSING.get(kind, "The resource you requested does not exist.").format(arn=arn))
