"""How long environments are kept when nobody calls."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pasture.environments.keep_alive import KeepAlive

LONGEST = 300.0


def after(gaps: list[float], longest: float = LONGEST) -> float:
    keep, now = KeepAlive(longest), 0.0
    keep.called("f", now)
    for gap in gaps:
        now += gap
        keep.called("f", now)
    return keep.seconds("f")


def test_of_whom_nothing_is_known_environments_are_kept_for_the_longest_time() -> None:
    assert KeepAlive(LONGEST).seconds("f") == LONGEST
    assert after([30.0] * 9) == LONGEST


@pytest.mark.parametrize(("gap", "least", "most"), [(15, 15, 20), (60, 60, 80), (250, 250, 300)])
def test_who_is_called_now_and_then_keeps_environments_until_the_next_call(
    gap: float, least: float, most: float
) -> None:
    assert least <= after([gap] * 20) <= most


def test_who_is_called_so_seldom_that_no_environment_lasts_keeps_none_in_vain() -> None:
    assert after([3600.0] * 20) == 10


def test_a_rare_long_gap_does_not_keep_environments_for_it() -> None:
    assert after([*[20.0] * 60, 280.0]) < 30


def test_calls_close_together_say_nothing() -> None:
    assert after([0.01] * 10_000) == LONGEST


def test_habits_change() -> None:
    assert after([*[250.0] * 100, *[20.0] * 2_000]) < 30


def test_the_longest_time_is_the_owners_to_say() -> None:
    assert after([60.0] * 20, longest=5) == 5
    assert after([60.0] * 20, longest=0) == 0


def test_only_so_many_habits_are_remembered() -> None:
    keep = KeepAlive(LONGEST)
    for number in range(10_100):
        keep.called(f"f{number}", number)
    assert repr(keep) == "<KeepAlive of 10000 keys>"


@given(st.lists(st.floats(0, 1e5), max_size=400), st.floats(0, 1e4))
def test_whatever_the_habit_the_time_is_within_its_bounds(gaps: list[float], longest: float) -> None:
    seconds = after(gaps, longest)
    assert min(10.0, longest) * (1 - 1e-9) <= seconds <= longest * (1 + 1e-9)
