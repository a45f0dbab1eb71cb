"""The event queue in a SQLite file of its own: payloads are on the disk until they are claimed."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pasture.domain.events import Delivery, Event
from pasture.store.database import Database
from pasture.store.events import Claimed, Failure, Listing, Noticed, Whose
from pasture.store.kinds import events_rows as rows
from pasture.store.kinds.events_schema import SCHEMA, tidy
from pasture.store.kinds.outbox_sqlite import SqliteOutbox, add_deliveries


@dataclass(frozen=True, slots=True)
class Kept:
    """How many failed events and deliveries are kept, and for how long."""

    events: int = 10_000
    seconds: float = 14 * 86_400.0


class SqliteEvents:
    """Mutable state: what is claimed. Its outbox is in the same file."""

    def __init__(self, database: Database, backlog: Mapping[Whose, float], kept: Kept) -> None:
        self._database = database
        self._backlog = backlog
        self._kept = kept
        self._claims: dict[Whose, dict[str, int]] = {}
        """The claimed events of each function: id → row."""
        self._noticed: dict[object, Noticed] = {}
        self.outbox = SqliteOutbox(database, kept.events)

    @classmethod
    async def open(cls, path: Path, kept: Kept = Kept()) -> Self:
        """Raises OperatorError when the file is damaged, not ours or newer than this program."""
        database = await Database.open(path, SCHEMA)
        return cls(database, await database.read(rows.backlog), kept)

    def __repr__(self) -> str:
        return f"SqliteEvents({self._database.path}, {sum(map(len, self._claims.values()))} claimed)"

    async def close(self) -> None:
        await self._database.close()

    def backlog(self) -> Mapping[Whose, float]:
        return self._backlog

    def on_queued(self, noticed: Noticed) -> Callable[[], None]:
        token = object()
        self._noticed[token] = noticed
        return lambda: self._noticed.pop(token, None) and None

    def _notice(self, whose: Whose, due: float) -> None:
        for noticed in list(self._noticed.values()):
            noticed(whose, due)

    # In and out...

    async def put(self, event: Event) -> None:
        whose = Whose(event.scope, event.name)
        directory = self._database.path.parent

        def write(c: sqlite3.Connection) -> None:
            rows.check_room(directory, len(event.payload))
            rows.put(c, event)

        await self._database.write(write, lambda _: self._notice(whose, event.accepted))

    async def claim(self, whose: Whose, now: float, limit: int, most_bytes: int) -> Claimed:
        # Taken now: an event that ends while this reads may still be in what it reads, and is not to run again.
        held = self._held(whose)
        found, next_due = await self._database.read(lambda c: rows.due(c, whose, now, limit, most_bytes, held))
        if found:
            self._claims.setdefault(whose, {}).update({event.id: seq for seq, event in found})
        return Claimed([event for _, event in found], next_due)

    async def retry(self, event: Event, due: float, error: str) -> None:
        whose, seq = self._claim_of(event)

        def given_back(_: object) -> None:
            self._release(whose, event.id)
            self._notice(whose, due)

        await self._database.write(
            lambda c: (
                c.execute(
                    "UPDATE events SET due = ?, attempts = ?, setbacks = ?, error = ? WHERE seq = ?",
                    (due, event.attempts, event.setbacks, error, seq),
                ).rowcount
            ),
            given_back,
        )

    async def finish(self, event: Event, deliveries: Sequence[Delivery] = (), failure: Failure | None = None) -> None:
        whose, seq = self._claim_of(event)
        kept, outbox = self._kept.events, self.outbox

        def write(c: sqlite3.Connection) -> None:
            if failure is None:
                rows.delete(c, seq)
            else:
                rows.fail(c, seq, event, failure, kept)
            add_deliveries(c, deliveries)

        def over(_: object) -> None:
            self._release(whose, event.id)
            if deliveries:
                outbox.has_more()

        await self._database.write(write, over)

    def _held(self, whose: Whose) -> frozenset[int]:
        return frozenset(self._claims.get(whose, {}).values())

    def _claim_of(self, event: Event) -> tuple[Whose, int]:
        whose = Whose(event.scope, event.name)
        return whose, self._claims[whose][event.id]

    def _release(self, whose: Whose, id_: str) -> None:
        claims = self._claims[whose]
        del claims[id_]
        if not claims:
            del self._claims[whose]

    # For people...

    async def listing(self, whose: Whose, now: float, limit: int) -> Listing:
        held = self._held(whose)
        return await self._database.read(lambda c: rows.listing(c, whose, now, limit, held))

    async def purge(self, whose: Whose, *, failed: bool = False) -> int:
        step = rows.purge_failed if failed else rows.purge
        purged = 0
        while True:
            held = self._held(whose)
            count = await self._database.write(lambda c, held=held: step(c, whose, held))  # type: ignore[misc]
            purged += count
            if not count:
                return purged

    async def redrive(self, whose: Whose, now: float) -> int:
        redriven = 0
        while count := await self._database.write(lambda c: rows.redrive(c, whose, now)):
            redriven += count
            self._notice(whose, now)
        return redriven

    async def tidy(self, now: float) -> bool:
        return await self._database.write(lambda c: tidy(c, now - self._kept.seconds))
