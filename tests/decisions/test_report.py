"""What the platform's log lines say, to the letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.invocation import Status
from pasture.logs import report
from pasture.logs.report import InitReport, Phase, Report

ID = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"


def test_start_and_end_name_the_request() -> None:
    assert report.start(ID, "$LATEST") == f"START RequestId: {ID} Version: $LATEST\n"
    assert report.end(ID) == f"END RequestId: {ID}\n"


def test_init_start_names_the_runtime() -> None:
    arn = "arn:aws:lambda:us-east-1::runtime:" + "a" * 64
    said = report.init_start("python:3.12.v18", arn)
    assert said == f"INIT_START Runtime Version: python:3.12.v18\tRuntime Version ARN: {arn}\n"


def test_a_warm_invocation_reports_no_init() -> None:
    assert report.report(Report(ID, 12.344, 128, 40)) == (
        f"REPORT RequestId: {ID}\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t\n"
    )


def test_a_cold_invocation_reports_its_init_and_is_billed_for_it() -> None:
    assert report.report(Report(ID, 12.34, 128, 40, init_duration_ms=120.114)) == (
        f"REPORT RequestId: {ID}\tDuration: 12.34 ms\tBilled Duration: 133 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB"
        "\tInit Duration: 120.11 ms\t\n"
    )


def test_a_timeout_has_a_status_and_no_error_type() -> None:
    said = report.report(Report(ID, 3000.0, 128, 40, status=Status.TIMEOUT, error_type="Sandbox.Timedout"))
    assert said == (
        f"REPORT RequestId: {ID}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB"
        "\tMax Memory Used: 40 MB\tStatus: timeout\n"
    )


def test_a_timeout_after_a_cold_start_is_reported_as_recorded() -> None:
    """Recorded of python3.13 on AWS in September 2025."""
    recorded = Report("1e5c8abd-3d36-461b-8c0f-a56b952715b3", 3000.0, 128, 35, 67.49, Status.TIMEOUT)
    assert report.report(recorded) == (
        "REPORT RequestId: 1e5c8abd-3d36-461b-8c0f-a56b952715b3\tDuration: 3000.00 ms\tBilled Duration: 3068 ms"
        "\tMemory Size: 128 MB\tMax Memory Used: 35 MB\tInit Duration: 67.49 ms\tStatus: timeout\n"
    )


def test_a_crash_has_a_status_and_an_error_type() -> None:
    said = report.report(Report(ID, 143.38, 128, 28, status=Status.ERROR, error_type="Runtime.ExitError"))
    assert said == (
        f"REPORT RequestId: {ID}\tDuration: 143.38 ms\tBilled Duration: 144 ms\tMemory Size: 128 MB"
        "\tMax Memory Used: 28 MB\tStatus: error\tError Type: Runtime.ExitError\n"
    )


def test_a_traced_invocation_has_a_second_line() -> None:
    said = report.report(Report(ID, 1.0, 128, 28, trace_id="1-5759e988-bd862e3fe1be46a994272793", segment_id="0123"))
    assert said.split("\n")[1] == (
        "XRAY TraceId: 1-5759e988-bd862e3fe1be46a994272793\tSegmentId: 0123\tSampled: true\t"
    )


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (InitReport(9999.123, Phase.INIT, Status.TIMEOUT), "9999.12 ms\tPhase: init\tStatus: timeout\n"),
        (
            InitReport(1.2, Phase.INVOKE, Status.ERROR, "Runtime.ExitError"),
            "1.20 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\n",
        ),
    ],
)
def test_an_init_that_failed_is_reported_with_its_phase(of: InitReport, said: str) -> None:
    assert report.init_report(of) == f"INIT_REPORT Init Duration: {said}"


def test_the_timeout_line_has_a_time_of_its_own_and_an_empty_line_after_it() -> None:
    assert report.timed_out(1_709_547_072.1234, ID, 3) == (
        f"2024-03-04T10:11:12.123Z {ID} Task timed out after 3.00 seconds\n\n"
    )


@pytest.mark.parametrize(
    ("code", "signal", "said"),
    [
        (1, "", "Runtime exited with error: exit status 1"),
        (0, "", "Runtime exited without providing a reason"),
        (None, "killed", "Runtime exited with error: signal: killed"),
    ],
)
def test_how_a_runtime_ended_is_said_in_aws_words(code: int | None, signal: str, said: str) -> None:
    assert report.exit_words(code, signal) == said


def test_a_crash_is_logged_with_its_type_on_a_line_of_its_own() -> None:
    said = report.crashed(ID, report.exit_words(1), "Runtime.ExitError")
    assert said == f"RequestId: {ID} Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n"


def test_extensions_and_telemetry_subscriptions_are_announced() -> None:
    assert report.extension("agent", "Ready", ("INVOKE", "SHUTDOWN")) == (
        "EXTENSION\tName: agent\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"
    )
    assert report.telemetry_subscription("agent", "Subscribed", ("Platform", "Function")) == (
        "TELEMETRY\tName: agent\tState: Subscribed\tTypes: [Platform, Function]\n"
    )


def test_a_stream_is_named_by_date_version_and_environment() -> None:
    assert report.stream_name((2026, 3, 4), "$LATEST", "0" * 32) == "2026/03/04/[$LATEST]" + "0" * 32


@given(duration=st.floats(0, 900_000), init=st.none() | st.floats(0, 10_000))
def test_what_is_billed_covers_the_time_by_less_than_a_millisecond(duration: float, init: float | None) -> None:
    billed = Report(ID, duration, 128, 1, init).billed_ms
    assert -1e-6 <= billed - (duration + (init or 0)) < 1


def test_a_restore_is_told_with_what_it_costs() -> None:
    assert report.report(Report(ID, 1.2, 128, 40, restore_duration_ms=7.31)).endswith(
        "\tMax Memory Used: 40 MB\tRestore Duration: 7.31 ms\tBilled Restore Duration: 8 ms\t\n"
    )
