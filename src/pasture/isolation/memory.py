"""Whether the kernel has killed in a box for want of memory, noticed at once and counted once."""

import asyncio
from collections.abc import Callable

from pasture.isolation.launcher import cgroups

# Version 1 gives notice when it begins to look for a victim, and counts it a moment later, or never: memory came free.
_LOOKS = (0.001, 0.005, 0.02, 0.1, 0.5)


class MemoryWatch:
    """`killed` is called when the count of kills has risen: from `check`, or from the event loop.

    Mutable state: the kills that are known, and the looks that are still to be taken.
    """

    def __init__(self, group: cgroups.Group, killed: Callable[[], None]) -> None:
        self._group = group
        self._killed = killed
        self._kills = 0
        self._loop = asyncio.get_running_loop()
        self._looks: list[asyncio.TimerHandle] = []
        self._notices = group.watch_memory()
        if self._notices is not None:
            self._loop.add_reader(self._notices.fileno(), self._noticed)

    def check(self) -> None:
        """Look now, for whoever is about to judge an end, or to kill."""
        before, self._kills = self._kills, self._group.oom_kills()
        if self._kills > before:
            self._killed()

    def close(self) -> None:
        for look in self._looks:
            look.cancel()
        self._looks.clear()
        if self._notices is not None:
            self._loop.remove_reader(self._notices.fileno())
            self._notices.close()
            self._notices = None

    def _noticed(self) -> None:
        if self._notices is not None:
            self._notices.clear()
        for look in self._looks:
            look.cancel()
        self._looks = [self._loop.call_later(delay, self.check) for delay in _LOOKS]
        self.check()
