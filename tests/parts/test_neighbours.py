"""The client of neighbours, against moto in a process of its own and against servers that answer what they are told to."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from fakes import s3 as fake_aws
from pasture.domain.scope import Scope
from pasture.kit.errors import OperatorError
from pasture.neighbours.caller import Caller, NeighbourRefused, NeighbourUnreachable, NoNeighbour
from pasture.neighbours.client import Neighbours
from pasture.neighbours.connections import Connections
from pasture.neighbours.directory import Directory
from pasture.neighbours.embedded import keeper
from pasture.neighbours.embedded.keeper import EmbeddedServices
from pasture.neighbours.keys import Keys
from pasture.neighbours.options import NeighbourOptions
from pasture.neighbours.signing import signed

HERE = Scope("111111111111", "eu-west-1")
THERE = Scope("222222222222", "eu-west-1")
KEYS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "secret"}


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with fake_aws.serving() as url:
        yield url


@asynccontextmanager
async def calling(**table: Any) -> AsyncIterator[Neighbours]:
    neighbours = Neighbours(Directory(NeighbourOptions.read(table)), Connections())
    try:
        yield neighbours
    finally:
        await neighbours.close()


async def test_operations_of_every_protocol_are_called_by_their_models_names(aws: str) -> None:
    async with calling(default=aws) as neighbours:
        caller: Caller = neighbours
        queue = (await caller.call("sqs", "CreateQueue", {"QueueName": "q"}, scope=HERE))["QueueUrl"]
        await caller.call("sqs", "SendMessage", {"QueueUrl": queue, "MessageBody": "x"}, scope=HERE)
        received = await caller.call("sqs", "ReceiveMessage", {"QueueUrl": queue, "WaitTimeSeconds": 5}, scope=HERE)
        topic = await caller.call("sns", "CreateTopic", {"Name": "t"}, scope=HERE)
        where = {"LocationConstraint": "eu-west-1"}
        await caller.call("s3", "CreateBucket", {"Bucket": "bucket", "CreateBucketConfiguration": where}, scope=HERE)
        there = {"Bucket": "bucket", "Key": "a b/ü+c?d"}
        await caller.call("s3", "PutObject", {**there, "Body": b"con\xfftent"}, scope=HERE)
        found = await caller.call("s3", "GetObject", there, scope=HERE)
        gone = {"Bucket": "bucket", "Delete": {"Objects": [{"Key": there["Key"]}]}}
        deleted = await caller.call("s3", "DeleteObjects", gone, scope=HERE)
    assert received["Messages"][0]["Body"] == "x"
    assert topic["TopicArn"] == "arn:aws:sns:eu-west-1:111111111111:t"
    assert found["Body"] == b"con\xfftent"
    assert deleted["Deleted"][0]["Key"] == there["Key"]


async def test_accounts_are_apart_in_a_server_that_knows_accounts(aws: str) -> None:
    async with calling(default=aws) as neighbours:
        await neighbours.call("sqs", "CreateQueue", {"QueueName": "mine"}, scope=HERE)
        assert "QueueUrls" not in await neighbours.call("sqs", "ListQueues", {}, scope=THERE)


async def test_an_error_of_the_service_has_its_code_message_and_status(aws: str) -> None:
    async with calling(default=aws) as neighbours:
        for service, operation, parameters, code, status in (
            ("sqs", "GetQueueUrl", {"QueueName": "none"}, "AWS.SimpleQueueService.NonExistentQueue", 400),
            (
                "sns",
                "Publish",
                {"TopicArn": "arn:aws:sns:eu-west-1:111111111111:none", "Message": "x"},
                "NotFound",
                404,
            ),
            ("s3", "GetObject", {"Bucket": "nowhere", "Key": "k"}, "NoSuchBucket", 404),
        ):
            with pytest.raises(NeighbourRefused) as refused:
                await neighbours.call(service, operation, parameters, scope=HERE)
            assert (refused.value.code, refused.value.status) == (code, status)
            assert refused.value.message


async def test_a_service_that_nobody_serves_is_told_with_the_setting_that_names_one() -> None:
    async with calling(sns="http://127.0.0.1:1") as neighbours:
        with pytest.raises(NoNeighbour, match=r"\[neighbours\].*sqs = "):
            await neighbours.call("sqs", "ListQueues", {}, scope=HERE)
        with pytest.raises(NoNeighbour, match="no service 'nonsense'"):
            await neighbours.call("nonsense", "List", {}, scope=HERE)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off",
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nno json!",
    ],
)
async def test_what_is_no_answer_leaves_open_whether_the_call_took_effect(answer: bytes) -> None:
    server = fake_aws.Scripted(answer)
    try:
        async with calling(default=server.url) as neighbours:
            with pytest.raises(NeighbourUnreachable):
                await neighbours.call("sqs", "ListQueues", {}, scope=HERE)
    finally:
        server.close()


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("dynamodb", "ListTables", b"[1]"),
        ("sns", "ListTopics", b"<ListTopicsResponse><ListTopicsResult>"),
        ("sns", "ListTopics", b'{"Topics": []}'),
        ("s3", "ListBuckets", b"<html>a page of somebody's"),
    ],
)
async def test_an_answer_that_is_not_of_the_services_protocol_is_no_answer(
    service: str, operation: str, body: bytes
) -> None:
    server = fake_aws.Scripted(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    try:
        async with calling(default=server.url) as neighbours:
            with pytest.raises(
                NeighbourUnreachable, match=f"{service} has answered {operation} with what is no answer"
            ):
                await neighbours.call(service, operation, {}, scope=HERE)
    finally:
        server.close()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        ("503 Slow Down", "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>", "SlowDown"),
        ("301 Moved Permanently", "<Error><Code>PermanentRedirect</Code><Message>Elsewhere.</Message></Error>", "PermanentRedirect"),
        ("502 Bad Gateway", "<html>nginx</html>", "502"),
        ("500 Internal Server Error", "", "500"),
    ],
)  # fmt: skip
async def test_a_refusal_has_a_code_and_a_status_whatever_its_body_is(status: str, body: str, code: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close"
    server = fake_aws.Scripted(f"{head}\r\n\r\n{body}".encode())
    try:
        async with calling(default=server.url) as neighbours:
            with pytest.raises(NeighbourRefused) as refused:
                await neighbours.call("s3", "ListObjectsV2", {"Bucket": "bucket"}, scope=HERE)
    finally:
        server.close()
    assert (refused.value.code, refused.value.status) == (code, int(status[:3]))


async def test_a_server_that_is_silent_or_not_there_is_given_up() -> None:
    server = fake_aws.Scripted(closes=False)
    try:
        async with calling(sqs=server.url, sns="http://127.0.0.1:9") as neighbours:
            with pytest.raises(NeighbourUnreachable, match=r"has not answered within 0\.2 seconds"):
                await neighbours.call("sqs", "ListQueues", {}, scope=HERE, seconds=0.2)
            with pytest.raises(NeighbourUnreachable, match="cannot be reached"):
                await neighbours.call("sns", "ListTopics", {}, scope=HERE)
    finally:
        server.close()


async def test_a_hundred_long_polls_wait_at_once_and_each_gets_its_message(aws: str) -> None:
    async with calling(default=aws) as neighbours:

        async def queue(number: int) -> str:
            made = await neighbours.call("sqs", "CreateQueue", {"QueueName": f"poll-{number}"}, scope=HERE)
            return str(made["QueueUrl"])

        urls = [await queue(number) for number in range(100)]
        polls = [
            asyncio.ensure_future(
                neighbours.call("sqs", "ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": 20}, scope=HERE)
            )
            for url in urls
        ]
        for url in urls:
            await neighbours.call("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": url}, scope=HERE)
        found = await asyncio.gather(*polls)
    assert [answer["Messages"][0]["Body"] for answer in found] == urls


# Signatures...


@pytest.mark.parametrize("service", ["sqs", "s3"])
def test_signatures_are_those_of_botocores_clients(service: str) -> None:
    """What boto3 sends is signed anew with the same keys at the same second, and must come out the same."""
    client: Any = boto3.client(
        service,
        endpoint_url="http://neighbour.example:9000",
        region_name="eu-west-1",
        aws_access_key_id="AK",
        aws_secret_access_key="secret",
        config=Config(request_checksum_calculation="when_required"),
    )
    sent: list[Any] = []

    class Enough(Exception):
        pass

    def keep(request: Any, **_more: Any) -> None:
        sent.append(request)
        raise Enough

    client.meta.events.register("before-send", keep)
    doings: dict[str, Callable[[], Any]] = {
        "s3": lambda: client.put_object(Bucket="bucket", Key="a b/c", Body=b"content", Metadata={"m": "1"}),
        "sqs": lambda: client.list_queues(QueueNamePrefix="q"),
    }
    with pytest.raises(Enough):
        doings[service]()
    (request,) = sent
    of_signature = {"Authorization", "X-Amz-Date", "X-Amz-Content-SHA256", "User-Agent", "Content-Length"}
    fields = {
        name: value if isinstance(value, str) else value.decode()
        for name, value in request.headers.items()
        if name not in of_signature and not name.lower().startswith("amz-sdk-")
    }
    body = request.body if isinstance(request.body, bytes) else (request.body.read() if request.body else b"")
    again = signed(
        request.method, request.url, fields, Keys("AK", "secret"), service, "eu-west-1", body=body or b"content"
    )
    ours, theirs = again["Authorization"], request.headers["Authorization"]
    theirs = theirs if isinstance(theirs, str) else theirs.decode()
    assert ours.partition("Signature=")[0] == theirs.partition("Signature=")[0]
    when = request.headers["X-Amz-Date"]
    if again["X-Amz-Date"] == (when if isinstance(when, str) else when.decode()):
        assert ours == theirs


async def test_configured_keys_and_region_sign_and_the_account_number_is_a_key_elsewhere() -> None:
    server = fake_aws.Scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    try:
        own = {"endpoint": server.url, "region": "xx-west-9", **KEYS}
        async with calling(sqs=own, dynamodb=server.url) as neighbours:
            await neighbours.call("sqs", "ListQueues", {}, scope=HERE, trace_id="Root=1-2-3")
            await neighbours.call("dynamodb", "ListTables", {}, scope=HERE)
    finally:
        server.close()
    first, second = (request.decode().lower() for request in server.requests)
    assert "credential=akiaiosfodnn7example/" in first
    assert "/xx-west-9/sqs/aws4_request" in first
    assert "x-amzn-trace-id: root=1-2-3" in first
    assert "x-moto-account-id" not in first
    assert "credential=111111111111/" in second
    assert "x-moto-account-id: 111111111111" in second


async def test_amazons_own_addresses_are_known_for_each_region() -> None:
    directory = Directory(NeighbourOptions.read({"default": "aws"}))
    found = [
        await directory.find(service, Scope("1" * 12, region))
        for service, region in (("sqs", "eu-west-1"), ("iam", "eu-west-1"), ("s3", "cn-north-1"))
    ]
    assert [(it.url, it.region) for it in found] == [
        ("https://sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://iam.amazonaws.com", "us-east-1"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ]


# The embedded services...


async def test_embedded_services_serve_each_account_and_start_again_for_those_who_wait(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 25)
    deep.mkdir()
    embedded = EmbeddedServices(deep / "aws.sock")
    embedded.start()
    await embedded.ready()
    neighbours = Neighbours(Directory(NeighbourOptions(embedded=True), embedded.path), Connections())
    try:
        assert neighbours.is_embedded("sqs")
        made = await neighbours.call("sqs", "CreateQueue", {"QueueName": "q"}, scope=HERE)
        sending = {"QueueUrl": made["QueueUrl"], "MessageBody": "x"}
        await neighbours.call("sqs", "SendMessage", sending, scope=HERE, trace_id="Root=1-2-3")
        asking = {"QueueUrl": made["QueueUrl"], "MessageSystemAttributeNames": ["All"]}
        received = await neighbours.call("sqs", "ReceiveMessage", asking, scope=HERE)
        assert received["Messages"][0]["Attributes"]["AWSTraceHeader"] == "Root=1-2-3"
        assert "QueueUrls" not in await neighbours.call("sqs", "ListQueues", {}, scope=THERE)
        first = embedded.pid
        assert first is not None
        os.kill(first, 9)
        assert "QueueUrls" not in await neighbours.call("sqs", "ListQueues", {}, scope=HERE)
        assert embedded.pid != first
    finally:
        await neighbours.close()
        await embedded.close()
    assert not Path(f"/proc/{embedded.pid}").exists()  # noqa: ASYNC240  of the kernel's memory


async def test_what_is_lacking_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_NEEDED", ("moto", "a_package_that_is_not_there"))
    embedded = EmbeddedServices(tmp_path / "aws.sock")
    with pytest.raises(OperatorError, match="a_package_that_is_not_there is not installed") as told:
        embedded.start()
    assert f"{sys.executable} -m pip install 'pasture[aws]'" in told.value.hint
    await embedded.close()
