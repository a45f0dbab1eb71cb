"""Reading a log group: what is there since a moment, and what comes after it."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

POLL_SECONDS = 1.0
# Environments write to their streams independently: an event may arrive after one that is younger than it.
_LATE_MS = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    timestamp: int
    """Milliseconds since the epoch."""
    message: str
    stream: str


Search = Callable[[int], Iterable[Event]]
"""The events from a moment (milliseconds since the epoch) on, oldest first."""


class Seen:
    """Which events have been shown already. Each look goes back a little further than the last event."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._shown: dict[str, int] = {}
        self._newest = start

    @property
    def since(self) -> int:
        """From where the next look must read."""
        return max(self._start, self._newest - _LATE_MS)

    def fresh(self, events: Iterable[Event]) -> Iterator[Event]:
        """Those that were not shown before; afterwards only what another look can meet again is remembered."""
        for event in events:
            if event.id not in self._shown:
                self._shown[event.id] = event.timestamp
                self._newest = max(self._newest, event.timestamp)
                yield event
        self._shown = {known: at for known, at in self._shown.items() if at >= self.since}


def follow(search: Search, start: int, pause: Callable[[float], None] = time.sleep) -> Iterator[Event]:
    """Every event from `start` on, for ever."""
    seen = Seen(start)
    while True:
        yield from seen.fresh(search(seen.since))
        pause(POLL_SECONDS)


def searching(client: "CloudWatchLogsClient", group: str, pattern: str | None) -> Search:
    """FilterLogEvents, page by page."""
    what: Any = {"logGroupName": group} | ({"filterPattern": pattern} if pattern else {})

    def search(start: int) -> Iterator[Event]:
        for page in client.get_paginator("filter_log_events").paginate(startTime=start, **what):
            for found in page["events"]:
                yield Event(found["eventId"], found["timestamp"], found["message"], found["logStreamName"])

    return search
