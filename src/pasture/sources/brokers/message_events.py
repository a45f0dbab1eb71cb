"""How messages of RabbitMQ and ActiveMQ look as events. Pure (aws-lambda reference 7.6)."""

import datetime as dt
from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

Json = dict[str, Any]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What STOMP says of a message itself; every other header is a property.
_STANDARD = frozenset({
    "message-id", "destination", "subscription", "ack", "timestamp", "expires", "priority", "persistent", "redelivered",
    "correlation-id", "reply-to", "type", "content-length", "content-type", "receipt", "transformation",
})  # fmt: skip
_NON_PERSISTENT, _PERSISTENT = 1, 2


def signed(data: bytes) -> list[int]:
    """As Java has bytes."""
    return [byte - 256 if byte > 127 else byte for byte in data]


# RabbitMQ...


def rabbitmq_message(
    properties: Mapping[str, Any], headers: Mapping[str, Any], body: bytes, *, redelivered: bool
) -> Json:
    """`properties` by AMQP's names, without headers; what is not there is None."""

    def of(name: str) -> Any:
        return properties.get(name)

    moment = of("timestamp")
    return {
        "basicProperties": {
            "contentType": of("content_type"),
            "contentEncoding": of("content_encoding"),
            "headers": {name: _header(value) for name, value in headers.items()},
            "deliveryMode": of("delivery_mode"),
            "priority": of("priority"),
            "correlationId": of("correlation_id"),
            "replyTo": of("reply_to"),
            "expiration": of("expiration"),
            "messageId": of("message_id"),
            "timestamp": None if moment is None else _moment(moment),
            "type": of("message_type"),
            "userId": of("user_id"),
            "appId": of("app_id"),
            "clusterId": of("cluster_id") or None,
            "bodySize": len(body),
        },
        "redelivered": redelivered,
        "data": b64encode(body).decode(),
    }


def rabbitmq_event(arn: str, queue: str, virtual_host: str, messages: Sequence[Json]) -> bytes:
    by_queue = {f"{queue}::{virtual_host}": messages}
    return msgspec.json.encode({"eventSource": "aws:rmq", "eventSourceArn": arn, "rmqMessagesByQueue": by_queue})


def _header(value: Any) -> Any:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes | bytearray):
        return {"bytes": signed(bytes(value))}
    if isinstance(value, Mapping):
        return {str(name): _header(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_header(inside) for inside in value]
    if isinstance(value, dt.datetime):
        return _moment(value)
    return float(value) if isinstance(value, Decimal) else value


def _moment(moment: dt.datetime) -> str:
    """`Jan 1, 1970, 12:33:41 AM`, in UTC."""
    moment = moment.astimezone(dt.UTC)
    hour, half = moment.hour % 12 or 12, "AM" if moment.hour < 12 else "PM"
    day = f"{_MONTHS[moment.month - 1]} {moment.day}, {moment.year}"
    return f"{day}, {hour}:{moment.minute:02}:{moment.second:02} {half}"


# ActiveMQ...


def activemq_message(headers: Mapping[str, str], body: bytes, queue: str, *, redelivered: bool, now: float) -> Json:
    """From a MESSAGE frame of STOMP, which has a length only when the message was sent as bytes."""
    is_bytes = "content-length" in headers
    sent = _number(headers.get("timestamp"))
    expires = headers.get("expires", "0")
    return {
        "messageID": headers.get("message-id", ""),
        "messageType": f"jms/{'bytes' if is_bytes else 'text'}-message",
        "deliveryMode": _PERSISTENT if headers.get("persistent") == "true" else _NON_PERSISTENT,
        "replyTo": headers.get("reply-to"),
        "type": headers.get("type"),
        "expiration": None if expires == "0" else expires,
        "priority": _number(headers.get("priority")),
        "correlationId": headers.get("correlation-id"),
        "redelivered": redelivered,
        "destination": {"physicalname": queue},
        "data": b64encode(body).decode(),
        "timestamp": sent,
        "brokerInTime": sent,
        "brokerOutTime": int(now * 1000),
        "properties": {name: value for name, value in headers.items() if name not in _STANDARD},
    }


def activemq_event(arn: str, messages: Sequence[Json]) -> bytes:
    return msgspec.json.encode({"eventSource": "aws:mq", "eventSourceArn": arn, "messages": messages})


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
