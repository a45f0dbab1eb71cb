"""The synchronous way: admitted, given an environment, answered."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pasture.domain.errors import TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.invoke.admission import refusal

T = TypeVar("T")
Run = Callable[[FunctionVersion, Invocation], Awaitable[Outcome]]
Reserved = Callable[[Scope, str], Awaitable[tuple[int | None, int]]]
"""What is reserved for a function, None when nothing is, and for all functions of its account together."""


async def nothing_reserved(_scope: Scope, _name: str) -> tuple[int | None, int]:
    return None, 0


class DirectInvoker:
    def __init__(self, run: Run, limits: Limits, reserved: Reserved = nothing_reserved) -> None:
        self._run = run
        self._limits = limits
        self._reserved = reserved
        # By account, region and name, and by account and region: text is quicker to look up than a Scope.
        self._running: dict[tuple[str, str, str], int] = {}
        self._unreserved: dict[tuple[str, str], int] = {}
        """Those that were admitted as a function without a reservation."""

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        """Raises TooManyRequests over a concurrency, ServiceError when no environment can be had."""
        scope = version.scope
        place, function = (scope.account, scope.region), (scope.account, scope.region, version.name)
        reserved, of_all = await self._reserved(scope, version.name)
        reason = refusal(
            running=self._running.get(function, 0),
            reserved=reserved,
            unreserved_running=self._unreserved.get(place, 0),
            unreserved=self._limits.concurrent_executions - of_all,
        )
        if reason is not None:
            raise TooManyRequests("Rate Exceeded.", members={"Reason": reason}, headers={"Retry-After": "1"})
        _count(self._running, function, 1)
        if reserved is None:
            _count(self._unreserved, place, 1)
        try:
            return await self._run(version, invocation)
        finally:
            _count(self._running, function, -1)
            if reserved is None:
                _count(self._unreserved, place, -1)


def _count(running: dict[T, int], key: T, more: int) -> None:
    """What does not run is not remembered."""
    now = running.get(key, 0) + more
    if now:
        running[key] = now
    else:
        del running[key]
