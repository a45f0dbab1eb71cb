"""When the pool looks again though nothing has happened: a timer each for who is idle, who waits, and the processors.

No timer runs that nothing needs. One that fires looks for whom it is; then the next is set.
"""

import asyncio
from collections.abc import Callable

from pasture.environments.assignment import Assignment, Step
from pasture.environments.processors import LOOK_SECONDS, Starts
from pasture.kit.clock import Clock


class Alarms:
    def __init__(
        self, assignment: Assignment, starts: Starts, clock: Clock, take: Callable[[list[Step]], None]
    ) -> None:
        self._assignment = assignment
        self._starts = starts
        self._clock = clock
        self._take = take
        self._assignment.starts_at_once = starts.at_once
        self._expiry: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._is_open = True

    def close(self) -> None:
        self._is_open = False
        for timer in (self._expiry, self._patience, self._look):
            if timer is not None:
                timer.cancel()

    def set(self) -> None:
        """After every change."""
        if not self._is_open:
            return
        if self._expiry is None:
            self._set_expiry()
        if self._assignment.waiting:
            self._set_patience()

    def _set_expiry(self) -> None:
        """For the environment that has been idle longest."""
        expiry = self._assignment.next_expiry()
        if expiry is not None:
            delay = max(0.0, expiry - self._clock.monotonic())
            self._expiry = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        self._take(self._assignment.expires(self._clock.monotonic()))

    def _set_patience(self) -> None:
        """For who has waited longest; and one while starts are held back."""
        loop = asyncio.get_running_loop()
        deadline = self._assignment.next_deadline
        if self._patience is None and deadline is not None:
            self._patience = loop.call_later(max(0.0, deadline - self._clock.monotonic()), self._lose_patience)
        if self._look is None and self._assignment.is_held_back:
            self._look = loop.call_later(LOOK_SECONDS, self._look_at_processors)

    def _lose_patience(self) -> None:
        self._patience = None
        self._take(self._assignment.overdue(self._clock.monotonic()))

    def _look_at_processors(self) -> None:
        self._look = None
        held_back = self._assignment.is_held_back
        self._assignment.starts_at_once = self._starts.grow() if held_back else self._starts.rest()
        self._take(self._assignment.resumes())
