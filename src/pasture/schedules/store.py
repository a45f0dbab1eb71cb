"""Where schedules, rules and what they have fired are kept: one SQLite file with an index by time.

Documents have revisions, as those of `store.documents`, and beside it a time when they are due and the ARNs they are
for. What is due is found by the index, however many there are. A firing and the document that it came of change in one
transaction, so an occurrence is neither lost nor fired twice here.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pasture.functions.records import Form
from pasture.schedules.firing import Firing
from pasture.store.documents import RevisionConflict
from pasture.store.file_store import FileStore
from pasture.store.opening import Schema
from pasture.store.prefix import prefix_end

_FIRING = Form(Firing)


@dataclass(frozen=True, slots=True)
class Item:
    key: str
    value: bytes
    revision: int
    """Grows with every write to the store; never used twice."""
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be written."""

    value: bytes
    due: float | None = None
    targets: tuple[str, ...] = ()
    """ARNs it can be found by."""


class ScheduleStore(FileStore):
    """Every method returns only when its effect is durable. Raises StoreFailed."""

    schema = Schema(
        [
            [
                """CREATE TABLE items (
                    key TEXT NOT NULL PRIMARY KEY, revision INTEGER NOT NULL, due REAL, value BLOB NOT NULL)""",
                "CREATE INDEX items_due ON items (due) WHERE due IS NOT NULL",
                "CREATE TABLE targets (arn TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (arn, key)) WITHOUT ROWID",
                "CREATE INDEX targets_of ON targets (key)",
                """CREATE TABLE firings (
                    id TEXT NOT NULL PRIMARY KEY, source TEXT NOT NULL, lane INTEGER NOT NULL, due REAL NOT NULL,
                    target TEXT NOT NULL, value BLOB NOT NULL)""",
                # With the target, so that those of one that is busy are passed over without being read.
                "CREATE INDEX firings_due ON firings (lane, due, target)",
                "CREATE INDEX firings_of ON firings (source)",
                "CREATE TABLE counter (revision INTEGER NOT NULL)",
                "INSERT INTO counter VALUES (0)",
            ]
        ]
    )

    # Documents...

    async def get(self, key: str) -> Item | None:
        return await self._database.read(lambda c: _get(c, key))

    async def put(self, key: str, draft: Draft, *, expect: int, beside: tuple[str, int] | None = None) -> Item:
        """`expect`: the revision it must be at, 0 for none. `beside`: another document, and the revision of that.

        Raises RevisionConflict.
        """

        def write(c: sqlite3.Connection) -> Item:
            if beside is not None:
                _check(c, *beside)
            return _put(c, key, draft, expect)

        return await self._database.write(write)

    async def delete(self, key: str, *, expect: int, without: str = "") -> None:
        """What it has fired and nobody has yet goes with it. `without`: a prefix under which there may be nothing.

        Raises RevisionConflict.
        """

        def write(c: sqlite3.Connection) -> None:
            _check(c, key, expect)
            if without and _list(c, without, "", 1):
                raise RevisionConflict(key)
            _delete(c, key)
            c.execute("DELETE FROM firings WHERE source = ?", (key,))

        await self._database.write(write)

    async def list(self, prefix: str, *, after: str = "", limit: int = 1_000) -> Sequence[Item]:
        """In order of key."""
        return await self._database.read(lambda c: _list(c, prefix, after, limit))

    async def count(self, prefix: str) -> int:
        return await self._database.read(lambda c: _count(c, prefix))

    async def aiming_at(self, arn: str, prefix: str, *, after: str = "", limit: int = 1_000) -> Sequence[Item]:
        """Those under the prefix that are for this ARN, in order of key."""

        def read(c: sqlite3.Connection) -> list[Item]:
            rows = c.execute(
                "SELECT i.key, i.value, i.revision, i.due FROM targets t JOIN items i ON i.key = t.key"
                " WHERE t.arn = ? AND t.key >= ? AND t.key > ? AND t.key < ? ORDER BY t.key LIMIT ?",
                (arn, prefix, after, prefix_end(prefix), limit),
            )
            return [Item(*row) for row in rows]

        return await self._database.read(read)

    # What is due...

    async def due(self, now: float, limit: int) -> Sequence[Item]:
        """Longest due first."""
        statement = "SELECT key, value, revision, due FROM items WHERE due <= ? ORDER BY due LIMIT ?"
        return await self._database.read(lambda c: [Item(*row) for row in c.execute(statement, (now, limit))])

    async def next_due(self) -> float | None:
        """When the first document is due."""
        statement = "SELECT min(due) FROM items WHERE due IS NOT NULL"
        return await self._database.read(lambda c: c.execute(statement).fetchone()[0])

    async def fire(self, item: Item, due: float | None, firings: Sequence[Firing], *, is_over: bool = False) -> bool:
        """It is due at another time from now on, or gone, and has fired that. False when it has changed meanwhile:
        nothing is done then. Its revision stays, since nothing of what it says has changed.
        """

        def write(c: sqlite3.Connection) -> bool:
            statement = "UPDATE items SET due = ? WHERE key = ? AND revision = ? AND due = ?"
            if not c.execute(statement, (due, item.key, item.revision, item.due)).rowcount:
                return False
            _add_firings(c, firings)
            if is_over:
                _delete(c, item.key)
            return True

        return await self._database.write(write)

    # Firings...

    async def add(self, firings: Sequence[Firing]) -> None:
        """Those that are there already stay as they are."""
        await self._database.write(lambda c: _add_firings(c, firings))

    async def firings_due(
        self, lane: int, now: float, limit: int, *, busy: frozenset[str] = frozenset()
    ) -> Sequence[Firing]:
        """Longest due first; less those for the targets that are busy."""
        marks = ", ".join("?" * len(busy))
        statement = (
            f"SELECT value FROM firings WHERE lane = ? AND due <= ? AND target NOT IN ({marks})"  # noqa: S608 (marks)
            " ORDER BY due LIMIT ?"
        )
        return await self._database.read(
            lambda c: [_FIRING.decode(value) for (value,) in c.execute(statement, (lane, now, *busy, limit))]
        )

    async def next_firing(self, lane: int, after: float) -> float | None:
        """When the first is due that is due later than `after`."""
        statement = "SELECT min(due) FROM firings WHERE lane = ? AND due > ?"
        return await self._database.read(lambda c: c.execute(statement, (lane, after)).fetchone()[0])

    async def postpone(self, firing: Firing) -> None:
        """As it is now, unless it is gone."""
        statement = "UPDATE firings SET lane = ?, due = ?, target = ?, value = ? WHERE id = ?"
        values = (firing.lane, firing.due, firing.destination, _FIRING.encode(firing), firing.id)
        await self._database.write(lambda c: c.execute(statement, values).rowcount)

    async def end(self, firing: Firing) -> None:
        """It is done, and with its last one the schedule that was to go then, unless it has been changed since."""

        def write(c: sqlite3.Connection) -> None:
            known = c.execute("DELETE FROM firings WHERE id = ?", (firing.id,)).rowcount
            statement = "SELECT 1 FROM items WHERE key = ? AND revision = ?"
            if known and firing.last_of and c.execute(statement, (firing.source, firing.last_of)).fetchone():
                _delete(c, firing.source)

        await self._database.write(write)

    async def pending(self) -> int:
        """How many firings there are."""
        return await self._database.read(lambda c: int(c.execute("SELECT count(*) FROM firings").fetchone()[0]))


