"""EventBridge through boto3: schedules and events that make functions run, and what is shown and refused."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from system.node import Server, a_role, until

SAYS = "import json\n\ndef handler(event, context):\n    print('got', json.dumps(event))\n"
ACCOUNT = "000000000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With queues and topics beside it."""
    server = Server(tmp_path_factory.mktemp("events") / "data", "--with-aws").start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def function(server: Server) -> str:
    name = server.deploy("listening", SAYS)
    server.invoke(name, {"key": "first"})  # makes the log group
    arn: str = server.functions.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    return arn


@pytest.fixture
def events(server: Server) -> Any:
    return server.client("events")


def may_invoke(server: Server, function: str, rule_arn: str) -> None:
    server.functions.add_permission(
        FunctionName=function,
        StatementId=uuid.uuid4().hex,
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule_arn,
    )


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    return answer["Error"]["Code"], answer["Error"]["Message"]


def got(server: Server) -> list[Any]:
    lines = server.log_lines("/aws/lambda/listening")
    return [json.loads(line.removeprefix("got ")) for line in lines if line.startswith("got ")]


def put(events: Any, source: str, detail: Any, **more: Any) -> str:
    answer = events.put_events(
        Entries=[{"Source": source, "DetailType": "order placed", "Detail": json.dumps(detail), **more}]
    )
    assert answer["FailedEntryCount"] == 0
    id_: str = answer["Entries"][0]["EventId"]
    return id_


@pytest.fixture
def queue(server: Server) -> Iterator[tuple[str, Any]]:
    """Its ARN, and a function that answers the next message in it."""
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def message() -> Any:
        found = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=1).get("Messages", [])
        return found[0] if found else None

    yield arn, message
    sqs.delete_queue(QueueUrl=url)


def test_an_event_that_a_pattern_matches_makes_the_function_run(server: Server, events: Any, function: str) -> None:
    pattern = {"source": [{"prefix": "shop."}], "detail": {"total": [{"numeric": [">", 100]}]}}
    rule = events.put_rule(Name="large", EventPattern=json.dumps(pattern))["RuleArn"]
    may_invoke(server, function, rule)
    events.put_targets(Rule="large", Targets=[{"Id": "f", "Arn": function}])
    put(events, "shop.orders", {"total": 5})
    put(events, "shop.orders", {"total": 500}, Resources=["arn:aws:s3:::b"])
    event = until(lambda: [event for event in got(server) if event.get("source") == "shop.orders"])[0]
    assert event.pop("id")
    assert event.pop("time")
    assert event == {
        "version": "0",
        "detail-type": "order placed",
        "source": "shop.orders",
        "account": ACCOUNT,
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::b"],
        "detail": {"total": 500},
    }
    assert len([event for event in got(server) if event.get("source") == "shop.orders"]) == 1


def test_a_function_that_lets_the_rule_not_in_is_not_run_and_its_event_is_a_dead_letter(
    server: Server, events: Any, function: str, queue: tuple[str, Any]
) -> None:
    arn, message = queue
    rule = events.put_rule(Name="shut-out", EventPattern=json.dumps({"source": ["shut.out"]}))["RuleArn"]
    events.put_targets(
        Rule="shut-out", Targets=[{"Id": "f", "Arn": function, "Input": '{"key": 1}', "DeadLetterConfig": {"Arn": arn}}]
    )
    put(events, "shut.out", {})
    letter = until(message)
    assert letter["Body"] == '{"key": 1}'
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert (attributes["RULE_ARN"], attributes["TARGET_ARN"]) == (rule, function)
    assert attributes["ERROR_CODE"] == "AccessDeniedException"
    assert "because no resource-based policy allows" in attributes["ERROR_MESSAGE"]
    assert {"key": 1} not in got(server)


def test_a_rule_with_a_rate_runs_its_function_when_it_is_time(server: Server, events: Any, function: str) -> None:
    """The time of a rate of a minute is a minute after the rule was made."""
    rule = events.put_rule(Name="clock", ScheduleExpression="rate(1 minute)")["RuleArn"]
    may_invoke(server, function, rule)
    events.put_targets(Rule="clock", Targets=[{"Id": "f", "Arn": function}])
    event = until(lambda: [event for event in got(server) if event.get("resources") == [rule]], seconds=150)[0]
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
    events.disable_rule(Name="clock")
    assert events.describe_rule(Name="clock")["State"] == "DISABLED"


