"""The tables of the event queue and its outbox: one SQLite file, so that one transaction ends an event and tells of it.

What has to be known of all events without reading them is counted in the transactions that change it: how many each
function has queued and how many have failed.
"""

import sqlite3

from pasture.store.opening import Schema

SCHEMA = Schema(
    [
        [
            """CREATE TABLE functions (
                id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
                queued INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0)""",
            "CREATE UNIQUE INDEX function_names ON functions (account, region, name)",
            "CREATE INDEX waiting_functions ON functions (id) WHERE queued",
            "CREATE INDEX idle_functions ON functions (id) WHERE NOT queued AND NOT failed",
            # `failed` is when it was given up. The payload is last: what is before it is read without it.
            """CREATE TABLE events (
                seq INTEGER PRIMARY KEY, function INTEGER NOT NULL, due REAL NOT NULL, failed REAL, id TEXT NOT NULL,
                qualifier TEXT NOT NULL, accepted REAL NOT NULL, attempts INTEGER NOT NULL, setbacks INTEGER NOT NULL,
                size INTEGER NOT NULL, trace_id TEXT NOT NULL, client_context TEXT NOT NULL, tenant_id TEXT NOT NULL,
                error TEXT NOT NULL DEFAULT '', condition TEXT NOT NULL DEFAULT '', payload BLOB NOT NULL)""",
            "CREATE INDEX events_due ON events (function, due) WHERE failed IS NULL",
            "CREATE INDEX events_failed ON events (failed) WHERE failed IS NOT NULL",
            "CREATE INDEX failed_events_of ON events (function, failed) WHERE failed IS NOT NULL",
            # Events and deliveries that have failed, together: what is kept of them has bounds.
            "CREATE TABLE totals (failed_events INTEGER NOT NULL, failed_deliveries INTEGER NOT NULL)",
            "INSERT INTO totals VALUES (0, 0)",
            """CREATE TABLE targets (
                id INTEGER PRIMARY KEY, arn TEXT NOT NULL UNIQUE, waiting INTEGER NOT NULL DEFAULT 0)""",
            "CREATE INDEX waiting_targets ON targets (id) WHERE waiting",
            "CREATE INDEX idle_targets ON targets (id) WHERE NOT waiting",
            """CREATE TABLE deliveries (
                seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, target INTEGER NOT NULL, due REAL NOT NULL,
                failed REAL, attempts INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
                record TEXT NOT NULL, body BLOB NOT NULL)""",
            "CREATE INDEX deliveries_due ON deliveries (due) WHERE failed IS NULL",
            "CREATE INDEX deliveries_of_target ON deliveries (target, due) WHERE failed IS NULL",
            "CREATE INDEX deliveries_failed ON deliveries (failed) WHERE failed IS NOT NULL",
        ],
        [
            # Of events that are kept once: what comes again is known by its id, also when the first has run.
            "CREATE TABLE kept_once (id TEXT NOT NULL PRIMARY KEY, accepted REAL NOT NULL) WITHOUT ROWID",
            "CREATE INDEX kept_once_accepted ON kept_once (accepted)",
        ],
        [
            # Whose event a delivery tells of. Those that have failed are found by it: they are few.
            "ALTER TABLE deliveries ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
            """UPDATE deliveries SET owner = json_extract(record, '$.scope.account') || '/'
                || json_extract(record, '$.scope.region') || '/' || json_extract(record, '$.name')""",
            "CREATE INDEX troubled_deliveries ON deliveries (owner, failed, due) WHERE attempts > 0",
        ],
    ],
    shrinks=True,
)

_STEP = 200
_STEP_PAGES = 500
_FREE_PAGES = 1_024


def tidy(c: sqlite3.Connection, before: float) -> bool:
    """A step: what failed before then, functions and targets of which nothing is left, and space."""
    if _forget_failed(c, before):
        return True
    c.execute("DELETE FROM functions WHERE id IN (SELECT id FROM functions WHERE NOT queued AND NOT failed LIMIT 1000)")
    c.execute("DELETE FROM targets WHERE id IN (SELECT id FROM targets WHERE NOT waiting LIMIT 1000)")
    (free,) = c.execute("PRAGMA freelist_count").fetchone()
    if free < _FREE_PAGES:
        return False
    c.execute(f"PRAGMA incremental_vacuum({_STEP_PAGES})").fetchall()
    return bool(c.execute("PRAGMA freelist_count").fetchone()[0] < free)


def _forget_failed(c: sqlite3.Connection, before: float) -> bool:
    gone = c.execute("SELECT seq FROM events WHERE failed < ? ORDER BY failed LIMIT ?", (before, _STEP)).fetchall()
    for (seq,) in gone:
        forget_failed_event(c, seq)
    once = "SELECT id FROM kept_once WHERE accepted < ? ORDER BY accepted LIMIT ?"
    forgotten = c.execute(f"DELETE FROM kept_once WHERE id IN ({once})", (before, _STEP)).rowcount  # noqa: S608
    deliveries = "SELECT seq FROM deliveries WHERE failed < ? ORDER BY failed LIMIT ?"
    count = c.execute(f"DELETE FROM deliveries WHERE seq IN ({deliveries})", (before, _STEP)).rowcount  # noqa: S608
    if count:
        c.execute("UPDATE totals SET failed_deliveries = failed_deliveries - ?", (count,))
    return bool(gone or count or forgotten)


def forget_failed_event(c: sqlite3.Connection, seq: int) -> None:
    (function,) = c.execute("DELETE FROM events WHERE seq = ? RETURNING function", (seq,)).fetchone()
    c.execute("UPDATE functions SET failed = failed - 1 WHERE id = ?", (function,))
    c.execute("UPDATE totals SET failed_events = failed_events - 1")
