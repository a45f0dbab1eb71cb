"""What each kind of destination is called with, and who may use it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.outbox import ROLE, a_delivery
from pasture.destinations.kinds import Kind, Need, Tools, Undeliverable, Unreachable, make_all
from pasture.destinations.rights import DestinationRights
from pasture.domain.errors import RequestTooLarge, ResourceNotFound, ServiceError, TooManyRequests
from pasture.domain.events import Channel, Condition, Delivery
from pasture.domain.scope import Scope
from pasture.iam.neighbour_rights import NeighbourRights
from pasture.iam.policy import parse
from pasture.iam.roles import Role, Roles
from pasture.kit.clock import ManualClock
from pasture.neighbours.caller import NeighbourRefused

QUEUE = "arn:aws:sqs:eu-west-1:111122223333:q"
TOPIC = "arn:aws:sns:us-east-1:000000000000:t"
BUS = "arn:aws:events:us-east-1:000000000000:event-bus/b"
BUCKET = "arn:aws:s3:::b"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:g:live"
TRACE = "Root=1-2-3;Sampled=0;Lineage=1:9be734d8:0"


class FakeCaller:
    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, str, Mapping[str, Any], Scope, str]] = []

    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], *, scope: Scope, trace_id: str = ""
    ) -> dict[str, Any]:
        self.calls.append((service, operation, parameters, scope, trace_id))
        answer = self.answers.get(operation, {})
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


class Accepting:
    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.accepted: list[Delivery] = []

    async def __call__(self, delivery: Delivery) -> None:
        if self.failure is not None:
            raise self.failure
        self.accepted.append(delivery)


def kinds(caller: FakeCaller | None = None, accept: Accepting | None = None) -> Mapping[str, Kind]:
    return make_all(Tools(caller or FakeCaller(), accept or Accepting()))


def test_there_are_five_kinds() -> None:
    assert sorted(kinds()) == ["events", "lambda", "s3", "sns", "sqs"]


async def test_a_queue_gets_the_record_and_its_trace_and_is_looked_up_once() -> None:
    url = "https://sqs.eu-west-1.amazonaws.com/111122223333/q"
    caller = FakeCaller(GetQueueUrl={"QueueUrl": url})
    sqs = kinds(caller)["sqs"]
    for _ in range(2):
        await sqs.deliver(a_delivery(QUEUE, trace_id=TRACE))
    scope = Scope("000000000000", "eu-west-1")
    asked = {"QueueName": "q", "QueueOwnerAWSAccountId": "111122223333"}
    message = {
        "QueueUrl": url,
        "MessageBody": '{"version":"1.0"}',
        "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}},
    }
    assert caller.calls == [
        ("sqs", "GetQueueUrl", asked, scope, ""),
        ("sqs", "SendMessage", message, scope, TRACE),
        ("sqs", "SendMessage", message, scope, TRACE),
    ]


async def test_a_queue_that_refuses_is_looked_up_again() -> None:
    caller = FakeCaller(GetQueueUrl={"QueueUrl": "u"}, SendMessage=NeighbourRefused("NonExistentQueue", "gone", 400))
    sqs = kinds(caller)["sqs"]
    for _ in range(2):
        with pytest.raises(NeighbourRefused):
            await sqs.deliver(a_delivery(QUEUE))
    assert [operation for _, operation, *_ in caller.calls] == ["GetQueueUrl", "SendMessage"] * 2


@pytest.mark.parametrize(("target", "operation"), [(QUEUE, "SendMessage"), (TOPIC, "Publish")])
async def test_a_dead_letter_is_the_event_with_the_reason_in_attributes(target: str, operation: str) -> None:
    caller = FakeCaller(GetQueueUrl={"QueueUrl": "u"})
    attributes = {"RequestID": ("String", "r"), "ErrorCode": ("Number", "200")}
    delivery = a_delivery(target, channel=Channel.DEAD_LETTER, attributes=attributes, body='"é"'.encode())
    await kinds(caller)[target.split(":")[2]].deliver(delivery)
    _, called, parameters, _, _ = caller.calls[-1]
    assert called == operation
    assert parameters["Message" if target == TOPIC else "MessageBody"] == '"é"'
    assert parameters["MessageAttributes"] == {
        "RequestID": {"DataType": "String", "StringValue": "r"},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
    }


async def test_a_topic_gets_the_record() -> None:
    caller = FakeCaller()
    await kinds(caller)["sns"].deliver(a_delivery(TOPIC, trace_id=TRACE))
    message = {"TopicArn": TOPIC, "Message": '{"version":"1.0"}'}
    assert caller.calls == [("sns", "Publish", message, Scope(), TRACE)]


@pytest.mark.parametrize(
    ("condition", "outcome"), [(Condition.SUCCESS, "Success"), (Condition.EVENT_AGE_EXCEEDED, "Failure")]
)
async def test_a_bus_gets_an_entry_of_lambda(condition: Condition, outcome: str) -> None:
    caller = FakeCaller(PutEvents={"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})
    await kinds(caller)["events"].deliver(a_delivery(BUS, condition=condition, qualifier="live", trace_id=TRACE))
    entry = {
        "Time": datetime.fromtimestamp(1_700_000_000.0, UTC),
        "Source": "lambda",
        "Resources": [BUS, "arn:aws:lambda:us-east-1:000000000000:function:f:live"],
        "DetailType": f"Lambda Function Invocation Result - {outcome}",
        "Detail": '{"version":"1.0"}',
        "EventBusName": BUS,
        "TraceHeader": TRACE,
    }
    assert caller.calls == [("events", "PutEvents", {"Entries": [entry]}, Scope(), TRACE)]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("InternalFailure", Unreachable),
        ("ThrottlingException", Unreachable),
        ("NotAuthorizedForDetailType", Undeliverable),
    ],
)
async def test_an_entry_that_failed_is_no_success(code: str, error: type[Exception]) -> None:
    failed = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "m"}]}
    with pytest.raises(error, match=f"{code}: m"):
        await kinds(FakeCaller(PutEvents=failed))["events"].deliver(a_delivery(BUS))


async def test_a_bucket_gets_an_object_under_a_name_that_a_repetition_has_too() -> None:
    caller = FakeCaller()
    for _ in range(2):
        await kinds(caller)["s3"].deliver(a_delivery(BUCKET, "0f0e", created=1_700_000_000.9, trace_id=TRACE))
    put = {
        "Bucket": "b",
        "Key": "aws/lambda/async/f/2023/11/14/2023-11-14T22.13.20-0f0e",
        "Body": b'{"version":"1.0"}',
        "ContentType": "application/json",
    }
    assert caller.calls == [("s3", "PutObject", put, Scope(), TRACE)] * 2


async def test_a_function_gets_the_record_as_an_event() -> None:
    accept = Accepting()
    await kinds(accept=accept)["lambda"].deliver(a_delivery(FUNCTION))
    assert accept.accepted == [a_delivery(FUNCTION)]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (ResourceNotFound("no such"), Undeliverable),
        (RequestTooLarge("too large"), Undeliverable),
        (TooManyRequests("Rate Exceeded."), Unreachable),
        (ServiceError("oh"), Unreachable),
    ],
)
async def test_a_function_that_takes_no_event_says_why(failure: Exception, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(failure)):
        await kinds(accept=Accepting(failure))["lambda"].deliver(a_delivery(FUNCTION))


# Rights...


def test_what_a_role_needs() -> None:
    made = kinds()
    assert made["sqs"].needs(QUEUE) == (Need("sqs:SendMessage", QUEUE),)
    assert made["sns"].needs(TOPIC) == (Need("sns:Publish", TOPIC),)
    assert made["events"].needs(BUS) == (Need("events:PutEvents", BUS),)
    assert made["lambda"].needs(FUNCTION) == (Need("lambda:InvokeFunction", FUNCTION),)
    assert made["s3"].needs(BUCKET) == (Need("s3:PutObject", f"{BUCKET}/*"), Need("s3:ListBucket", BUCKET))


class Asked:
    def __init__(self, directory: Path, *, open_door: bool = False, configured: frozenset[str] = frozenset()) -> None:
        self.roles = Roles(directory / "roles.json")
        self.neighbours = NeighbourRights(self.roles, ManualClock(), open_door=open_door)
        self.lacks = DestinationRights(kinds(), self.neighbours, configured.__contains__).lacks

    def may(self, *statements: Mapping[str, Any]) -> None:
        policies = {str(n): {"Version": "2012-10-17", "Statement": [s]} for n, s in enumerate(statements)}
        self.roles.create(Role("r", policies=policies))


def allow(action: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


ALL = (QUEUE, TOPIC, BUS, BUCKET, FUNCTION)
ALL_ACTIONS = ["sqs:SendMessage", "sns:Publish", "events:PutEvents", "s3:PutObject", "lambda:InvokeFunction"]


def test_a_role_that_is_known_may_do_what_its_policies_allow(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    asked.may(allow("sqs:*", QUEUE), allow("s3:PutObject", f"{BUCKET}/*"), allow("lambda:InvokeFunction", "*"))
    assert [asked.lacks(ROLE, target, "") for target in ALL] == [
        "",
        "sns:Publish",
        "events:PutEvents",
        "s3:ListBucket",
        "",
    ]


def test_a_deny_wins_and_conditions_count(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    asked.may(
        allow("*", "*", Condition={"StringEquals": {"aws:ResourceAccount": "111122223333"}}),
        {"Effect": "Deny", "Action": "sqs:SendMessage", "Resource": f"{QUEUE}x"},
    )
    assert asked.lacks(ROLE, QUEUE, "") == ""
    assert asked.lacks(ROLE, f"{QUEUE}x", "") == "sqs:SendMessage"
    assert asked.lacks(ROLE, TOPIC, "") == "sns:Publish"


def test_a_role_that_is_not_known_has_what_is_embedded_and_nothing_else(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    assert [asked.lacks(ROLE, target, "") for target in ALL] == ["", "", "", "", "lambda:InvokeFunction"]
    asked = Asked(tmp_path, configured=frozenset({"sqs", "sns", "events", "s3"}))
    assert [asked.lacks(ROLE, target, "") for target in ALL] == ALL_ACTIONS


def test_where_nobody_is_asked_no_role_is(tmp_path: Path) -> None:
    asked = Asked(tmp_path, open_door=True, configured=frozenset({"sqs"}))
    assert not any(asked.lacks("no role at all", target, "") for target in ALL)


def test_another_accounts_role_gives_a_function_nothing(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    asked.may(allow("*", "*"))
    assert asked.lacks(ROLE, QUEUE, "000000000000") == ""
    assert asked.lacks(ROLE, QUEUE, "111122223333") == "sqs:SendMessage"
    assert asked.lacks("no role at all", QUEUE, "") == "sqs:SendMessage"


def test_what_restricts_a_session_counts_for_known_and_unknown_roles(tmp_path: Path) -> None:
    rights = Asked(tmp_path).neighbours
    only = parse({"Version": "2012-10-17", "Statement": [allow("sqs:SendMessage", QUEUE)]})
    assert rights.may_use(ROLE, "sqs:SendMessage", QUEUE, embedded=True, session_policy=only)
    assert not rights.may_use(ROLE, "sqs:ReceiveMessage", QUEUE, embedded=True, session_policy=only)
