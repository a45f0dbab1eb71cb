"""Scaling by the clock: what is registered, how much is used, and what is put in the end."""

import dataclasses
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.functions import a_version
from pasture.domain.errors import InvalidParameterValue, ProvisionedConcurrencyConfigNotFound
from pasture.domain.function import Function
from pasture.domain.function_settings import ProvisionedConcurrency, Settings
from pasture.domain.scope import Scope
from pasture.kit.clock import ManualClock
from pasture.scaling.controller import LOOK_SECONDS, Scaling
from pasture.scaling.target import ACTIVITIES, Action, Policy, Suspended, Target
from pasture.scaling.targets import TargetKey, Targets
from pasture.store.documents import Documents
from pasture.store.kinds.memory import MemoryDocuments

LIVE = TargetKey(Scope(), "f", "live")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
POLICY = Policy("p1", NOON, 0.5)


class Node:
    """One function; what is put is allocated at once."""

    def __init__(self, documents: Documents) -> None:
        self.clock = ManualClock(NOON)
        self.targets = Targets(documents)
        self.executions: dict[str, int] = {"live": 4}
        self.is_there = True
        self.used: float | None = None
        self.puts: list[int] = []
        self.most = 1_000
        ids = itertools.count(1)
        self.scaling = Scaling(
            self.targets, self.clock, self._find, self._put, lambda *_of: self.used, lambda: f"id-{next(ids)}"
        )

    async def _find(self, _scope: Scope, _name: str) -> Function | None:
        provisioned = {q: ProvisionedConcurrency(executions, NOON) for q, executions in self.executions.items()}
        return Function(a_version(), settings=Settings(provisioned=provisioned)) if self.is_there else None

    async def _put(self, _scope: Scope, _name: str, qualifier: str, executions: int) -> None:
        if qualifier not in self.executions:
            raise ProvisionedConcurrencyConfigNotFound("gone")
        if executions > self.most:
            raise InvalidParameterValue("too many")
        self.puts.append(executions)
        self.executions[qualifier] = executions

    async def register(self, **changes: Any) -> None:
        def edit(known: Target | None) -> Target:
            return dataclasses.replace(known or Target("t1", 1, 10, NOON), **changes)

        await self.targets.change(LIVE, edit)

    async def deregister(self) -> None:
        await self.targets.change(LIVE, lambda _known: None)

    async def minutes(self, number: int, used: float | None) -> None:
        """They pass, with so much of it used all the time."""
        self.used = used
        for _ in range(number):
            self.clock.advance(60)
            await self.scaling.tick()

    async def told(self) -> list[tuple[str, str]]:
        """Status and cause of what was done, the latest first."""
        target = await self.targets.find(LIVE)
        assert target is not None
        return [(activity.status, activity.cause) for activity in target.activities]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node(MemoryDocuments())
    made.targets.open()
    await made.register(policies={"keep": POLICY})
    await made.scaling.tick()
    yield made
    made.targets.close()


# Target tracking...


async def test_three_minutes_above_the_target_scale_out_and_the_next_takes_three_again(node: Node) -> None:
    await node.minutes(2, 1.0)
    assert node.puts == []
    await node.minutes(1, 1.0)
    assert node.puts == [8]
    assert await node.told() == [
        ("Successful", "monitor alarm TargetTracking-keep-AlarmHigh-p1 in state ALARM triggered policy keep")
    ]
    await node.minutes(2, 0.75)
    assert node.puts == [8]
    await node.minutes(1, 0.75)
    assert node.puts == [8, 10], "at most the maximum"
    await node.minutes(5, 1.0)
    assert node.puts == [8, 10]


async def test_a_moment_of_a_minute_is_worth_no_more_than_its_share(node: Node) -> None:
    for minute in range(4):
        for second in range(60):
            node.used = 1.0 if second < 25 else 0.0
            node.clock.advance(1)
            await node.scaling.tick()
        assert node.puts == [], minute


async def test_fifteen_minutes_below_the_target_scale_in_and_never_below_the_minimum(node: Node) -> None:
    node.executions["live"] = 10
    await node.minutes(14, 0.1)
    assert node.puts == []
    await node.minutes(1, 0.1)
    assert node.puts == [2]
    await node.minutes(15, 0.0)
    assert node.puts == [2, 1]
    await node.minutes(20, 0.0)
    assert node.puts == [2, 1]


async def test_minutes_in_which_nothing_was_allocated_begin_the_count_anew(node: Node) -> None:
    await node.minutes(2, 1.0)
    await node.minutes(1, None)
    await node.minutes(2, 1.0)
    assert node.puts == []
    await node.minutes(1, 1.0)
    assert node.puts == [8]


async def test_cooldowns_hold_both_ways_back(node: Node) -> None:
    policy = dataclasses.replace(POLICY, out_cooldown=600, in_cooldown=1_200)
    await node.register(policies={"keep": policy}, maximum=100)
    await node.minutes(3, 1.0)
    assert node.puts == [8]
    await node.minutes(9, 1.0)
    assert node.puts == [8]
    await node.minutes(1, 1.0)
    assert node.puts == [8, 16]
    await node.minutes(15, 0.25)
    assert node.puts == [8, 16, 8]
    await node.minutes(19, 0.25)
    assert node.puts == [8, 16, 8]
    await node.minutes(1, 0.25)
    assert node.puts == [8, 16, 8, 4]


async def test_what_is_suspended_is_not_done_and_what_then_is_due_is_done_when_it_goes_on(node: Node) -> None:
    await node.register(suspended=Suspended(scale_out=True))
    await node.minutes(5, 1.0)
    assert node.puts == []
    await node.register(suspended=Suspended())
    await node.minutes(1, 1.0)
    assert node.puts == [8]


# Bounds...


