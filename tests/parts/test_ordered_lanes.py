"""How records with an order are brought to a function: lanes at the same time, and commits that pass nothing over."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from fakes.source_tools import DONE, FAILED, SCOPE, ScriptedFunctions, Surroundings, flat, until
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.sources.ordered import PAYLOAD_MAX, OrderedReader
from pasture.sources.ordered_batches import Batch, Because, Rules
from pasture.sources.source import Ran
from pasture.sources.stream_records import StreamRecord, stream_event


class Shard:
    """Closed, with a record for each text; its first letter is the lane."""

    def __init__(self, *texts: str, sizes: Sequence[int] = ()) -> None:
        self.left = [
            StreamRecord(str(at), 0, json.dumps(text).encode(), {}, text.encode()) for at, text in enumerate(texts)
        ]
        self.sizes = dict(zip((record.sequence for record in self.left), sizes, strict=False))
        self.committed: list[str] = []
        self.told: list[tuple[str, Because]] = []

    @property
    def has_ended(self) -> bool:
        return not self.left

    async def read(self, most: int, seconds: float) -> Sequence[StreamRecord]:  # noqa: ARG002
        found, self.left = self.left[:most], self.left[most:]
        return found

    async def commit(self, last: StreamRecord) -> None:
        self.committed.append(last.sequence)

    def size(self, record: StreamRecord) -> int:
        return self.sizes.get(record.sequence, len(record.event))

    def lane(self, record: StreamRecord) -> int:
        assert isinstance(record.data, bytes)
        return record.data[0]

    def is_wanted(self, record: StreamRecord) -> bool:
        return record.data != b"unwanted"

    def event(self, records: Sequence[StreamRecord]) -> bytes:
        return stream_event(records)

    def stopped(self, records: Sequence[StreamRecord], response: bytes) -> int | None:  # noqa: ARG002
        return None

    async def tell(self, batch: Batch[StreamRecord], because: Because, ran: Ran | None, now: float) -> None:  # noqa: ARG002
        self.told += [(record.sequence, because) for record in batch.records]


def reader(s: Surroundings, shard: Shard, **more: Any) -> OrderedReader[StreamRecord]:
    options: dict[str, Any] = {"batch_size": 10, **more}
    mapping = EventSourceMapping(SCOPE, "u", SourceKind.KINESIS, "f", **options)
    return OrderedReader(mapping, s.tools(), shard, Rules.of(mapping))


def texts(s: Surroundings) -> list[str]:
    return flat([event["Records"] for event in s.functions.events])


async def test_lanes_run_at_the_same_time_and_each_in_order() -> None:
    s = Surroundings(functions=ScriptedFunctions(gate=asyncio.Event()))
    shard = Shard("a0", "b0", "a1", "c0", "b1", "a2")
    running = asyncio.create_task(reader(s, shard, parallelization_factor=10, batch_size=2).run())
    await until(lambda: s.functions.running == 3)
    assert shard.committed == []
    assert s.functions.gate is not None
    s.functions.gate.set()
    assert await running
    for lane in "abc":
        assert [text for text in texts(s) if text[0] == lane] == sorted(t for t in texts(s) if t[0] == lane)
    assert sorted(texts(s)) == ["a0", "a1", "a2", "b0", "b1", "c0"]
    assert shard.committed[-1] == "5"


async def test_without_a_factor_one_batch_runs_at_a_time() -> None:
    s = Surroundings()
    shard = Shard("a0", "b0", "c0")
    assert await reader(s, shard, batch_size=1).run()
    assert (texts(s), s.functions.most_running) == (["a0", "b0", "c0"], 1)
    assert shard.committed == ["0", "1", "2"]


async def test_a_lane_that_fails_holds_the_commit_back_and_no_other_lane() -> None:
    failing = [True]
    s = Surroundings(functions=ScriptedFunctions(lambda e: FAILED if failing and "b0" in e["Records"] else DONE))
    shard = Shard("a0", "b0", "a1", "a2")
    running = asyncio.create_task(reader(s, shard, parallelization_factor=2, batch_size=2).run())
    await until(lambda: texts(s).count("b0") > 1 and "a1" in texts(s))
    assert set(shard.committed) <= {"0"}
    failing.clear()
    assert await running
    assert shard.committed[-1] == "3"
    assert texts(s).count("a1") == 1


async def test_what_is_stopped_between_two_tries_has_committed_what_was_done() -> None:
    s = Surroundings(functions=ScriptedFunctions(lambda e: FAILED if "a1" in e["Records"] else DONE))
    shard = Shard("unwanted", "a0", "a1")
    one = reader(s, shard, batch_size=10, bisect_on_error=True)
    running = asyncio.create_task(one.run())
    await until(lambda: s.functions.events[-1:] == [{"Records": ["a1"]}])
    one.stop()
    assert not await running
    assert shard.committed[-1] == "1"


async def test_records_that_fit_in_no_event_are_given_up_and_the_others_keep_to_its_size() -> None:
    s = Surroundings()
    half = PAYLOAD_MAX // 2
    shard = Shard("a0", "a1", "a2", "a3", sizes=[half, half, PAYLOAD_MAX, 10])
    assert await reader(s, shard, on_failure="arn:aws:sqs:::q").run()
    assert [event["Records"] for event in s.functions.events] == [["a0"], ["a1"], ["a3"]]
    assert shard.told == [("2", Because.SIZE)]


@pytest.mark.parametrize("factor", [1, 2])
async def test_what_a_commit_raises_ends_the_reading(factor: int) -> None:
    class Refusing(Shard):
        async def commit(self, last: StreamRecord) -> None:
            raise LookupError(last.sequence)

    s = Surroundings()
    with pytest.raises(LookupError):
        await reader(s, Refusing("a0", "b0"), parallelization_factor=factor).run()
