"""Streams of Kinesis and of DynamoDB as event sources, on a whole server with the services that it brings along."""

import json
import signal
import uuid
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from system.moto_beside import Moto
from system.node import Server, a_role, until

ACCOUNT = "000000000000"
# Writes where the test can read it; without namespaces it reaches the host's files.
SEEN = """
import base64, json, os

def handler(event, context):
    file = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, (json.dumps(event) + "\\n").encode())
    os.close(file)
    told = [base64.b64decode(r["kinesis"]["data"]).decode() for r in event["Records"] if "kinesis" in r]
    if "boom" in told:
        raise ValueError("boom")
    stops = [r["kinesis"]["sequenceNumber"] for r, text in zip(event["Records"], told) if text.startswith("stop")]
    if stops and len(told) > 1:
        return {"batchItemFailures": [{"itemIdentifier": stops[0]}]}
    if "window" in event:
        return {"state": {"count": event["state"].get("count", 0) + len(told)}}
"""


class Reads:
    """A function that a stream is read for."""

    def __init__(self, server: Server, directory: Path, arn: str, **mapping: Any) -> None:
        self.function = f"f-{uuid.uuid4().hex[:8]}"
        self.arn = arn
        self.seen_file = directory / self.function
        self._server = server
        role = a_role(server, f"reads-{self.function}", "*", "*")
        server.deploy(self.function, SEEN, Role=role, Environment={"Variables": {"SEEN": str(self.seen_file)}})
        options = {
            "FunctionName": self.function, "EventSourceArn": arn, "StartingPosition": "TRIM_HORIZON", **mapping,
        }  # fmt: skip
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

    def events(self) -> list[Any]:
        return [json.loads(line) for line in self.seen_file.read_text().splitlines()] if self.seen_file.exists() else []

    def records(self) -> list[Any]:
        return [record for event in self.events() for record in event["Records"]]

    def batches(self) -> list[list[str]]:
        """What the records of each event of a stream of Kinesis say."""
        return [[b64decode(record["kinesis"]["data"]).decode() for record in e["Records"]] for e in self.events()]

    def texts(self) -> list[str]:
        return [text for batch in self.batches() for text in batch]


class Stream:
    def __init__(self, kinesis: Any, shards: int = 1) -> None:
        self.name = f"s-{uuid.uuid4().hex[:8]}"
        self.arn = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{self.name}"
        self.kinesis = kinesis
        kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        until(self.shards)

    def shards(self) -> list[Any]:
        return list(self.kinesis.list_shards(StreamName=self.name)["Shards"])

    def put(self, *texts: str, key: str = "cow") -> None:
        for text in texts:
            self.kinesis.put_record(StreamName=self.name, PartitionKey=key, Data=text.encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("streams") / "data", "--with-aws", "--isolation", "process").start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def stream(server: Server) -> Stream:
    return Stream(server.client("kinesis"))


def numbers(many: int) -> list[str]:
    return [str(number) for number in range(many)]


def test_a_record_of_a_stream_is_an_event_of_the_documented_shape(
    server: Server, stream: Stream, tmp_path: Path
) -> None:
    stream.put("grass")
    one = Reads(server, tmp_path, stream.arn)
    until(one.records)
    (record,) = one.records()
    kinesis = record.pop("kinesis")
    shard = stream.shards()[0]["ShardId"]
    role = server.functions.get_function_configuration(FunctionName=one.function)["Role"]
    assert record == {
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard}:{kinesis['sequenceNumber']}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": role,
        "awsRegion": "us-east-1",
        "eventSourceARN": stream.arn,
    }
    assert kinesis.pop("approximateArrivalTimestamp") > 1_700_000_000
    assert kinesis.pop("sequenceNumber")
    assert kinesis == {"kinesisSchemaVersion": "1.0", "partitionKey": "cow", "data": "Z3Jhc3M="}


def test_records_come_in_their_order_in_batches_from_every_shard(server: Server, tmp_path: Path) -> None:
    stream = Stream(server.client("kinesis"), shards=3)
    for key in "abcdef":
        stream.put(*(f"{key}{number}" for number in range(7)), key=key)
    one = Reads(server, tmp_path, stream.arn, BatchSize=10)
    until(lambda: len(one.texts()) == 42, 60)
    assert max(map(len, one.batches())) == 10
    for key in "abcdef":
        assert [text for text in one.texts() if text[0] == key] == [f"{key}{number}" for number in range(7)]


