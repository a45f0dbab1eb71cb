"""What waits for a subscriber: when a batch is due, and what becomes of what is too much."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pasture.runtime_api.telemetry_buffer import Batch, TelemetryBuffer
from pasture.runtime_api.telemetry_subscription import Buffering

LIMITS = Buffering(max_items=3, max_bytes=10, timeout_ms=1_000)


def told(records: int, size: int) -> bytes:
    return json.dumps({"dropped": records, "bytes": size}).encode()


def buffer(*events: bytes, batches: int = 2) -> TelemetryBuffer:
    made = TelemetryBuffer(LIMITS, told, batches)
    for event in events:
        made.add(event, 0.0)
    return made


def test_nothing_is_due_of_nothing() -> None:
    made = buffer()
    assert (made.due_at(), made.take(99.0), made.take(99.0, force=True)) == (None, None, None)


def test_a_batch_is_due_when_its_first_event_is_old_enough() -> None:
    made = buffer(b"a")
    made.add(b"b", 0.5)
    assert (made.take(0.9), made.due_at(), made.take(1.0)) == (None, 1.0, Batch((b"a", b"b"), 2))


def test_a_batch_is_due_when_it_has_enough_events() -> None:
    made = buffer(b"a", b"b", b"c", b"d")
    assert (made.take(0.0), made.take(0.0)) == (Batch((b"a", b"b", b"c"), 3), None)


def test_a_batch_is_due_when_it_has_enough_bytes() -> None:
    made = buffer(b"a" * 6, b"b" * 6)
    assert (made.take(0.0), made.take(0.0)) == (Batch((b"a" * 6,), 1), None)


def test_whatever_there_is_may_be_asked_for_at_once() -> None:
    assert buffer(b"a").take(0.0, force=True) == Batch((b"a",), 1)


def test_an_event_larger_than_a_batch_goes_alone() -> None:
    made = buffer(b"a", b"b" * 15)
    assert (made.take(0.0), made.take(0.0)) == (Batch((b"a",), 1), Batch((b"b" * 15,), 2))


def test_what_is_too_much_is_dropped_and_told_of_where_it_is_missing() -> None:
    made = TelemetryBuffer(Buffering(max_items=9, max_bytes=100, timeout_ms=1_000), told, 1)
    made.add(b"a" * 90, 0.0)
    made.add(b"b" * 11, 0.0)
    made.add(b"c" * 12, 0.0)
    made.add(b"d", 0.0)
    assert (made.take(9.0), made.take(9.0), made.dropped) == (
        Batch((b"a" * 90,), 1),
        Batch((told(2, 23), b"d"), 3),
        2,
    )


def test_an_event_that_can_never_be_kept_is_told_of_alone() -> None:
    made = buffer(b"a" * 21)
    assert (made.due_at(), made.take(0.0), made.due_at()) == (0.0, Batch((told(1, 21),), 1), None)


def test_a_subscriber_that_gets_no_platform_events_is_not_told() -> None:
    made = TelemetryBuffer(LIMITS, lambda _records, _size: None, 1)
    made.add(b"a" * 11, 0.0)
    assert (made.take(0.0), made.due_at(), made.dropped) == (None, None, 1)


class Traffic(RuleBasedStateMachine):
    """Events of all sizes come and go; each is delivered in order, or counted where it is missing."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = TelemetryBuffer(LIMITS, told, 2)
        self.now = 0.0
        self.added = 0
        self.delivered: list[bytes] = []

    @rule(size=st.integers(1, 25))
    def add(self, size: int) -> None:
        self.added += 1
        # The number of the event, and its size made up with spaces.
        self.buffer.add(str(self.added).encode().ljust(size), self.now)

    @rule(force=st.booleans())
    def take(self, force: bool) -> None:
        due = self.buffer.is_due(self.now)
        batch = self.buffer.take(self.now, force=force)
        if batch is None:
            assert not due
            return
        assert due or force
        assert len(batch.events) <= LIMITS.max_items
        assert batch.size <= LIMITS.max_bytes or len(batch.events) == 1
        self.delivered += batch.events
        assert batch.last == len(self.delivered)

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def keeps_its_bounds(self) -> None:
        # Beyond them is at most one event that tells of dropped ones.
        assert len(self.buffer) <= 2 * LIMITS.max_items + 1
        assert self.buffer.last == len(self.delivered) + len(self.buffer)

    def teardown(self) -> None:
        while batch := self.buffer.take(self.now, force=True):
            self.delivered += batch.events
        following = 1
        for event in self.delivered:
            if event.startswith(b"{"):
                following += json.loads(event)["dropped"]
            else:
                assert int(event) == following
                following += 1
        assert following == self.added + 1


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(deadline=None)


@given(st.lists(st.integers(1, 30), max_size=60))
def test_what_is_delivered_and_what_is_told_dropped_are_all_there_was(sizes: list[int]) -> None:
    made = buffer()
    for size in sizes:
        made.add(b"x" * size, 0.0)
    kept = size_dropped = 0
    while batch := made.take(0.0, force=True):
        for event in batch.events:
            if event.startswith(b"{"):
                size_dropped += json.loads(event)["bytes"]
            else:
                kept += len(event)
    assert kept + size_dropped == sum(sizes)
