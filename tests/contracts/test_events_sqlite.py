"""What the event queue on a disk promises beyond the contract: it survives, it shrinks, and it reads no more than it must."""

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pasture.domain.events import Channel, Condition, Delivery, Event
from pasture.domain.scope import Scope
from pasture.store.events import Failure, Whose
from pasture.store.kinds.events_sqlite import Kept, SqliteEvents

F = Whose(Scope(), "f")
MANY = 1_000


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[SqliteEvents]:
    made = await SqliteEvents.open(tmp_path / "events.db", Kept(events=3, seconds=1000.0))
    yield made
    await made.close()


def an_event(id_: str, **more: Any) -> Event:
    return Event(
        **{"id": id_, "scope": Scope(), "name": "f", "qualifier": "", "payload": b"{}", "accepted": 100.0, **more}
    )


def a_delivery(id_: str, **more: Any) -> Delivery:
    members: dict[str, Any] = {
        "id": id_,
        "channel": Channel.DEAD_LETTER,
        "target": "arn:aws:sqs:us-east-1:000000000000:q",
        "scope": Scope(),
        "name": "f",
        "qualifier": "$LATEST",
        "role": "arn:aws:iam::000000000000:role/r",
        "body": b"\x00\xff",
        "created": 100.0,
        "condition": Condition.RETRIES_EXHAUSTED,
        "trace_id": "Root=1",
        "attributes": {"RequestID": ("String", "1")},
    }
    return Delivery(**{**members, **more})


async def over(queue: SqliteEvents, *deliveries: Delivery, id_: str = "1") -> None:
    await queue.put(an_event(id_))
    (event,) = (await queue.claim(F, 1e9, 1, 0)).events
    await queue.finish(event, deliveries)


async def fail(queue: SqliteEvents, id_: str, at: float) -> None:
    await queue.put(an_event(id_))
    (event,) = (await queue.claim(F, 1e9, 1, 0)).events
    await queue.finish(event, failure=Failure(Condition.RETRIES_EXHAUSTED, at))


# Survival...


async def test_what_was_claimed_and_not_ended_is_there_again_after_a_restart(tmp_path: Path) -> None:
    queue = await SqliteEvents.open(tmp_path / "events.db")
    for number in range(3):
        await queue.put(an_event(str(number), accepted=float(number)))
    first, second = (await queue.claim(F, 100.0, 2, MANY)).events
    await queue.finish(first)
    await queue.close()
    again = await SqliteEvents.open(tmp_path / "events.db")
    assert again.backlog() == {F: 1.0}
    assert [event.id for event in (await again.claim(F, 100.0, 10, MANY)).events] == [second.id, "2"]
    await again.close()


async def test_an_event_that_ends_while_others_are_claimed_is_not_claimed_again(queue: SqliteEvents) -> None:
    for number in range(200):
        await queue.put(an_event(str(number), accepted=float(number)))
    seen: list[str] = []
    while len(seen) < 200:
        events = (await queue.claim(F, 1e9, 3, MANY)).events
        ends = [asyncio.ensure_future(queue.finish(event)) for event in events]
        seen += [event.id for event in events]
        more = (await queue.claim(F, 1e9, 3, MANY)).events
        seen += [event.id for event in more]
        await asyncio.gather(*ends, *(queue.finish(event) for event in more))
    assert sorted(map(int, seen)) == list(range(200))


async def test_an_event_and_its_deliveries_end_together_or_not_at_all(queue: SqliteEvents, tmp_path: Path) -> None:
    await over(queue, a_delivery("d"), id_="1")
    await queue.put(an_event("2"))
    (event,) = (await queue.claim(F, 1e9, 1, 0)).events
    with pytest.raises(Exception, match="UNIQUE"):
        await queue.finish(event, [a_delivery("new"), a_delivery("d")])
    assert (await queue.listing(F, 0.0, 10)).queued == 1
    assert [delivery.id for delivery in await queue.outbox.due(1e9, 10)] == ["d"]


async def test_what_is_counted_is_what_is_there(queue: SqliteEvents, tmp_path: Path) -> None:
    for number in range(20):
        await queue.put(an_event(str(number), name=f"f{number % 3}", accepted=float(number)))
    for name in ("f0", "f1"):
        for position, event in enumerate((await queue.claim(Whose(Scope(), name), 1e9, 5, MANY)).events):
            await queue.finish(
                event, failure=Failure(Condition.RETRIES_EXHAUSTED, float(position)) if position % 2 else None
            )
    await queue.redrive(Whose(Scope(), "f1"), 1.0)
    await queue.purge(Whose(Scope(), "f2"))
    with sqlite3.connect(tmp_path / "events.db") as c:
        counted = c.execute("SELECT id, queued, failed FROM functions ORDER BY id").fetchall()
        there = c.execute(
            "SELECT f.id, (SELECT count(*) FROM events WHERE function = f.id AND failed IS NULL),"
            " (SELECT count(*) FROM events WHERE function = f.id AND failed IS NOT NULL) FROM functions f ORDER BY id"
        ).fetchall()
        assert counted == there
        assert c.execute("SELECT failed_events FROM totals").fetchone() == (sum(row[2] for row in there),)
    c.close()


