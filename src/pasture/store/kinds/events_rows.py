"""The statements of the event queue: each works within the transaction of whoever calls it."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pasture.domain.events import Event
from pasture.domain.scope import Scope
from pasture.store.errors import StoreFull
from pasture.store.events import COUNTED, Failure, Listing, Shown, Whose
from pasture.store.kinds.events_schema import forget_failed_event

# What a disk must still have for new events to be taken: the rest is for the ends of those that were.
_RESERVE_BYTES = 16 * 1024 * 1024
_STEP = 1_000

_EVENT = "id, qualifier, payload, accepted, trace_id, client_context, tenant_id, attempts, setbacks"
_SHOWN = "id, qualifier, accepted, due, attempts, setbacks, size, error"


def check_room(directory: Path, size: int) -> None:
    disk = os.statvfs(directory)
    if disk.f_bavail * disk.f_frsize < _RESERVE_BYTES + size:
        raise StoreFull(
            f"cannot take events: the disk of {directory} is nearly full.", "Free space in the data directory."
        )


def backlog(c: sqlite3.Connection) -> dict[Whose, float]:
    rows = c.execute(
        "SELECT account, region, name, (SELECT min(due) FROM events WHERE function = f.id AND failed IS NULL)"
        " FROM functions f INDEXED BY waiting_functions WHERE queued"
    )
    return {Whose(Scope(account, region), name): due or 0.0 for account, region, name, due in rows}


def _function(c: sqlite3.Connection, whose: Whose) -> int | None:
    row = c.execute(
        "SELECT id FROM functions WHERE account = ? AND region = ? AND name = ?",
        (whose.scope.account, whose.scope.region, whose.name),
    ).fetchone()
    return row[0] if row else None


def put(c: sqlite3.Connection, event: Event) -> None:
    once = "INSERT OR IGNORE INTO kept_once VALUES (?, ?)"
    if event.is_once and not c.execute(once, (event.id, event.accepted)).rowcount:
        return
    (function,) = c.execute(
        "INSERT INTO functions (account, region, name, queued) VALUES (?, ?, ?, 1)"
        " ON CONFLICT DO UPDATE SET queued = queued + 1 RETURNING id",
        (event.scope.account, event.scope.region, event.name),
    ).fetchone()
    c.execute(
        "INSERT INTO events (function, due, id, qualifier, accepted, attempts, setbacks, size, trace_id,"
        " client_context, tenant_id, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (function, event.accepted, event.id, event.qualifier, event.accepted, event.attempts, event.setbacks,
         len(event.payload), event.trace_id, event.client_context, event.tenant_id, event.payload),
    )  # fmt: skip


def due(
    c: sqlite3.Connection, whose: Whose, now: float, limit: int, most_bytes: int, held: frozenset[int]
) -> tuple[list[tuple[int, Event]], float | None]:
    """Events that nobody holds, with their rows' numbers, and when the next is due after them."""
    function = _function(c, whose)
    if function is None:
        return [], None
    # Those that are held are few, and are the first of them that were due.
    order = c.execute(
        "SELECT seq, due FROM events WHERE function = ? AND failed IS NULL ORDER BY due, seq LIMIT ?",
        (function, limit + len(held) + 1),
    )
    free = [(seq, due_at) for seq, due_at in order if seq not in held]
    found: list[tuple[int, Event]] = []
    for seq, due_at in free:
        if due_at > now or len(found) == limit:
            return found, due_at
        (size,) = c.execute("SELECT size FROM events WHERE seq = ?", (seq,)).fetchone()
        if found and size > most_bytes:
            return found, due_at
        most_bytes -= size
        row = c.execute(f"SELECT {_EVENT} FROM events WHERE seq = ?", (seq,)).fetchone()
        found.append((seq, _event(whose, row)))
    return found, None


def _event(whose: Whose, row: Sequence[Any]) -> Event:
    id_, qualifier, payload, accepted, trace_id, client_context, tenant_id, attempts, setbacks = row
    return Event(
        id_, whose.scope, whose.name, qualifier, payload, accepted, trace_id, client_context, tenant_id, attempts,
        setbacks,
    )  # fmt: skip


