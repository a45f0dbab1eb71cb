"""One connection to a Kafka cluster for a mapping: its topic's records, its group's offsets, its on-failure topic.

Which partitions are read here is not for Kafka's group protocol to say: all of them are, by one node. The group is
where offsets are kept, and seen by Kafka's own tools.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.brokers.kafka_access import KafkaAccess
from pasture.sources.brokers.kafka_events import KafkaRecord
from pasture.sources.brokers.message_poller import Lost

ANSWER_SECONDS = 20.0
_CONNECT_MILLIS = 10_000
_METADATA_MILLIS = 10_000
_CLOSE_SECONDS = 5.0
_UNAUTHENTICATED = (AuthenticationFailedError, SaslAuthenticationFailed, AuthenticationMethodNotSupported)
_UNAUTHORIZED = (ClusterAuthorizationFailedError, GroupAuthorizationFailedError, TopicAuthorizationFailedError)

T = TypeVar("T")


class KafkaCluster:
    def __init__(self, mapping: EventSourceMapping, access: KafkaAccess) -> None:
        self._mapping = mapping
        self._access = access
        self._consumer: Any = None
        self._producer: Any = None

    @property
    def servers(self) -> tuple[str, ...]:
        return self._access.servers

    async def open(self) -> list[int]:
        """Answers the partitions, which are read from where the group is. Raises Lost."""
        self._consumer = AIOKafkaConsumer(
            group_id=self._mapping.consumer_group or self._mapping.uuid,
            client_id=f"pasture-{self._mapping.uuid}",
            enable_auto_commit=False,
            # Records that are gone are passed over, to the first that is there.
            auto_offset_reset="earliest",
            # What a transaction has taken back never was.
            isolation_level="read_committed",
            request_timeout_ms=_CONNECT_MILLIS,
            metadata_max_age_ms=_METADATA_MILLIS,
            **self._access.options(),
        )
        # Every topic has this partition: naming it makes the client ask for the topic's others.
        self._consumer.assign([self._place(0)])
        try:
            await self._consumer.start()
        except UnknownTopicOrPartitionError as error:
            raise Lost(f"PROBLEM: The topic {self._mapping.channel} does not exist") from error
        except (KafkaError, OSError) as error:
            raise await self._reason(error) from error
        partitions = self.partitions()
        if not partitions:
            raise Lost(f"PROBLEM: The topic {self._mapping.channel} does not exist")
        self._consumer.assign([self._place(partition) for partition in partitions])
        await self._do(self._go_to_start(partitions))
        return partitions

    async def close(self) -> None:
        for client in (self._producer, self._consumer):
            if client is not None:
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    async with asyncio.timeout(_CLOSE_SECONDS):
                        await _answered(client.stop())

    def partitions(self) -> list[int]:
        """As far as is known now."""
        return sorted(self._consumer.partitions_for_topic(self._mapping.channel) or ())

    async def read(self, partition: int, most: int, seconds: float) -> list[KafkaRecord]:
        """None when none come in time. May be called for several partitions at once. Raises Lost."""
        place = self._place(partition)
        millis = int(seconds * 1000)
        found = await self._do(self._consumer.getmany(place, timeout_ms=millis, max_records=most), seconds)
        return [_record(record) for record in found.get(place, ())]

    async def commit(self, partition: int, offset: int) -> None:
        """What comes next. Raises Lost."""
        await self._do(self._consumer.commit({self._place(partition): offset}))

    async def lag(self, partitions: Iterable[int]) -> int:
        """Records that the group has not got to, of the partition with most of them. Raises Lost."""
        places = [self._place(partition) for partition in partitions]
        ends = await self._do(self._consumer.end_offsets(places))
        kept = [await self._do(self._consumer.committed(place)) for place in places]
        return max(
            (ends[place] - offset for place, offset in zip(places, kept, strict=True) if offset is not None), default=0
        )

    async def send(self, topic: str, messages: Sequence[tuple[bytes | None, bytes]]) -> None:
        """Returns when the cluster has them. Raises Lost."""
        if self._producer is None:
            producer = AIOKafkaProducer(acks="all", request_timeout_ms=_CONNECT_MILLIS, **self._access.options())
            await self._do(producer.start())
            self._producer = producer
        for key, value in messages:
            await self._do(self._producer.send_and_wait(topic, value, key=key))

    def _place(self, partition: int) -> Any:
        return TopicPartition(self._mapping.channel, partition)

    async def _go_to_start(self, partitions: Sequence[int]) -> None:
        """Partitions that the group knows nothing of begin where the mapping says, which the group keeps at once."""
        kept = {place: await self._consumer.committed(place) for place in map(self._place, partitions)}
        new = [place for place, offset in kept.items() if offset is None]
        # A partition that was added later has nothing in it from before: all of it is wanted.
        grown = len(new) < len(kept)
        starts = await self._starts(new, "TRIM_HORIZON" if grown else self._mapping.starting_position)
        for place, offset in {**kept, **starts}.items():
            self._consumer.seek(place, offset)
        if starts:
            await self._consumer.commit(dict(starts))

    async def _starts(self, places: Sequence[Any], position: str) -> Mapping[Any, int]:
        if not places:
            return {}
        if position == "TRIM_HORIZON":
            return dict(await self._consumer.beginning_offsets(places))
        ends: Mapping[Any, int] = await self._consumer.end_offsets(places)
        if position != "AT_TIMESTAMP":
            return ends
        millis = int((self._mapping.starting_timestamp or 0) * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, millis))
        return {place: found[place].offset if found[place] is not None else ends[place] for place in places}

    async def _do(self, doing: Awaitable[T], seconds: float = 0.0) -> T:
        try:
            async with asyncio.timeout(seconds + ANSWER_SECONDS):
                return await _answered(doing)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Lost(_words(error)) from error

    async def _reason(self, error: Exception) -> Lost:
        """Which servers cannot be connected to is all that the client says: why, another try tells."""
        host, _, port = self._access.servers[0].rpartition(":")
        options = self._access.options()
        del options["bootstrap_servers"]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await create_conn(
                    host.strip("[]"), int(port), request_timeout_ms=_CONNECT_MILLIS, **options
                )
        except (KafkaError, OSError, TimeoutError) as reason:
            return Lost(_words(reason))
        connection.close()
        return Lost(_words(error))


async def _answered(doing: Awaitable[T]) -> T:
    """The client lets out that tasks of its own were cancelled, when a broker goes away under them: whoever asked was
    not. Raises KafkaError then.
    """
    try:
        return await doing
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise KafkaConnectionError("the connection went away") from error


def _record(record: Any) -> KafkaRecord:
    return KafkaRecord(
        record.topic, record.partition, record.offset, record.timestamp, record.timestamp_type,
        record.key, record.value, record.headers,
    )  # fmt: skip


def _words(error: BaseException) -> str:
    """AWS's, where it has some ("Troubleshooting Kafka event source mappings")."""
    said = str(error) or type(error).__name__
    if isinstance(error, _UNAUTHENTICATED):
        return f"PROBLEM: SASL authentication failed. {said}"
    if isinstance(error, _UNAUTHORIZED):
        return f"PROBLEM: Cluster failed to authorize Lambda. {said}"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return f"PROBLEM: Lambda failed to authenticate server. {said}"
    if "CERTIFICATE" in said.upper() and "ALERT" in said.upper():
        return f"PROBLEM: Server failed to authenticate Lambda. {said}"
    if isinstance(error, IllegalStateError | BrokerResponseError):
        return f"PROBLEM: {said}"
    return f"PROBLEM: Connection error. Please check your event source connection configuration. {said}"
