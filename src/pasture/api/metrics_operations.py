"""The operations of CloudWatch that readers of metrics call, and PutMetricData.

Requests and answers are dicts by the `cloudwatch` service model; the wire engine has checked requests by it. Source of
the rules: the CloudWatch API reference, and of the words that are not ours: answers recorded from AWS.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pasture.api.metric_data import Page, page_of, queries_of
from pasture.domain.errors import ApiError, InvalidParameterValue, ValidationError
from pasture.kit.clock import Clock
from pasture.logs.names import opaque_token, parse_opaque_token
from pasture.metrics import statistics
from pasture.metrics.errors import (
    InvalidNextToken,
    InvalidParameterCombination,
    MissingRequiredParameter,
    invalid,
)
from pasture.metrics.expressions import Mistake
from pasture.metrics.putting import dimensions_of, points_of
from pasture.metrics.queries import Computation
from pasture.metrics.sample import Sample
from pasture.metrics.series import Point, Series
from pasture.metrics.service import Metrics
from pasture.metrics.store import Listing, Reader

if TYPE_CHECKING:
    from pasture.api.call import Call

Answer = dict[str, Any]

_MOST_DATAPOINTS = 1_440
_RECENTLY_SECONDS = 3 * 3_600
_TWO_WEEKS_SECONDS = 14 * 86_400


class MetricsOperations:
    partly: ClassVar = {
        "GetMetricData": "of metric math SEARCH, Metrics Insights and some functions are refused",
        "PutMetricData": "EntityMetricData is refused",
    }

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    async def list_metrics(self, call: "Call", request: dict[str, Any]) -> Answer:
        account = call.scope.account
        seconds = _RECENTLY_SECONDS if "RecentlyActive" in request else _TWO_WEEKS_SECONDS
        listing = Listing(
            request.get("Namespace"),
            request.get("MetricName"),
            [(each["Name"], each.get("Value")) for each in request.get("Dimensions") or ()],
            since=int(self._clock.now()) - seconds,
            after=_token(request, int)[0] if request.get("NextToken") else 0,
        )
        if request.get("OwningAccount", account) != account:
            return {"Metrics": []}
        found, following = await self._metrics.read(lambda reader: reader.list(call.scope, listing))
        answer: Answer = {"Metrics": [_metric(series) for series in found]}
        if following is not None:
            answer["NextToken"] = opaque_token(following)
        if request.get("IncludeLinkedAccounts"):
            answer["OwningAccounts"] = [account] * len(found)
        return answer

    async def get_metric_statistics(self, call: "Call", request: dict[str, Any]) -> Answer:
        plain, extended = request.get("Statistics") or (), request.get("ExtendedStatistics") or ()
        if not plain and not extended:
            raise MissingRequiredParameter(
                "At least one of the parameters Statistics, ExtendedStatistics must be specified."
            )
        told = {name: statistics.statistic(name) for name in (*plain, *extended)}
        for name in extended:
            if told[name] is None or name in statistics.PLAIN:
                raise invalid(name, "ExtendedStatistics")
        start, end, period = _span(request)
        series = _series(call, request)

        def datapoints(reader: Reader) -> list[Answer]:
            points = _of_unit(reader.points(series, start, end), request.get("Unit"))
            whole = sorted(statistics.grouped(points, start, period).items(), key=_by_key)
            return [_datapoint(time, unit, sample, plain, extended) for (time, unit), sample in whole]

        return {"Label": request["MetricName"], "Datapoints": await self._metrics.read(datapoints)}

    async def get_metric_data(self, call: "Call", request: dict[str, Any]) -> Answer:
        start, end = request["StartTime"].timestamp(), request["EndTime"].timestamp()
        if start >= end:
            raise ValidationError("The parameter StartTime must be less than the parameter EndTime.")
        queries = queries_of(call.scope, request["MetricDataQueries"])
        first = statistics.rounded(start)
        begin = _token(request, int, int) if request.get("NextToken") else (0, 0)
        page = Page(
            most=request.get("MaxDatapoints", 0),
            ascending=request.get("ScanBy") == "TimestampAscending",
            query=begin[0],
            datapoint=begin[1],
        )
        try:
            results, following = await self._metrics.read(
                lambda reader: page_of(Computation(reader, queries, first, int(-(-end // 1))), queries, page)
            )
        except Mistake as error:
            raise ValidationError(str(error)) from error
        answer: Answer = {"MetricDataResults": results, "Messages": []}
        if following is not None:
            answer["NextToken"] = opaque_token(*following)
        return answer

    async def put_metric_data(self, call: "Call", request: dict[str, Any]) -> Answer:
        if request.get("EntityMetricData"):
            raise InvalidParameterValue("The parameter EntityMetricData is not served by this version of Pasture.")
        data = request.get("MetricData")
        if not data:
            raise MissingRequiredParameter("The parameter MetricData is required.")
        points = await asyncio.to_thread(points_of, call.scope, request["Namespace"], data, self._clock.now())
        await self._metrics.put(points)
        return {}


def _token(request: Mapping[str, Any], *kinds: type) -> tuple[Any, ...]:
    try:
        return tuple(parse_opaque_token(request["NextToken"], *kinds))
    except ApiError as error:
        raise InvalidNextToken("The next token that was passed is not valid.") from error


def _series(call: "Call", request: Mapping[str, Any]) -> Series:
    scope, dimensions = call.scope, dimensions_of(request.get("Dimensions") or ())
    return Series(scope.account, scope.region, request["Namespace"], request["MetricName"], dimensions)


def _span(request: Mapping[str, Any]) -> tuple[int, int, int]:
    """Start, end and period."""
    first, last, period = request["StartTime"].timestamp(), request["EndTime"].timestamp(), request["Period"]
    if first >= last:
        raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
    check_period(period, "Period")
    number = -int(-(last - first) // period)
    if number > _MOST_DATAPOINTS:
        raise InvalidParameterCombination(
            f"You have requested up to {number:,} datapoints, which exceeds the limit of {_MOST_DATAPOINTS:,}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    return statistics.rounded(first), int(-(-last // 1)), period


def check_period(period: int, parameter: str) -> None:
    if period not in {1, 5, 10, 20, 30} and period % 60:
        raise invalid(period, parameter)


def _of_unit(points: Sequence[Point], unit: str | None) -> Sequence[Point]:
    return points if unit is None else [point for point in points if point.unit == unit]


def _by_key(item: tuple[tuple[int, str], Sample]) -> tuple[int, str]:
    return item[0]


def _datapoint(time: int, unit: str, sample: Sample, plain: Sequence[str], extended: Sequence[str]) -> Answer:
    shown: Answer = {"Timestamp": time, "Unit": unit}
    shown |= {name: statistics.PLAIN[name](sample) for name in plain}
    values = {name: of(sample) for name in extended if (of := statistics.statistic(name)) is not None}
    known = {name: value for name, value in values.items() if value is not None}
    return shown | ({"ExtendedStatistics": known} if known else {})


def _metric(series: Series) -> Answer:
    dimensions = [{"Name": name, "Value": value} for name, value in series.dimensions]
    return {"Namespace": series.namespace, "MetricName": series.name, "Dimensions": dimensions}
