"""EventBridge Scheduler through boto3: what is made, shown and refused, and that functions run when it is time."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, a_role, until

SAYS = "import json\n\ndef handler(event, context):\n    print('got', json.dumps(event), context.aws_request_id)\n"
OFF = {"Mode": "OFF"}


@pytest.fixture(scope="module")
def role(server: Server) -> str:
    return a_role(server, "scheduling", "lambda:InvokeFunction", "*")


@pytest.fixture(scope="module")
def function(server: Server) -> str:
    name = server.deploy("scheduled", SAYS)
    server.invoke(name, {"key": "first"})  # makes the log group
    arn: str = server.functions.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    return arn


@pytest.fixture
def scheduler(server: Server) -> Iterator[Any]:
    """With no schedule left of before."""
    client = server.client("scheduler")
    yield client
    for page in client.get_paginator("list_schedules").paginate():
        for each in page["Schedules"]:
            with suppress(client.exceptions.ResourceNotFoundException):  # gone by itself meanwhile
                client.delete_schedule(Name=each["Name"], GroupName=each["GroupName"])


def refusal(call: Any, **arguments: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def in_seconds(seconds: float) -> str:
    return f"at({(datetime.now(UTC) + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')})"


def got(server: Server) -> list[tuple[Any, str]]:
    """What the function was told, and by which request id."""
    found = []
    for line in server.log_lines("/aws/lambda/scheduled"):
        if line.startswith("got "):
            event, _, request_id = line.removeprefix("got ").strip().rpartition(" ")
            found.append((json.loads(event), request_id))
    return found


def told(server: Server, key: str) -> list[tuple[Any, str]]:
    return [(event, id_) for event, id_ in got(server) if event.get("key") == key]


def test_a_schedule_runs_its_function_with_its_input_once_and_goes_when_it_was_to(
    server: Server, scheduler: Any, function: str, role: str
) -> None:
    arn = scheduler.create_schedule(
        Name="once",
        ScheduleExpression=in_seconds(1),
        FlexibleTimeWindow=OFF,
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": function,
            "RoleArn": role,
            "Input": '{"key": "once", "by": "<aws.scheduler.schedule-arn>", "try": "<aws.scheduler.attempt-number>",'
            ' "id": "<aws.scheduler.execution-id>"}',
        },
    )["ScheduleArn"]
    ((event, request_id),) = until(lambda: told(server, "once"))
    assert event == {"key": "once", "by": arn, "try": "1", "id": request_id}
    until(lambda: not scheduler.list_schedules(NamePrefix="once")["Schedules"])
    assert len(told(server, "once")) == 1


def test_a_rate_without_a_start_begins_at_once_and_without_an_input_tells_of_itself(
    server: Server, scheduler: Any, function: str, role: str
) -> None:
    arn = scheduler.create_schedule(
        Name="often",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow=OFF,
        Target={"Arn": function, "RoleArn": role},
    )["ScheduleArn"]
    event = until(lambda: [event for event, _ in got(server) if event.get("resources") == [arn]])[0]
    assert set(event) == {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.scheduler", "Scheduled Event", "{}")


def test_what_is_made_is_shown_whole_changed_whole_and_deleted(scheduler: Any, function: str, role: str) -> None:
    scheduler.create_schedule_group(Name="night", Tags=[{"Key": "team", "Value": "blue"}])
    made = {
        "Name": "whole",
        "GroupName": "night",
        "ScheduleExpression": "cron(30 2 ? * SUN#1 2099)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "StartDate": datetime(2098, 1, 1, tzinfo=UTC),
        "EndDate": datetime(2099, 12, 31, tzinfo=UTC),
        "Description": "what it is for",
        "State": "DISABLED",
        "ActionAfterCompletion": "DELETE",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        "Target": {
            "Arn": function,
            "RoleArn": role,
            "Input": '{"a": 1}',
            "RetryPolicy": {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0},
            "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:000000000000:dead"},
        },
    }
    arn = scheduler.create_schedule(**made)["ScheduleArn"]
    assert arn == "arn:aws:scheduler:us-east-1:000000000000:schedule/night/whole"
    shown = scheduler.get_schedule(Name="whole", GroupName="night")
    assert {member: shown[member] for member in made} == made
    assert shown["Arn"] == arn
    (listed,) = scheduler.list_schedules(GroupName="night", State="DISABLED")["Schedules"]
    assert (listed["Name"], listed["GroupName"], listed["Target"]) == ("whole", "night", {"Arn": function})
    less = {member: made[member] for member in ("Name", "GroupName", "ScheduleExpression", "Target")}
    scheduler.update_schedule(**less, FlexibleTimeWindow=OFF)
    changed = scheduler.get_schedule(Name="whole", GroupName="night")
    assert "Description" not in changed
    assert (changed["State"], changed["ScheduleExpressionTimezone"]) == ("ENABLED", "UTC")
    assert changed["CreationDate"] == shown["CreationDate"]
    scheduler.delete_schedule_group(Name="night")
    until(lambda: "night" not in {g["Name"] for g in scheduler.list_schedule_groups()["ScheduleGroups"]})
    assert refusal(scheduler.get_schedule, Name="whole", GroupName="night") == (
        "ResourceNotFoundException",
        "Schedule group night does not exist.",
        404,
    )


def test_groups_have_tags_and_the_default_one_is_always_there(scheduler: Any) -> None:
    arn = scheduler.create_schedule_group(Name="tagged", Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    elsewhere = arn.replace("us-east-1", "us-west-2")
    assert refusal(scheduler.list_tags_for_resource, ResourceArn=elsewhere)[0] == "ResourceNotFoundException"
    assert refusal(scheduler.create_schedule_group, Name="tagged")[0] == "ConflictException"
    names = [g["Name"] for g in scheduler.list_schedule_groups()["ScheduleGroups"]]
    assert {"default", "tagged"} <= set(names)
    assert scheduler.get_schedule_group(Name="default")["State"] == "ACTIVE"
    assert refusal(scheduler.delete_schedule_group, Name="default")[0] == "ValidationException"


def test_lists_go_on_where_they_ended(scheduler: Any, function: str, role: str) -> None:
    for number in range(5):
        scheduler.create_schedule(
            Name=f"page-{number}",
            ScheduleExpression="at(2099-01-01T00:00:00)",
            FlexibleTimeWindow=OFF,
            Target={"Arn": function, "RoleArn": role},
        )
    pages = scheduler.get_paginator("list_schedules").paginate(NamePrefix="page-", PaginationConfig={"PageSize": 2})
    assert [s["Name"] for page in pages for s in page["Schedules"]] == [f"page-{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ScheduleExpression": "rate(1 minutes)"}, "Invalid Schedule Expression rate(1 minutes)."),
        ({"ScheduleExpression": "rate(30 seconds)"}, "Invalid Schedule Expression rate(30 seconds)."),
        ({"ScheduleExpression": "cron(7 20 * * 1-7 *)"}, "Invalid Schedule Expression cron(7 20 * * 1-7 *)."),
        (
            {"ScheduleExpression": "at(9999-12-31T23:59:59)", "ScheduleExpressionTimezone": "America/New_York"},
            "Invalid Schedule Expression at(9999-12-31T23:59:59).",
        ),
        (
            {"ScheduleExpression": "at(0001-01-01T00:00:00)", "ScheduleExpressionTimezone": "Asia/Tokyo"},
            "Invalid Schedule Expression at(0001-01-01T00:00:00).",
        ),
        ({"ScheduleExpressionTimezone": "Europe"}, "Invalid ScheduleExpressionTimezone Europe."),
        ({"ScheduleExpressionTimezone": "../UTC"}, "Invalid ScheduleExpressionTimezone ../UTC."),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Invalid ScheduleExpressionTimezone Mars/Olympus."),
        (
            {"StartDate": datetime(2020, 1, 1, tzinfo=UTC)},
            "The StartDate you specify cannot be earlier than 5 minutes ago.",
        ),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes is required when"),
        ({"Target": {"Arn": "arn:aws:lambda:us-east-1"}}, "Provided Arn is not in correct format."),
        ({"Target": {"Input": "no json"}}, "Invalid RequestJson provided."),
        (
            {"Target": {"RoleArn": "arn:aws:iam::000000000000:role/nobody"}},
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    scheduler: Any, function: str, role: str, changes: dict[str, Any], words: str
) -> None:
    target = {"Arn": function, "RoleArn": role, **changes.get("Target", {})}
    asked = {"Name": "no", "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF, **changes, "Target": target}
    code, message, status = refusal(scheduler.create_schedule, **asked)
    assert (code, status) == ("ValidationException", 400)
    assert message.startswith(words)


def test_a_name_is_given_once_and_the_same_call_again_is_the_same(scheduler: Any, function: str, role: str) -> None:
    asked = {
        "Name": "twice",
        "ScheduleExpression": "at(2099-01-01T00:00:00)",
        "FlexibleTimeWindow": OFF,
        "Target": {"Arn": function, "RoleArn": role},
    }
    first = scheduler.create_schedule(**asked, ClientToken="token")
    assert scheduler.create_schedule(**asked, ClientToken="token")["ScheduleArn"] == first["ScheduleArn"]
    assert refusal(scheduler.create_schedule, **asked) == ("ConflictException", "Schedule twice already exists.", 409)
    assert refusal(scheduler.get_schedule, Name="nothing") == (
        "ResourceNotFoundException",
        "Schedule nothing does not exist.",
        404,
    )


def test_who_may_do_nothing_may_schedule_nothing(server: Server, function: str, role: str) -> None:
    own = a_role(server, "schedules-only", "scheduler:*", "*")
    session = server.client("sts").assume_role(RoleArn=own, RoleSessionName="limited")["Credentials"]
    keys = {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }
    limited = server.client("scheduler", **keys)
    assert limited.list_schedules()["Schedules"] == []
    code, message, _ = refusal(
        limited.create_schedule,
        Name="stolen",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow=OFF,
        Target={"Arn": function, "RoleArn": role},
    )
    assert code == "AccessDeniedException"
    assert f"is not authorized to perform: iam:PassRole on resource: {role}" in message
