"""What the invoke path counts: admissions, throttles, and what runs whoever waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.functions import a_version, an_invocation
from pasture.domain.errors import TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.limits import Limits
from pasture.invoke.admission import Slot
from pasture.invoke.direct import DirectInvoker
from pasture.kit.clock import ManualClock
from pasture.metrics.names import NAMESPACE
from pasture.metrics.sample import Sample
from pasture.metrics.series import Series
from pasture.metrics.service import Metrics
from pasture.metrics.store import MetricStore


class Node:
    """Two may run; what runs ends when it is told to."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.end = asyncio.Event()
        self.full = False
        self._slots: set[asyncio.Task[None]] = set()
        limits = Limits(concurrent_executions=2)
        self.invoker = DirectInvoker(self._run, limits, counter=metrics.recorder.counter)

    async def _run(self, _version: FunctionVersion, _invocation: Invocation, slot: Slot) -> Outcome:
        if self.full:
            slot.give_back()
            raise TooManyRequests("Rate Exceeded.")
        task = asyncio.create_task(self._end(slot))
        self._slots.add(task)
        await asyncio.shield(task)
        return Outcome(Status.SUCCESS, b"1")

    async def _end(self, slot: Slot) -> None:
        await self.end.wait()
        slot.give_back()

    async def invoke(self) -> Outcome:
        return await self.invoker.invoke(a_version(), an_invocation())

    async def finish(self) -> None:
        self.end.set()
        await asyncio.gather(*self._slots)

    async def sample(self, name: str) -> Sample:
        series = Series("000000000000", "us-east-1", NAMESPACE, name)
        points = await self.metrics.read(lambda reader: reader.points(series, 0, 1 << 40))
        return points[0].sample if points else Sample()

    @property
    def running(self) -> list[int]:
        return [now for _, _, now in self.metrics.recorder.running()]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    metrics = Metrics(await MetricStore.open(tmp_path / "metrics.db"), ManualClock())
    yield Node(metrics)
    await metrics.close()


async def test_over_the_limit_is_a_throttle_and_what_runs_is_counted(node: Node) -> None:
    running = [asyncio.create_task(node.invoke()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await node.invoke()
    assert node.running == [2]
    await node.finish()
    await asyncio.gather(*running)
    assert node.running == [0]
    assert (await node.sample("Throttles")).total == 1
    assert (await node.sample("ConcurrentExecutions")).maximum == 2


async def test_what_waits_in_vain_for_an_environment_is_a_throttle(node: Node) -> None:
    node.full = True
    with pytest.raises(TooManyRequests):
        await node.invoke()
    assert (await node.sample("Throttles")).total == 1
    assert node.running == [0]


async def test_an_invocation_runs_on_when_its_caller_has_gone(node: Node) -> None:
    caller = asyncio.create_task(node.invoke())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait({caller})
    assert node.running == [1]
    await node.finish()
    assert node.running == [0]
