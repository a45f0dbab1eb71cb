"""Freezes environments that have rested for a moment. Lazily, so that invocations back to back never pay for it.

One timer serves all of them; while nothing rests there is none.
"""

import asyncio
from collections.abc import Callable

from pasture.environments.environment import Environment


class Freezer:
    def __init__(self, seconds: float, freeze: Callable[[Environment], None]) -> None:
        self._seconds = seconds
        self._freeze = freeze
        # The longest resting first.
        self._resting: dict[Environment, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Freezer of {len(self._resting)} resting>"

    def rests(self, environment: Environment) -> None:
        loop = asyncio.get_running_loop()
        self._resting[environment] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)

    def wakes(self, environment: Environment) -> None:
        self._resting.pop(environment, None)

    def close(self) -> None:
        self._resting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._resting:
            environment, due = next(iter(self._resting.items()))
            if due > loop.time():
                self._timer = loop.call_at(due, self._look)
                return
            del self._resting[environment]
            self._freeze(environment)
