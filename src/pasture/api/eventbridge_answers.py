"""What EventBridge shows of rules, targets and buses. Pure."""

from typing import Any

from pasture.schedules.rule import Bus, BusKey, Rule, RuleKey, RuleTarget
from pasture.schedules.schedule import Retry


def shown_rule(key: RuleKey, rule: Rule) -> dict[str, Any]:
    optional = {
        "EventPattern": rule.pattern,
        "ScheduleExpression": rule.timing.expression if rule.timing is not None else "",
        "Description": rule.description,
        "RoleArn": rule.role,
    }
    return {
        "Name": key.name,
        "Arn": key.arn,
        "State": rule.state,
        "EventBusName": key.bus,
        **{member: value for member, value in optional.items() if value},
    }


def shown_target(id_: str, to: RuleTarget) -> dict[str, Any]:
    target = to.target
    shown: dict[str, Any] = {"Id": id_, "Arn": target.arn, **target.parameters}
    if target.role:
        shown["RoleArn"] = target.role
    if target.input is not None:
        shown["Input"] = target.input
    if to.path:
        shown["InputPath"] = to.path
    if to.template is not None:
        shown["InputTransformer"] = {"InputPathsMap": dict(to.paths), "InputTemplate": to.template}
    if target.dead_letter:
        shown["DeadLetterConfig"] = {"Arn": target.dead_letter}
    if target.retry != Retry():
        shown["RetryPolicy"] = {
            "MaximumRetryAttempts": target.retry.attempts,
            "MaximumEventAgeInSeconds": target.retry.age,
        }
    return shown


def shown_bus(key: BusKey, bus: Bus) -> dict[str, Any]:
    shown: dict[str, Any] = {"Name": key.name, "Arn": key.arn}
    if bus.created:
        shown |= {"CreationTime": bus.created, "LastModifiedTime": bus.modified}
    return {**shown, "Description": bus.description} if bus.description else shown
