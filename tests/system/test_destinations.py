"""Where the outcomes of asynchronous events go, on a whole server with the services that it brings along."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.moto_beside import Moto
from system.node import Server, a_role, until

ACCOUNT = "000000000000"
ECHO = "def handler(event, context):\n    return event\n"
ONE = "def handler(event, context):\n    return 1\n"
BOOM = "def handler(event, context):\n    raise ValueError(event['why'])\n"
# Of all waits and ages: a retry comes after 0.3 s and 0.6 s.
SCALE = "event_time_scale = 0.005\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("destinations")
    (directory / "pasture.toml").write_text(SCALE)
    running = Server(directory / "data", "--with-aws", "--config", str(directory / "pasture.toml")).start()
    yield running
    assert running.stop() == 0


def arn_of(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"


def a_queue(server: Server, name: str) -> tuple[str, str]:
    """Its URL and its ARN."""
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def a_topic(server: Server, name: str) -> tuple[str, str]:
    """Its ARN, and the URL of a queue that gets its messages as they are."""
    sns = server.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    url, queue = a_queue(server, f"of-{name}")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    return topic, url


def receive(server: Server, url: str) -> dict[str, Any]:
    """The first message, once there is one."""
    sqs = server.client("sqs")
    everything = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
    messages = until(lambda: sqs.receive_message(QueueUrl=url, **everything).get("Messages"))
    sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])
    message: dict[str, Any] = messages[0]
    return message


def settle(server: Server, name: str, *, success: str = "", failure: str = "", retries: int = 0) -> None:
    destinations = {"OnSuccess": {"Destination": success}, "OnFailure": {"Destination": failure}}
    configuration: Any = {outcome: where for outcome, where in destinations.items() if where["Destination"]}
    server.functions.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=retries, DestinationConfig=configuration
    )


def send(server: Server, name: str, event: object) -> str:
    """The request's id."""
    answer = server.functions.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202
    return answer["ResponseMetadata"]["RequestId"]


def check_record(record: dict[str, Any], name: str, request: str, condition: str, sent: object, count: int = 1) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("timestamp"))
    response = record.pop("responsePayload")
    error = {} if condition == "Success" else {"functionError": "Unhandled"}
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request,
            "functionArn": f"{arn_of(name)}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": count,
        },
        "requestPayload": sent,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", **error},
    }
    if condition == "Success":
        assert response == sent
    else:
        assert (response["errorType"], response["errorMessage"]) == ("ValueError", "because")


def test_a_queue_gets_successes_and_another_failures_after_the_retries(here: Server) -> None:
    (good, good_arn), (bad, bad_arn) = a_queue(here, "good"), a_queue(here, "bad")
    for name, code in (("to-queue", ECHO), ("to-queue-boom", BOOM)):
        here.deploy(name, code)
        settle(here, name, success=good_arn, failure=bad_arn, retries=2)
    request = send(here, "to-queue", {"a": [1]})
    message = receive(here, good)
    check_record(json.loads(message["Body"]), "to-queue", request, "Success", {"a": [1]})
    assert re.search(r"^Root=1-.*;Lineage=1:[0-9a-f]{8}:0$", message["Attributes"]["AWSTraceHeader"])
    request = send(here, "to-queue-boom", {"why": "because"})
    record = json.loads(receive(here, bad)["Body"])
    check_record(record, "to-queue-boom", request, "RetriesExhausted", {"why": "because"}, 3)


def test_a_topic_gets_the_record(here: Server) -> None:
    topic, url = a_topic(here, "outcomes")
    here.deploy("to-topic", BOOM)
    settle(here, "to-topic", failure=topic)
    request = send(here, "to-topic", {"why": "because"})
    record = json.loads(receive(here, url)["Body"])
    check_record(record, "to-topic", request, "RetriesExhausted", {"why": "because"})


