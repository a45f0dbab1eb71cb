"""When does it fire? Pure.

Source: "Schedule types" in the EventBridge Scheduler guide. In a zone with daylight saving a time of a cron expression
that the clocks leave out is skipped, and one that they show twice counts once. A rate counts from its first time on,
whatever the clocks show.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pasture.kit.schedules import At, BadSchedule, Cron, Rate, parse

_MINUTE = 60
_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Timing:
    expression: str
    first: float
    """Of a rate: its first time, in whole seconds since the epoch."""
    timezone: str = "UTC"
    start: float | None = None
    """Of what repeats: nothing fires before, and nothing after the end."""
    end: float | None = None

    def following(self, moment: float) -> float | None:
        """The first time that is later."""
        found, zone = parse(self.expression), ZoneInfo(self.timezone)
        if isinstance(found, At):
            return found.after(moment, zone, 0.0)
        if self.start is not None:
            moment = max(moment, self.start - _SECOND)
        if isinstance(found, Rate):
            moment = max(moment, self.first - _SECOND)
            when = found.after(moment, zone, self.first - found.seconds)
        else:
            when = _shown(found, moment, zone)
        return when if when is None or self.end is None or when <= self.end else None

    def newest(self, due: float, now: float) -> float:
        """The last time that has come, where `due` has come already.

        Looked for by halving, since there may be any number between the two.
        """
        following = self.following(due)
        if following is None or following > now:
            return due
        early, late = int(due), int(now) + 1  # something is due after the one, and nothing after the other until now
        while late - early > 1:
            middle = (early + late) // 2
            found = self.following(middle)
            if found is not None and found <= now:
                early = middle
            else:
                late = middle
        return self.following(early) or due


def _shown(cron: Cron, moment: float, zone: ZoneInfo) -> float | None:
    """The next time that a clock in the zone really shows."""
    while (when := cron.after(moment, zone, 0.0)) is not None:
        local = datetime.fromtimestamp(when, zone)
        if local.hour in cron.hours and local.minute in cron.minutes:
            return when
        moment = when
    return None


def check(expression: str, *, once: bool) -> None:
    """`once`: whether `at(…)` is one. Raises BadSchedule."""
    found = parse(expression)
    if isinstance(found, At) and not once:
        raise BadSchedule(expression)
    if isinstance(found, Rate) and found.seconds < _MINUTE:
        raise BadSchedule(expression)


def is_once(expression: str) -> bool:
    return expression.startswith("at(")


def is_rate(expression: str) -> bool:
    return expression.startswith("rate(")


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def iso_seconds(epoch: float) -> str:
    """`2022-03-22T18:59:43Z`, as events and schedules write time."""
    return datetime.fromtimestamp(int(epoch), UTC).isoformat().replace("+00:00", "Z")
