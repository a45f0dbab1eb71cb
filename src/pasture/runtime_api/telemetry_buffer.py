"""What waits for one subscriber of telemetry: batches, bounds, and a count of what was dropped. Pure.

Events are kept in order, encoded. When the buffer is full, what comes is dropped and counted; before
anything is taken in again, an event that tells the count takes the place of what is missing. So every
event is delivered, or counted in one that is.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pasture.runtime_api.telemetry_subscription import Buffering

# So many full batches may wait while one is on its way. The memory is the server's: ten subscribers hold 30 MB at most.
_BATCHES = 2

TellDropped = Callable[[int, int], bytes | None]
"""(records, bytes) → the event that tells of them; None for a subscriber that gets no events of the platform."""


@dataclass(frozen=True, slots=True)
class Batch:
    events: tuple[bytes, ...]
    last: int
    """The number of its last event, counted from 1 over the buffer's life."""

    @property
    def size(self) -> int:
        return sum(map(len, self.events))


class TelemetryBuffer:
    def __init__(self, limits: Buffering, tell_dropped: TellDropped, batches: int = _BATCHES) -> None:
        self._limits = limits
        self._tell_dropped = tell_dropped
        self._most_items = limits.max_items * batches
        self._most_bytes = limits.max_bytes * batches
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._bytes = 0
        self._taken = 0
        self._dropped_records = 0
        self._dropped_bytes = 0
        self.dropped = 0
        """Events that were dropped over the buffer's life."""

    def __repr__(self) -> str:
        return f"TelemetryBuffer({len(self._waiting)} events, {self._bytes} bytes, {self.dropped} dropped)"

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def last(self) -> int:
        """The number of the last event that was taken in."""
        return self._taken + len(self._waiting)

    def add(self, event: bytes, now: float) -> None:
        if not self._has_room(len(event)):
            self.count_dropped(1, len(event))
            return
        self._settle_dropped(now)
        self._append(event, now)

    def count_dropped(self, records: int, size: int) -> None:
        """Events that are lost, here or on their way."""
        self.dropped += records
        self._dropped_records += records
        self._dropped_bytes += size

    def is_due(self, now: float) -> bool:
        due = self.due_at()
        return due is not None and due <= now

    def due_at(self) -> float | None:
        """When a batch is due, if nothing more comes; None when nothing waits."""
        if not self._waiting and not self._dropped_records:
            return None
        if not self._waiting or self._is_full():
            return 0.0
        return self._waiting[0][1] + self._limits.timeout_ms / 1000

    def take(self, now: float, *, force: bool = False) -> Batch | None:
        """The next batch, if one is due. One event alone may be larger than a batch."""
        if not force and not self.is_due(now):
            return None
        if self._dropped_records and self._has_room(0):
            self._settle_dropped(now)
        events: list[bytes] = []
        size = 0
        while self._waiting and len(events) < self._limits.max_items:
            event = self._waiting[0][0]
            if events and size + len(event) > self._limits.max_bytes:
                break
            self._waiting.popleft()
            events.append(event)
            size += len(event)
        self._bytes -= size
        self._taken += len(events)
        return Batch(tuple(events), self._taken) if events else None

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._limits.max_items or self._bytes >= self._limits.max_bytes

    def _has_room(self, size: int) -> bool:
        return len(self._waiting) < self._most_items and self._bytes + size <= self._most_bytes

    def _settle_dropped(self, now: float) -> None:
        if not self._dropped_records:
            return
        told = self._tell_dropped(self._dropped_records, self._dropped_bytes)
        self._dropped_records = self._dropped_bytes = 0
        if told is not None:
            self._append(told, now)

    def _append(self, event: bytes, now: float) -> None:
        self._waiting.append((event, now))
        self._bytes += len(event)
