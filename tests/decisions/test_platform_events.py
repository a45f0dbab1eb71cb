"""How events of the platform are written, and at which level."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.invocation import Status
from pasture.logs import report
from pasture.logs.levels import Level
from pasture.logs.platform import (
    End,
    Extension,
    Fault,
    InitReport,
    InitRuntimeDone,
    InitStart,
    LogsDropped,
    LogsSubscription,
    PlatformEvent,
    Report,
    RestoreReport,
    RestoreRuntimeDone,
    RestoreStart,
    RuntimeDone,
    Span,
    Start,
    TelemetrySubscription,
    Tracing,
)
from pasture.logs.platform_rendering import (
    json_line,
    log_event,
    logs_api_event,
    shows_objects,
    telemetry_event,
    text_line,
)
from pasture.logs.report import Phase

NOW = 1_709_547_072.123
TIME = "2024-03-04T10:11:12.123Z"
ID = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
ARN = "arn:aws:lambda:us-east-1::runtime:" + "a" * 64
HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=557abcec3ee5a047;Sampled=1"
TRACING = Tracing(HEADER, "54565fb41ac79632")
TRACED = {"spanId": "54565fb41ac79632", "type": "X-Amzn-Trace-Id", "value": HEADER}
SPAN = Span("responseLatency", TIME, 23.02)
SPANS = [{"name": "responseLatency", "start": TIME, "durationMs": 23.02}]
KIND = {"initializationType": "on-demand", "phase": "init"}

REPORT = Report(ID, Status.SUCCESS, 101.5123, 512, 33, init_duration_ms=116.6789, spans=(SPAN,), tracing=TRACING)
METRICS = {
    "durationMs": 101.512,
    "billedDurationMs": 219,
    "memorySizeMB": 512,
    "maxMemoryUsedMB": 33,
    "initDurationMs": 116.679,
}
FAILED = Report(ID, Status.ERROR, 7.0, 128, 30, "Runtime.ExitError")

# Event, the record in JSON logs and telemetry, its level.
RECORDS: list[tuple[PlatformEvent, Any, Level]] = [
    (
        InitStart("f", "$LATEST", "python:3.12.v18", ARN),
        {
            **KIND,
            "functionName": "f",
            "functionVersion": "$LATEST",
            "runtimeVersion": "python:3.12.v18",
            "runtimeVersionArn": ARN,
        },
        Level.INFO,
    ),
    (InitStart("f", "1"), {**KIND, "functionName": "f", "functionVersion": "1"}, Level.DEBUG),
    (InitRuntimeDone(Status.SUCCESS, spans=(SPAN,)), {**KIND, "status": "success", "spans": SPANS}, Level.DEBUG),
    (
        InitRuntimeDone(Status.ERROR, "Runtime.ExitError", Phase.INVOKE),
        {**KIND, "phase": "invoke", "status": "error", "errorType": "Runtime.ExitError"},
        Level.WARN,
    ),
    (InitReport(Status.SUCCESS, 125.33), {**KIND, "status": "success", "metrics": {"durationMs": 125.33}}, Level.DEBUG),
    (
        InitReport(Status.SUCCESS, 125.33, initialization_type="provisioned-concurrency"),
        {
            **KIND,
            "initializationType": "provisioned-concurrency",
            "status": "success",
            "metrics": {"durationMs": 125.33},
        },
        Level.INFO,
    ),
    (
        InitReport(Status.TIMEOUT, 10_000.0),
        {**KIND, "status": "timeout", "metrics": {"durationMs": 10_000.0}},
        Level.WARN,
    ),
    (
        Start(ID, "$LATEST", TRACING),
        {"requestId": ID, "version": "$LATEST", "tracing": TRACED},
        Level.INFO,
    ),
    (Start(ID, "7"), {"requestId": ID, "version": "7"}, Level.INFO),
    (
        RuntimeDone(ID, Status.SUCCESS, "", 140.0, 16, (SPAN,), TRACING),
        {
            "requestId": ID,
            "status": "success",
            "metrics": {"durationMs": 140.0, "producedBytes": 16},
            "spans": SPANS,
            "tracing": TRACED,
        },
        Level.DEBUG,
    ),
    (
        RuntimeDone(ID, Status.TIMEOUT, duration_ms=3000.0),
        {"requestId": ID, "status": "timeout", "metrics": {"durationMs": 3000.0}},
        Level.WARN,
    ),
    (
        REPORT,
        {"requestId": ID, "status": "success", "metrics": METRICS, "spans": SPANS, "tracing": TRACED},
        Level.INFO,
    ),
    (
        FAILED,
        {
            "requestId": ID,
            "status": "error",
            "errorType": "Runtime.ExitError",
            "metrics": {"durationMs": 7.0, "billedDurationMs": 7, "memorySizeMB": 128, "maxMemoryUsedMB": 30},
        },
        Level.INFO,
    ),
    (
        RestoreStart("f", "1", "java21", ARN, "i-1", 1024),
        {
            "functionName": "f",
            "functionVersion": "1",
            "instanceId": "i-1",
            "instanceMaxMemory": 1024,
            "runtimeVersion": "java21",
            "runtimeVersionArn": ARN,
        },
        Level.INFO,
    ),
    (
        RestoreRuntimeDone(Status.ERROR, "Runtime.ExitError"),
        {"status": "error", "errorType": "Runtime.ExitError"},
        Level.WARN,
    ),
    (RestoreReport(Status.SUCCESS, 70.87), {"status": "success", "metrics": {"durationMs": 70.87}}, Level.INFO),
    (
        Extension("agent", "Ready", ("INVOKE", "SHUTDOWN")),
        {"name": "agent", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]},
        Level.INFO,
    ),
    (
        TelemetrySubscription("agent", "Subscribed", ("platform", "function")),
        {"name": "agent", "state": "Subscribed", "types": ["platform", "function"]},
        Level.INFO,
    ),
    (
        LogsDropped("slow", 123, 12345),
        {"reason": "slow", "droppedRecords": 123, "droppedBytes": 12345},
        Level.WARN,
    ),
]


@pytest.mark.parametrize(("event", "record", "level"), RECORDS)
def test_a_json_log_and_telemetry_show_the_same_record(event: PlatformEvent, record: Any, level: Level) -> None:
    whole = {"time": TIME, "type": event.type, "record": record}
    line, element = json_line(event, NOW), telemetry_event(event, NOW)
    assert line is not None
    assert element is not None
    assert (json.loads(line), line[-1], json.loads(element), event.level) == (whole, "\n", whole, level)


@pytest.mark.parametrize("event", [End(ID), Fault("words\n")])
def test_the_end_and_bad_news_are_in_the_text_format_only(event: PlatformEvent) -> None:
    assert (json_line(event, NOW), telemetry_event(event, NOW)) == (None, None)


def test_a_subscription_by_the_logs_api_is_no_telemetry() -> None:
    assert telemetry_event(LogsSubscription("agent", "Subscribed", ("function",)), NOW) is None


TEXTS: list[tuple[PlatformEvent, str | None]] = [
    (InitStart("f", "1", "python:3.12.v18", ARN), report.init_start("python:3.12.v18", ARN)),
    (InitStart("f", "1"), None),
    (InitRuntimeDone(Status.SUCCESS), None),
    (InitReport(Status.SUCCESS, 12.0), None),
    (
        InitReport(Status.ERROR, 12.0, "Runtime.ExitError", Phase.INVOKE),
        "INIT_REPORT Init Duration: 12.00 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\n",
    ),
    (
        InitReport(Status.SUCCESS, 12.0, initialization_type="provisioned-concurrency"),
        "INIT_REPORT Init Duration: 12.00 ms\tPhase: init\n",
    ),
    (Start(ID, "$LATEST"), f"START RequestId: {ID} Version: $LATEST\n"),
    (RuntimeDone(ID, Status.SUCCESS), None),
    (End(ID), f"END RequestId: {ID}\n"),
    (
        REPORT,
        (
            f"REPORT RequestId: {ID}\tDuration: 101.51 ms\tBilled Duration: 219 ms\tMemory Size: 512 MB"
            "\tMax Memory Used: 33 MB\tInit Duration: 116.68 ms\t\n"
            "XRAY TraceId: 1-5759e988-bd862e3fe1be46a994272793\tSegmentId: 54565fb41ac79632\tSampled: true\t\n"
        ),
    ),
    (
        Report(ID, Status.TIMEOUT, 3000.0, 128, 40, tracing=Tracing("Root=1-5759e988-bd86;Sampled=0")),
        (
            f"REPORT RequestId: {ID}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB"
            "\tMax Memory Used: 40 MB\tStatus: timeout\n"
        ),
    ),
    (RestoreStart("f", "1", "java21", ARN), f"RESTORE_START Runtime Version: java21\tRuntime Version ARN: {ARN}\n"),
    (RestoreRuntimeDone(Status.SUCCESS), None),
    (RestoreReport(Status.SUCCESS, 70.87), "RESTORE_REPORT Restore Duration: 70.87 ms\n"),
    (
        RestoreReport(Status.ERROR, 70.87, "Runtime.ExitError"),
        "RESTORE_REPORT Restore Duration: 70.87 ms\tStatus: error\tError Type: Runtime.ExitError\n",
    ),
    (
        Extension("agent", "Ready", ("INVOKE", "SHUTDOWN")),
        "EXTENSION\tName: agent\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n",
    ),
    (
        Extension("agent", "LaunchError", (), "PermissionDenied"),
        "EXTENSION\tName: agent\tState: LaunchError\tEvents: []\tError Type: PermissionDenied\n",
    ),
    (
        TelemetrySubscription("agent", "Subscribed", ("platform", "function")),
        "TELEMETRY\tName: agent\tState: Subscribed\tTypes: [Platform, Function]\n",
    ),
    (
        LogsSubscription("agent", "Subscribed", ("function",)),
        "LOGS\tName: agent\tState: Subscribed\tTypes: [Function]\n",
    ),
    (LogsDropped("slow", 1, 2), None),
    (Fault("it crashed\nRuntime.ExitError\n"), "it crashed\nRuntime.ExitError\n"),
]


@pytest.mark.parametrize(("event", "text"), TEXTS)
def test_the_text_log_says_what_cloudwatch_shows(event: PlatformEvent, text: str | None) -> None:
    assert text_line(event) == text


def logs_api(event: PlatformEvent, schema: str = "2021-03-18") -> Any:
    element = logs_api_event(event, NOW, schema)
    return None if element is None else json.loads(element)


LOGS: list[tuple[PlatformEvent, Any]] = [
    (Start(ID, "$LATEST", TRACING), {"requestId": ID, "version": "$LATEST"}),
    (End(ID), {"requestId": ID}),
    (REPORT, {"requestId": ID, "metrics": METRICS, "tracing": TRACED}),
    (RuntimeDone(ID, Status.ERROR, "Runtime.ExitError", 1.0), {"requestId": ID, "status": "failure"}),
    (RuntimeDone(ID, Status.TIMEOUT), {"requestId": ID, "status": "timeout"}),
    (Fault("RequestId: 1 Process exited"), "RequestId: 1 Process exited"),
    (Extension("agent", "Ready", ("INVOKE",)), {"name": "agent", "state": "Ready", "events": ["INVOKE"]}),
    (
        LogsSubscription("agent", "Subscribed", ("function",)),
        {"name": "agent", "state": "Subscribed", "types": ["function"]},
    ),
    (LogsDropped("slow", 1, 2), {"reason": "slow", "droppedRecords": 1, "droppedBytes": 2}),
]


@pytest.mark.parametrize(("event", "record"), LOGS)
def test_the_logs_api_shows_less(event: PlatformEvent, record: Any) -> None:
    assert logs_api(event) == {"time": TIME, "type": event.type, "record": record}


@pytest.mark.parametrize(
    "event",
    [
        InitStart("f", "1"),
        InitRuntimeDone(Status.SUCCESS),
        InitReport(Status.SUCCESS, 1.0),
        TelemetrySubscription("agent", "Subscribed", ("function",)),
    ],
)
def test_the_logs_api_knows_nothing_of_what_came_after_it(event: PlatformEvent) -> None:
    assert logs_api(event) is None


def test_the_first_schema_of_the_logs_api_has_no_runtime_done() -> None:
    assert logs_api(RuntimeDone(ID, Status.SUCCESS), "2020-08-15") is None


# Logs...


def logged(message: str, *, as_object: bool = True) -> Any:
    return json.loads(log_event("function", message, NOW, as_object=as_object))


def test_what_a_function_logs_is_a_string() -> None:
    assert logged("hello\n") == {"time": TIME, "type": "function", "record": "hello\n"}


def test_json_that_is_an_object_is_shown_as_one() -> None:
    assert logged('{"level":"INFO","n":1e400}\n', as_object=False)["record"] == '{"level":"INFO","n":1e400}\n'
    assert logged('{"level":"INFO","message":"m"}\n')["record"] == {"level": "INFO", "message": "m"}


def test_an_object_of_many_lines_becomes_one_line() -> None:
    element = log_event("function", '{\n  "a": "b\\n",\r\n  "n": 12345678901234567890\n}\n', NOW, as_object=True)
    assert (b"\n" in element, json.loads(element)["record"]) == (False, {"a": "b\n", "n": 12345678901234567890})


@pytest.mark.parametrize("message", ["[1]\n", "{not json}", '{"a":1} and more', "{" * 100_000, "17"])
def test_what_is_no_object_stays_a_string(message: str) -> None:
    assert logged(message)["record"] == message


@given(st.text(), st.booleans())
def test_whatever_is_logged_can_be_sent(message: str, as_object: bool) -> None:
    assert logged(message, as_object=as_object)["type"] == "function"


@pytest.mark.parametrize(
    ("schema", "shown"),
    [("2022-07-01", False), ("2022-12-13", True), ("2025-01-29", True), ("2021-03-18", False)],
)
def test_objects_are_shown_since_december_2022(schema: str, shown: bool) -> None:
    assert shows_objects(schema) is shown
