"""The functions of metric math. Pure.

Source: "Functions and operators supported for metric math" in the CloudWatch user guide. A function that makes one of
many makes a line of an array, and a number of a line.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, cast

Line = dict[int, float]
"""By time, in order."""
Value = float | Line | list[Line] | str
"""A text is a word that some functions take."""


class Grid(NamedTuple):
    """The times at which there can be points: from `start` to before `end`."""

    start: int
    end: int
    period: int

    @property
    def times(self) -> range:
        return range(self.start, self.end, self.period)


Function = Callable[[Grid, Sequence[Value]], Value]


def combined(function: Callable[[float, float], float], left: Value, right: Value) -> Line:
    """A line with a number, or with the times of another line that it shares."""
    line: Line = {}
    for time in left if isinstance(left, dict) else cast("Line", right):
        if isinstance(right, dict) and time not in right:
            continue
        one = left[time] if isinstance(left, dict) else cast("float", left)
        other = right[time] if isinstance(right, dict) else cast("float", right)
        try:
            value = float(function(one, other))
        except (ZeroDivisionError, ValueError, OverflowError):
            continue
        line[time] = value
    return line


def _of_many(fold: Callable[[Sequence[float]], float]) -> Function:
    def function(_grid: Grid, arguments: Sequence[Value]) -> Value:
        (value,) = arguments
        if isinstance(value, list):
            times = sorted({time for line in value for time in line})
            return {time: float(fold([line[time] for line in value if time in line])) for time in times}
        if isinstance(value, dict):
            return float(fold(list(value.values()))) if value else 0.0
        raise TypeError

    return function


def _of_each(change: Callable[[float], float]) -> Function:
    def one(value: float) -> float | None:
        try:
            return float(change(value))
        except ValueError:
            return None

    def of_line(line: Line) -> Line:
        return {time: new for time, old in line.items() if (new := one(old)) is not None}

    return _of_lines(lambda _grid, line: of_line(line), one)


def _of_lines(
    change: Callable[[Grid, Line], Line], number: Callable[[float], float | None] = lambda _value: None
) -> Function:
    def function(grid: Grid, arguments: Sequence[Value]) -> Value:
        (value,) = arguments
        if isinstance(value, dict):
            return change(grid, value)
        if isinstance(value, list):
            return [change(grid, line) for line in value]
        if isinstance(value, float) and (changed := number(value)) is not None:
            return changed
        raise TypeError

    return function


def _fill(grid: Grid, arguments: Sequence[Value]) -> Value:
    """With a number, with what was before, or along a straight line to what comes."""
    value, filling = arguments
    if isinstance(value, list):
        return [cast("Line", _fill(grid, [line, filling])) for line in value]
    if not isinstance(value, dict) or isinstance(filling, list):
        raise TypeError
    if isinstance(filling, float):
        return {time: value.get(time, filling) for time in grid.times}
    if isinstance(filling, dict):
        return {time: value.get(time, filling.get(time)) for time in grid.times if time in value or time in filling}  # type: ignore[misc]
    filled = dict(value)
    for (before, left), (after, right) in pairwise(sorted(value.items())):
        for time in range(before + grid.period, after, grid.period):
            slope = (right - left) * (time - before) / (after - before) if filling == "LINEAR" else 0.0
            filled[time] = left + slope
    if value and filling == "REPEAT":
        last = max(value)
        filled |= dict.fromkeys(range(last + grid.period, grid.end, grid.period), value[last])
    return dict(sorted(filled.items()))


def _if(_grid: Grid, arguments: Sequence[Value]) -> Value:
    condition, yes, *no = arguments
    if isinstance(condition, float):
        return yes if condition else no[0]
    if not isinstance(condition, dict):
        raise TypeError

    def choose(time: int, value: float) -> float | None:
        chosen = yes if value else (no[0] if no else None)
        if isinstance(chosen, list | str):
            raise TypeError
        return chosen.get(time) if isinstance(chosen, dict) else chosen

    return {time: new for time, value in condition.items() if (new := choose(time, value)) is not None}


def _differences(line: Line) -> Iterable[tuple[int, int, float]]:
    """Time, seconds since the point before, and what has been added since."""
    return ((time, time - before, new - old) for (before, old), (time, new) in pairwise(sorted(line.items())))


def _metric_count(_grid: Grid, arguments: Sequence[Value]) -> Value:
    (lines,) = arguments
    if not isinstance(lines, list):
        raise TypeError
    return float(len(lines))


def _end(which: int) -> Function:
    def function(_grid: Grid, arguments: Sequence[Value]) -> Value:
        (lines,) = arguments
        if not isinstance(lines, list):
            raise TypeError
        return lines[which]

    return function


FUNCTIONS: dict[str, Function] = {
    "ABS": _of_each(abs),
    "AVG": _of_many(statistics.fmean),
    "CEIL": _of_each(math.ceil),
    "DIFF": _of_lines(lambda _grid, line: {time: more for time, _, more in _differences(line)}),
    "FILL": _fill,
    "FIRST": _end(0),
    "FLOOR": _of_each(math.floor),
    "IF": _if,
    "LAST": _end(-1),
    "LOG": _of_each(math.log),
    "LOG10": _of_each(math.log10),
    "MAX": _of_many(max),
    "METRIC_COUNT": _metric_count,
    "MIN": _of_many(min),
    "RATE": _of_lines(lambda _grid, line: {time: more / seconds for time, seconds, more in _differences(line)}),
    "RUNNING_SUM": _of_lines(lambda _grid, line: dict(zip(line, accumulate(line.values()), strict=True))),
    "STDDEV": _of_many(statistics.pstdev),
    "SUM": _of_many(math.fsum),
}
