"""How an event of the platform is written: the text log, the JSON log, the Telemetry API and the Logs API. Pure.

Each says nothing of some events: None. Times are seconds since the epoch. Sources: aws-lambda reference
2.5 and 3.5; "Using the Lambda Logs API" in the developer guide for the older events.
"""

from typing import Any

import msgspec

from pasture.domain.invocation import Status
from pasture.kit.clock import iso_millis
from pasture.logs import report
from pasture.logs.platform import (
    ON_DEMAND,
    End,
    Extension,
    Fault,
    InitReport,
    InitStart,
    LogsDropped,
    LogsSubscription,
    PlatformEvent,
    Report,
    RestoreReport,
    RestoreStart,
    RuntimeDone,
    Start,
    TelemetrySubscription,
)

TELEMETRY_SCHEMAS = ("2022-07-01", "2022-12-13", "2025-01-29")
LOGS_SCHEMAS = ("2020-08-15", "2021-03-18")
# The first schema in which a function's JSON is an object, not a string with JSON in it.
_OBJECTS_SINCE = "2022-12-13"
_RUNTIME_DONE_SINCE = "2021-03-18"

# Their facts are in platform.report and platform.runtimeDone there.
_TEXT_ONLY = (End, Fault)


def text_line(event: PlatformEvent) -> str | None:
    """The log event of the text format, with its newline."""
    # What every invocation has comes first.
    match event:
        case Start():
            return report.start(event.request_id, event.version)
        case End():
            return report.end(event.request_id)
        case Report():
            return report.report(event.as_text())
        case InitStart() if event.runtime_version:
            return report.init_start(event.runtime_version, event.runtime_version_arn)
        case InitReport() if event.status is not Status.SUCCESS or event.initialization_type != ON_DEMAND:
            of = report.InitReport(event.duration_ms, event.phase, event.status, event.error_type)
            return report.init_report(of)
        case RestoreStart():
            version = f"Runtime Version: {event.runtime_version}\tRuntime Version ARN: {event.runtime_version_arn}"
            return f"RESTORE_START {version}\n"
        case RestoreReport():
            return _restore_report(event)
        case Fault():
            return event.words
        case _:
            return _extension_text(event)


def json_line(event: PlatformEvent, time: float) -> str | None:
    """The log event of the JSON format, with its newline."""
    if isinstance(event, _TEXT_ONLY):
        return None
    return _envelope(event.type, event.record(), time).decode() + "\n"


def telemetry_event(event: PlatformEvent, time: float) -> bytes | None:
    """An element of a Telemetry API batch. Every schema has the same events of the platform."""
    if isinstance(event, (*_TEXT_ONLY, LogsSubscription)):
        return None
    return _envelope(event.type, event.record(), time)


def logs_api_event(event: PlatformEvent, time: float, schema: str) -> bytes | None:
    """An element of a Logs API batch, with the fewer members that its records have."""
    match event:
        case Start():
            record: Any = {"requestId": event.request_id, "version": event.version}
        case Report():
            record = {name: value for name, value in event.record().items() if name in {"requestId", "metrics"}}
            if event.tracing is not None and event.tracing.value:
                record["tracing"] = event.record()["tracing"]
        case RuntimeDone() if schema >= _RUNTIME_DONE_SINCE:
            # The Logs API has `failure` where the Telemetry API tells error from failure.
            status = Status.FAILURE if event.status is Status.ERROR else event.status
            record = {"requestId": event.request_id, "status": str(status)}
        case End() | Fault() | Extension() | LogsSubscription() | LogsDropped():
            record = event.record()
        case _:
            return None
    return _envelope(event.type, record, time)


def log_event(category: str, message: str, time: float, *, as_object: bool) -> bytes:
    """What a function or an extension logged, as an element of a batch.

    `as_object`: JSON that is an object is shown as one. Anything else is a string.
    """
    if as_object and (record := _json_object(message)) is not None:
        return _envelope(category, record, time)
    return _envelope(category, message, time)


def shows_objects(schema: str) -> bool:
    """Whether a subscriber by this schema gets JSON logs as objects."""
    return schema in TELEMETRY_SCHEMAS and schema >= _OBJECTS_SINCE


def _envelope(type_: str, record: Any, time: float) -> bytes:
    return msgspec.json.encode({"time": iso_millis(time), "type": type_, "record": record})


def _json_object(message: str) -> msgspec.Raw | None:
    """The message as it is, once it has proved to be an object."""
    text = message.strip()
    if not text.startswith("{"):
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    # Over TCP an event is a line: no newline may stay between the members.
    return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1) if "\n" in text else text.encode())


def _restore_report(event: RestoreReport) -> str:
    fields = [f"RESTORE_REPORT Restore Duration: {event.duration_ms:.2f} ms"]
    if event.status is not Status.SUCCESS:
        fields.append(f"Status: {event.status}")
        if event.error_type:
            fields.append(f"Error Type: {event.error_type}")
    return "\t".join(fields) + "\n"


def _extension_text(event: PlatformEvent) -> str | None:
    match event:
        case Extension():
            line = report.extension(event.name, event.state, event.events)
            return line.replace("\n", f"\tError Type: {event.error_type}\n") if event.error_type else line
        case TelemetrySubscription():
            return report.telemetry_subscription(event.name, event.state, _capitalised(event.types))
        case LogsSubscription():
            return f"LOGS\tName: {event.name}\tState: {event.state}\tTypes: [{', '.join(_capitalised(event.types))}]\n"
        case _:
            return None


def _capitalised(types: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.capitalize() for name in types)
