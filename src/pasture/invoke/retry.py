"""After this attempt at an asynchronous event: done, again when, or given up why? Pure.

An event that failed in the function runs again, after one minute and then after two, as often as is set for it. One
that was throttled, or hindered by a fault of the service, uses up no retries: it comes back ever more slowly until it
is too old. `scale` shortens or stretches all of these times, and ages too.

Source: "How Lambda handles errors and retries with asynchronous invocation" in the developer guide. That a retry which
would come too late is not waited for is recorded of AWS.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from pasture.domain.events import Condition, Event
from pasture.domain.function_settings import EventInvoke

RETRIES = 2
AGE_SECONDS = 21_600.0
# Before the first retry, and before the second.
_WAITS = (60.0, 120.0)
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 300.0


@dataclass(frozen=True, slots=True)
class Policy:
    retries: int = RETRIES
    age_seconds: float = AGE_SECONDS
    """Scaled."""
    scale: float = 1.0

    @classmethod
    def of(cls, settings: EventInvoke | None, scale: float) -> "Policy":
        retries = settings.retries if settings is not None else None
        age = settings.age_seconds if settings is not None else None
        return cls(RETRIES if retries is None else retries, (AGE_SECONDS if age is None else float(age)) * scale, scale)


class Ended(StrEnum):
    """How one attempt ended."""

    WELL = "well"
    FAILED = "failed"
    """In the function: an error, a time-out, a crash."""
    SET_BACK = "set back"
    """Throttled, or by a fault that is not the function's: it did not run, or it cannot be said."""


@dataclass(frozen=True, slots=True)
class Done:
    pass


@dataclass(frozen=True, slots=True)
class Again:
    event: Event
    """With what it has been through."""
    due: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    event: Event
    condition: Condition


Decision = Done | Again | GiveUp


def before(event: Event, policy: Policy, reserved: int | None, now: float) -> GiveUp | None:
    """Whether an attempt is not to be made at all."""
    if reserved == 0:
        return GiveUp(event, Condition.ZERO_RESERVED_CONCURRENCY)
    if now >= event.accepted + policy.age_seconds:
        return GiveUp(event, Condition.EVENT_AGE_EXCEEDED)
    return None


def after(event: Event, ended: Ended, policy: Policy, now: float, draw: float) -> Decision:
    """`draw`, at least 0 and less than 1, spreads those that were set back at the same time."""
    if ended is Ended.WELL:
        return Done()
    expires = event.accepted + policy.age_seconds
    if ended is Ended.SET_BACK:
        if now >= expires:
            return GiveUp(event, Condition.EVENT_AGE_EXCEEDED)
        again = replace(event, setbacks=event.setbacks + 1)
        # At its end at the latest, so that whoever waits for its record need not wait any longer.
        return Again(again, min(now + backoff(event.setbacks, draw) * policy.scale, expires))
    tried = replace(event, attempts=event.attempts + 1, setbacks=0)
    if event.attempts >= policy.retries:
        return GiveUp(tried, Condition.RETRIES_EXHAUSTED)
    due = now + _WAITS[min(event.attempts, len(_WAITS) - 1)] * policy.scale
    return Again(tried, due) if due < expires else GiveUp(tried, Condition.EVENT_AGE_EXCEEDED)


def backoff(setbacks: int, draw: float) -> float:
    """Seconds: twice as long each time, up to five minutes, and of that a half or more."""
    longest = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(setbacks, 20))
    return max(_FIRST_BACKOFF, longest * (0.5 + draw / 2))
