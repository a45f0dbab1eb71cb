"""Documents in one SQLite file: the default. Durable against the loss of power; many writers share one commit."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from pasture.store.database import Database
from pasture.store.documents import Change, Document, RevisionConflict, Watcher
from pasture.store.opening import Schema
from pasture.store.prefix import prefix_end
from pasture.store.watchers import Watchers

_SCHEMA = Schema(
    [
        [
            # SQLite compares text by its UTF-8 bytes, which is the order of code points.
            "CREATE TABLE documents (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL)",
            # Apart from the documents, so that a revision is not used again when the newest document is deleted.
            "CREATE TABLE counter (revision INTEGER NOT NULL)",
            "INSERT INTO counter VALUES (0)",
        ],
    ]
)


class SqliteDocuments:
    """Watchers are told before the write that they learn of returns: a cache that watches is never behind its writer.

    Writes raise `store.errors.StoreFull` when there is no room and `StoreFailed` on
    other faults of the file or the disk; nothing of such a write stays.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers = Watchers()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Raises OperatorError when the file is damaged, not ours or newer than this program."""
        return cls(await Database.open(path, _SCHEMA))

    def __repr__(self) -> str:
        return f"SqliteDocuments({self._database.path})"

    async def get(self, key: str) -> Document | None:
        return await self._database.read(lambda connection: _get(connection, key))

    async def put(self, key: str, value: bytes, *, expect: int | None = None) -> Document:
        return await self._database.write(
            lambda connection: _put(connection, key, value, expect),
            lambda document: self._watchers.tell(Change(key, document)),
        )

    async def delete(self, key: str, *, expect: int | None = None) -> bool:
        def tell(deleted: bool) -> None:
            if deleted:
                self._watchers.tell(Change(key, None))

        return await self._database.write(lambda connection: _delete(connection, key, expect), tell)

    async def list(self, prefix: str, *, after: str = "", limit: int = 1_000) -> Sequence[Document]:
        return await self._database.read(lambda connection: _list(connection, prefix, after, limit))

    async def count(self, prefix: str) -> int:
        return await self._database.read(lambda connection: _count(connection, prefix))

    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        return self._watchers.add(prefix, watcher)

    async def close(self) -> None:
        await self._database.close()


def _get(connection: sqlite3.Connection, key: str) -> Document | None:
    row = connection.execute("SELECT key, value, revision FROM documents WHERE key = ?", (key,)).fetchone()
    return Document(*row) if row else None


def _put(connection: sqlite3.Connection, key: str, value: bytes, expect: int | None) -> Document:
    _check(connection, key, expect)
    revision = _next_revision(connection)
    connection.execute(
        "INSERT INTO documents VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET value = ?2, revision = ?3",
        (key, value, revision),
    )
    return Document(key, bytes(value), revision)


def _delete(connection: sqlite3.Connection, key: str, expect: int | None) -> bool:
    _check(connection, key, expect)
    if not connection.execute("DELETE FROM documents WHERE key = ?", (key,)).rowcount:
        return False
    _next_revision(connection)
    return True


def _check(connection: sqlite3.Connection, key: str, expect: int | None) -> None:
    if expect is None:
        return
    row = connection.execute("SELECT revision FROM documents WHERE key = ?", (key,)).fetchone()
    if expect != (row[0] if row else 0):
        raise RevisionConflict(key)


def _next_revision(connection: sqlite3.Connection) -> int:
    revision: int = connection.execute("UPDATE counter SET revision = revision + 1 RETURNING revision").fetchone()[0]
    return revision


def _list(connection: sqlite3.Connection, prefix: str, after: str, limit: int) -> list[Document]:
    where, values = _range(prefix, after)
    rows = connection.execute(
        f"SELECT key, value, revision FROM documents WHERE {where} ORDER BY key LIMIT ?",  # noqa: S608 - no user text in `where`
        (*values, limit),
    )
    return [Document(*row) for row in rows]


def _count(connection: sqlite3.Connection, prefix: str) -> int:
    where, values = _range(prefix, "")
    count: int = connection.execute(f"SELECT count(*) FROM documents WHERE {where}", values).fetchone()[0]  # noqa: S608 - as above
    return count


def _range(prefix: str, after: str) -> tuple[str, tuple[str, ...]]:
    """Keys that start with `prefix` as a range of the index; LIKE would read them all."""
    where = ["key >= ?"]
    values = [prefix]
    if after:
        where.append("key > ?")
        values.append(after)
    if (end := prefix_end(prefix)) is not None:
        where.append("key < ?")
        values.append(end)
    return " AND ".join(where), tuple(values)
