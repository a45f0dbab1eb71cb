"""The policy of a resource, by the ARN that a call needs: of functions, versions, aliases and layer versions."""

from collections.abc import Awaitable, Callable
from functools import lru_cache

from pasture.domain.function import Function
from pasture.domain.layer import LayerRef, LayerVersion, parse_layer_arn
from pasture.domain.scope import Scope
from pasture.iam.policy import Kind, Policy, parse, parsed

FindFunction = Callable[[Scope, str], Awaitable[Function | None]]
FindLayer = Callable[[LayerRef], Awaitable[LayerVersion | None]]


@lru_cache(maxsize=4096)
def _resource(arn: str) -> tuple[Scope, str, str] | LayerRef | None:
    """A function by its scope, name and qualifier, or a layer."""
    match arn.split(":"):
        case ["arn", _, "lambda", region, account, "function", name, *qualifier]:
            return Scope(account, region), name, ":".join(qualifier)
        case ["arn", _, "lambda", _, _, "layer", *_]:
            return parse_layer_arn(arn)
        case _:
            return None


class ResourcePolicies:
    """Both finders answer from memory what has been asked for before."""

    def __init__(self, find_function: FindFunction, find_layer: FindLayer) -> None:
        self._find_function = find_function
        self._find_layer = find_layer

    async def __call__(self, arn: str) -> Policy | None:
        """A policy counts for calls by the qualifier that it belongs to, and for no other (reference 5)."""
        match _resource(arn):
            case LayerRef() as layer:
                return await self._of_layer(layer)
            case (Scope() as scope, name, qualifier):
                return await self._of_function(scope, name, qualifier)
            case _:
                return None

    async def _of_function(self, scope: Scope, name: str, qualifier: str) -> Policy | None:
        function = await self._find_function(scope, name)
        document = function.settings.policies.get(qualifier) if function is not None else None
        return parsed(document, Kind.RESOURCE) if document is not None else None

    async def _of_layer(self, layer: LayerRef) -> Policy | None:
        version = await self._find_layer(layer)
        if version is None or not version.statements:
            return None
        statements = [statement.shown(version.arn) for statement in version.statements.values()]
        return parse({"Version": "2012-10-17", "Statement": statements}, Kind.RESOURCE)
