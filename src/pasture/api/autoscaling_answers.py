"""What Application Auto Scaling shows of targets, policies, scheduled actions and activities. Pure."""

from collections.abc import Iterable
from typing import Any

from pasture.api.autoscaling_errors import InvalidNextToken
from pasture.api.autoscaling_requests import DIMENSION, METRIC, NAMESPACE, SUSPENDED
from pasture.api.paging import mark, unmark_number
from pasture.domain.errors import InvalidParameterValue, ValidationError
from pasture.scaling.decisions import alarm
from pasture.scaling.target import Activity, Target
from pasture.scaling.targets import TargetKey

PAGE = 50
_ROLE = (
    "role/aws-service-role/lambda.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency"
)


def page(member: str, shown: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    limit = request.get("MaxResults", PAGE)
    if not 1 <= limit <= PAGE:
        raise ValidationError(f"MaxResults must be between 1 and {PAGE}")
    try:
        start = unmark_number(request.get("NextToken"), first=0)
    except InvalidParameterValue as error:
        raise InvalidNextToken("The next token is invalid.") from error
    answer: dict[str, Any] = {member: shown[start : start + limit]}
    return {**answer, "NextToken": mark(str(start + limit))} if len(shown) > start + limit else answer


def _where(key: TargetKey) -> dict[str, Any]:
    return {"ServiceNamespace": NAMESPACE, "ResourceId": key.resource, "ScalableDimension": DIMENSION}


def target_arn(key: TargetKey, target: Target) -> str:
    return key.scope.arn("application-autoscaling", f"scalable-target/{target.id}")


def shown_target(key: TargetKey, target: Target) -> dict[str, Any]:
    return {
        **_where(key),
        "MinCapacity": target.minimum,
        "MaxCapacity": target.maximum,
        "RoleARN": f"arn:{key.scope.partition}:iam::{key.scope.account}:{_ROLE}",
        "CreationTime": target.created,
        "SuspendedState": {member: getattr(target.suspended, field) for member, field in SUSPENDED},
        "ScalableTargetARN": target_arn(key, target),
    }


def policy_arn(key: TargetKey, target: Target, name: str) -> str:
    resource = f"scalingPolicy:{target.policies[name].id}:resource/{NAMESPACE}/{key.resource}:policyName/{name}"
    return key.scope.arn("autoscaling", resource)


def alarms(key: TargetKey, target: Target, name: str) -> list[dict[str, str]]:
    kinds: Iterable[str] = ("High", "Low") if target.policies[name].scales_in else ("High",)
    names = [alarm(target, name, kind) for kind in kinds]
    return [{"AlarmName": each, "AlarmARN": key.scope.arn("cloudwatch", f"alarm:{each}")} for each in names]


def shown_policy(key: TargetKey, target: Target, name: str) -> dict[str, Any]:
    policy = target.policies[name]
    configuration: dict[str, Any] = {
        "TargetValue": policy.value,
        "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
        "DisableScaleIn": not policy.scales_in,
    }
    cooldowns = {"ScaleOutCooldown": policy.out_cooldown, "ScaleInCooldown": policy.in_cooldown}
    configuration |= {member: seconds for member, seconds in cooldowns.items() if seconds is not None}
    return {
        **_where(key),
        "PolicyARN": policy_arn(key, target, name),
        "PolicyName": name,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": configuration,
        "Alarms": alarms(key, target, name),
        "CreationTime": policy.created,
    }


def shown_action(key: TargetKey, target: Target, name: str) -> dict[str, Any]:
    action = target.actions[name]
    bounds = {"MinCapacity": action.minimum, "MaxCapacity": action.maximum}
    resource = f"scheduledAction:{action.id}:resource/{NAMESPACE}/{key.resource}:scheduledActionName/{name}"
    more = {"Timezone": action.timezone or None, "StartTime": action.start, "EndTime": action.end}
    return {
        **_where(key),
        "ScheduledActionName": name,
        "ScheduledActionARN": key.scope.arn("autoscaling", resource),
        "Schedule": action.schedule,
        "ScalableTargetAction": {member: value for member, value in bounds.items() if value is not None},
        "CreationTime": action.created,
        **{member: value for member, value in more.items() if value is not None},
    }


def shown_activity(key: TargetKey, activity: Activity) -> dict[str, Any]:
    shown = {
        "ActivityId": activity.id,
        **_where(key),
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": activity.start,
        "EndTime": activity.end,
        "StatusCode": activity.status,
    }
    return {**shown, "StatusMessage": activity.message} if activity.message else shown
