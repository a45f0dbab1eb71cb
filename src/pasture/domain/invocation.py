"""One invocation and how it ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ResponseSink(Protocol):
    """Where a streamed response goes, piece by piece."""

    async def write(self, content_type: str, piece: bytes) -> None:
        """Take one piece; returns when there is room for the next. What nobody reads any more is dropped."""
        ...


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the runtime is given at `/next`."""

    request_id: str
    function_arn: str
    """As the caller addressed it: with a qualifier only when the caller passed one."""
    payload: bytes
    trace_id: str = ""
    client_context: str = ""
    """JSON text, already decoded from the header's base64."""
    tail: bool = False
    """Whether the caller wants the last 4 KB of the log."""
    invocation_id: str = ""
    """Unique per attempt."""
    tenant_id: str = ""
    """Whom it is for, when the function keeps its tenants apart."""
    sink: ResponseSink | None = None
    """Takes a streamed response as it comes; without one it is collected and becomes the payload."""


class Status(StrEnum):
    """As `platform.runtimeDone` and `platform.report` name it."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The first of response, error, exit and deadline."""

    status: Status
    payload: bytes
    error_type: str = ""
    content_type: str = "application/json"
    log_tail: bytes = b""

    @property
    def failed(self) -> bool:
        return self.status is not Status.SUCCESS
