"""The nouns of what is kept: a series, and its points. From a batch of the recorder to those. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from pasture.metrics.names import METRICS, NAMESPACE, Dimensions, Place, dimensions_of
from pasture.metrics.recorder import Batch, Cell
from pasture.metrics.sample import Sample

MINUTE = 60


@dataclass(frozen=True, slots=True)
class Series:
    """One metric by one set of dimensions, in one account and region."""

    account: str
    region: str
    namespace: str
    name: str
    dimensions: Dimensions = ()


@dataclass(frozen=True, slots=True)
class Key:
    """Of one point: a series, the minute that it is about in seconds since the epoch, and the unit it was put in."""

    series: Series
    time: int
    unit: str


Points = dict[Key, Sample]


@dataclass(frozen=True, slots=True)
class Point:
    """Of a series that is known."""

    time: int
    unit: str
    sample: Sample


def expand(batch: Batch) -> Points:
    """By every set of dimensions that each metric is kept by."""
    points: Points = {}
    for minute, cells in batch.cells.items():
        for place, cell in cells.items():
            for name, sample in samples(cell):
                _keep(points, minute * MINUTE, name, place, sample)
    for level, sample in batch.levels:
        series = Series(*level.owner, NAMESPACE, level.name, level.dimensions)
        points[Key(series, batch.minute * MINUTE, METRICS[level.name].unit)] = sample
    return points


def _keep(points: Points, time: int, name: str, place: Place, sample: Sample) -> None:
    metric = METRICS[name]
    for dimensions in dimensions_of(metric, place):
        key = Key(Series(place.account, place.region, NAMESPACE, name, dimensions), time, metric.unit)
        known = points.get(key)
        if known is None:
            points[key] = sample.copy()
        else:
            known.merge(sample)


def samples(cell: Cell) -> Iterator[tuple[str, Sample]]:
    """As AWS has it, every invocation has an error count of 0 or 1 and a throttle count of 0: averages are rates."""
    invocations, errors, throttles = cell.duration.count, cell.errors, cell.throttles
    if invocations:
        yield "Invocations", _counted(ones=invocations)
        yield "Errors", _counted(ones=errors, zeros=invocations - errors)
        yield "Duration", cell.duration
    if invocations or throttles:
        yield "Throttles", _counted(ones=throttles, zeros=invocations)
    yield from cell.others.items()


def _counted(*, ones: float, zeros: float = 0) -> Sample:
    sample = Sample()
    if ones:
        sample.add(1, ones)
    if zeros:
        sample.add(0, zeros)
    return sample


def merge(into: Points, more: Points) -> None:
    for key, sample in more.items():
        known = into.get(key)
        if known is None:
            into[key] = sample
        else:
            known.merge(sample)
