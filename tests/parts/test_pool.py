"""Environments born cold, reused warm and stopped idle, with fake boxes and runtimes that speak the real Runtime API."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.functions import a_plan, a_version, an_invocation
from fakes.isolation import FakeIsolation, Script
from fakes.logs import RecordingWriter
from fakes.runtime import Event, FakeRuntime, echo, runtime
from pasture.domain.errors import ServiceError, TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Outcome, Status
from pasture.domain.limits import Limits
from pasture.environments.assignment import Rules
from pasture.environments.environment import Environment
from pasture.environments.journal import Journal
from pasture.environments.pool import Pool
from pasture.environments.processors import Starts
from pasture.isolation.spec import SandboxError
from pasture.kit.clock import SystemClock

SOON = 5.0
F = a_version()


class Node:
    def __init__(self, script: Script, memory_mb: int, idle_seconds: float, limits: Limits, **more: Any) -> None:
        self.isolation = FakeIsolation(script)
        self.limits = limits
        self.refuse_make: str | None = None
        self.pool = Pool(self._make, memory_mb, idle_seconds, SystemClock(), **more)

    async def _make(self, id_: str, version: FunctionVersion) -> Environment:
        if self.refuse_make is not None:
            raise SandboxError(self.refuse_make)
        journal = Journal(RecordingWriter(), SystemClock())
        return Environment(a_plan(version, id_, self.limits), self.isolation, journal, SystemClock(), self.limits)

    async def run(self, payload: bytes = b"1", version: FunctionVersion = F) -> Outcome:
        return await self.pool.run(version, an_invocation(payload))

    async def run_to_rest(self, payload: bytes = b"1", version: FunctionVersion = F) -> Outcome:
        """The caller is answered a little before the environment is free again; here, not until then."""
        outcome = await self.run(payload, version)
        await self.until(lambda: " busy" not in repr(self.pool.environments()))
        await asyncio.sleep(0)
        return outcome

    @property
    def boxes(self) -> int:
        return len(self.isolation.sandboxes)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 (many conditions, no event for each)
            await asyncio.sleep(0.001)


@asynccontextmanager
async def node(
    script: Script, memory_mb: int = 10_240, idle_seconds: float = 60.0, limits: Limits | None = None, **more: Any
) -> AsyncIterator[Node]:
    """In the end nothing is left, and nothing is remembered of any function."""
    made = Node(script, memory_mb, idle_seconds, limits or Limits(), **more)
    try:
        async with asyncio.timeout(SOON):
            yield made
    finally:
        await made.pool.close(grace=0)
        assert (made.boxes, made.pool.environments(), made.isolation.faults) == (0, [], [])


class Gate:
    """A handler that says how many are in it, and lets them out when told."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.open = asyncio.Event()

    async def __call__(self, _runtime: FakeRuntime, event: Event) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        self.inside -= 1
        return json.loads(event.payload)


# Serving...