def delete(c: sqlite3.Connection, seq: int) -> None:
    row = c.execute("DELETE FROM events WHERE seq = ? RETURNING function", (seq,)).fetchone()
    if row is not None:
        c.execute("UPDATE functions SET queued = queued - 1 WHERE id = ?", row)


def fail(c: sqlite3.Connection, seq: int, event: Event, failure: Failure, kept: int) -> None:
    row = c.execute(
        "UPDATE events SET failed = ?, attempts = ?, setbacks = ?, error = ?, condition = ?"
        " WHERE seq = ? RETURNING function",
        (failure.at, event.attempts, event.setbacks, failure.error, failure.condition, seq),
    ).fetchone()
    if row is None:
        return
    c.execute("UPDATE functions SET queued = queued - 1, failed = failed + 1 WHERE id = ?", row)
    (count,) = c.execute("UPDATE totals SET failed_events = failed_events + 1 RETURNING failed_events").fetchone()
    if count > kept:
        oldest = c.execute(
            "SELECT seq FROM events WHERE failed IS NOT NULL ORDER BY failed LIMIT ?", (min(count - kept, 2),)
        )
        for (old,) in oldest.fetchall():
            forget_failed_event(c, old)


def listing(c: sqlite3.Connection, whose: Whose, now: float, limit: int, held: frozenset[int]) -> Listing:
    function = _function(c, whose)
    if function is None:
        return Listing(0, 0, 0, 0, (), ())
    queued, failed = c.execute("SELECT queued, failed FROM functions WHERE id = ?", (function,)).fetchone()
    later = "SELECT 1 FROM events WHERE function = ? AND failed IS NULL AND due > ? LIMIT ?"
    (retrying,) = c.execute(f"SELECT count(*) FROM ({later})", (function, now, COUNTED)).fetchone()
    first = c.execute(
        f"SELECT seq, {_SHOWN} FROM events WHERE function = ? AND failed IS NULL ORDER BY due, seq LIMIT ?",
        (function, limit),
    )
    first_failed = c.execute(
        f"SELECT condition, failed, {_SHOWN} FROM events WHERE function = ? AND failed IS NOT NULL"
        " ORDER BY failed DESC LIMIT ?",
        (function, limit),
    )
    return Listing(
        queued,
        retrying,
        len(held),
        failed,
        [replace(Shown(*row), is_claimed=seq in held) for seq, *row in first],
        [replace(Shown(*row), condition=condition, failed=at) for condition, at, *row in first_failed],
    )


def purge(c: sqlite3.Connection, whose: Whose, held: frozenset[int]) -> int:
    """A step; what is claimed stays."""
    function = _function(c, whose)
    order = c.execute(
        "SELECT seq FROM events WHERE function = ? AND failed IS NULL ORDER BY due, seq LIMIT ?",
        (function, _STEP + len(held)),
    )
    gone = [(seq,) for (seq,) in order if seq not in held]
    c.executemany("DELETE FROM events WHERE seq = ?", gone)
    c.execute("UPDATE functions SET queued = queued - ? WHERE id = ?", (len(gone), function))
    return len(gone)


def purge_failed(c: sqlite3.Connection, whose: Whose, _held: frozenset[int]) -> int:
    rows = _failed(c, whose)
    for (seq,) in rows:
        forget_failed_event(c, seq)
    return len(rows)


def redrive(c: sqlite3.Connection, whose: Whose, now: float) -> int:
    """A step. In the order in which they were given up."""
    rows = _failed(c, whose)
    c.executemany(
        "UPDATE events SET failed = NULL, condition = '', attempts = 0, setbacks = 0, due = ?1, accepted = ?1"
        " WHERE seq = ?2",
        [(now, seq) for (seq,) in rows],
    )
    c.execute(
        "UPDATE functions SET queued = queued + ?1, failed = failed - ?1 WHERE id = ?2",
        (len(rows), _function(c, whose)),
    )
    c.execute("UPDATE totals SET failed_events = failed_events - ?", (len(rows),))
    return len(rows)


def _failed(c: sqlite3.Connection, whose: Whose) -> list[tuple[int]]:
    return c.execute(
        "SELECT seq FROM events WHERE function = ? AND failed IS NOT NULL ORDER BY failed LIMIT ?",
        (_function(c, whose), _STEP),
    ).fetchall()
