"""Queues of SQS, standard and FIFO: long polls, batches, and deletion of what the function is done with.

A message stays the queue's until it is deleted. One that failed, or whose batch this process did not live to see the
end of, comes again when its visibility timeout is over; how often, and what then, is for the queue's redrive policy.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.scope import Scope
from pasture.kit.tasks import Tasks
from pasture.neighbours.caller import NeighbourRefused, NeighbourUnreachable, NoNeighbour
from pasture.sources.filtering import Filter
from pasture.sources.item_failures import failed_items
from pasture.sources.pace import MOST, Pace
from pasture.sources.queue_events import AROUND, encoded, event_of, record_of, trace_of
from pasture.sources.source import Tools

_log = logging.getLogger(__name__)

_PAYLOAD_MAX = 6 * 1024 * 1024
_AT_ONCE = 10
"""Messages in one call, of any kind."""
_POLL_SECONDS = 20
_READERS_MAX = 10
_SPARE_SECONDS = 30.0
_DELAYS = (1.0, 60.0)
_LOOK_SECONDS = 300.0
"""How old what is known of the queue and of the role's rights may be."""
_TRIES = 4
_NEEDED = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
_PER_POLLER = 10
"""Invocations at once of one provisioned poller."""


@dataclass(slots=True, eq=False)
class _Message:
    raw: Mapping[str, Any]
    record: Mapping[str, Any]
    text: bytes
    """As in the event."""
    taken: float
    """When it was received, on the monotonic clock."""


@dataclass(slots=True)
class _Queue:
    url: str
    visibility: float
    """The queue's own timeout, in seconds."""
    extended: float
    """What a batch needs: never less."""
    looked: float


@dataclass(slots=True)
class _Batch:
    messages: list[_Message] = field(default_factory=list)
    size: int = AROUND
    closes: float = 0.0


def make(mapping: EventSourceMapping, tools: Tools) -> "SqsPoller":
    return SqsPoller(mapping, tools)


