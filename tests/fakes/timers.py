"""Timers of an event loop that go by a clock which a test moves."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from pasture.kit.clock import ManualClock


@dataclass(slots=True)
class Timer:
    call: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Timers:
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (self._clock.now() + delay, next(self._numbers), timer))
        return timer

    @property
    def next(self) -> float | None:
        """When the next rings."""
        while self._timers and self._timers[0][2].is_cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    async def advance(self, seconds: float) -> None:
        """What is due on the way rings at its time, and what it begins goes as far as it can."""
        end = self._clock.now() + seconds
        await settle()
        while (time := self.next) is not None and time <= end:
            self._clock.advance(max(0.0, time - self._clock.now()))
            heapq.heappop(self._timers)[2].call()
            await settle()
        self._clock.advance(end - self._clock.now())
        await settle()


async def settle() -> None:
    """Rounds of the loop, for tasks that wait for nothing outside it."""
    for _ in range(50):
        await asyncio.sleep(0)
