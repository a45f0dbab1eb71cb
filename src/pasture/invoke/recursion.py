"""Stops a chain of calls that comes by a function again and again: asked by every door, and before an event is run.

A door counts its invocation in the tracing header (`lineage.counted`), so that whatever the function calls carries it
on. What was invoked synchronously is refused there; an event is accepted, as on AWS, and stopped when it is to run.
"""

from collections.abc import Awaitable, Callable

from pasture.domain.errors import RecursiveInvocation
from pasture.domain.function import Function
from pasture.domain.scope import Scope
from pasture.invoke import lineage
from pasture.metrics.names import Place

METRIC = "RecursiveInvocationsDropped"

Find = Callable[[Scope, str], Awaitable[Function | None]]
Stop = Callable[[str], Awaitable[None]]
"""See `Recursion.stop`."""
Count = Callable[[str, Place], None]
"""One more of a metric of functions."""


async def stop_nothing(_function_arn: str) -> None:
    """For who looks for no loops."""


class Recursion:
    def __init__(self, find: Find, count: Count) -> None:
        self._find = find
        self._count = count

    async def stop(self, function_arn: str) -> None:
        """Of an invocation that is one too many. Raises RecursiveInvocation, unless the function allows it."""
        parts = function_arn.split(":")
        await self._stop(Scope(parts[4], parts[3]), parts[6])

    async def check(self, scope: Scope, name: str, trace_id: str) -> None:
        """Of an event that was counted when it was accepted. Raises RecursiveInvocation."""
        if lineage.before(trace_id, scope.function_arn(name)) >= lineage.INVOCATIONS:
            await self._stop(scope, name)

    async def _stop(self, scope: Scope, name: str) -> None:
        function = await self._find(scope, name)
        if function is None or function.settings.recursive_loop == "Allow":
            return
        self._count(METRIC, Place(scope.account, scope.region, name, name))
        raise RecursiveInvocation
