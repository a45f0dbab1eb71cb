"""What every kind of event queue promises, judged over all of them."""

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pasture.domain.events import Condition, Event
from pasture.domain.scope import Scope
from pasture.store.events import EventQueue, Failure, Whose
from pasture.store.kinds.events_memory import MemoryEvents
from pasture.store.kinds.events_sqlite import SqliteEvents

F, G = Whose(Scope(), "f"), Whose(Scope(), "g")
MANY_BYTES = 1_000_000


@pytest.fixture(params=["memory", "sqlite"])
async def queue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventQueue]:
    made: EventQueue = MemoryEvents() if request.param == "memory" else await SqliteEvents.open(tmp_path / "events.db")
    yield made
    await made.close()


def an_event(id_: str, **more: Any) -> Event:
    return Event(
        **{"id": id_, "scope": Scope(), "name": "f", "qualifier": "", "payload": b"{}", "accepted": 100.0, **more}
    )


async def claimed(queue: EventQueue, whose: Whose = F, now: float = 1e9, limit: int = 100) -> list[str]:
    return [event.id for event in (await queue.claim(whose, now, limit, MANY_BYTES)).events]


async def test_what_was_put_is_what_is_claimed(queue: EventQueue) -> None:
    event = an_event(
        "1", qualifier="live", payload=b'{"a":"\xc3\xa9"}', trace_id="Root=1", client_context="{}", tenant_id="blue"
    )
    await queue.put(event)
    assert list((await queue.claim(F, 100.0, 10, 0)).events) == [event]


async def test_an_event_is_claimed_once(queue: EventQueue) -> None:
    await queue.put(an_event("1"))
    assert await claimed(queue) == ["1"]
    assert await claimed(queue) == []


async def test_events_of_a_function_are_claimed_in_the_order_they_are_due(queue: EventQueue) -> None:
    for id_, accepted in (("3", 3.0), ("1", 1.0), ("2", 2.0)):
        await queue.put(an_event(id_, accepted=accepted))
    await queue.put(an_event("of another", name="g", accepted=0.0))
    assert await claimed(queue, limit=2) == ["1", "2"]
    assert await claimed(queue) == ["3"]


async def test_a_claim_says_when_the_next_is_due(queue: EventQueue) -> None:
    for id_, accepted in (("1", 1.0), ("2", 2.0), ("3", 50.0)):
        await queue.put(an_event(id_, accepted=accepted))
    first = await queue.claim(F, 10.0, 1, MANY_BYTES)
    second = await queue.claim(F, 10.0, 10, MANY_BYTES)
    third = await queue.claim(F, 50.0, 10, MANY_BYTES)
    assert [([event.id for event in each.events], each.next_due) for each in (first, second, third)] == [
        (["1"], 2.0),
        (["2"], 50.0),
        (["3"], None),
    ]


async def test_of_an_unknown_function_nothing_is_claimed(queue: EventQueue) -> None:
    assert await queue.claim(G, 1e9, 10, MANY_BYTES) == await queue.claim(F, 1e9, 10, MANY_BYTES)
    assert await claimed(queue, G) == []


async def test_a_claim_takes_no_more_payload_than_it_may_but_one_in_any_case(queue: EventQueue) -> None:
    for number in range(4):
        await queue.put(an_event(str(number), payload=b"x" * 100, accepted=float(number)))
    sizes = [[event.id for event in (await queue.claim(F, 1e9, 10, most)).events] for most in (0, 250, 0)]
    assert sizes == [["0"], ["1", "2"], ["3"]]


async def test_one_to_be_retried_comes_again_when_it_is_due_with_what_it_has_been_through(queue: EventQueue) -> None:
    await queue.put(an_event("1"))
    (event,) = (await queue.claim(F, 100.0, 1, 0)).events
    tried = dataclasses.replace(event, attempts=1, setbacks=2)
    await queue.retry(tried, 160.0, "Unhandled")
    early = await queue.claim(F, 159.0, 1, 0)
    assert (list(early.events), early.next_due) == ([], 160.0)
    assert list((await queue.claim(F, 160.0, 1, 0)).events) == [tried]


async def test_one_that_is_finished_is_gone(queue: EventQueue) -> None:
    await queue.put(an_event("1"))
    (event,) = (await queue.claim(F, 100.0, 1, 0)).events
    await queue.finish(event)
    assert await claimed(queue) == []
    listing = await queue.listing(F, 0.0, 10)
    assert (listing.queued, listing.failed, listing.claimed) == (0, 0, 0)


