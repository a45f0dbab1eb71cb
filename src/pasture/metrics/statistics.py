"""From points by the minute to what a reader asks: periods, and one number of each. Pure."""

import re
from collections.abc import Callable, Iterable
from functools import partial

from pasture.metrics.sample import Sample
from pasture.metrics.series import MINUTE, Point

Statistic = Callable[[Sample], float | None]
"""None where the sample cannot say: the percentiles of a statistic set."""

PLAIN: dict[str, Statistic] = {
    "SampleCount": lambda sample: float(sample.count),
    "Average": lambda sample: sample.average,
    "Sum": lambda sample: sample.total,
    "Minimum": lambda sample: sample.minimum,
    "Maximum": lambda sample: sample.maximum,
}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100(?:\.0{1,10})?)")


def statistic(name: str) -> Statistic | None:
    """By its name, `Average` or `p99.9`; None for what is none of those."""
    if name in PLAIN:
        return PLAIN[name]
    percentile = _PERCENTILE.fullmatch(name)
    return None if percentile is None else partial(Sample.percentile, percent=float(percentile[1]))


def rounded(start: float) -> int:
    """Where the first period begins: points are kept by the minute."""
    return int(start // MINUTE) * MINUTE


def grouped(points: Iterable[Point], start: int, period: int) -> dict[tuple[int, str], Sample]:
    """By the time at which a period begins, counted from `start`, and unit."""
    whole: dict[tuple[int, str], Sample] = {}
    for point in points:
        key = (start + (point.time - start) // period * period, point.unit)
        known = whole.get(key)
        if known is None:
            whole[key] = point.sample
        else:
            known.merge(point.sample)
    return whole


def over_time(points: Iterable[Point], start: int, period: int, of: Statistic) -> dict[int, float]:
    """One number for each period that has any, whatever its units."""
    whole: dict[int, Sample] = {}
    for (time, _), sample in grouped(points, start, period).items():
        if time in whole:
            whole[time].merge(sample)
        else:
            whole[time] = sample
    told = ((time, of(sample)) for time, sample in sorted(whole.items()))
    return {time: value for time, value in told if value is not None}
