"""When schedules fire: the next time, the newest of those that were missed, and what is fired then."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pasture.domain.scope import Scope
from pasture.kit.schedules import BadSchedule, Cron, parse
from pasture.schedules import timing
from pasture.schedules.firing import Failure, Firing, failed
from pasture.schedules.planning import filled, of_schedule
from pasture.schedules.schedule import Retry, Schedule, ScheduleKey, Target
from pasture.schedules.timing import Timing

KEY = ScheduleKey(Scope(), "default", "s")
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shown(when: float | None) -> str | None:
    return None if when is None else datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S")


NOON = moment("2026-11-23T12:00")


def test_a_rate_fires_first_when_it_begins_and_then_in_its_rhythm() -> None:
    rate = Timing("rate(5 minutes)", first=NOON)
    assert rate.following(NOON - 1) == NOON
    assert rate.following(NOON) == NOON + 300
    assert rate.following(NOON + 301) == NOON + 600


def test_a_time_that_the_clocks_leave_out_is_skipped_and_one_they_show_twice_counts_once() -> None:
    daily = Timing("cron(30 2 * * ? *)", 0.0, timezone="Europe/Berlin")
    assert shown(daily.following(moment("2026-03-28T12:00"))) == "2026-03-30T00:30:00"
    first = daily.following(moment("2026-10-24T12:00"))
    assert shown(first) == "2026-10-25T00:30:00"
    assert first is not None
    assert shown(daily.following(first)) == "2026-10-26T01:30:00"


def test_nothing_fires_before_the_start_or_after_the_end() -> None:
    start, end = moment("2026-12-01T08:00"), moment("2026-12-02T08:00")
    daily = Timing("cron(0 8 * * ? *)", 0.0, start=start, end=end)
    assert daily.following(NOON) == start
    assert daily.following(start) == end
    assert daily.following(end) is None


def test_a_time_of_its_own_knows_no_start_or_end() -> None:
    once = Timing("at(2026-11-24T12:00:00)", 0.0, start=NOON + 10**6, end=NOON)
    assert once.following(NOON) == NOON + 86_400
    assert once.following(NOON + 86_400) is None


@pytest.mark.parametrize("expression", ["rate(30 seconds)", "at(2026-13-01T00:00:00)", "cron(* * * * * *)", "daily"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(BadSchedule):
        timing.check(expression, once=True)


def test_rules_know_no_single_time() -> None:
    with pytest.raises(BadSchedule):
        timing.check("at(2026-11-24T12:00:00)", once=False)


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
CRONS = st.builds(
    lambda minute, hour, weekday: f"cron({minute} {hour} ? * {weekday} *)",
    st.sampled_from(["0", "30", "*/20", "5-7", "59", "15,45"]),
    st.sampled_from(["*", "2", "0-3", "1/6", "23"]),
    st.sampled_from(["*", "SUN", "MON-FRI", "SUN#2", "1L"]),
)


@settings(max_examples=150, deadline=None)
@given(CRONS, ZONES, st.integers(0, 365 * 24 * 60))
def test_the_next_time_of_a_cron_expression_is_the_first_minute_whose_clock_fits(
    expression: str, zone: str, minutes: int
) -> None:
    """As found by looking at every minute of two days, on the wall of the zone."""
    after = moment("2026-01-01T00:00") + minutes * 60
    cron = parse(expression)
    assert isinstance(cron, Cron)
    place, expected = ZoneInfo(zone), None
    for minute in range(1, 2 * 24 * 60):
        when = datetime.fromtimestamp(after + minute * 60, place)
        days = cron._days_of(when.year, when.month)
        if when.day in days and when.hour in cron.hours and when.minute in cron.minutes and not when.fold:
            expected = when.timestamp()
            break
    found = Timing(expression, 0.0, timezone=zone).following(after)
    if expected is None:
        assert found is None or found >= after + 2 * 24 * 3_600
    else:
        assert found == expected


@settings(max_examples=100, deadline=None)
@given(CRONS, ZONES, st.integers(0, 10**7), st.integers(0, 10**7))
def test_of_what_was_missed_the_newest_is_found(expression: str, zone: str, begin: int, asleep: int) -> None:
    schedule = Timing(expression, 0.0, timezone=zone)
    due = schedule.following(NOON + begin)
    assert due is not None
    newest = schedule.newest(due, due + asleep)
    assert due <= newest <= due + asleep
    following = schedule.following(newest)
    assert following is not None
    assert following > due + asleep


def a_schedule(expression: str = "rate(5 minutes)", **more: object) -> Schedule:
    made: dict[str, object] = {"timing": Timing(expression, NOON), "target": Target(FUNCTION, "role", '{"a": 1}')}
    return Schedule(**{**made, "created": NOON, "modified": NOON, **more})  # type: ignore[arg-type]


def test_of_many_missed_times_one_fires() -> None:
    plan = of_schedule(KEY, a_schedule(), 1, NOON, NOON + 3_601)
    assert [(firing.occurred, firing.due) for firing in plan.firings] == [(NOON + 3_600, NOON + 3_600)]
    assert plan.due == NOON + 3_900


def test_what_is_older_than_the_retry_policy_allows_does_not_fire() -> None:
    short = a_schedule("at(2026-11-23T12:00:00)", target=Target(FUNCTION, retry=Retry(age=60)))
    assert of_schedule(KEY, short, 1, NOON, NOON + 61) == ((), None, False)
    going = a_schedule(
        "at(2026-11-23T12:00:00)", target=Target(FUNCTION, retry=Retry(age=60)), is_deleted_at_the_end=True
    )
    assert of_schedule(KEY, going, 1, NOON, NOON + 61) == ((), None, True)


def test_a_window_spreads_firings_and_one_firing_is_always_as_late() -> None:
    schedule = a_schedule(window=10)
    lateness = [
        of_schedule(KEY, schedule, 1, NOON + n * 300, NOON + n * 300).firings[0].due - (NOON + n * 300)
        for n in range(50)
    ]
    assert all(0 <= late < 600 for late in lateness)
    assert max(lateness) - min(lateness) > 300
    assert of_schedule(KEY, schedule, 1, NOON, NOON) == of_schedule(KEY, schedule, 1, NOON, NOON + 7)


def test_an_occurrence_keeps_its_id_and_a_namesake_made_later_has_others() -> None:
    (first,) = of_schedule(KEY, a_schedule(), 1, NOON, NOON).firings
    (again,) = of_schedule(KEY, a_schedule(), 9, NOON, NOON + 2).firings
    (other,) = of_schedule(KEY, a_schedule(created=NOON + 1), 1, NOON, NOON).firings
    assert first.id == again.id != other.id


def a_firing(**more: object) -> Firing:
    target = Target(FUNCTION, retry=Retry(attempts=2, age=3_600), dead_letter="arn:aws:sqs:us-east-1:000000000000:dead")
    made: dict[str, object] = {"id": "1", "source": "s", "source_arn": KEY.arn, "scope": Scope(), "target": target}
    return Firing(**{**made, "payload": "{}", "occurred": NOON, "due": NOON, **more})  # type: ignore[arg-type]


PASSING, LASTING = Failure("Throttling", "slow", passes=True), Failure("AccessDenied", "no")


def test_what_may_pass_is_tried_again_after_pauses_that_grow() -> None:
    first = failed(a_firing(), PASSING, NOON)
    assert first is not None
    second = failed(first, PASSING, NOON + 1)
    assert second is not None
    assert [(f.attempts, f.due, f.failure) for f in (first, second)] == [(1, NOON + 1, None), (2, NOON + 3, None)]
    third = failed(second, PASSING, NOON + 3)
    assert third is not None
    assert third.failure == Failure("Throttling", "slow", True, "MaximumRetryAttempts", retries=2, at=NOON + 3)
    assert third.destination == "arn:aws:sqs:us-east-1:000000000000:dead"


def test_what_is_too_old_is_not_tried_again() -> None:
    given_up = failed(a_firing(), PASSING, NOON + 3_600)
    assert given_up is not None
    assert given_up.failure is not None
    assert given_up.failure.exhausted == "MaximumEventAgeInSeconds"


def test_what_does_not_pass_is_a_dead_letter_at_once_or_is_gone() -> None:
    dead = failed(a_firing(), LASTING, NOON)
    assert dead is not None
    assert dead.failure == Failure("AccessDenied", "no", at=NOON)
    assert failed(a_firing(target=Target(FUNCTION)), LASTING, NOON) is None


def test_a_dead_letter_is_tried_for_a_day() -> None:
    dead = failed(a_firing(), LASTING, NOON)
    assert dead is not None
    again = failed(dead, PASSING, NOON + 10)
    assert again is not None
    assert (again.failure, again.due) == (dead.failure, NOON + 11)
    assert failed(again, PASSING, NOON + timedelta(days=1, seconds=1).total_seconds()) is None
    assert failed(dead, LASTING, NOON) is None


def test_context_attributes_stand_for_what_they_say() -> None:
    firing = a_firing(payload='["<aws.scheduler.scheduled-time>", "<aws.scheduler.attempt-number>", "<other>"]')
    assert filled(firing) == '["2026-11-23T12:00:00Z", "1", "<other>"]'
