"""Subscription filters through boto3: log events that make functions run, what is shown, and what is refused."""

import base64
import gzip
import json
import signal
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, until

SAYS = "import json\n\ndef handler(event, context):\n    print('got', json.dumps(event))\n"
ACCOUNT = "000000000000"


def subscriber(server: Server, group: str, principal: str = "logs.amazonaws.com") -> str:
    """The ARN of a new function that prints what it gets, and that the group may invoke."""
    name = server.deploy(f"subscribed-{uuid.uuid4().hex[:8]}", SAYS)
    server.functions.add_permission(
        FunctionName=name,
        StatementId="logs",
        Action="lambda:InvokeFunction",
        Principal=principal,
        SourceArn=f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}:*",
        SourceAccount=ACCOUNT,
    )
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"


def a_group(server: Server, *streams: str) -> str:
    name = f"/app/{uuid.uuid4().hex[:8]}"
    server.logs.create_log_group(logGroupName=name)
    for stream in streams:
        server.logs.create_log_stream(logGroupName=name, logStreamName=stream)
    return name


def subscribe(server: Server, group: str, function: str, pattern: str = "", name: str = "mine", **more: Any) -> None:
    server.logs.put_subscription_filter(
        logGroupName=group, filterName=name, filterPattern=pattern, destinationArn=function, **more
    )


def put(server: Server, group: str, stream: str, *messages: str) -> None:
    now = int(time.time() * 1000)
    events: Any = [{"timestamp": now, "message": message} for message in messages]
    server.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def got(server: Server, function: str) -> list[Any]:
    """What a function was told so far."""
    try:
        lines = server.log_lines(f"/aws/lambda/{function.rpartition(':')[2]}")
    except server.logs.exceptions.ResourceNotFoundException:
        return []
    events = [json.loads(line.removeprefix("got ")) for line in lines if line.startswith("got ")]
    return [json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"]))) for event in events]


def texts(told: list[Any]) -> list[str]:
    return [event["message"] for message in told for event in message["logEvents"]]


def refusal(server: Server, group: str, function: str, **more: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        subscribe(server, group, function, **more)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_subscribed_function_gets_the_events_that_match_by_stream(server: Server) -> None:
    group = a_group(server, "one", "two")
    function = subscriber(server, group)
    put(server, group, "one", "ERROR before anybody was subscribed")
    subscribe(server, group, function, "ERROR")
    put(server, group, "one", "ERROR é first", "all is well", "ERROR second")
    put(server, group, "two", "ERROR third")
    until(lambda: len(texts(got(server, function))) == 3, seconds=60)
    told = sorted(got(server, function), key=lambda message: str(message["logStream"]))
    assert [message["logStream"] for message in told] == ["one", "two"]
    assert texts(told) == ["ERROR é first", "ERROR second", "ERROR third"]
    first = told[0]
    assert (first["messageType"], first["owner"], first["logGroup"]) == ("DATA_MESSAGE", ACCOUNT, group)
    assert first["subscriptionFilters"] == ["mine"]
    assert len(first["logEvents"][0]["id"]) == 56


def test_what_another_function_prints_is_delivered(server: Server) -> None:
    printing = server.deploy(f"printing-{uuid.uuid4().hex[:8]}", "def handler(event, context):\n    print(event)\n")
    group = f"/aws/lambda/{printing}"
    server.invoke(printing, "alarm 0")
    function = subscriber(server, group, "logs.us-east-1.amazonaws.com")
    subscribe(server, group, function, "alarm")
    server.invoke(printing, "alarm 1")
    until(lambda: texts(got(server, function)), seconds=60)
    assert [text.strip() for text in texts(got(server, function))] == ["alarm 1"]


def test_subscriptions_are_shown_changed_and_deleted(server: Server) -> None:
    group = a_group(server, "s")
    function = subscriber(server, group)
    for name in ("b", "a"):
        subscribe(server, group, function, "x", name)
    subscribe(server, group, function, "y", "a", distribution="Random")
    assert refusal(server, group, function, name="c") == ("LimitExceededException", "Resource limit exceeded.")
    page = server.logs.describe_subscription_filters(logGroupName=group, limit=1)
    rest = server.logs.describe_subscription_filters(logGroupName=group, nextToken=page["nextToken"])
    [a], [b] = page["subscriptionFilters"], rest["subscriptionFilters"]
    assert (a["filterName"], a["filterPattern"], a["distribution"]) == ("a", "y", "Random")
    assert (b["filterName"], b["destinationArn"], b["logGroupName"]) == ("b", function, group)
    server.logs.delete_subscription_filter(logGroupName=group, filterName="a")
    with pytest.raises(ClientError, match="The specified subscription filter does not exist"):
        server.logs.delete_subscription_filter(logGroupName=group, filterName="a")
    left = server.logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
    assert [one["filterName"] for one in left] == ["b"]
    server.logs.delete_log_group(logGroupName=group)
    server.logs.create_log_group(logGroupName=group)
    assert server.logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"] == []


def test_who_may_not_be_told_is_not_subscribed(server: Server) -> None:
    group = a_group(server)
    stranger = subscriber(server, "/app/another")
    code, message = refusal(server, group, stranger)
    assert code == "InvalidParameterException"
    assert message.startswith(
        "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission"
    )
    own = f"/aws/lambda/{stranger.rpartition(':')[2]}"
    server.logs.create_log_group(logGroupName=own)
    assert refusal(server, own, stranger) == (
        "InvalidParameterException",
        "The log group provided is reserved for the function logs of the destination function.",
    )
    assert refusal(server, "/app/nowhere", stranger)[0] == "ResourceNotFoundException"
    assert refusal(server, group, "arn:aws:kinesis:us-east-1:000000000000:stream/s")[0] == "InvalidParameterException"
    assert refusal(server, group, stranger, pattern="{ $.a = ")[0] == "InvalidParameterException"


def test_events_that_a_permission_no_longer_covers_are_skipped(server: Server) -> None:
    group = a_group(server, "s")
    function = subscriber(server, group)
    subscribe(server, group, function)
    server.functions.remove_permission(FunctionName=function, StatementId="logs")
    put(server, group, "s", "unheard")
    until(lambda: f"1 log events of {group} are not handed to {function}" in server.log.read_text())
    server.functions.add_permission(
        FunctionName=function, StatementId="again", Action="lambda:InvokeFunction", Principal="logs.amazonaws.com"
    )
    put(server, group, "s", "heard")
    until(lambda: texts(got(server, function)), seconds=60)
    assert texts(got(server, function)) == ["heard"]


def test_what_was_stored_when_the_server_was_killed_is_delivered_by_the_next(fresh: Server) -> None:
    fresh.start()
    group = a_group(fresh, "s")
    function = subscriber(fresh, group)
    subscribe(fresh, group, function)
    wanted = [f"{number} {'x' * 50_000}" for number in range(20)]
    put(fresh, group, "s", *wanted)
    fresh.stop(signal.SIGKILL)
    fresh.start()
    until(lambda: set(texts(got(fresh, function))) == set(wanted), seconds=90)
