"""Reads a stream for one mapping: its shards at the same time, each in order, children after their parents.

How far each shard was read is a checkpoint of its own; that it was read to its end too, for as long as it is listed.
"""

import asyncio
import logging
from collections.abc import Sequence

from pasture.domain.event_source import EventSourceMapping
from pasture.kit.tasks import Tasks
from pasture.neighbours.caller import NeighbourRefused, NeighbourUnreachable, NoNeighbour
from pasture.sources.checkpoints import Fenced
from pasture.sources.ordered import OrderedReader
from pasture.sources.ordered_batches import Rules
from pasture.sources.shard import ShardReading, Stream, kept, position
from pasture.sources.shards import ready
from pasture.sources.source import Tools
from pasture.sources.stream_records import StreamRecord
from pasture.sources.windowed import WindowedReader, WindowedShard
from pasture.sources.windows import Window, window_that_was_kept

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 30.0
_FIRST_DELAY, _DELAY_MAX = 0.5, 30.0
_BEGUN = ".begun"
"""When the mapping was first read: from where shards are new to it."""


class StreamPoller:
    """Mutable state: what reads each shard, and which of them are at their end."""

    def __init__(self, mapping: EventSourceMapping, tools: Tools, stream: Stream, actions: Sequence[str]) -> None:
        self._mapping = mapping
        self._tools = tools
        self._stream = stream
        self._actions = actions
        self._begun = 0.0
        self._positions: dict[str, str] = {}
        self._windows: dict[str, Window | None] = {}
        """Those that are open."""
        self._done: set[str] = set()
        self._readers: dict[str, OrderedReader[StreamRecord] | None] = {}
        """None: between two tries."""
        self._closing = False
        self._wake = asyncio.Event()
        self._tasks = Tasks(f"mapping {mapping.uuid}")
        self._reading = Tasks(f"shards of mapping {mapping.uuid}")

    def __repr__(self) -> str:
        return f"<StreamPoller {self._mapping.uuid} {list(self._readers)}>"

    async def open(self) -> None:
        self._tasks.start(self._run(), "looking")

    async def close(self, seconds: float) -> None:
        self._closing = True
        await self._tasks.close()
        self._stop_readers()
        await self._reading.settle(seconds)
        await self._reading.close()

    def _stop_readers(self) -> None:
        for reader in self._readers.values():
            if reader is not None:
                reader.stop()

    async def _run(self) -> None:
        setbacks = 0
        while not self._closing:
            seconds = _LOOK_SECONDS
            try:
                if not self._begun:
                    await self._load()
                await self._look()
                setbacks = 0
            except Fenced:
                self._yield()
                return
            except Exception as error:  # noqa: BLE001  whatever it is, a poller goes on
                self._say_problem(error)
                seconds = _delay(setbacks)
                setbacks += 1
            self._wake.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _load(self) -> None:
        loaded = await self._tools.checkpoints.load()
        found = {part: kept(value) for part, value in loaded.items()}
        begun = found.pop(_BEGUN, None)
        self._windows = {shard: window_that_was_kept(loaded[shard]) for shard in found}
        self._positions = {shard: at["sequence"] for shard, at in found.items()}
        self._done = {shard for shard, at in found.items() if at["done"]}
        # When it was enabled, not when this has come to look: what came between the two is wanted.
        when = begun["sequence"] if begun is not None else str(self._mapping.last_modified or self._tools.clock.now())
        if begun is None:
            await self._tools.checkpoints.save(_BEGUN, position(when))
        self._begun = float(when)

    async def _look(self) -> None:
        for action in self._actions:
            if words := await self._tools.lacks(self._mapping, action, self._stream.arn):
                self._stop_readers()
                raise LookupError(words)
        shards = await self._stream.shards()
        for shard in ready(shards, self._done):
            if shard not in self._readers:
                self._readers[shard] = None
                self._reading.start(self._read(shard), shard)
        listed = {shard.id for shard in shards}
        for shard in self._done - listed:
            await self._tools.checkpoints.drop(shard)
            self._done.discard(shard)
            self._positions.pop(shard, None)
            self._windows.pop(shard, None)

    async def _read(self, shard: str) -> None:
        """To its end, or until stopped."""
        setbacks = 0
        try:
            while not self._closing:
                try:
                    if await self._read_on(shard):
                        await self._end(shard)
                    return
                except Fenced:
                    self._yield()
                    return
                except Exception as error:  # noqa: BLE001  tried again
                    self._say_problem(error)
                self._readers[shard] = None
                await asyncio.sleep(_delay(setbacks))
                setbacks += 1
        finally:
            del self._readers[shard]
            self._wake.set()

    async def _read_on(self, shard: str) -> bool:
        """From its checkpoint; whether it has come to its end."""
        reading, reader = self._reader(shard)
        self._readers[shard] = reader
        try:
            return await reader.run()
        finally:
            self._positions[shard] = reading.committed

    def _reader(self, shard: str) -> tuple[ShardReading, OrderedReader[StreamRecord]]:
        mapping, tools, rules = self._mapping, self._tools, Rules.of(self._mapping)
        at = self._positions.get(shard, "")
        if not mapping.tumbling_window_seconds:
            reading = ShardReading(mapping, tools, self._stream, shard, at, self._begun)
            return reading, OrderedReader(mapping, tools, reading, rules)
        windowed = WindowedShard(mapping, tools, self._stream, shard, at, self._begun, self._windows)
        return windowed, WindowedReader(mapping, tools, windowed, rules)

    async def _end(self, shard: str) -> None:
        await self._tools.checkpoints.save(shard, position(self._positions[shard], done=True))
        self._done.add(shard)

    def _yield(self) -> None:
        """To whoever reads it now."""
        _log.warning("mapping %s is read by somebody else", self._mapping.uuid)
        self._closing = True
        self._stop_readers()

    def _say_problem(self, error: Exception) -> None:
        self._tools.told(f"PROBLEM: {error}"[:500])
        if not isinstance(error, LookupError | NoNeighbour | NeighbourRefused | NeighbourUnreachable):
            _log.error("the stream of mapping %s cannot be read", self._mapping.uuid, exc_info=error)


def make_poller(mapping: EventSourceMapping, tools: Tools, stream: Stream, actions: Sequence[str]) -> StreamPoller:
    """`actions`: what the role needs."""
    return StreamPoller(mapping, tools, stream, actions)


def _delay(setbacks: int) -> float:
    return min(_DELAY_MAX, _FIRST_DELAY * 2.0 ** min(setbacks, 10))
