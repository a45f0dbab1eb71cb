"""The clockwork with a clock that tests move: what is missed, what a crash leaves, and what a hundred thousand cost."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pasture.domain.scope import Scope
from pasture.functions.records import Form
from pasture.kit.clock import ManualClock
from pasture.schedules import schedules as planning
from pasture.schedules.clockwork import AT_ONE_TARGET, Clockwork, Refused
from pasture.schedules.errors import Conflict, ScheduleNotFound
from pasture.schedules.firing import Failure, Firing
from pasture.schedules.schedule import Group, GroupKey, Retry, Schedule, ScheduleKey, Target
from pasture.schedules.schedules import Schedules
from pasture.schedules.store import ScheduleStore
from pasture.schedules.timing import Timing

NOON = 1_795_435_200.0
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"
KEY = ScheduleKey(Scope(), "default", "s")


def a_schedule(expression: str = "rate(5 minutes)", now: float = NOON, **more: Any) -> Schedule:
    made = {"timing": Timing(expression, now), "target": Target(FUNCTION, "role", "{}")}
    return Schedule(**{**made, "created": now, "modified": now, **more})


class Machine:
    """A store on the disk, and servers that come and go over it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(NOON)
        self.reached: list[Firing] = []
        self.refusals: list[Failure] = []
        self.dies = False
        self.store: ScheduleStore
        self.clockwork: Clockwork
        self.schedules: Schedules

    async def start(self) -> None:
        self.store = await ScheduleStore.open(self.path)
        self.clockwork = Clockwork(self.store, {"schedules": planning.plan}, self._reach, self.clock)
        self.schedules = Schedules(self.store, self.clock, self.clockwork.wake)
        await self.schedules.open()

    async def stop(self) -> None:
        await self.schedules.close()
        await self.clockwork.close()
        await self.store.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def _reach(self, firing: Firing) -> None:
        self.reached.append(firing)
        if self.dies:
            await asyncio.Event().wait()
        if self.refusals:
            raise Refused(self.refusals.pop(0))

    @property
    def times(self) -> list[float]:
        return [firing.occurred - NOON for firing in self.reached]


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path / "schedules.db")
    await machine.start()
    yield machine
    await machine.stop()


async def test_a_schedule_fires_in_its_rhythm_and_says_when_it_is_due_next(machine: Machine) -> None:
    await machine.schedules.create(KEY, a_schedule())
    for _ in range(3):
        await machine.clockwork.settle()
        machine.clock.advance(300)
    assert machine.times == [0, 300, 600]
    assert await machine.store.next_due() == NOON + 900
    assert await machine.store.pending() == 0


async def test_of_the_times_missed_while_the_server_was_down_the_newest_fires(machine: Machine) -> None:
    await machine.schedules.create(KEY, a_schedule())
    await machine.clockwork.settle()
    machine.clock.advance(3_700)
    await machine.restart()
    await machine.clockwork.settle()
    await machine.clockwork.settle()
    assert machine.times == [0, 3_600]


async def test_what_was_missed_longer_ago_than_the_retry_policy_allows_never_fires(machine: Machine) -> None:
    once = a_schedule("at(2026-11-23T12:00:01)", target=Target(FUNCTION, retry=Retry(age=60)))
    await machine.schedules.create(KEY, once)
    machine.clock.advance(10_000_000)
    await machine.clockwork.settle()
    assert machine.times == []
    assert await machine.store.next_due() is None


async def test_what_was_under_way_when_the_server_died_goes_again_with_the_same_id(machine: Machine) -> None:
    await machine.schedules.create(KEY, a_schedule())
    machine.dies = True
    await machine.clockwork.step()
    await asyncio.sleep(0)
    machine.dies = False
    await machine.restart()
    await machine.clockwork.settle()
    await machine.clockwork.settle()
    assert machine.times == [0, 0]
    assert len({firing.id for firing in machine.reached}) == 1