def _get(c: sqlite3.Connection, key: str) -> Item | None:
    row = c.execute("SELECT key, value, revision, due FROM items WHERE key = ?", (key,)).fetchone()
    return Item(*row) if row else None


def _check(c: sqlite3.Connection, key: str, revision: int) -> None:
    row = c.execute("SELECT revision FROM items WHERE key = ?", (key,)).fetchone()
    if revision != (row[0] if row else 0):
        raise RevisionConflict(key)


def _put(c: sqlite3.Connection, key: str, draft: Draft, expect: int) -> Item:
    _check(c, key, expect)
    (revision,) = c.execute("UPDATE counter SET revision = revision + 1 RETURNING revision").fetchone()
    c.execute(
        "INSERT INTO items (key, revision, due, value) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (key) DO UPDATE SET revision = ?2, due = ?3, value = ?4",
        (key, revision, draft.due, draft.value),
    )
    c.execute("DELETE FROM targets WHERE key = ?", (key,))
    c.executemany("INSERT OR IGNORE INTO targets VALUES (?, ?)", [(arn, key) for arn in draft.targets])
    return Item(key, draft.value, revision, draft.due)


def _delete(c: sqlite3.Connection, key: str) -> None:
    c.execute("DELETE FROM items WHERE key = ?", (key,))
    c.execute("DELETE FROM targets WHERE key = ?", (key,))


def _list(c: sqlite3.Connection, prefix: str, after: str, limit: int) -> list[Item]:
    rows = c.execute(
        "SELECT key, value, revision, due FROM items WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
        (prefix, after, prefix_end(prefix), limit),
    )
    return [Item(*row) for row in rows]


def _count(c: sqlite3.Connection, prefix: str) -> int:
    row = c.execute("SELECT count(*) FROM items WHERE key >= ? AND key < ?", (prefix, prefix_end(prefix)))
    return int(row.fetchone()[0])


def _add_firings(c: sqlite3.Connection, firings: Iterable[Firing]) -> None:
    c.executemany(
        "INSERT OR IGNORE INTO firings (id, source, lane, due, target, value) VALUES (?, ?, ?, ?, ?, ?)",
        [(each.id, each.source, each.lane, each.due, each.destination, _FIRING.encode(each)) for each in firings],
    )
