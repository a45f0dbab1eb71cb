"""How records of Kafka look as events. Pure (aws-lambda reference 7.5)."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.sources.brokers.message_events import signed

_TIMESTAMP_TYPES = {0: "CREATE_TIME", 1: "LOG_APPEND_TIME"}


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch."""
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()

    @property
    def part(self) -> str:
        return f"{self.topic}-{self.partition}"


def record_event(record: KafkaRecord) -> Mapping[str, Any]:
    """What a record does not have stands not in its event."""
    event: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "timestampType": _TIMESTAMP_TYPES.get(record.timestamp_type, "NO_TIMESTAMP_TYPE"),
    }
    if record.key is not None:
        event["key"] = b64encode(record.key).decode()
    if record.value is not None:
        event["value"] = b64encode(record.value).decode()
    event["headers"] = [{name: signed(value or b"")} for name, value in record.headers]
    return event


def record_size(record: KafkaRecord) -> int:
    """Bytes of its event, at most; a byte of a header is a number of three digits and a sign."""
    content = (len(record.key or b"") + len(record.value or b"")) * 4 // 3
    return 512 + len(record.topic) + content + sum(16 + 6 * len(n) + 5 * len(v or b"") for n, v in record.headers)


def kafka_event(mapping: EventSourceMapping, servers: Sequence[str], records: Mapping[str, Sequence[Any]]) -> bytes:
    """`records` by topic and partition: `cows-0`."""
    event: dict[str, Any] = {"eventSource": "SelfManagedKafka"}
    if mapping.kind is SourceKind.MSK:
        event = {"eventSource": "aws:kafka", "eventSourceArn": mapping.source}
    return msgspec.json.encode({**event, "bootstrapServers": ",".join(servers), "records": records})
