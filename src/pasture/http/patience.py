"""How long a client may take for what it does next. One timer serves a connection: it looks again when it fires."""

import asyncio
from collections.abc import Callable


class Patience:
    def __init__(self, exhausted: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._exhausted = exhausted
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def expect_within(self, seconds: float | None) -> None:
        """The next thing must happen in so long, or may take for ever."""
        if seconds is None:
            self._deadline = None
        else:
            self.expect_by(self._loop.time() + seconds)

    def expect_by(self, deadline: float) -> None:
        """By the event loop's time."""
        self._deadline = deadline
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look)
        elif self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._look)

    def close(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() >= self._deadline:
            self._exhausted()
        else:
            self._timer = self._loop.call_at(self._deadline, self._look)
