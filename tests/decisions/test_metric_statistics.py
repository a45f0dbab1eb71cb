"""What a reader asks of points: statistics by name, and periods."""

import pytest

from pasture.metrics.sample import Sample
from pasture.metrics.series import Point
from pasture.metrics.statistics import grouped, over_time, rounded, statistic


def points(*values: tuple[int, float], unit: str = "Count") -> list[Point]:
    return [Point(minute * 60, unit, Sample.of([value])) for minute, value in values]


@pytest.mark.parametrize(
    ("name", "value"),
    [("SampleCount", 4), ("Sum", 10), ("Average", 2.5), ("Minimum", 1), ("Maximum", 4), ("p100", 4), ("p99.99", 4)],
)
def test_a_statistic_is_known_by_its_name(name: str, value: float) -> None:
    of = statistic(name)
    assert of is not None
    assert of(Sample.of([1, 2, 3, 4])) == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize("name", ["", "sum", "p", "p101", "p-1", "p1e1", "P50", "tm99", "p50 "])
def test_what_is_no_statistic_is_none(name: str) -> None:
    assert statistic(name) is None


def test_the_first_period_begins_at_a_whole_minute() -> None:
    assert [rounded(time) for time in (0, 59.9, 60, 119.5)] == [0, 0, 60, 60]


def test_periods_are_counted_from_the_start() -> None:
    found = over_time(points((7, 1), (8, 2), (11, 4), (12, 8)), 7 * 60, 300, _sum)
    assert found == {7 * 60: 7, 12 * 60: 8}


def test_a_period_shorter_than_a_minute_has_the_minute_s_point() -> None:
    assert over_time(points((7, 1)), 6 * 60, 10, _sum) == {7 * 60: 1}


def test_units_are_kept_apart_where_they_are_shown() -> None:
    found = grouped([*points((7, 1)), *points((7, 2), unit="None")], 7 * 60, 60)
    assert {key: sample.total for key, sample in found.items()} == {(420, "Count"): 1, (420, "None"): 2}
    assert over_time([*points((7, 1)), *points((7, 2), unit="None")], 7 * 60, 60, _sum) == {420: 3}


def test_a_period_of_which_a_statistic_is_not_known_is_left_out() -> None:
    opaque = Point(0, "Count", Sample.of_set(2, 3, 1, 2))
    of = statistic("p50")
    assert of is not None
    assert over_time([opaque, *points((1, 5))], 0, 60, of) == {60: 5}


def _sum(sample: Sample) -> float:
    return sample.total
