"""From what a caller names to the version that runs: looked up in memory once it is warm, decided by `routing`."""

import random
from collections.abc import Awaitable, Callable

from pasture.domain.errors import ResourceNotFound
from pasture.domain.function import LATEST, Function, FunctionVersion
from pasture.domain.identifiers import FunctionRef
from pasture.domain.scope import Scope
from pasture.invoke.routing import route, runnable, unknown

Find = Callable[[Scope, str], Awaitable[Function | None]]
FindVersion = Callable[[Scope, str, str], Awaitable[FunctionVersion | None]]


class Resolver:
    """Both finders answer from memory what has been asked for before, without giving up control."""

    def __init__(
        self,
        find: Find,
        find_version: FindVersion,
        draw: Callable[[], float] = random.random,
        instead: Callable[[Scope, str, str, str], str] = lambda _scope, _name, _qualifier, version: version,
    ) -> None:
        """`instead`: the version that runs while the one an alias has been pointed at is being provisioned."""
        self._find = find
        self._find_version = find_version
        self._draw = draw
        self._instead = instead

    async def __call__(self, scope: Scope, reference: FunctionRef) -> FunctionVersion:
        """Raises ResourceNotFound, or ResourceConflict when it cannot be invoked in its state."""
        function = await self._find(scope, reference.name)
        if function is None:
            raise ResourceNotFound(f"Function not found: {scope.function_arn(reference.name, reference.qualifier)}")
        number = route(function, reference.qualifier, self._draw())
        if reference.qualifier is not None:
            number = self._instead(scope, reference.name, reference.qualifier, number)
        if number == LATEST:
            return runnable(function, None)
        version = await self._find_version(scope, reference.name, number)
        if version is None:
            raise unknown(function, reference.qualifier or number)
        return runnable(function, version)
