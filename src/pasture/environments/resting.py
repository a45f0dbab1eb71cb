"""Snapshots: those that rest, of each key one, and those that are being initialised. Pure."""

from collections import OrderedDict


class Resting:
    def __init__(self, most_mb: int) -> None:
        self.most_mb = most_mb
        self.mb = 0
        # By key, with when it was used last; who was used longest ago first. Of each key one at most is being made.
        self._at_rest: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._coming: set[str] = set()

    def __contains__(self, key: str) -> bool:
        """Whether there is one of that key, or will be."""
        return key in self._at_rest or key in self._coming

    def of(self, key: str) -> str | None:
        return at_rest[1] if (at_rest := self._at_rest.get(key)) is not None else None

    def comes(self, key: str, memory_mb: int) -> None:
        self._coming.add(key)
        self.mb += memory_mb

    def rests(self, environment: str, key: str, now: float) -> str | None:
        """It is initialised. Answers the one that was there before, which had been used as long ago as this one now."""
        self._coming.discard(key)
        before = self._at_rest.get(key)
        # A key that is there keeps its place in the order.
        self._at_rest[key] = (before[0] if before is not None else now, environment)
        return before[1] if before is not None else None

    def take(self, key: str, memory_mb: int) -> str:
        self.mb -= memory_mb
        return self._at_rest.pop(key)[1]

    def remove(self, environment: str, key: str, memory_mb: int, *, comes: bool) -> None:
        """It is stopped: while it `comes`, or at rest."""
        self.mb -= memory_mb
        if comes:
            self._coming.discard(key)
        elif self.of(key) == environment:
            del self._at_rest[key]

    @property
    def longest(self) -> tuple[float, str] | None:
        """Since when it has not been used, and which."""
        return next(iter(self._at_rest.values()), None)
