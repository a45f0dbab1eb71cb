"""What every outbox does: the one in memory that tests use, and the one in the file of the event queue."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from fakes.outbox import FakeOutbox, a_delivery
from pasture.domain.events import Channel, Condition, Delivery, Event
from pasture.domain.scope import Scope
from pasture.store.events import Whose
from pasture.store.kinds.events_sqlite import SqliteEvents
from pasture.store.outbox import Outbox

NOW = 1_700_000_000.0
A, B = "arn:aws:sqs:us-east-1:000000000000:a", "arn:aws:sqs:us-east-1:000000000000:b"

Add = Callable[[Sequence[Delivery]], Awaitable[None]]


class Case(NamedTuple):
    outbox: Outbox
    add: Add


@pytest.fixture(params=["memory", "sqlite"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    if request.param == "memory":
        fake = FakeOutbox()

        async def add_to_fake(deliveries: Sequence[Delivery]) -> None:
            fake.add(*deliveries)

        yield Case(fake, add_to_fake)
        return
    events = await SqliteEvents.open(tmp_path / "events.db")

    async def add(deliveries: Sequence[Delivery]) -> None:
        await events.put(Event("e", Scope(), "f", "", b"{}", NOW))
        (event,) = (await events.claim(Whose(Scope(), "f"), NOW, 1, 1_000)).events
        await events.finish(event, deliveries)

    yield Case(events.outbox, add)
    await events.close()


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


async def test_a_delivery_comes_back_whole(case: Case) -> None:
    delivery = Delivery(
        id="d1",
        channel=Channel.DEAD_LETTER,
        target=A,
        scope=Scope("123456789012", "eu-west-1"),
        name="f",
        qualifier="live",
        role="arn:aws:iam::123456789012:role/r",
        body=b'{"\xc3\xa9": [1]}',
        created=NOW,
        condition=Condition.RETRIES_EXHAUSTED,
        trace_id="Root=1-2-3;Lineage=1:9be734d8:2",
        attributes={"ErrorCode": ("Number", "200")},
    )
    await case.add([delivery])
    assert await case.outbox.due(NOW, 10) == [delivery]


async def test_the_longest_due_come_first_less_those_in_hand_and_those_whose_target_rests(case: Case) -> None:
    await case.add([a_delivery(A, "d3", created=NOW + 3), a_delivery(A, "d1"), a_delivery(B, "d2", created=NOW + 2)])
    assert ids(await case.outbox.due(NOW + 3, 10)) == ["d1", "d2", "d3"]
    assert ids(await case.outbox.due(NOW + 2, 10)) == ["d1", "d2"]
    assert ids(await case.outbox.due(NOW + 3, 1)) == ["d1"]
    assert ids(await case.outbox.due(NOW + 3, 10, busy=frozenset({"d1"}))) == ["d2", "d3"]
    assert ids(await case.outbox.due(NOW + 3, 10, resting=frozenset({A}))) == ["d2"]


async def test_the_next_that_is_due_is_later_than_was_asked(case: Case) -> None:
    assert await case.outbox.next_due() is None
    await case.add([a_delivery(A, "d1"), a_delivery(B, "d2", created=NOW + 2)])
    assert await case.outbox.next_due() == NOW
    assert await case.outbox.next_due(NOW) == NOW + 2
    assert await case.outbox.next_due(NOW + 2) is None


async def test_what_is_postponed_is_due_then_and_has_one_attempt_more(case: Case) -> None:
    delivery = a_delivery(A)
    await case.add([delivery])
    await case.outbox.postpone("d1", NOW + 5, "no answer")
    assert ids(await case.outbox.due(NOW + 4, 10)) == []
    assert await case.outbox.due(NOW + 5, 10) == [replace(delivery, attempts=1)]


async def test_what_is_delivered_or_given_up_is_due_no_more(case: Case) -> None:
    await case.add([a_delivery(A, "d1"), a_delivery(A, "d2")])
    await case.outbox.delivered("d1")
    await case.outbox.give_up("d2", "no such queue")
    assert ids(await case.outbox.due(NOW + 100, 10)) == []
    assert await case.outbox.next_due() is None


async def test_who_listens_is_woken_when_something_was_added(case: Case) -> None:
    woken: list[str] = []
    stop = case.outbox.on_added(lambda: woken.append("a"))
    await case.add([a_delivery(A, "d1")])
    assert woken == ["a"]
    stop()
    await case.add([a_delivery(A, "d2")])
    assert woken == ["a"]
