"""PutFunctionRecursionConfig and GetFunctionRecursionConfig."""

from typing import TYPE_CHECKING, Any

from pasture.api.function_answers import require_function
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.functions.catalog import Catalog
from pasture.functions.settings import with_settings

if TYPE_CHECKING:
    from pasture.api.call import Call


class RecursionOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def put_function_recursion_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _function(call, request)
        loop = request["RecursiveLoop"]
        await self._catalog.change(ref.scope(call.scope), ref.name, lambda f: with_settings(f, recursive_loop=loop))
        return {"RecursiveLoop": loop}

    async def get_function_recursion_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _function(call, request)
        function = await self._catalog.get(ref.scope(call.scope), ref.name)
        return {"RecursiveLoop": function.settings.recursive_loop}


def _function(call: "Call", request: dict[str, Any]) -> FunctionRef:
    ref = locate_function(request["FunctionName"], call.scope)
    require_function(ref)
    return ref
