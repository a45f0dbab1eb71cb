"""Which API a target is reached by, and with what. Pure.

Source: "Templated targets" and "Universal targets" in the EventBridge Scheduler guide.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pasture.schedules.firing import Firing

_UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:([a-z0-9-]+):([A-Za-z0-9]+)", re.ASCII)
SERVICES = frozenset({"lambda", "sqs", "sns", "events", "kinesis", "firehose", "states", "logs"})
"""Whose ARNs may be targets."""


class NoTarget(Exception):
    """Nothing can be sent there; the message says why."""


@dataclass(frozen=True, slots=True)
class Call:
    service: str
    """botocore's name."""
    operation: str
    parameters: Mapping[str, Any]
    action: str
    """What the role needs."""
    resource: str
    region: str = ""
    queue: tuple[str, str] | None = field(default=None)
    """Account and name of the queue whose URL is to be asked for."""


def is_target(arn: str) -> bool:
    parts = arn.split(":", 5)
    if universal(arn) is not None:
        return True
    return len(parts) == 6 and parts[0] == "arn" and parts[2] in SERVICES and bool(parts[5])


def universal(arn: str) -> tuple[str, str] | None:
    """Service and operation, as the ARN spells them."""
    found = _UNIVERSAL.fullmatch(arn)
    return (found[1], found[2]) if found else None


def invoked_by_name(firing: Firing, body: str) -> tuple[str, str] | None:
    """The function and the event, of the universal target `lambda:invoke`."""
    if universal(firing.target.arn) != ("lambda", "invoke"):
        return None
    asked = _asked(body)
    name = str(asked.get("FunctionName", ""))
    if not name:
        raise NoTarget("The input names no function.")
    arn = name if name.startswith("arn:") else firing.scope.function_arn(name, asked.get("Qualifier"))
    payload = asked.get("Payload", "{}")
    return arn, payload if isinstance(payload, str) else json.dumps(payload)


def call_of(firing: Firing, body: str) -> Call:
    """Raises NoTarget."""
    arn, parameters = firing.target.arn, firing.target.parameters
    if (named := universal(arn)) is not None:
        service, operation = named[0], named[1][:1].upper() + named[1][1:]
        return Call(service, operation, _asked(body), f"{service}:{operation}", "*")
    service, region, account, resource = _parts(arn)
    match service:
        case "sqs":
            more = {name: str(value) for name, value in parameters.get("SqsParameters", {}).items()}
            if more:
                more["MessageDeduplicationId"] = firing.id  # however often it is sent
            return Call(
                "sqs", "SendMessage", {"MessageBody": body, **more}, "sqs:SendMessage", arn, region, (account, resource)
            )
        case "sns":
            return Call("sns", "Publish", {"TopicArn": arn, "Message": body}, "sns:Publish", arn, region)
        case "events":
            return Call("events", "PutEvents", {"Entries": [_entry(firing, body)]}, "events:PutEvents", arn, region)
        case "kinesis":
            key = parameters.get("KinesisParameters", {}).get("PartitionKey", firing.id)
            asked = {"StreamName": resource.partition("/")[2], "Data": body.encode(), "PartitionKey": key}
            return Call("kinesis", "PutRecord", asked, "kinesis:PutRecord", arn, region)
        case "firehose":
            asked = {"DeliveryStreamName": resource.partition("/")[2], "Record": {"Data": body.encode()}}
            return Call("firehose", "PutRecord", asked, "firehose:PutRecord", arn, region)
        case "states":
            # The name makes it the same execution, however often it is asked for.
            asked = {"stateMachineArn": arn, "input": body, "name": firing.id}
            return Call("stepfunctions", "StartExecution", asked, "states:StartExecution", arn, region)
    raise NoTarget(f"{arn} is no target that Pasture knows how to reach.")


def dead_letter(arn: str, body: str, attributes: Mapping[str, str]) -> Call:
    _, region, account, resource = _parts(arn)
    told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    parameters = {"MessageBody": body, "MessageAttributes": told}
    return Call("sqs", "SendMessage", parameters, "sqs:SendMessage", arn, region, (account, resource))


def _entry(firing: Firing, body: str) -> dict[str, Any]:
    """An event as it came goes on with what it says of itself; of a schedule its parameters say it."""
    if event := firing.event:
        return {
            "Time": datetime.fromisoformat(event["time"]),
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event.get("detail", {})),
            "Resources": list(event.get("resources", ())),
            "EventBusName": firing.target.arn,
        }
    named = firing.target.parameters.get("EventBridgeParameters", {})
    return {
        "Source": named.get("Source", "aws.scheduler"),
        "DetailType": named.get("DetailType", "Scheduled Event"),
        "Detail": body,
        "EventBusName": firing.target.arn,
    }


def _asked(body: str) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise NoTarget("The input is no JSON.") from error
    if not isinstance(asked, dict):
        raise NoTarget("The input is no JSON object.")
    return asked


def _parts(arn: str) -> tuple[str, str, str, str]:
    """Service, region, account and resource."""
    parts = [*arn.split(":", 5), "", "", "", "", ""]
    return parts[2], parts[3], parts[4], parts[5]