@pytest.fixture
def bus() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of an EventBridge whose buses take everything, and what was put."""
    put: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            put.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = b'{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}'
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", put
        http.shutdown()


def test_a_bus_gets_an_event_of_lambda(tmp_path: Path, bus: tuple[str, list[dict[str, Any]]]) -> None:
    url, put = bus
    server = Server(tmp_path / "data", "--neighbour", f"events={url}")
    arn = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/outcomes"
    role = a_role(server, "puts", "events:PutEvents", arn)
    server.start()
    try:
        server.deploy("to-bus", ECHO, Role=role)
        settle(server, "to-bus", success=arn)
        request = send(server, "to-bus", 7)
        ((entry,),) = [call["Entries"] for call in until(lambda: put)]
    finally:
        server.stop()
    check_record(json.loads(entry.pop("Detail")), "to-bus", request, "Success", 7)
    assert entry.pop("TraceHeader").startswith("Root=1-")
    assert isinstance(entry.pop("Time"), (int, float))
    assert entry == {
        "Source": "lambda",
        "DetailType": "Lambda Function Invocation Result - Success",
        "Resources": [arn, f"{arn_of('to-bus')}:$LATEST"],
        "EventBusName": arn,
    }


def test_a_bucket_gets_what_failed(here: Server) -> None:
    s3 = here.client("s3")
    s3.create_bucket(Bucket="outcomes")
    here.deploy("to-bucket", BOOM)
    settle(here, "to-bucket", failure="arn:aws:s3:::outcomes")
    request = send(here, "to-bucket", {"why": "because"})
    (found,) = until(lambda: s3.list_objects_v2(Bucket="outcomes").get("Contents"))
    assert re.fullmatch(
        r"aws/lambda/async/to-bucket/\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{36}", found["Key"]
    )
    record = json.loads(s3.get_object(Bucket="outcomes", Key=found["Key"])["Body"].read())
    check_record(record, "to-bucket", request, "RetriesExhausted", {"why": "because"})


def test_a_function_gets_the_record_as_its_event(here: Server) -> None:
    role = a_role(here, "invokes", "lambda:InvokeFunction", arn_of("second"))
    url, queue = a_queue(here, "of-the-second")
    here.deploy("second", ECHO)
    settle(here, "second", success=queue)
    here.deploy("first", ECHO, Role=role)
    settle(here, "first", success=arn_of("second"))
    request = send(here, "first", "x")
    record = json.loads(receive(here, url)["Body"])
    check_record(record["requestPayload"], "first", request, "Success", "x")
    assert record["requestContext"]["functionArn"] == f"{arn_of('second')}:$LATEST"


def test_dead_letters_are_the_event_with_the_reason(here: Server) -> None:
    url, queue = a_queue(here, "dead")
    topic, of_topic = a_topic(here, "dead-topic")
    for name, target, where in (("dies", queue, url), ("dies-too", topic, of_topic)):
        here.deploy(name, BOOM, DeadLetterConfig={"TargetArn": target})
        settle(here, name)
        request = send(here, name, {"why": "because"})
        message = receive(here, where)
        assert json.loads(message["Body"]) == {"why": "because"}
        attributes = {name: (a["DataType"], a["StringValue"]) for name, a in message["MessageAttributes"].items()}
        assert attributes == {
            "RequestID": ("String", request),
            "ErrorCode": ("Number", "200"),
            "ErrorMessage": ("String", "because"),
        }


def test_a_function_without_concurrency_has_its_events_in_the_destination_at_once(here: Server) -> None:
    url, queue = a_queue(here, "stopped")
    here.deploy("stopped", ECHO)
    settle(here, "stopped", failure=queue)
    here.functions.put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    send(here, "stopped", 1)
    record = json.loads(receive(here, url)["Body"])
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert not {"responseContext", "responsePayload"}.intersection(record)


# Rights...


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_what_the_role_may_not_use_is_refused_and_given_up_when_it_may_no_more(here: Server) -> None:
    _, queue = a_queue(here, "wanted")
    _, unwanted = a_queue(here, "unwanted")
    role = a_role(here, "writes", "sqs:SendMessage", queue)
    here.deploy("writes", ECHO, Role=role)
    assert refusal(lambda: settle(here, "writes", success=unwanted)) == (
        "InvalidParameterValueException",
        f"The function's execution role does not have permissions to call SendMessage on {unwanted}",
    )
    assert refusal(
        lambda: here.functions.update_function_configuration(
            FunctionName="writes", DeadLetterConfig={"TargetArn": unwanted}
        )
    ) == (
        "InvalidParameterValueException",
        "The provided execution role does not have permissions to call SendMessage on SQS",
    )
    settle(here, "writes", success=queue)
    nothing = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    command = [sys.executable, "-m", "pasture", "roles", "put-policy", "writes", "--policy-json", nothing]
    subprocess.run([*command, "--data-dir", str(here.data)], check=True, capture_output=True)
    send(here, "writes", 1)
    until(lambda: "gave up delivering" in here.log.read_text())
    assert metric(here, "DestinationDeliveryFailures", "writes") >= 2


def pasture(server: Server, *arguments: str) -> str:
    command = [sys.executable, "-m", "pasture", *arguments, "--data-dir", str(server.data)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_what_could_not_be_delivered_is_shown_and_delivered_when_it_is_redriven(here: Server) -> None:
    url, queue = a_queue(here, "comes-back")
    here.deploy("insists", ECHO)
    settle(here, "insists", success=queue)
    here.client("sqs").delete_queue(QueueUrl=url)
    request = send(here, "insists", {"a": 1})

    def told() -> Any:
        return json.loads(pasture(here, "events", "insists", "--output", "json"))

    until(lambda: told()["FailedDeliveries"])
    (delivery,) = told()["Deliveries"]
    assert (delivery["State"], delivery["Target"], delivery["Condition"]) == ("failed", queue, "Success")
    assert delivery["Attempts"] > 1
    assert "1 given up, 0 tried again." in pasture(here, "events", "insists")
    url, _ = a_queue(here, "comes-back")
    said = pasture(here, "events", "redrive", "insists", "--deliveries", "--id", delivery["Id"])
    assert said == "1 deliveries are queued again.\n"
    check_record(json.loads(receive(here, url)["Body"]), "insists", request, "Success", {"a": 1})
    until(lambda: not told()["Deliveries"])


def metric(server: Server, name: str, function: str) -> float:
    now = datetime.now(UTC)
    points: Any = server.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=name,
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=2),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


# A neighbour that is down, a server that dies...


def test_what_a_neighbour_was_down_for_is_there_when_it_is_up_and_the_server_has_died_meanwhile(tmp_path: Path) -> None:
    moto = Moto()
    (tmp_path / "pasture.toml").write_text(SCALE)
    arguments = ("--neighbour", moto.url, "--config", str(tmp_path / "pasture.toml"))
    server = Server(tmp_path / "data", *arguments)
    role = a_role(server, "writes", "sqs:SendMessage", "*")
    server.start()
    try:
        server.deploy("patient", ECHO, Role=role)
        settle(server, "patient", success=f"arn:aws:sqs:us-east-1:{ACCOUNT}:later")
        requests = {send(server, "patient", number) for number in range(30)}
        until(lambda: "cannot deliver to" in server.log.read_text())
        until(lambda: metric(server, "Invocations", "patient") >= 30)
        server.stop(9)
        server.start()
        moto.start()
        url, _ = a_queue(server, "later")
        got: set[str] = set()
        while got != requests:
            record = json.loads(receive(server, url)["Body"])
            got.add(record["requestContext"]["requestId"])
    finally:
        moto.stop()
        server.stop(9)


# Loops...

SELF = """
import boto3, json, os

