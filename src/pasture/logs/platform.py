"""The events of the platform: what happened to an environment and to its invocations. Pure.

Each is a fact, with the record that JSON logs and the Telemetry API show of it, and its level for the
threshold of system logs. `platform_rendering` writes them out. Sources: aws-lambda reference 2.5 and
3.5, and "Lambda Telemetry API Event schema reference" in the developer guide. Durations are milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pasture.domain.invocation import Status
from pasture.logs import report
from pasture.logs.levels import Level
from pasture.logs.report import Phase

Record = Mapping[str, Any]

ON_DEMAND = "on-demand"
SNAP_START = "snap-start"
PROVISIONED = "provisioned-concurrency"
_THOUSANDTHS = 3


@dataclass(frozen=True, slots=True)
class Span:
    """`responseLatency`, `responseDuration`, `runtimeOverhead`, `extensionOverhead`."""

    name: str
    start: str
    """As `iso_millis` writes time."""
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Tracing:
    value: str
    """The tracing header: `Root=…;Parent=…;Sampled=1`."""
    span_id: str = ""

    @property
    def sampled_root(self) -> str:
        """The id of the trace when the invocation was sampled; else empty."""
        if "Sampled=1" not in self.value:
            return ""
        parts = dict(part.partition("=")[::2] for part in self.value.split(";"))
        return parts.get("Root", "") if parts.get("Sampled") == "1" else ""


@dataclass(frozen=True, slots=True)
class InitStart:
    type: ClassVar[str] = "platform.initStart"
    function_name: str
    function_version: str
    runtime_version: str = ""
    """As AWS names it: `python:3.12.v18`."""
    runtime_version_arn: str = ""
    phase: Phase = Phase.INIT
    initialization_type: str = ON_DEMAND
    instance_id: str = ""
    instance_max_memory: int | None = None
    """Bytes."""

    @property
    def level(self) -> Level:
        return Level.INFO if self.runtime_version else Level.DEBUG

    def record(self) -> Record:
        kind = {"initializationType": self.initialization_type, "phase": str(self.phase)}
        return {**kind, **_started(self)}


@dataclass(frozen=True, slots=True)
class InitRuntimeDone:
    type: ClassVar[str] = "platform.initRuntimeDone"
    status: Status
    error_type: str = ""
    phase: Phase = Phase.INIT
    initialization_type: str = ON_DEMAND
    spans: tuple[Span, ...] = ()

    @property
    def level(self) -> Level:
        return _done(self.status)

    def record(self) -> Record:
        kind = {"initializationType": self.initialization_type, "phase": str(self.phase)}
        return {**kind, **_status(self.status, self.error_type), **_spans(self.spans)}


@dataclass(frozen=True, slots=True)
class InitReport:
    type: ClassVar[str] = "platform.initReport"
    status: Status
    duration_ms: float
    error_type: str = ""
    phase: Phase = Phase.INIT
    initialization_type: str = ON_DEMAND
    spans: tuple[Span, ...] = ()

    @property
    def level(self) -> Level:
        if self.status is not Status.SUCCESS:
            return Level.WARN
        return Level.DEBUG if self.initialization_type == ON_DEMAND else Level.INFO

    def record(self) -> Record:
        return {
            "initializationType": self.initialization_type,
            "phase": str(self.phase),
            **_status(self.status, self.error_type),
            "metrics": {"durationMs": _ms(self.duration_ms)},
            **_spans(self.spans),
        }


@dataclass(frozen=True, slots=True)
class Start:
    type: ClassVar[str] = "platform.start"
    level: ClassVar[Level] = Level.INFO
    request_id: str
    version: str
    tracing: Tracing | None = None

    def record(self) -> Record:
        return {"requestId": self.request_id, "version": self.version, **_tracing(self.tracing)}


@dataclass(frozen=True, slots=True)
class RuntimeDone:
    """The runtime is done with an invocation: it asked for the next, or it never will."""

    type: ClassVar[str] = "platform.runtimeDone"
    request_id: str
    status: Status
    error_type: str = ""
    duration_ms: float | None = None
    produced_bytes: int | None = None
    spans: tuple[Span, ...] = ()
    tracing: Tracing | None = None

    @property
    def level(self) -> Level:
        return _done(self.status)

    def record(self) -> Record:
        metrics: dict[str, Any] = {}
        if self.duration_ms is not None:
            metrics["durationMs"] = _ms(self.duration_ms)
            if self.produced_bytes is not None:
                metrics["producedBytes"] = self.produced_bytes
        return {
            "requestId": self.request_id,
            **_status(self.status, self.error_type),
            **({"metrics": metrics} if metrics else {}),
            **_spans(self.spans),
            **_tracing(self.tracing),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The end of an invocation, with what it cost."""

    type: ClassVar[str] = "platform.report"
    level: ClassVar[Level] = Level.INFO
    request_id: str
    status: Status
    duration_ms: float
    memory_mb: int
    max_memory_used_mb: int
    error_type: str = ""
    init_duration_ms: float | None = None
    """Of the cold start before this invocation; None when the environment was warm or the init ran inside it."""
    restore_duration_ms: float | None = None
    spans: tuple[Span, ...] = ()
    tracing: Tracing | None = None

    def record(self) -> Record:
        metrics = {
            "durationMs": _ms(self.duration_ms),
            "billedDurationMs": self.as_text().billed_ms,
            "memorySizeMB": self.memory_mb,
            "maxMemoryUsedMB": self.max_memory_used_mb,
        }
        if self.init_duration_ms is not None:
            metrics["initDurationMs"] = _ms(self.init_duration_ms)
        if self.restore_duration_ms is not None:
            metrics["restoreDurationMs"] = _ms(self.restore_duration_ms)
        return {
            "requestId": self.request_id,
            **_status(self.status, self.error_type),
            "metrics": metrics,
            **_spans(self.spans),
            **_tracing(self.tracing),
        }

    def as_text(self) -> report.Report:
        """What the REPORT line is made of."""
        tracing = self.tracing or Tracing("")
        return report.Report(
            self.request_id,
            self.duration_ms,
            self.memory_mb,
            self.max_memory_used_mb,
            self.init_duration_ms,
            self.status,
            self.error_type,
            tracing.sampled_root,
            tracing.span_id,
            self.restore_duration_ms,
        )


