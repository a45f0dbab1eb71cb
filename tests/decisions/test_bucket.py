"""So many at once, so many a second."""

import hypothesis.strategies as st
from hypothesis import given

from pasture.kit.bucket import Bucket


def test_a_bucket_is_full_at_first_and_refilled_as_time_passes() -> None:
    bucket = Bucket(2, now=0)
    assert [bucket.take(2, 1, now) for now in (0, 0, 0, 0.5, 1.0, 1.0)] == [True, True, False, False, True, False]
    assert [bucket.take(2, 1, 100) for _ in range(3)] == [True, True, False]


def test_it_says_when_there_will_be_one() -> None:
    bucket = Bucket(1, now=0)
    assert (bucket.seconds(0.5), bucket.take(1, 0.5, 0), bucket.seconds(0.5)) == (0.0, True, 2.0)
    assert bucket.seconds(0) == float("inf")


def test_what_had_to_be_taken_is_made_up_for() -> None:
    bucket = Bucket(1, now=0)
    for _ in range(3):
        bucket.must_take()
    assert [bucket.take(1, 1, now) for now in (1, 2, 3)] == [False, False, True]


@given(st.lists(st.floats(0, 2), max_size=200), st.integers(1, 20), st.floats(0.1, 50))
def test_no_more_are_taken_than_there_can_have_been(gaps: list[float], size: int, rate: float) -> None:
    bucket, now, taken = Bucket(size, 0), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(size, rate, now)
        assert taken <= size + now * rate + 1e-3
