"""Metrics from the invoke path to the store: by which minute, what is kept, what a restart and a failing disk do to it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.functions import a_version
from pasture.domain.function_settings import Claims
from pasture.domain.scope import Scope
from pasture.kit.clock import ManualClock
from pasture.metrics.names import NAMESPACE, Dimensions, Place
from pasture.metrics.sample import Sample
from pasture.metrics.series import Key, Point, Points, Series
from pasture.metrics.service import RETENTION_SECONDS, Metrics
from pasture.metrics.store import Listing, MetricStore
from pasture.store.errors import StoreFailed

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
F = ("FunctionName", "f")
MINUTE = 1_700_000_040 // 60 * 60
"""The clock of the tests starts 20 seconds into the minute before."""


class Node:
    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.path = folder / "metrics.db"
        self.clock = clock
        self.metrics: Metrics

    async def start(self) -> "Node":
        self.metrics = Metrics(await MetricStore.open(self.path), self.clock)
        return self

    def invoke(self, arn: str = ARN, *, ms: float = 10.0, failed: bool = False, version: str = "$LATEST") -> None:
        counter = self.metrics.recorder.counter(a_version(version=version), arn)
        left = counter.admitted(Claims(None, 0))
        counter.reported(ms, failed)
        left()

    async def points(self, name: str, dimensions: Dimensions = (), scope: Scope = Scope()) -> list[Point]:  # noqa: B008 - it is frozen
        series = Series(scope.account, scope.region, NAMESPACE, name, dimensions)
        return await self.metrics.read(lambda reader: reader.points(series, 0, 1 << 40))

    async def told(self, name: str, dimensions: Dimensions = ()) -> list[tuple[int, float, float]]:
        """Minutes after the first, how many, and their sum."""
        found = await self.points(name, dimensions)
        return [((point.time - MINUTE) // 60, point.sample.count, point.sample.total) for point in found]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = await Node(tmp_path, ManualClock(MINUTE + 20.0)).start()
    yield made
    await made.metrics.close()


# Counting...


async def test_what_was_counted_can_be_read_at_once(node: Node) -> None:
    node.invoke()
    node.invoke(failed=True)
    assert await node.told("Invocations", (F,)) == [(0, 2, 2)]
    assert await node.told("Errors", (F,)) == [(0, 2, 1)]
    assert await node.told("Duration") == [(0, 2, 20)]


async def test_a_minute_that_is_stored_in_parts_is_one_point(node: Node) -> None:
    for ms in (10, 20, 30):
        node.invoke(ms=ms)
        await node.metrics.flush()
    (point,) = await node.points("Duration")
    assert point.sample == Sample.of([10, 20, 30])


async def test_an_invocation_counts_in_the_minute_in_which_it_began(node: Node) -> None:
    node.clock.advance(60)
    node.invoke(ms=45_000)
    node.invoke(ms=10)
    assert await node.told("Invocations") == [(0, 1, 1), (1, 1, 1)]


async def test_what_comes_while_a_batch_is_taken_is_not_lost(node: Node) -> None:
    counter = node.metrics.recorder.counter(a_version(), ARN)
    counter.reported(5, False)
    batch = node.metrics.recorder.take()
    counter.reported(5, False)
    assert [cell.duration.count for cells in batch.cells.values() for cell in cells.values()] == [1]
    assert await node.told("Invocations") == [(0, 1, 1)]


async def test_throttles_are_no_invocations(node: Node) -> None:
    node.invoke()
    node.metrics.recorder.counter(a_version(), ARN).throttled()
    assert await node.told("Throttles") == [(0, 2, 1)]
    assert await node.told("Invocations") == [(0, 1, 1)]


async def test_an_alias_shows_which_versions_ran(node: Node) -> None:
    for version in ("1", "1", "2"):
        node.invoke(f"{ARN}:live", version=version)
    resource = ("Resource", "f:live")
    assert await node.told("Invocations", (F, resource)) == [(0, 3, 3)]
    assert await node.told("Invocations", (("ExecutedVersion", "1"), F, resource)) == [(0, 2, 2)]


async def test_concurrency_is_the_most_that_ran_at_once(node: Node) -> None:
    counter = node.metrics.recorder.counter(a_version(), ARN)
    other = node.metrics.recorder.counter(a_version(name="g"), ARN[:-1] + "g")
    left = [counter.admitted(Claims(None, 100)), counter.admitted(Claims(None, 100)), other.admitted(Claims(1, 100))]
    most = {}
    for name, dimensions in (
        ("ConcurrentExecutions", ()),
        ("ConcurrentExecutions", (F,)),
        ("UnreservedConcurrentExecutions", ()),
        ("ClaimedAccountConcurrency", ()),
    ):
        (point,) = await node.points(name, dimensions)
        most[name, dimensions] = point.sample.maximum
    assert list(most.values()) == [3, 2, 2, 102]
    for leave in left:
        leave()
    assert [running for _, _, running in node.metrics.recorder.running()] == [0, 0]


async def test_what_runs_for_minutes_counts_in_each_of_them(node: Node) -> None:
    left = node.metrics.recorder.counter(a_version(), ARN).admitted(Claims(None, 0))
    for _ in range(3):
        await node.metrics.flush()
        node.clock.advance(60)
    await node.metrics.flush()
    left()
    node.clock.advance(60)
    await node.metrics.flush()
    node.clock.advance(60)
    times = [minute for minute, _, _ in await node.told("ConcurrentExecutions")]
    assert times == [0, 1, 2, 3]


async def test_other_metrics_are_observed_by_name(node: Node) -> None:
    place = Place("000000000000", "us-east-1", "f", "f:live")
    node.metrics.recorder.observe("AsyncEventAge", place, 1500)
    node.metrics.recorder.observe("AsyncEventAge", place, 500, time=MINUTE - 30.0)
    assert await node.told("AsyncEventAge", (F,)) == [(-1, 1, 500), (0, 1, 1500)]


async def test_accounts_and_regions_are_kept_apart(node: Node) -> None:
    scope = Scope("111122223333", "eu-west-1")
    arn = scope.function_arn("f")
    node.metrics.recorder.counter(a_version(scope=scope), arn).reported(5, False)
    assert await node.points("Invocations") == []
    assert len(await node.points("Invocations", scope=scope)) == 1


async def test_counters_of_functions_that_rest_are_forgotten_when_there_are_many(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pasture.metrics.recorder._REMEMBERED", 10)
    recorder = node.metrics.recorder
    left = recorder.counter(a_version(), ARN).admitted(Claims(None, 0))
    for number in range(20):
        node.invoke(f"{ARN}-{number}:live", version="1")
    node.clock.advance(60)
    await node.metrics.flush()
    assert [running for _, _, running in recorder.running()] == [1]
    left()
    assert (await node.told("ConcurrentExecutions", (F,)))[-1][0] == 1


# Keeping...


async def test_a_restart_goes_on_where_it_ended(node: Node) -> None:
    node.invoke()
    await node.metrics.close()
    await node.start()
    node.invoke()
    assert await node.told("Invocations") == [(0, 2, 2)]


async def test_minutes_are_stored_when_they_are_over(node: Node) -> None:
    """By the clock of the tests the minute is over at once."""
    node.clock.advance(39.99)
    await node.metrics.open()
    node.invoke()
    other = await MetricStore.open(node.path)
    try:
        series = Series("000000000000", "us-east-1", NAMESPACE, "Invocations", ())
        async with asyncio.timeout(30):
            while not await other.read(lambda reader: reader.points(series, 0, 1 << 40)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the condition is in a file
    finally:
        await other.close()


async def test_what_cannot_be_stored_waits_for_the_next_time(node: Node) -> None:
    store, merge = node.metrics._store, node.metrics._store.merge
    broken = True

    async def sometimes(points: Points) -> None:
        if broken:
            raise StoreFailed("the disk is full", "")
        await merge(points)

    store.merge = sometimes  # type: ignore[method-assign]
    node.invoke()
    with pytest.raises(StoreFailed):
        await node.told("Invocations")
    node.invoke()
    broken = False
    assert await node.told("Invocations") == [(0, 2, 2)]


async def test_points_are_kept_for_fifteen_days_and_series_as_long_as_their_points(node: Node) -> None:
    node.invoke()
    await node.metrics.flush()
    node.clock.advance(RETENTION_SECONDS - 60)
    node.invoke(f"{ARN}:1", version="1")
    await node.metrics.sweep()
    assert len(await node.points("Invocations", (F,))) == 2
    node.clock.advance(120)
    await node.metrics.sweep()
    assert len(await node.points("Invocations", (F,))) == 1
    found, _ = await node.metrics.read(lambda reader: reader.list(Scope(), Listing(name="Invocations")))
    assert {series.dimensions for series in found} == {(), (F,), (F, ("Resource", "f:1"))}


async def test_totals_count_from_the_start_of_the_server(node: Node) -> None:
    for _ in range(3):
        node.invoke(ms=7)
        await node.metrics.flush()
        node.clock.advance(60)
    totals = await node.metrics.totals()
    place = Place("000000000000", "us-east-1", "f", "f", "$LATEST")
    assert {name: (sample.count, sample.total) for name, sample in totals[place].items()} == {
        "Invocations": (3, 3),
        "Errors": (3, 0),
        "Duration": (3, 21),
        "Throttles": (3, 0),
    }


async def test_many_points_are_stored_in_pieces_and_none_is_lost(node: Node) -> None:
    points: Points = {
        Key(Series("000000000000", "us-east-1", "Mine", f"m{number}"), MINUTE, "None"): Sample.of([number])
        for number in range(4_500)
    }
    await node.metrics.put(points)
    assert points == {}
    seen: list[str] = []
    after: int | None = 0
    while after is not None:
        listing = Listing(namespace="Mine", after=after)
        found, after = await node.metrics.read(lambda reader, listing=listing: reader.list(Scope(), listing))  # type: ignore[misc]
        seen += [series.name for series in found]
    assert seen == [f"m{number}" for number in range(4_500)]
