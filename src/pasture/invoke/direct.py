"""The synchronous way: admitted, given an environment, answered."""

import time
from collections.abc import Awaitable, Callable

from pasture.domain.errors import TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.invoke.admission import Admission, Refusal, Slot
from pasture.metrics.recorder import Counts, uncounted

Run = Callable[[FunctionVersion, Invocation, Slot], Awaitable[Outcome]]
"""Gives the slot back when the invocation has its outcome or can have none, whether or not its caller still waits."""
Reserved = Callable[[Scope, str], Awaitable[tuple[int | None, int]]]
"""What is reserved for a function, None when nothing is, and for all functions of its account together."""


async def nothing_reserved(_scope: Scope, _name: str) -> tuple[int | None, int]:
    return None, 0


class DirectInvoker:
    def __init__(
        self,
        run: Run,
        limits: Limits,
        reserved: Reserved = nothing_reserved,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        counter: Callable[[FunctionVersion, str], Counts] = uncounted,
    ) -> None:
        self._run = run
        self._reserved = reserved
        self._monotonic = monotonic
        self._counter = counter
        self.admission = Admission(limits)

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        """Raises TooManyRequests over a limit, ServiceError when no environment can be had."""
        scope = version.scope
        reserved, of_all = await self._reserved(scope, version.name)
        place = (scope.account, scope.region)
        admitted = self.admission.admit(place, version.name, reserved, of_all, self._monotonic())
        counter = self._counter(version, invocation.function_arn)
        if isinstance(admitted, Refusal):
            counter.throttled()
            raise throttled(admitted.reason, admitted.retry_seconds)
        admitted.on_back = counter.admitted(reserved is not None, of_all)
        try:
            outcome = await self._run(version, invocation, admitted)
        except TooManyRequests:
            counter.throttled()
            raise
        except Exception:
            # There is no outcome to come; a caller that goes is another matter, and its invocation runs on.
            admitted.give_back()
            raise
        admitted.give_back()
        return outcome


def throttled(reason: str, retry_seconds: int = 1) -> TooManyRequests:
    return TooManyRequests("Rate Exceeded.", members={"Reason": reason}, headers={"Retry-After": str(retry_seconds)})
