"""After an attempt at an asynchronous event: done, again when, or given up why."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.events import Condition, Event
from pasture.domain.function_settings import EventInvoke
from pasture.domain.scope import Scope
from pasture.invoke.retry import Again, Done, Ended, GiveUp, Policy, after, backoff, before

NEW = Event("id", Scope(), "f", "", b"{}", accepted=1_000.0)
USUAL = Policy()


def policy(**settings: Any) -> Policy:
    return Policy.of(EventInvoke(0.0, **settings), 1.0)


def due(event: Event, ended: Ended, now: float, with_policy: Policy = USUAL, draw: float = 1.0) -> float:
    decision = after(event, ended, with_policy, now, draw)
    assert isinstance(decision, Again), decision
    return decision.due - now


# Function errors...


def test_one_that_ran_well_is_done() -> None:
    assert after(NEW, Ended.WELL, USUAL, 1_001.0, 0.5) == Done()


def test_after_errors_of_the_function_it_runs_again_after_a_minute_and_after_two_more_and_then_no_more() -> None:
    tried = []
    event, now = NEW, 1_000.0
    for _ in range(3):
        decision = after(event, Ended.FAILED, USUAL, now, 0.5)
        tried.append(decision)
        if isinstance(decision, Again):
            event, now = decision.event, decision.due
    assert tried == [
        Again(replace(NEW, attempts=1), 1_060.0),
        Again(replace(NEW, attempts=2), 1_180.0),
        GiveUp(replace(NEW, attempts=3), Condition.RETRIES_EXHAUSTED),
    ]


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_it_runs_again_as_often_as_is_set(retries: int) -> None:
    gave_up = [
        isinstance(after(replace(NEW, attempts=attempts), Ended.FAILED, policy(retries=retries), 1_000.0, 0.5), GiveUp)
        for attempts in range(3)
    ]
    assert gave_up == [attempts >= retries for attempts in range(3)]


def test_a_retry_that_would_come_too_late_is_not_waited_for() -> None:
    decision = after(NEW, Ended.FAILED, policy(age_seconds=60), 1_000.5, 0.5)
    assert decision == GiveUp(replace(NEW, attempts=1), Condition.EVENT_AGE_EXCEEDED)


# Set back...


def test_throttled_events_come_back_ever_more_slowly_up_to_five_minutes_and_use_up_no_retries() -> None:
    events = [replace(NEW, setbacks=setbacks) for setbacks in range(12)]
    assert [due(event, Ended.SET_BACK, 1_000.0) for event in events] == [
        1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0, 300.0,
    ]  # fmt: skip
    decision = after(NEW, Ended.SET_BACK, USUAL, 1_000.0, 0.5)
    assert isinstance(decision, Again)
    assert (decision.event.attempts, decision.event.setbacks) == (0, 1)


def test_an_attempt_that_ran_makes_up_for_setbacks() -> None:
    decision = after(replace(NEW, setbacks=5), Ended.FAILED, USUAL, 1_000.0, 0.5)
    assert isinstance(decision, Again)
    assert (decision.event.attempts, decision.event.setbacks) == (1, 0)


def test_one_that_is_set_back_is_given_up_when_it_is_too_old_and_not_sooner_or_later() -> None:
    limited = policy(age_seconds=60)
    assert due(replace(NEW, setbacks=9), Ended.SET_BACK, 1_010.0, limited) == 50.0
    assert after(NEW, Ended.SET_BACK, limited, 1_060.0, 0.5) == GiveUp(NEW, Condition.EVENT_AGE_EXCEEDED)


# Before...


def test_with_a_reservation_of_zero_it_is_given_up_at_once() -> None:
    assert before(NEW, USUAL, 0, 1_000.0) == GiveUp(NEW, Condition.ZERO_RESERVED_CONCURRENCY)
    assert before(NEW, USUAL, 1, 1_000.0) is None
    assert before(NEW, USUAL, None, 1_000.0) is None


def test_too_old_is_six_hours_or_what_is_set() -> None:
    ages = [(USUAL, 21_600.0), (policy(age_seconds=60), 60.0), (Policy.of(EventInvoke(0.0, age_seconds=60), 0.5), 30.0)]
    for with_policy, age in ages:
        assert before(NEW, with_policy, None, 1_000.0 + age - 0.1) is None
        assert before(NEW, with_policy, None, 1_000.0 + age) == GiveUp(NEW, Condition.EVENT_AGE_EXCEEDED)


# Whatever happens...

endings = st.sampled_from([Ended.FAILED, Ended.SET_BACK])


@given(
    st.lists(st.tuples(endings, st.floats(0, 1, exclude_max=True), st.floats(0, 900)), min_size=1, max_size=30),
    st.integers(0, 2),
    st.integers(60, 21_600),
    st.sampled_from([0.001, 0.5, 1.0]),
)
def test_every_event_comes_to_its_end_in_time_and_runs_no_more_often_than_it_may(
    attempts: list[tuple[Ended, float, float]], retries: int, age: int, scale: float
) -> None:
    rules = Policy.of(EventInvoke(0.0, retries=retries, age_seconds=age), scale)
    event, now, ran = NEW, NEW.accepted, 0
    for ended, draw, took in itertools.islice(itertools.cycle(attempts), 100_000):
        assert now < NEW.accepted + rules.age_seconds + 1e-6
        if before(event, rules, None, now) is not None:
            return
        now += took * scale
        ran += ended is Ended.FAILED
        assert ran <= retries + 1
        decision = after(event, ended, rules, now, draw)
        if isinstance(decision, GiveUp):
            return
        assert isinstance(decision, Again)
        assert now < decision.due
        assert decision.event.attempts == ran
        event, now = decision.event, decision.due
    raise AssertionError(event)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_backoff_is_between_a_second_and_five_minutes(setbacks: int, draw: float) -> None:
    assert 1.0 <= backoff(setbacks, draw) <= 300.0
