"""Put, Get, List and DeleteProvisionedConcurrencyConfig."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pasture.api.paging import mark, unmark
from pasture.domain.errors import InvalidParameterValue
from pasture.domain.function import LATEST
from pasture.domain.function_settings import ProvisionedConcurrency
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.domain.scope import Scope
from pasture.functions.catalog import Catalog
from pasture.functions.provisioned import config_of
from pasture.functions.provisioned_status import Allocation
from pasture.kit.clock import aws_timestamp

if TYPE_CHECKING:
    from pasture.api.call import Call

PAGE = 50

Allocated = Callable[[Scope, str, str, ProvisionedConcurrency], Allocation]
"""How far the configuration of a qualifier has come."""


def nothing_allocated(_scope: Scope, _name: str, _qualifier: str, config: ProvisionedConcurrency) -> Allocation:
    return Allocation(config.executions)


class ProvisionedOperations:
    def __init__(self, catalog: Catalog, allocated: Allocated = nothing_allocated) -> None:
        self._catalog = catalog
        self._allocated = allocated

    async def put_provisioned_concurrency_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _asked_for(call, request)
        executions = request["ProvisionedConcurrentExecutions"]
        scope, qualifier = ref.scope(call.scope), ref.qualifier or LATEST
        config = await self._catalog.provisioned.put(scope, ref.name, qualifier, executions)
        return _shown(config, Allocation(executions))

    async def get_provisioned_concurrency_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _asked_for(call, request)
        scope, qualifier = ref.scope(call.scope), ref.qualifier or LATEST
        if qualifier == LATEST:
            raise InvalidParameterValue("The function resource provided must be an alias or a published version.")
        config = config_of(await self._catalog.get(scope, ref.name, qualifier), qualifier)
        return _shown(config, self._allocated(scope, ref.name, qualifier, config))

    async def list_provisioned_concurrency_configs(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """In order of qualifier."""
        ref = locate_function(request["FunctionName"], call.scope)
        scope, limit, after = ref.scope(call.scope), request.get("MaxItems", PAGE), unmark(request.get("Marker"))
        function = await self._catalog.get(scope, ref.name)
        rest = [found for found in sorted(function.settings.provisioned.items()) if found[0] > after]
        answer: dict[str, Any] = {
            "ProvisionedConcurrencyConfigs": [
                {
                    "FunctionArn": scope.function_arn(ref.name, qualifier),
                    **_shown(config, self._allocated(scope, ref.name, qualifier, config)),
                }
                for qualifier, config in rest[:limit]
            ]
        }
        return {**answer, "NextMarker": mark(rest[limit - 1][0])} if len(rest) > limit else answer

    async def delete_provisioned_concurrency_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _asked_for(call, request)
        await self._catalog.provisioned.delete(ref.scope(call.scope), ref.name, ref.qualifier or LATEST)
        return {}


def _asked_for(call: "Call", request: dict[str, Any]) -> FunctionRef:
    return locate_function(request["FunctionName"], call.scope, request.get("Qualifier"))


def _shown(config: ProvisionedConcurrency, allocation: Allocation) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "RequestedProvisionedConcurrentExecutions": config.executions,
        "AvailableProvisionedConcurrentExecutions": allocation.allocated,
        "AllocatedProvisionedConcurrentExecutions": allocation.allocated,
        "Status": str(allocation.status),
        "LastModified": aws_timestamp(config.modified),
    }
    return {**shown, "StatusReason": allocation.failure} if allocation.failure else shown
