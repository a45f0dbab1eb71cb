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
F = Whose(Scope(), "f")

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


async def test_what_has_failed_is_shown_to_people_those_given_up_first(case: Case) -> None:
    await case.add([a_delivery(A, "d1"), a_delivery(B, "d2"), a_delivery(A, "d3"), a_delivery(A, "d4", name="g")])
    await case.outbox.postpone("d1", NOW + 60, "no answer")
    await case.outbox.give_up("d2", "no such queue")
    await case.outbox.give_up("d4", "no such queue")
    told = await case.outbox.troubles(F, 10)
    assert (told.waiting, told.failed) == (1, 1)
    assert [(one.id, one.target, one.attempts, one.size, one.error) for one in told.first] == [
        ("d2", B, 1, 17, "no such queue"),
        ("d1", A, 1, 17, "no answer"),
    ]
    assert (told.first[0].failed is None, told.first[1].failed, told.first[1].due) == (False, None, NOW + 60)
    assert [one.id for one in (await case.outbox.troubles(F, 1)).first] == ["d2"]


async def test_what_was_given_up_is_delivered_again_as_if_it_were_new(case: Case) -> None:
    await case.add([a_delivery(A, "d1"), a_delivery(B, "d2"), a_delivery(B, "d3"), a_delivery(A, "d4", name="g")])
    for id_ in ("d1", "d2", "d3", "d4"):
        await case.outbox.give_up(id_, "no such queue")
    woken: list[str] = []
    case.outbox.on_added(lambda: woken.append("a"))
    assert await case.outbox.deliver_again(F, NOW + 900, "d2") == 1
    assert await case.outbox.due(NOW + 900, 10) == [a_delivery(B, "d2", redriven=NOW + 900)]
    assert woken
    assert await case.outbox.deliver_again(F, NOW + 950) == 2
    assert await case.outbox.deliver_again(F, NOW + 950) == 0
    assert ids(await case.outbox.due(NOW + 950, 10)) == ["d2", "d1", "d3"]
    assert (await case.outbox.troubles(F, 10)).first == []
    await case.outbox.delivered("d1")
    assert ids(await case.outbox.due(NOW + 950, 10, resting=frozenset({B}))) == []


async def test_what_was_given_up_can_be_forgotten(case: Case) -> None:
    await case.add([a_delivery(A, "d1"), a_delivery(A, "d2"), a_delivery(A, "d3"), a_delivery(A, "d4")])
    for id_ in ("d1", "d2", "d3"):
        await case.outbox.give_up(id_, "no such queue")
    assert await case.outbox.forget(F, "d4") == 0
    assert await case.outbox.forget(F, "d1") == 1
    assert await case.outbox.forget(F) == 2
    assert (await case.outbox.troubles(F, 10)).failed == 0
    assert ids(await case.outbox.due(NOW, 10)) == ["d4"]
