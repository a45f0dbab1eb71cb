"""What becomes of a batch of records that have an order: of a shard or a partition. Pure (reference 7.1, 7.4, 7.5).

Records are passed over in order only: what is to be tried again comes before all that follows it. A batch that is
split in two uses up no retry, and neither does one that the function was not called for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from pasture.domain.event_source import EventSourceMapping


class Dated(Protocol):
    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...


R = TypeVar("R", bound=Dated)


class Because(StrEnum):
    """Why records are given up, as a destination is told."""

    RETRIES = "RetryAttemptsExhausted"
    AGE = "RecordAgeExceeded"
    SIZE = "MaximumPayloadSizeExceeded"


@dataclass(frozen=True, slots=True)
class Rules:
    retries: int = -1
    """Without end when negative, as is the age."""
    age_seconds: int = -1
    bisects: bool = False
    reports: bool = False

    @classmethod
    def of(cls, mapping: EventSourceMapping, *, with_destination: int = -1) -> "Rules":
        """`with_destination`: retries where they would be without end, and there is a destination."""
        retries = -1 if mapping.retries is None else mapping.retries
        if retries < 0 and mapping.on_failure:
            retries = with_destination
        age = -1 if mapping.record_age_seconds is None else mapping.record_age_seconds
        return cls(retries, age, bool(mapping.bisect_on_error), mapping.reports_item_failures)


@dataclass(frozen=True, slots=True)
class Batch(Generic[R]):
    records: tuple[R, ...]
    failures: int = 0
    """That used up a retry."""
    calls: int = 0
    """Of the function, for these records."""


@dataclass(frozen=True, slots=True)
class Settled(Generic[R]):
    """First some records are done; then perhaps some are given up; the rest is to be tried again, in order."""

    done: tuple[R, ...] = ()
    given_up: Batch[R] | None = None
    rest: tuple[Batch[R], ...] = ()


def succeeded(batch: Batch[R], stopped: int | None, rules: Rules) -> Settled[R]:
    """The function has answered: it may have said at which of the records it stopped."""
    if stopped is None:
        return Settled(done=batch.records)
    left = replace(batch, records=batch.records[stopped:])
    # What is left has been split from what was done; only where nothing was done can it be split further.
    settled = failed(left, replace(rules, bisects=rules.bisects and stopped == 0))
    return replace(settled, done=batch.records[:stopped])


def failed(batch: Batch[R], rules: Rules) -> Settled[R]:
    called = replace(batch, calls=batch.calls + 1)
    if rules.bisects and len(batch.records) > 1:
        half = len(batch.records) // 2
        halves = (replace(called, records=called.records[:half]), replace(called, records=called.records[half:]))
        return Settled(rest=halves)
    again = replace(called, failures=batch.failures + 1)
    if 0 <= rules.retries < again.failures:
        return Settled(given_up=again)
    return Settled(rest=(again,))


def expired(batch: Batch[R], rules: Rules, now: float) -> tuple[Batch[R] | None, Batch[R] | None]:
    """What has grown too old, and what has not; records of a part do not always grow older in order."""
    if rules.age_seconds < 0:
        return None, batch
    oldest = (now - rules.age_seconds) * 1000
    count = next((at for at, record in enumerate(batch.records) if record.timestamp >= oldest), len(batch.records))
    old, young = batch.records[:count], batch.records[count:]
    return (replace(batch, records=old) if old else None), (replace(batch, records=young) if young else None)


class Progress(Generic[R]):
    """Mutable state: which of the records are done with, and how far all are."""

    def __init__(self, records: Sequence[R]) -> None:
        self._records = records
        # By identity: two records may look the same.
        self._open = {id(record) for record in records}
        self._reached = self._told = 0

    def done(self, records: Iterable[R]) -> None:
        self._open.difference_update(map(id, records))

    def left(self) -> list[R]:
        return [record for record in self._records if id(record) in self._open]

    def reached(self) -> R | None:
        """The last before which none is left, unless it was answered before."""
        while self._reached < len(self._records) and id(self._records[self._reached]) not in self._open:
            self._reached += 1
        if self._reached == self._told:
            return None
        self._told = self._reached
        return self._records[self._reached - 1]
