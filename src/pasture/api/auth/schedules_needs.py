"""What calls of EventBridge and EventBridge Scheduler need: action, resource, condition keys. Pure.

Source: "Actions, resources, and condition keys" of these services in the Service Authorization Reference.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pasture.domain.scope import Scope
from pasture.schedules.rule import BusKey, RuleKey, bus_of

Parts = tuple[str, str, Mapping[str, Sequence[str]]]


def of_scheduler(operation: str, asked: Mapping[str, Any], scope: Scope) -> Iterator[Parts]:
    yield f"scheduler:{operation}", _scheduler_resource(operation, asked, scope), {}
    role = asked.get("Target", {}).get("RoleArn")
    if role:
        # Who may not hand a role on must not gain its rights by way of a schedule.
        yield "iam:PassRole", role, {"iam:passedtoservice": ("scheduler.amazonaws.com",)}


def _scheduler_resource(operation: str, asked: Mapping[str, Any], scope: Scope) -> str:
    if "ResourceArn" in asked:
        return str(asked["ResourceArn"])
    if operation.startswith("List"):
        return "*"
    if operation.endswith("Group"):
        return scope.arn("scheduler", f"schedule-group/{asked['Name']}")
    return scope.arn("scheduler", f"schedule/{asked.get('GroupName', 'default')}/{asked['Name']}")


def of_events(operation: str, asked: Mapping[str, Any], scope: Scope) -> Iterator[Parts]:
    action = f"events:{operation}"
    if operation == "PutEvents":
        for entry in asked["Entries"]:
            keys = {"events:source": "Source", "events:detail-type": "DetailType"}
            told = {key: (entry[member],) for key, member in keys.items() if member in entry}
            yield action, bus_of(entry.get("EventBusName"), scope).arn, told
        return
    yield action, _events_resource(operation, asked, scope), {}
    roles = [asked.get("RoleArn"), *(target.get("RoleArn") for target in asked.get("Targets", ()))]
    for role in filter(None, roles):
        yield "iam:PassRole", role, {"iam:passedtoservice": ("events.amazonaws.com",)}


def _events_resource(operation: str, asked: Mapping[str, Any], scope: Scope) -> str:
    if "ResourceARN" in asked:
        return str(asked["ResourceARN"])
    if operation.endswith("EventBus"):
        return bus_of(asked.get("Name"), scope).arn
    name = asked.get("Rule") or asked.get("Name")
    if name is None or operation.startswith("ListRule"):
        return "*"
    bus: BusKey = bus_of(asked.get("EventBusName"), scope)
    return RuleKey(bus.scope, bus.name, name).arn
