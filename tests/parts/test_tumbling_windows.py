"""A shard that is read in tumbling windows, of a stream in memory: states, ends, failures, and reading on."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from fakes.source_tools import FAILED, SCOPE, THROTTLED, ScriptedFunctions, Surroundings, until
from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.domain.invocation import Outcome, Status
from pasture.sources.ordered_batches import Rules
from pasture.sources.shard import Answer
from pasture.sources.shards import Shard
from pasture.sources.source import Ran
from pasture.sources.stream_records import StreamRecord
from pasture.sources.windowed import WindowedReader, WindowedShard
from pasture.sources.windows import STATE_MAX, window_that_was_kept

LONG_AGO = 1_599_999_960_000
"""Milliseconds; where a window begins."""


class Stream:
    """A shard; iterators are how many of its records were read."""

    arn, data, pace = "arn:stream", "data", 0.01

    def __init__(self, *arrivals: int, closed: bool = True) -> None:
        self.records = [
            StreamRecord(str(n), at, json.dumps({"n": n}).encode(), {}, b"") for n, at in enumerate(arrivals)
        ]
        self.closed = closed

    async def shards(self) -> Sequence[Shard]:
        return [Shard("s", ())]

    async def iterator(self, _shard: str, sequence: str, _begun: float) -> str:
        return str(int(sequence) + 1) if sequence else "0"

    async def oldest(self, _shard: str) -> str:
        return "0"

    async def read(self, _shard: str, iterator: str, most: int, _begun: float) -> Answer:
        at = int(iterator)
        found = self.records[at : at + most]
        is_read = self.closed and at + len(found) >= len(self.records)
        return Answer(found, None if is_read else str(at + len(found)))


class Kept:
    def __init__(self) -> None:
        self.saved: dict[str, bytes] = {}

    async def load(self) -> Mapping[str, bytes]:
        return self.saved

    async def save(self, part: str, value: bytes) -> None:
        self.saved[part] = value

    async def drop(self, part: str) -> None:
        del self.saved[part]


def answers(state: Any, **more: Any) -> Ran:
    return Ran(Outcome(Status.SUCCESS, json.dumps({"state": state, **more}).encode()), "r", "1")


def counts(event: Any) -> Ran:
    return answers({"count": event["state"].get("count", 0) + len(event["Records"])})


class Reading:
    def __init__(self, stream: Stream, functions: ScriptedFunctions, **more: Any) -> None:
        self.functions = functions
        self.kept = Kept()
        self.surroundings = Surroundings(functions=functions, checkpoints=self.kept)
        self._stream = stream
        options: dict[str, Any] = {"batch_size": 2, "tumbling_window_seconds": 60, **more}
        self._mapping = EventSourceMapping(SCOPE, "u", SourceKind.KINESIS, "f", **options)

    def reader(self) -> WindowedReader:
        """As of whoever starts: from what is kept."""
        value = self.kept.saved.get("s")
        at = json.loads(value)["sequence"] if value else ""
        windows = {"s": window_that_was_kept(value)} if value else {}
        tools = self.surroundings.tools()
        shard = WindowedShard(self._mapping, tools, self._stream, "s", at, 0.0, windows)
        return WindowedReader(self._mapping, tools, shard, Rules.of(self._mapping))

    def told(self) -> list[tuple[list[int], Any, bool]]:
        """Of each event: its records, its state, and whether it was the window's last."""
        return [
            ([record["n"] for record in event["Records"]], event["state"], event["isFinalInvokeForWindow"])
            for event in self.functions.events
        ]


def in_windows(*seconds: int) -> list[int]:
    return [LONG_AGO + second * 1000 for second in seconds]


async def test_the_state_goes_from_batch_to_batch_and_begins_anew_with_the_next_window() -> None:
    reading = Reading(Stream(*in_windows(0, 1, 59, 60, 61)), ScriptedFunctions(counts))
    assert await reading.reader().run()
    assert reading.told() == [
        ([0, 1], {}, False),
        ([2], {"count": 2}, False),
        ([], {"count": 3}, True),
        ([3], {}, False),
        ([4], {"count": 1}, False),
        ([], {"count": 2}, True),
    ]


