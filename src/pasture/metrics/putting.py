"""From what PutMetricData is sent to points, or why not. Pure.

Source: "PutMetricData" and "MetricDatum" in the CloudWatch API reference.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pasture.domain.errors import InvalidParameterValue
from pasture.domain.scope import Scope
from pasture.metrics.errors import InvalidParameterCombination, MissingRequiredParameter, invalid
from pasture.metrics.names import Dimensions
from pasture.metrics.sample import Sample
from pasture.metrics.series import MINUTE, Key, Points, Series, merge

_MOST_DATA = 1_000
_MOST_VALUES = 150
_LARGEST = 2.0**360
_OLDEST_SECONDS = 14 * 86_400
_NEWEST_SECONDS = 2 * 3_600

Datum = Mapping[str, Any]


def points_of(scope: Scope, namespace: str, data: Sequence[Datum], now: float) -> Points:
    """Raises an error of `errors`: then nothing of it is kept."""
    if namespace.startswith("AWS/"):
        raise invalid(namespace, "Namespace")
    if len(data) > _MOST_DATA:
        raise InvalidParameterValue(f"The collection MetricData must not have a size greater than {_MOST_DATA}.")
    points: Points = {}
    for number, datum in enumerate(data, 1):
        where = f"MetricData.member.{number}"
        series = Series(scope.account, scope.region, namespace, datum["MetricName"], _dimensions(datum, where))
        key = Key(series, _minute(datum, where, now), datum.get("Unit", "None"))
        merge(points, {key: _sample(datum, where)})
    return points


def dimensions_of(asked: Sequence[Mapping[str, str]]) -> Dimensions:
    return tuple(sorted((each["Name"], each["Value"]) for each in asked))


def _dimensions(datum: Datum, where: str) -> Dimensions:
    dimensions = dimensions_of(datum.get("Dimensions") or ())
    if len({name for name, _ in dimensions}) < len(dimensions):
        raise InvalidParameterValue(f"The parameter {where}.Dimensions has a dimension more than once.")
    return dimensions


def _minute(datum: Datum, where: str, now: float) -> int:
    time: datetime | None = datum.get("Timestamp")
    seconds = now if time is None else time.timestamp()
    if not now - _OLDEST_SECONDS <= seconds <= now + _NEWEST_SECONDS:
        raise InvalidParameterValue(
            f"The parameter {where}.Timestamp must specify a time no more than two weeks in the past and no more than "
            "two hours in the future."
        )
    return int(seconds // MINUTE) * MINUTE


def _sample(datum: Datum, where: str) -> Sample:
    given = [member for member in ("Value", "Values", "StatisticValues") if datum.get(member) is not None]
    if not given:
        raise MissingRequiredParameter(f"At least one of the parameters {where}.Value, Values must be specified.")
    if len(given) > 1:
        raise InvalidParameterCombination(
            f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive "
            "and you have specified both."
        )
    if given[0] == "StatisticValues":
        return _statistics(datum["StatisticValues"], f"{where}.StatisticValues")
    values = datum["Values"] if given[0] == "Values" else [datum["Value"]]
    counts = datum.get("Counts") or [1.0] * len(values)
    if not 0 < len(values) <= _MOST_VALUES or len(counts) != len(values):
        raise InvalidParameterValue(
            f"The parameters {where}.Values and {where}.Counts must have the same size, between 1 and {_MOST_VALUES}."
        )
    sample = Sample()
    for value, count in zip(values, counts, strict=True):
        sample.add(_number(value, f"{where}.Value"), _count(count, f"{where}.Counts"))
    return sample


def _statistics(given: Mapping[str, float], where: str) -> Sample:
    count = _count(given["SampleCount"], f"{where}.SampleCount")
    total, least, most = (_number(given[name], f"{where}.{name}") for name in ("Sum", "Minimum", "Maximum"))
    if least > most:
        raise InvalidParameterValue(f"The parameter {where}.Minimum must not be greater than {where}.Maximum.")
    return Sample.of_set(count, total, least, most)


def _number(value: float, where: str) -> float:
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise invalid(value, where)
    return value


def _count(value: float, where: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise invalid(value, where)
    return value
