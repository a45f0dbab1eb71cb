"""Queues as event sources, on a whole server with the services that it brings along."""

import json
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from system.moto_beside import Moto
from system.node import Server, a_role, until

ACCOUNT = "000000000000"
# Writes where the test can read it; without namespaces it reaches the host's files.
SEEN = """
import json, os

def handler(event, context):
    file = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, (json.dumps(event) + "\\n").encode())
    os.close(file)
    bodies = [record["body"] for record in event["Records"]]
    if "boom" in bodies:
        raise ValueError("boom")
    failed = [record["messageId"] for record in event["Records"] if record["body"].startswith("bad")]
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
"""


class Queue:
    """A queue with a function behind it."""

    def __init__(self, server: Server, sqs: Any, directory: Path, attributes: dict[str, str], **mapping: Any) -> None:
        fifo = attributes.get("FifoQueue") == "true"
        self.name = f"q-{uuid.uuid4().hex[:8]}" + (".fifo" if fifo else "")
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.name}"
        self.seen_file = directory / self.name
        self._server, self._sqs = server, sqs
        self._url = sqs.create_queue(QueueName=self.name, Attributes={"VisibilityTimeout": "1", **attributes})[
            "QueueUrl"
        ]
        self.function = self.name.removesuffix(".fifo")
        role = a_role(server, f"reads-{self.function}", "sqs:*", "*")
        server.deploy(self.function, SEEN, Role=role, Environment={"Variables": {"SEEN": str(self.seen_file)}})
        options = {"FunctionName": self.function, "EventSourceArn": self.arn, **mapping}
        self.uuid = server.functions.create_event_source_mapping(**options)["UUID"]
        self.until_state("Enabled" if mapping.get("Enabled", True) else "Disabled")

    def until_state(self, state: str) -> None:
        until(lambda: self.mapping()["State"] == state)

    def mapping(self) -> Any:
        return self._server.functions.get_event_source_mapping(UUID=self.uuid)

    def problem(self) -> str:
        return str(self.mapping().get("LastProcessingResult", ""))

    def update(self, **changes: Any) -> None:
        self._server.functions.update_event_source_mapping(UUID=self.uuid, **changes)

    def send(self, *bodies: str, **more: Any) -> None:
        for body in bodies:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body, **more)

    def events(self) -> list[Any]:
        return [json.loads(line) for line in self.seen_file.read_text().splitlines()] if self.seen_file.exists() else []

    def records(self) -> list[Any]:
        return [record for event in self.events() for record in event["Records"]]

    def bodies(self) -> list[str]:
        return [record["body"] for record in self.records()]

    def left(self) -> int:
        """Messages that have not been deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def until_empty(self) -> None:
        until(lambda: self.left() == 0, 90)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("sqs") / "data", "--with-aws", "--isolation", "process").start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def queue(server: Server, tmp_path: Path) -> Any:
    def made(attributes: dict[str, str] | None = None, **mapping: Any) -> Queue:
        return Queue(server, server.client("sqs"), tmp_path, attributes or {}, **mapping)

    return made


def test_messages_come_as_records_and_are_deleted_once_the_function_has_answered(queue: Any) -> None:
    one = queue()
    attributes = {"colour": {"DataType": "String", "StringValue": "green"}}
    one.send("hello", MessageAttributes=attributes)
    one.until_empty()
    (record,) = one.records()
    system = record.pop("attributes")
    assert set(system) >= {"ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"}
    assert record.pop("receiptHandle")
    assert uuid.UUID(record.pop("messageId"))
    assert record == {
        "body": "hello",
        "messageAttributes": {
            "colour": {"stringValue": "green", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
        },
        "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "eventSource": "aws:sqs",
        "eventSourceARN": one.arn,
        "awsRegion": "us-east-1",
    }
    assert one.problem() == ""


def test_a_window_gathers_more_messages_than_one_call_brings(queue: Any) -> None:
    one = queue(BatchSize=25, MaximumBatchingWindowInSeconds=4)
    one.send(*(str(number) for number in range(25)))
    one.until_empty()
    assert sorted(one.bodies(), key=int) == [str(number) for number in range(25)]
    assert max(len(event["Records"]) for event in one.events()) > 10


def test_a_batch_that_fails_comes_again_whole_and_goes_where_the_queue_says(queue: Any, server: Server) -> None:
    sqs = server.client("sqs")
    dead = sqs.create_queue(QueueName=f"dead-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{dead.rpartition('/')[2]}"
    one = queue({"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})})
    one.send("boom")
    message = until(lambda: sqs.receive_message(QueueUrl=dead).get("Messages"), 60)[0]
    assert message["Body"] == "boom"
    assert one.bodies() == ["boom", "boom"]
    until(lambda: one.problem() == "PROBLEM: Function call failed")


def test_of_a_batch_only_the_items_that_the_function_names_come_again(queue: Any) -> None:
    one = queue(FunctionResponseTypes=["ReportBatchItemFailures"], BatchSize=10, MaximumBatchingWindowInSeconds=1)
    one.send("good 1", "bad", "good 2")
    until(lambda: one.bodies().count("bad") >= 3, 60)
    assert (one.bodies().count("good 1"), one.bodies().count("good 2")) == (1, 1)
    assert one.left() == 1


def test_messages_that_no_filter_lets_through_are_deleted_unseen(queue: Any) -> None:
    one = queue(FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"kind": ["wanted"]}})}]})
    one.send('{"kind": "other"}', "no json", '{"kind": "wanted"}')
    one.until_empty()
    assert one.bodies() == ['{"kind": "wanted"}']


def test_a_fifo_queue_keeps_the_order_within_each_group(queue: Any) -> None:
    one = queue({"FifoQueue": "true", "ContentBasedDeduplication": "true"})
    sent = {group: [f"{group}{number}" for number in range(12)] for group in "abc"}
    for number in range(12):
        for group in sent:
            one.send(sent[group][number], MessageGroupId=group)
    one.until_empty()
    for group, bodies in sent.items():
        assert [body for body in one.bodies() if body.startswith(group)] == bodies


def test_nothing_is_read_while_a_mapping_is_disabled_and_all_of_it_afterwards(queue: Any) -> None:
    one = queue(Enabled=False)
    one.send("waiting")
    assert (one.left(), one.bodies()) == (1, [])
    one.update(Enabled=True)
    one.until_empty()
    assert one.bodies() == ["waiting"]
    one.update(Enabled=False)
    one.until_state("Disabled")
    one.send("again")
    assert one.left() == 1


def test_a_mapping_of_a_function_that_is_gone_says_so_and_keeps_the_messages(queue: Any, server: Server) -> None:
    one = queue()
    server.functions.delete_function(FunctionName=one.function)
    one.send("kept")
    until(lambda: one.problem().startswith("PROBLEM: Function not found"), 60)
    assert one.left() == 1
    server.functions.delete_event_source_mapping(UUID=one.uuid)
    until(
        lambda: (
            one.uuid not in {m["UUID"] for m in server.functions.list_event_source_mappings()["EventSourceMappings"]}
        )
    )


def test_a_throttled_function_gets_its_messages_when_it_may_run_again(queue: Any, server: Server) -> None:
    one = queue()
    server.functions.put_function_concurrency(FunctionName=one.function, ReservedConcurrentExecutions=0)
    one.send("patient")
    until(lambda: "throttled" in one.problem(), 60)
    assert one.bodies() == []
    server.functions.delete_function_concurrency(FunctionName=one.function)
    one.until_empty()
    assert set(one.bodies()) == {"patient"}


def test_a_role_that_may_not_read_the_queue_is_named(server: Server, tmp_path: Path) -> None:
    sqs = server.client("sqs")
    one = Queue(server, sqs, tmp_path, {}, Enabled=False)
    role = a_role(server, f"none-{one.function}", "s3:*", "*")
    server.functions.update_function_configuration(FunctionName=one.function, Role=role)
    one.update(Enabled=True)
    words = "PROBLEM: The function's execution role does not have permissions to call ReceiveMessage on " + one.arn
    until(lambda: one.problem() == words)


def test_no_message_is_lost_when_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    moto = Moto().start()
    arguments = ("--neighbour", moto.url, "--isolation", "process")
    server = Server(tmp_path / "data", *arguments)
    try:
        a_role(server, "first", "sqs:*", "*")
        server.start()
        one = Queue(server, moto.client("sqs"), tmp_path, {}, BatchSize=5)
        sent = {str(number) for number in range(60)}
        for number in sorted(sent):
            one.send(number)
            if number in {"20", "40"}:
                server.stop(signal.SIGKILL)
                server.start()
        # What was on its way when the server died is visible again after the function's time-out and half a minute.
        until(lambda: set(one.bodies()) == sent, 180)
        until(lambda: one.left() == 0, 180)
        assert Counter(one.bodies()).keys() == sent
    finally:
        server.stop(9)
        moto.stop()
