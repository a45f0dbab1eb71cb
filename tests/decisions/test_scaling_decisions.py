"""To how much a scalable target is scaled, and when its scheduled actions are due."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pasture.scaling.decisions import Scale, due, taken, tracked, within
from pasture.scaling.target import Action, Policy, Suspended, Target

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
POLICY = Policy("p1", NOW, 0.7)
TARGET = Target("t", 1, 10, NOW, policies={"keep": POLICY})
HIGH = "monitor alarm TargetTracking-keep-AlarmHigh-p1 in state ALARM triggered policy keep"
LOW = "monitor alarm TargetTracking-keep-AlarmLow-p1 in state ALARM triggered policy keep"


def test_three_minutes_above_the_target_scale_out_in_proportion() -> None:
    assert tracked(TARGET, 4, [0.9, 0.8, 1.0], NOW) == Scale(6, HIGH)


def test_two_minutes_do_not_nor_three_of_which_one_was_not_above() -> None:
    assert tracked(TARGET, 4, [1.0, 1.0], NOW) is None
    assert tracked(TARGET, 4, [1.0, 0.7, 1.0], NOW) is None


def test_nothing_is_scaled_beyond_the_maximum() -> None:
    assert tracked(TARGET, 9, [1.0] * 3, NOW) == Scale(10, HIGH)
    assert tracked(TARGET, 10, [1.0] * 3, NOW) is None


def test_fifteen_minutes_well_below_the_target_scale_in() -> None:
    assert tracked(TARGET, 8, [0.1] * 15, NOW) == Scale(2, LOW)
    assert tracked(TARGET, 8, [0.1] * 14, NOW) is None
    assert tracked(TARGET, 8, [0.1] * 14 + [0.65], NOW) is None


def test_who_may_not_scale_in_does_not() -> None:
    kept = replace(TARGET, policies={"keep": replace(POLICY, scales_in=False)})
    assert tracked(kept, 8, [0.1] * 15, NOW) is None
    assert tracked(replace(TARGET, suspended=Suspended(scale_in=True)), 8, [0.1] * 15, NOW) is None


def test_a_cooldown_is_waited_for() -> None:
    cool = replace(TARGET, policies={"keep": replace(POLICY, out_cooldown=300)}, scaled_out=NOW - 299)
    assert tracked(cool, 4, [1.0] * 3, NOW) is None
    assert tracked(cool, 4, [1.0] * 3, NOW + 1) == Scale(6, HIGH)


def test_what_lies_outside_the_bounds_is_brought_to_them() -> None:
    assert within(TARGET, 0) == Scale(1, "minimum capacity was set to 1")
    assert within(TARGET, 11) == Scale(10, "maximum capacity was set to 10")
    assert within(TARGET, 5) is None


@given(st.integers(1, 10), st.lists(st.floats(0, 1), max_size=15))
def test_scaling_stays_within_the_bounds_and_goes_somewhere(current: int, minutes: list[float]) -> None:
    scale = tracked(TARGET, current, minutes, NOW)
    if scale is not None:
        assert TARGET.minimum <= scale.to <= TARGET.maximum
        assert scale.to != current


def test_an_action_is_due_once_at_its_time() -> None:
    action = Action("a", NOW, "cron(5 12 * * ? *)", NOW, minimum=3)
    assert due(action, NOW + 299) is None
    assert due(action, NOW + 301) == NOW + 300
    target = taken(replace(TARGET, actions={"up": action}), "up", NOW + 300)
    assert (target.minimum, target.maximum) == (3, 10)
    assert due(target.actions["up"], NOW + 86_000) is None


def test_what_came_due_while_the_server_rested_is_done_once() -> None:
    assert due(Action("a", NOW, "rate(1 hour)", NOW, minimum=3), NOW + 5.5 * 3_600) == NOW + 5 * 3_600
    assert due(Action("a", NOW, "at(2026-11-23T12:01:00)", NOW, minimum=3), NOW + 1e7) == NOW + 60


def test_an_action_is_due_between_its_start_and_its_end_only() -> None:
    action = Action("a", NOW, "rate(1 hour)", NOW, start=NOW + 600, end=NOW + 4_300, minimum=1)
    assert due(action, NOW + 599) is None
    assert due(action, NOW + 601) == NOW + 600
    assert due(replace(action, since=NOW + 600), NOW + 10_000) == NOW + 4_200
    assert due(replace(action, since=NOW + 4_200), NOW + 10_000) is None


def test_a_minimum_above_the_maximum_lifts_it() -> None:
    target = taken(replace(TARGET, actions={"up": Action("a", NOW, "rate(1 hour)", NOW, minimum=20)}), "up", NOW)
    assert (target.minimum, target.maximum) == (20, 20)
