"""The outbox's loop: what is delivered, when again, and when no more; time is moved by hand."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.outbox import ROLE, FakeKind, FakeOutbox, a_delivery
from pasture.destinations.delivering import AGE_SECONDS, REFUSED_SECONDS, Delivering
from pasture.destinations.kinds import Undeliverable, Unreachable
from pasture.destinations.lanes import WIDTH
from pasture.destinations.rights import DestinationRights
from pasture.domain.events import Channel
from pasture.iam.neighbour_rights import NeighbourRights
from pasture.iam.roles import Role, Roles
from pasture.kit.clock import ManualClock
from pasture.metrics.names import Place
from pasture.neighbours.caller import NeighbourRefused, NeighbourUnreachable, NoNeighbour

A = "arn:aws:sqs:us-east-1:000000000000:a"
B = "arn:aws:sqs:us-east-1:000000000000:b"
UNKNOWN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"


class Post:
    def __init__(self, directory: Path, scale: float = 1.0) -> None:
        self.clock = ManualClock()
        self.outbox = FakeOutbox()
        self.kind = FakeKind()
        self.roles = Roles(directory / "roles.json")
        self.configured: set[str] = set()
        self.counted: Counter[tuple[str, Place]] = Counter()
        kinds = {"sqs": self.kind}
        rights = DestinationRights(kinds, NeighbourRights(self.roles, self.clock), self.configured.__contains__)
        self.delivering = Delivering(
            self.outbox,
            kinds,
            rights,
            self.clock,
            lambda name, place: self.counted.update([(name, place)]),
            scale=scale,
            sleep=lambda _seconds: asyncio.sleep(0),
        )

    async def rest(self) -> None:
        """Until nothing goes on by itself any more."""
        looked = -1
        while looked != self.outbox.looked:
            looked = self.outbox.looked
            for _ in range(30):
                await asyncio.sleep(0)

    async def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.delivering.wake()
        await self.rest()


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    post = Post(tmp_path)
    post.delivering.open()
    yield post
    await post.delivering.close()


async def test_what_is_added_is_delivered_and_forgotten(post: Post) -> None:
    post.outbox.add(a_delivery(A, "d1"), a_delivery(B, "d2"))
    await post.rest()
    assert sorted(post.kind.got) == sorted(post.outbox.delivered_ids) == ["d1", "d2"]
    assert not post.outbox.waiting
    assert not post.counted


async def test_what_was_there_before_the_start_is_delivered(tmp_path: Path) -> None:
    post = Post(tmp_path)
    post.outbox.add(a_delivery(A))
    post.delivering.open()
    await post.rest()
    assert post.kind.got == ["d1"]
    await post.delivering.close()


async def test_nothing_is_looked_at_while_nothing_is_there(post: Post) -> None:
    await post.rest()
    looked = post.outbox.looked
    await post.rest()
    assert post.outbox.looked == looked
    post.outbox.add(a_delivery(A))
    await post.rest()
    assert post.kind.got == ["d1"]


@pytest.mark.parametrize(
    "failure",
    [
        NeighbourUnreachable("no answer"),
        NoNeighbour("none is known"),
        NeighbourRefused("InternalError", "oh", 500),
        NeighbourRefused("Throttling", "slower", 400),
        NeighbourRefused("SlowDown", "slower", 429),
        Unreachable("busy"),
    ],
)
async def test_a_target_that_does_not_answer_rests_ever_longer_and_gets_all_in_the_end(
    post: Post, failure: Exception
) -> None:
    post.kind.failing[A] = failure
    post.outbox.add(*[a_delivery(A, f"d{n}") for n in range(20)])
    await post.rest()
    tried = len(post.kind.tried)
    assert tried == WIDTH
    await post.after(0.9)
    assert len(post.kind.tried) == tried
    for rest in (0.1, 2.0, 4.0, 8.0, 16.0):
        await post.after(rest)
        tried += 1
        assert len(post.kind.tried) == tried, "a single one finds out"
    del post.kind.failing[A]
    await post.after(32.0)
    assert sorted(post.kind.got) == sorted(f"d{n}" for n in range(20))
    assert post.counted.total() == tried


async def test_a_target_that_does_not_answer_delays_no_other(post: Post) -> None:
    post.kind.failing[A] = NeighbourUnreachable("no answer")
    post.outbox.add(*[a_delivery(A, f"a{n}") for n in range(100)])
    await post.rest()
    post.outbox.add(a_delivery(B, "b"))
    await post.rest()
    assert post.kind.got == ["b"]


async def test_slow_targets_delay_no_other(post: Post) -> None:
    slow = [f"{A}{n}" for n in range(40)]
    post.kind.held = {target: asyncio.Event() for target in slow}
    post.outbox.add(*[a_delivery(target, f"{target}/{n}") for target in slow for n in range(10)])
    await post.rest()
    post.outbox.add(a_delivery(B, "b"))
    await post.rest()
    assert post.kind.got == ["b"]
    for held in post.kind.held.values():
        held.set()
    await post.rest()
    assert len(post.kind.got) == 401
    assert max(post.kind.at_once.values()) <= WIDTH


async def test_what_does_not_answer_for_six_hours_is_given_up(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    post.kind.failing[A] = NeighbourUnreachable("no answer")
    post.outbox.add(*[a_delivery(A, f"d{n}") for n in range(50)])
    await post.rest()
    await post.after(AGE_SECONDS - 1)
    assert len(post.outbox.waiting) == 50
    await post.after(301)
    assert not post.outbox.waiting
    assert len(post.outbox.given_up) == 50
    assert {"no answer", "its target does not answer"}.issuperset(post.outbox.given_up.values())
    assert "gave up delivering to arn:aws:sqs:us-east-1:000000000000:a" in caplog.text


async def test_what_grew_old_while_the_server_was_down_is_tried_before_it_is_given_up(post: Post) -> None:
    post.clock.advance(AGE_SECONDS * 2)
    post.outbox.add(a_delivery(A))
    await post.rest()
    assert post.kind.got == ["d1"]


@pytest.mark.parametrize(
    "failure",
    [
        NeighbourRefused("AWS.SimpleQueueService.NonExistentQueue", "no such queue", 400),
        NeighbourRefused("AccessDenied", "no", 403),
        Undeliverable("too large"),
        ValueError("ours"),
    ],
)
async def test_what_is_refused_is_asked_again_for_a_quarter_of_an_hour(post: Post, failure: Exception) -> None:
    post.kind.failing[A] = failure
    post.outbox.add(a_delivery(A))
    await post.rest()
    for rest in (1.0, 2.0, 4.0):
        await post.after(rest)
    assert len(post.kind.tried) == 4
    await post.after(REFUSED_SECONDS)
    assert list(post.outbox.given_up) == ["d1"]
    assert post.counted == {("DestinationDeliveryFailures", Place("000000000000", "us-east-1", "f", "f")): 5}


async def test_a_refusal_of_one_is_none_of_the_others_to_that_target(post: Post) -> None:
    post.kind.failing[A] = Undeliverable("too large")
    post.outbox.add(a_delivery(A, "large"))
    await post.rest()
    del post.kind.failing[A]
    post.outbox.add(a_delivery(A, "small"))
    await post.rest()
    assert post.kind.got == ["small"]


async def test_a_dead_letter_is_counted_as_one(post: Post) -> None:
    post.kind.failing[A] = Undeliverable("no")
    post.outbox.add(a_delivery(A, channel=Channel.DEAD_LETTER, qualifier="live"))
    await post.rest()
    assert post.counted == {("DeadLetterErrors", Place("000000000000", "us-east-1", "f", "f:live")): 1}


async def test_a_kind_that_is_none_is_refused(post: Post) -> None:
    post.outbox.add(a_delivery(UNKNOWN))
    await post.rest()
    assert not post.kind.tried
    await post.after(REFUSED_SECONDS)
    assert list(post.outbox.given_up) == ["d1"]


async def test_all_times_are_scaled(tmp_path: Path) -> None:
    post = Post(tmp_path, scale=0.01)
    post.delivering.open()
    post.kind.failing[A] = NeighbourUnreachable("no answer")
    post.outbox.add(a_delivery(A))
    await post.rest()
    await post.after(0.01)
    assert len(post.kind.tried) == 2
    await post.after(AGE_SECONDS * 0.01)
    assert list(post.outbox.given_up) == ["d1"]
    await post.delivering.close()


# Rights...


async def test_a_role_that_may_no_more_delivers_no_more_until_it_may_again(post: Post) -> None:
    post.roles.create(Role(name="r"))
    post.outbox.add(a_delivery(A))
    await post.rest()
    assert not post.kind.tried
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": A}
    post.roles.put_policy("000000000000", "r", "p", {"Version": "2012-10-17", "Statement": [statement]})
    await post.after(1.0)
    assert post.kind.got == ["d1"]


async def test_a_role_that_is_not_known_delivers_to_embedded_services_alone(post: Post) -> None:
    post.configured.add("sqs")
    post.outbox.add(a_delivery(A, role=ROLE))
    await post.rest()
    assert not post.kind.tried
    post.configured.clear()
    await post.after(1.0)
    assert post.kind.got == ["d1"]


async def test_roles_that_cannot_be_read_are_waited_for(post: Post, tmp_path: Path) -> None:
    (tmp_path / "roles.json").write_text("{")
    post.outbox.add(a_delivery(A))
    await post.rest()
    assert not post.kind.tried
    (tmp_path / "roles.json").unlink()
    await post.after(1.0)
    assert post.kind.got == ["d1"]


# A store that fails...


async def test_a_store_that_fails_is_asked_again(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    post.outbox.fails = 1
    post.outbox.add(a_delivery(A))
    await post.rest()
    assert post.kind.got == ["d1"]
    assert "cannot read what is to be delivered" in caplog.text


async def test_what_could_not_be_written_down_is_delivered_again(post: Post) -> None:
    post.kind.held[A] = asyncio.Event()
    post.outbox.add(a_delivery(A))
    await post.rest()
    post.outbox.fails = 1
    post.kind.held[A].set()
    await post.rest()
    assert post.kind.got == ["d1", "d1"]
    assert post.outbox.delivered_ids == ["d1"]


async def test_what_is_on_its_way_when_the_server_stops_is_there_when_it_starts(tmp_path: Path) -> None:
    post = Post(tmp_path)
    post.kind.held[A] = asyncio.Event()
    post.outbox.add(a_delivery(A))
    post.delivering.open()
    await post.rest()
    assert post.kind.tried == ["d1"]
    await post.delivering.close()
    assert list(post.outbox.waiting) == ["d1"]