def test_several_batches_of_a_shard_run_at_once_and_keep_the_order_of_each_key(
    server: Server, stream: Stream, tmp_path: Path
) -> None:
    for number in range(10):
        for key in "abcd":
            stream.put(f"{key}{number}", key=key)
    one = Reads(server, tmp_path, stream.arn, ParallelizationFactor=4, BatchSize=5)
    until(lambda: len(one.texts()) == 40, 60)
    for key in "abcd":
        assert [text for text in one.texts() if text[0] == key] == [f"{key}{number}" for number in range(10)]


def test_latest_begins_when_the_mapping_does_and_a_pause_loses_nothing(
    server: Server, stream: Stream, tmp_path: Path
) -> None:
    one = Reads(server, tmp_path, stream.arn, StartingPosition="LATEST")
    stream.put("first")
    until(lambda: one.texts() == ["first"])
    one.update(Enabled=False)
    one.until_state("Disabled")
    stream.put("while it paused")
    one.update(Enabled=True)
    until(lambda: "while it paused" in one.texts())
    assert one.texts() == ["first", "while it paused"]


def test_a_batch_that_fails_is_split_until_the_record_is_found_and_a_queue_is_told(
    server: Server, stream: Stream, tmp_path: Path
) -> None:
    sqs = server.client("sqs")
    dead = sqs.create_queue(QueueName=f"dead-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{dead.rpartition('/')[2]}"
    stream.put("0", "1", "boom", "3")
    one = Reads(
        server, tmp_path, stream.arn, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )  # fmt: skip
    until(lambda: one.texts()[-1:] == ["3"] and one.batches()[-1] == ["3"], 60)
    assert one.batches() == [["0", "1", "boom", "3"], ["0", "1"], ["boom", "3"], ["boom"], ["boom"], ["3"]]
    told = json.loads(until(lambda: sqs.receive_message(QueueUrl=dead).get("Messages"), 60)[0]["Body"])
    info = told["KinesisBatchInfo"]
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert (info["batchSize"], info["streamArn"]) == (1, stream.arn)
    assert info["startSequenceNumber"] == info["endSequenceNumber"]
    assert info["shardId"] == stream.shards()[0]["ShardId"]
    assert "payload" not in told


def test_a_function_that_says_where_it_stopped_is_given_the_rest(
    server: Server, stream: Stream, tmp_path: Path
) -> None:
    stream.put("0", "1", "stop")
    one = Reads(server, tmp_path, stream.arn, FunctionResponseTypes=["ReportBatchItemFailures"])
    until(lambda: len(one.events()) == 2)
    assert one.batches() == [["0", "1", "stop"], ["stop"]]


def test_only_what_a_filter_lets_through_is_handed_over(server: Server, stream: Stream, tmp_path: Path) -> None:
    stream.put('{"kind": "other"}', "no json", '{"kind": "wanted"}')
    pattern = json.dumps({"data": {"kind": ["wanted"]}, "partitionKey": ["cow"]})
    one = Reads(server, tmp_path, stream.arn, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    until(one.texts)
    assert one.texts() == ['{"kind": "wanted"}']


def test_the_shards_that_another_was_split_into_are_read_after_it(
    server: Server, stream: Stream, tmp_path: Path
) -> None:
    keys = numbers(10)
    for key in keys:
        stream.put(f"{key} before", key=key)
    shard = stream.shards()[0]
    middle = str((int(shard["HashKeyRange"]["EndingHashKey"]) + 1) // 2)
    stream.kinesis.split_shard(StreamName=stream.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
    for key in keys:
        stream.put(f"{key} after", key=key)
    one = Reads(server, tmp_path, stream.arn)
    until(lambda: len(set(one.texts())) == 20, 60)
    for key in keys:
        assert [text for text in one.texts() if text.startswith(key)] == [f"{key} before", f"{key} after"]


def test_a_stream_that_is_gone_and_a_role_that_may_not_read_are_named(server: Server, tmp_path: Path) -> None:
    stream = Stream(server.client("kinesis"))
    one = Reads(server, tmp_path, stream.arn)
    stream.kinesis.delete_stream(StreamName=stream.name)
    until(lambda: one.problem().startswith("PROBLEM: ResourceNotFoundException"), 60)
    other = Reads(server, tmp_path, Stream(server.client("kinesis")).arn, Enabled=False)
    role = a_role(server, f"none-{other.function}", "s3:*", "*")
    server.functions.update_function_configuration(FunctionName=other.function, Role=role)
    other.update(Enabled=True)
    words = f"PROBLEM: The function's execution role does not have permissions to call GetRecords on {other.arn}"
    until(lambda: other.problem() == words)


def test_a_window_has_a_state_and_an_end(server: Server, stream: Stream, tmp_path: Path) -> None:
    one = Reads(server, tmp_path, stream.arn, TumblingWindowInSeconds=2, BatchSize=1)
    stream.put("a", "b")
    until(lambda: one.texts() == ["a", "b"] and one.events()[-1]["isFinalInvokeForWindow"])
    ends = [event for event in one.events() if event["isFinalInvokeForWindow"]]
    assert sum(event["state"]["count"] for event in ends) == 2
    first, last = one.events()[0], one.events()[-1]
    assert (first["state"], first["shardId"], first["eventSourceARN"]) == ({}, "shardId-000000000000", stream.arn)
    begins, ends_at = (datetime.fromisoformat(first["window"][name]) for name in ("start", "end"))
    assert (ends_at - begins).total_seconds() == 2
    assert (last["Records"], last["isWindowTerminatedEarly"]) == ([], False)


def a_table(dynamodb: Any) -> tuple[str, str]:
    """Its name, and its stream's ARN."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    told = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return name, told["TableDescription"]["LatestStreamArn"]


def test_changes_of_a_table_come_in_their_order_and_go_on_after_a_pause(server: Server, tmp_path: Path) -> None:
    dynamodb = server.client("dynamodb")
    table, arn = a_table(dynamodb)
    one = Reads(server, tmp_path, arn, StartingPosition="LATEST")
    dynamodb.put_item(TableName=table, Item={"id": {"S": "cow"}, "raw": {"B": b"\xff"}})
    dynamodb.put_item(TableName=table, Item={"id": {"S": "cow"}, "legs": {"N": "4"}})
    dynamodb.delete_item(TableName=table, Key={"id": {"S": "cow"}})
    until(lambda: len(one.records()) == 3)
    first, second, third = one.records()
    assert [record["eventName"] for record in (first, second, third)] == ["INSERT", "MODIFY", "REMOVE"]
    changed = first.pop("dynamodb")
    assert {name: first[name] for name in ("eventSource", "eventVersion", "awsRegion", "eventSourceARN")} == {
        "eventSource": "aws:dynamodb", "eventVersion": "1.0", "awsRegion": "us-east-1", "eventSourceARN": arn,
    }  # fmt: skip
    assert changed["Keys"] == {"id": {"S": "cow"}}
    assert changed["NewImage"] == {"id": {"S": "cow"}, "raw": {"B": "/w=="}}
    assert changed["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert changed["ApproximateCreationDateTime"] > 1_700_000_000
    assert second["dynamodb"]["OldImage"]["id"] == {"S": "cow"}
    one.update(Enabled=False)
    one.until_state("Disabled")
    dynamodb.put_item(TableName=table, Item={"id": {"S": "calf"}})
    one.update(Enabled=True)
    until(lambda: len(one.records()) == 4)
    assert one.records()[-1]["dynamodb"]["Keys"] == {"id": {"S": "calf"}}


def test_filters_look_into_changes_of_tables(server: Server, tmp_path: Path) -> None:
    dynamodb = server.client("dynamodb")
    table, arn = a_table(dynamodb)
    pattern = json.dumps({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"legs": {"N": ["4"]}}}})
    one = Reads(server, tmp_path, arn, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    for name, legs in (("hen", "2"), ("cow", "4")):
        dynamodb.put_item(TableName=table, Item={"id": {"S": name}, "legs": {"N": legs}})
    until(one.records)
    assert [record["dynamodb"]["Keys"]["id"]["S"] for record in one.records()] == ["cow"]


def test_no_record_is_lost_when_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    moto = Moto().start()
    server = Server(tmp_path / "data", "--neighbour", moto.url, "--isolation", "process")
    try:
        server.start()
        stream = Stream(moto.client("kinesis"), shards=2)
        one = Reads(server, tmp_path, stream.arn, StartingPosition="LATEST", BatchSize=5)
        sent = numbers(60)
        for number in sent:
            stream.put(number, key=number)
            if number in {"20", "40"}:
                server.stop(signal.SIGKILL)
                server.start()
        until(lambda: set(one.texts()) == set(sent), 120)
    finally:
        server.stop(9)
        moto.stop()
