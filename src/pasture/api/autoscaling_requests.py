"""What Application Auto Scaling is asked: requests as nouns of `scaling`, or why not, mostly in words of our own."""

import dataclasses
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pasture.api.autoscaling_errors import ObjectNotFound
from pasture.domain.errors import NotBuiltYet, ValidationError
from pasture.domain.scope import Scope
from pasture.kit.schedules import BadSchedule, parse
from pasture.scaling.target import Action, Policy, Suspended, Target
from pasture.scaling.targets import TargetKey

NAMESPACE = "lambda"
DIMENSION = "lambda:function:ProvisionedConcurrency"
METRIC = "LambdaProvisionedConcurrencyUtilization"
SUSPENDED = (
    ("DynamicScalingInSuspended", "scale_in"),
    ("DynamicScalingOutSuspended", "scale_out"),
    ("ScheduledScalingSuspended", "scheduled"),
)


def key_of(scope: Scope, request: dict[str, Any]) -> TargetKey:
    if request["ServiceNamespace"] != NAMESPACE:
        raise NotBuiltYet(f"Scaling of the namespace {request['ServiceNamespace']} is not served by Pasture.")
    if request["ScalableDimension"] != DIMENSION:
        raise _unsupported()
    return resource_of(scope, request["ResourceId"])


def resource_of(scope: Scope, resource: str) -> TargetKey:
    match resource.split(":"):
        case ["function", name, qualifier] if name and qualifier and "/" not in resource:
            return TargetKey(scope, name, qualifier)
        case _:
            raise _unsupported()


def _unsupported() -> ValidationError:
    return ValidationError("Unsupported service namespace, resource type or scalable dimension")


def registered(key: TargetKey, known: Target | None, word: str = "registered") -> Target:
    if known is None:
        raise ObjectNotFound(f"No scalable target {word} for {named(key)}")
    return known


def named(key: TargetKey) -> str:
    return f"service namespace: {NAMESPACE}, resource ID: {key.resource}, scalable dimension: {DIMENSION}"


def check_bounds(minimum: int | None, maximum: int | None) -> None:
    if min(minimum or 0, maximum or 0) < 0:
        raise ValidationError("Capacity must be greater than or equal to 0")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValidationError("Maximum capacity cannot be less than minimum capacity")


def suspended(known: Suspended, asked: dict[str, Any]) -> Suspended:
    return dataclasses.replace(known, **{field: asked[member] for member, field in SUSPENDED if member in asked})


def policy_of(request: dict[str, Any]) -> Policy | None:
    kind = request.get("PolicyType", "TargetTrackingScaling")
    if kind != "TargetTrackingScaling" or "StepScalingPolicyConfiguration" in request:
        raise NotBuiltYet(f"Policies of the type {kind} are not served by Pasture; TargetTrackingScaling is.")
    asked = request.get("TargetTrackingScalingPolicyConfiguration")
    if asked is None:
        return None
    if "CustomizedMetricSpecification" in asked:
        raise NotBuiltYet(f"CustomizedMetricSpecification is not served by Pasture; {METRIC} is.")
    metric = (asked.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    if metric != METRIC:
        raise ValidationError(f"The metric {metric} is not supported for the scalable dimension {DIMENSION}")
    if not 0.0 < asked["TargetValue"] <= 1.0:
        raise ValidationError("TargetValue must be greater than 0 and at most 1")
    return Policy(
        "",
        0.0,
        asked["TargetValue"],
        asked.get("ScaleOutCooldown"),
        asked.get("ScaleInCooldown"),
        not asked.get("DisableScaleIn", False),
    )


def action_of(request: dict[str, Any], known: Action, now: float) -> Action:
    bounds = request.get("ScalableTargetAction")
    action = dataclasses.replace(
        known,
        schedule=request.get("Schedule", known.schedule),
        timezone=request.get("Timezone", known.timezone),
        start=request["StartTime"].timestamp() if "StartTime" in request else known.start,
        end=request["EndTime"].timestamp() if "EndTime" in request else known.end,
        minimum=known.minimum if bounds is None else bounds.get("MinCapacity"),
        maximum=known.maximum if bounds is None else bounds.get("MaxCapacity"),
        since=now,
    )
    if action.minimum is None and action.maximum is None:
        raise ValidationError("At least one of MinCapacity and MaxCapacity must be specified in ScalableTargetAction")
    check_bounds(action.minimum, action.maximum)
    try:
        parse(action.schedule)
    except BadSchedule as error:
        raise ValidationError(f"Invalid schedule expression: {action.schedule}") from error
    try:
        ZoneInfo(action.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError(f"Invalid timezone: {action.timezone}") from error
    return action
