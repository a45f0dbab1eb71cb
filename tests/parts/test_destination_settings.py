"""Where events' outcomes may go: what is refused when it is configured, in AWS's words where they are known."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ROLE, Management, management

OTHER_ROLE = "arn:aws:iam::000000000000:role/other"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
TOPIC = "arn:aws:sns:us-east-1:000000000000:t"
BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default"
BUCKET = "arn:aws:s3:::bucket"
INVALID = "InvalidParameterValueException"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        await running.created(Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        yield running


def on(outcome: str, arn: str) -> dict[str, Any]:
    return {"FunctionName": "f", "DestinationConfig": {outcome: {"Destination": arn}}}


@pytest.mark.parametrize("arn", [QUEUE, TOPIC, BUS])
async def test_queues_topics_and_buses_take_both_outcomes(node: Management, arn: str) -> None:
    for outcome in ("OnSuccess", "OnFailure"):
        answer = await node.call("PutFunctionEventInvokeConfig", **on(outcome, arn))
        assert answer["DestinationConfig"][outcome] == {"Destination": arn}


async def test_a_bucket_takes_failures_only(node: Management) -> None:
    await node.call("PutFunctionEventInvokeConfig", **on("OnFailure", BUCKET))
    assert await node.refusal("PutFunctionEventInvokeConfig", **on("OnSuccess", BUCKET)) == (
        INVALID,
        (
            f"The provided destination config DestinationConfig(onSuccess=OnSuccess(destination={BUCKET}), "
            "onFailure=null) is invalid."
        ),
    )


@pytest.mark.parametrize(
    "arn",
    [f"{QUEUE}.fifo", f"{TOPIC}.fifo", "arn:aws:sqs:us-east-1:000000000000:", f"{TOPIC}:subscription", "arn:aws:s3:::b",
     "arn:aws:events:us-east-1:000000000000:rule/r"],
)  # fmt: skip
async def test_what_is_no_standard_queue_topic_bus_or_bucket_is_invalid(node: Management, arn: str) -> None:
    refusal = await node.refusal("PutFunctionEventInvokeConfig", **on("OnFailure", arn))
    assert refusal == (INVALID, f"The destination ARN {arn} is invalid.")


@pytest.mark.parametrize(
    ("arn", "action", "operation"),
    [
        (QUEUE, "sqs:SendMessage", "SendMessage"),
        (TOPIC, "sns:Publish", "Publish"),
        (BUS, "events:PutEvents", "PutEvents"),
        (BUCKET, "s3:PutObject", "PutObject"),
        ("arn:aws:lambda:us-east-1:000000000000:function:g", "lambda:InvokeFunction", "InvokeFunction"),
    ],
)
async def test_a_role_that_may_not_use_a_destination_is_refused(
    node: Management, arn: str, action: str, operation: str
) -> None:
    await node.created("g")
    node.lacking[ROLE, arn] = action
    expected = (INVALID, f"The function's execution role does not have permissions to call {operation} on {arn}")
    assert await node.refusal("PutFunctionEventInvokeConfig", **on("OnFailure", arn)) == expected
    request = {**on("OnFailure", arn), "MaximumRetryAttempts": 1}
    assert await node.refusal("UpdateFunctionEventInvokeConfig", **request) == expected
    del node.lacking[ROLE, arn]
    await node.call("PutFunctionEventInvokeConfig", **on("OnFailure", arn))


async def test_an_alias_is_judged_by_the_role_of_its_version(node: Management) -> None:
    await node.updated(Role=OTHER_ROLE)
    node.lacking[OTHER_ROLE, QUEUE] = "sqs:SendMessage"
    await node.call("PutFunctionEventInvokeConfig", **on("OnFailure", QUEUE), Qualifier="live")
    await node.call("PutFunctionEventInvokeConfig", **on("OnFailure", QUEUE), Qualifier="1")
    code, message = await node.refusal("PutFunctionEventInvokeConfig", **on("OnFailure", QUEUE))
    assert code == INVALID
    assert "permissions to call SendMessage" in message


# Dead-letter queues...


@pytest.mark.parametrize(
    ("arn", "action", "words"),
    [(QUEUE, "sqs:SendMessage", "SendMessage on SQS"), (TOPIC, "sns:Publish", "Publish on SNS")],
)
async def test_a_role_that_may_not_use_the_dead_letter_queue_is_refused(
    node: Management, arn: str, action: str, words: str
) -> None:
    node.lacking[ROLE, arn] = action
    expected = (INVALID, f"The provided execution role does not have permissions to call {words}")
    config: dict[str, Any] = {"DeadLetterConfig": {"TargetArn": arn}}
    new = {"FunctionName": "n", "Runtime": "python3.12", "Handler": "m.h", "Role": ROLE, "Code": {"ZipFile": b""}}
    assert await node.refusal("CreateFunction", **new, **config) == expected
    assert await node.refusal("UpdateFunctionConfiguration", FunctionName="f", **config) == expected
    await node.updated(**config, Role=OTHER_ROLE)
    assert await node.refusal("UpdateFunctionConfiguration", FunctionName="f", Role=ROLE) == expected
    await node.updated(Description="the role is not asked about again")
    await node.updated(DeadLetterConfig={"TargetArn": ""}, Role=ROLE)


@pytest.mark.parametrize("arn", [f"{QUEUE}.fifo", f"{TOPIC}.fifo", BUS, BUCKET, "arn:aws:sqs:us-east-1:1:q"])
async def test_a_dead_letter_queue_is_a_standard_queue_or_topic(node: Management, arn: str) -> None:
    assert await node.refusal("UpdateFunctionConfiguration", FunctionName="f", DeadLetterConfig={"TargetArn": arn}) == (
        INVALID,
        f"Invalid dead letter ARN: {arn}. It must be the ARN of a standard SQS queue or SNS topic.",
    )
