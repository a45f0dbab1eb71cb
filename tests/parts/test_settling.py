"""Level-triggered work by key: nothing is lost, nothing is done twice at once, faults are tried again."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pasture.kit.errors import OperatorError
from pasture.kit.settling import FIRST_DELAY, LONGEST_DELAY, Settling


class World:
    """What is wanted of each key, and what is: `work` brings the one to the other, when it is let through."""

    def __init__(self, at_once: int | None = None) -> None:
        self.wanted: dict[str, int] = {}
        self.there: dict[str, int] = {}
        self.looks: list[str] = []
        self.failures: list[Exception] = []
        self.at_it: Counter[str] = Counter()
        self.most_in_all = 0
        self.arrived = asyncio.Semaphore(0)
        self.gate = asyncio.Event()
        self.gate.set()
        self.slept: list[float] = []
        self.pausing = asyncio.Event()
        self.wakes_by_itself = True
        self.settling = Settling("settle", self.work, at_once=at_once, sleep=self.sleep)

    def want(self, key: str, value: int) -> None:
        self.wanted[key] = value
        self.settling.look(key)

    async def work(self, key: str) -> None:
        self.looks.append(key)
        self.at_it[key] += 1
        assert self.at_it[key] == 1, "one look at a time"
        self.most_in_all = max(self.most_in_all, self.at_it.total())
        try:
            value = self.wanted.get(key)
            self.arrived.release()
            await self.gate.wait()
            if self.failures:
                raise self.failures.pop(0)
            await asyncio.sleep(0)
            if value is not None:
                self.there[key] = value
        finally:
            self.at_it[key] -= 1

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pausing.set()
        if self.wakes_by_itself:
            await asyncio.sleep(0)
        else:
            await asyncio.Future()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.settling.close()


async def test_what_is_woken_is_brought_to_rest(world: World) -> None:
    world.want("a", 1)
    world.want("b", 2)
    await world.settling.idle()
    assert (world.there, world.looks, len(world.settling)) == ({"a": 1, "b": 2}, ["a", "b"], 0)


async def test_what_changes_while_it_is_looked_at_is_looked_at_again_and_once(world: World) -> None:
    world.gate.clear()
    world.want("a", 1)
    await world.arrived.acquire()
    for value in (2, 3, 4):
        world.want("a", value)
    world.gate.set()
    await world.settling.idle()
    assert (world.there, world.looks) == ({"a": 4}, ["a", "a"])


async def test_one_key_does_not_wait_for_another(world: World) -> None:
    world.gate.clear()
    world.want("slow", 1)
    await world.arrived.acquire()
    world.want("quick", 1)
    await world.arrived.acquire()
    assert world.at_it == {"slow": 1, "quick": 1}
    world.gate.set()


async def test_only_so_many_are_worked_at_at_once() -> None:
    world = World(at_once=2)
    world.gate.clear()
    for n in range(5):
        world.want(str(n), n)
    for _ in range(2):
        await world.arrived.acquire()
    # Woken while it waits for its turn, it has not been looked at yet: once will do.
    world.want("4", 40)
    world.gate.set()
    await world.settling.idle()
    assert (world.most_in_all, len(world.looks), world.there["4"]) == (2, 5, 40)
    await world.settling.close()


async def test_a_look_that_fails_is_repeated_ever_more_slowly_within_bounds(world: World) -> None:
    world.failures = [OSError(28, "No space left on device")] * 12
    world.want("a", 1)
    await world.settling.idle()
    assert world.there == {"a": 1}
    assert world.slept[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert max(world.slept) == world.slept[-1] == LONGEST_DELAY


async def test_who_pauses_after_a_fault_leaves_its_turn_to_others() -> None:
    world = World(at_once=1)
    world.wakes_by_itself = False
    world.failures = [OSError("busy")]
    world.want("a", 1)
    await world.pausing.wait()
    world.want("b", 2)
    await world.arrived.acquire()
    await world.arrived.acquire()
    await asyncio.sleep(0)
    assert world.looks == ["a", "b"]
    await world.settling.close()


async def test_a_wake_up_does_not_wait_for_the_end_of_a_pause(world: World) -> None:
    world.wakes_by_itself = False
    world.failures = [OSError("busy")]
    world.want("a", 1)
    await world.pausing.wait()
    world.want("a", 2)
    await world.settling.idle()
    assert world.there == {"a": 2}


async def test_what_is_woken_while_it_fails_pauses_and_is_not_lost(world: World) -> None:
    world.gate.clear()
    world.failures = [OSError("busy")]
    world.want("a", 1)
    await world.arrived.acquire()
    world.want("a", 2)
    world.gate.set()
    await world.settling.idle()
    assert (world.there, world.slept) == ({"a": 2}, [FIRST_DELAY])


async def test_faults_that_may_pass_are_told_in_a_line_and_others_with_where_they_come_from(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.failures = [OperatorError("the disk is full."), ValueError("a mistake")]
    world.want("a", 1)
    await world.settling.idle()
    told = [(record.levelno, record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    assert told == [
        (logging.WARNING, "cannot settle a yet, next try in 0.25 s: the disk is full.", False),
        (logging.ERROR, "cannot settle a yet, next try in 0.5 s: a mistake", True),
    ]
    assert world.there == {"a": 1}


async def test_at_a_start_all_pages_of_what_was_left_are_looked_at(world: World) -> None:
    keys = [f"{n:02}" for n in range(7)]
    world.wanted = dict.fromkeys(keys, 1)

    async def marked(*, after: str = "") -> Sequence[str]:
        await asyncio.sleep(0)
        return [key for key in keys if key > after][:3]

    await world.settling.look_at_marked(marked)
    await world.settling.idle()
    assert sorted(world.looks) == keys


async def test_closing_ends_looks_and_pauses_and_later_wake_ups_are_nobodys(world: World) -> None:
    world.wakes_by_itself = False
    world.failures = [OSError("busy")]
    world.want("pauses", 1)
    await world.pausing.wait()
    await world.arrived.acquire()
    world.gate.clear()
    world.want("works", 1)
    await world.arrived.acquire()
    world.want("has not begun", 1)
    await world.settling.close()
    world.want("late", 1)
    assert (len(world.settling), world.there) == (0, {})


async def test_it_says_what_is_not_at_rest(world: World) -> None:
    assert repr(world.settling) == "<Settling: settle nothing>"
    world.settling.look("a")
    assert repr(world.settling) == "<Settling: settle a>"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=30), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_whatever_happens_all_is_as_it_is_wanted_in_the_end(steps: list[tuple[str, int, bool]], at_once: int) -> None:
    async def scenario() -> None:
        world = World(at_once)
        for value, (key, rounds, fails) in enumerate(steps):
            if fails:
                world.failures.append(OSError("passes"))
            world.want(key, value)
            for _ in range(rounds):
                await asyncio.sleep(0)
        await world.settling.idle()
        assert world.there == world.wanted
        assert len(world.settling) == 0

    logging.disable(logging.WARNING)
    try:
        asyncio.run(scenario())
    finally:
        logging.disable(logging.NOTSET)
