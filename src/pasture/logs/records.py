"""The nouns of the log store: groups, streams, events, and places between events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pasture.domain.scope import Scope
from pasture.logs.spec import LogEvent

# What CloudWatch Logs adds to the length of every event when it counts sizes.
EVENT_OVERHEAD = 26


@dataclass(frozen=True, slots=True)
class StreamKey:
    scope: Scope
    group: str
    stream: str


@dataclass(frozen=True, slots=True)
class Group:
    """Times are milliseconds since the epoch."""

    name: str
    created: int
    retention_days: int | None = None
    log_class: str = "STANDARD"
    kms_key_id: str = ""
    protected: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    name: str
    created: int
    first_event: int | None
    last_event: int | None
    last_ingestion: int | None


class Position(NamedTuple):
    """A place in the order of events: by time, then by arrival. Compares as that order."""

    timestamp: int
    id: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    position: Position
    stream: str
    ingested: int
    message: str


@dataclass(frozen=True, slots=True)
class Span:
    """Which events, and which way: from `start` up to and without `end`."""

    start: int | None = None
    end: int | None = None
    after: Position | None = None
    """The last event seen in the direction of reading, itself not included."""
    forward: bool = True


@dataclass(frozen=True, slots=True)
class Search:
    """Which events of a group: of the streams named, or of those with the prefix, or of all."""

    span: Span
    limit: int
    streams: Sequence[str] = ()
    prefix: str = ""
    matches: Callable[[str], bool] | None = None
    expired: Callable[[], bool] = lambda: False
    """Asked after every event: whether the search has taken long enough, and the caller is to come again."""


@dataclass(frozen=True, slots=True)
class Found:
    """`rest` is where to go on when not everything has been looked at."""

    events: Sequence[StoredEvent]
    rest: Position | None


Batch = Sequence[tuple[StreamKey, Sequence[LogEvent]]]