def handler(event, context):
    client = boto3.client("lambda")
    client.invoke(FunctionName=context.function_name, InvocationType="Event", Payload=json.dumps(event + 1))
    return event
"""


def looping(server: Server, name: str, code: str, **more: Any) -> str:
    """With a role that may do everything; answers the URL of its dead-letter queue."""
    url, queue = a_queue(server, f"dead-{name}")
    role = a_role(server, name, "*", "*")
    server.deploy(name, code, Role=role, DeadLetterConfig={"TargetArn": queue}, **more)
    return url


def check_stopped(server: Server, url: str, name: str) -> dict[str, Any]:
    message = receive(server, url)
    assert message["MessageAttributes"]["ErrorCode"]["StringValue"] == "400"
    words = message["MessageAttributes"]["ErrorMessage"]["StringValue"]
    assert words.startswith("Lambda has detected your function being invoked in a recursive loop")
    assert metric(server, "RecursiveInvocationsDropped", name) == 1
    # A metric is written once the invocation is over, which may be after what it has sent has arrived.
    until(lambda: metric(server, "Invocations", name) >= 16)
    assert metric(server, "Invocations", name) == 16
    return message


def test_a_function_that_invokes_itself_runs_sixteen_times_and_lands_in_its_dead_letter_queue(here: Server) -> None:
    url = looping(here, "circles", SELF, Timeout=60, MemorySize=512)
    send(here, "circles", 1)
    assert check_stopped(here, url, "circles")["Body"] == "17"


def test_two_functions_that_are_each_others_destination_are_stopped(here: Server) -> None:
    url = looping(here, "ping", ONE)
    looping(here, "pong", ONE)
    settle(here, "ping", success=arn_of("pong"))
    settle(here, "pong", success=arn_of("ping"))
    send(here, "ping", "go")
    check_stopped(here, url, "ping")
    assert metric(here, "Invocations", "pong") == 16
    assert metric(here, "RecursiveInvocationsDropped", "pong") == 0


def test_a_function_may_allow_it(here: Server) -> None:
    looping(here, "tick", ONE)
    looping(here, "tock", ONE)
    for name in ("tick", "tock"):
        here.functions.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    settle(here, "tick", success=arn_of("tock"))
    settle(here, "tock", success=arn_of("tick"))
    send(here, "tick", "go")
    until(lambda: metric(here, "Invocations", "tick") > 20)
    here.functions.put_function_recursion_config(FunctionName="tick", RecursiveLoop="Terminate")
    until(lambda: metric(here, "RecursiveInvocationsDropped", "tick") == 1)


def test_who_waits_for_an_answer_is_told(here: Server) -> None:
    name = here.deploy("told", ECHO)
    client = here.functions
    trace = "Root=1-2-3"

    def follow(params: Any, **_more: Any) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = trace

    client.meta.events.register("before-call.lambda.Invoke", follow)
    for _ in range(16):
        answer = client.invoke(FunctionName=name, Payload=b"1")
        trace = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"]
    assert refusal(lambda: client.invoke(FunctionName=name, Payload=b"1"))[0] == "RecursiveInvocationException"
