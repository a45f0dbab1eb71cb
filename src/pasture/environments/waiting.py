"""Invocations that wait for an environment, and whose turn it is to get one more. Pure.

Those of a key are served in the order they came. A key is *short* while more wait than will be ready in a moment;
functions take turns at getting an environment for a short key of theirs, and so do the keys of a function.

No function fills the queue: of the places that are free, each may have as many as it leaves to the others (dynamic
thresholds, Choudhury and Hahne 1998).
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Want:
    """An invocation that needs an environment."""

    id: str
    key: str
    memory_mb: int
    function: str = ""
    """Whose it is: functions take turns. Without one, that of the key."""
    environments: int = 0
    """So many environments its function may have; 0: any number."""

    @property
    def whose(self) -> str:
        return self.function or self.key


class Waiting:
    def __init__(self, places: int, seconds: float) -> None:
        """`places`: for what waits beyond the environments that will be ready in a moment; `seconds`: so long."""
        self._places = places
        self._seconds = seconds
        self._wants: dict[str, OrderedDict[str, Want]] = {}
        self._deadlines: OrderedDict[str, tuple[float, Want]] = OrderedDict()
        # How many are short: by function and key, those whose turn is next first; of each function; of all.
        self._short: OrderedDict[str, OrderedDict[str, int]] = OrderedDict()
        self._short_of: dict[str, int] = {}
        self._short_in_all = 0
        self._whose: dict[str, str] = {}
        """The function of each key that somebody waits for."""

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, key: str) -> bool:
        return key in self._wants

    def count(self, key: str) -> int:
        wants = self._wants.get(key)
        return len(wants) if wants is not None else 0

    # They come and go...

    def add(self, want: Want, now: float) -> None:
        self._wants.setdefault(want.key, OrderedDict())[want.id] = want
        self._whose[want.key] = want.whose
        self._deadlines[want.id] = (now + self._seconds, want)

    def pop(self, key: str) -> Want | None:
        """Who has waited longest."""
        wants = self._wants.get(key)
        if wants is None:
            return None
        want = next(iter(wants.values()))
        self.remove(want)
        return want

    def remove(self, want: Want) -> None:
        wants = self._wants[want.key]
        del wants[want.id], self._deadlines[want.id]
        if not wants:
            del self._wants[want.key]

    # Turns...

    def note(self, key: str, ready_soon: int) -> None:
        """So many environments of the key will be ready in a moment."""
        function = self._whose.get(key)
        if function is None:
            return
        keys = self._short.get(function)
        before = keys.get(key, 0) if keys is not None else 0
        short = max(0, self.count(key) - ready_soon)
        if short != before:
            self._count(key, function, short, before)
        if key not in self._wants:
            del self._whose[key]

    def _count(self, key: str, function: str, short: int, before: int) -> None:
        self._short_in_all += short - before
        self._short_of[function] = self._short_of.get(function, 0) + short - before
        keys = self._short.setdefault(function, OrderedDict())
        keys[key] = short
        if not short:
            del keys[key]
            if not keys:
                del self._short[function], self._short_of[function]

    def is_short(self, key: str, function: str) -> bool:
        return key in self._short.get(function, ())

    def short_of(self, function: str) -> int:
        return self._short_of.get(function, 0)

    @property
    def short_in_all(self) -> int:
        return self._short_in_all

    def head(self) -> Want | None:
        """Of the key whose turn it is, who has waited longest."""
        if not self._short:
            return None
        key = next(iter(next(iter(self._short.values()))))
        return self.first(key)

    def first(self, key: str) -> Want:
        """Of those who wait for the key, who has waited longest."""
        return next(iter(self._wants[key].values()))

    def has_had_its_turn(self, key: str, function: str) -> None:
        if (keys := self._short.get(function)) is not None:
            self._short.move_to_end(function)
            if key in keys:
                keys.move_to_end(key)

    # Bounds...

    def is_crowded(self, function: str) -> bool:
        """Whether no more of the function may wait."""
        return self.short_of(function) >= self._places - self._short_in_all

    def take_overdue(self, now: float) -> list[Want]:
        """Who has waited too long goes. Those for whom an environment is starting wait on."""
        gone: list[Want] = []
        while self._deadlines:
            id_, (deadline, want) = next(iter(self._deadlines.items()))
            if deadline > now:
                break
            if self.is_short(want.key, want.whose):
                self.remove(want)
                self.note(want.key, self.count(want.key) + 1 - self._short[want.whose][want.key])
                gone.append(want)
            else:
                self._deadlines[id_] = (now + self._seconds, want)
                self._deadlines.move_to_end(id_)
        return gone

    @property
    def next_deadline(self) -> float | None:
        first = next(iter(self._deadlines.values()), None)
        return None if first is None else first[0]
