"""Reads a topic of Kafka for one mapping: one connection to the cluster, and its partitions at the same time."""

import asyncio
import logging
from collections.abc import Sequence

from pasture.domain.event_source import EventSourceMapping
from pasture.kit.tasks import Tasks
from pasture.sources.brokers.kafka_access import kafka_access
from pasture.sources.brokers.kafka_cluster import KafkaCluster
from pasture.sources.brokers.kafka_events import KafkaRecord
from pasture.sources.brokers.message_poller import Lost
from pasture.sources.brokers.partition import reader
from pasture.sources.ordered import OrderedReader
from pasture.sources.source import Tools

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0
_FIRST_DELAY, _DELAY_MAX = 0.5, 30.0


class KafkaPoller:
    def __init__(self, mapping: EventSourceMapping, tools: Tools) -> None:
        self._mapping = mapping
        self._tools = tools
        self._tasks = Tasks(f"mapping {mapping.uuid}")
        self._reading = Tasks(f"partitions of mapping {mapping.uuid}")
        self._partitions: Sequence[OrderedReader[KafkaRecord]] = ()
        self._cluster: KafkaCluster | None = None

    def __repr__(self) -> str:
        return f"<KafkaPoller {self._mapping.uuid} {list(self._partitions)}>"

    async def open(self) -> None:
        self._tasks.start(self._run(), "reading")

    async def close(self, seconds: float) -> None:
        await self._tasks.close()
        for partition in self._partitions:
            partition.stop()
        await self._reading.settle(seconds)
        await self._reading.close()
        await self._disconnect()

    async def _run(self) -> None:
        setbacks = 0
        while True:
            try:
                numbers = await self._connect()
                setbacks = 0
                await self._read(numbers)
            except Exception as error:  # noqa: BLE001  whatever it is, a poller goes on
                setbacks += 1
                self._say_problem(error)
            await self._end_session()
            await asyncio.sleep(min(_DELAY_MAX, _FIRST_DELAY * 2 ** min(setbacks, 10)))

    async def _connect(self) -> list[int]:
        access = await kafka_access(self._mapping, self._tools.endpoints, self._tools.secret)
        self._cluster = KafkaCluster(self._mapping, access)
        return await self._cluster.open()

    async def _read(self, numbers: list[int]) -> None:
        """Until anything fails, or the topic has got more partitions. Raises Lost, and whatever it may be."""
        assert self._cluster is not None
        cluster = self._cluster
        self._partitions = [reader(self._mapping, self._tools, cluster, number) for number in numbers]
        tasks = [self._reading.start(self._told(partition), repr(partition)) for partition in self._partitions]
        tasks.append(self._tasks.start(self._look(cluster, numbers), "looking"))
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        tasks[-1].cancel()
        for task in ended:
            if not task.cancelled() and (lost := task.result()) is not None:
                raise lost

    async def _told(self, partition: OrderedReader[KafkaRecord]) -> Exception | None:
        """What ended it, as a value: whoever waits for it says it."""
        try:
            await partition.run()
        except Exception as error:  # noqa: BLE001  handed on
            return error
        return None

    async def _look(self, cluster: KafkaCluster, numbers: list[int]) -> Exception | None:
        """Whether the cluster is there, how far behind the group is, and which partitions there are now."""
        try:
            while cluster.partitions() in ([], numbers):
                self._tools.observe(self._mapping, "OffsetLag", await cluster.lag(numbers))
                await asyncio.sleep(_LOOK_SECONDS)
        except Lost as lost:
            return lost
        return None

    async def _end_session(self) -> None:
        """What functions are at work on is waited for: it need not be done twice."""
        for partition in self._partitions:
            partition.stop()
        await self._reading.finish()
        await self._disconnect()

    async def _disconnect(self) -> None:
        self._partitions = ()
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            await cluster.close()

    def _say_problem(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        self._tools.told(text if text.startswith("PROBLEM: ") else f"PROBLEM: {text}")
        if not isinstance(error, Lost | ValueError):
            _log.warning("the topic of mapping %s cannot be read: %s", self._mapping.uuid, text, exc_info=error)
