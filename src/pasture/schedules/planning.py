"""What a schedule that is due fires, and when it is due again. Pure.

The rule for what was missed, because the server was down or the machine asleep: of all the times that have passed, one
fires, the newest, if it is not older than the target's retry policy lets an event become. The others are skipped.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from pasture.schedules import transforming
from pasture.schedules.firing import Firing, is_function, occurrence_id, within
from pasture.schedules.rule import Rule, RuleKey
from pasture.schedules.schedule import Schedule, ScheduleKey
from pasture.schedules.timing import iso_seconds


class Plan(NamedTuple):
    firings: tuple[Firing, ...]
    due: float | None
    is_over: bool = False
    """It is to go now."""


def first_due(schedule: Schedule, moment: float) -> float | None:
    """After it was made or changed at this moment."""
    return schedule.timing.following(moment) if schedule.is_enabled else None


def of_schedule(key: ScheduleKey, schedule: Schedule, revision: int, due: float, now: float) -> Plan:
    """One that is due has come to its time; `revision` is its document's."""
    occurred = schedule.timing.newest(due, now)
    following = schedule.timing.following(occurred)
    goes = following is None and schedule.is_deleted_at_the_end
    if now - occurred > schedule.target.retry.age:
        return Plan((), following, is_over=goes)
    id_ = occurrence_id(key.arn, schedule.created, occurred)
    firing = Firing(
        id=id_,
        source=key.document,
        source_arn=key.arn,
        scope=key.scope,
        target=schedule.target,
        payload=schedule.target.input if schedule.target.input is not None else told(key, id_, occurred),
        occurred=occurred,
        due=occurred + within(id_, schedule.window * 60.0),
        last_of=revision if goes else 0,
    )
    return Plan((firing,), following)


def of_rule(key: RuleKey, rule: Rule, due: float, now: float) -> Plan:
    """One with a schedule has come to its time."""
    assert rule.timing is not None
    occurred = rule.timing.newest(due, now)
    following = rule.timing.following(occurred)
    if now - occurred > rule.retry.age:
        return Plan((), following)
    event = {
        "version": "0",
        "id": occurrence_id(key.arn, rule.created, occurred),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": key.scope.account,
        "time": iso_seconds(occurred),
        "region": key.scope.region,
        "resources": [key.arn],
        "detail": {},
    }
    return Plan(tuple(firings_of(key, rule, event, now)), following)


def firings_of(
    key: RuleKey, rule: Rule, event: Mapping[str, Any], now: float, *, hops: int = 0, trace: str = ""
) -> Iterator[Firing]:
    """One for each target of a rule that this event matches; of the same event and rule they are the same again."""
    occurred = datetime.fromisoformat(event["time"]).timestamp() if rule.timing is not None else now
    for id_, to in rule.targets.items():
        target = to.target
        if not target.role and rule.role:
            target = replace(target, role=rule.role)
        yield Firing(
            id=occurrence_id(key.arn, rule.created, 0.0, f"{event['id']}|{id_}"),
            source=key.document,
            source_arn=key.arn,
            scope=key.scope,
            target=target,
            payload=transforming.payload(to, event, key.arn, now),
            occurred=occurred,
            due=min(now, occurred),
            service="events.amazonaws.com",
            event=event if ":events:" in target.arn else {},
            hops=hops,
            trace=trace,
        )


def told(key: ScheduleKey, id_: str, occurred: float) -> str:
    """What a target is told by a schedule without an input. Seen from AWS: the detail is a text."""
    return json.dumps({
        "version": "0",
        "id": id_,
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": key.scope.account,
        "time": iso_seconds(occurred),
        "region": key.scope.region,
        "resources": [key.arn],
        "detail": "{}",
    })  # fmt: skip


def filled(firing: Firing) -> str:
    """The payload of this attempt. Source: "Adding context attributes" in the EventBridge Scheduler guide."""
    text = firing.payload
    if "<aws.scheduler." not in text or not firing.service.startswith("scheduler."):
        return text
    for name, value in (
        ("schedule-arn", firing.source_arn),
        ("scheduled-time", iso_seconds(firing.occurred)),
        ("execution-id", firing.id),
        ("attempt-number", str(firing.attempts + 1)),
    ):
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def aims(target_arn: str) -> tuple[str, ...]:
    """The ARNs that a document with this target is found by: a function's also without its qualifier."""
    if not is_function(target_arn):
        return (target_arn,)
    return tuple({target_arn, ":".join(target_arn.split(":")[:7])})
