"""Where every log writer of the server leaves its events, and the one task that stores them.

A write only appends to a list. The first write after a pause wakes the task; a moment
later it stores, in few transactions, what all writers have left by then. When nobody
writes, nothing runs.
"""

import asyncio
import logging
from contextlib import suppress

from pasture.kit.clock import Clock
from pasture.kit.tasks import Tasks
from pasture.logs.records import EVENT_OVERHEAD, StreamKey
from pasture.logs.rules import NEWEST_MS, OLDEST_MS
from pasture.logs.spec import LogEvent
from pasture.logs.store import LogStore
from pasture.store.errors import StoreFailed

_log = logging.getLogger(__name__)

# Bytes that wait, of one writer and of all; sizes are counted in characters, which is near enough.
WRITER_LIMIT = 4 * 1024 * 1024
LIMIT = 32 * 1024 * 1024
# How long writes are gathered, unless so many wait before.
_GATHER_SECONDS = 0.2
_GATHER_BYTES = 1024 * 1024
# Events of one transaction: others write between two.
_BATCH = 10_000
# How long who reads waits for the ends of invocations that have been answered: extensions may put them off.
_LAST_WORDS_SECONDS = 0.5
# An event holds 1 MiB; four bytes a character at most.
_PIECE = (1024 * 1024 - EVENT_OVERHEAD) // 4


class StreamWriter:
    """One log stream, open for writing: a `LogWriter`. Needs no closing, and costs nothing while it is idle."""

    __slots__ = ("_intake", "dropped", "key", "waiting")

    def __init__(self, intake: "Intake", key: StreamKey) -> None:
        self._intake = intake
        self.key = key
        self.waiting = 0
        self.dropped = 0

    def __repr__(self) -> str:
        return f"StreamWriter({self.key.group} {self.key.stream}, {self.waiting} bytes wait, {self.dropped} dropped)"

    def write(self, timestamp: int, message: str) -> None:
        if len(message) <= _PIECE:
            self._intake.take(self, LogEvent(timestamp, message))
            return
        for first in range(0, len(message), _PIECE):
            self._intake.take(self, LogEvent(timestamp, message[first : first + _PIECE]))

    def owes(self, last_words: bool) -> None:
        self._intake.owes(self, last_words)


class Intake:
    def __init__(self, store: LogStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[StreamWriter, list[LogEvent]] = {}
        self._size = 0
        self._loop = asyncio.get_running_loop()
        self._owing: dict[StreamWriter, asyncio.Future[None]] = {}
        """Of whom last words are to come: it ends when they have."""
        self._storing = asyncio.Lock()
        self._woken = asyncio.Event()
        self._urgent = asyncio.Event()
        self._tasks = Tasks("log intake")
        self._started = False
        self._closed = False

    def __repr__(self) -> str:
        return f"Intake({self._size} bytes of {len(self._waiting)} writers wait)"

    def writer(self, key: StreamKey) -> StreamWriter:
        return StreamWriter(self, key)

    def take(self, writer: StreamWriter, event: LogEvent) -> None:
        if self._closed or not event.message:
            return
        size = len(event.message) + EVENT_OVERHEAD
        events = self._waiting.get(writer)
        if events is None:
            events = self._waiting[writer] = []
        if writer.waiting + size > WRITER_LIMIT or self._size + size > LIMIT:
            writer.dropped += 1
            return
        now = self._now()
        if not now - OLDEST_MS <= event.timestamp <= now + NEWEST_MS:
            # A function may say any time; one that PutLogEvents would refuse is not believed.
            event = LogEvent(now, event.message)
        events.append(event)
        writer.waiting += size
        self._size += size
        if not self._woken.is_set():
            self._wake()
        if self._size > _GATHER_BYTES:
            self._urgent.set()

    def owes(self, writer: StreamWriter, last_words: bool) -> None:
        if last_words:
            if writer not in self._owing:
                self._owing[writer] = self._loop.create_future()
        elif (owed := self._owing.pop(writer, None)) is not None and not owed.done():
            owed.set_result(None)

    async def flush(self) -> None:
        """Returns when everything that was written before the call can be read, and what was owed by then."""
        if self._owing:
            await asyncio.wait(self._owing.values(), timeout=_LAST_WORDS_SECONDS)
        await self._store_now()

    async def _store_now(self) -> None:
        if self._waiting or self._storing.locked():
            # A task of ours: a reader that gives up must not take with it what writers have left.
            await asyncio.shield(self._tasks.start(self._flush(), "flush"))

    async def _flush(self) -> None:
        async with self._storing:
            if self._waiting:
                await self._store_all(self._take_all())

    async def close(self) -> None:
        """Store what waits; what is written from now on is lost. Idempotent."""
        await self._store_now()
        self._closed = True
        await self._tasks.close()

    def _wake(self) -> None:
        self._woken.set()
        if not self._started:
            self._started = True
            self._tasks.start(self._run(), "store events")

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), _GATHER_SECONDS)
            self._woken.clear()
            self._urgent.clear()
            await self._store_now()

    def _take_all(self) -> dict[StreamWriter, list[LogEvent]]:
        taken, self._waiting = self._waiting, {}
        self._size = 0
        now = self._now()
        for writer, events in taken.items():
            writer.waiting = 0
            if writer.dropped:
                words = f"{writer.dropped} log events were dropped here: they came faster than they could be stored\n"
                events.append(LogEvent(events[-1].timestamp if events else now, words))
                writer.dropped = 0
        return taken

    async def _store_all(self, taken: dict[StreamWriter, list[LogEvent]]) -> None:
        batch: list[tuple[StreamWriter, list[LogEvent]]] = []
        count = 0
        for writer, events in taken.items():
            for first in range(0, len(events), _BATCH):
                piece = events[first : first + _BATCH]
                batch.append((writer, piece))
                count += len(piece)
                if count >= _BATCH:
                    await self._store_batch(batch)
                    batch, count = [], 0
        await self._store_batch(batch)

    async def _store_batch(self, batch: list[tuple[StreamWriter, list[LogEvent]]]) -> None:
        if not batch:
            return
        try:
            await self._store.append([(writer.key, events) for writer, events in batch], self._now())
        except StoreFailed as error:
            _log.error("log events are lost: %s", error)
            for writer, events in batch:
                writer.dropped += len(events)

    def _now(self) -> int:
        return int(self._clock.now() * 1000)