@dataclass(frozen=True, slots=True)
class RestoreStart:
    type: ClassVar[str] = "platform.restoreStart"
    level: ClassVar[Level] = Level.INFO
    function_name: str
    function_version: str
    runtime_version: str = ""
    runtime_version_arn: str = ""
    instance_id: str = ""
    instance_max_memory: int | None = None

    def record(self) -> Record:
        return _started(self)


@dataclass(frozen=True, slots=True)
class RestoreRuntimeDone:
    type: ClassVar[str] = "platform.restoreRuntimeDone"
    status: Status
    error_type: str = ""
    spans: tuple[Span, ...] = ()

    @property
    def level(self) -> Level:
        return _done(self.status)

    def record(self) -> Record:
        return {**_status(self.status, self.error_type), **_spans(self.spans)}


@dataclass(frozen=True, slots=True)
class RestoreReport:
    type: ClassVar[str] = "platform.restoreReport"
    status: Status
    duration_ms: float
    error_type: str = ""
    spans: tuple[Span, ...] = ()

    @property
    def level(self) -> Level:
        return Level.INFO if self.status is Status.SUCCESS else Level.WARN

    def record(self) -> Record:
        metrics = {"metrics": {"durationMs": _ms(self.duration_ms)}}
        return {**_status(self.status, self.error_type), **metrics, **_spans(self.spans)}


@dataclass(frozen=True, slots=True)
class Extension:
    type: ClassVar[str] = "platform.extension"
    level: ClassVar[Level] = Level.INFO
    name: str
    state: str
    """Ready, or how it failed: `AgentState`."""
    events: tuple[str, ...]
    error_type: str = ""

    def record(self) -> Record:
        error = {"errorType": self.error_type} if self.error_type else {}
        return {"name": self.name, "state": self.state, "events": list(self.events), **error}


