"""What is told of records of Kafka that were given up. Pure (Lambda developer guide, Kafka on-failure destinations)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.kit.clock import iso_millis
from pasture.sources.brokers.kafka_events import KafkaRecord, kafka_event, record_event
from pasture.sources.ordered_batches import Batch, Because
from pasture.sources.source import Ran

TOPIC = "kafka://"


def to_service(
    mapping: EventSourceMapping,
    servers: Sequence[str],
    batch: Batch[KafkaRecord],
    because: Because,
    ran: Ran | None,
    now: float,
) -> bytes:
    """For a queue, a topic of SNS, or a bucket; only the last is told the records themselves, as a text."""
    first, last = batch.records[0], batch.records[-1]
    payload = _event(mapping, servers, batch.records)
    info = {
        "recordsInfo": {
            first.part: {
                "firstRecordOffset": str(first.offset),
                "lastRecordOffset": str(last.offset),
                "firstRecordTimestamp": iso_millis(first.timestamp / 1000),
                "lastRecordTimestamp": iso_millis(last.timestamp / 1000),
            }
        }
    }
    told = _about(mapping, servers, batch, because, ran, now, len(payload), info)
    if mapping.on_failure.split(":", 3)[2:3] == ["s3"]:
        told["payload"] = payload.decode()
    return msgspec.json.encode(told)


def to_topic(
    mapping: EventSourceMapping,
    servers: Sequence[str],
    batch: Batch[KafkaRecord],
    because: Because,
    ran: Ran | None,
    now: float,
) -> list[tuple[bytes | None, bytes]]:
    """For a topic of the same cluster: a message for each record, with its key, and the record in it."""
    return [
        (record.key, _of_record(mapping, servers, Batch((record,), batch.failures, batch.calls), because, ran, now))
        for record in batch.records
    ]


def _of_record(
    mapping: EventSourceMapping,
    servers: Sequence[str],
    batch: Batch[KafkaRecord],
    because: Because,
    ran: Ran | None,
    now: float,
) -> bytes:
    [record] = batch.records
    payload = _event(mapping, servers, batch.records)
    info = {"recordInfo": {"offset": str(record.offset), "timestamp": iso_millis(record.timestamp / 1000)}}
    told = _about(mapping, servers, batch, because, ran, now, len(payload), info)
    return msgspec.json.encode({**told, "payload": msgspec.Raw(payload)})


def _event(mapping: EventSourceMapping, servers: Sequence[str], records: Sequence[KafkaRecord]) -> bytes:
    return kafka_event(mapping, servers, {records[0].part: [record_event(record) for record in records]})


def _about(
    mapping: EventSourceMapping, servers: Sequence[str], batch: Batch[KafkaRecord], because: Because, ran: Ran | None,
    now: float, size: int, info: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    outcome = ran.outcome if ran is not None else None
    told: dict[str, Any] = {
        "requestContext": {
            "requestId": ran.request_id if ran is not None else "",
            "functionArn": mapping.function_arn,
            "condition": because.value,
            "approximateInvokeCount": batch.calls,
        }
    }
    if ran is not None and outcome is not None:
        # Without an error of its own the function has named records that failed.
        error = {"functionError": "Unhandled"} if outcome.failed else {}
        told["responseContext"] = {"statusCode": 200, "executedVersion": ran.version, **error}
    elif because is Because.SIZE:
        told["responseContext"] = None
    arn = {"eventSourceArn": mapping.source} if mapping.kind is SourceKind.MSK else {}
    kafka = {"batchSize": len(batch.records), **arn, "bootstrapServers": ",".join(servers), "payloadSize": size, **info}
    return {**told, "version": "1.0", "timestamp": iso_millis(now), "KafkaBatchInfo": kafka}
