"""What the invoke path counts: admissions, throttles, and what runs whoever waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.functions import a_version, an_invocation
from pasture.domain.errors import TooManyRequests
from pasture.domain.function import FunctionVersion
from pasture.domain.function_settings import Claims, ProvisionedConcurrency
from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.invoke.admission import Slot
from pasture.invoke.direct import DirectInvoker
from pasture.kit.clock import ManualClock
from pasture.metrics.names import NAMESPACE, Dimensions
from pasture.metrics.sample import Sample
from pasture.metrics.series import Series
from pasture.metrics.service import Metrics
from pasture.metrics.store import MetricStore


class Node:
    """So many may run; what runs ends when it is told to. The alias `live` may have provisioned environments."""

    def __init__(self, metrics: Metrics, executions: int = 2) -> None:
        self.metrics = metrics
        self.end = asyncio.Event()
        self.full = False
        self.claims = Claims(None, 0)
        self.allocated = 0
        self.idle = 0
        """Of those allocated."""
        self._slots: set[asyncio.Task[None]] = set()
        limits = Limits(concurrent_executions=executions)
        self.invoker = DirectInvoker(
            self._run,
            limits,
            self._claimed,
            allocated=lambda *_of: (self.allocated, 2 * self.allocated),
            counter=metrics.recorder.counter,
        )

    def provision(self, executions: int, reserved: int | None = None) -> None:
        claimed = executions if reserved is None else reserved
        self.claims = Claims(reserved, claimed, {"live": ProvisionedConcurrency(executions, 0.0)})
        self.allocated = self.idle = executions

    async def _claimed(self, _scope: Scope, _name: str) -> Claims:
        return self.claims

    async def _run(self, _version: FunctionVersion, _invocation: Invocation, slot: Slot) -> Outcome:
        if self.full:
            slot.give_back()
            raise TooManyRequests("Rate Exceeded.")
        provisioned = self.idle > 0
        self.idle -= provisioned
        slot.served(provisioned)
        task = asyncio.create_task(self._end(slot))
        self._slots.add(task)
        await asyncio.shield(task)
        return Outcome(Status.SUCCESS, b"1")

    async def _end(self, slot: Slot) -> None:
        await self.end.wait()
        slot.give_back()

    async def invoke(self, qualifier: str = "") -> Outcome:
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:f{qualifier and ':'}{qualifier}"
        return await self.invoker.invoke(a_version(), an_invocation(function_arn=arn))

    async def begin(self, number: int, qualifier: str = "live") -> list[asyncio.Task[Outcome]]:
        begun = [asyncio.create_task(self.invoke(qualifier)) for _ in range(number)]
        await asyncio.sleep(0)
        return begun

    async def finish(self) -> None:
        self.end.set()
        await asyncio.gather(*self._slots)

    async def sample(self, name: str, dimensions: Dimensions = ()) -> Sample:
        series = Series("000000000000", "us-east-1", NAMESPACE, name, dimensions)
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


@pytest.fixture
async def roomy(tmp_path: Path) -> AsyncIterator[Node]:
    metrics = Metrics(await MetricStore.open(tmp_path / "metrics.db"), ManualClock())
    yield Node(metrics, 100)
    await metrics.close()


F = ("FunctionName", "f")
LIVE = (F, ("Resource", "f:live"))


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


# Provisioned concurrency...


async def test_what_runs_on_provisioned_environments_and_what_spills_over_is_told_by_function_and_by_alias(
    roomy: Node,
) -> None:
    roomy.provision(4)
    begun = await roomy.begin(6)
    assert (await roomy.sample("UnreservedConcurrentExecutions")).maximum == 2
    assert (await roomy.sample("ClaimedAccountConcurrency")).maximum == 6
    shares: dict[Dimensions, float] = {LIVE: 1.0, (F,): 0.5}
    for dimensions, share in shares.items():  # as many again are allocated to another alias
        assert (await roomy.sample("ProvisionedConcurrentExecutions", dimensions)).maximum == 4
        assert (await roomy.sample("ProvisionedConcurrencyUtilization", dimensions)).maximum == share
    await roomy.finish()
    await asyncio.gather(*begun)
    of: tuple[Dimensions, ...] = ((), (F,), LIVE)
    for dimensions in of:
        assert (await roomy.sample("ProvisionedConcurrencyInvocations", dimensions)).total == 4
        assert (await roomy.sample("ProvisionedConcurrencySpilloverInvocations", dimensions)).total == 2


async def test_what_is_provisioned_is_claimed_whoever_runs(roomy: Node) -> None:
    roomy.provision(10)
    begun = await roomy.begin(3, "")
    assert (await roomy.sample("ClaimedAccountConcurrency")).maximum == 13
    assert (await roomy.sample("ProvisionedConcurrentExecutions", (F,))).count == 0
    await roomy.finish()
    await asyncio.gather(*begun)
    assert (await roomy.sample("ProvisionedConcurrencySpilloverInvocations")).count == 0


async def test_what_is_provisioned_within_a_reservation_uses_nothing_of_the_others(roomy: Node) -> None:
    roomy.provision(2, reserved=5)
    begun = await roomy.begin(3)
    assert (await roomy.sample("ClaimedAccountConcurrency")).maximum == 5
    assert (await roomy.sample("UnreservedConcurrentExecutions")).count == 0
    assert (await roomy.sample("ProvisionedConcurrencyUtilization", LIVE)).maximum == 1
    await roomy.finish()
    await asyncio.gather(*begun)
    assert (await roomy.sample("ProvisionedConcurrencySpilloverInvocations", LIVE)).total == 1


async def test_nothing_spills_over_before_anything_is_allocated(roomy: Node) -> None:
    roomy.provision(2)
    roomy.allocated = roomy.idle = 0
    begun = await roomy.begin(1)
    await roomy.finish()
    await asyncio.gather(*begun)
    assert (await roomy.sample("ProvisionedConcurrencySpilloverInvocations")).count == 0
    assert (await roomy.sample("UnreservedConcurrentExecutions")).maximum == 1
