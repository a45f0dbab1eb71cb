"""What calls of EventBridge and EventBridge Scheduler need to be allowed."""

from typing import Any

import pytest

from pasture.api.auth.needs import needs
from pasture.domain.scope import Scope

SCOPE = Scope("111122223333", "eu-west-1")
ROLE = "arn:aws:iam::111122223333:role/r"
EVENTS = "arn:aws:events:eu-west-1:111122223333"
SCHEDULER = "arn:aws:scheduler:eu-west-1:111122223333"


def wanted(service: str, operation: str, asked: dict[str, Any]) -> list[tuple[str, str]]:
    return [(need.action, need.resource) for need in needs(service, operation, asked, SCOPE)]


@pytest.mark.parametrize(
    ("operation", "asked", "resource"),
    [
        ("PutRule", {"Name": "r"}, f"{EVENTS}:rule/r"),
        ("PutRule", {"Name": "r", "EventBusName": "b"}, f"{EVENTS}:rule/b/r"),
        ("DescribeRule", {"Name": "r", "EventBusName": f"{EVENTS}:event-bus/b"}, f"{EVENTS}:rule/b/r"),
        ("ListTargetsByRule", {"Rule": "r"}, f"{EVENTS}:rule/r"),
        ("ListRules", {"NamePrefix": "r"}, "*"),
        ("ListRuleNamesByTarget", {"TargetArn": "arn"}, "*"),
        ("TestEventPattern", {"EventPattern": "{}", "Event": "{}"}, "*"),
        ("CreateEventBus", {"Name": "b"}, f"{EVENTS}:event-bus/b"),
        ("DescribeEventBus", {}, f"{EVENTS}:event-bus/default"),
        ("TagResource", {"ResourceARN": f"{EVENTS}:rule/r"}, f"{EVENTS}:rule/r"),
    ],
)
def test_eventbridge_is_judged_by_the_rule_or_the_bus(operation: str, asked: dict[str, Any], resource: str) -> None:
    assert wanted("events", operation, asked) == [(f"events:{operation}", resource)]


def test_each_entry_is_judged_by_its_bus_and_by_what_it_says_it_is() -> None:
    asked = {"Entries": [{"Source": "s", "DetailType": "d"}, {"EventBusName": "b"}]}
    first, second = needs("events", "PutEvents", asked, SCOPE)
    assert (first.resource, second.resource) == (f"{EVENTS}:event-bus/default", f"{EVENTS}:event-bus/b")
    assert first.keys == {"events:source": ("s",), "events:detail-type": ("d",)}


def test_a_role_is_handed_on_by_who_may_hand_it_on() -> None:
    targets = {"Rule": "r", "Targets": [{"Id": "1"}, {"Id": "2", "RoleArn": ROLE}]}
    assert wanted("events", "PutTargets", targets)[1:] == [("iam:PassRole", ROLE)]
    schedule = {"Name": "s", "Target": {"RoleArn": ROLE}}
    assert wanted("scheduler", "CreateSchedule", schedule) == [
        ("scheduler:CreateSchedule", f"{SCHEDULER}:schedule/default/s"),
        ("iam:PassRole", ROLE),
    ]


@pytest.mark.parametrize(
    ("operation", "asked", "resource"),
    [
        ("GetSchedule", {"Name": "s", "GroupName": "g"}, f"{SCHEDULER}:schedule/g/s"),
        ("DeleteScheduleGroup", {"Name": "g"}, f"{SCHEDULER}:schedule-group/g"),
        ("ListSchedules", {"GroupName": "g"}, "*"),
        ("TagResource", {"ResourceArn": f"{SCHEDULER}:schedule-group/g"}, f"{SCHEDULER}:schedule-group/g"),
    ],
)
def test_the_scheduler_is_judged_by_the_schedule_or_its_group(
    operation: str, asked: dict[str, Any], resource: str
) -> None:
    assert wanted("scheduler", operation, asked) == [(f"scheduler:{operation}", resource)]
