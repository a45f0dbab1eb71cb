"""Many values as one: sums, percentiles within the error that is promised, merging."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.metrics.sample import RELATIVE_ERROR, Sample, bucket_of, value_of

VALUES = st.one_of(st.just(0.0), st.floats(1e-6, 1e12))


def exact(values: list[float], percent: float) -> float:
    """The least value that so many in a hundred do not exceed."""
    wanted = percent / 100 * len(values) * (1 - 1e-9)
    return sorted(values)[max(0, math.ceil(wanted) - 1)]


@given(st.lists(VALUES, min_size=1, max_size=60), st.floats(0, 100))
def test_a_percentile_is_within_the_error_that_is_promised(values: list[float], percent: float) -> None:
    told = Sample.of(values).percentile(percent)
    assert told is not None
    # A hair more for the arithmetic at the edges of a bucket.
    assert told == pytest.approx(exact(values, percent), rel=RELATIVE_ERROR * (1 + 1e-6), abs=1e-12)


@given(st.lists(VALUES, max_size=30), st.lists(VALUES, max_size=30))
def test_merged_samples_are_as_one_that_has_seen_everything(left: list[float], right: list[float]) -> None:
    merged, whole = Sample.of(left), Sample.of(left + right)
    merged.merge(Sample.of(right))
    assert (merged.count, merged.minimum, merged.maximum, merged.buckets) == (
        whole.count,
        whole.minimum,
        whole.maximum,
        whole.buckets,
    )
    assert merged.total == pytest.approx(whole.total)


@given(st.lists(VALUES, min_size=1, max_size=40))
def test_sum_average_and_extremes_are_exact(values: list[float]) -> None:
    sample = Sample.of(values)
    assert (sample.count, sample.minimum, sample.maximum) == (len(values), min(values), max(values))
    assert sample.average == pytest.approx(statistics.fmean(values))


@given(st.floats(2.0**-360, 2.0**360))
def test_a_bucket_stands_for_its_values_whatever_their_size(value: float) -> None:
    assert value_of(bucket_of(value)) == pytest.approx(value, rel=RELATIVE_ERROR * (1 + 1e-6))


def test_one_value_is_its_own_every_percentile() -> None:
    sample = Sample.of([123.456])
    assert [sample.percentile(p) for p in (0, 50, 99.9, 100)] == [123.456] * 4


def test_a_value_may_count_many_times() -> None:
    sample = Sample()
    sample.add(0, 98)
    sample.add(1, 2)
    assert (sample.count, sample.total, sample.average) == (100, 2, 0.02)
    assert sample.percentile(98) == 0
    assert sample.percentile(98.5) == pytest.approx(1, rel=RELATIVE_ERROR)


def test_a_statistic_set_has_no_percentiles_unless_its_values_are_alike() -> None:
    assert Sample.of_set(3, 6, 1, 3).percentile(50) is None
    assert Sample.of_set(3, 6, 2, 2).percentile(50) == 2
    mixed = Sample.of([1.0])
    mixed.merge(Sample.of_set(3, 6, 1, 3))
    assert (mixed.count, mixed.total, mixed.percentile(50)) == (4, 7, None)


def test_negative_values_have_no_percentiles() -> None:
    sample = Sample.of([1.0, -1.0, 2.0])
    assert (sample.minimum, sample.maximum, sample.total, sample.percentile(50)) == (-1, 2, 2, None)


def test_no_value_has_no_percentile() -> None:
    assert (Sample().percentile(50), Sample().average) == (None, 0)


def test_values_up_to_a_bound_are_counted() -> None:
    sample = Sample.of([0.0, 1.0, 5.0, 50.0])
    assert [sample.at_most(bound) for bound in (0.5, 1, 10, 100)] == [1, 2, 3, 4]
