"""How many boxes a launcher keeps ready, and which number each has. Pure but for the clock that is given."""

from collections import deque
from collections.abc import Callable

from pasture.isolation.spec import SandboxError

KEPT_SECONDS = 60.0
"""How long what was asked for at once is taken for what may be asked for at once again."""

_AT_ONCE_SECONDS = 1.0
# A box in stock is a process of a megabyte or two of its own, a /tmp and a pair of links.
_MOST = 16


class Stock:
    """Mutable state: when boxes were asked for. As many are kept as were wanted within one second in the last minute:
    one at least, sixteen at most.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._bursts: deque[tuple[float, int]] = deque()
        self.last = time()

    def asked(self) -> None:
        """For a box, now."""
        now = self.last = self._time()
        if self._bursts and now - self._bursts[-1][0] < _AT_ONCE_SECONDS:
            began, count = self._bursts.pop()
            self._bursts.append((began, count + 1))
        else:
            self._bursts.append((now, 1))

    def wanted(self) -> int:
        horizon = self._time() - KEPT_SECONDS
        while self._bursts and self._bursts[0][0] < horizon:
            self._bursts.popleft()
        return max(1, min(_MOST, max((count for _, count in self._bursts), default=0)))


class Numbers:
    """Mutable state: which of 1 … `count` no box has. One comes round again only after all the others: what a box had
    in the kernel goes a little after it.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = deque(range(1, count + 1))

    def take(self, wanted: int, *, at_least: int = 0) -> list[int]:
        """As many as are wanted, or as there are. Raises SandboxError when those are not enough."""
        if len(self._free) < at_least:
            raise SandboxError(f"all {self._count} numbers of sandboxes are in use; see the setting network_range.")
        return [self._free.popleft() for _ in range(min(wanted, len(self._free)))]

    def give_back(self, number: int) -> None:
        self._free.append(number)