async def test_an_invocation_is_run_and_its_environment_used_again() -> None:
    async with node(runtime(echo)) as n:
        assert [(await n.run_to_rest(b"%d" % i)).payload for i in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        assert n.isolation.created == 1


async def test_invocations_at_the_same_time_have_an_environment_each() -> None:
    gate = Gate()
    async with node(runtime(gate)) as n:
        running = [asyncio.create_task(n.run(b"%d" % i)) for i in range(10)]
        await n.until(lambda: gate.inside == 10)
        gate.open.set()
        outcomes = await asyncio.gather(*running)
        assert sorted(int(o.payload) for o in outcomes) == list(range(10))
        assert n.isolation.created == 10


async def test_versions_do_not_share_environments() -> None:
    async def life(rt: FakeRuntime, _event: Event) -> Any:
        return rt.process.program.environment["AWS_LAMBDA_FUNCTION_NAME"]

    async with node(runtime(life)) as n:
        assert [(await n.run_to_rest(version=a_version(name=name))).payload for name in "fgf"] == [
            b'"f"',
            b'"g"',
            b'"f"',
        ]
        assert n.isolation.created == 2


async def test_memory_bounds_how_many_run_at_once_and_all_are_served() -> None:
    gate = Gate()
    gate.open.set()
    async with node(runtime(gate), memory_mb=3 * 128) as n:
        outcomes = await asyncio.gather(*(n.run(b"%d" % i) for i in range(30)))
        assert sorted(int(o.payload) for o in outcomes) == list(range(30))
        assert (gate.most <= 3, n.isolation.created) == (True, 3)


async def test_an_idle_environment_makes_room_for_another_function() -> None:
    async with node(runtime(echo), memory_mb=128) as n:
        for name in ("f", "g", "f"):
            assert (await n.run_to_rest(version=a_version(name=name))).payload == b"1"
        assert (n.isolation.created, n.boxes) == (3, 1)


async def test_a_function_that_fails_fails_alone() -> None:
    async def fails(rt: FakeRuntime, event: Event) -> Any:
        if event.payload == b"0":
            await rt.fail(event.request_id, b"{}", "Function.X")
        return json.loads(event.payload)

    async with node(runtime(fails)) as n:
        assert [(await n.run_to_rest(b"%d" % i)).status for i in (0, 1)] == [Status.ERROR, Status.SUCCESS]
        assert n.isolation.created == 1


async def test_an_environment_that_was_reset_is_used_again() -> None:
    async def forever(_rt: FakeRuntime, _event: Event) -> Any:
        await asyncio.Future()

    async with node(runtime(forever)) as n:
        version = a_version(timeout=1)
        assert [(await n.run_to_rest(version=version)).status for _ in range(2)] == [Status.TIMEOUT] * 2
        assert n.isolation.created == 1


# Failing...


async def test_when_a_box_cannot_be_made_the_caller_is_told_why_and_nothing_is_remembered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with node(runtime(echo)) as n:
        n.isolation.refuse_create = "cannot mount the code: No space left on device."
        with pytest.raises(ServiceError) as caught:
            await n.run()
        await n.until(lambda: not n.pool.environments())
        assert caught.value.message == (
            "An execution environment could not be provided: cannot mount the code: No space left on device."
        )
        assert [r.levelno for r in caplog.records] == [logging.ERROR]
        assert (n.pool._versions, n.pool._keys, n.pool._callers._pending) == ({}, {}, {})


async def test_when_an_environment_cannot_even_be_planned_the_caller_is_told_and_nothing_is_remembered() -> None:
    async with node(runtime(echo)) as n:
        n.refuse_make = "the runtime has gone"
        with pytest.raises(ServiceError, match="the runtime has gone"):
            await n.run()
        await n.until(lambda: not n.pool._versions)
        assert (n.pool._keys, n.pool._callers._pending) == ({}, {})


async def test_every_caller_that_waits_is_told_when_no_box_can_be_made() -> None:
    async with node(runtime(echo), memory_mb=128) as n:
        n.isolation.refuse_create = "no."
        outcomes = await asyncio.gather(*(n.run() for _ in range(5)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ServiceError] * 5


async def test_a_function_that_needs_more_memory_than_there_is_is_refused_and_not_remembered() -> None:
    async with node(runtime(echo), memory_mb=256) as n:
        with pytest.raises(ServiceError, match="needs 512 MB and this machine offers 256 MB in all"):
            await n.run(version=a_version(memory_mb=512))
        assert (n.pool._versions, n.pool._keys) == ({}, {})


async def test_an_environment_that_fails_while_serving_is_replaced_and_its_caller_told() -> None:
    """Here the box cannot be cleared after a timeout: it is of no use any more."""

    async def forever(_rt: FakeRuntime, _event: Event) -> Any:
        await asyncio.Future()

    async with node(runtime(forever)) as n:
        version = a_version(timeout=1)
        running = asyncio.create_task(n.run(version=version))
        await n.until(lambda: n.boxes == 1)
        n.isolation.refuse_kill = "cannot kill."
        assert (await running).status is Status.TIMEOUT
        await n.until(lambda: not n.pool.environments())
        n.isolation.refuse_kill = None
        assert (await n.run(version=version)).status is Status.TIMEOUT
        assert n.isolation.created == 2


async def test_when_an_idle_box_has_gone_another_serves_and_the_caller_does_not_notice() -> None:
    async with node(runtime(echo)) as n:
        await n.run_to_rest()
        (box,) = n.isolation.sandboxes.values()
        box.vanish()
        assert (await n.run(b"2")).payload == b"2"
        await n.until(lambda: n.boxes == 1)
        assert n.isolation.created == 2


async def test_when_a_box_goes_while_it_starts_another_is_started() -> None:
    async def first_vanishes(rt: FakeRuntime) -> None:
        if rt.process.sandbox.isolation.created == 1:
            rt.process.sandbox.vanish()
            await asyncio.Future()

    async with node(runtime(echo, first_vanishes)) as n:
        assert (await n.run(b"2")).payload == b"2"
        assert n.isolation.created == 2


# Callers that go...


async def test_a_caller_that_goes_does_not_stop_the_invocation() -> None:
    gate = Gate()
    ended = asyncio.Event()

    async def handler(rt: FakeRuntime, event: Event) -> Any:
        await gate(rt, event)
        ended.set()

    async with node(runtime(handler)) as n:
        caller = asyncio.create_task(n.run())
        await n.until(lambda: gate.inside == 1)
        caller.cancel()
        await asyncio.wait({caller})
        gate.open.set()
        await ended.wait()
        await n.until(lambda: "1 idle" in repr(n.pool))
        await n.run()
        assert n.isolation.created == 1


async def test_a_caller_that_goes_before_there_is_an_environment_leaves_no_trace() -> None:
    async with node(runtime(echo)) as n:
        caller = asyncio.create_task(n.run())
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        await n.until(lambda: not n.pool._callers._pending)
        assert (await n.run(b"2")).payload == b"2"


# Stopping...


async def test_an_environment_that_is_idle_for_long_enough_is_stopped_and_forgotten() -> None:
    async with node(runtime(echo), idle_seconds=0.05) as n:
        await n.run()
        await n.until(lambda: n.boxes == 0)
        assert (n.pool.environments(), n.pool._versions, n.pool._keys) == ([], {}, {})


async def test_an_environment_that_is_used_stays() -> None:
    async with node(runtime(echo), idle_seconds=0.2) as n:
        for _ in range(10):
            await n.run_to_rest()
            await asyncio.sleep(0.04)
        assert n.isolation.created == 1


async def test_environments_of_what_was_replaced_stop_as_they_come_free() -> None:
    gate = Gate()
    async with node(runtime(gate)) as n:
        old, new = a_version(generation="g1"), a_version(generation="g2")
        running = asyncio.create_task(n.run(version=old))
        await n.until(lambda: gate.inside == 1)
        n.pool.replaced(old.scope, old.name, new)
        gate.open.set()
        assert (await running).payload == b"1"
        await n.until(lambda: n.boxes == 0)
        await n.run(version=new)
        assert [e.version.generation for e in n.pool.environments()] == ["g2"]


async def test_replacing_leaves_what_is_current_and_other_functions_alone() -> None:
    async with node(runtime(echo)) as n:
        other = a_version(name="g")
        await n.run_to_rest()
        await n.run_to_rest(version=other)
        n.pool.replaced(F.scope, F.name, F)
        await n.run()
        await n.run(version=other)
        assert n.isolation.created == 2


async def test_closing_lets_what_runs_finish_within_the_grace() -> None:
    gate = Gate()
    async with node(runtime(gate)) as n:
        running = asyncio.create_task(n.run())
        await n.until(lambda: gate.inside == 1)
        closing = asyncio.create_task(n.pool.close(grace=SOON))
        await asyncio.sleep(0.01)
        with pytest.raises(ServiceError, match="shutting down"):
            await n.run()
        gate.open.set()
        assert (await running).payload == b"1"
        await closing
        assert n.boxes == 0


@pytest.mark.parametrize("memory_mb", [128, 1024], ids=["some wait", "all run"])
async def test_closing_without_grace_tells_every_caller_and_leaves_nothing(memory_mb: int) -> None:
    gate = Gate()
    async with node(runtime(gate), memory_mb=memory_mb) as n:
        running = [asyncio.create_task(n.run()) for _ in range(3)]
        await n.until(lambda: gate.inside == memory_mb // 128 or gate.inside == 3)
        await n.pool.close(grace=0)
        outcomes = await asyncio.gather(*running, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["The server is shutting down."] * 3


async def test_closing_while_environments_start_leaves_nothing() -> None:
    async def slow(_rt: FakeRuntime) -> None:
        await asyncio.Future()

    async with node(runtime(echo, slow)) as n:
        running = asyncio.create_task(n.run())
        await n.until(lambda: n.boxes == 1)
        await n.pool.close(grace=0)
        with pytest.raises(ServiceError, match="shutting down"):
            await running


async def test_one_environment_that_cannot_be_given_back_does_not_keep_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    n = Node(runtime(echo), 1024, 60, Limits())
    for name in "fgh":
        await n.run(version=a_version(name=name))
    n.isolation.refuse_kill = "cannot kill."
    await n.pool.close(grace=0)
    assert [r.message.split(" could")[1] for r in caplog.records] == [" not be given back whole"] * 3
    assert (n.boxes, n.pool.environments()) == (0, [])


async def test_its_repr_says_how_it_stands() -> None:
    async with node(runtime(echo), memory_mb=256) as n:
        await n.run()
        await n.until(lambda: "1 idle" in repr(n.pool))
        assert repr(n.pool) == "<Pool <Assignment 1 environments, 1 idle, 0 waiting, 128 of 256 MB>>"


# Slots, tenants, and who finds no room...


class Slot:
    def __init__(self, environments: int = 0) -> None:
        self.environments = environments
        self.given_back = 0

    def served(self, provisioned: bool) -> None:
        pass

    def give_back(self) -> None:
        self.given_back += 1


async def test_a_slot_is_given_back_with_the_answer() -> None:
    async with node(runtime(echo)) as n:
        slot = Slot()
        await n.pool.run(F, an_invocation(b"1"), slot)
        assert slot.given_back == 1


async def test_a_caller_that_goes_leaves_the_slot_to_its_invocation() -> None:
    gate = Gate()
    async with node(runtime(gate)) as n:
        slot = Slot()
        caller = asyncio.create_task(n.pool.run(F, an_invocation(b"1"), slot))
        await n.until(lambda: gate.inside == 1)
        caller.cancel()
        await asyncio.wait({caller})
        assert slot.given_back == 0
        gate.open.set()
        await n.until(lambda: slot.given_back == 1)


@pytest.mark.parametrize("fault", ["no box", "timeout", "server stops", "server has stopped"])
async def test_whatever_happens_a_slot_is_given_back_once(fault: str) -> None:
    async def forever(_rt: FakeRuntime, _event: Event) -> Any:
        await asyncio.Future()

    async with node(runtime(forever)) as n:
        slot = Slot()
        n.isolation.refuse_create = "no." if fault == "no box" else None
        if fault == "server has stopped":
            await n.pool.close(grace=0)
        running = asyncio.create_task(n.pool.run(a_version(timeout=1), an_invocation(b"1"), slot))
        if fault == "server stops":
            await n.until(lambda: n.boxes == 1)
            await n.pool.close(grace=0)
        await asyncio.wait({running})
        assert isinstance(running.exception(), ServiceError) is (fault != "timeout")
        assert slot.given_back == 1


async def test_who_finds_no_room_in_time_is_throttled() -> None:
    gate = Gate()
    async with node(runtime(gate), memory_mb=128, rules=Rules(waiting_seconds=0.1)) as n:
        running = asyncio.create_task(n.run())
        await n.until(lambda: gate.inside == 1)
        slot = Slot()
        with pytest.raises(
            TooManyRequests, match=r"^Rate Exceeded\. This machine had no room for 128 MB in 0.1 seconds"
        ):
            await n.pool.run(a_version(name="g"), an_invocation(b"1"), slot)
        assert slot.given_back == 1
        gate.open.set()
        assert (await running).payload == b"1"


async def test_when_too_many_wait_the_next_is_throttled_at_once() -> None:
    gate = Gate()
    async with node(runtime(gate), memory_mb=128, rules=Rules(places=2)) as n:
        running = [asyncio.create_task(n.run()) for _ in range(2)]
        await n.until(lambda: gate.inside == 1)
        with pytest.raises(TooManyRequests, match="Too many invocations wait"):
            await n.run()
        gate.open.set()
        assert [outcome.payload for outcome in await asyncio.gather(*running)] == [b"1", b"1"]


async def test_each_tenant_has_environments_of_its_own_and_all_are_replaced_together() -> None:
    async with node(runtime(echo)) as n:
        for tenant in ("blue", "green", "blue"):
            await n.pool.run(F, an_invocation(b"1", tenant_id=tenant), Slot(5))
            await n.until(lambda: " busy" not in repr(n.pool.environments()))
        assert n.isolation.created == 2
        n.pool.replaced(F.scope, F.name, F)
        assert n.boxes == 2
        n.pool.replaced(F.scope, F.name, a_version(generation="g2"))
        await n.until(lambda: n.boxes == 0)
        assert (n.pool._versions, n.pool._keys) == ({}, {})


async def test_a_tenant_too_many_is_throttled() -> None:
    async with node(runtime(echo)) as n:
        await n.pool.run(F, an_invocation(b"1", tenant_id="blue"), Slot(1))
        with pytest.raises(TooManyRequests) as caught:
            await n.pool.run(F, an_invocation(b"1", tenant_id="green"), Slot(1))
        assert caught.value.members == {"Reason": "ConcurrentInvocationLimitExceeded"}


async def test_starts_that_are_held_back_go_on_when_others_have_started() -> None:
    gate = Gate()
    async with node(runtime(gate), starts=Starts(1, lambda: True)) as n:
        running = [asyncio.create_task(n.run(b"%d" % i)) for i in range(30)]
        await n.until(lambda: gate.inside == 30)
        gate.open.set()
        assert sorted(int(outcome.payload) for outcome in await asyncio.gather(*running)) == list(range(30))


async def test_starts_that_take_long_do_not_hold_back_the_others_for_good() -> None:
    async def slow(rt: FakeRuntime) -> None:
        if rt.process.program.environment["AWS_LAMBDA_FUNCTION_NAME"] == "slow":
            await asyncio.Future()

    async with node(runtime(echo, slow), starts=Starts(1, lambda: True)) as n:
        stuck = [asyncio.create_task(n.run(version=a_version(name="slow"))) for _ in range(12)]
        await asyncio.sleep(0)
        assert (await n.run(b"2")).payload == b"2"
        for each in stuck:
            each.cancel()
        await asyncio.wait(stuck)
