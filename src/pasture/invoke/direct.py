"""The synchronous way: admitted, given an environment, answered."""

from collections import Counter
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
        self._running: Counter[tuple[Scope, str]] = Counter()
        self._unreserved: Counter[Scope] = Counter()
        """Those that were admitted as a function without a reservation."""

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        """Raises TooManyRequests over a concurrency, ServiceError when no environment can be had."""
        scope, function = version.scope, (version.scope, version.name)
        reserved, of_all = await self._reserved(scope, version.name)
        reason = refusal(
            running=self._running[function],
            reserved=reserved,
            unreserved_running=self._unreserved[scope],
            unreserved=self._limits.concurrent_executions - of_all,
        )
        if reason is not None:
            raise TooManyRequests("Rate Exceeded.", members={"Reason": reason}, headers={"Retry-After": "1"})
        self._running[function] += 1
        self._unreserved[scope] += reserved is None
        try:
            return await self._run(version, invocation)
        finally:
            _take(self._running, function, 1)
            _take(self._unreserved, scope, reserved is None)


def _take(counter: Counter[T], key: T, number: int) -> None:
    counter[key] -= number
    if not counter[key]:
        del counter[key]
