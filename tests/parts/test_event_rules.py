"""Rules and buses with a clock that tests move: what events and times fire, once, and what a crash leaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pasture.domain.scope import Scope
from pasture.kit.clock import ManualClock
from pasture.kit.random_ids import random_uuid
from pasture.schedules import rules as planning
from pasture.schedules.clockwork import Clockwork
from pasture.schedules.errors import LimitExceeded, ResourceAlreadyExists
from pasture.schedules.firing import Firing
from pasture.schedules.rule import Bus, BusKey, Rule, RuleKey, RuleTarget
from pasture.schedules.rules import RULES_MAX, Rules
from pasture.schedules.schedule import Retry, Target
from pasture.schedules.schedules import Schedules
from pasture.schedules.store import ScheduleStore
from pasture.schedules.timing import Timing
from pasture.schedules.triggers import Triggers

NOON = 1_795_435_200.0
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
KEY = RuleKey(Scope(), "default", "r")
PATTERN = json.dumps({"source": ["shop"]})


def a_rule(*arns: str, **more: Any) -> Rule:
    targets = {f"t{n}": RuleTarget(Target(arn)) for n, arn in enumerate(arns or (FUNCTION,))}
    return Rule(**{"created": NOON, "pattern": PATTERN, "targets": targets, **more})


def timed(expression: str, first: float = NOON + 300, **more: Any) -> Rule:
    return a_rule(pattern="", timing=Timing(expression, first), **more)


def entries(*sources: str) -> dict[str, Any]:
    return {"Entries": [{"Source": source, "DetailType": "d", "Detail": '{"a": 1}'} for source in sources]}


class Machine:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(NOON)
        self.reached: list[Firing] = []
        self.store: ScheduleStore
        self.clockwork: Clockwork
        self.rules: Rules

    async def start(self) -> None:
        self.store = await ScheduleStore.open(self.path)
        self.clockwork = Clockwork(self.store, {"rules": planning.plan}, self._reach, self.clock)
        self.rules = Rules(self.store, self.clock, self.clockwork.wake, random_uuid)

    async def stop(self) -> None:
        await self.clockwork.close()
        await self.store.close()

    async def _reach(self, firing: Firing) -> None:
        self.reached.append(firing)

    async def put(self, key: RuleKey, rule: Rule) -> None:
        await self.rules.put(key, lambda _known: rule)

    async def events(self, *sources: str) -> list[str]:
        """What was reached by these."""
        self.reached.clear()
        await self.rules.put_events(Scope(), entries(*sources))
        await self.clockwork.settle()
        return [firing.source_arn.rpartition("/")[2] for firing in self.reached]


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path / "schedules.db")
    await machine.start()
    yield machine
    await machine.stop()


async def test_an_event_fires_every_target_of_every_rule_that_it_matches(machine: Machine) -> None:
    await machine.put(KEY, a_rule(FUNCTION, f"{FUNCTION}:live"))
    await machine.put(KEY._replace(name="s"), a_rule(pattern=json.dumps({"source": [{"prefix": "sh"}]})))
    await machine.put(KEY._replace(name="t"), a_rule(pattern=json.dumps({"source": ["other"]})))
    assert sorted(await machine.events("shop")) == ["r", "r", "s"]
    assert len({firing.id for firing in machine.reached}) == 3
    assert await machine.events("nothing") == []


async def test_a_change_of_a_rule_counts_for_the_next_event(machine: Machine) -> None:
    await machine.put(KEY, a_rule())
    assert await machine.events("shop") == ["r"]
    await machine.rules.change(KEY, lambda rule: replace(rule, state="DISABLED"))
    assert await machine.events("shop") == []
    await machine.rules.change(KEY, lambda rule: replace(rule, state="ENABLED", pattern='{"source": ["new"]}'))
    assert await machine.events("shop", "new") == ["r"]
    await machine.rules.change(KEY, lambda rule: replace(rule, targets={}))
    await machine.rules.delete(KEY)
    assert await machine.events("new") == []


async def test_events_that_were_put_before_a_crash_are_delivered_after_it(machine: Machine) -> None:
    await machine.put(KEY, a_rule())
    await machine.rules.put_events(Scope(), entries("shop", "shop"))
    await machine.stop()
    await machine.start()
    await machine.clockwork.settle()
    assert [json.loads(firing.payload)["detail"] for firing in machine.reached] == [{"a": 1}, {"a": 1}]


async def test_buses_are_apart(machine: Machine) -> None:
    bus = BusKey(Scope(), "mine")
    await machine.rules.create_bus(bus, Bus(NOON, NOON))
    await machine.put(RuleKey(Scope(), "mine", "r"), a_rule())
    assert await machine.events("shop") == []
    asked = {"Entries": [{**entries("shop")["Entries"][0], "EventBusName": name} for name in ("mine", bus.arn)]}
    await machine.rules.put_events(Scope(), asked)
    await machine.clockwork.settle()
    assert len(machine.reached) == 2
    elsewhere = {"Entries": [{**asked["Entries"][0], "EventBusName": bus.arn}]}
    answer = await machine.rules.put_events(Scope("111111111111"), elsewhere)
    assert answer["Entries"][0]["ErrorCode"] == "AccessDeniedException"
    for name in ("mine", "default"):
        with pytest.raises(ResourceAlreadyExists):
            await machine.rules.create_bus(BusKey(Scope(), name), Bus(NOON, NOON))


async def test_a_rate_fires_a_whole_period_after_the_rule_was_made_and_of_what_was_missed_once(
    machine: Machine,
) -> None:
    await machine.put(KEY, timed("rate(5 minutes)"))
    await machine.clockwork.settle()
    assert machine.reached == []
    machine.clock.advance(300)
    await machine.clockwork.settle()
    machine.clock.advance(3_700)
    await machine.clockwork.settle()
    events = [json.loads(firing.payload) for firing in machine.reached]
    assert [event["time"] for event in events] == ["2026-11-23T12:05:00Z", "2026-11-23T13:05:00Z"]
    assert events[0].pop("id") != events[1]["id"]
    assert events[0] == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2026-11-23T12:05:00Z",
        "region": "us-east-1",
        "resources": [KEY.arn],
        "detail": {},
    }


async def test_what_was_missed_longer_ago_than_targets_are_patient_is_skipped(machine: Machine) -> None:
    short = {"t": RuleTarget(Target(FUNCTION, retry=Retry(age=60)))}
    await machine.put(KEY, timed("cron(0 * * * ? *)", targets=short))
    machine.clock.advance(3_600 + 61)
    await machine.clockwork.settle()
    assert machine.reached == []
    machine.clock.advance(3_600 - 61)
    await machine.clockwork.settle()
    assert [firing.occurred - NOON for firing in machine.reached] == [7_200]


async def test_a_bus_has_so_many_rules(machine: Machine) -> None:
    await asyncio.gather(*(machine.put(KEY._replace(name=f"r{n}"), a_rule()) for n in range(RULES_MAX)))
    with pytest.raises(LimitExceeded):
        await machine.put(KEY, a_rule())
    await machine.put(KEY._replace(name="r7"), a_rule(description="changed"))


async def test_triggers_of_a_function_are_what_runs_it(machine: Machine) -> None:
    await machine.put(KEY, a_rule(FUNCTION, f"{FUNCTION}:live", "arn:aws:sqs:us-east-1:000000000000:q"))
    await machine.put(KEY._replace(name="s"), timed("rate(1 hour)", state="DISABLED"))
    await machine.put(KEY._replace(name="x"), a_rule(f"{FUNCTION}-other"))
    triggers = Triggers(Schedules(machine.store, machine.clock, machine.clockwork.wake), machine.rules)
    assert [(t.kind, t.what, t.qualifier, t.state) for t in await triggers.triggers_of(Scope(), "f")] == [
        ("rule", f"r {PATTERN}", "", "ENABLED"),
        ("rule", f"r {PATTERN}", "live", "ENABLED"),
        ("rule", "s rate(1 hour)", "", "DISABLED"),
    ]