async def test_windows_without_records_are_passed_over_and_late_records_go_with_the_open_one() -> None:
    reading = Reading(Stream(*in_windows(0, 600, 30)), ScriptedFunctions(counts), batch_size=10)
    assert await reading.reader().run()
    assert [records for records, _, is_final in reading.told() if not is_final] == [[0], [1], [2]]
    assert [state for _, state, is_final in reading.told() if is_final] == [{"count": 1}, {"count": 2}]


async def test_a_window_ends_by_the_clock_when_nothing_more_comes() -> None:
    stream = Stream(*in_windows(0), closed=False)
    reading = Reading(stream, ScriptedFunctions(counts))
    reader = reading.reader()
    running = asyncio.create_task(reader.run())
    await until(lambda: len(reading.functions.events) == 2)
    assert reading.told() == [([0], {}, False), ([], {"count": 1}, True)]
    reader.stop()
    assert not await running


async def test_who_reads_on_has_the_state_that_was_kept() -> None:
    stream = Stream(*in_windows(0, 1, 2, 3), closed=False)
    reading = Reading(stream, ScriptedFunctions(lambda event: counts(event) if event["state"] == {} else FAILED))
    reader = reading.reader()
    running = asyncio.create_task(reader.run())
    await until(lambda: len(reading.functions.events) > 2)
    reader.stop()
    await running
    stream.closed = True
    reading.functions.events.clear()
    reading.functions.answer = counts
    assert await reading.reader().run()
    assert reading.told() == [([2, 3], {"count": 2}, False), ([], {"count": 4}, True)]


async def test_a_batch_that_fails_is_tried_again_with_the_state_it_had_and_so_is_the_end() -> None:
    script: list[Ran | Callable[[Any], Ran]] = [counts, FAILED, counts, THROTTLED, FAILED, counts]

    def answer(event: Any) -> Ran:
        now = script.pop(0)
        return now if isinstance(now, Ran) else now(event)

    reading = Reading(Stream(*in_windows(0, 1, 2)), ScriptedFunctions(answer))
    assert await reading.reader().run()
    assert reading.told() == [
        ([0, 1], {}, False),
        ([2], {"count": 2}, False),
        ([2], {"count": 2}, False),
        *[([], {"count": 3}, True)] * 3,
    ]


@pytest.mark.parametrize("answer", [b"null", b'{"state": 1}'])
async def test_an_answer_without_a_state_is_a_failure(answer: bytes) -> None:
    functions = ScriptedFunctions(lambda _event: Ran(Outcome(Status.SUCCESS, answer), "r", "1"))
    reading = Reading(Stream(*in_windows(0)), functions, retries=1)
    assert await reading.reader().run()
    assert reading.told() == [([0], {}, False)] * 2
    assert any("must answer a state" in words for words in reading.surroundings.told)


async def test_a_state_that_grows_too_large_ends_its_window_early() -> None:
    def answer(event: Any) -> Ran:
        return answers({"x": "x" * STATE_MAX}) if event["Records"] == [{"n": 0}] else counts(event)

    reading = Reading(Stream(*in_windows(0, 1)), ScriptedFunctions(answer), batch_size=1)
    assert await reading.reader().run()
    early = [event["isWindowTerminatedEarly"] for event in reading.functions.events]
    assert early == [False, True, False, False]
    assert [(records, is_final) for records, _, is_final in reading.told()] == [
        ([0], False), ([], True), ([1], False), ([], True),
    ]  # fmt: skip
    assert reading.told()[2][1] == {}


async def test_a_function_that_stopped_midway_keeps_the_state_of_what_it_has_done() -> None:
    stops = [answers({"count": 1}, batchItemFailures=[{"itemIdentifier": "1"}])]
    functions = ScriptedFunctions(lambda event: stops.pop() if stops else counts(event))
    reading = Reading(Stream(*in_windows(0, 1)), functions, reports_item_failures=True)
    assert await reading.reader().run()
    assert reading.told() == [([0, 1], {}, False), ([1], {"count": 1}, False), ([], {"count": 2}, True)]
