"""How long environments are kept when nobody calls: as long as experience says that somebody will. Pure.

For each key, a histogram of the gaps between its invocations, as in Shahrad et al., "Serverless in the Wild" (2020).
Gaps that every environment survives say nothing and are not counted; those that none survives are calls that find no
environment anyhow. What is known of so few gaps that it may be chance leads to the longest time.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

_STEPS = 16
_ENOUGH = 10
# Of the gaps that an environment can survive, so many are to find theirs.
_SHARE = 0.95
# Old habits count half after so many gaps.
_HALVED_AT = 200
_KNOWN = 10_000


@dataclass(slots=True)
class _Habit:
    last: float
    counts: list[float] = field(default_factory=list)
    """By step between the least and the longest time; the last are those beyond."""
    seen: float = 0.0
    seconds: float | None = None
    """The answer, while it holds."""


class KeepAlive:
    def __init__(self, longest: float, least: float = 10.0) -> None:
        self._longest = longest
        self._least = min(least, longest)
        self._habits: OrderedDict[str, _Habit] = OrderedDict()
        self._edges = [
            self._least * (longest / self._least) ** (step / _STEPS) if self._least else 0.0
            for step in range(1, _STEPS + 1)
        ]

    def __repr__(self) -> str:
        return f"<KeepAlive of {len(self._habits)} keys>"

    def called(self, key: str, now: float) -> None:
        habit = self._habits.get(key)
        if habit is None:
            self._habits[key] = _Habit(now)
            if len(self._habits) > _KNOWN:
                self._habits.popitem(last=False)
            return
        gap, habit.last = now - habit.last, now
        if gap > self._least:
            self._habits.move_to_end(key)
            self._learn(habit, gap)

    def seconds(self, key: str) -> float:
        """From the end of its last invocation."""
        habit = self._habits.get(key)
        if habit is None or habit.seen < _ENOUGH:
            return self._longest
        if habit.seconds is None:
            habit.seconds = self._enough(habit.counts)
        return habit.seconds

    def _learn(self, habit: _Habit, gap: float) -> None:
        if not habit.counts:
            habit.counts = [0.0] * (_STEPS + 1)
        step = next((step for step, edge in enumerate(self._edges) if gap <= edge), _STEPS)
        habit.counts[step] += 1
        habit.seen += 1
        habit.seconds = None
        if habit.seen >= _HALVED_AT:
            habit.counts = [count / 2 for count in habit.counts]
            habit.seen /= 2

    def _enough(self, counts: list[float]) -> float:
        """The least that serves nearly all whom the longest would serve."""
        wanted = _SHARE * sum(counts[:_STEPS])
        if not wanted:
            return self._least
        served = 0.0
        for count, edge in zip(counts, self._edges, strict=False):
            served += count
            if served >= wanted:
                return edge
        return self._longest
