"""Samples, their spread, their ratio to a floor that was measured in the same run, and the rows of the table."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from server import Server


@dataclass(frozen=True)
class Run:
    """One run of the benchmarks: what they share, and how thorough they are to be."""

    directory: Path
    """The run's own; gone after it."""
    stack: ExitStack
    """What has to be ended at the end, whatever happens."""
    quick: bool = False
    """Sanity, not figures."""
    _servers: dict[str, Server] = field(default_factory=dict)

    def server(self, name: str = "shared", *arguments: str, files: dict[str, str] | None = None) -> Server:
        """A server that starts when it is first asked for, and ends with the run."""
        if name not in self._servers:
            server = Server(self.directory / name, *arguments, files=files or {})
            self.stack.callback(server.stop)
            server.start()
            self._servers[name] = server
        return self._servers[name]

    def stop(self, name: str) -> None:
        """Before its time, so that it is not in the way of what comes next."""
        self._servers.pop(name).stop()

    def times(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole


@dataclass
class Samples:
    """Figures of one kind, in whatever unit."""

    values: list[float] = field(default_factory=list)

    def take(self, work: Callable[[], object]) -> None:
        """How many milliseconds it takes."""
        began = time.perf_counter()
        work()
        self.values.append((time.perf_counter() - began) * 1000)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        return self.quantile(0.05), self.quantile(0.95)


@dataclass(frozen=True)
class Goal:
    """What is promised of the ratio, or where there is no floor, of the figure."""

    words: str
    at_most: float | None = None
    at_least: float | None = None

    def is_met(self, value: float) -> bool:
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


def at_most(value: float, unit: str = "") -> Goal:
    return Goal(f"≤ {value:g}{f' {unit}' if unit else ''}", at_most=value)


def at_least(value: float, unit: str = "") -> Goal:
    return Goal(f"≥ {value:g}{f' {unit}' if unit else ''}", at_least=value)


@dataclass(frozen=True)
class Row:
    """One line of the table. What could not be measured has no figure, and says why in `note`."""

    what: str
    goal: Goal
    unit: str = "ms"
    figure: float | None = None
    spread: tuple[float, float] | None = None
    floor: float | None = None
    ratio: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """None where nothing was measured that could tell."""
        value = self.ratio if self.floor is not None else self.figure
        return None if value is None else self.goal.is_met(value)

    def __str__(self) -> str:
        figure = f"not measured: {self.note}" if self.figure is None else f"{_number(self.figure)} {self.unit}"
        if self.figure is not None and self.note:
            figure += f" ({self.note})"
        spread = NOTHING if self.spread is None else "-".join(map(_number, self.spread))
        floor = NOTHING if self.floor is None else f"{_number(self.floor)} {self.unit}"
        ratio = NOTHING if self.ratio is None else f"{self.ratio:.2f}"
        return f"| {self.what} | {figure} | {spread} | {floor} | {ratio} | {self.goal.words} |"

    def to_json(self) -> dict[str, object]:
        return {
            "row": self.what,
            "unit": self.unit,
            "median": self.figure,
            "spread": self.spread,
            "floor": self.floor,
            "ratio": self.ratio,
            "goal": self.goal.words,
            "met": self.is_met,
            "note": self.note,
        }


NOTHING = "–"  # noqa: RUF001 (a dash, as in any table)
HEADER = "| row | median | 5 %-95 % | floor | ratio | goal |\n|---|---|---|---|---|---|"


def beside(
    what: str, goal: Goal, ours: Samples, floor: Samples, *, unit: str = "ms", paired: bool = False, note: str = ""
) -> Row:
    """`paired`: the samples were taken in turns, so the ratio is the median of theirs, pair by pair: a slow moment of
    the machine falls on both of a pair. Otherwise it is that of the medians.
    """
    if paired:
        ratio = statistics.median(a / b for a, b in zip(ours.values, floor.values, strict=True))
    else:
        ratio = ours.median / floor.median
    return Row(what, goal, unit, ours.median, ours.spread, floor.median, ratio, note)


def alone(what: str, goal: Goal, ours: Samples, *, unit: str = "ms", note: str = "") -> Row:
    """Without a floor."""
    return Row(what, goal, unit, ours.median, ours.spread if len(ours.values) > 1 else None, note=note)


def in_turns(rounds: int, *sides: Callable[[], object]) -> None:
    """So that a slow moment of the machine falls on all; who is first changes."""
    for number in range(rounds):
        order: Sequence[Callable[[], object]] = sides if number % 2 == 0 else sides[::-1]
        for side in order:
            side()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
