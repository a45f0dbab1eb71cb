"""What the platform says in a function's log: INIT_START, START, END, REPORT and its bad news. Pure.

Every function answers with the text of one log event, to the letter as CloudWatch Logs
stores it for the text format: fields parted by tabs, a newline at the end. The log tail
of an invocation is these and the function's own output, one after the other. Source:
aws-lambda reference 2.5, and the examples of the Lambda developer guide ("Log and report
format", "Understanding the execution environment").
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pasture.domain.invocation import Status
from pasture.kit.clock import iso_millis


class Phase(StrEnum):
    """When an init ran: before the first invocation, or again inside one, on the invocation's time."""

    INIT = "init"
    INVOKE = "invoke"


class Report(NamedTuple):
    """The end of an invocation, for REPORT. Durations are milliseconds."""

    request_id: str
    duration_ms: float
    memory_mb: int
    max_memory_used_mb: int
    init_duration_ms: float | None = None
    """Of the cold start before this invocation; None when the environment was warm or the init ran inside it."""
    status: Status = Status.SUCCESS
    error_type: str = ""
    trace_id: str = ""
    """The root of the trace when the invocation was sampled."""
    segment_id: str = ""
    restore_duration_ms: float | None = None
    """Of the restore before this invocation, for functions with SnapStart."""

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds, rounded up; init has been billed for every function since August 2025."""
        return _whole(self.duration_ms + (self.init_duration_ms or 0.0))


@dataclass(frozen=True, slots=True)
class InitReport:
    """An init that failed, for INIT_REPORT."""

    duration_ms: float
    phase: Phase
    status: Status
    error_type: str = ""


def stream_name(year_month_day: tuple[int, int, int], version: str, hex32: str) -> str:
    """The log stream of one environment: `2026/11/23/[$LATEST]0123…`, by the UTC date of its birth."""
    year, month, day = year_month_day
    return f"{year:04}/{month:02}/{day:02}/[{version}]{hex32}"


def init_start(runtime_version: str, runtime_version_arn: str) -> str:
    """`runtime_version` as AWS names it: `python:3.12.v18`."""
    return f"INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}\n"


def start(request_id: str, version: str) -> str:
    return f"START RequestId: {request_id} Version: {version}\n"


def end(request_id: str) -> str:
    return f"END RequestId: {request_id}\n"


def report(of: Report) -> str:
    text = (
        f"REPORT RequestId: {of.request_id}\tDuration: {of.duration_ms:.2f} ms\tBilled Duration: {of.billed_ms} ms\t"
        f"Memory Size: {of.memory_mb} MB\tMax Memory Used: {of.max_memory_used_mb} MB\t"
    )
    if of.init_duration_ms is not None:
        text += f"Init Duration: {of.init_duration_ms:.2f} ms\t"
    if of.restore_duration_ms is not None:
        restore, billed = of.restore_duration_ms, _whole(of.restore_duration_ms)
        text += f"Restore Duration: {restore:.2f} ms\tBilled Restore Duration: {billed} ms\t"
    # The tab at the end is that of success: recorded REPORT lines with a status (September 2025) have none.
    text += "\t".join(_status(of.status, of.error_type)) + "\n"
    if of.trace_id:
        text += f"XRAY TraceId: {of.trace_id}\tSegmentId: {of.segment_id}\tSampled: true\t\n"
    return text


def _whole(milliseconds: float) -> int:
    return math.ceil(round(milliseconds, 6))


def init_report(of: InitReport) -> str:
    fields = [f"INIT_REPORT Init Duration: {of.duration_ms:.2f} ms", f"Phase: {of.phase}"]
    return "\t".join(fields + _status(of.status, of.error_type)) + "\n"


def timed_out(now: float, request_id: str, timeout_seconds: float) -> str:
    """The only line with a time of its own; an empty line follows it."""
    return f"{iso_millis(now)} {request_id} {timeout_words(timeout_seconds)}\n\n"


def timeout_words(timeout_seconds: float) -> str:
    return f"Task timed out after {timeout_seconds:.2f} seconds"


def exit_words(code: int | None, signal_name: str = "") -> str:
    """How a runtime ended, as the error message after `RequestId: … Error: ` says it."""
    if signal_name:
        return f"Runtime exited with error: signal: {signal_name}"
    if not code:
        return "Runtime exited without providing a reason"
    return f"Runtime exited with error: exit status {code}"


def crashed(request_id: str, words: str, error_type: str) -> str:
    """`words` by `exit_words`, or whatever the environment failed with."""
    return f"RequestId: {request_id} Error: {words}\n{error_type}\n"


def extension(name: str, state: str, events: tuple[str, ...]) -> str:
    return f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]\n"


def telemetry_subscription(name: str, state: str, types: tuple[str, ...]) -> str:
    return f"TELEMETRY\tName: {name}\tState: {state}\tTypes: [{', '.join(types)}]\n"


def _status(status: Status, error_type: str) -> list[str]:
    """Nothing on success; an error type only where there is one: a timeout needs none."""
    if status is Status.SUCCESS:
        return []
    fields = [f"Status: {status}"]
    if error_type and status is not Status.TIMEOUT:
        fields.append(f"Error Type: {error_type}")
    return fields