def test_targets_get_what_they_asked_for_of_an_event(server: Server, events: Any, queue: tuple[str, Any]) -> None:
    arn, message = queue
    events.put_rule(Name="shaped", EventPattern=json.dumps({"source": ["shaped"]}))
    transformer = {
        "InputPathsMap": {"who": "$.detail.name", "n": "$.detail.n"},
        "InputTemplate": '{"text": "hello <who>", "n": <n>, "rule": <aws.events.rule-name>}',
    }
    events.put_targets(Rule="shaped", Targets=[{"Id": "t", "Arn": arn, "InputTransformer": transformer}])
    put(events, "shaped", {"name": 'B"ob', "n": [1, 2]})
    assert json.loads(until(message)["Body"]) == {"text": 'hello B"ob', "n": [1, 2], "rule": "shaped"}
    events.put_targets(Rule="shaped", Targets=[{"Id": "t", "Arn": arn, "InputPath": "$.detail.n[1]"}])
    put(events, "shaped", {"name": "Bob", "n": [1, 2]})
    assert until(message)["Body"] == "2"


def test_an_event_goes_from_bus_to_bus_as_it_came(server: Server, events: Any, queue: tuple[str, Any]) -> None:
    arn, message = queue
    bus = events.create_event_bus(Name="second", Description="behind")["EventBusArn"]
    events.put_rule(Name="on", EventPattern=json.dumps({"source": ["travels"]}))
    events.put_targets(Rule="on", Targets=[{"Id": "b", "Arn": bus}])
    events.put_rule(Name="off", EventBusName="second", EventPattern=json.dumps({"source": ["travels"]}))
    events.put_targets(Rule="off", EventBusName=bus, Targets=[{"Id": "q", "Arn": arn}])
    put(events, "travels", {"a": 1}, Time=1_700_000_000)
    event = json.loads(until(message)["Body"])
    assert (event["source"], event["detail"], event["time"]) == ("travels", {"a": 1}, "2023-11-14T22:13:20Z")
    assert refusal(events.delete_event_bus, Name="second") == (
        "ValidationException",
        "Event bus can't be deleted since it has rules.",
    )
    events.remove_targets(Rule="off", EventBusName="second", Ids=["q"])
    events.delete_rule(Name="off", EventBusName="second")
    events.delete_event_bus(Name="second")
    assert [bus["Name"] for bus in events.list_event_buses()["EventBuses"]] == ["default"]


def test_rules_are_shown_as_they_were_made(events: Any, function: str) -> None:
    made = {
        "Name": "shown",
        "ScheduleExpression": "cron(0 10 * * ? *)",
        "State": "DISABLED",
        "Description": "every morning",
    }
    arn = events.put_rule(**made, Tags=[{"Key": "a", "Value": "1"}])["RuleArn"]
    assert arn == f"arn:aws:events:us-east-1:{ACCOUNT}:rule/shown"
    shown = events.describe_rule(Name="shown")
    assert {member: shown[member] for member in made} == made
    assert (shown["EventBusName"], shown["CreatedBy"]) == ("default", ACCOUNT)
    target = {
        "Id": "t",
        "Arn": f"{function}:live",
        "InputTransformer": {"InputPathsMap": {"a": "$.detail"}, "InputTemplate": "<a>"},
        "RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead"},
    }
    events.put_targets(Rule="shown", Targets=[target])
    assert events.list_targets_by_rule(Rule="shown")["Targets"] == [target]
    assert events.list_rule_names_by_target(TargetArn=f"{function}:live")["RuleNames"] == ["shown"]
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    events.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert refusal(events.delete_rule, Name="shown") == (
        "ValidationException",
        "Rule can't be deleted since it has targets.",
    )
    gone = events.remove_targets(Rule="shown", Ids=["t", "other"])
    assert [entry["TargetId"] for entry in gone["FailedEntries"]] == ["other"]
    events.delete_rule(Name="shown")
    assert refusal(events.describe_rule, Name="shown") == (
        "ResourceNotFoundException",
        "Rule shown does not exist on EventBus default.",
    )


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ({}, ("ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified.")),
        (
            {"ScheduleExpression": "at(2099-01-01T00:00:00)"},
            ("ValidationException", "Parameter ScheduleExpression is not valid."),
        ),
        (
            {"ScheduleExpression": "cron(7 20 * * 1-7 *)"},
            ("ValidationException", "Parameter ScheduleExpression is not valid."),
        ),
        (
            {"EventPattern": '{"source": "a"}'},
            (
                "InvalidEventPatternException",
                'Event pattern is not valid. Reason: "source" must be an object or an array',
            ),
        ),
        (
            {"EventPattern": '{"source": ["a"]}', "EventBusName": "nowhere"},
            ("ResourceNotFoundException", "Event bus nowhere does not exist."),
        ),
    ],
)
def test_what_makes_no_rule_is_refused(events: Any, asked: dict[str, str], refused: tuple[str, str]) -> None:
    assert refusal(events.put_rule, Name="no", **asked) == refused


