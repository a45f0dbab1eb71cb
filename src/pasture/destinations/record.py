"""What exactly is delivered when an event is over? Pure (aws-lambda reference 4.2).

A destination gets a record of the invocation, in the order of members that AWS writes; a dead-letter queue gets the
event as it was sent, with the reason in message attributes. Payloads stand in the record as they came, byte for byte.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pasture.domain.errors import RecursiveInvocation
from pasture.domain.events import Channel, Condition, Delivery, Event
from pasture.domain.function import LATEST
from pasture.domain.function_settings import EventInvoke
from pasture.domain.invocation import Outcome
from pasture.kit.clock import iso_millis

_ERROR_MESSAGE_BYTES = 1_024
# What a message attribute may not hold: SQS refuses the whole message for it.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def deliveries(
    event: Event,
    condition: Condition,
    *,
    settings: EventInvoke | None,
    dead_letter_arn: str,
    role: str,
    executed_version: str,
    invoke_count: int,
    outcome: Outcome | None,
    now: float,
    new_id: Callable[[], str],
) -> list[Delivery]:
    """What is to be told to whom: nothing, when nobody asked for it.

    `settings` are those of the event's qualifier, `dead_letter_arn` is empty without a dead-letter queue. `outcome` is
    that of the last attempt, None when the function never ran.
    """

    def delivery(
        channel: Channel, target: str, body: bytes, attributes: Mapping[str, tuple[str, str]] | None = None
    ) -> Delivery:
        return Delivery(
            id=new_id(),
            channel=channel,
            target=target,
            scope=event.scope,
            name=event.name,
            qualifier=event.qualifier or LATEST,
            role=role,
            body=body,
            created=now,
            condition=condition,
            trace_id=event.trace_id,
            attributes=attributes or {},
        )

    found = []
    succeeded = condition is Condition.SUCCESS
    target = (settings.on_success if succeeded else settings.on_failure) if settings is not None else ""
    if target:
        body = record(event, condition, executed_version, invoke_count, outcome, now)
        found.append(delivery(Channel.DESTINATION, target, body))
    if dead_letter_arn and not succeeded:
        attributes = dead_letter_attributes(event, condition, outcome)
        found.append(delivery(Channel.DEAD_LETTER, dead_letter_arn, event.payload, attributes))
    return found


def record(
    event: Event, condition: Condition, executed_version: str, invoke_count: int, outcome: Outcome | None, now: float
) -> bytes:
    encode = msgspec.json.encode
    context: dict[str, Any] = {
        "requestId": event.id,
        "functionArn": event.scope.function_arn(event.name, event.qualifier or LATEST),
        "condition": condition.value,
        "approximateInvokeCount": invoke_count,
    }
    head = encode({"version": "1.0", "timestamp": iso_millis(now), "requestContext": context})
    pieces = [head[:-1], b',"requestPayload":', event.payload or b"null"]
    if outcome is not None:
        response: dict[str, Any] = {"statusCode": 200, "executedVersion": executed_version}
        if outcome.failed:
            response["functionError"] = "Unhandled"
        pieces += [b',"responseContext":', encode(response), b',"responsePayload":', _json(outcome.payload)]
    return b"".join([*pieces, b"}"])


def dead_letter_attributes(event: Event, condition: Condition, outcome: Outcome | None) -> dict[str, tuple[str, str]]:
    code, message = _error(condition, outcome)
    attributes = {"RequestID": ("String", event.id), "ErrorCode": ("Number", str(code))}
    if text := _first_of(message):
        attributes["ErrorMessage"] = ("String", text)
    return attributes


def _error(condition: Condition, outcome: Outcome | None) -> tuple[int, str]:
    """Status and words as a synchronous caller would have had them: what AWS writes without an outcome is not known."""
    if outcome is not None:
        return 200, _error_message(outcome)
    if condition is Condition.NOT_FOUND:
        return 404, "The function doesn't exist."
    if condition is Condition.RECURSION:
        return RecursiveInvocation.status, RecursiveInvocation().message
    return 429, "Rate Exceeded."


def _error_message(outcome: Outcome) -> str:
    try:
        told = json.loads(outcome.payload)  # takes what runtimes write: halves of characters, NaN
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict) and isinstance(told.get("errorMessage"), str):
        return str(told["errorMessage"])
    return outcome.error_type or outcome.payload[:_ERROR_MESSAGE_BYTES].decode(errors="replace")


def _first_of(text: str) -> str:
    """Its first kilobyte, in whole characters, and only such as a message may have."""
    speakable = _UNSPEAKABLE.sub("\ufffd", text[:_ERROR_MESSAGE_BYTES])
    return speakable.encode()[:_ERROR_MESSAGE_BYTES].decode(errors="ignore")


def _json(payload: bytes) -> bytes:
    """As it is when it is JSON; else, as a runtime may answer anything, the text of it."""
    if not payload:
        return b"null"
    return payload if _is_json(payload) else msgspec.json.encode(payload.decode(errors="replace"))


def _is_json(payload: bytes) -> bool:
    try:
        text = payload.decode()
        try:
            msgspec.json.decode(payload, type=msgspec.Raw)
        except msgspec.DecodeError:
            # It is quick, and knows no escaped halves of characters.
            json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)
