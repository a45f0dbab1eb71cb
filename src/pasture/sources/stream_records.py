"""Records of streams, of Kinesis and of DynamoDB, and what is told of those that are given up. Pure (reference 7.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from pasture.domain.event_source import EventSourceMapping, SourceKind
from pasture.kit.clock import iso_millis
from pasture.sources.item_failures import failed_items
from pasture.sources.ordered_batches import Batch, Because
from pasture.sources.source import Ran

_INFO = {SourceKind.KINESIS: "KinesisBatchInfo", SourceKind.DYNAMODB: "DDBStreamBatchInfo"}


@dataclass(frozen=True, slots=True)
class StreamRecord:
    sequence: str
    timestamp: int
    """When it arrived, in milliseconds since the epoch."""
    event: bytes
    """What stands for it in events."""
    metadata: Mapping[str, Any]
    """Of filters, without what `data` holds."""
    data: bytes | Mapping[str, Any]
    key: bytes = b""
    """Records of the same key keep their order."""


def stream_event(records: Sequence[StreamRecord]) -> bytes:
    return msgspec.json.encode({"Records": [msgspec.Raw(record.event) for record in records]})


def stopped(records: Sequence[StreamRecord], response: bytes) -> int | None:
    """At the first that the function names as failed: what follows it is tried again too."""
    failed = failed_items(response, [record.sequence for record in records])
    return next((at for at, record in enumerate(records) if record.sequence in failed), None)


def given_up(
    mapping: EventSourceMapping, shard: str, batch: Batch[StreamRecord], because: Because, ran: Ran | None, now: float
) -> bytes:
    """For a queue, a topic or a bucket; only the last is told the records themselves, as a text."""
    first, last = batch.records[0], batch.records[-1]
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
    told |= {
        "version": "1.0",
        "timestamp": iso_millis(now),
        _INFO[mapping.kind]: {
            "shardId": shard,
            "startSequenceNumber": first.sequence,
            "endSequenceNumber": last.sequence,
            "approximateArrivalOfFirstRecord": iso_millis(first.timestamp / 1000),
            "approximateArrivalOfLastRecord": iso_millis(last.timestamp / 1000),
            "batchSize": len(batch.records),
            "streamArn": mapping.source,
        },
    }
    if mapping.on_failure.split(":", 3)[2:3] == ["s3"]:
        told["payload"] = stream_event(batch.records).decode()
    return msgspec.json.encode(told)
