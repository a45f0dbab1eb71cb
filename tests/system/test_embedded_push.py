"""Functions that the services beside Pasture call by themselves: buckets' notifications and topics' subscriptions."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, until

SAYS = "import json\n\ndef handler(event, context):\n    print('got', json.dumps(event))\n"
ACCOUNT = "000000000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("push") / "data", "--with-aws").start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture
def s3(server: Server) -> Any:
    return server.client("s3")


def listening(server: Server) -> str:
    """The ARN of a new function that prints what it gets."""
    name = server.deploy(f"listening-{uuid.uuid4().hex[:8]}", SAYS)
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"


def permit(server: Server, function: str, service: str, source: str) -> None:
    server.functions.add_permission(
        FunctionName=function,
        StatementId=uuid.uuid4().hex,
        Action="lambda:InvokeFunction",
        Principal=service,
        SourceArn=source,
        SourceAccount=ACCOUNT,
    )


def a_bucket(s3: Any) -> str:
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    return name


def notify(s3: Any, bucket: str, function: str, *events: str, **filtered: str) -> None:
    """`filtered`: prefix and suffix."""
    rules = [{"Name": name, "Value": value} for name, value in filtered.items()]
    wanted: dict[str, Any] = {"Id": "mine", "LambdaFunctionArn": function, "Events": list(events)}
    if rules:
        wanted["Filter"] = {"Key": {"FilterRules": rules}}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [wanted]}
    )


def got(server: Server, function: str, count: int) -> list[Any]:
    """The records of that many events, once they have come."""
    group = f"/aws/lambda/{function.rpartition(':')[2]}"

    def records() -> list[Any]:
        try:
            lines = server.log_lines(group)
        except server.logs.exceptions.ResourceNotFoundException:
            return []
        events = [json.loads(line.removeprefix("got ")) for line in lines if line.startswith("got ")]
        return [event["Records"][0] for event in events if len(event["Records"]) == 1]

    until(lambda: len(records()) >= count, seconds=60)
    found = records()
    assert len(found) == count
    return found


def test_an_object_put_into_a_bucket_makes_the_function_run(server: Server, s3: Any) -> None:
    function, bucket = listening(server), a_bucket(s3)
    permit(server, function, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}")
    notify(s3, bucket, function, "s3:ObjectCreated:*", prefix="in/", suffix=".jpg")
    s3.put_object(Bucket=bucket, Key="elsewhere/a.jpg", Body=b"x")
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"x")
    put = s3.put_object(Bucket=bucket, Key="in/a b+ü.jpg", Body=b"picture")
    [record] = got(server, function, 1)
    assert record["eventSource"] == "aws:s3"
    assert record["eventVersion"] == "2.1"
    assert record["awsRegion"] == "us-east-1"
    assert record["eventName"] == "ObjectCreated:Put"
    assert set(record["requestParameters"]) == {"sourceIPAddress"}
    assert set(record["responseElements"]) == {"x-amz-request-id", "x-amz-id-2"}
    assert record["s3"]["configurationId"] == "mine"
    assert record["s3"]["bucket"]["name"] == bucket
    assert record["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    thing = record["s3"]["object"]
    assert (thing["key"], thing["size"]) == ("in/a+b%2B%C3%BC.jpg", 7)
    assert thing["eTag"] == put["ETag"].strip('"')
    assert int(thing["sequencer"], 16) > 0


def test_deletions_in_a_bucket_with_versions_are_markers_or_deletions(server: Server, s3: Any) -> None:
    function, bucket = listening(server), a_bucket(s3)
    permit(server, function, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    notify(s3, bucket, function, "s3:ObjectRemoved:*")
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=text)["VersionId"] for text in (b"one", b"two")]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=versions[0])
    records = got(server, function, 2)
    assert {(record["eventName"], record["s3"]["object"]["versionId"]) for record in records} == {
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", versions[0]),
    }
    assert all("size" not in record["s3"]["object"] for record in records)


def test_a_bucket_does_not_notify_a_function_that_does_not_permit_it(server: Server, s3: Any) -> None:
    function, bucket = listening(server), a_bucket(s3)
    permit(server, function, "s3.amazonaws.com", "arn:aws:s3:::another")
    with pytest.raises(ClientError) as refused:
        notify(s3, bucket, function, "s3:ObjectCreated:*")
    assert refused.value.response["Error"]["Code"] == "InvalidArgument"
    assert "Unable to validate the following destination configurations" in str(refused.value)
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_a_permission_that_is_taken_away_ends_the_notifications(server: Server, s3: Any) -> None:
    function, bucket = listening(server), a_bucket(s3)
    permit(server, function, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}")
    notify(s3, bucket, function, "s3:ObjectCreated:*")
    s3.put_object(Bucket=bucket, Key="first", Body=b"x")
    got(server, function, 1)
    policy = json.loads(server.functions.get_policy(FunctionName=function)["Policy"])
    server.functions.remove_permission(FunctionName=function, StatementId=policy["Statement"][0]["Sid"])
    s3.put_object(Bucket=bucket, Key="second", Body=b"x")
    assert "has not got an event" in until(lambda: refusals(server, function))
    permit(server, function, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}")
    s3.put_object(Bucket=bucket, Key="third", Body=b"x")
    assert [record["s3"]["object"]["key"] for record in got(server, function, 2)] == ["first", "third"]


def refusals(server: Server, function: str) -> str:
    return "".join(line for line in server.log.read_text().splitlines() if f"{function} has not got" in line)


def test_a_message_to_a_topic_makes_the_subscribed_function_run(server: Server) -> None:
    function, sns = listening(server), server.client("sns")
    topic = sns.create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    permit(server, function, "sns.amazonaws.com", topic)
    subscription = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function, ReturnSubscriptionArn=True)
    colour = {"DataType": "String", "StringValue": "red"}
    sent = sns.publish(TopicArn=topic, Message="hello", Subject="greeting", MessageAttributes={"colour": colour})
    [record] = got(server, function, 1)
    assert record["EventSource"] == "aws:sns"
    assert record["EventVersion"] == "1.0"
    assert record["EventSubscriptionArn"] == subscription["SubscriptionArn"]
    message = record["Sns"]
    assert (message["Type"], message["MessageId"]) == ("Notification", sent["MessageId"])
    assert (message["TopicArn"], message["Subject"], message["Message"]) == (topic, "greeting", "hello")
    assert message["MessageAttributes"] == {"colour": {"Type": "String", "Value": "red"}}
    assert message["SigningCertUrl"].startswith("https://sns.us-east-1.amazonaws.com/")
    assert message["Signature"]


def test_a_topic_asks_its_filter_policy_and_the_functions_permission(server: Server) -> None:
    permitted, forbidden, sns = listening(server), listening(server), server.client("sns")
    topic = sns.create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    permit(server, permitted, "sns.amazonaws.com", topic)
    wanted = {"FilterPolicy": json.dumps({"colour": ["red"]})}
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=permitted, Attributes=wanted)
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=forbidden)
    for colour in ("blue", "red"):
        attributes = {"colour": {"DataType": "String", "StringValue": colour}}
        sns.publish(TopicArn=topic, Message=colour, MessageAttributes=attributes)
    assert [record["Sns"]["Message"] for record in got(server, permitted, 1)] == ["red"]
    assert "not authorized" in until(lambda: refusals(server, forbidden))
    assert not refusals(server, permitted)


def test_what_a_function_puts_into_a_bucket_makes_another_run(server: Server, s3: Any) -> None:
    last, bucket = listening(server), a_bucket(s3)
    permit(server, last, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}")
    notify(s3, bucket, last, "s3:ObjectCreated:*", prefix="out/")
    code = "import boto3\n\ndef handler(event, context):\n    boto3.client('s3').put_object(**event)\n"
    first = server.deploy(f"putting-{uuid.uuid4().hex[:8]}", code, Timeout=60, MemorySize=512)
    answer = server.invoke(first, {"Bucket": bucket, "Key": "out/made", "Body": "made"})
    assert answer.error is None, answer.payload
    assert [record["s3"]["object"]["key"] for record in got(server, last, 1)] == ["out/made"]
