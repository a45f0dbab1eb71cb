"""Reads records that have an order, of a shard or a partition, for one mapping.

What was collected is brought to its end before the next begins. It may be split into lanes, whose batches run at the
same time; each lane is in order.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Generic, Protocol, TypeVar

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.events import Channel, Condition, Delivery
from pasture.kit.random_ids import random_uuid
from pasture.sources.ordered_batches import Batch, Because, Dated, Progress, Rules, Settled, expired, failed, succeeded
from pasture.sources.source import Ran, Tools

PAYLOAD_MAX = 6 * 1024 * 1024
_AROUND = 2_048
"""Bytes of an event around its records, at most."""
_IDLE_SECONDS = 10.0
_FIRST_DELAY, _DELAY_MAX = 0.5, 30.0

R = TypeVar("R", bound=Dated)


class Part(Protocol[R]):
    """A shard or a partition: where its records come from, and how they look. What it raises ends the reading."""

    @property
    def has_ended(self) -> bool:
        """It never gets more records than those that were read."""
        ...

    async def read(self, most: int, seconds: float) -> Sequence[R]:
        """What comes next, in order; nothing when nothing comes in time."""
        ...

    async def commit(self, last: R) -> None:
        """This record and all before it are done with; returns when that is durable."""
        ...

    def size(self, record: R) -> int:
        """Bytes of its event, at most."""
        ...

    def lane(self, record: R) -> int:
        """Records of the same number are handed over one after the other."""
        ...

    def is_wanted(self, record: R) -> bool:
        """By the mapping's filters."""
        ...

    def event(self, records: Sequence[R]) -> bytes: ...

    def stopped(self, records: Sequence[R], response: bytes) -> int | None:
        """Where a function that may say so has stopped; None when all went well, 0 when it makes no sense."""
        ...

    async def tell(self, batch: Batch[R], because: Because, ran: Ran | None, now: float) -> None:
        """Tell the mapping's destination of records that are given up; returns when that is durable."""
        ...


