"""What GetMetricData asks: queries that name each other, computed one after the other as they are wanted.

Runs where the reader is: in a thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pasture.metrics.expressions import Mistake, Names, evaluate
from pasture.metrics.functions import Grid, Line, Value
from pasture.metrics.series import Series
from pasture.metrics.statistics import Statistic, over_time
from pasture.metrics.store import Reader

_DEEPEST = 10
# More than a call answers.
_MOST_TIMES = 100_800


@dataclass(frozen=True, slots=True)
class Query:
    """Of a metric, or of an expression over the others."""

    id: str
    period: int | None = None
    label: str | None = None
    shown: bool = True
    series: Series | None = None
    statistic: Statistic | None = None
    unit: str | None = None
    expression: str = ""


class Computation:
    """All queries of one call, from `start` to before `end`."""

    def __init__(self, reader: Reader, queries: Sequence[Query], start: int, end: int) -> None:
        self._reader = reader
        self._queries = {query.id: query for query in queries}
        self._start = start
        self._end = end
        self._known: dict[str, Value] = {}
        self._within: list[str] = []
        self._names = Names(self._value, _described(queries), self._grid)

    def lines(self, query: Query) -> Iterator[tuple[str, Line]]:
        """With their labels: an array has several. Raises Mistake."""
        value = self._value(query.id)
        if isinstance(value, dict):
            yield _label(query), value
        elif isinstance(value, list):
            for number, line in enumerate(value, 1):
                yield f"{_label(query)} {number}", line
        elif isinstance(value, float):
            # A number is shown at every time there is, as AWS shows it.
            yield _label(query), dict.fromkeys(self._grid(query.id).times, value)

    def _value(self, id_: str) -> Value:
        if id_ in self._known:
            return self._known[id_]
        query = self._queries.get(id_)
        if query is None:
            raise Mistake(f"there is no query with the id '{id_}'")
        if id_ in self._within or len(self._within) >= _DEEPEST:
            raise Mistake(f"the query '{id_}' needs itself, or too many others")
        self._within.append(id_)
        try:
            value = self._points(query) if query.series else evaluate(query.expression, self._names)
        finally:
            self._within.pop()
        self._known[id_] = value
        return value

    def _points(self, query: Query) -> Line:
        assert query.series is not None
        assert query.statistic is not None
        period = query.period or 60
        points = self._reader.points(query.series, self._start, self._end)
        if query.unit is not None:
            points = [point for point in points if point.unit == query.unit]
        return over_time(points, self._start, period, query.statistic)

    def _grid(self, id_: str) -> Grid:
        """Of a query; of anything else, that of the query that is computed."""
        query = self._queries.get(id_) or (self._queries[self._within[0]] if self._within else None)
        period = query.period if query is not None else None
        if period is None:
            period = min((each.period for each in self._queries.values() if each.series and each.period), default=60)
        if (self._end - self._start) // period > _MOST_TIMES:
            raise Mistake("there are too many periods between start and end")
        return Grid(self._start, self._end, period)


def _label(query: Query) -> str:
    if query.label is not None:
        return query.label
    return query.series.name if query.series else query.id


def _described(queries: Sequence[Query]) -> Mapping[str, str]:
    return {query.id: f"{query.id} {query.label or ''}" for query in queries if query.series}
