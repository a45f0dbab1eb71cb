"""The synchronous way: admitted, given an environment, answered."""

from collections.abc import Awaitable, Callable

from pasture.domain.errors import TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome
from pasture.domain.limits import Limits

Run = Callable[[FunctionVersion, Invocation], Awaitable[Outcome]]


class DirectInvoker:
    def __init__(self, run: Run, limits: Limits) -> None:
        self._run = run
        self._limits = limits
        self._running: dict[tuple[str, str], int] = {}

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        """Raises TooManyRequests over the account's concurrency, ServiceError when no environment can be had."""
        account = (version.scope.account, version.scope.region)
        running = self._running.get(account, 0)
        if running >= self._limits.concurrent_executions:
            raise TooManyRequests(
                "Rate Exceeded.", members={"Reason": "ConcurrentInvocationLimitExceeded"}, headers={"Retry-After": "1"}
            )
        self._running[account] = running + 1
        try:
            return await self._run(version, invocation)
        finally:
            self._running[account] -= 1
            if not self._running[account]:
                del self._running[account]