def test_entries_that_are_no_events_fail_by_themselves(events: Any) -> None:
    whole = {"Source": "s", "DetailType": "d", "Detail": "{}"}
    entries = [
        whole,
        {**whole, "Detail": "[1]"},
        {"Source": "s", "DetailType": "d"},
        {**whole, "Source": "aws.ec2"},
    ]
    answer = events.put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 3
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "MalformedDetail",
        "InvalidArgument",
        "NotAuthorizedForSourceException",
    ]
    large = {**whole, "Detail": json.dumps({"a": "x" * 600_000})}
    assert refusal(events.put_events, Entries=[large, large]) == (
        "ValidationException",
        "Total size of the entries in the request is over the limit.",
    )


def test_a_pattern_can_be_tried(events: Any) -> None:
    event = {
        "id": "1",
        "account": ACCOUNT,
        "source": "s",
        "time": "2026-11-23T12:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": "d",
        "detail": {"ip": "10.0.0.7", "file": "a/b.png"},
    }
    for detail, matches in (
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"ip": [{"cidr": "10.0.1.0/24"}]}, False),
        ({"file": [{"wildcard": "*/*.png"}]}, True),
        ({"file": [{"anything-but": {"suffix": [".png", ".jpg"]}}]}, False),
        ({"$or": [{"file": ["x"]}, {"ip": [{"exists": True}]}]}, True),
    ):
        pattern = json.dumps({"detail": detail})
        assert events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"] is matches


def test_who_may_put_on_one_bus_may_put_on_no_other(server: Server, events: Any) -> None:
    bus = events.create_event_bus(Name="mine")["EventBusArn"]
    role = a_role(server, "one-bus", "events:PutEvents", bus)
    session = server.client("sts").assume_role(RoleArn=role, RoleSessionName="limited")["Credentials"]
    limited = server.client(
        "events",
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
    put(limited, "s", {}, EventBusName="mine")
    with pytest.raises(ClientError, match=r"events:PutEvents on resource: .*:event-bus/default"):
        put(limited, "s", {})
    events.delete_event_bus(Name="mine")


def at_once(server: Server, **target: Any) -> None:
    role = a_role(server, f"r-{uuid.uuid4().hex[:8]}", "sqs:*", "*")
    server.client("scheduler").create_schedule(
        Name=f"s-{uuid.uuid4().hex[:8]}",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"RoleArn": role, **target},
    )


def test_a_schedule_sends_to_a_queue_by_its_arn_and_by_the_operation_s_name(
    server: Server, queue: tuple[str, Any]
) -> None:
    arn, message = queue
    at_once(server, Arn=arn, Input="<aws.scheduler.attempt-number>")
    assert until(message)["Body"] == "1"
    url = server.client("sqs").get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    asked = json.dumps({"QueueUrl": url, "MessageBody": "by name"})
    at_once(server, Arn="arn:aws:scheduler:::aws-sdk:sqs:sendMessage", Input=asked)
    assert until(message)["Body"] == "by name"


def test_what_a_schedule_s_role_may_not_do_is_a_dead_letter(
    server: Server, function: str, queue: tuple[str, Any]
) -> None:
    arn, message = queue
    at_once(server, Arn=function, Input='{"key": "forbidden"}', DeadLetterConfig={"Arn": arn})
    letter = until(message)
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert letter["Body"] == '{"key": "forbidden"}'
    assert attributes["TARGET_ARN"] == function
    assert attributes["ERROR_CODE"] == "AccessDeniedException"
    assert attributes["SCHEDULE_ARN"].startswith(f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/s-")
    assert {"key": "forbidden"} not in got(server)


def test_an_event_s_outcome_goes_to_a_bus_and_from_there_to_whom_it_concerns(
    server: Server, events: Any, queue: tuple[str, Any]
) -> None:
    arn, message = queue
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    role = a_role(server, "tells", "events:PutEvents", bus)
    name = server.deploy("telling", "def handler(event, context):\n    return event\n", Role=role)
    server.functions.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": bus}}
    )
    pattern = {"source": ["lambda"], "detail": {"requestPayload": {"n": [7]}}}
    events.put_rule(Name="outcomes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="outcomes", Targets=[{"Id": "q", "Arn": arn}])
    server.functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 7}')
    event = json.loads(until(message)["Body"])
    assert event["detail-type"] == "Lambda Function Invocation Result - Success"
    assert event["detail"]["responsePayload"] == {"n": 7}
    assert event["resources"][0] == bus
