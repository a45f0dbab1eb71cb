"""One partition of a topic, read in order for one mapping: each batch is brought to its end before the next begins."""

import asyncio
from collections import deque
from collections.abc import Sequence

from pasture.domain.event_source import EventSourceMapping
from pasture.domain.events import Channel, Condition, Delivery
from pasture.kit.random_ids import random_uuid
from pasture.sources.brokers import kafka_failures
from pasture.sources.brokers.kafka_cluster import KafkaCluster
from pasture.sources.brokers.kafka_events import KafkaRecord, kafka_event, record_event, record_size
from pasture.sources.brokers.partition_batches import Batch, Because, Rules, Settled, expired, failed, succeeded
from pasture.sources.filtering import Filter
from pasture.sources.source import Ran, Tools

PAYLOAD_MAX = 6 * 1024 * 1024
_AROUND = 2_048
"""Bytes of an event around its records, at most."""
_WINDOW_SECONDS = 0.5
_IDLE_SECONDS = 10.0
_FIRST_DELAY, _DELAY_MAX = 0.5, 30.0


class Partition:
    def __init__(self, mapping: EventSourceMapping, tools: Tools, cluster: KafkaCluster, number: int) -> None:
        self._mapping = mapping
        self._tools = tools
        self._cluster = cluster
        self._number = number
        self._rules = Rules.of(mapping)
        self._filter = Filter(mapping.filters, "value")
        self._pending: deque[tuple[KafkaRecord, int]] = deque()
        """With the sizes of their events."""
        self._pending_bytes = 0
        self._closing = asyncio.Event()
        self._collecting: asyncio.Task[list[KafkaRecord]] | None = None

    def __repr__(self) -> str:
        state = "closing" if self._closing.is_set() else "collecting" if self._collecting else "busy"
        return f"<Partition {self._mapping.channel}-{self._number} {state}, {len(self._pending)} read>"

    def stop(self) -> None:
        """What the function is at work on is brought to its end, and nothing begun after it."""
        self._closing.set()
        if self._collecting is not None:
            self._collecting.cancel()

    async def run(self) -> None:
        """Until stopped. Raises Lost."""
        while not self._closing.is_set():
            self._collecting = asyncio.ensure_future(self._collect())
            try:
                records = await self._collecting
            except asyncio.CancelledError:
                if self._closing.is_set():
                    return
                self._collecting.cancel()
                raise
            finally:
                self._collecting = None
            await self._bring_through(records)

    # Collecting...

    async def _collect(self) -> list[KafkaRecord]:
        """As many as fit in a batch: by number, by size, by time."""
        while not self._pending:
            await self._read(_IDLE_SECONDS)
        window = self._mapping.window_seconds
        closes = self._tools.clock.monotonic() + (_WINDOW_SECONDS if window is None else window)
        while len(self._pending) < self._mapping.batch_size and _AROUND + self._pending_bytes < PAYLOAD_MAX:
            left = closes - self._tools.clock.monotonic()
            if left <= 0:
                break
            await self._read(left)
        return self._take()

    async def _read(self, seconds: float) -> None:
        wanted = max(1, self._mapping.batch_size - len(self._pending))
        for record in await self._cluster.read(self._number, wanted, seconds):
            size = record_size(record)
            self._pending.append((record, size))
            self._pending_bytes += size

    def _take(self) -> list[KafkaRecord]:
        """At least one."""
        taken: list[KafkaRecord] = []
        left = PAYLOAD_MAX - _AROUND
        while self._pending and len(taken) < self._mapping.batch_size:
            record, size = self._pending[0]
            if size > left and taken:
                break
            self._pending.popleft()
            self._pending_bytes -= size
            left -= size
            taken.append(record)
        return taken

    # A batch...

    async def _bring_through(self, records: Sequence[KafkaRecord]) -> None:
        """Raises Lost."""
        self._count("PolledEventCount", len(records))
        wanted = tuple(record for record in records if self._filter.matches(_metadata(record), record.value or b""))
        self._count("FilteredOutEventCount", len(records) - len(wanted))
        work = deque([Batch(wanted)] if wanted else [])
        setbacks = 0
        while work:
            if self._closing.is_set():
                return
            batch = await self._fresh(work.popleft())
            if batch is None:
                continue
            ran = await self._invoke(batch)
            settled = self._settle(batch, ran)
            await self._advance(settled, ran)
            work.extendleft(reversed(settled.rest))
            if settled.rest:
                await self._pause(min(_DELAY_MAX, _FIRST_DELAY * 2 ** min(setbacks, 10)))
                setbacks += 1
            else:
                setbacks = 0
        await self._cluster.commit(self._number, records[-1].offset + 1)

    async def _fresh(self, batch: Batch) -> Batch | None:
        """Without what is too old or too large for any event."""
        old, young = expired(batch, self._rules, self._tools.clock.now())
        if old is not None:
            await self._give_up(old, Because.AGE, None)
        if young is not None and _AROUND + record_size(young.records[0]) > PAYLOAD_MAX:
            # Such a one is alone in its batch.
            self._tools.told("PROBLEM: A record is larger than 6 MB and was dropped")
            await self._give_up(young, Because.SIZE, None)
            return None
        return young

    async def _invoke(self, batch: Batch) -> Ran:
        events = {batch.records[0].part: [record_event(record) for record in batch.records]}
        ran = await self._tools.functions.invoke(
            self._mapping, kafka_event(self._mapping, self._cluster.servers, events)
        )
        if ran.outcome is None:
            self._tools.told(ran.why if ran.why.startswith("PROBLEM: ") else f"PROBLEM: {ran.why}")
            return ran
        self._count("InvokedEventCount", len(batch.records))
        self._tools.told("PROBLEM: Function call failed" if ran.outcome.failed else "OK")
        return ran

    def _settle(self, batch: Batch, ran: Ran) -> Settled:
        if ran.outcome is None:
            return Settled(rest=(batch,))
        settled = failed(batch, self._rules)
        if not ran.outcome.failed:
            settled = succeeded(batch, ran.outcome.payload, self._rules)
        self._count("FailedInvokeEventCount", len(batch.records) - len(settled.done))
        return settled

    async def _advance(self, settled: Settled, ran: Ran) -> None:
        if settled.done and settled.rest:
            await self._cluster.commit(self._number, settled.done[-1].offset + 1)
        if settled.given_up is not None:
            await self._give_up(settled.given_up, Because.RETRIES, ran)

    async def _give_up(self, batch: Batch, because: Because, ran: Ran | None) -> None:
        self._count("DroppedEventCount", len(batch.records))
        mapping, now = self._mapping, self._tools.clock.now()
        if not mapping.on_failure:
            return
        if mapping.on_failure.startswith(kafka_failures.TOPIC):
            messages = kafka_failures.to_topic(mapping, self._cluster.servers, batch, because, ran, now)
            await self._cluster.send(mapping.on_failure.removeprefix(kafka_failures.TOPIC), messages)
        else:
            body = kafka_failures.to_service(mapping, self._cluster.servers, batch, because, ran, now)
            await self._tools.deliver(self._delivery(body, because, now))
        self._count("OnFailureDestinationDeliveredEventCount", len(batch.records))

    def _delivery(self, body: bytes, because: Because, now: float) -> Delivery:
        mapping = self._mapping
        return Delivery(
            random_uuid(), Channel.DESTINATION, mapping.on_failure, mapping.scope, mapping.function, mapping.qualifier,
            role="", body=body, created=now, condition=Condition(because.value),
        )  # fmt: skip

    async def _pause(self, seconds: float) -> None:
        """Shorter when stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass

    def _count(self, metric: str, count: int) -> None:
        if count:
            self._tools.observe(self._mapping, metric, count)


def _metadata(record: KafkaRecord) -> dict[str, object]:
    return {name: value for name, value in record_event(record).items() if name != "value"}
