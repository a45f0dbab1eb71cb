"""How messages of SQS look in the event of a function (aws-lambda reference 7.3). Pure."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_SYSTEM = (
    "ApproximateReceiveCount", "AWSTraceHeader", "SentTimestamp", "SequenceNumber", "MessageGroupId", "SenderId",
    "MessageDeduplicationId", "ApproximateFirstReceiveTimestamp", "DeadLetterQueueSourceArn",
)  # fmt: skip
_ENCODER = msgspec.json.Encoder()
# Of an event, around its records.
AROUND = 32


def record_of(message: Mapping[str, Any], arn: str) -> dict[str, Any]:
    """`message` as ReceiveMessage answers it."""
    attributes = message.get("Attributes", {})
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message.get("Body", ""),
        "attributes": {name: attributes[name] for name in _SYSTEM if name in attributes},
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }  # fmt: skip


def encoded(record: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(record)


def event_of(records: Sequence[bytes]) -> bytes:
    return b'{"Records":[' + b",".join(records) + b"]}"


def trace_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The one that they all came with: a batch of several chains belongs to none of them."""
    traces = {message.get("Attributes", {}).get("AWSTraceHeader", "") for message in messages}
    return traces.pop() if len(traces) == 1 else ""


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if "StringValue" in value:
        told["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        told["binaryValue"] = b64encode(value["BinaryValue"]).decode()
    return {**told, "stringListValues": [], "binaryListValues": [], "dataType": value.get("DataType", "String")}
