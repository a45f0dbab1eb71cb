"""Subscription filters, and which events are still to be delivered by them: the tables of the log store.

An event of a group with subscriptions is noted for each of them in the transaction that stores it, and struck out when
it is delivered. Whatever dies in between, it is delivered, perhaps twice.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pasture.domain.scope import Scope
from pasture.logs.errors import LimitExceeded, no_subscription
from pasture.logs.records import EVENT_OVERHEAD, Position, StoredEvent

# Of one group, by AWS.
MOST = 2
# What is delivered in one go: so many events, so many characters.
_BATCH_EVENTS = 1_000
_BATCH_CHARACTERS = 512 * 1024

TABLES = [
    # The number of a subscription is not used again: what is noted for it is for it alone.
    """CREATE TABLE subscriptions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, group_id INTEGER NOT NULL, name TEXT NOT NULL, pattern TEXT NOT NULL,
        destination TEXT NOT NULL, distribution TEXT NOT NULL, created INTEGER NOT NULL, UNIQUE (group_id, name))""",
    """CREATE TABLE undelivered (
        subscription_id INTEGER NOT NULL, event_id INTEGER NOT NULL, PRIMARY KEY (subscription_id, event_id))
        WITHOUT ROWID""",
]

_SUBSCRIPTION = "name, pattern, destination, distribution, created"


@dataclass(frozen=True, slots=True)
class Subscription:
    name: str
    pattern: str
    destination: str
    """The ARN of a function."""
    distribution: str = "ByLogStream"
    created: int = 0


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Events of one stream, in the order they came."""

    id: int
    """Of the subscription."""
    scope: Scope
    group: str
    subscription: Subscription
    noted: Sequence[int]
    """What is struck out when they are delivered: also events that have outlived their retention meanwhile."""
    events: Sequence[StoredEvent]


def put(c: sqlite3.Connection, group_id: int, subscription: Subscription) -> None:
    """Made, or changed: then it goes on where it was, and is as old as it was. Raises LimitExceeded."""
    names = {name for (name,) in c.execute("SELECT name FROM subscriptions WHERE group_id = ?", (group_id,))}
    if subscription.name not in names and len(names) >= MOST:
        raise LimitExceeded("Resource limit exceeded.")
    c.execute(
        "INSERT INTO subscriptions (group_id, name, pattern, destination, distribution, created)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (group_id, name)"
        " DO UPDATE SET pattern = ?3, destination = ?4, distribution = ?5",
        (group_id, subscription.name, subscription.pattern, subscription.destination, subscription.distribution,
         subscription.created),
    )  # fmt: skip


def of_group(c: sqlite3.Connection, group_id: int) -> list[Subscription]:
    """By name."""
    where = f"SELECT {_SUBSCRIPTION} FROM subscriptions WHERE group_id = ? ORDER BY name"  # noqa: S608 - constants
    return [Subscription(*row) for row in c.execute(where, (group_id,))]


def to_destination(c: sqlite3.Connection, arn: str) -> list[tuple[str, Subscription]]:
    """With their groups' names: of a function, whatever the qualifier."""
    rows = c.execute(
        "SELECT g.name, s.name, s.pattern, s.destination, s.distribution, s.created FROM subscriptions s"
        " JOIN groups g ON g.id = s.group_id WHERE s.destination = ?1 OR s.destination GLOB ?1 || ':*'"
        " ORDER BY g.name, s.name",
        (arn,),
    )
    return [(group, Subscription(*row)) for group, *row in rows]


def delete(c: sqlite3.Connection, group_id: int, name: str) -> None:
    row = c.execute("SELECT id FROM subscriptions WHERE group_id = ? AND name = ?", (group_id, name)).fetchone()
    if row is None:
        raise no_subscription()
    c.execute("DELETE FROM undelivered WHERE subscription_id = ?", row)
    c.execute("DELETE FROM subscriptions WHERE id = ?", row)


def forget_group(c: sqlite3.Connection, group_id: int) -> None:
    for subscription in of_group(c, group_id):
        delete(c, group_id, subscription.name)


def note(c: sqlite3.Connection, group_id: int, before: int) -> bool:
    """Events of the group whose numbers are greater than `before`; whether anybody is subscribed to them."""
    noted = c.execute(
        # The plus: by number, not by the index of the group, which knows no numbers.
        "INSERT OR IGNORE INTO undelivered SELECT s.id, e.id FROM subscriptions s"
        " CROSS JOIN events e WHERE s.group_id = ?1 AND e.id > ?2 AND +e.group_id = ?1",
        (group_id, before),
    )
    return noted.rowcount > 0


def newest(c: sqlite3.Connection) -> int:
    return int(c.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])


def undelivered(c: sqlite3.Connection, after: int) -> Undelivered | None:
    """Of the first subscription beyond number `after` that has something to be delivered."""
    row = c.execute(
        "SELECT s.id, g.account, g.region, g.name, s.name, s.pattern, s.destination, s.distribution, s.created"
        " FROM subscriptions s JOIN groups g ON g.id = s.group_id WHERE s.id > ?"
        " AND EXISTS (SELECT 1 FROM undelivered u WHERE u.subscription_id = s.id) ORDER BY s.id LIMIT 1",
        (after,),
    ).fetchone()
    if row is None:
        return None
    number, account, region, group, *rest = row
    noted, events = _batch(c, number)
    return Undelivered(number, Scope(account, region), group, Subscription(*rest), noted, events)


def _batch(c: sqlite3.Connection, number: int) -> tuple[list[int], list[StoredEvent]]:
    rows = c.execute(
        "SELECT u.event_id, e.timestamp, st.name, e.ingested, e.message FROM undelivered u"
        " JOIN subscriptions s ON s.id = u.subscription_id"
        " LEFT JOIN events e ON e.id = u.event_id AND e.group_id = s.group_id"
        " LEFT JOIN streams st ON st.id = e.stream_id"
        " WHERE u.subscription_id = ? ORDER BY u.event_id LIMIT ?",
        (number, _BATCH_EVENTS),
    )
    noted: list[int] = []
    events: list[StoredEvent] = []
    size = 0
    for event_id, timestamp, stream, ingested, message in rows:
        if stream is not None:
            size += len(message) + EVENT_OVERHEAD
            if events and (size > _BATCH_CHARACTERS or events[0].stream != stream):
                break
            events.append(StoredEvent(Position(timestamp, event_id), stream, ingested, message))
        noted.append(event_id)
    return noted, events


def delivered(c: sqlite3.Connection, batch: Undelivered) -> None:
    c.executemany(
        "DELETE FROM undelivered WHERE subscription_id = ? AND event_id = ?",
        [(batch.id, event_id) for event_id in batch.noted],
    )