class OrderedReader(Generic[R]):
    def __init__(
        self,
        mapping: EventSourceMapping,
        tools: Tools,
        part: Part[R],
        rules: Rules,
        *,
        window: float = 0.0,
        room: int = PAYLOAD_MAX,
    ) -> None:
        """`window`: of mappings that have none of their own, in seconds. `room`: bytes of an event at most."""
        self._mapping = mapping
        self._tools = tools
        self._part = part
        self._rules = rules
        self._window = window if mapping.window_seconds is None else mapping.window_seconds
        self._pending: deque[tuple[R, int]] = deque()
        """With the sizes of their events."""
        self._pending_bytes = 0
        self._lanes = mapping.parallelization_factor or 1
        self._most = mapping.batch_size * self._lanes
        self._room = room - _AROUND
        self._most_bytes = self._room * self._lanes
        self._closing = asyncio.Event()
        self._committing = asyncio.Lock()
        self._collecting: asyncio.Task[list[R]] | None = None

    def __repr__(self) -> str:
        state = "closing" if self._closing.is_set() else "collecting" if self._collecting else "busy"
        return f"<OrderedReader {self._part!r} {state}, {len(self._pending)} read>"

    def stop(self) -> None:
        """What the function is at work on is brought to its end, and nothing begun after it."""
        self._closing.set()
        if self._collecting is not None:
            self._collecting.cancel()

    async def run(self) -> bool:
        """Until stopped, or the part is at its end, which is answered. Raises what the part does."""
        while not self._closing.is_set():
            self._collecting = asyncio.ensure_future(self._collect())
            try:
                records = await self._collecting
            except asyncio.CancelledError:
                if self._closing.is_set():
                    return False
                self._collecting.cancel()
                raise
            finally:
                self._collecting = None
            await self._before(records)
            if records and not self._closing.is_set():
                await self._bring_through(records)
            elif self._part.has_ended and not self._closing.is_set():
                return True
        return False

    # What kinds of reading differ in...

    def _patience(self) -> float:
        """Seconds to wait for the first record of a batch, before it is asked whether time has come."""
        return _IDLE_SECONDS

    def _has_time_come(self) -> bool:
        """Something is to be done, even if no record comes."""
        return False

    def _goes_with(self, first: R, record: R) -> bool:  # noqa: ARG002
        """Whether both may be in one batch."""
        return True

    async def _before(self, records: Sequence[R]) -> None:
        """What is to be done before these are handed over; there are none at the part's end, or when time has come."""

    # Collecting...

    async def _collect(self) -> list[R]:
        """As many as fit in a batch of each lane: by number, by size, by time. None at the part's end, or when its time
        has come.
        """
        while not self._pending:
            if self._part.has_ended:
                return []
            await self._read(self._patience())
            if not self._pending and self._has_time_come():
                return []
        closes = self._tools.clock.monotonic() + self._window
        while len(self._pending) < self._most and self._pending_bytes < self._most_bytes:
            left = closes - self._tools.clock.monotonic()
            if left <= 0 or self._part.has_ended:
                break
            await self._read(left)
        return self._take()

    async def _read(self, seconds: float) -> None:
        for record in await self._part.read(max(1, self._most - len(self._pending)), seconds):
            size = self._part.size(record)
            self._pending.append((record, size))
            self._pending_bytes += size

    def _take(self) -> list[R]:
        """At least one."""
        taken: list[R] = []
        left = self._most_bytes
        while self._pending and len(taken) < self._most:
            record, size = self._pending[0]
            if taken and (size > left or not self._goes_with(taken[0], record)):
                break
            self._pending.popleft()
            self._pending_bytes -= size
            left -= size
            taken.append(record)
        return taken

    # What was collected...

    async def _bring_through(self, records: Sequence[R]) -> None:
        """Until all of it is done with, or the reader is stopped."""
        progress = Progress(records)
        unwanted = [record for record in records if not self._part.is_wanted(record)]
        progress.done(unwanted)
        self._count("PolledEventCount", len(records))
        self._count("FilteredOutEventCount", len(unwanted))
        lanes: dict[int, list[R]] = {}
        for record in progress.left():
            lanes.setdefault(self._part.lane(record) % self._lanes, []).append(record)
        await _together([self._follow(self._cut(lane), progress) for lane in lanes.values()])
        await self._commit(progress)

    def _cut(self, records: Sequence[R]) -> deque[Batch[R]]:
        """Into batches, by number and size; one that is too large for any is alone in its own."""
        batches: list[list[R]] = []
        left = 0
        for record in records:
            size = self._part.size(record)
            if not batches or size > left or len(batches[-1]) == self._mapping.batch_size:
                batches.append([])
                left = self._room
            batches[-1].append(record)
            left -= size
        return deque(Batch(tuple(batch)) for batch in batches)

    async def _follow(self, work: deque[Batch[R]], progress: Progress[R]) -> None:
        """One batch after the other."""
        setbacks = 0
        while work:
            if self._closing.is_set():
                return
            whole = work.popleft()
            batch = await self._fresh(whole)
            progress.done(whole.records[: len(whole.records) - len(batch.records if batch is not None else ())])
            if batch is None:
                continue
            ran = await self._invoke(batch)
            settled = self._settle(batch, ran)
            if settled.given_up is not None:
                await self._give_up(settled.given_up, Because.RETRIES, ran)
                progress.done(settled.given_up.records)
            progress.done(settled.done)
            if settled.rest or work:
                await self._commit(progress)
            work.extendleft(reversed(settled.rest))
            if settled.rest:
                await self._back_off(setbacks)
                setbacks += 1
            else:
                setbacks = 0

    async def _commit(self, progress: Progress[R]) -> None:
        async with self._committing:
            if (last := progress.reached()) is not None:
                await self._part.commit(last)

    async def _fresh(self, batch: Batch[R]) -> Batch[R] | None:
        """Without what is too old or too large for any event."""
        old, young = expired(batch, self._rules, self._tools.clock.now())
        if old is not None:
            await self._give_up(old, Because.AGE, None)
        if young is not None and self._part.size(young.records[0]) > self._room:
            # Such a one is alone in its batch.
            self._tools.told("PROBLEM: A record is larger than 6 MB and was dropped")
            await self._give_up(young, Because.SIZE, None)
            return None
        return young

    async def _invoke(self, batch: Batch[R]) -> Ran:
        ran = await self._tools.functions.invoke(self._mapping, self._part.event(batch.records))
        if ran.outcome is None:
            self._tools.told(ran.why if ran.why.startswith("PROBLEM: ") else f"PROBLEM: {ran.why}")
            return ran
        self._count("InvokedEventCount", len(batch.records))
        self._tools.told("PROBLEM: Function call failed" if ran.outcome.failed else "OK")
        return ran

    def _settle(self, batch: Batch[R], ran: Ran) -> Settled[R]:
        if ran.outcome is None:
            return Settled(rest=(batch,))
        settled = failed(batch, self._rules)
        if not ran.outcome.failed:
            stopped = self._part.stopped(batch.records, ran.outcome.payload) if self._rules.reports else None
            settled = succeeded(batch, stopped, self._rules)
        self._count("FailedInvokeEventCount", len(batch.records) - len(settled.done))
        return settled

    async def _give_up(self, batch: Batch[R], because: Because, ran: Ran | None) -> None:
        self._count("DroppedEventCount", len(batch.records))
        if self._mapping.on_failure:
            await self._part.tell(batch, because, ran, self._tools.clock.now())
            self._count("OnFailureDestinationDeliveredEventCount", len(batch.records))

    async def _back_off(self, setbacks: int) -> None:
        """Shorter when stopped."""
        try:
            async with asyncio.timeout(min(_DELAY_MAX, _FIRST_DELAY * 2.0 ** min(setbacks, 10))):
                await self._closing.wait()
        except TimeoutError:
            pass

    def _count(self, metric: str, count: int) -> None:
        if count:
            self._tools.observe(self._mapping, metric, count)


async def _together(doing: Sequence[Coroutine[Any, Any, None]]) -> None:
    """What fails ends the others: they are begun anew from what is committed."""
    tasks = [asyncio.ensure_future(one) for one in doing]
    if not tasks:
        return
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def delivery(mapping: EventSourceMapping, body: bytes, because: Because, now: float) -> Delivery:
    """To the mapping's destination, with the rights of its function."""
    return Delivery(
        random_uuid(), Channel.DESTINATION, mapping.on_failure, mapping.scope, mapping.function, mapping.qualifier,
        role="", body=body, created=now, condition=Condition(because.value),
    )  # fmt: skip
