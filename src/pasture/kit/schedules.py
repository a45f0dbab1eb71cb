"""Schedules as EventBridge and Application Auto Scaling write them: `at(…)`, `rate(…)`, `cron(…)`. Pure.

A cron expression has six fields, minutes to years; `?` stands where the other of day-of-month and day-of-week counts.
`L` is a month's last day, `L-3` three days before it, `15W` the weekday nearest to the 15th, `6L` the last Friday and
`6#3` the third (days of the week are 1 to 7 from Sunday). Source: "Cron expressions" in the EventBridge Scheduler
guide. What a clock change leaves out runs when it is over; what it repeats runs once.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # noqa: SIM905 (reads as the list it is)
_DAYS = "SUN MON TUE WED THU FRI SAT".split()  # noqa: SIM905 (likewise)
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_CHANGE_MAX = timedelta(hours=4)
_RATE = re.compile(r"rate\(\s*(\d{1,9})\s+(second|minute|hour|day)(s?)\s*\)", re.ASCII)
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", re.ASCII)
_CRON = re.compile(r"cron\((.*)\)", re.DOTALL)
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)


class BadSchedule(ValueError):
    """It is no expression, or one that has no meaning."""


@dataclass(frozen=True, slots=True)
class At:
    local: datetime

    def after(self, moment: float, zone: ZoneInfo, _origin: float) -> float | None:
        when = _epoch(self.local, zone)
        return when if when > moment else None


@dataclass(frozen=True, slots=True)
class Rate:
    seconds: int

    def after(self, moment: float, _zone: ZoneInfo, origin: float) -> float | None:
        """Counted from the origin, the first a whole period after it."""
        passed = max(0, int((moment - origin) // self.seconds))
        when = origin + (passed + 1) * self.seconds
        return when if when > moment else when + self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: str
    """Day-of-month, as written; empty when the day of the week counts."""
    months: frozenset[int]
    weekdays: str
    years: frozenset[int]

    def after(self, moment: float, zone: ZoneInfo, _origin: float) -> float | None:
        # A day before as well, since a clock change may put what is earlier on the wall later in time.
        start = datetime.fromtimestamp(moment, zone).date() - timedelta(days=1)
        # What the wall shows is in order but for so much.
        slack = timedelta(0) if zone.key == "UTC" else _CHANGE_MAX
        earliest = datetime.fromtimestamp(moment, zone).replace(tzinfo=None) - slack
        best, latest = None, datetime.max  # noqa: DTZ901 (of the zone's wall clock)
        for time in self._times_from(start):
            if time > latest:
                break
            if time >= earliest and (when := _epoch(time, zone)) > moment and (best is None or when < best):
                best, latest = when, time + slack
        return best

    def _times_from(self, start: date) -> Iterator[datetime]:
        for day in self._days_from(start):
            for hour in self.hours:
                for minute in self.minutes:
                    yield datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 (likewise)

    def _days_from(self, start: date) -> Iterator[date]:
        for year in sorted(year for year in self.years if year >= start.year):
            for month in sorted(self.months):
                if (year, month) < (start.year, start.month):
                    continue
                for day in sorted(self._days_of(year, month)):
                    if (found := date(year, month, day)) >= start:
                        yield found

    def _days_of(self, year: int, month: int) -> set[int]:
        last = calendar.monthrange(year, month)[1]
        if self.days:
            return {day for part in self.days.split(",") for day in _month_days(part, year, month, last)}
        return {day for part in self.weekdays.split(",") for day in _week_days(part, year, month, last)}


Schedule = At | Rate | Cron


def parse(text: str) -> Schedule:
    """Raises BadSchedule."""
    if found := _RATE.fullmatch(text):
        count, unit, plural = int(found[1]), found[2], found[3]
        if count < 1 or (count == 1) == bool(plural):
            raise BadSchedule(text)
        return Rate(count * _SECONDS[unit])
    if found := _AT.fullmatch(text):
        try:
            return At(datetime.fromisoformat(found[1]))
        except ValueError as error:
            raise BadSchedule(text) from error
    if found := _CRON.fullmatch(text):
        return _cron(found[1].upper().split())
    raise BadSchedule(text)


def _cron(fields: list[str]) -> Cron:
    if len(fields) != 6:
        raise BadSchedule(" ".join(fields))
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        raise BadSchedule("one of day-of-month and day-of-week is '?'")
    if days != "?":
        _check(days, _month_days)
    else:
        _check(weekdays, _week_days)
    return Cron(
        minutes=tuple(sorted(_numbers(minutes, 0, 59))),
        hours=tuple(sorted(_numbers(hours, 0, 23))),
        days="" if days == "?" else days,
        months=frozenset(_numbers(months, 1, 12, _MONTHS)),
        weekdays="" if weekdays == "?" else weekdays,
        years=frozenset(_numbers(years, _FIRST_YEAR, _LAST_YEAR)),
    )


def _check(field: str, days: "object") -> None:
    """By a month that has whatever can be meant."""
    assert callable(days)
    for part in field.split(","):
        days(part, 2024, 3, 31)


def _month_days(part: str, year: int, month: int, last: int) -> set[int]:
    if part == "L":
        return {last}
    if part == "LW":
        return {_nearest_weekday(year, month, last, last)}
    if part.startswith("L-"):
        back = _number(part[2:], 1, 30)
        return {last - back} if back < last else set()
    if part.endswith("W"):
        day = _number(part[:-1], 1, 31)
        return {_nearest_weekday(year, month, day, last)} if day <= last else set()
    return {day for day in _numbers(part, 1, 31) if day <= last}


def _week_days(part: str, year: int, month: int, last: int) -> set[int]:
    if part == "L":
        part = "7"
    if "#" in part:
        name, _, nth = part.partition("#")
        day = _first(year, month, _number(name, 1, 7, _DAYS)) + 7 * (_number(nth, 1, 5) - 1)
        return {day} if day <= last else set()
    if part.endswith("L"):
        day = _first(year, month, _number(part[:-1], 1, 7, _DAYS))
        return {max(range(day, last + 1, 7))}
    wanted = _numbers(part, 1, 7, _DAYS)
    return {day for weekday in wanted for day in range(_first(year, month, weekday), last + 1, 7)}


def _first(year: int, month: int, weekday: int) -> int:
    """The month's first day that is this one of the week, 1 being Sunday."""
    return (weekday - 2 - calendar.weekday(year, month, 1)) % 7 + 1


def _nearest_weekday(year: int, month: int, day: int, last: int) -> int:
    match calendar.weekday(year, month, day):
        case 5:  # Saturday
            return day - 1 if day > 1 else day + 2
        case 6:
            return day + 1 if day < last else day - 2
        case _:
            return day


def _numbers(field: str, low: int, high: int, names: list[str] | None = None) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = _number(first, low, high, names)
            end = _number(last, low, high, names) if dash else (high if slash else start)
        if end < start:  # FRI-MON
            if names is None:
                raise BadSchedule(field)
            end += high - low + 1
        stride = _number(step, 1, high) if slash else 1
        found |= {(number - low) % (high - low + 1) + low for number in range(start, end + 1, stride)}
    return found


def _number(text: str, low: int, high: int, names: list[str] | None = None) -> int:
    if names is not None and text in names:
        return names.index(text) + 1
    if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
        raise BadSchedule(text)
    return int(text)


def _epoch(local: datetime, zone: ZoneInfo) -> float:
    """A time that a clock change leaves out counts as so much later; of one that comes twice, the first."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC).timestamp()
