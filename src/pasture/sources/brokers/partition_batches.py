"""What becomes of a batch of one partition. Pure (aws-lambda reference 7.1, 7.4, 7.5).

Records of a partition are passed over in order only: what is to be tried again comes before all that follows it. A
batch that is split in two uses up no retry, and neither does one that the function was not called for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import msgspec

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.brokers.kafka_events import KafkaRecord

RETRIES_WITH_DESTINATION = 10
"""Where retries are without end, and somebody wants to know what failed."""


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
    def of(cls, mapping: EventSourceMapping) -> "Rules":
        retries = -1 if mapping.retries is None else mapping.retries
        if retries < 0 and mapping.on_failure:
            retries = RETRIES_WITH_DESTINATION
        age = -1 if mapping.record_age_seconds is None else mapping.record_age_seconds
        return cls(retries, age, bool(mapping.bisect_on_error), mapping.reports_item_failures)


@dataclass(frozen=True, slots=True)
class Batch:
    records: tuple[KafkaRecord, ...]
    failures: int = 0
    """That used up a retry."""
    calls: int = 0
    """Of the function, for these records."""


@dataclass(frozen=True, slots=True)
class Settled:
    """First some records are done; then perhaps some are given up; the rest is to be tried again, in order."""

    done: tuple[KafkaRecord, ...] = ()
    given_up: Batch | None = None
    rest: tuple[Batch, ...] = ()


def succeeded(batch: Batch, response: bytes, rules: Rules) -> Settled:
    """The function has answered: it may have said where it stopped."""
    stopped = _first_failed(batch.records, response) if rules.reports else None
    if stopped is None:
        return Settled(done=batch.records)
    left = replace(batch, records=batch.records[stopped:])
    # What is left has been split from what was done; only where nothing was done can it be split further.
    settled = failed(left, replace(rules, bisects=rules.bisects and stopped == 0))
    return replace(settled, done=batch.records[:stopped])


def failed(batch: Batch, rules: Rules) -> Settled:
    called = replace(batch, calls=batch.calls + 1)
    if rules.bisects and len(batch.records) > 1:
        half = len(batch.records) // 2
        halves = (replace(called, records=called.records[:half]), replace(called, records=called.records[half:]))
        return Settled(rest=halves)
    again = replace(called, failures=batch.failures + 1)
    if 0 <= rules.retries < again.failures:
        return Settled(given_up=again)
    return Settled(rest=(again,))


def expired(batch: Batch, rules: Rules, now: float) -> tuple[Batch | None, Batch | None]:
    """What has grown too old, and what has not; records of a partition do not always grow older in order."""
    if rules.age_seconds < 0:
        return None, batch
    oldest = (now - rules.age_seconds) * 1000
    count = next((at for at, record in enumerate(batch.records) if record.timestamp >= oldest), len(batch.records))
    old, young = batch.records[:count], batch.records[count:]
    return (replace(batch, records=old) if old else None), (replace(batch, records=young) if young else None)


def _first_failed(records: Sequence[KafkaRecord], response: bytes) -> int | None:
    """Where to go on; None when all is well, 0 when the response makes no sense."""
    try:
        answer = msgspec.json.decode(response)
    except msgspec.DecodeError:
        return 0
    if answer is None or answer in ("", {}):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("batchItemFailures", 0), list | None):
        return 0
    places = {(record.part, record.offset): at for at, record in enumerate(records)}
    found = [places.get(_place(failure)) for failure in answer["batchItemFailures"] or ()]
    known = [at for at in found if at is not None]
    if len(known) < len(found):
        return 0
    return min(known, default=None)


def _place(failure: Any) -> tuple[Any, Any]:
    """`{"itemIdentifier": {"partition": "cows-0", "offset": 7}}`"""
    identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    if not isinstance(identifier, dict):
        return None, None
    partition, offset = identifier.get("partition"), identifier.get("offset")
    is_place = isinstance(partition, str) and isinstance(offset, int) and not isinstance(offset, bool)
    return (partition, offset) if is_place else (None, None)
