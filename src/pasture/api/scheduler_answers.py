"""What EventBridge Scheduler shows of schedules and groups. Pure."""

from typing import Any

from pasture.schedules.schedule import Group, GroupKey, Schedule, ScheduleKey, Target


def shown_schedule(key: ScheduleKey, schedule: Schedule) -> dict[str, Any]:
    timing = schedule.timing
    flexible: dict[str, Any] = {"Mode": "OFF"}
    if schedule.window:
        flexible = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": schedule.window}
    optional = {
        "Description": schedule.description,
        "StartDate": timing.start,
        "EndDate": timing.end,
        "KmsKeyArn": schedule.kms_key or None,
    }
    return {
        **_named(key, schedule),
        "ScheduleExpression": timing.expression,
        "ScheduleExpressionTimezone": timing.timezone,
        "FlexibleTimeWindow": flexible,
        "ActionAfterCompletion": "DELETE" if schedule.is_deleted_at_the_end else "NONE",
        "Target": shown_target(schedule.target),
        **{member: value for member, value in optional.items() if value is not None},
    }


def summary(key: ScheduleKey, schedule: Schedule) -> dict[str, Any]:
    return {**_named(key, schedule), "Target": {"Arn": schedule.target.arn}}


def _named(key: ScheduleKey, schedule: Schedule) -> dict[str, Any]:
    return {
        "Arn": key.arn,
        "GroupName": key.group,
        "Name": key.name,
        "State": "ENABLED" if schedule.is_enabled else "DISABLED",
        "CreationDate": schedule.created,
        "LastModificationDate": schedule.modified,
    }


def shown_target(target: Target) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Arn": target.arn,
        "RoleArn": target.role,
        "RetryPolicy": {
            "MaximumEventAgeInSeconds": target.retry.age,
            "MaximumRetryAttempts": target.retry.attempts,
        },
        **target.parameters,
    }
    if target.input is not None:
        shown["Input"] = target.input
    if target.dead_letter:
        shown["DeadLetterConfig"] = {"Arn": target.dead_letter}
    return shown


def shown_group(key: GroupKey, group: Group) -> dict[str, Any]:
    return {
        "Arn": key.arn,
        "Name": key.name,
        "State": "DELETING" if group.is_going else "ACTIVE",
        "CreationDate": group.created,
        "LastModificationDate": group.modified,
    }
