"""What is set about a function beside its versions, and the concurrency that is reserved for it."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from pasture.domain.errors import InvalidParameterValue
from pasture.domain.function import Function
from pasture.domain.function_settings import Claims
from pasture.domain.scope import Scope
from pasture.functions.ledger import Ledger
from pasture.functions.provisioned import check_reservation
from pasture.functions.records import FunctionKey

Change = Callable[[Scope, str, Callable[[Function], Function]], Awaitable[Function]]
"""The catalog's way to change a function."""


def with_settings(function: Function, **changes: Any) -> Function:
    """By the names of `domain.function_settings.Settings`."""
    return dataclasses.replace(function, settings=dataclasses.replace(function.settings, **changes))


class Reservations:
    def __init__(self, ledger: Ledger, change: Change) -> None:
        self._ledger = ledger
        self._change = change

    async def reserve(self, scope: Scope, name: str, executions: int | None) -> None:
        """None gives them back. Raises InvalidParameterValue when too few would be left for the others."""
        key = FunctionKey(scope, name)
        # One at a time in an account: each is judged by what the others have.
        async with self._ledger.writing.alone(f"concurrency/{scope.account}/{scope.region}"):
            check_reservation((await self._ledger.must_read(key)).value, executions)
            usage = await self._ledger.accounts.usage(scope)
            others = usage.claimed_concurrency - usage.share_of(key.function).claimed_concurrency
            self._check(others, executions or 0)
            await self._change(scope, name, lambda f: dataclasses.replace(f, reserved_concurrency=executions))

    def _check(self, others: int, executions: int) -> None:
        """Zero takes nothing from anyone: it stops a function whatever the others have."""
        limits = self._ledger.tools.limits
        least = limits.minimum_unreserved_concurrency
        if executions and limits.concurrent_executions - others - executions < least:
            raise InvalidParameterValue(
                "Specified ReservedConcurrentExecutions for function decreases account's "
                f"UnreservedConcurrentExecution below its minimum value of [{least}]."
            )

    async def of(self, scope: Scope, name: str) -> Claims:
        """From memory once it is counted."""
        function = await self._ledger.functions.find(FunctionKey(scope, name).function)
        usage = await self._ledger.accounts.usage(scope)
        if function is None:
            return Claims(None, usage.claimed_concurrency)
        return Claims(function.reserved_concurrency, usage.claimed_concurrency, function.settings.provisioned)
