"""Following a log: every event once, late ones too."""

import itertools
from collections.abc import Iterable
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from pasture.cli.following import Event, Seen, follow


def event(number: int, timestamp: int) -> Event:
    return Event(f"e{number}", timestamp, f"message {number}", "stream")


class Log:
    """A log that grows by one batch every time one waits."""

    def __init__(self, *batches: list[Event]) -> None:
        self._coming = list(batches)
        self._events: list[Event] = []
        self.asked: list[int] = []

    def search(self, start: int) -> Iterable[Event]:
        self.asked.append(start)
        return [e for e in sorted(self._events, key=lambda e: e.timestamp) if e.timestamp >= start]

    def grow(self, _seconds: float) -> None:
        if not self._coming:
            raise KeyboardInterrupt
        self._events += self._coming.pop(0)


def followed(log: Log, start: int) -> list[Event]:
    shown = []
    with suppress(KeyboardInterrupt):
        for found in follow(log.search, start, log.grow):
            shown.append(found)  # noqa: PERF402 - what was shown before the interrupt counts
    return shown


def test_each_event_is_shown_once_though_every_look_goes_back_a_little() -> None:
    one, two, three = event(1, 100_000), event(2, 101_000), event(3, 101_000)
    assert followed(Log([one], [two], [], [three]), start=0) == [one, two, three]


def test_an_event_that_arrives_after_a_younger_one_is_shown() -> None:
    young, late = event(1, 105_000), event(2, 100_000)
    assert followed(Log([young], [late]), start=0) == [young, late]


def test_a_look_goes_back_ten_seconds_and_never_before_the_start() -> None:
    log = Log([event(1, 95_000)], [event(2, 120_000)], [])
    followed(log, start=90_000)
    assert log.asked == [90_000, 90_000, 90_000, 110_000]


@given(st.lists(st.lists(st.integers(0, 9_999))))
def test_whatever_comes_within_ten_seconds_is_shown_exactly_once(batches: list[list[int]]) -> None:
    counter = itertools.count()
    events = [[event(next(counter), at) for at in batch] for batch in batches]
    shown = followed(Log(*events), start=0)
    assert sorted(e.id for e in shown) == sorted(e.id for batch in events for e in batch)


def test_only_events_that_can_be_met_again_are_remembered() -> None:
    seen = Seen(0)
    list(seen.fresh(event(number, number * 1_000) for number in range(100)))
    assert list(seen.fresh([event(90, 90_000), event(10, 10_000)])) == [event(10, 10_000)]
