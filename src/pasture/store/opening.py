"""Opening a SQLite file: ours, whole, brought to the newest format; and what SQLite's errors mean to the operator."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pasture.store.errors import StoreBusy, StoreFailed, StoreFull

_APPLICATION = 0x50415354  # "PAST", in the file's header
_BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Schema:
    """`migrations[n]` are the statements that lead from version n to n + 1; a new file takes them all."""

    migrations: Sequence[Sequence[str]]
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    shrinks: bool = False
    """Whether `PRAGMA incremental_vacuum` is to give space back. Decided when the file is made."""


def connect(path: Path, schema: Schema) -> sqlite3.Connection:
    connection = _open(path)
    try:
        if schema.shrinks:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of no effect once there are tables
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {schema.synchronous}")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        _migrate(connection, path, schema.migrations)
    except sqlite3.Error as error:
        connection.close()
        raise failure(path, "open", error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _open(path: Path) -> sqlite3.Connection:
    try:
        # Each connection is used by one thread at a time; the thread that closes it is another.
        return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise failure(path, "open", error) from error


def connect_reader(path: Path) -> sqlite3.Connection:
    connection = _open(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != _APPLICATION and (tables or version):
        raise StoreFailed(f"cannot use {path}: it is another program's database.", "Move it away and start again.")
    if version > len(migrations):
        raise StoreFailed(
            f"cannot use {path}: a newer Pasture has written it (format {version}, this one knows {len(migrations)}).",
            "Start that version again, or restore a backup from before the upgrade.",
        )
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute("COMMIT")


def failure(path: Path, what: str, error: Exception) -> StoreFailed:
    """SQLite's error as the operator's: what could not be done, why, and what helps."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = f"cannot {what} {path}: {error}."
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(text, "Free space in the data directory.")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusy(text, "Another process uses it: only one server may use a data directory.")
    return StoreFailed(text, _HINTS.get(code, ""))


_HINTS = {
    sqlite3.SQLITE_NOTADB: "The file is damaged: move it away and restore it from a backup.",
    sqlite3.SQLITE_CORRUPT: "The file is damaged: move it away and restore it from a backup.",
    sqlite3.SQLITE_CANTOPEN: "Check that the directory exists and that this user may write in it.",
    sqlite3.SQLITE_READONLY: "Check that this user may write the file and its directory.",
    sqlite3.SQLITE_PERM: "Check that this user may write the file and its directory.",
    sqlite3.SQLITE_IOERR: "Check the disk and the kernel's log.",
}
