"""The outbox of the event queue: deliveries that are still to be made, in the same SQLite file."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from pasture.domain.events import Delivery
from pasture.store.database import Database
from pasture.store.events import Whose
from pasture.store.kinds import troubled_deliveries
from pasture.store.outbox import Troubles


class SqliteOutbox:
    def __init__(self, database: Database, kept: int, now: Callable[[], float] = time.time) -> None:
        """`kept`: so many of those that cannot be delivered."""
        self._database = database
        self._kept = kept
        self._now = now
        self._wakes: dict[object, Callable[[], None]] = {}

    def __repr__(self) -> str:
        return f"SqliteOutbox({self._database.path})"

    async def due(
        self, now: float, limit: int, *, busy: frozenset[str] = frozenset(), resting: frozenset[str] = frozenset()
    ) -> Sequence[Delivery]:
        return await self._database.read(lambda c: _due(c, now, limit, busy, resting))

    async def next_due(self, after: float = 0.0) -> float | None:
        return await self._database.read(lambda c: _next_due(c, after))

    async def add(self, delivery: Delivery) -> None:
        """One that belongs to no event's end. Again is as good as once."""

        def write(c: sqlite3.Connection) -> None:
            if c.execute("SELECT 1 FROM deliveries WHERE id = ?", (delivery.id,)).fetchone() is None:
                add_deliveries(c, [delivery])

        await self._database.write(write, lambda _: self.has_more())

    async def delivered(self, id_: str) -> None:
        await self._database.write(lambda c: _delivered(c, id_))

    async def postpone(self, id_: str, due: float, error: str) -> None:
        await self._database.write(
            lambda c: (
                c.execute(
                    "UPDATE deliveries SET due = ?, error = ?, attempts = attempts + 1 WHERE id = ?", (due, error, id_)
                ).rowcount
            )
        )

    async def give_up(self, id_: str, error: str) -> None:
        await self._database.write(lambda c: _give_up(c, id_, error, self._now(), self._kept))

    async def troubles(self, whose: Whose, limit: int) -> Troubles:
        return await self._database.read(lambda c: troubled_deliveries.troubles(c, whose, limit))

    async def deliver_again(self, whose: Whose, now: float, id_: str = "") -> int:
        total = 0
        while count := await self._database.write(lambda c: troubled_deliveries.deliver_again(c, whose, now, id_)):
            total += count
            self.has_more()
        return total

    async def forget(self, whose: Whose, id_: str = "") -> int:
        total = 0
        while count := await self._database.write(lambda c: troubled_deliveries.forget(c, whose, id_)):
            total += count
        return total

    def on_added(self, wake: Callable[[], None]) -> Callable[[], None]:
        token = object()
        self._wakes[token] = wake
        return lambda: self._wakes.pop(token, None) and None

    def has_more(self) -> None:
        """For whoever has added deliveries to the file."""
        for wake in list(self._wakes.values()):
            wake()


def add_deliveries(c: sqlite3.Connection, deliveries: Iterable[Delivery]) -> None:
    for delivery in deliveries:
        (target,) = c.execute(
            "INSERT INTO targets (arn, waiting) VALUES (?, 1)"
            " ON CONFLICT DO UPDATE SET waiting = waiting + 1 RETURNING id",
            (delivery.target,),
        ).fetchone()
        c.execute(
            "INSERT INTO deliveries (id, target, due, attempts, record, body, owner) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (delivery.id, target, delivery.created, delivery.attempts, _record(delivery), delivery.body,
             troubled_deliveries.owner(Whose(delivery.scope, delivery.name))),
        )  # fmt: skip


def _record(delivery: Delivery) -> str:
    members = msgspec.to_builtins(delivery, builtin_types=(bytes,))
    del members["body"], members["attempts"]
    return json.dumps(members)


def _delivery(record: str, body: bytes, attempts: int) -> Delivery:
    members = {**json.loads(record), "body": body, "attempts": attempts}
    return msgspec.convert(members, Delivery, builtin_types=(bytes,))


def _due(
    c: sqlite3.Connection, now: float, limit: int, busy: frozenset[str], resting: frozenset[str]
) -> list[Delivery]:
    """The first of each target, and of these the first: so one that rests with many hides nobody."""
    rows: list[tuple[Any, ...]] = []
    for target, arn in c.execute("SELECT id, arn FROM targets INDEXED BY waiting_targets WHERE waiting").fetchall():
        if arn in resting:
            continue
        rows += c.execute(
            "SELECT due, seq, id FROM deliveries WHERE target = ? AND failed IS NULL AND due <= ?"
            " ORDER BY due, seq LIMIT ?",
            (target, now, limit + len(busy)),
        )
    first = sorted(row for row in rows if row[2] not in busy)[:limit]
    found = "SELECT record, body, attempts FROM deliveries WHERE seq = ?"
    return [_delivery(*c.execute(found, (seq,)).fetchone()) for _, seq, _ in first]


def _next_due(c: sqlite3.Connection, after: float) -> float | None:
    (due,) = c.execute("SELECT min(due) FROM deliveries WHERE failed IS NULL AND due > ?", (after,)).fetchone()
    return None if due is None else float(due)


def _delivered(c: sqlite3.Connection, id_: str) -> None:
    row = c.execute("DELETE FROM deliveries WHERE id = ? AND failed IS NULL RETURNING target", (id_,)).fetchone()
    if row is not None:
        _one_less(c, row[0])


def _one_less(c: sqlite3.Connection, target: int) -> None:
    c.execute("UPDATE targets SET waiting = waiting - 1 WHERE id = ?", (target,))


def _give_up(c: sqlite3.Connection, id_: str, error: str, now: float, kept: int) -> None:
    row = c.execute(
        "UPDATE deliveries SET failed = ?, error = ?, attempts = attempts + 1 WHERE id = ? AND failed IS NULL"
        " RETURNING target",
        (now, error, id_),
    ).fetchone()
    if row is None:
        return
    _one_less(c, row[0])
    (count,) = c.execute(
        "UPDATE totals SET failed_deliveries = failed_deliveries + 1 RETURNING failed_deliveries"
    ).fetchone()
    if count > kept:
        oldest = "SELECT seq FROM deliveries WHERE failed IS NOT NULL ORDER BY failed LIMIT ?"
        gone = c.execute(f"DELETE FROM deliveries WHERE seq IN ({oldest})", (min(count - kept, 2),)).rowcount
        c.execute("UPDATE totals SET failed_deliveries = failed_deliveries - ?", (gone,))
