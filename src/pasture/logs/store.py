"""Log groups, streams and events in a SQLite file of their own.

Events are appended to one table in the order they come, so that the table grows at its
end whatever its size; two narrow indexes give the order by time, within a stream and
within a group. `reading.py` has the queries over events, `sweeping.py` what removes them.

A group or stream that is deleted is only marked, and its name is free at once; the sweep
removes it and its events in small steps.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pasture.domain.scope import Scope
from pasture.logs import reading, subscriptions, sweeping
from pasture.logs.errors import ResourceAlreadyExists, no_group, no_stream
from pasture.logs.records import EVENT_OVERHEAD, Batch, Found, Group, Search, Span, StoredEvent, Stream, StreamKey
from pasture.logs.spec import LogEvent
from pasture.logs.subscriptions import Subscription, Undelivered
from pasture.store.database import Database
from pasture.store.file_store import FileStore
from pasture.store.opening import Schema
from pasture.store.prefix import prefix_end

_SCHEMA = Schema(
    [
        [
            """CREATE TABLE groups (
                id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
                created INTEGER NOT NULL, retention INTEGER, class TEXT NOT NULL DEFAULT 'STANDARD',
                kms TEXT NOT NULL DEFAULT '', protected INTEGER NOT NULL DEFAULT 0, tags TEXT NOT NULL DEFAULT '{}',
                bytes INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0)""",
            "CREATE UNIQUE INDEX group_names ON groups (account, region, name) WHERE NOT deleted",
            # last_event is 0 until there is one: the order by last event needs a value.
            """CREATE TABLE streams (
                id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
                first_event INTEGER, last_event INTEGER NOT NULL DEFAULT 0, ingested INTEGER,
                deleted INTEGER NOT NULL DEFAULT 0)""",
            "CREATE UNIQUE INDEX stream_names ON streams (group_id, name) WHERE NOT deleted",
            "CREATE INDEX stream_times ON streams (group_id, last_event, name)",
            "CREATE INDEX stream_starts ON streams (group_id, first_event)",
            "CREATE INDEX deleted_groups ON groups (id) WHERE deleted",
            "CREATE INDEX deleted_streams ON streams (id) WHERE deleted",
            """CREATE TABLE events (
                id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, stream_id INTEGER NOT NULL,
                timestamp INTEGER NOT NULL, ingested INTEGER NOT NULL, message TEXT NOT NULL)""",
            "CREATE INDEX events_of_stream ON events (stream_id, timestamp)",
            "CREATE INDEX events_of_group ON events (group_id, timestamp)",
        ],
        subscriptions.TABLES,
    ],
    # Log events survive the death of the server, and the last second of them need not survive a loss of power:
    # a wait for the disk with every batch would cost more than they are worth.
    synchronous="NORMAL",
    shrinks=True,
)

Tags = Mapping[str, str]

_GROUP = "name, created, retention, class, kms, protected, tags, bytes"
_STREAM = "name, created, first_event, nullif(last_event, 0), ingested"


class LogStore(FileStore):
    schema = _SCHEMA

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.on_subscribed: Callable[[], None] = lambda: None
        """Called when events have been stored that somebody is subscribed to."""

    # Groups...

    async def create_group(self, scope: Scope, group: Group) -> None:
        await self._database.write(lambda c: _create_group(c, scope, group))

    async def group(self, scope: Scope, name: str) -> Group:
        return await self._database.read(lambda c: _group(c, scope, name))

    async def groups(self, scope: Scope, *, prefix: str, containing: str, after: str, limit: int) -> Sequence[Group]:
        return await self._database.read(lambda c: _groups(c, scope, prefix, containing, after, limit))

    async def delete_group(self, scope: Scope, name: str) -> None:
        await self._database.write(lambda c: _delete_group(c, _group_id(c, scope, name)))

    async def set_retention(self, scope: Scope, name: str, days: int | None) -> None:
        await self._database.write(
            lambda c: c.execute("UPDATE groups SET retention = ? WHERE id = ?", (days, _group_id(c, scope, name)))
        )

    async def set_protection(self, scope: Scope, name: str, protected: bool) -> None:
        await self._database.write(
            lambda c: c.execute("UPDATE groups SET protected = ? WHERE id = ?", (protected, _group_id(c, scope, name)))
        )

    async def change_tags(self, scope: Scope, name: str, change: Callable[[Tags], Tags]) -> None:
        """`change` gives the new tags for the old ones, or raises."""

        def write(c: sqlite3.Connection) -> None:
            tags = json.dumps(dict(change(_group(c, scope, name).tags)))
            c.execute("UPDATE groups SET tags = ? WHERE id = ?", (tags, _group_id(c, scope, name)))

        await self._database.write(write)

    # Streams...

    async def create_stream(self, key: StreamKey, now: int) -> None:
        await self._database.write(lambda c: _create_stream(c, key, now))

    async def streams_by_name(
        self, scope: Scope, group: str, *, prefix: str, after: str, limit: int, descending: bool
    ) -> Sequence[Stream]:
        return await self._database.read(
            lambda c: _streams_by_name(c, _group_id(c, scope, group), prefix, after, limit, descending)
        )

    async def streams_by_time(
        self, scope: Scope, group: str, *, after: tuple[int, str] | None, limit: int, descending: bool
    ) -> Sequence[Stream]:
        """`after` is the last event time (0 for none) and the name of the stream before."""
        return await self._database.read(
            lambda c: _streams_by_time(c, _group_id(c, scope, group), after, limit, descending)
        )

    async def delete_stream(self, key: StreamKey) -> None:
        await self._database.write(
            lambda c: c.execute("UPDATE streams SET deleted = 1 WHERE id = ?", (_stream_id(c, key),))
        )

    # Events...

    async def append(self, batch: Batch, now: int) -> None:
        """Groups and streams that are not there come into being."""
        await self._database.write(lambda c: _append(c, batch, now), self._appended)

    async def append_existing(self, key: StreamKey, events: Sequence[LogEvent], now: int) -> None:
        """Raises ResourceNotFound when the group or the stream is not there."""
        await self._database.write(lambda c: _insert(c, *_existing(c, key), events, now), self._appended)

    async def require_stream(self, key: StreamKey) -> Group:
        """The group of a stream; raises ResourceNotFound when either is not there."""
        return await self._database.read(lambda c: (_stream_id(c, key), _group(c, key.scope, key.group))[1])

    async def page(self, key: StreamKey, span: Span, limit: int) -> Sequence[StoredEvent]:
        """Events of one stream, in the direction of `span`."""
        return await self._database.read(lambda c: reading.page(c, _stream_id(c, key), span, limit))

    async def search(self, scope: Scope, group: str, search: Search) -> Found:
        return await self._database.read(lambda c: _search(c, scope, group, search))

    def _appended(self, is_subscribed: bool) -> None:
        if is_subscribed:
            self.on_subscribed()

    # Subscriptions...

    async def put_subscription(self, scope: Scope, group: str, subscription: Subscription) -> None:
        await self._database.write(lambda c: subscriptions.put(c, _group_id(c, scope, group), subscription))

    async def subscriptions(self, scope: Scope, group: str) -> Sequence[Subscription]:
        return await self._database.read(lambda c: subscriptions.of_group(c, _group_id(c, scope, group)))

    async def delete_subscription(self, scope: Scope, group: str, name: str) -> None:
        await self._database.write(lambda c: subscriptions.delete(c, _group_id(c, scope, group), name))

    async def subscribed(self, function: str) -> Sequence[tuple[str, Subscription]]:
        """By the ARN of a function: with the names of their groups."""
        return await self._database.read(lambda c: subscriptions.to_destination(c, function))

    async def undelivered(self, after: int) -> Undelivered | None:
        return await self._database.read(lambda c: subscriptions.undelivered(c, after))

    async def delivered(self, batch: Undelivered) -> None:
        await self._database.write(lambda c: subscriptions.delivered(c, batch))

    async def sweep_step(self, now: int) -> bool:
        """Remove a little of what is deleted or has outlived its retention; False when there was nothing."""
        return await self._database.write(lambda c: sweeping.step(c, now))


def _create_group(c: sqlite3.Connection, scope: Scope, group: Group) -> None:
    if _find_group(c, scope, group.name) is not None:
        raise ResourceAlreadyExists("The specified log group already exists")
    c.execute(
        "INSERT INTO groups (account, region, name, created, retention, class, kms, protected, tags)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (scope.account, scope.region, group.name, group.created, group.retention_days, group.log_class,
         group.kms_key_id, group.protected, json.dumps(dict(group.tags))),
    )  # fmt: skip


def _find_group(c: sqlite3.Connection, scope: Scope, name: str) -> int | None:
    row = c.execute(
        "SELECT id FROM groups WHERE account = ? AND region = ? AND name = ? AND NOT deleted",
        (scope.account, scope.region, name),
    ).fetchone()
    return row[0] if row else None


def _group_id(c: sqlite3.Connection, scope: Scope, name: str) -> int:
    found = _find_group(c, scope, name)
    if found is None:
        raise no_group()
    return found


def _find_stream(c: sqlite3.Connection, group_id: int, name: str) -> int | None:
    row = c.execute(
        "SELECT id FROM streams WHERE group_id = ? AND name = ? AND NOT deleted", (group_id, name)
    ).fetchone()
    return row[0] if row else None


def _existing(c: sqlite3.Connection, key: StreamKey) -> tuple[int, int]:
    group_id = _group_id(c, key.scope, key.group)
    found = _find_stream(c, group_id, key.stream)
    if found is None:
        raise no_stream()
    return group_id, found


def _stream_id(c: sqlite3.Connection, key: StreamKey) -> int:
    return _existing(c, key)[1]


def _group(c: sqlite3.Connection, scope: Scope, name: str) -> Group:
    row = c.execute(f"SELECT {_GROUP} FROM groups WHERE id = ?", (_group_id(c, scope, name),)).fetchone()
    return _group_of(row)


def _group_of(row: tuple[Any, ...]) -> Group:
    name, created, retention, log_class, kms, protected, tags, size = row
    return Group(name, created, retention, log_class, kms, bool(protected), json.loads(tags), size)


def _groups(c: sqlite3.Connection, scope: Scope, prefix: str, containing: str, after: str, limit: int) -> list[Group]:
    rows = c.execute(
        f"SELECT {_GROUP} FROM groups WHERE account = ?1 AND region = ?2 AND NOT deleted AND name >= ?3 AND name > ?4"
        " AND (?5 IS NULL OR name < ?5) AND instr(lower(name), lower(?6)) ORDER BY name LIMIT ?7",
        (scope.account, scope.region, prefix, after, prefix_end(prefix), containing, limit),
    )
    return [_group_of(row) for row in rows]


def _create_stream(c: sqlite3.Connection, key: StreamKey, now: int) -> None:
    group_id = _group_id(c, key.scope, key.group)
    if _find_stream(c, group_id, key.stream) is not None:
        raise ResourceAlreadyExists("The specified log stream already exists")
    _new_stream(c, group_id, key.stream, now)


def _new_stream(c: sqlite3.Connection, group_id: int, name: str, now: int) -> int:
    made = c.execute("INSERT INTO streams (group_id, name, created) VALUES (?, ?, ?)", (group_id, name, now)).lastrowid
    assert made is not None
    return made


def _streams_by_name(
    c: sqlite3.Connection, group_id: int, prefix: str, after: str, limit: int, descending: bool
) -> list[Stream]:
    beyond, order = ("<", "DESC") if descending else (">", "ASC")
    rows = c.execute(
        f"SELECT {_STREAM} FROM streams WHERE group_id = ?1 AND NOT deleted AND name >= ?2"
        f" AND (?3 IS NULL OR name < ?3) AND (?4 = '' OR name {beyond} ?4) ORDER BY name {order} LIMIT ?5",
        (group_id, prefix, prefix_end(prefix), after, limit),
    )
    return [Stream(*row) for row in rows]


def _streams_by_time(
    c: sqlite3.Connection, group_id: int, after: tuple[int, str] | None, limit: int, descending: bool
) -> list[Stream]:
    beyond, order = ("<", "DESC") if descending else (">", "ASC")
    going_on = f"AND (last_event, name) {beyond} (?, ?)" if after else ""
    rows = c.execute(
        f"SELECT {_STREAM} FROM streams WHERE group_id = ? AND NOT deleted {going_on}"
        f" ORDER BY last_event {order}, name {order} LIMIT ?",
        (group_id, *(after or ()), limit),
    )
    return [Stream(*row) for row in rows]


def _delete_group(c: sqlite3.Connection, group_id: int) -> None:
    c.execute("UPDATE groups SET deleted = 1 WHERE id = ?", (group_id,))
    subscriptions.forget_group(c, group_id)


def _append(c: sqlite3.Connection, batch: Batch, now: int) -> bool:
    """Whether somebody is subscribed to any of it."""
    is_subscribed = False
    for key, events in batch:
        group_id = _find_group(c, key.scope, key.group)
        if group_id is None:
            _create_group(c, key.scope, Group(key.group, now))
            group_id = _group_id(c, key.scope, key.group)
        stream_id = _find_stream(c, group_id, key.stream)
        if stream_id is None:
            stream_id = _new_stream(c, group_id, key.stream, now)
        is_subscribed |= _insert(c, group_id, stream_id, events, now)
    return is_subscribed


def _insert(c: sqlite3.Connection, group_id: int, stream_id: int, events: Sequence[LogEvent], now: int) -> bool:
    if not events:
        return False
    before = subscriptions.newest(c)
    c.executemany(
        "INSERT INTO events (group_id, stream_id, timestamp, ingested, message) VALUES (?, ?, ?, ?, ?)",
        [(group_id, stream_id, event.timestamp, now, _text(event.message)) for event in events],
    )
    times = [event.timestamp for event in events]
    c.execute(
        "UPDATE streams SET first_event = min(coalesce(first_event, ?1), ?1), last_event = max(last_event, ?2),"
        " ingested = ?3 WHERE id = ?4",
        (min(times), max(times), now, stream_id),
    )
    size = sum(len(event.message) + EVENT_OVERHEAD for event in events)
    c.execute("UPDATE groups SET bytes = bytes + ? WHERE id = ?", (size, group_id))
    return subscriptions.note(c, group_id, before)


def _search(c: sqlite3.Connection, scope: Scope, group: str, search: Search) -> Found:
    group_id = _group_id(c, scope, group)
    for name in search.streams:
        if _find_stream(c, group_id, name) is None:
            raise no_stream()
    return reading.search(c, group_id, search)


def _text(message: str) -> str:
    """Half a surrogate pair, which JSON can bring, is not text that can be stored."""
    return message if message.isascii() else message.encode("utf-8", "replace").decode()
