"""What EventBridge is asked: requests as nouns of `schedules`, or why not."""

import dataclasses
import json
import re
from typing import Any

from pasture.domain.errors import ValidationError
from pasture.domain.scope import Scope
from pasture.kit.schedules import BadSchedule, Rate, parse
from pasture.schedules import calls, event_patterns, timing, transforming
from pasture.schedules.errors import InvalidEventPattern, LimitExceeded
from pasture.schedules.firing import is_function
from pasture.schedules.rule import DEFAULT_BUS, BusKey, Rule, RuleKey, RuleTarget, bus_of
from pasture.schedules.schedule import Retry, Target
from pasture.schedules.timing import Timing

TARGETS_MAX = 5
"""Of one rule."""
_SERVED = frozenset({"Id", "Arn", "RoleArn", "Input", "InputPath", "InputTransformer", "SqsParameters", "RetryPolicy",
                     "DeadLetterConfig"})  # fmt: skip
_QUEUE = re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+", re.ASCII)
_EVENT = frozenset({"id", "account", "source", "time", "region", "resources", "detail-type"})


def rule_of(scope: Scope, request: dict[str, Any], member: str = "Name") -> RuleKey:
    bus = own_bus(scope, request.get("EventBusName"))
    return RuleKey(bus.scope, bus.name, request[member])


def own_bus(scope: Scope, named: str | None) -> BusKey:
    bus = bus_of(named, scope)
    if bus.scope != scope:
        raise ValidationError(
            f"Parameter EventBusName is not valid. Reason: {bus.arn} is not of this account and region."
        )
    return bus


def rule(key: RuleKey, request: dict[str, Any], known: Rule | None, now: float) -> Rule:
    """What the request does not name is as in a new one; targets and tags stay."""
    pattern, expression = request.get("EventPattern", ""), request.get("ScheduleExpression", "")
    if not pattern and not expression:
        raise ValidationError("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if expression and key.bus != DEFAULT_BUS:
        raise ValidationError("ScheduleExpression is supported only on the default event bus.")
    if pattern:
        check_pattern(pattern)
    before = known or Rule(created=now, tags=tags_of(request.get("Tags", ())))
    return dataclasses.replace(
        before,
        state=request.get("State", "ENABLED"),
        pattern=pattern,
        timing=_timing(expression, before.timing, now) if expression else None,
        description=request.get("Description", ""),
        role=request.get("RoleArn", ""),
    )


def _timing(expression: str, known: Timing | None, now: float) -> Timing:
    try:
        timing.check(expression, once=False)
    except BadSchedule as error:
        raise ValidationError("Parameter ScheduleExpression is not valid.") from error
    if known is not None and known.expression == expression:
        return known
    found = parse(expression)
    return Timing(expression, float(int(now) + (found.seconds if isinstance(found, Rate) else 0)))


def check_pattern(text: str) -> None:
    try:
        event_patterns.read(text)
    except event_patterns.BadPattern as error:
        raise InvalidEventPattern(f"Event pattern is not valid. Reason: {error}") from error


def event(text: str) -> dict[str, Any]:
    """Of TestEventPattern."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValidationError(f"Parameter Event is not valid. Reason: {error}") from error
    if not isinstance(found, dict) or not found.keys() >= _EVENT:
        needed = ", ".join(sorted(_EVENT))
        raise ValidationError(f"Parameter Event is not valid. Reason: an event is an object with {needed}.")
    return found


def with_targets(known: Rule, asked: list[dict[str, Any]]) -> Rule:
    targets = {**known.targets, **{each["Id"]: _target(each) for each in asked}}
    if len(targets) > TARGETS_MAX:
        raise LimitExceeded("The requested resource exceeds the maximum number allowed.")
    return dataclasses.replace(known, targets=targets)


def _target(asked: dict[str, Any]) -> RuleTarget:
    arn, id_ = asked["Arn"], asked["Id"]
    if not calls.is_target(arn) or calls.universal(arn) is not None:
        raise ValidationError(f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.")
    for name in sorted(set(asked) - _SERVED):
        raise ValidationError(f"{name} of target {id_} is not served by Pasture.")
    dead_letter = (asked.get("DeadLetterConfig") or {}).get("Arn", "")
    if dead_letter and not _QUEUE.fullmatch(dead_letter):
        raise ValidationError(f"Parameter {dead_letter} is not valid. Reason: a dead-letter queue is a queue of SQS.")
    transformer = asked.get("InputTransformer") or {}
    retry = asked.get("RetryPolicy") or {}
    made = RuleTarget(
        Target(
            arn=arn,
            role=asked.get("RoleArn", ""),
            input=asked.get("Input"),
            retry=Retry(
                retry.get("MaximumRetryAttempts", Retry().attempts), retry.get("MaximumEventAgeInSeconds", Retry().age)
            ),
            dead_letter=dead_letter,
            parameters={"SqsParameters": asked["SqsParameters"]} if asked.get("SqsParameters") else {},
        ),
        path=asked.get("InputPath", ""),
        paths=transformer.get("InputPathsMap", {}),
        template=transformer.get("InputTemplate"),
    )
    _check_input(made, id_)
    return made


def _check_input(made: RuleTarget, id_: str) -> None:
    try:
        transforming.check(made, id_)
    except transforming.BadInput as error:
        raise ValidationError(str(error)) from error
    if made.target.input is not None and is_function(made.target.arn):
        try:
            json.loads(made.target.input)
        except ValueError as error:
            raise ValidationError(f"The Input of target {id_} is no JSON: {error}") from error


def tags_of(listed: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed}


def tagged(scope: Scope, arn: str) -> RuleKey | BusKey:
    """Whoever calls asks about its own, as it is spelled: what was allowed is what is done."""
    key: RuleKey | BusKey | None = None
    match arn.split(":", 5)[-1].split("/"):
        case ["rule", name]:
            key = RuleKey(scope, DEFAULT_BUS, name)
        case ["rule", *bus, name]:
            key = RuleKey(scope, "/".join(bus), name)
        case ["event-bus", *bus]:
            key = BusKey(scope, "/".join(bus))
    if key is not None and key.arn == arn:
        return key
    raise ValidationError(f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.")
