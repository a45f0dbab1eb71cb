"""One shard of a stream, as what reads records in their order sees it: where it is, and what it has come to."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import msgspec

from pasture.domain.event_source import EventSourceMapping
from pasture.neighbours.caller import NeighbourRefused
from pasture.sources.filtering import Filter
from pasture.sources.ordered import delivery
from pasture.sources.ordered_batches import Batch, Because
from pasture.sources.shards import Shard
from pasture.sources.source import Ran, Tools
from pasture.sources.stream_records import StreamRecord, given_up, stopped, stream_event

_SLOWER = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException"})
_ITERATOR_GONE = "ExpiredIteratorException"
_TRIMMED = "TrimmedDataAccessException"
_IDLE_READS, _IDLE_PACE = 40, 1.0
"""Where so many reads in a row found nothing, the next come no more often than that."""
_SOON = 0.25
"""Between two reads while there is more to come: five a second are allowed, for all who read a shard."""


class Answer(NamedTuple):
    records: Sequence[StreamRecord]
    iterator: str | None
    """None when the shard is closed, and all of it was read."""
    is_behind: bool = False
    """There is more, though this may be nothing."""


class Stream(Protocol):
    """What the kinds of stream differ in. Raises what a `Caller` raises."""

    arn: str
    """What the function's role must be allowed to read."""
    data: str
    """The key of a record that filters look into."""
    pace: float
    """Seconds between two reads of a shard that has nothing new."""

    async def shards(self) -> Sequence[Shard]: ...

    async def iterator(self, shard: str, sequence: str, begun: float) -> str:
        """After that sequence number; without one, from where the mapping says, which was first read at `begun`."""
        ...

    async def read(self, shard: str, iterator: str, most: int, begun: float) -> Answer: ...

    async def oldest(self, shard: str) -> str:
        """An iterator at the first record that is still there."""
        ...


class ShardReading:
    """Mutable state: the iterator, and what was read last."""

    def __init__(
        self, mapping: EventSourceMapping, tools: Tools, stream: Stream, shard: str, sequence: str, begun: float
    ) -> None:
        self._mapping = mapping
        self._tools = tools
        self._stream = stream
        self._shard = shard
        self._sequence = sequence
        self._begun = begun
        self._iterator: str | None = None
        self._filter = Filter(mapping.filters, stream.data)
        self._earliest = 0.0
        self._empty = 0
        self.has_ended = False
        self.is_behind = False
        self.committed = sequence

    def __repr__(self) -> str:
        return f"<ShardReading {self._shard} after {self._sequence or 'nothing'}>"

    async def read(self, most: int, seconds: float) -> Sequence[StreamRecord]:
        """One read, when its time has come."""
        now = self._tools.clock.monotonic()
        if self._earliest > now + seconds:
            await asyncio.sleep(seconds)
            return ()
        await asyncio.sleep(max(0.0, self._earliest - now))
        try:
            answer = await self._answer(most)
        except NeighbourRefused as refused:
            if refused.code not in _SLOWER | {_ITERATOR_GONE}:
                raise
            self._iterator = None if refused.code == _ITERATOR_GONE else self._iterator
            self._wait(self._stream.pace)
            return ()
        self._iterator = answer.iterator
        self.is_behind = answer.is_behind
        self.has_ended = answer.iterator is None
        self._empty = 0 if answer.records else self._empty + 1
        pace = self._stream.pace if self._empty < _IDLE_READS else max(_IDLE_PACE, self._stream.pace)
        self._wait(_SOON if answer.records else pace)
        if answer.records:
            self._sequence = answer.records[-1].sequence
            age = self._tools.clock.now() * 1000 - answer.records[-1].timestamp
            self._tools.observe(self._mapping, "IteratorAge", max(0.0, age))
        return answer.records

    async def _answer(self, most: int) -> Answer:
        if self._iterator is None:
            try:
                self._iterator = await self._stream.iterator(self._shard, self._sequence, self._begun)
            except NeighbourRefused as refused:
                if refused.code != _TRIMMED:
                    raise
                self._iterator = await self._stream.oldest(self._shard)
        return await self._stream.read(self._shard, self._iterator, most, self._begun)

    def _wait(self, seconds: float) -> None:
        self._earliest = self._tools.clock.monotonic() + seconds

    async def commit(self, last: StreamRecord) -> None:
        """Raises Fenced."""
        await self._tools.checkpoints.save(self._shard, position(last.sequence))
        self.committed = last.sequence

    def size(self, record: StreamRecord) -> int:
        return len(record.event) + 1

    def lane(self, record: StreamRecord) -> int:
        return crc32(record.key)

    def is_wanted(self, record: StreamRecord) -> bool:
        return self._filter.matches(record.metadata, record.data)

    def event(self, records: Sequence[StreamRecord]) -> bytes:
        return stream_event(records)

    def stopped(self, records: Sequence[StreamRecord], response: bytes) -> int | None:
        return stopped(records, response)

    async def tell(self, batch: Batch[StreamRecord], because: Because, ran: Ran | None, now: float) -> None:
        body = given_up(self._mapping, self._shard, batch, because, ran, now)
        await self._tools.deliver(delivery(self._mapping, body, because, now))


def position(sequence: str, *, done: bool = False, **more: Any) -> bytes:
    """As it is kept."""
    return msgspec.json.encode({"sequence": sequence, "done": done, **more})


def kept(value: bytes) -> Mapping[str, Any]:
    found: Mapping[str, Any] = msgspec.json.decode(value, type=dict[str, Any])
    return found