@dataclass(frozen=True, slots=True)
class TelemetrySubscription:
    type: ClassVar[str] = "platform.telemetrySubscription"
    level: ClassVar[Level] = Level.INFO
    name: str
    state: str
    types: tuple[str, ...]
    """`platform`, `function`, `extension`."""

    def record(self) -> Record:
        return {"name": self.name, "state": self.state, "types": list(self.types)}


@dataclass(frozen=True, slots=True)
class LogsSubscription:
    """A subscription by the older Logs API."""

    type: ClassVar[str] = "platform.logsSubscription"
    level: ClassVar[Level] = Level.INFO
    name: str
    state: str
    types: tuple[str, ...]

    def record(self) -> Record:
        return {"name": self.name, "state": self.state, "types": list(self.types)}


@dataclass(frozen=True, slots=True)
class LogsDropped:
    """A subscriber did not keep up, and has lost this much."""

    type: ClassVar[str] = "platform.logsDropped"
    level: ClassVar[Level] = Level.WARN
    reason: str
    dropped_records: int
    dropped_bytes: int

    def record(self) -> Record:
        return {
            "reason": self.reason,
            "droppedRecords": self.dropped_records,
            "droppedBytes": self.dropped_bytes,
        }


@dataclass(frozen=True, slots=True)
class End:
    """The end of an invocation, as the text format and the Logs API have it; elsewhere its report tells."""

    type: ClassVar[str] = "platform.end"
    level: ClassVar[Level] = Level.INFO
    request_id: str

    def record(self) -> Record:
        return {"requestId": self.request_id}


@dataclass(frozen=True, slots=True)
class Fault:
    """Bad news in words, as the text format and the Logs API have it: `report.timed_out` or `report.crashed`.

    Elsewhere the status and error type of runtimeDone, initRuntimeDone and report tell.
    """

    type: ClassVar[str] = "platform.fault"
    level: ClassVar[Level] = Level.WARN
    words: str

    def record(self) -> str:
        return self.words


PlatformEvent = (
    InitStart
    | InitRuntimeDone
    | InitReport
    | Start
    | RuntimeDone
    | Report
    | RestoreStart
    | RestoreRuntimeDone
    | RestoreReport
    | Extension
    | TelemetrySubscription
    | LogsSubscription
    | LogsDropped
    | End
    | Fault
)


def _started(event: InitStart | RestoreStart) -> dict[str, Any]:
    optional = {
        "instanceId": event.instance_id,
        "instanceMaxMemory": event.instance_max_memory,
        "runtimeVersion": event.runtime_version,
        "runtimeVersionArn": event.runtime_version_arn,
    }
    names = {"functionName": event.function_name, "functionVersion": event.function_version}
    return {**names, **{name: value for name, value in optional.items() if value}}


def _done(status: Status) -> Level:
    return Level.DEBUG if status is Status.SUCCESS else Level.WARN


def _status(status: Status, error_type: str) -> dict[str, Any]:
    error = {"errorType": error_type} if error_type and status is not Status.SUCCESS else {}
    return {"status": str(status), **error}


def _spans(spans: Sequence[Span]) -> dict[str, Any]:
    if not spans:
        return {}
    return {"spans": [{"name": s.name, "start": s.start, "durationMs": _ms(s.duration_ms)} for s in spans]}


def _tracing(tracing: Tracing | None) -> dict[str, Any]:
    if tracing is None or not tracing.value:
        return {}
    span = {"spanId": tracing.span_id} if tracing.span_id else {}
    return {"tracing": {**span, "type": "X-Amzn-Trace-Id", "value": tracing.value}}


def _ms(milliseconds: float) -> float:
    """As AWS's records have them: three decimals at most."""
    return round(milliseconds, _THOUSANDTHS)
