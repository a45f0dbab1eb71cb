"""The synchronous way: admitted, given an environment, answered."""

import time
from collections.abc import Awaitable, Callable

from pasture.domain.errors import TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.function_settings import Claims
from pasture.domain.invocation import Invocation, Outcome
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.invoke.admission import Admission, Refusal, Slot
from pasture.metrics.recorder import Counts, uncounted

Run = Callable[[FunctionVersion, Invocation, Slot], Awaitable[Outcome]]
"""Gives the slot back when the invocation has its outcome or can have none, whether or not its caller still waits."""
Claimed = Callable[[Scope, str], Awaitable[Claims]]
"""What is set apart for a function, and in its account."""
Allocated = Callable[[Scope, str, str], tuple[int, int]]
"""How many environments are provisioned at this moment for a qualifier of a function, and for all of them."""


async def nothing_claimed(_scope: Scope, _name: str) -> Claims:
    return Claims(None, 0)


def nothing_allocated(_scope: Scope, _name: str, _qualifier: str) -> tuple[int, int]:
    return 0, 0


class DirectInvoker:
    def __init__(
        self,
        run: Run,
        limits: Limits,
        claimed: Claimed = nothing_claimed,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        allocated: Allocated = nothing_allocated,
        counter: Callable[[FunctionVersion, str], Counts] = uncounted,
    ) -> None:
        self._run = run
        self._claimed = claimed
        self._monotonic = monotonic
        self._allocated = allocated
        self._counter = counter
        self.admission = Admission(limits)

    async def invoke(self, version: FunctionVersion, invocation: Invocation, *, rated: bool = True) -> Outcome:
        """Raises TooManyRequests over a limit, ServiceError when no environment can be had.

        What is not `rated` may begin as often as it likes.
        """
        scope, arn = version.scope, invocation.function_arn
        claims = await self._claimed(scope, version.name)
        qualifier, provisioned = _provisioned(claims, arn) if claims.provisioned else ("", 0)
        place, now = (scope.account, scope.region), self._monotonic()
        admitted = self.admission.admit(
            place, version.name, claims.reserved, claims.in_all, now, qualifier, provisioned, rated=rated
        )
        counter = self._counter(version, arn)
        if isinstance(admitted, Refusal):
            counter.throttled()
            raise throttled(admitted.reason, admitted.retry_seconds)
        if provisioned and (allocated := self._allocated(scope, version.name, qualifier))[0]:
            admitted.on_served, admitted.on_back = counter.admitted_to_provisioned(claims, *allocated)
        else:
            admitted.on_back = counter.admitted(claims)
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


def _provisioned(claims: Claims, function_arn: str) -> tuple[str, int]:
    """By which qualifier the function was called, and what is configured for that."""
    qualifier = "".join(function_arn.split(":", 8)[7:8])
    config = claims.provisioned.get(qualifier)
    return qualifier, config.executions if config is not None else 0


def throttled(reason: str, retry_seconds: int = 1) -> TooManyRequests:
    return TooManyRequests("Rate Exceeded.", members={"Reason": reason}, headers={"Retry-After": str(retry_seconds)})
