"""Removing what is deleted or has outlived its group's retention, in steps that nobody has to wait for."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

import sqlite3

from pasture.logs.records import EVENT_OVERHEAD

DAY_MS = 86_400_000
# About 20 ms of the writer's time.
STEP_EVENTS = 2_000
STEP_PAGES = 100
# Free pages that are kept for the next events: a share of the file, and at least so many.
_FREE_SHARE = 4
_FREE_PAGES = 4_096


def step(c: sqlite3.Connection, now: int) -> bool:
    """One small removal; False when there is nothing to remove."""
    return _deleted_group(c) or _deleted_stream(c) or _expired(c, now) or _shrunk(c)


def _deleted_group(c: sqlite3.Connection) -> bool:
    row = c.execute("SELECT id FROM groups WHERE deleted LIMIT 1").fetchone()
    if row is None:
        return False
    if not _remove(c, "group_id = ?", row):
        streams = "SELECT id FROM streams WHERE group_id = ? LIMIT ?"
        if not c.execute(f"DELETE FROM streams WHERE id IN ({streams})", (*row, STEP_EVENTS)).rowcount:
            c.execute("DELETE FROM groups WHERE id = ?", row)
    return True


def _deleted_stream(c: sqlite3.Connection) -> bool:
    row = c.execute("SELECT id FROM streams WHERE deleted LIMIT 1").fetchone()
    if row is None:
        return False
    if not _remove(c, "stream_id = ?", row):
        c.execute("DELETE FROM streams WHERE id = ?", row)
    return True


def _expired(c: sqlite3.Connection, now: int) -> bool:
    groups = c.execute("SELECT id, retention FROM groups WHERE retention IS NOT NULL").fetchall()
    for group_id, days in groups:
        oldest = now - days * DAY_MS
        if _remove(c, "group_id = ? AND timestamp < ?", (group_id, oldest)) or _emptied(c, group_id, oldest):
            return True
    return False


def _emptied(c: sqlite3.Connection, group_id: int, oldest: int) -> bool:
    """Bring streams up to date whose first events have gone. Old streams without any event left go too."""
    rows = c.execute(
        "SELECT id FROM streams WHERE group_id = ? AND first_event < ? LIMIT ?", (group_id, oldest, STEP_EVENTS)
    ).fetchall()
    for row in rows:
        c.execute(
            "UPDATE streams SET first_event = (SELECT min(timestamp) FROM events WHERE stream_id = streams.id)"
            " WHERE id = ?",
            row,
        )
        c.execute("DELETE FROM streams WHERE id = ? AND first_event IS NULL AND ingested < ?", (*row, oldest))
    return bool(rows)


def _remove(c: sqlite3.Connection, where: str, values: tuple[int, ...]) -> bool:
    """A step's worth of events, oldest first by the index, and their size from their group."""
    removed = c.execute(
        f"DELETE FROM events WHERE id IN (SELECT id FROM events WHERE {where} LIMIT {STEP_EVENTS})"
        f" RETURNING group_id, length(message) + {EVENT_OVERHEAD}",
        values,
    ).fetchall()
    if removed:
        size = sum(size for _, size in removed)
        c.execute("UPDATE groups SET bytes = max(bytes - ?, 0) WHERE id = ?", (size, removed[0][0]))
    return bool(removed)


def _shrunk(c: sqlite3.Connection) -> bool:
    """Give free space back to the disk once there is much of it."""
    (free,) = c.execute("PRAGMA freelist_count").fetchone()
    (pages,) = c.execute("PRAGMA page_count").fetchone()
    if free < max(_FREE_PAGES, pages // _FREE_SHARE):
        return False
    c.execute(f"PRAGMA incremental_vacuum({STEP_PAGES})").fetchall()
    return bool(c.execute("PRAGMA freelist_count").fetchone()[0] < free)
