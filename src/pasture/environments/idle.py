"""Idle environments, that wait for an invocation of their key or for their end. Pure."""

import heapq
import math
from collections.abc import Callable


class Idle:
    def __init__(self, keep: Callable[[str], float]) -> None:
        """`keep`: for how many seconds one of that key stays."""
        self._keep = keep
        # By key, the most recently used last; and all of them with when they became idle, the longest idle first.
        self._of_key: dict[str, list[str]] = {}
        self._since: dict[str, float] = {}
        # The keys that have some, once each, by when the first of them may have been idle for long enough.
        self._due: list[tuple[float, str]] = []
        self._is_due: set[str] = set()

    def __len__(self) -> int:
        return len(self._since)

    def of(self, key: str) -> list[str]:
        return list(self._of_key.get(key, ()))

    def add(self, environment: str, key: str, now: float) -> None:
        self._of_key.setdefault(key, []).append(environment)
        self._since[environment] = now
        self._will_be_due(key, now + self._keep(key))

    def take(self, key: str) -> str | None:
        """The most recently used, so that the others grow old together."""
        idle = self._of_key.get(key)
        if not idle:
            return None
        environment = idle.pop()
        del self._since[environment]
        if not idle:
            del self._of_key[key]
        return environment

    def remove(self, environment: str, key: str) -> None:
        if self._since.pop(environment, None) is None:
            return
        idle = self._of_key[key]
        idle.remove(environment)
        if not idle:
            del self._of_key[key]

    @property
    def longest(self) -> tuple[float, str] | None:
        """Since when, and which."""
        environment = next(iter(self._since), None)
        return None if environment is None else (self._since[environment], environment)

    def take_overdue(self, now: float) -> list[str]:
        """Those that have been idle for as long as they are kept."""
        overdue: list[str] = []
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            self._is_due.discard(key)
            keep = self._keep(key)
            while (idle := self._of_key.get(key)) and self._since[idle[0]] + keep <= now:
                overdue.append(idle[0])
                self.remove(idle[0], key)
            if idle:
                self._will_be_due(key, self._since[idle[0]] + keep)
        return overdue

    @property
    def next_due(self) -> float | None:
        """When one may have been idle for long enough, if nothing happens."""
        return self._due[0][0] if self._due else None

    def _will_be_due(self, key: str, at: float) -> None:
        if key not in self._is_due and at < math.inf:
            self._is_due.add(key)
            heapq.heappush(self._due, (at, key))
