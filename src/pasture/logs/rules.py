"""What CloudWatch Logs accepts: the limits of a batch of events, retention, tags. Pure.

Source: the API reference of PutLogEvents (the `logs` service model) and the service's own words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pasture.logs.errors import InvalidParameter, TooManyTags
from pasture.logs.records import EVENT_OVERHEAD
from pasture.logs.spec import LogEvent

PAGE_EVENTS = 10_000
PAGE_NAMES = 50
BATCH_EVENTS = 10_000
BATCH_BYTES = 1_048_576
TAGS = 50

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
OLDEST_MS = 14 * DAY_MS
NEWEST_MS = 2 * HOUR_MS

RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Indexes into the batch, as `rejectedLogEventsInfo` gives them; None where nothing was rejected for the reason.

    The two ends are exclusive: events before them are rejected.
    """

    too_new_start: int | None = None
    too_old_end: int | None = None
    expired_end: int | None = None


def judge(events: Sequence[LogEvent], now: int, retention_days: int | None) -> tuple[Sequence[LogEvent], Rejected]:
    """The events to store and what is said of the others. Raises InvalidParameter when the whole batch is refused."""
    _check_size(events)
    times = [event.timestamp for event in events]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise InvalidParameter("Log events in a single PutLogEvents request must be in chronological order.")
    expired = _count_before(times, now - retention_days * DAY_MS) if retention_days else 0
    too_old = _count_before(times, now - OLDEST_MS)
    too_new = _count_before(times, now + NEWEST_MS + 1)
    first = max(expired, too_old)
    accepted = events[first:too_new]
    if accepted and accepted[-1].timestamp - accepted[0].timestamp > DAY_MS:
        raise InvalidParameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    return accepted, Rejected(too_new if too_new < len(times) else None, too_old or None, expired or None)


def _check_size(events: Sequence[LogEvent]) -> None:
    if not 1 <= len(events) <= BATCH_EVENTS:
        raise InvalidParameter(f"A batch holds 1 to {BATCH_EVENTS} log events, this one {len(events)}.")
    if not all(event.message for event in events):
        raise InvalidParameter("Log event message must not be empty")
    size = sum(len(event.message.encode("utf-8", "replace")) + EVENT_OVERHEAD for event in events)
    if size > BATCH_BYTES:
        raise InvalidParameter(f"Upload too large: {size} bytes exceeds limit of {BATCH_BYTES}")


def _count_before(times: Sequence[int], limit: int) -> int:
    return sum(time < limit for time in times)


def check_retention(days: int | None) -> None:
    if days is not None and days not in RETENTION_DAYS:
        allowed = ", ".join(map(str, RETENTION_DAYS))
        raise InvalidParameter(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{allowed}]"
        )


def check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS:
        raise TooManyTags(f"A resource can have at most {TAGS} tags.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise InvalidParameter("A tag key has 1 to 128 characters, a tag value at most 256.")
        if key.lower().startswith("aws:"):
            raise InvalidParameter("aws: prefixed tag key names are not allowed for external use.")