async def test_bounds_are_kept_within_seconds(node: Node) -> None:
    await node.register(minimum=6)
    node.clock.advance(LOOK_SECONDS)
    await node.scaling.tick()
    await node.register(minimum=1, maximum=3)
    node.clock.advance(LOOK_SECONDS)
    await node.scaling.tick()
    assert node.puts == [6, 3]
    assert [cause for _, cause in await node.told()] == [
        "maximum capacity was set to 3",
        "minimum capacity was set to 6",
    ]


async def test_what_cannot_be_put_is_told_once_and_tried_again(node: Node) -> None:
    node.most = 5
    await node.register(minimum=6)
    for _ in range(3):
        node.clock.advance(LOOK_SECONDS)
        await node.scaling.tick()
    assert await node.told() == [("Failed", "minimum capacity was set to 6")]
    node.most = 100
    node.clock.advance(LOOK_SECONDS)
    await node.scaling.tick()
    assert node.puts == [6]


async def test_only_the_last_activities_are_kept(node: Node) -> None:
    for number in range(ACTIVITIES + 10):
        await node.register(minimum=number % 2 + 1, maximum=number % 2 + 1)
        node.clock.advance(LOOK_SECONDS)
        await node.scaling.tick()
    assert len(await node.told()) == ACTIVITIES


# Scheduled actions...


async def test_an_action_sets_the_bounds_when_it_is_due_and_once(node: Node) -> None:
    up = Action("a1", NOON, "cron(5 12 * * ? *)", NOON, minimum=7)
    await node.register(actions={"up": up})
    await node.minutes(4, None)
    assert node.puts == []
    await node.minutes(1, None)
    assert node.puts == [7]
    await node.register(minimum=1)
    node.executions["live"] = 2
    await node.minutes(60, None)
    assert node.puts == [7]


async def test_actions_that_a_server_at_rest_has_missed_are_made_up_for_in_their_order(node: Node) -> None:
    actions = {
        "b-up": Action("a1", NOON, "cron(0 13 * * ? *)", NOON, minimum=5, maximum=8),
        "a-down": Action("a2", NOON, "cron(0 14 * * ? *)", NOON, minimum=2, maximum=3),
    }
    await node.register(actions=actions)
    node.clock.advance(5 * 3_600)
    await node.scaling.tick()
    assert node.puts == [3], "only what counts in the end is put"
    causes = [cause for _, cause in await node.told()]
    assert causes[1:] == [
        "maximum and minimum capacity were set by scheduled action a-down",
        "maximum and minimum capacity were set by scheduled action b-up",
    ]


async def test_an_action_that_was_missed_more_than_a_day_ago_is_not_made_up_for_unless_it_comes_once(
    node: Node,
) -> None:
    yearly = Action("a1", NOON, "cron(0 13 23 11 ? *)", NOON, minimum=5)
    once = Action("a2", NOON, "at(2026-11-23T13:00:00)", NOON, maximum=3)
    await node.register(actions={"yearly": yearly, "once": once})
    node.clock.advance(3 * 86_400)
    await node.scaling.tick()
    target = await node.targets.find(LIVE)
    assert target is not None
    assert (target.minimum, target.maximum) == (1, 3)


async def test_an_action_that_is_suspended_waits(node: Node) -> None:
    up = Action("a1", NOON, "rate(1 hour)", NOON, minimum=7)
    await node.register(actions={"up": up}, suspended=Suspended(scheduled=True))
    await node.minutes(61, None)
    assert node.puts == []
    await node.register(suspended=Suspended())
    await node.minutes(1, None)
    assert node.puts == [7]


# What goes...


async def test_a_target_that_is_deregistered_is_left_as_it_is_and_begins_anew_when_it_is_back(node: Node) -> None:
    await node.minutes(2, 1.0)
    await node.deregister()
    await node.minutes(3, 1.0)
    assert repr(node.scaling) == "<Scaling of 0 targets>"
    assert node.puts == []
    await node.register(policies={"keep": POLICY})
    await node.scaling.tick()
    await node.minutes(3, 1.0)
    assert node.puts == []
    await node.minutes(1, 1.0)
    assert node.puts == [8]


@pytest.mark.parametrize("what", ["function", "configuration"])
async def test_a_target_of_what_has_vanished_harms_nobody_and_goes_on_when_it_is_back(node: Node, what: str) -> None:
    if what == "function":
        node.is_there = False
    else:
        del node.executions["live"]
    await node.register(minimum=6, actions={"up": Action("a1", NOON, "rate(1 hour)", NOON, minimum=7)})
    await node.minutes(70, None)
    assert node.puts == []
    node.is_there, node.executions["live"] = True, 4
    await node.minutes(1, None)
    assert node.puts == [7]
    assert {status for status, _ in await node.told()} == {"Successful"}


async def test_what_vanishes_between_the_look_and_the_put_is_no_failure(node: Node) -> None:
    find = node.scaling._find

    async def then_it_goes(scope: Scope, name: str) -> Function | None:
        found = await find(scope, name)
        node.executions.clear()
        return found

    node.scaling._find = then_it_goes
    await node.register(minimum=6)
    await node.minutes(1, None)
    assert (node.puts, await node.told()) == ([], [])


async def test_after_a_restart_the_bounds_hold_and_the_minutes_are_counted_anew() -> None:
    documents = MemoryDocuments()
    before, after = Node(documents), Node(documents)
    before.targets.open()
    await before.register(policies={"keep": POLICY}, minimum=2)
    await before.minutes(3, 1.0)
    before.targets.close()
    after.targets.open()
    after.executions["live"] = 1
    await after.scaling.tick()
    assert after.puts == [2]
    await after.minutes(3, 1.0)
    assert after.puts == [2, 4]
    after.targets.close()
