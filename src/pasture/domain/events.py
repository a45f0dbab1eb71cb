"""Asynchronous events: what was accepted, and what is still to be told of how it ended (aws-lambda reference 4.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pasture.domain.scope import Scope


class Condition(StrEnum):
    """Why an event is over, as a destination's record names it."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"
    RECURSION = "RecursiveInvocation"
    """Ours: the word of AWS is not known."""
    NOT_FOUND = "ResourceNotFound"
    """Ours: the version or alias that it was for is there no more. There is nobody left to tell."""
    RETRY_ATTEMPTS_EXHAUSTED = "RetryAttemptsExhausted"
    """This and what follows: of records of an event source."""
    RECORD_AGE_EXCEEDED = "RecordAgeExceeded"
    PAYLOAD_TOO_LARGE = "MaximumPayloadSizeExceeded"


@dataclass(frozen=True, slots=True)
class Event:
    """One that was answered 202: it stays until it has run or was given up."""

    id: str
    """The request id, the same on every attempt."""
    scope: Scope
    """The function's."""
    name: str
    qualifier: str
    """As the caller gave it; empty without one."""
    payload: bytes
    accepted: float
    """Seconds since the epoch."""
    trace_id: str = ""
    client_context: str = ""
    tenant_id: str = ""
    attempts: int = 0
    """How often the function ran for it and failed."""
    setbacks: int = 0
    """How often in a row it was throttled or hindered; these use up no retries."""
    is_once: bool = False
    """What comes again with its id is the same event: it is kept once."""

    @property
    def function_arn(self) -> str:
        """As the caller addressed it."""
        return self.scope.function_arn(self.name, self.qualifier or None)


class Channel(StrEnum):
    DESTINATION = "destination"
    DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to a destination or a dead-letter queue: complete, whatever is changed later."""

    id: str
    channel: Channel
    target: str
    """ARN of the queue, topic, bus, bucket or function."""
    scope: Scope
    """Of the function whose event it was."""
    name: str
    qualifier: str
    """What the settings and the metrics of the event belong to: `$LATEST`, a version or an alias."""
    role: str
    """The execution role's ARN, whose rights it is delivered with."""
    body: bytes
    created: float
    """Seconds since the epoch."""
    condition: Condition
    trace_id: str = ""
    attributes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Message attributes of a dead letter: name → (`String` or `Number`, value)."""
    attempts: int = 0
    """Deliveries that failed."""
    redriven: float = 0.0
    """When somebody had it delivered again: its age counts from there."""
