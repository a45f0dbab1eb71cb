"""Schedules as AWS writes them: when is the next time?"""

import contextlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.kit.schedules import BadSchedule, parse

UTC_ZONE = ZoneInfo("UTC")


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def following(expression: str, after: str, zone: str = "UTC", origin: str = "2026-01-01T00:00") -> str | None:
    when = parse(expression).after(moment(after), ZoneInfo(zone), moment(origin))
    return None if when is None else datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("cron(0 10 * * ? *)", "2026-11-23T10:00", "2026-11-24T10:00"),
        ("cron(15 12 * * ? *)", "2026-11-23T10:00", "2026-11-23T12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-27T18:00", "2026-11-30T18:00"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-23T10:01", "2026-11-23T10:10"),
        ("cron(0 8 1 * ? *)", "2026-11-23T10:00", "2026-12-01T08:00"),
        ("cron(0 0 L * ? *)", "2028-02-01T00:00", "2028-02-29T00:00"),
        ("cron(0 0 L-3 * ? *)", "2026-11-01T00:00", "2026-11-27T00:00"),
        ("cron(0 0 15W * ? *)", "2026-11-01T00:00", "2026-11-16T00:00"),
        ("cron(0 0 1W * ? *)", "2026-07-31T00:00", "2026-08-03T00:00"),
        ("cron(0 0 LW * ? *)", "2026-05-01T00:00", "2026-05-29T00:00"),
        ("cron(0 0 ? * 6#3 *)", "2026-11-01T00:00", "2026-11-20T00:00"),
        ("cron(0 0 ? * 6L *)", "2026-11-01T00:00", "2026-11-27T00:00"),
        ("cron(0 0 ? * L *)", "2026-11-23T00:00", "2026-11-28T00:00"),
        ("cron(0 0 ? * FRI-MON *)", "2026-11-24T00:00", "2026-11-27T00:00"),
        ("cron(0 0 29 FEB ? *)", "2026-01-01T00:00", "2028-02-29T00:00"),
        ("cron(0 0 1 1 ? 2025)", "2026-01-01T00:00", None),
        ("cron(0 0 31 2 ? *)", "2026-01-01T00:00", None),
        ("rate(5 minutes)", "2026-01-01T00:07", "2026-01-01T00:10"),
        ("rate(1 hour)", "2025-12-31T00:00", "2026-01-01T01:00"),
        ("at(2026-11-23T10:00:00)", "2026-11-23T09:00", "2026-11-23T10:00"),
        ("at(2026-11-23T10:00:00)", "2026-11-23T10:00", None),
    ],
)
def test_the_next_time_is_the_first_after_the_moment(expression: str, after: str, expected: str | None) -> None:
    assert following(expression, after) == expected


def test_times_are_those_of_the_zone_s_clock() -> None:
    assert following("cron(0 9 * * ? *)", "2026-07-01T12:00", "Europe/Berlin") == "2026-07-02T07:00"
    assert following("at(2026-01-01T09:00:00)", "2025-01-01T00:00", "Asia/Tokyo") == "2026-01-01T00:00"


def test_what_a_clock_change_leaves_out_runs_when_it_is_over_and_what_it_repeats_runs_once() -> None:
    assert following("cron(30 2 * * ? *)", "2026-03-28T12:00", "Europe/Berlin") == "2026-03-29T01:30"
    assert following("cron(30 2 * * ? *)", "2026-10-24T12:00", "Europe/Berlin") == "2026-10-25T00:30"
    assert following("cron(30 2 * * ? *)", "2026-10-25T00:30", "Europe/Berlin") == "2026-10-26T01:30"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cron()",
        "cron(* * * * * *)",
        "cron(* * ? * ? *)",
        "cron(60 * * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * 6#6 *)",
        "cron(0 0 * 13 ? *)",
        "cron(5-1 0 * * ? *)",
        "cron(*/0 0 * * ? *)",
        "cron(0 0 * * ?)",
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(5 weeks)",
        "at(2026-13-01T00:00:00)",
        "at(tomorrow)",
        "every day",
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(BadSchedule):
        parse(text)


@given(
    st.integers(0, 59), st.integers(0, 23), st.floats(0, 4e9), st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo"])
)
def test_a_daily_time_comes_within_a_day_and_an_hour_and_stands_on_the_clock(
    minute: int, hour: int, after: float, zone: str
) -> None:
    when = parse(f"cron({minute} {hour} * * ? *)").after(after, ZoneInfo(zone), 0.0)
    assert when is not None
    assert after < when <= after + 25 * 3_600 + 60
    local = datetime.fromtimestamp(when, ZoneInfo(zone))
    assert local.minute == minute
    assert local.hour in {hour, hour + 1}


@given(st.integers(1, 10_000), st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_rate_comes_after_the_moment_and_in_whole_periods(count: int, moment_: float, origin: float) -> None:
    seconds = 60 * count
    when = parse(f"rate({count} minute{'s' if count > 1 else ''})").after(moment_, UTC_ZONE, origin)
    assert when is not None
    assert when > moment_
    assert when - max(moment_, origin) <= seconds + 1e-3


@given(st.text(max_size=40))
def test_any_text_is_a_schedule_or_is_refused(text: str) -> None:
    with contextlib.suppress(BadSchedule):
        parse(f"cron({text})").after(1e9, UTC_ZONE, 0.0)
