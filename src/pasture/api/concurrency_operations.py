"""Put, Get and DeleteFunctionConcurrency: what is reserved for a function."""

from typing import TYPE_CHECKING, Any

from pasture.api.function_answers import require_function
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.functions.catalog import Catalog

if TYPE_CHECKING:
    from pasture.api.call import Call


class ConcurrencyOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def put_function_concurrency(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _function(call, request)
        executions = request["ReservedConcurrentExecutions"]
        await self._catalog.reservations.reserve(ref.scope(call.scope), ref.name, executions)
        return {"ReservedConcurrentExecutions": executions}

    async def get_function_concurrency(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _function(call, request)
        reserved = (await self._catalog.get(ref.scope(call.scope), ref.name)).reserved_concurrency
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    async def delete_function_concurrency(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _function(call, request)
        await self._catalog.reservations.reserve(ref.scope(call.scope), ref.name, None)
        return {}


def _function(call: "Call", request: dict[str, Any]) -> FunctionRef:
    ref = locate_function(request["FunctionName"], call.scope)
    require_function(ref)
    return ref
