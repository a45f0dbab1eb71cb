"""CloudWatch Logs through boto3: what functions wrote, and groups that users make."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, until

ARN = "arn:aws:logs:us-east-1:000000000000:log-group:"
TALKER = """
import json
def handler(event, context):
    for line in event:
        print(line)
    return context.log_stream_name
"""


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


def now_ms() -> int:
    return int(time.time() * 1000)


# What functions wrote...


@pytest.fixture(scope="module")
def talker(server: Server) -> tuple[str, str]:
    """The group and the stream of a function that has said a few things."""
    name = server.deploy("talker", TALKER)
    stream = server.invoke(name, ["plain words", "ERROR: broken", '{"level": "warn", "count": 7}', "grün 🐄"]).payload
    return f"/aws/lambda/{name}", stream


def test_the_group_and_the_stream_of_a_function_are_there(server: Server, talker: tuple[str, str]) -> None:
    group, stream = talker
    found = server.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [(g["logGroupName"], g["arn"], g["logGroupClass"]) for g in found] == [
        (group, f"{ARN}{group}:*", "STANDARD")
    ]
    streams = server.logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert [s["logStreamName"] for s in streams] == [stream]
    assert streams[0]["arn"] == f"{ARN}{group}:log-stream:{stream}"
    assert streams[0]["firstEventTimestamp"] <= streams[0]["lastEventTimestamp"] <= now_ms()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("ERROR", ["ERROR: broken\n"]),
        ('"plain words"', ["plain words\n"]),
        ("?plain ?ERROR", ["plain words\n", "ERROR: broken\n"]),
        ("{ $.count > 6 }", ['{"level": "warn", "count": 7}\n']),
        ('{ $.level = "warn" && $.count = 8 }', []),
        ("%gr.n%", ["grün 🐄\n"]),
    ],
)
def test_a_pattern_finds_what_a_function_wrote(
    server: Server, talker: tuple[str, str], pattern: str, found: list[str]
) -> None:
    assert messages(server.logs.filter_log_events(logGroupName=talker[0], filterPattern=pattern)) == found


def test_events_come_forwards_backwards_and_in_pages_without_loss(server: Server, talker: tuple[str, str]) -> None:
    client: Any = server.logs
    where = {"logGroupName": talker[0], "logStreamName": talker[1]}
    everything = messages(client.get_log_events(startFromHead=True, **where))
    assert everything[0].startswith("INIT_START ")
    assert everything[2:6] == ["plain words\n", "ERROR: broken\n", '{"level": "warn", "count": 7}\n', "grün 🐄\n"]
    paged: list[str] = []
    page = client.get_log_events(startFromHead=True, limit=3, **where)
    while page["events"]:
        paged += messages(page)
        page = client.get_log_events(nextToken=page["nextForwardToken"], limit=3, **where)
    assert paged == everything
    assert messages(client.get_log_events(limit=2, **where)) == everything[-2:]
    again = client.get_log_events(nextToken=page["nextForwardToken"], **where)
    assert again["nextForwardToken"] == page["nextForwardToken"]


def test_the_paginator_of_filter_log_events_loses_nothing(server: Server) -> None:
    name = server.deploy("talks-much", TALKER)
    server.invoke(name, [f"line {number}" for number in range(500)])
    pages = server.logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{name}", filterPattern="line", PaginationConfig={"PageSize": 37}
    )
    assert [message for page in pages for message in messages(page)] == [f"line {number}\n" for number in range(500)]


def test_a_tail_that_follows_sees_every_event_once(server: Server) -> None:
    """Call by call what `aws logs tail --follow` of the AWS CLI's version 2 does."""
    name = server.deploy("followed", TALKER)
    server.invoke(name, ["first"])
    client, group, start = server.logs, f"/aws/lambda/{name}", now_ms() - 10 * 60 * 1000
    seen: list[str] = []
    ids: set[str] = set()

    def poll(since: int) -> int:
        """One round: every page from `since` on; answers where the next round begins."""
        kwargs: dict[str, Any] = {"logGroupName": group, "interleaved": True, "startTime": since, "limit": 5}
        latest = since
        while True:
            page = client.filter_log_events(**kwargs)
            for event in page["events"]:
                if event["eventId"] not in ids:
                    ids.add(event["eventId"])
                    seen.append(event["message"])
                latest = max(latest, event["timestamp"])
            if "nextToken" not in page:
                return latest
            kwargs["nextToken"] = page["nextToken"]

    since = poll(start)
    for word in ("second", "third"):
        server.invoke(name, [word])
        since = poll(since)
    words = [line.strip() for line in seen if not re.match(r"INIT_START|START|END|REPORT", line)]
    assert words == ["first", "second", "third"]
    assert len(seen) == 1 + 3 * 4


