"""The services beside Lambda behind the same endpoint, with moto beside the server (`--with-aws`)."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from system.node import ROLE, RUNTIME, Server, package, processes_with, until

AWS = Path(sys.executable).with_name("aws")
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("neighbours") / "data", "--with-aws").start()
    yield running
    assert running.stop() == 0


def embedded(server: Server) -> list[int]:
    """The processes of the embedded services of this server."""
    found = processes_with("pasture.neighbours.embedded.server")
    return [pid for pid in found if _parent(pid) == server.process.pid]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_one_endpoint_serves_queues_topics_tables_buses_and_roles(node: Server) -> None:
    queue = node.client("sqs").create_queue(QueueName="jobs")["QueueUrl"]
    assert queue == f"{node.url}/000000000000/jobs"
    node.client("sqs").send_message(QueueUrl=queue, MessageBody="hello")
    received = node.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    topic = node.client("sns").create_topic(Name="news")["TopicArn"]
    table = node.client("dynamodb")
    table.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(TableName="t", Item={"id": {"S": "a"}})
    sent = node.client("events").put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}])
    assert [message["Body"] for message in received] == ["hello"]
    assert topic == "arn:aws:sns:us-east-1:000000000000:news"
    assert table.scan(TableName="t")["Items"] == [{"id": {"S": "a"}}]
    assert sent["FailedEntryCount"] == 0
    assert node.client("iam").list_roles()["Roles"] == []
    assert node.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_the_aws_command_line_copies_to_and_from_buckets(node: Server, tmp_path: Path) -> None:
    keys = node.key()
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": keys["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": keys["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": node.url,
    }

    def aws(*words: str) -> str:
        done = subprocess.run([AWS, *words], env=environment, capture_output=True, text=True, check=False, timeout=110)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "a file").write_bytes(os.urandom(9 * MIB))
    aws("s3", "mb", "s3://cli-bucket")
    aws("s3", "cp", str(tmp_path / "a file"), "s3://cli-bucket/folder/a file")
    aws("s3", "cp", "s3://cli-bucket/folder/a file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "a file").read_bytes()
    assert "a file" in aws("s3", "ls", "s3://cli-bucket/folder/")
    assert "jobs-cli" in aws("--endpoint-url", node.url, "sqs", "create-queue", "--queue-name", "jobs-cli")


@pytest.mark.parametrize(
    "key", ["plain", "folder/with space", "ü/€", "a+b=c&d", "dots/../../up", "double//slash", "per%20cent", "q?x#y"]
)
def test_objects_of_any_name_come_back(node: Server, key: str) -> None:
    s3 = node.client("s3")
    s3.create_bucket(Bucket="names")
    s3.put_object(Bucket="names", Key=key, Body=b"content", Metadata={"colour": "brown"})
    found = s3.get_object(Bucket="names", Key=key)
    assert (found["Body"].read(), found["ContentLength"], found["Metadata"]) == (b"content", 7, {"colour": "brown"})
    assert s3.head_object(Bucket="names", Key=key)["ContentLength"] == 7
    assert key in [it["Key"] for it in s3.list_objects_v2(Bucket="names")["Contents"]]
    s3.delete_object(Bucket="names", Key=key)
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket="names", Key=key)
    assert code_of(refused) == ("NoSuchKey", 404)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_checksums_of_uploads_are_kept(node: Server, algorithm: Any) -> None:
    s3 = node.client("s3")
    s3.create_bucket(Bucket="sums")
    put = s3.put_object(Bucket="sums", Key="k", Body=b"content", ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket="sums", Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"content"
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]


def test_a_large_file_goes_up_in_parts_and_comes_back(node: Server, tmp_path: Path) -> None:
    s3 = node.client("s3")
    s3.create_bucket(Bucket="large")
    (tmp_path / "up").write_bytes(os.urandom(20 * MIB))
    s3.upload_file(str(tmp_path / "up"), "large", "file")
    s3.download_file("large", "file", str(tmp_path / "down"))
    assert (tmp_path / "up").read_bytes() == (tmp_path / "down").read_bytes()


def test_two_hundred_megabytes_at_once_are_never_in_the_servers_memory(node: Server, tmp_path: Path) -> None:
    s3 = node.client("s3")
    s3.create_bucket(Bucket="huge")
    with (tmp_path / "up").open("wb") as file:
        file.truncate(200 * MIB)
    before = _peak_mb(node.process.pid)
    with (tmp_path / "up").open("rb") as body:
        s3.put_object(Bucket="huge", Key="file", Body=body)
    size = 0
    for piece in s3.get_object(Bucket="huge", Key="file")["Body"].iter_chunks(MIB):
        size += len(piece)
    assert size == 200 * MIB
    assert _peak_mb(node.process.pid) - before < 60


def _peak_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_links_to_objects_read_and_write_without_keys(node: Server, version: str) -> None:
    config = Config(signature_version=version)
    s3 = boto3.client("s3", endpoint_url=node.url, region_name="us-east-1", config=config, **dict[str, Any](node.key()))
    node.client("s3").create_bucket(Bucket="links")
    there = {"Bucket": "links", "Key": "by link/ü"}
    assert fetched(node, s3.generate_presigned_url("put_object", Params=there), b"linked")[0] == 200
    assert fetched(node, s3.generate_presigned_url("get_object", Params=there)) == (200, b"linked")
    attached = {**there, "ResponseContentType": "text/x"}
    assert fetched(node, s3.generate_presigned_url("get_object", Params=attached)) == (200, b"linked")
    status, body = fetched(node, s3.generate_presigned_url("get_object", Params=there).replace("link/", "lynk/"))
    assert status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in body


def fetched(node: Server, url: str, put: bytes | None = None) -> tuple[int, bytes]:
    """What is behind the link, from this server, whatever the name in it."""
    parts = urllib.parse.urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(urllib.parse.urlsplit(node.url).netloc, timeout=60)) as there:
        method = "GET" if put is None else "PUT"
        there.request(method, f"{parts.path}?{parts.query}", body=put, headers={"Host": parts.netloc})
        answer = there.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_buckets_may_be_in_the_host(node: Server, version: str) -> None:
    node.client("s3").create_bucket(Bucket="in-host")
    config = Config(s3={"addressing_style": "virtual"}, signature_version=version)
    url = node.url.replace("127.0.0.1", "localhost")
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **dict[str, Any](node.key()))
    link = s3.generate_presigned_url("put_object", Params={"Bucket": "in-host", "Key": "a/b"})
    assert "//in-host.localhost:" in link
    assert fetched(node, link, b"x")[0] == 200
    assert [it["Key"] for it in node.client("s3").list_objects_v2(Bucket="in-host")["Contents"]] == ["a/b"]


def test_what_is_not_the_body_that_was_signed_is_not_stored(node: Server) -> None:
    s3 = node.client("s3")
    s3.create_bucket(Bucket="tampered")

    def tamper(request: Any, **_more: Any) -> None:
        request.body = b"another"

    s3.meta.events.register("before-send.s3.PutObject", tamper)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="tampered", Key="k", Body=b"content")
    assert code_of(refused) == ("XAmzContentSHA256Mismatch", 400)
    assert "Contents" not in s3.list_objects_v2(Bucket="tampered")


def test_accounts_see_nothing_of_each_other(node: Server) -> None:
    other = _made_key(node, "--account", "222222222222")
    node.client("sqs").create_queue(QueueName="private")
    node.client("s3").create_bucket(Bucket="private-bucket")
    assert node.client("sqs", **other).list_queues().get("QueueUrls") is None
    assert node.client("s3", **other).list_buckets()["Buckets"] == []
    with pytest.raises(ClientError) as refused:
        node.client("s3", **other).list_objects_v2(Bucket="private-bucket")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_key_with_a_policy_may_do_what_that_says(node: Server, tmp_path: Path) -> None:
    allowed = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/open/*"},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:000000000000:inbox"},
    ]
    (tmp_path / "policy.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": allowed}))
    limited = _made_key(node, "--policy", str(tmp_path / "policy.json"))
    s3, sqs = node.client("s3"), node.client("sqs")
    s3.create_bucket(Bucket="shared")
    s3.put_object(Bucket="shared", Key="open/a", Body=b"a")
    s3.put_object(Bucket="shared", Key="closed/a", Body=b"a")
    inbox, outbox = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("inbox", "outbox"))
    s3, sqs = node.client("s3", **limited), node.client("sqs", **limited)
    assert s3.get_object(Bucket="shared", Key="open/a")["Body"].read() == b"a"
    sqs.send_message(QueueUrl=inbox, MessageBody="x")
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: s3.get_object(Bucket="shared", Key="closed/a"),
        lambda: s3.put_object(Bucket="shared", Key="open/b", Body=b"b" * MIB),
        lambda: s3.list_objects_v2(Bucket="shared"),
        lambda: sqs.send_message(QueueUrl=outbox, MessageBody="x"),
        lambda: sqs.receive_message(QueueUrl=inbox),
        lambda: node.client("dynamodb", **limited).list_tables(),
    )
    for forbidden in attempts:
        with pytest.raises(ClientError) as refused:
            forbidden()
        assert refused.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}


def _made_key(node: Server, *options: str) -> dict[str, str]:
    command = [
        sys.executable,
        "-m",
        "pasture",
        "keys",
        "create",
        "--data-dir",
        str(node.data),
        "--output",
        "json",
        *options,
    ]
    made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def test_what_moto_answers_beside_the_services_is_closed(node: Server) -> None:
    s3 = node.client("s3")
    s3.create_bucket(Bucket="still-here")
    for path in ("moto-api", "latest"):
        with pytest.raises(ClientError):
            s3.put_object(Bucket=path, Key="reset", Body=b"")
    assert "still-here" in [it["Name"] for it in s3.list_buckets()["Buckets"]]


IN_A_FUNCTION = """
import boto3, json, os, socket, urllib.request, urllib.error