async def test_a_time_that_is_come_by_twice_fires_once(machine: Machine) -> None:
    """As when a change and the clockwork meet."""
    await machine.schedules.create(KEY, a_schedule())
    (item,) = await machine.store.due(NOON, 10)
    plan = planning.plan(item, NOON)
    assert await machine.store.fire(item, plan.due, plan.firings)
    assert not await machine.store.fire(item, plan.due, plan.firings)
    await machine.store.add(plan.firings)
    assert await machine.store.pending() == 1


async def test_a_refusal_that_may_pass_is_tried_again_and_one_that_lasts_is_a_dead_letter(machine: Machine) -> None:
    target = Target(FUNCTION, "role", "{}", dead_letter=QUEUE)
    await machine.schedules.create(KEY, a_schedule("at(2026-11-23T12:00:00)", target=target))
    machine.refusals = [Failure("Throttling", "slow", passes=True), Failure("AccessDenied", "no")]
    await machine.clockwork.settle()
    assert len(machine.reached) == 1
    machine.clock.advance(1)
    await machine.clockwork.settle()
    assert [firing.destination for firing in machine.reached] == [FUNCTION, FUNCTION, QUEUE]
    assert machine.reached[-1].failure == Failure("AccessDenied", "no", retries=1, at=NOON + 1)
    assert await machine.store.pending() == 0


async def test_a_schedule_that_is_to_go_goes_when_its_last_firing_is_done(machine: Machine) -> None:
    await machine.schedules.create(KEY, a_schedule("at(2026-11-23T12:00:00)", window=5, is_deleted_at_the_end=True))
    await machine.clockwork.settle()
    assert machine.reached == []
    assert await machine.schedules.get(KEY)
    machine.clock.advance(300)
    await machine.clockwork.settle()
    assert machine.times == [0]
    with pytest.raises(ScheduleNotFound):
        await machine.schedules.get(KEY)


async def test_what_is_changed_before_its_last_firing_stays(machine: Machine) -> None:
    going = a_schedule("at(2026-11-23T12:00:00)", window=5, is_deleted_at_the_end=True)
    await machine.schedules.create(KEY, going)
    await machine.clockwork.settle()
    await machine.schedules.update(KEY, lambda known: replace(known, timing=Timing("rate(1 day)", NOON + 1)))
    machine.clock.advance(300)
    await machine.clockwork.settle()
    assert (await machine.schedules.get(KEY)).timing.expression == "rate(1 day)"


async def test_what_is_deleted_does_not_fire_any_more(machine: Machine) -> None:
    await machine.schedules.create(KEY, a_schedule(window=5))
    await machine.clockwork.settle()
    await machine.schedules.delete(KEY)
    machine.clock.advance(3_600)
    await machine.clockwork.settle()
    assert machine.reached == []


async def test_a_schedule_that_is_off_misses_its_times_for_good(machine: Machine) -> None:
    await machine.schedules.create(KEY, a_schedule(is_enabled=False))
    machine.clock.advance(3_599)
    await machine.clockwork.settle()
    now = machine.clock.now()
    await machine.schedules.update(KEY, lambda known: replace(known, is_enabled=True, modified=now))
    await machine.clockwork.settle()
    assert machine.reached == []
    machine.clock.advance(1)
    await machine.clockwork.settle()
    assert machine.times == [3_600]


