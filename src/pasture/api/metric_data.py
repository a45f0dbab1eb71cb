"""The queries of GetMetricData as they were sent, and its answer page by page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pasture.domain.errors import ValidationError
from pasture.domain.scope import Scope
from pasture.metrics.expressions import Mistake
from pasture.metrics.functions import Line
from pasture.metrics.putting import dimensions_of
from pasture.metrics.queries import Computation, Query
from pasture.metrics.series import Series
from pasture.metrics.statistics import statistic

_MOST_QUERIES = 500
# AWS gives ten times as many; writing them down would hold up everybody else.
_MOST_DATAPOINTS = 10_080
_ID = re.compile("[a-z][A-Za-z0-9_]*")
_PERIODS = frozenset({1, 5, 10, 20, 30})


@dataclass(frozen=True, slots=True)
class Page:
    most: int
    """Data points; 0 for as many as there can be."""
    ascending: bool
    query: int
    """Where it begins: the number of a query, and of a data point of it."""
    datapoint: int


def queries_of(scope: Scope, asked: Sequence[Mapping[str, Any]]) -> list[Query]:
    """Raises ValidationError with everything that is wrong, a line each."""
    if not 0 < len(asked) <= _MOST_QUERIES:
        raise ValidationError(f"The collection MetricDataQueries must have a size between 1 and {_MOST_QUERIES}.")
    wrong: list[str] = []
    queries = [_query(scope, each, f"MetricDataQueries.member.{number}", wrong) for number, each in enumerate(asked, 1)]
    if len({query.id for query in queries}) < len(queries):
        wrong.append("The values for parameter id in MetricDataQueries are not unique.")
    if not any(query.shown for query in queries):
        wrong.append("At least one of the queries must return data.")
    if wrong:
        raise ValidationError("\n".join(wrong))
    return queries


def _query(scope: Scope, asked: Mapping[str, Any], where: str, wrong: list[str]) -> Query:
    id_, stat, expression = asked["Id"], asked.get("MetricStat"), asked.get("Expression", "")
    if not _ID.fullmatch(id_):
        wrong.append(
            f"The value {id_} for parameter {where}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
        )
    if stat is not None and expression:
        wrong.append(
            "The parameters MetricDataQuery Expression and MetricStat are mutually exclusive "
            "and you have specified both."
        )
    if stat is None and not expression:
        wrong.append(f"The parameter {where} must specify either MetricStat or Expression.")
    if re.match(r"\s*SELECT\s", expression, re.IGNORECASE):
        wrong.append(f"The parameter {where}.Expression is a Metrics Insights query, which Pasture does not serve.")
    if asked.get("AccountId", scope.account) != scope.account:
        wrong.append(f"The parameter {where}.AccountId is another account: metrics of others are not served.")
    period = asked.get("Period") if stat is None else stat["Period"]
    if period is not None and period not in _PERIODS and period % 60:
        wrong.append(f"The value {period} for parameter {where}.{'MetricStat.' if stat else ''}Period is not valid.")
    shown = asked.get("ReturnData", True)
    if stat is None:
        return Query(id_, period, asked.get("Label"), shown, expression=expression)
    return _of_metric(scope, asked, where, wrong)


def _of_metric(scope: Scope, asked: Mapping[str, Any], where: str, wrong: list[str]) -> Query:
    stat = asked["MetricStat"]
    metric, of = stat["Metric"], statistic(stat["Stat"])
    missing = [member for member in ("Namespace", "MetricName") if not metric.get(member)]
    wrong += [f"The parameter {where}.MetricStat.Metric.{member} is required." for member in missing]
    if of is None:
        wrong.append(f"The value {stat['Stat']} for parameter {where}.MetricStat.Stat is not a valid statistic.")
    return Query(
        asked["Id"],
        stat["Period"],
        asked.get("Label"),
        asked.get("ReturnData", True),
        Series(
            scope.account,
            scope.region,
            metric.get("Namespace", ""),
            metric.get("MetricName", ""),
            dimensions_of(metric.get("Dimensions") or ()),
        ),
        of,
        stat.get("Unit"),
    )


def page_of(
    computation: Computation, queries: Sequence[Query], page: Page
) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
    """The results of this page, and where the next one begins. Raises Mistake."""
    left = min(page.most, _MOST_DATAPOINTS) if page.most > 0 else _MOST_DATAPOINTS
    results: list[dict[str, Any]] = []
    for number, query in enumerate(queries):
        if number < page.query or not query.shown:
            continue
        skipped = page.datapoint if number == page.query else 0
        for label, line in _lines(computation, query):
            times = sorted(line, reverse=not page.ascending)
            if skipped >= len(times) > 0:
                skipped -= len(times)
                continue
            shown = times[skipped : skipped + left]
            whole = skipped + len(shown) == len(times)
            results.append(_result(query.id, label, shown, line, "Complete" if whole else "PartialData"))
            left -= len(shown)
            if not whole:
                return results, (number, _before(computation, query, line) + skipped + len(shown))
            skipped = 0
        if left <= 0 and number + 1 < len(queries):
            return results, (number + 1, 0)
    return results, None


def _before(computation: Computation, query: Query, line: Line) -> int:
    """Data points of the lines of a query before this one."""
    count = 0
    for _, other in _lines(computation, query):
        if other is line:
            break
        count += len(other)
    return count


def _lines(computation: Computation, query: Query) -> list[tuple[str, Line]]:
    try:
        return list(computation.lines(query))
    except Mistake as error:
        raise Mistake(f"Error in expression '{query.id}': {error}") from error


def _result(id_: str, label: str, times: Sequence[int], line: Line, status: str) -> dict[str, Any]:
    values = [line[time] for time in times]
    return {"Id": id_, "Label": label, "Timestamps": list(times), "Values": values, "StatusCode": status}
