"""One partition of a topic, as what reads records in their order sees it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.brokers import kafka_failures
from pasture.sources.brokers.kafka_cluster import KafkaCluster
from pasture.sources.brokers.kafka_events import KafkaRecord, kafka_event, record_event, record_size
from pasture.sources.filtering import Filter
from pasture.sources.ordered import OrderedReader, delivery
from pasture.sources.ordered_batches import Batch, Because, Rules
from pasture.sources.source import Ran, Tools

_WINDOW_SECONDS = 0.5
_RETRIES_WITH_DESTINATION = 10
"""Where retries are without end, and somebody wants to know what failed."""


class Partition:
    has_ended = False

    def __init__(self, mapping: EventSourceMapping, tools: Tools, cluster: KafkaCluster, number: int) -> None:
        self._mapping = mapping
        self._tools = tools
        self._cluster = cluster
        self._number = number
        self._filter = Filter(mapping.filters, "value")

    def __repr__(self) -> str:
        return f"<Partition {self._mapping.channel}-{self._number}>"

    async def read(self, most: int, seconds: float) -> Sequence[KafkaRecord]:
        """Raises Lost."""
        return await self._cluster.read(self._number, most, seconds)

    async def commit(self, last: KafkaRecord) -> None:
        """Raises Lost."""
        await self._cluster.commit(self._number, last.offset + 1)

    def size(self, record: KafkaRecord) -> int:
        return record_size(record)

    def lane(self, record: KafkaRecord) -> int:  # noqa: ARG002  all are of one
        return 0

    def is_wanted(self, record: KafkaRecord) -> bool:
        return self._filter.matches(_metadata(record), record.value or b"")

    def event(self, records: Sequence[KafkaRecord]) -> bytes:
        events = {records[0].part: [record_event(record) for record in records]}
        return kafka_event(self._mapping, self._cluster.servers, events)

    def stopped(self, records: Sequence[KafkaRecord], response: bytes) -> int | None:
        return first_failed(records, response)

    async def tell(self, batch: Batch[KafkaRecord], because: Because, ran: Ran | None, now: float) -> None:
        """Raises Lost."""
        mapping, servers = self._mapping, self._cluster.servers
        if mapping.on_failure.startswith(kafka_failures.TOPIC):
            messages = kafka_failures.to_topic(mapping, servers, batch, because, ran, now)
            await self._cluster.send(mapping.on_failure.removeprefix(kafka_failures.TOPIC), messages)
        else:
            body = kafka_failures.to_service(mapping, servers, batch, because, ran, now)
            await self._tools.deliver(delivery(mapping, body, because, now))


def reader(mapping: EventSourceMapping, tools: Tools, cluster: KafkaCluster, number: int) -> OrderedReader[KafkaRecord]:
    rules = Rules.of(mapping, with_destination=_RETRIES_WITH_DESTINATION)
    return OrderedReader(mapping, tools, Partition(mapping, tools, cluster, number), rules, window=_WINDOW_SECONDS)


def first_failed(records: Sequence[KafkaRecord], response: bytes) -> int | None:
    """Where to go on; None when all is well, 0 when the response makes no sense."""
    try:
        answer = msgspec.json.decode(response)
    except msgspec.DecodeError:
        return 0
    if answer is None or answer in ("", {}):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("batchItemFailures", 0), list | None):
        return 0
    places = {(record.part, record.offset): at for at, record in enumerate(records)}
    found = [places.get(_place(failure)) for failure in answer["batchItemFailures"] or ()]
    known = [at for at in found if at is not None]
    if len(known) < len(found):
        return 0
    return min(known, default=None)


def _place(failure: Any) -> tuple[Any, Any]:
    """`{"itemIdentifier": {"partition": "cows-0", "offset": 7}}`"""
    identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    if not isinstance(identifier, dict):
        return None, None
    partition, offset = identifier.get("partition"), identifier.get("offset")
    is_place = isinstance(partition, str) and isinstance(offset, int) and not isinstance(offset, bool)
    return (partition, offset) if is_place else (None, None)


def _metadata(record: KafkaRecord) -> dict[str, object]:
    return {name: value for name, value in record_event(record).items() if name != "value"}
