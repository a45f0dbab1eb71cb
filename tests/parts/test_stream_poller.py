"""A poller of a stream that is scripted: what it goes on from, and what it makes of refusals."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fakes.source_tools import DONE, FAILED, SCOPE, ScriptedFunctions, Surroundings, flat, until
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.neighbours.caller import NeighbourRefused
from pasture.sources.checkpoints import Fenced
from pasture.sources.shard import Answer
from pasture.sources.shards import Shard
from pasture.sources.stream_poller import StreamPoller
from pasture.sources.stream_records import StreamRecord


class Stream:
    """Every shard has the numbers that it is made with. An iterator is the shard's place of the next."""

    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    data = "data"
    pace = 0.01

    def __init__(self, **shards: list[int]) -> None:
        self.numbers = shards
        self.parents: dict[str, tuple[str, ...]] = {}
        self.closed: set[str] = set()
        self.refusals: list[str] = []
        self.trimmed = False

    async def shards(self) -> Sequence[Shard]:
        return [Shard(name, self.parents.get(name, ())) for name in self.numbers]

    async def iterator(self, shard: str, sequence: str, begun: float) -> str:  # noqa: ARG002
        if sequence and self.trimmed:
            raise NeighbourRefused("TrimmedDataAccessException", "", 400)
        return str(self.numbers[shard].index(int(sequence)) + 1 if sequence else 0)

    async def oldest(self, shard: str) -> str:  # noqa: ARG002
        return "0"

    async def read(self, shard: str, iterator: str, most: int, begun: float) -> Answer:  # noqa: ARG002
        if self.refusals:
            raise NeighbourRefused(self.refusals.pop(), "", 400)
        at = int(iterator)
        found = self.numbers[shard][at : at + most]
        records = [StreamRecord(str(number), 0, str(number).encode(), {}, b"") for number in found]
        at += len(found)
        ended = shard in self.closed and at == len(self.numbers[shard])
        return Answer(records, None if ended else str(at))


class Kept:
    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.taken_over = False

    async def load(self) -> Mapping[str, bytes]:
        return dict(self.parts)

    async def save(self, part: str, value: bytes) -> None:
        if self.taken_over:
            raise Fenced(part)
        self.parts[part] = value

    async def drop(self, part: str) -> None:
        self.parts.pop(part)


def around(kept: Kept, answer: Any = lambda _event: DONE) -> Surroundings:
    return Surroundings(functions=ScriptedFunctions(answer), checkpoints=kept)


@asynccontextmanager
async def polling(s: Surroundings, stream: Stream) -> AsyncIterator[StreamPoller]:
    mapping = EventSourceMapping(SCOPE, "u", SourceKind.KINESIS, "f", batch_size=2, starting_position="TRIM_HORIZON")
    poller = StreamPoller(mapping, s.tools(), stream, ("kinesis:GetRecords",))
    await poller.open()
    try:
        yield poller
    finally:
        await poller.close(5.0)


def numbers(s: Surroundings) -> list[int]:
    return flat([event["Records"] for event in s.functions.events])


async def test_another_poller_goes_on_from_the_checkpoint_of_each_shard() -> None:
    kept, stream = Kept(), Stream(a=[1, 2, 3], b=[11])
    first, second = around(kept), around(kept)
    async with polling(first, stream):
        await until(lambda: sorted(numbers(first)) == [1, 2, 3, 11] and {"a", "b"} <= set(kept.parts))
        await until(lambda: b'"3"' in kept.parts["a"])
    stream.numbers["a"].append(4)
    async with polling(second, stream):
        await until(lambda: numbers(second))
    assert numbers(second) == [4]


async def test_children_are_read_when_their_parent_is_at_its_end_which_is_forgotten_with_it() -> None:
    kept, stream = Kept(), Stream(parent=[1, 2, 3], child=[4])
    stream.parents["child"] = ("parent",)
    stream.closed.add("parent")
    failing = [True]
    s = around(kept, lambda event: FAILED if failing and 3 in event["Records"] else DONE)
    async with polling(s, stream):
        await until(lambda: numbers(s).count(3) > 1)
        assert 4 not in numbers(s)
        failing.clear()
        await until(lambda: 4 in numbers(s))
        assert b"true" in kept.parts["parent"]
    del stream.numbers["parent"]
    async with polling(around(kept), stream):
        await until(lambda: "parent" not in kept.parts)


async def test_refusals_for_reading_too_often_and_old_iterators_are_waited_out() -> None:
    stream = Stream(a=[1, 2])
    stream.refusals = ["ExpiredIteratorException", "ProvisionedThroughputExceededException"]
    s = around(Kept())
    async with polling(s, stream):
        await until(lambda: numbers(s) == [1, 2])
    assert not [words for words in s.told if words.startswith("PROBLEM")]


async def test_other_refusals_are_said_and_tried_again() -> None:
    stream = Stream(a=[1])
    stream.refusals = ["KMSDisabledException"]
    s = around(Kept())
    async with polling(s, stream):
        await until(lambda: numbers(s) == [1])
    assert s.told[0].startswith("PROBLEM: KMSDisabledException")


async def test_records_that_are_gone_are_passed_over_to_the_oldest_that_is_there() -> None:
    kept, stream = Kept(), Stream(a=[1])
    async with polling(first := around(kept), stream):
        await until(lambda: "a" in kept.parts)
    assert numbers(first) == [1]
    stream.numbers["a"], stream.trimmed = [7, 8], True
    async with polling(second := around(kept), stream):
        await until(lambda: numbers(second) == [7, 8])


async def test_who_was_taken_over_from_stops_and_invokes_nothing_more() -> None:
    kept, stream = Kept(), Stream(a=[1, 2, 3, 4])
    s = around(kept)
    s.functions.gate = asyncio.Event()
    async with polling(s, stream) as poller:
        await until(lambda: s.functions.running)
        kept.taken_over = True
        s.functions.gate.set()
        await until(lambda: repr(poller).endswith("[]>"))
        await asyncio.gather(*poller._tasks._all())
    assert numbers(s) == [1, 2]