async def test_a_purge_that_meets_running_events_counts_them_once(queue: SqliteEvents) -> None:
    for number in range(5):
        await queue.put(an_event(str(number)))
    running = (await queue.claim(F, 1e9, 2, MANY)).events
    assert await queue.purge(F) == 3
    for event in running:
        await queue.finish(event)
    assert (await queue.listing(F, 0.0, 10)).queued == 0


# Bounds...


async def test_of_failed_events_the_newest_are_kept(queue: SqliteEvents) -> None:
    for number in range(6):
        await fail(queue, str(number), at=float(number))
    listing = await queue.listing(F, 0.0, 10)
    assert (listing.failed, [shown.id for shown in listing.first_failed]) == (3, ["5", "4", "3"])


async def test_failed_events_that_have_been_kept_long_enough_are_forgotten(queue: SqliteEvents) -> None:
    await fail(queue, "old", at=500.0)
    await fail(queue, "new", at=900.0)
    while await queue.tidy(1_600.0):
        pass
    assert [shown.id for shown in (await queue.listing(F, 0.0, 10)).first_failed] == ["new"]


async def test_the_file_shrinks_after_it_was_drained(queue: SqliteEvents, tmp_path: Path) -> None:
    payload = b"x" * 100_000
    await asyncio.gather(*(queue.put(an_event(str(number), payload=payload)) for number in range(200)))
    full = (tmp_path / "events.db").stat().st_size + (tmp_path / "events.db-wal").stat().st_size
    assert full > 20_000_000
    assert await queue.purge(F) == 200
    while await queue.tidy(0.0):
        pass
    await queue.close()
    assert (tmp_path / "events.db").stat().st_size < full / 4


async def test_nothing_is_scanned_to_claim_to_count_or_to_open(queue: SqliteEvents, tmp_path: Path) -> None:
    await queue.put(an_event("1"))
    with sqlite3.connect(tmp_path / "events.db") as c:
        statements = [
            "SELECT seq, due FROM events WHERE function = 1 AND failed IS NULL ORDER BY due, seq LIMIT 9",
            "SELECT 1 FROM events WHERE function = 1 AND failed IS NULL AND due > 5 LIMIT 9",
            "SELECT (SELECT min(due) FROM events WHERE function = f.id AND failed IS NULL) FROM functions f WHERE queued",
            "SELECT min(due) FROM deliveries WHERE failed IS NULL AND due > 5",
            "SELECT seq FROM events WHERE failed < 5 ORDER BY failed LIMIT 5",
        ]
        for statement in statements:
            plan = " ".join(row[3] for row in c.execute(f"EXPLAIN QUERY PLAN {statement}"))
            assert "INDEX" in plan, plan
            assert "TEMP B-TREE" not in plan, plan
    c.close()


# The outbox...


async def test_a_delivery_comes_out_as_it_went_in(queue: SqliteEvents) -> None:
    await over(queue, a_delivery("d"))
    assert list(await queue.outbox.due(100.0, 10)) == [a_delivery("d")]
    assert list(await queue.outbox.due(99.0, 10)) == []


async def test_deliveries_are_told_of_when_they_are_there(queue: SqliteEvents) -> None:
    told: list[int] = []
    stop = queue.outbox.on_added(lambda: told.append(1))
    await over(queue)
    assert told == []
    await over(queue, a_delivery("d"))
    stop()
    await over(queue, a_delivery("e"))
    assert told == [1]


async def test_the_longest_due_come_first_without_the_busy_and_those_whose_target_rests(queue: SqliteEvents) -> None:
    others = [a_delivery(f"o{number}", target="arn:o", created=float(number)) for number in range(5)]
    await over(queue, a_delivery("b", created=3.0), a_delivery("a", created=1.0), *others)
    found = await queue.outbox.due(100.0, 2, busy=frozenset({"a"}), resting=frozenset({"arn:o"}))
    assert [delivery.id for delivery in found] == ["b"]
    assert [delivery.id for delivery in await queue.outbox.due(100.0, 4)] == ["o0", "a", "o1", "o2"]


async def test_one_that_is_postponed_counts_its_attempts_and_is_due_later(queue: SqliteEvents) -> None:
    await over(queue, a_delivery("d"), a_delivery("e", created=200.0))
    await queue.outbox.postpone("d", 300.0, "no such queue")
    assert [await queue.outbox.next_due(), await queue.outbox.next_due(200.0), await queue.outbox.next_due(300.0)] == [
        200.0,
        300.0,
        None,
    ]
    assert list(await queue.outbox.due(300.0, 10))[1] == dataclasses.replace(a_delivery("d"), attempts=1)


async def test_what_was_delivered_or_given_up_is_due_no_more(queue: SqliteEvents) -> None:
    await over(queue, a_delivery("d"), a_delivery("e"))
    await queue.outbox.delivered("d")
    await queue.outbox.delivered("d")
    await queue.outbox.give_up("e", "no")
    await queue.outbox.give_up("e", "no")
    assert (list(await queue.outbox.due(1e9, 10)), await queue.outbox.next_due()) == ([], None)
