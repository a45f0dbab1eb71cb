"""Asynchronous invocation from boto3 to the function, on a whole server whose minutes are short."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, package, until
from system.test_authorisation import allow, limited_key

# A retry after a minute is one after 0.3 s, and events grow old in 108.
SCALE = 0.005
CODE = """
import json
def handler(event, context):
    print("SEEN", context.aws_request_id, context.invoked_function_arn, json.dumps(event))
    if event.get("fail"): raise ValueError("no")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("events")
    (directory / "pasture.toml").write_text(f"event_time_scale = {SCALE}\n")
    server = Server(directory / "data", "--config", str(directory / "pasture.toml")).start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def send(server: Server, name: str, event: object, **more: Any) -> str:
    answer = server.functions.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **more)
    assert (answer["StatusCode"], answer["Payload"].read(), "FunctionError" in answer) == (202, b"", False)
    return answer["ResponseMetadata"]["RequestId"]


def seen(server: Server, name: str) -> list[list[str]]:
    """Id, ARN and event of each attempt."""
    try:
        lines = server.log_lines(f"/aws/lambda/{name}")
    except ClientError:  # no environment has begun to write yet
        return []
    return [line.split(None, 3)[1:] for line in lines if line.startswith("SEEN")]


def cli(server: Server, *arguments: str) -> str:
    command = [sys.executable, "-m", "pasture", *arguments, "--data-dir", str(server.data)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def events(server: Server, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(cli(server, "events", name, "--output", "json"))
    return told


def test_an_event_is_answered_at_once_and_runs(server: Server) -> None:
    name = server.deploy("runs", CODE)
    id_ = send(server, name, {"a": 1})
    until(lambda: seen(server, name))
    assert [[entry.strip() for entry in attempt] for attempt in seen(server, name)] == [
        [id_, "arn:aws:lambda:us-east-1:000000000000:function:runs", '{"a": 1}']
    ]


def test_the_old_operation_does_the_same(server: Server) -> None:
    name = server.deploy("old", CODE)
    answer = server.functions.invoke_async(FunctionName=name, InvokeArgs=b'{"b": 2}')
    assert answer["Status"] == 202
    until(lambda: seen(server, name))
    assert seen(server, name)[0][2].strip() == '{"b": 2}'


def test_one_that_fails_runs_three_times_under_one_id_and_is_shown_and_redriven(server: Server) -> None:
    name = server.deploy("fails", CODE)
    id_ = send(server, name, {"fail": True})
    until(lambda: events(server, name)["Failed"])
    assert [attempt[0] for attempt in seen(server, name)] == [id_] * 3
    (failed,) = events(server, name)["FailedEvents"]
    assert (failed["Id"], failed["Condition"], failed["Attempts"], failed["LastError"]) == (
        id_,
        "RetriesExhausted",
        3,
        "ValueError: no",
    )
    server.functions.update_function_code(FunctionName=name, ZipFile=package(CODE.replace('"fail"', '"never"')))
    server.functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert cli(server, "events", "redrive", name) == "1 events are queued again.\n"
    until(lambda: len(seen(server, name)) == 4)
    until(lambda: not events(server, name)["Queued"] + events(server, name)["Running"])
    assert (seen(server, name)[3][0], events(server, name)["Failed"]) == (id_, 0)


def test_retries_are_as_many_as_are_set(server: Server) -> None:
    name = server.deploy("once", CODE)
    server.functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    send(server, name, {"fail": True})
    until(lambda: events(server, name)["Failed"])
    assert len(seen(server, name)) == 1


def test_with_a_reservation_of_zero_events_are_accepted_and_given_up(server: Server) -> None:
    name = server.deploy("stopped", CODE)
    server.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    send(server, name, {})
    until(lambda: events(server, name)["Failed"])
    assert events(server, name)["FailedEvents"][0]["Condition"] == "ZeroReservedConcurrency"
    assert cli(server, "events", "purge", name, "--failed") == "1 events are purged.\n"
    assert events(server, name)["Failed"] == 0


def test_a_reservation_of_one_takes_many_events_one_by_one_without_throttles(server: Server) -> None:
    code = CODE + "    import time; time.sleep(0.02)\n"
    name = server.deploy("narrow", code)
    server.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    ids = {send(server, name, {"n": number}) for number in range(30)}
    until(lambda: len(seen(server, name)) >= 30)
    assert {attempt[0] for attempt in seen(server, name)} == ids
    assert len(seen(server, name)) == 30


def test_the_qualifier_counts_when_it_runs(server: Server) -> None:
    name = server.deploy("versions", CODE)
    version = server.functions.publish_version(FunctionName=name)["Version"]
    server.functions.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    send(server, name, {}, Qualifier="live")
    until(lambda: seen(server, name))
    assert seen(server, name)[0][1].endswith(":function:versions:live")


def test_events_of_a_function_that_is_deleted_go_with_it(server: Server) -> None:
    name = server.deploy("deleted", CODE)
    server.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for _ in range(5):
        send(server, name, {"fail": True})
    until(lambda: events(server, name)["Waiting"])
    server.functions.delete_function(FunctionName=name)

    def are_gone() -> bool:
        command = [sys.executable, "-m", "pasture", "events", name, "--data-dir", str(server.data)]
        told = subprocess.run(command, check=False, capture_output=True, text=True)
        return "Function not found" in told.stderr

    until(are_gone)


def test_metrics_count_what_was_received_and_dropped(server: Server) -> None:
    name = server.deploy("counted", CODE)
    server.functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    send(server, name, {})
    send(server, name, {"fail": True})
    until(lambda: events(server, name)["Failed"] and len(seen(server, name)) == 2)
    client = server.client("cloudwatch")

    def total(metric: str) -> float:
        answer = client.get_metric_statistics(
            Namespace="AWS/Lambda", MetricName=metric, Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=0, EndTime=4_000_000_000, Period=3_600 * 24 * 365, Statistics=["Sum"],
        )  # fmt: skip
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    assert (total("AsyncEventsReceived"), total("AsyncEventsDropped")) == (2, 1)
    assert (total("Invocations"), total("Errors")) == (2, 1)
    assert total("AsyncEventAge") > 0


def test_who_may_not_see_purge_or_redrive_is_refused(server: Server, tmp_path: Path) -> None:
    name = server.deploy("guarded", CODE)
    key = dict(limited_key(server, tmp_path, allow("lambda:GetFunctionEvents", "*")))
    assert status_of(server, key, "GET", name) == 200
    assert status_of(server, key, "POST", f"{name}/purge") == 403
    assert status_of(server, key, "POST", f"{name}/redrive") == 403
    assert status_of(server, key, "GET", "unknown") == 404


def status_of(server: Server, key: dict[str, str], method: str, what: str) -> int:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    request = AWSRequest(method, f"{server.url}/_pasture/events/{what}")
    credentials = Credentials(key["aws_access_key_id"], key["aws_secret_access_key"])
    SigV4Auth(credentials, "lambda", "us-east-1").add_auth(request)
    return int(URLLib3Session(timeout=30).send(request.prepare()).status_code)


def test_what_waits_is_still_there_after_a_restart(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        name = server.deploy("waits", CODE)
        id_ = send(server, name, {"fail": True})
        until(lambda: events(server, name)["Waiting"])
        assert server.stop() == 0
        server.start()
        told = events(server, name)
        assert (told["Waiting"], told["Events"][0]["Id"], told["Events"][0]["Attempts"]) == (1, id_, 1)
        assert told["Events"][0]["LastError"] == "ValueError: no"
    finally:
        server.stop()
