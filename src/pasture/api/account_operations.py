"""GetAccountSettings."""

from typing import TYPE_CHECKING, Any

from pasture.domain.limits import Limits
from pasture.functions.catalog import Catalog

if TYPE_CHECKING:
    from pasture.api.call import Call


class AccountOperations:
    def __init__(self, catalog: Catalog, limits: Limits) -> None:
        self._catalog = catalog
        self._limits = limits

    async def get_account_settings(self, call: "Call", _request: dict[str, Any]) -> dict[str, Any]:
        usage = await self._catalog.usage(call.scope)
        limits = self._limits
        return {
            "AccountLimit": {
                "TotalCodeSize": limits.code_storage_bytes,
                "CodeSizeUnzipped": limits.code_unzipped_bytes,
                "CodeSizeZipped": limits.code_zipped_bytes,
                "ConcurrentExecutions": limits.concurrent_executions,
                "UnreservedConcurrentExecutions": limits.concurrent_executions - usage.claimed_concurrency,
            },
            "AccountUsage": {"TotalCodeSize": usage.code_bytes, "FunctionCount": usage.functions},
        }
