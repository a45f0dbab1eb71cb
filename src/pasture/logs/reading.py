"""Queries over log events. What they read in one go is bounded, by count, by bytes, and by events looked at."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

import heapq
import sqlite3
from collections.abc import Iterator
from typing import Any

from pasture.logs.records import EVENT_OVERHEAD, Found, Position, Search, Span, StoredEvent
from pasture.store.prefix import prefix_end

# A page of CloudWatch Logs holds at most 1 MB.
PAGE_BYTES = 1024 * 1024
# One search looks at so many events, or characters; the caller comes again for the rest, and others get their turn.
SEARCH_EVENTS = 20_000
SEARCH_CHARACTERS = 16 * 1024 * 1024
# Up to so many streams are merged, each read alone; more are picked out of the whole group.
_MERGED_STREAMS = 100

_EVENT = "e.timestamp, e.id, s.name, e.ingested, e.message"


def page(c: sqlite3.Connection, stream_id: int, span: Span, limit: int) -> list[StoredEvent]:
    events: list[StoredEvent] = []
    size = 0
    for event in _events(c, "stream_id", stream_id, span, limit):
        size += len(event.message) + EVENT_OVERHEAD
        if events and size > PAGE_BYTES:
            break
        events.append(event)
    return events


def search(c: sqlite3.Connection, group_id: int, wanted: Search) -> Found:
    events: list[StoredEvent] = []
    characters = size = 0
    last = None
    for looked_at, event in enumerate(_of_search(c, group_id, wanted)):
        full = len(events) == wanted.limit or size > PAGE_BYTES
        far = looked_at == SEARCH_EVENTS or characters > SEARCH_CHARACTERS
        if full or far or (last and wanted.expired()):
            return Found(events, last)
        characters += len(event.message)
        last = event.position
        if wanted.matches is None or wanted.matches(event.message):
            events.append(event)
            size += len(event.message) + EVENT_OVERHEAD
    return Found(events, None)


def _of_search(c: sqlite3.Connection, group_id: int, wanted: Search) -> Iterator[StoredEvent]:
    if not wanted.streams and not wanted.prefix:
        return _events(c, "group_id", group_id, wanted.span)
    ids = _streams(c, group_id, wanted)
    if len(ids) <= _MERGED_STREAMS:
        each = [_events(c, "stream_id", stream_id, wanted.span) for stream_id in ids]
        return heapq.merge(*each, key=lambda event: event.position, reverse=not wanted.span.forward)
    return _events(c, "group_id", group_id, wanted.span, prefix=wanted.prefix)


def _streams(c: sqlite3.Connection, group_id: int, wanted: Search) -> list[int]:
    """Those that have events in the span; one more than can be merged is enough to know."""
    where = "group_id = ? AND NOT deleted AND last_event >= ?"
    values: list[Any] = [group_id, wanted.span.start or 0]
    if wanted.streams:
        where += f" AND name IN ({','.join('?' * len(wanted.streams))})"
        values += wanted.streams
    else:
        where += " AND name >= ? AND (?4 IS NULL OR name < ?4)"
        values += [wanted.prefix, prefix_end(wanted.prefix)]
    rows = c.execute(f"SELECT id FROM streams WHERE {where} LIMIT {_MERGED_STREAMS + 1}", values)
    return [stream_id for (stream_id,) in rows]


def _events(
    c: sqlite3.Connection, column: str, value: int, span: Span, limit: int = -1, prefix: str = ""
) -> Iterator[StoredEvent]:
    beyond, order = (">", "ASC") if span.forward else ("<", "DESC")
    start, end = _bounds(span)
    where = [f"e.{column} = ?", "NOT s.deleted"]
    values: list[Any] = [value]
    if start is not None:
        where.append("e.timestamp >= ?")
        values.append(start)
    if end is not None:
        where.append("e.timestamp < ?")
        values.append(end)
    if span.after is not None:
        where.append(f"(e.timestamp, e.id) {beyond} (?, ?)")
        values += span.after
    if prefix:
        where.append("s.name >= ? AND substr(s.name, 1, length(?)) = ?")
        values += [prefix, prefix, prefix]
    rows = c.execute(
        # CROSS JOIN: SQLite keeps the order, events first, by their index.
        f"SELECT {_EVENT} FROM events e CROSS JOIN streams s ON s.id = e.stream_id WHERE {' AND '.join(where)}"
        f" ORDER BY e.timestamp {order}, e.id {order} LIMIT ?",
        (*values, limit),
    )
    try:
        for timestamp, number, stream, ingested, message in rows:
            yield StoredEvent(Position(timestamp, number), stream, ingested, message)
    finally:
        rows.close()


def _bounds(span: Span) -> tuple[int | None, int | None]:
    """The span without what lies behind `after`: SQLite enters an index at these, not at a pair."""
    if span.after is None:
        return span.start, span.end
    timestamp = span.after.timestamp
    if span.forward:
        return timestamp if span.start is None else max(span.start, timestamp), span.end
    return span.start, timestamp + 1 if span.end is None else min(span.end, timestamp + 1)