def handler(event, context):
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.put_object(Bucket=event["bucket"], Key="from/inside", Body=b"x" * event["size"])
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=event["queue"])["QueueUrl"], MessageBody="from inside")
    base = os.environ["AWS_ENDPOINT_URL"]
    pages = {}
    for page in ("/metrics", "/_pasture/health", "/_pasture/status", "/2015-03-31/functions"):
        try:
            pages[page] = urllib.request.urlopen(base + page, timeout=5).status
        except urllib.error.HTTPError as error:
            pages[page] = error.code
    return {"same": base == "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"], "pages": pages,
            "who": boto3.client("sts").get_caller_identity()["Arn"]}
"""


def _with_boto3(code: str) -> dict[str, bytes]:
    import botocore

    files: dict[str, bytes] = {"app.py": code.encode()}
    site = Path(botocore.__file__).parents[1]
    wanted = {"s3", "sqs", "sts", "lambda"}
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3"):
        for file in (site / name).rglob("*"):
            inside = file.relative_to(site)
            is_model = (
                inside.parts[:2] == ("botocore", "data") and len(inside.parts) > 3 and inside.parts[2] not in wanted
            )
            if file.is_file() and file.suffix != ".pyc" and not is_model:
                files[str(inside)] = file.read_bytes()
    files["six.py"] = (site / "six.py").read_bytes()
    return files


def test_a_function_without_a_network_uses_buckets_and_queues_with_its_own_credentials(node: Server) -> None:
    node.client("s3").create_bucket(Bucket="from-functions")
    queue = node.client("sqs").create_queue(QueueName="from-functions")["QueueUrl"]
    name = node.deploy("caller", _with_boto3(IN_A_FUNCTION), Timeout=60, MemorySize=512)
    answer = node.invoke(name, {"bucket": "from-functions", "queue": "from-functions", "size": 3 * MIB})
    assert answer.error is None, answer.body
    assert answer.payload["same"]
    assert answer.payload["pages"] == {
        "/metrics": 404, "/_pasture/health": 404, "/_pasture/status": 404, "/2015-03-31/functions": 404,
    }  # fmt: skip
    assert answer.payload["who"] == "arn:aws:sts::000000000000:assumed-role/test/caller"
    assert node.client("s3").head_object(Bucket="from-functions", Key="from/inside")["ContentLength"] == 3 * MIB
    received = node.client("sqs").receive_message(
        QueueUrl=queue, WaitTimeSeconds=5, MessageSystemAttributeNames=["AWSTraceHeader"]
    )["Messages"]
    assert received[0]["Body"] == "from inside"
    assert received[0]["Attributes"]["AWSTraceHeader"].startswith("Root=1-")
    with pytest.raises(ClientError):  # the role is not known here, so that it may use nothing of Pasture's own
        _invoked_from_inside(node, "caller")


def _invoked_from_inside(node: Server, target: str) -> None:
    code = "import boto3\ndef handler(event, context):\n    return boto3.client('lambda').invoke(FunctionName=event)['StatusCode']\n"
    name = node.deploy("invoker", _with_boto3(code), Timeout=60, MemorySize=512)
    answer = node.invoke(name, target)
    if answer.error:
        assert "AccessDeniedException" in answer.payload["errorType"] + answer.payload["errorMessage"]
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "Invoke")


def test_a_function_turns_the_endpoint_off_by_a_tag_or_by_saying_another(node: Server) -> None:
    code = "import os\ndef handler(event, context):\n    return os.environ.get('AWS_ENDPOINT_URL')\n"
    node.deploy("off", code, Tags={"pasture:aws-endpoint": "off"})
    node.deploy("own", code, Environment={"Variables": {"AWS_ENDPOINT_URL": "https://elsewhere.example"}})
    assert node.invoke("off").payload is None
    assert node.invoke("own").payload == "https://elsewhere.example"


def test_code_comes_from_the_s3_beside_the_server(node: Server) -> None:
    s3 = node.client("s3")
    s3.create_bucket(Bucket="code")
    s3.put_object(Bucket="code", Key="f.zip", Body=package("def handler(event, context):\n    return 'from s3'\n"))
    client = node.functions
    client.create_function(
        FunctionName="from-s3", Runtime=RUNTIME, Handler="app.handler", Role=ROLE,
        Code={"S3Bucket": "code", "S3Key": "f.zip"},
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(FunctionName="from-s3", WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    assert node.invoke("from-s3").payload == "from s3"
    with pytest.raises(ClientError) as refused:
        client.update_function_code(FunctionName="from-s3", S3Bucket="code", S3Key="missing.zip")
    assert "S3 Error Code: NoSuchKey" in refused.value.response["Error"]["Message"]


def test_the_embedded_services_come_back_empty_when_they_are_killed(fresh: Server) -> None:
    fresh.command.append("--with-aws")
    fresh.start()
    fresh.client("s3").create_bucket(Bucket="lost")
    (victim,) = embedded(fresh)
    os.kill(victim, signal.SIGKILL)
    until(lambda: embedded(fresh) not in ([], [victim]))
    assert fresh.client("s3").list_buckets()["Buckets"] == []
    assert "what they held is gone" in fresh.log.read_text()


def test_nothing_is_left_of_the_embedded_services_when_the_server_is_killed(fresh: Server) -> None:
    fresh.command.append("--with-aws")
    fresh.start()
    (process,) = embedded(fresh)
    fresh.stop(signal.SIGKILL)
    until(lambda: not Path(f"/proc/{process}").exists())


def test_without_a_neighbour_the_answer_names_the_setting(server: Server) -> None:
    calls: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("sqs", lambda client: client.list_queues()),
        ("sns", lambda client: client.list_topics()),
        ("s3", lambda client: client.put_object(Bucket="none", Key="k", Body=b"x" * MIB)),
    )
    for service, call in calls:
        with pytest.raises(ClientError) as refused:
            call(server.client(service))
        assert code_of(refused)[0] == "UnknownServiceException"
        message = refused.value.response["Error"]["Message"]
        assert f"{service}" in message
        assert "--with-aws" in message


def test_a_neighbour_that_is_down_is_an_error_that_clients_repeat(fresh: Server) -> None:
    fresh.command += ["--neighbour", "http://127.0.0.1:9"]
    fresh.start()
    with pytest.raises(ClientError) as sqs:
        fresh.client("sqs").list_queues()
    with pytest.raises(ClientError) as s3:
        fresh.client("s3").list_buckets()
    assert code_of(sqs) == ("ServiceUnavailableException", 503)
    assert code_of(s3) == ("ServiceUnavailable", 503)