def test_a_deleted_group_comes_back_with_the_next_words(server: Server) -> None:
    name = server.deploy("comes-back", TALKER)
    server.invoke(name, ["before"])
    group = f"/aws/lambda/{name}"
    server.logs.delete_log_group(logGroupName=group)
    assert refused(server.logs.filter_log_events, logGroupName=group) == (400, "ResourceNotFoundException")
    server.invoke(name, ["after"])
    said = until(lambda: _said(server, group))
    assert "after\n" in said
    assert "before\n" not in said


def _said(server: Server, group: str) -> list[str]:
    try:
        return messages(server.logs.filter_log_events(logGroupName=group))
    except ClientError:
        return []


# Groups that users make...


def test_a_group_lives_from_its_creation_to_its_deletion(server: Server) -> None:
    client = server.logs
    client.create_log_group(logGroupName="l/mine", tags={"a": "b"})
    assert refused(client.create_log_group, logGroupName="l/mine") == (400, "ResourceAlreadyExistsException")
    client.create_log_stream(logGroupName="l/mine", logStreamName="s")
    assert refused(client.create_log_stream, logGroupName="l/mine", logStreamName="s") == (
        400,
        "ResourceAlreadyExistsException",
    )
    time_ms = now_ms()
    client.put_log_events(
        logGroupName="l/mine", logStreamName="s", logEvents=[{"timestamp": time_ms, "message": "hello"}]
    )
    events = client.get_log_events(logGroupName="l/mine", logStreamName="s")["events"]
    assert [(event["timestamp"], event["message"]) for event in events] == [(time_ms, "hello")]
    assert client.list_tags_for_resource(resourceArn=f"{ARN}l/mine")["tags"] == {"a": "b"}
    client.put_retention_policy(logGroupName="l/mine", retentionInDays=7)
    assert client.describe_log_groups(logGroupNamePrefix="l/mine")["logGroups"][0]["retentionInDays"] == 7
    client.delete_log_stream(logGroupName="l/mine", logStreamName="s")
    assert client.describe_log_streams(logGroupName="l/mine")["logStreams"] == []
    client.delete_log_group(logGroupName="l/mine")
    assert client.describe_log_groups(logGroupNamePrefix="l/mine")["logGroups"] == []


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("create_log_group", {"logGroupName": "bad name"}, "InvalidParameterException"),
        ("create_log_stream", {"logGroupName": "l/nobody", "logStreamName": "s"}, "ResourceNotFoundException"),
        ("create_log_stream", {"logGroupName": "l/nobody", "logStreamName": "a:b"}, "InvalidParameterException"),
        ("delete_log_group", {"logGroupName": "l/nobody"}, "ResourceNotFoundException"),
        ("put_retention_policy", {"logGroupName": "l/nobody", "retentionInDays": 8}, "InvalidParameterException"),
        ("filter_log_events", {"logGroupName": "l/nobody"}, "ResourceNotFoundException"),
        ("filter_log_events", {"logGroupName": "l/nobody", "filterPattern": "{ $.a = "}, "InvalidParameterException"),
        ("filter_log_events", {"logGroupName": "l/nobody", "nextToken": "made-up"}, "InvalidParameterException"),
        ("get_log_events", {"logGroupName": "l/nobody", "logStreamName": "s"}, "ResourceNotFoundException"),
        (
            "put_log_events",
            {"logGroupName": "l/nobody", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "x"}]},
            "ResourceNotFoundException",
        ),
        ("describe_log_streams", {"logGroupName": "l/nobody"}, "ResourceNotFoundException"),
    ],
)
def test_what_cannot_be_is_refused(server: Server, operation: str, arguments: dict[str, Any], code: str) -> None:
    assert refused(getattr(server.logs, operation), **arguments) == (400, code)


def test_groups_come_in_pages_that_hold_everyone_once(server: Server) -> None:
    client = server.logs
    wanted = [f"paged/{number:03}" for number in range(60)]
    for name in wanted:
        client.create_log_group(logGroupName=name)
    pages = client.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="paged/", PaginationConfig={"PageSize": 7}
    )
    assert [group["logGroupName"] for page in pages for group in page["logGroups"]] == wanted


def test_an_operation_of_logs_that_is_not_built_says_so(server: Server) -> None:
    with pytest.raises(ClientError) as caught:
        server.logs.start_query(logGroupName="l", startTime=1, endTime=2, queryString="fields @message")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "StartQuery" in caught.value.response["Error"]["Message"]