async def test_one_that_failed_is_shown_with_why_and_is_not_claimed(queue: EventQueue) -> None:
    await queue.put(an_event("1", qualifier="live"))
    (event,) = (await queue.claim(F, 100.0, 1, 0)).events
    await queue.finish(
        dataclasses.replace(event, attempts=3), failure=Failure(Condition.RETRIES_EXHAUSTED, 400.0, "boom")
    )
    assert await claimed(queue) == []
    listing = await queue.listing(F, 0.0, 10)
    (shown,) = listing.first_failed
    assert (listing.queued, listing.failed) == (0, 1)
    assert (shown.id, shown.qualifier, shown.attempts, shown.error, shown.condition, shown.failed) == (
        "1",
        "live",
        3,
        "boom",
        "RetriesExhausted",
        400.0,
    )


async def test_people_are_shown_counts_and_the_first(queue: EventQueue) -> None:
    for number in range(5):
        await queue.put(an_event(str(number), accepted=float(number)))
    await queue.put(an_event("later", accepted=200.0))
    first = (await queue.claim(F, 100.0, 1, 0)).events[0]
    listing = await queue.listing(F, 100.0, 3)
    assert (listing.queued, listing.retrying, listing.claimed, listing.failed) == (6, 1, 1, 0)
    assert [(shown.id, shown.is_claimed, shown.size) for shown in listing.first] == [
        ("0", True, 2),
        ("1", False, 2),
        ("2", False, 2),
    ]
    assert (await queue.listing(G, 0.0, 10)).queued == 0
    await queue.finish(first)


async def test_purging_leaves_what_is_claimed_and_what_failed(queue: EventQueue) -> None:
    for number in range(4):
        await queue.put(an_event(str(number), accepted=float(number)))
    running, failing = (await queue.claim(F, 100.0, 2, MANY_BYTES)).events
    await queue.finish(failing, failure=Failure(Condition.RETRIES_EXHAUSTED, 5.0))
    assert await queue.purge(F) == 2
    listing = await queue.listing(F, 100.0, 10)
    assert (listing.queued, listing.claimed, listing.failed) == (1, 1, 1)
    await queue.finish(running)
    assert await queue.purge(F, failed=True) == 1
    listing = await queue.listing(F, 100.0, 10)
    assert (listing.queued, listing.claimed, listing.failed) == (0, 0, 0)


async def test_what_failed_is_redriven_as_if_it_were_new(queue: EventQueue) -> None:
    await queue.put(an_event("1"))
    (event,) = (await queue.claim(F, 100.0, 1, 0)).events
    tired = dataclasses.replace(event, attempts=3, setbacks=1)
    await queue.finish(tired, failure=Failure(Condition.RETRIES_EXHAUSTED, 400.0, "boom"))
    assert (await queue.redrive(F, 900.0), await queue.redrive(F, 900.0)) == (1, 0)
    assert list((await queue.claim(F, 900.0, 1, 0)).events) == [dataclasses.replace(event, accepted=900.0)]


async def test_whoever_listens_is_told_of_all_that_is_to_run(queue: EventQueue) -> None:
    told: list[tuple[Whose, float]] = []
    stop = queue.on_queued(lambda whose, due: told.append((whose, due)))
    await queue.put(an_event("1"))
    (event,) = (await queue.claim(F, 100.0, 1, 0)).events
    await queue.retry(event, 160.0, "")
    (event,) = (await queue.claim(F, 160.0, 1, 0)).events
    await queue.finish(event, failure=Failure(Condition.RETRIES_EXHAUSTED, 170.0))
    await queue.redrive(F, 180.0)
    stop()
    await queue.put(an_event("2"))
    assert told == [(F, 100.0), (F, 160.0), (F, 180.0)]


async def test_an_event_that_is_kept_once_is_the_same_when_it_comes_again_also_after_it_has_run(
    queue: EventQueue,
) -> None:
    event = an_event("1", is_once=True)
    await queue.put(event)
    await queue.put(event)
    assert await claimed(queue) == ["1"]
    await queue.finish(event)
    await queue.put(event)
    assert await claimed(queue) == []
    await queue.put(an_event("2", is_once=True))
    assert await claimed(queue) == ["2"]
