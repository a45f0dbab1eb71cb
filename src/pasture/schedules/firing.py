"""One occurrence on its way to its target, and what becomes of it when the target does not take it. Pure.

A firing is whole: whatever is changed or deleted later, it goes where it was to go when it came to be. Errors that may
pass are tried again within the retry policy; others, and those that do not pass, go to the dead-letter queue, if there
is one.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pasture.domain.scope import Scope
from pasture.schedules.schedule import Target
from pasture.schedules.timing import iso_seconds

_PAUSE_MAX = 600.0
_DEAD_LETTER_AGE = 86_400.0


@dataclass(frozen=True, slots=True)
class Firing:
    id: str
    """The same however often the occurrence is come by."""
    source: str
    """Key of the schedule's or rule's document."""
    source_arn: str
    scope: Scope
    target: Target
    payload: str
    occurred: float
    """When it was to be: seconds since the epoch."""
    due: float
    """When it is tried next."""
    attempts: int = 0
    last_of: int = 0
    """The schedule goes when this is done, if this is its revision still."""
    service: str = "scheduler.amazonaws.com"
    """In whose name it is handed over."""
    event: Mapping[str, Any] = field(default_factory=dict)
    """Of a rule whose target is a bus: the event that matched."""
    hops: int = 0
    """How many buses it has come by."""
    trace: str = ""
    failure: "Failure | None" = None
    """Why it is on its way to the dead-letter queue."""

    @property
    def lane(self) -> int:
        """Functions are ours; what is beyond them may be slow, and is not to hold them up."""
        return 0 if is_function(self.destination) else 1

    @property
    def destination(self) -> str:
        return self.target.dead_letter if self.failure is not None else self.target.arn


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    message: str
    passes: bool = False
    """Another time it may work."""
    exhausted: str = ""
    """`MaximumRetryAttempts` or `MaximumEventAgeInSeconds`, when that was it."""
    retries: int = 0
    at: float = 0.0
    """When it was given up."""


def failed(firing: Firing, failure: Failure, now: float) -> Firing | None:
    """What is to be done next; None when nothing is left to do."""
    attempts = firing.attempts + 1
    if firing.failure is not None:
        if not failure.passes or now - firing.failure.at > _DEAD_LETTER_AGE:
            return None
        return replace(firing, attempts=attempts, due=now + pause(attempts))
    exhausted = ""
    if failure.passes:
        retry = firing.target.retry
        due = now + pause(attempts)
        if attempts > retry.attempts:
            exhausted = "MaximumRetryAttempts"
        elif due - firing.occurred > retry.age:
            exhausted = "MaximumEventAgeInSeconds"
        else:
            return replace(firing, attempts=attempts, due=due)
    if not firing.target.dead_letter:
        return None
    given_up = replace(failure, exhausted=exhausted, retries=firing.attempts, at=now)
    return replace(firing, attempts=0, due=now, failure=given_up)


def pause(attempts: int) -> float:
    return min(2.0 ** min(attempts - 1, 20), _PAUSE_MAX)


def occurrence_id(source_arn: str, created: float, occurred: float, part: str = "") -> str:
    """A UUID that the occurrence has and no other one, of a namesake neither."""
    digest = hashlib.sha256(f"{source_arn}|{created!r}|{occurred!r}|{part}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def within(id_: str, seconds: float) -> float:
    """Somewhere in a window: evenly over the occurrences, and always the same for one."""
    return int(id_.replace("-", "")[-8:], 16) / 2**32 * seconds


def is_function(arn: str) -> bool:
    parts = arn.split(":", 6)
    return len(parts) > 5 and parts[2] == "lambda" and parts[5] == "function"


def dead_letter_attributes(firing: Firing) -> dict[str, str]:
    """As the guides of EventBridge and EventBridge Scheduler show them."""
    failure = firing.failure or Failure("", "")
    is_schedule = firing.service.startswith("scheduler.")
    told: dict[str, str] = {
        "SCHEDULE_ARN" if is_schedule else "RULE_ARN": firing.source_arn,
        "TARGET_ARN": firing.target.arn,
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": failure.message[:1_000],
        "RETRY_ATTEMPTS": str(failure.retries),
    }
    if failure.exhausted:
        told["EXHAUSTED_RETRY_CONDITION"] = failure.exhausted
    if is_schedule:
        told |= {"SCHEDULED_TIME": iso_seconds(firing.occurred), "EXECUTION_ID": firing.id}
    return {name: value for name, value in told.items() if value}