class SqsPoller:
    """Mutable state: the readers, and the batches that run."""

    def __init__(self, mapping: EventSourceMapping, tools: Tools) -> None:
        parts = mapping.source.split(":")
        self._mapping = mapping
        self._tools = tools
        self._scope = Scope(parts[4], parts[3])
        self._name = parts[5]
        self._filter = Filter(mapping.filters, "body")
        self._pace = Pace(_most_at_once(mapping))
        self._queue: _Queue | None = None
        self._readers = 0
        self._running = 0
        self._freed = asyncio.Event()
        self._stopping = False
        self._reading = Tasks(f"mapping {mapping.uuid}")
        self._batches = Tasks(f"batches of mapping {mapping.uuid}")

    def __repr__(self) -> str:
        return f"<SqsPoller {self._name}: {self._readers} readers, {self._running} batches>"

    async def open(self) -> None:
        self._start_reader()

    async def close(self, seconds: float) -> None:
        self._stopping = True
        await self._reading.close()
        await self._batches.settle(seconds)
        await self._batches.close()

    # Reading...

    def _start_reader(self) -> None:
        self._readers += 1
        self._reading.start(self._read(first=self._readers == 1), f"reader {self._readers}")

    async def _read(self, *, first: bool) -> None:
        """The first goes on for ever; the others are for as long as there is much to read."""
        setbacks = 0
        try:
            while True:
                try:
                    queue = await self._known_queue()
                    await self._room()
                    batch = await self._collect(queue, seconds=self._patience() if first else 0)
                    setbacks = 0
                except Exception as error:  # noqa: BLE001 - told, and tried again: a poller never ends by itself
                    if not first:
                        return
                    self._say_problem(error)
                    self._queue = None
                    await asyncio.sleep(min(_DELAYS[1], _DELAYS[0] * 2 ** min(setbacks, 10)))
                    setbacks += 1
                    continue
                if batch.messages:
                    self._running += 1
                    self._batches.start(self._handle(queue, batch.messages), "batch")
                    if len(batch.messages) >= min(_AT_ONCE, self._mapping.batch_size):
                        self._more_readers()
                elif first:
                    self._pace.idle()
                else:
                    return
        finally:
            self._readers -= 1

    def _patience(self) -> int:
        """For how long a poll waits. One that began while a group was taken may not notice that it is free again."""
        return 1 if self._mapping.is_fifo and self._running else _POLL_SECONDS

    def _more_readers(self) -> None:
        if self._readers < min(_READERS_MAX, self._pace.limit(time.monotonic())) and not self._stopping:
            self._start_reader()

    async def _room(self) -> None:
        while True:
            now = time.monotonic()
            if now < (resumes := self._pace.rests_until()):
                await asyncio.sleep(resumes - now)
                continue
            if self._running < self._pace.limit(now):
                return
            self._pace.busy(now)
            self._freed.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._freed.wait()
            except TimeoutError:
                pass

    async def _known_queue(self) -> _Queue:
        """Raises LookupError with the words for what the role lacks, and what a `Caller` raises."""
        if self._queue is not None and time.monotonic() < self._queue.looked + _LOOK_SECONDS:
            return self._queue
        for action in _NEEDED:
            if words := await self._tools.lacks(self._mapping, action, self._mapping.source):
                raise LookupError(words)
        where = {"QueueName": self._name, "QueueOwnerAWSAccountId": self._scope.account}
        url = (await self._call("GetQueueUrl", where))["QueueUrl"]
        wanted = {"QueueUrl": url, "AttributeNames": ["VisibilityTimeout"]}
        attributes = (await self._call("GetQueueAttributes", wanted)).get("Attributes", {})
        visibility = float(attributes.get("VisibilityTimeout", 30))
        timeout = await self._tools.functions.timeout(self._mapping)
        needed = (self._mapping.window_seconds or 0) + timeout + _SPARE_SECONDS
        self._queue = _Queue(url, visibility, max(visibility, needed), time.monotonic())
        return self._queue

    async def _collect(self, queue: _Queue, *, seconds: int) -> _Batch:
        """A batch: full, or all that came within the window after its first message, or nothing after `seconds`."""
        batch = _Batch()
        most = self._mapping.batch_size
        while len(batch.messages) < most and batch.size < _PAYLOAD_MAX:
            now = time.monotonic()
            if batch.messages:
                if now >= batch.closes:
                    break
                wait = max(1, min(_POLL_SECONDS, int(batch.closes - now)))
            else:
                wait = seconds
            try:
                came = await self._receive(queue, min(_AT_ONCE, most - len(batch.messages)), wait)
            except (NeighbourRefused, NeighbourUnreachable):
                if batch.messages:
                    break
                raise
            if not came and not batch.messages:
                break
            wanted = await self._sift(queue, came)
            if wanted and not batch.messages:
                batch.closes = time.monotonic() + (self._mapping.window_seconds or 0)
            batch.messages += wanted
            batch.size += sum(len(message.text) + 1 for message in wanted)
            if not self._mapping.window_seconds and (wanted or batch.messages):
                break
        return batch

    async def _receive(self, queue: _Queue, most: int, wait: int) -> list[_Message]:
        answer = await self._call(
            "ReceiveMessage",
            {
                "QueueUrl": queue.url,
                "MaxNumberOfMessages": most,
                "WaitTimeSeconds": wait,
                "VisibilityTimeout": ceil(queue.extended),
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            },
        )
        messages = answer.get("Messages", [])
        self._count("PolledEventCount", len(messages))
        taken = time.monotonic()
        found = []
        for message in messages:
            record = record_of(message, self._mapping.source)
            found.append(_Message(message, record, encoded(record), taken))
        return found

    async def _sift(self, queue: _Queue, messages: Sequence[_Message]) -> list[_Message]:
        """What the filters let through; the rest is deleted, as on AWS."""
        if not self._filter:
            return list(messages)
        wanted = [one for one in messages if self._filter.matches(_metadata(one.record), one.record["body"])]
        if unwanted := [one for one in messages if one not in wanted]:
            self._count("FilteredOutEventCount", len(unwanted))
            await self._delete(queue, unwanted)
        return wanted

    # A batch...

    async def _handle(self, queue: _Queue, messages: list[_Message]) -> None:
        try:
            for part in _by_size(messages):
                await self._bring_through(queue, part)
        finally:
            self._running -= 1
            self._freed.set()

    async def _bring_through(self, queue: _Queue, messages: list[_Message]) -> None:
        payload = event_of([message.text for message in messages])
        trace = trace_of([message.raw for message in messages])
        # A function that is throttled is asked again for as long as the messages are nobody else's.
        patience = messages[0].taken + queue.extended - _SPARE_SECONDS
        while True:
            ran = await self._tools.functions.invoke(self._mapping, payload, trace_id=trace)
            now = time.monotonic()
            self._tools.told(ran.why)
            if not ran.throttled:
                break
            self._pace.set_back(now)
            if (resumes := max(self._pace.rests_until(), now + 0.5)) >= patience or self._stopping:
                break
            await asyncio.sleep(resumes - now)
        if ran.outcome is None:
            self._pace.set_back(now)
            await self._give_back(queue, messages)
            return
        self._count("InvokedEventCount", len(messages))
        failed = self._failed(ran.outcome.failed, ran.outcome.payload, messages)
        # Who says which messages failed is not slowed down for them.
        if failed and not self._mapping.reports_item_failures:
            self._pace.set_back(now)
        else:
            self._pace.went_well()
        if done := [message for message in messages if message.record["messageId"] not in failed]:
            await self._delete(queue, done)
        if again := [message for message in messages if message.record["messageId"] in failed]:
            self._count("FailedInvokeEventCount", len(again))
            await self._give_back(queue, again)

    def _failed(self, failed: bool, payload: bytes, messages: Sequence[_Message]) -> frozenset[str]:
        ids = frozenset(message.record["messageId"] for message in messages)
        if failed:
            return ids
        return failed_items(payload, ids) if self._mapping.reports_item_failures else frozenset()

    async def _delete(self, queue: _Queue, messages: Sequence[_Message]) -> None:
        """What cannot be deleted comes again, and its function with it: at least once."""
        self._count("DeletedEventCount", await self._in_batches("DeleteMessageBatch", queue, messages, {}))

    async def _give_back(self, queue: _Queue, messages: Sequence[_Message]) -> None:
        """They come again when the queue's own visibility timeout is over, not when what we asked for is."""
        if queue.extended <= queue.visibility:
            return
        left = max(0, ceil(messages[0].taken + queue.visibility - time.monotonic()))
        await self._in_batches("ChangeMessageVisibilityBatch", queue, messages, {"VisibilityTimeout": left})

    async def _in_batches(
        self, operation: str, queue: _Queue, messages: Sequence[_Message], more: Mapping[str, Any]
    ) -> int:
        """For how many it was done."""
        done = 0
        for begin in range(0, len(messages), _AT_ONCE):
            some = messages[begin : begin + _AT_ONCE]
            entries = [
                {"Id": str(number), "ReceiptHandle": message.raw["ReceiptHandle"], **more}
                for number, message in enumerate(some)
            ]
            done += await self._persist(operation, queue, entries)
        return done

    async def _persist(self, operation: str, queue: _Queue, entries: list[dict[str, Any]]) -> int:
        wanted, done = entries, 0
        for attempt in range(_TRIES):
            try:
                answer = await self._call(operation, {"QueueUrl": queue.url, "Entries": wanted})
            except (NeighbourUnreachable, NeighbourRefused) as error:
                problem = str(error)
            else:
                failed = {entry["Id"] for entry in answer.get("Failed", []) if not entry.get("SenderFault")}
                done += len(wanted) - len(answer.get("Failed", []))
                wanted = [entry for entry in wanted if entry["Id"] in failed]
                problem = f"{len(wanted)} entries failed"
            if not wanted:
                return done
            await asyncio.sleep(_DELAYS[0] * 2**attempt)
        _log.warning("mapping %s: %s gave up: %s", self._mapping.uuid, operation, problem)
        return done

    # What it is all done with...

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._tools.caller.call("sqs", operation, parameters, scope=self._scope)

    def _count(self, metric: str, value: int) -> None:
        if value:
            self._tools.observe(self._mapping, metric, value)

    def _say_problem(self, error: Exception) -> None:
        self._tools.told(f"PROBLEM: {error}"[:500])
        if not isinstance(error, LookupError | NoNeighbour | NeighbourRefused | NeighbourUnreachable):
            _log.error("the queue of mapping %s cannot be read", self._mapping.uuid, exc_info=error)


def _most_at_once(mapping: EventSourceMapping) -> int:
    if mapping.pollers is not None:
        return mapping.pollers.maximum * _PER_POLLER
    return mapping.maximum_concurrency or MOST


def _metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "body"}


def _by_size(messages: Sequence[_Message]) -> list[list[_Message]]:
    """In their order, as many in each as an event holds."""
    parts: list[list[_Message]] = []
    size = _PAYLOAD_MAX
    for message in messages:
        if size + len(message.text) + 1 > _PAYLOAD_MAX:
            parts.append([])
            size = AROUND
        parts[-1].append(message)
        size += len(message.text) + 1
    return parts