async def test_a_document_that_cannot_be_read_keeps_no_other_from_firing(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    await machine.schedules.create(KEY._replace(name="a"), a_schedule())
    await machine.schedules.create(KEY._replace(name="b"), a_schedule())
    with sqlite3.connect(machine.path) as connection:
        connection.execute("UPDATE items SET value = 'x' WHERE key LIKE '%/a'")
    await machine.clockwork.settle()
    assert [firing.source_arn.rpartition("/")[2] for firing in machine.reached] == ["b"]
    assert "cannot tell what schedules/" in caplog.text


async def test_a_group_that_is_going_takes_no_schedule_and_a_crash_does_not_keep_it(machine: Machine) -> None:
    group = GroupKey(Scope(), "g")
    inside = ScheduleKey(Scope(), "g", "s")
    await machine.schedules.create_group(group, Group(NOON, NOON))
    await machine.schedules.create(inside, a_schedule())
    await machine.schedules.change_group(group, lambda known: replace(known, is_going=True))
    with pytest.raises(Conflict):
        await machine.schedules.create(inside._replace(name="t"), a_schedule())
    await machine.restart()
    await machine.schedules._tasks.finish()
    with pytest.raises(ScheduleNotFound):
        await machine.schedules.group(group)
    assert await machine.store.count("schedules/") == 0


async def test_schedules_are_found_by_what_they_are_for(machine: Machine) -> None:
    await machine.schedules.create(KEY, a_schedule(target=Target(f"{FUNCTION}:live", "role", "{}")))
    await machine.schedules.create(KEY._replace(name="other"), a_schedule(target=Target(QUEUE, "role", "{}")))
    assert [key.name for key, _ in await machine.schedules.aiming_at(Scope(), FUNCTION)] == ["s"]
    await machine.schedules.delete(KEY)
    assert await machine.schedules.aiming_at(Scope(), FUNCTION) == []


async def test_among_a_hundred_thousand_schedules_only_what_is_due_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "schedules.db"
    await (await ScheduleStore.open(path)).close()
    later = a_schedule("at(2099-01-01T00:00:00)", target=Target(FUNCTION, "role", "{}"))
    value = Form(Schedule).encode(later)
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO items VALUES (?, ?, ?, ?)",
            [
                (f"schedules/000000000000/us-east-1/default/n{n:06}", n + 1, NOON + 10**6 + n, value)
                for n in range(100_000)
            ],
        )
    machine = Machine(path)
    await machine.start()
    steps: list[str] = []
    with sqlite3.connect(path) as connection:
        statement = "EXPLAIN QUERY PLAN SELECT key, value, revision, due FROM items WHERE due <= 1 ORDER BY due LIMIT 9"
        steps = [row[3] for row in connection.execute(statement)]
    assert steps == ["SEARCH items USING INDEX items_due (due<?)"]
    await machine.schedules.create(KEY, a_schedule("at(2026-11-23T12:00:00)"))
    await machine.clockwork.settle()
    assert machine.times == [0]
    await machine.stop()


async def test_a_target_that_is_busy_holds_up_no_other(machine: Machine) -> None:
    slow, quick = QUEUE.replace("dead", "slow"), QUEUE.replace("dead", "quick")
    for number in range(200):
        await machine.schedules.create(
            KEY._replace(name=f"a{number:03}"), a_schedule(target=Target(slow, "role", "{}"))
        )
    await machine.clockwork._fire_what_is_due()
    machine.clock.advance(1)
    late = a_schedule("at(2026-11-23T12:00:01)", target=Target(quick, "role", "{}"))
    await machine.schedules.create(KEY._replace(name="z"), late)
    machine.dies = True
    for _ in range(20):
        await machine.clockwork.step()
    assert [firing.target.arn for firing in machine.reached].count(slow) == AT_ONE_TARGET
    assert [firing.target.arn for firing in machine.reached].count(quick) == 1


async def test_a_thousand_firings_reach_their_target_once_each(machine: Machine) -> None:
    target = Target(QUEUE, "role", "{}")
    names = [f"n{number}" for number in range(1_000)]
    once = a_schedule("at(2026-11-23T12:00:00)", target=target)
    await asyncio.gather(*(machine.schedules.create(KEY._replace(name=name), once) for name in names))
    await machine.clockwork.settle()
    assert sorted(firing.source_arn.rpartition("/")[2] for firing in machine.reached) == sorted(names)
