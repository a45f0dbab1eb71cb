"""SnapStart in the pool: environments that are initialised ahead, with fake boxes and runtimes that wait for a restore."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from fakes.functions import a_plan, a_version
from fakes.isolation import FakeProcess, Script
from fakes.logs import RecordingWriter
from fakes.runtime import FakeRuntime, echo, runtime
from parts.test_pool import SOON, Gate, Node
from pasture.domain.function import FunctionVersion, Reason
from pasture.domain.limits import Limits
from pasture.environments import snapshots
from pasture.environments.environment import Environment
from pasture.environments.journal import Journal
from pasture.kit.clock import SystemClock
from pasture.logs.platform import ON_DEMAND, SNAP_START


def version(name: str = "f", number: str = "1", memory_mb: int = 128) -> FunctionVersion:
    return a_version(
        name=name, version=number, memory_mb=memory_mb, more={"SnapStart": {"ApplyOn": "PublishedVersions"}}
    )


F, G, PLAIN = version("f"), version("g"), a_version(name="plain")


class SnapStartNode(Node):
    """Its runtimes wait to be restored when their function has SnapStart."""

    def __init__(self, script: Script, memory_mb: int, **more: Any) -> None:
        super().__init__(script, memory_mb, 60.0, Limits(), **more)
        self.make_fails: Exception | None = None

    async def _make(self, id_: str, version: FunctionVersion) -> Environment:
        await asyncio.sleep(0)
        if self.make_fails is not None:
            raise self.make_fails
        plan = replace(
            a_plan(version, id_, self.limits), initialization=SNAP_START if version.snap_start else ON_DEMAND
        )
        return Environment(plan, self.isolation, Journal(RecordingWriter(), SystemClock()), SystemClock(), self.limits)

    def states(self, name: str = "f") -> list[str]:
        known = self.pool.assignment.environments().values()
        return sorted(state for key, state in known if key.split("/")[2] == name)


@asynccontextmanager
async def node(script: Script | None = None, memory_mb: int = 10_240, **more: Any) -> AsyncIterator[SnapStartNode]:
    made = SnapStartNode(script or waiting(), memory_mb, **more)
    try:
        async with asyncio.timeout(SOON * 4):
            yield made
    finally:
        await made.pool.close(grace=0)
        assert (made.boxes, made.pool.environments(), made.isolation.faults) == (0, [], [])


def waiting(handler: Any = echo, inits: list[str] | None = None) -> Script:
    async def waits(rt: FakeRuntime) -> None:
        if inits is not None:
            inits.append(rt.process.sandbox.id)
        if rt.process.program.environment["AWS_LAMBDA_INITIALIZATION_TYPE"] == SNAP_START:
            await rt.client.call("GET", "/2018-06-01/runtime/restore/next")

    return runtime(handler, waits)


async def test_what_was_initialised_ahead_serves_and_the_next_one_rests_a_moment_later() -> None:
    async with node() as n:
        assert await n.pool.snapshots.keep(F) is None
        assert (n.states(), n.isolation.created) == (["resting"], 1)
        (resting,) = n.pool.environments()
        assert (await n.run(b"1", F)).payload == b"1"
        assert n.pool.environments() == [resting]
        await n.until(lambda: n.states() == ["idle", "resting"])
        assert n.isolation.created == 2


async def test_a_burst_has_the_one_that_rests_and_others_and_leaves_one_behind() -> None:
    gate = Gate()
    async with node(waiting(gate)) as n:
        await n.pool.snapshots.keep(F)
        running = [asyncio.create_task(n.run(b"1", F)) for _ in range(5)]
        await n.until(lambda: gate.inside == 5)
        gate.open.set()
        await asyncio.gather(*running)
        await n.until(lambda: n.states() == ["idle"] * 5 + ["resting"])


async def test_without_one_the_first_invocation_initialises_its_own_and_one_more_rests_after_it() -> None:
    async with node() as n:
        await n.run(b"1", F)
        await n.until(lambda: n.states() == ["idle", "resting"])


async def test_functions_without_snap_start_have_none() -> None:
    async with node() as n:
        await n.run(b"1", PLAIN)
        await asyncio.sleep(snapshots.A_MOMENT + 0.1)  # nothing is what is waited for
        assert n.states("plain") == ["idle"]


async def test_a_version_whose_init_fails_is_said_to_and_nothing_is_left() -> None:
    async def fails(rt: FakeRuntime) -> None:
        await rt.init_error(b'{"errorMessage": "no", "errorType": "ValueError"}', "Runtime.Unknown")
        await asyncio.Future()

    async with node(runtime(echo, fails)) as n:
        assert await n.pool.snapshots.keep(F) == Reason("Runtime.Unknown", "FunctionError.RuntimeInitError")
        await n.until(lambda: n.boxes == 0)
        assert (n.states(), n.pool.assignment.memory[0], n.pool._versions) == ([], 0, {})


async def test_one_that_cannot_be_made_is_told_to_the_operator_and_the_version_is_none_the_worse(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with node() as n:
        n.make_fails = FileNotFoundError("its package is gone")
        assert await n.pool.snapshots.keep(F) is None
        assert "its package is gone" in caplog.text
        await n.until(lambda: n.pool.assignment.memory[0] == 0)
        n.make_fails = None
        assert (await n.run(b"1", F)).payload == b"1"


async def test_of_a_version_that_is_gone_none_is_made_any_more() -> None:
    async with node() as n:
        await n.pool.snapshots.keep(F)
        await n.run(b"1", F)  # the next one is due in a moment
        n.pool.replaced(F.scope, F.name, None, F.version)
        n.pool.snapshots.drop(F.scope, F.name, F.version)
        await n.until(lambda: n.boxes == 0)
        await asyncio.sleep(snapshots.A_MOMENT + 0.1)  # nothing is what is waited for
        assert n.isolation.created == 1


async def test_of_a_version_that_goes_while_it_is_invoked_none_is_made_any_more() -> None:
    gate = Gate()
    async with node(waiting(gate)) as n:
        running = asyncio.create_task(n.run(b"1", F))  # it has found its version, and has yet to begin
        n.pool.snapshots.drop(F.scope, F.name, F.version)
        n.pool.replaced(F.scope, F.name, None, F.version)
        gate.open.set()
        await running
        await asyncio.sleep(snapshots.A_MOMENT + 0.1)  # nothing is what is waited for
        assert n.isolation.created == 1


async def test_of_a_version_that_goes_while_it_is_initialised_nothing_is_left() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def takes_long(rt: FakeRuntime) -> None:
        entered.set()
        await go_on.wait()
        await rt.client.call("GET", "/2018-06-01/runtime/restore/next")

    async with node(runtime(echo, takes_long)) as n:
        keeping = asyncio.create_task(n.pool.snapshots.keep(F))
        await entered.wait()
        n.pool.snapshots.drop(F.scope, F.name, F.version)
        assert await keeping is None
        go_on.set()
        await n.until(lambda: n.boxes == 0)
        assert not n.pool.assignment.knows(F.environment_key)


async def test_a_name_that_is_used_again_has_its_own() -> None:
    again = replace(F, generation="g2")
    async with node() as n:
        await n.pool.snapshots.keep(F)
        n.pool.snapshots.drop(F.scope, F.name, F.version)
        assert await n.pool.snapshots.keep(again) is None
        await n.until(lambda: n.states() == ["resting"])
        assert list(n.pool.assignment.environments().values()) == [(again.environment_key, "resting")]


async def test_one_that_has_died_at_rest_costs_the_invocation_an_init_and_nothing_else() -> None:
    async with node() as n:
        await n.pool.snapshots.keep(F)
        (sandbox,) = n.isolation.sandboxes.values()
        sandbox.vanish()
        assert (await n.run(b"1", F)).payload == b"1"


async def test_its_memory_counts_and_makes_room_for_invocations() -> None:
    gate = Gate()
    async with node(waiting(gate), memory_mb=512) as n:
        await n.pool.snapshots.keep(F)
        assert n.pool.assignment.memory == (128, 512)
        running = [asyncio.create_task(n.run(b"1", PLAIN)) for _ in range(4)]
        await n.until(lambda: gate.inside == 4)
        assert n.pool.assignment.memory == (512, 512)
        assert n.states() == []
        gate.open.set()
        await asyncio.gather(*running)


async def test_on_a_machine_full_of_idle_ones_a_published_version_gets_room() -> None:
    gate = Gate()
    async with node(waiting(gate), memory_mb=512) as n:
        running = [asyncio.create_task(n.run(b"1", PLAIN)) for _ in range(4)]
        await n.until(lambda: gate.inside == 4)
        gate.open.set()
        await asyncio.gather(*running)
        await n.until(lambda: n.states("plain") == ["idle"] * 4)
        assert await n.pool.snapshots.keep(F) is None
        assert (n.states(), n.states("plain")) == (["resting"], ["idle"] * 3)


async def test_on_a_machine_that_stays_full_a_published_version_does_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(snapshots, "ROOM_SECONDS", 0.3)
    gate = Gate()
    async with node(waiting(gate), memory_mb=512) as n:
        running = [asyncio.create_task(n.run(b"1", PLAIN)) for _ in range(4)]
        await n.until(lambda: gate.inside == 4)
        assert await n.pool.snapshots.keep(F) is None
        assert (n.states(), "no memory for a snapshot" in caplog.text) == ([], True)
        gate.open.set()
        await asyncio.gather(*running)


async def test_what_found_no_room_after_its_use_is_initialised_when_there_is_some() -> None:
    gate = Gate()
    async with node(waiting(gate), memory_mb=512) as n:
        running = [asyncio.create_task(n.run(b"1", PLAIN)) for _ in range(3)]
        running.append(asyncio.create_task(n.run(b"1", F)))
        await n.until(lambda: gate.inside == 4)
        await n.until(lambda: "1 lacking" in repr(n.pool.snapshots))
        gate.open.set()
        await asyncio.gather(*running)
        n.pool.replaced(PLAIN.scope, PLAIN.name, None, PLAIN.version)
        await n.until(lambda: n.states() == ["idle", "resting"])


async def test_one_that_has_rested_for_half_a_life_is_renewed_and_there_is_always_one() -> None:
    async with node(age_seconds=2.0) as n:
        await n.pool.snapshots.keep(F)
        (first,) = n.pool.environments()
        while first in n.pool.environments():
            assert "resting" in n.states()
            await asyncio.sleep(0.001)
        await n.until(lambda: n.states() == ["resting"])
        (second,) = n.pool.environments()
        assert 1.0 <= second.born - first.born < 2.0
        assert (await n.run(b"1", F)).payload == b"1"


async def test_without_room_for_two_it_goes_before_the_next_comes() -> None:
    async with node(memory_mb=512, age_seconds=2.0) as n:
        await n.pool.snapshots.keep(F)  # a quarter of the memory is what snapshots may have
        (first,) = n.pool.environments()
        await n.until(lambda: n.pool.environments() not in ([], [first]) and n.states() == ["resting"])
        (second,) = n.pool.environments()
        assert second.born - first.born >= 1.5


async def test_two_versions_share_what_there_is_for_snapshots() -> None:
    async with node(memory_mb=512) as n:
        await n.pool.snapshots.keep(F)
        await n.pool.snapshots.keep(G)
        await n.until(lambda: (n.states("f"), n.states("g")) == ([], ["resting"]))


async def test_when_the_server_ends_nothing_is_begun_and_who_waits_for_one_goes_on() -> None:
    async def forever(_process: FakeProcess) -> None:
        await asyncio.Future()

    async with node(forever) as n:
        keeping = asyncio.create_task(n.pool.snapshots.keep(F))
        await n.until(lambda: n.boxes == 1)
        await n.pool.close(grace=0)
        assert await keeping is None
        assert await n.pool.snapshots.keep(G) is None
