"""Application Auto Scaling, of the provisioned concurrency of functions and of nothing else."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pasture.api.autoscaling_errors import InvalidNextToken, ObjectNotFound
from pasture.api.paging import mark, unmark
from pasture.domain.errors import InvalidParameterValue, NotBuiltYet, ValidationError
from pasture.domain.scope import Scope
from pasture.kit.clock import Clock
from pasture.kit.schedules import BadSchedule, parse
from pasture.scaling.decisions import alarm
from pasture.scaling.target import Action, Activity, Policy, Suspended, Target
from pasture.scaling.targets import TargetKey, Targets

if TYPE_CHECKING:
    from pasture.api.call import Call

PAGE = 50
NAMESPACE = "lambda"
DIMENSION = "lambda:function:ProvisionedConcurrency"
METRIC = "LambdaProvisionedConcurrencyUtilization"
_ROLE = (
    "role/aws-service-role/lambda.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency"
)

Exists = Callable[[Scope, str, str], Any]
"""Whether that version or alias of a function is there."""
_SUSPENDED = (
    ("DynamicScalingInSuspended", "scale_in"),
    ("DynamicScalingOutSuspended", "scale_out"),
    ("ScheduledScalingSuspended", "scheduled"),
)


class AutoscalingOperations:
    partly: ClassVar = {
        "PutScalingPolicy": "target tracking of LambdaProvisionedConcurrencyUtilization; other policies are refused",
        "RegisterScalableTarget": "the provisioned concurrency of functions; tags are refused",
    }

    def __init__(self, targets: Targets, clock: Clock, new_id: Callable[[], str], exists: Exists) -> None:
        self._targets = targets
        self._clock = clock
        self._new_id = new_id
        self._exists = exists

    # Targets...

    async def register_scalable_target(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """What a known one's request does not name stays."""
        key = _key(call, request)
        if request.get("Tags"):
            raise NotBuiltYet("Tags of scalable targets are not served by this version of Pasture.")
        if not await self._exists(*key):
            raise ValidationError(f"Unsupported service namespace, resource type or scalable dimension: {key.resource}")
        now = self._clock.now()

        def edit(known: Target | None) -> Target:
            if known is None and not {"MinCapacity", "MaxCapacity"} <= set(request):
                raise ValidationError("MinCapacity and MaxCapacity are required to register a new scalable target.")
            target = known or Target(self._new_id().replace("-", "")[:21], 0, 0, now)
            target = dataclasses.replace(
                target,
                minimum=request.get("MinCapacity", target.minimum),
                maximum=request.get("MaxCapacity", target.maximum),
                suspended=_suspended(target.suspended, request.get("SuspendedState") or {}),
            )
            _check_bounds(target.minimum, target.maximum)
            return target

        target = await self._targets.change(key, edit)
        assert target is not None
        return {"ScalableTargetARN": _target_arn(key, target)}

    async def describe_scalable_targets(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        resources = request.get("ResourceIds")
        found = await self._all(call, request)
        shown = [_target(key, target) for key, target in found if not resources or key.resource in resources]
        return _page("ScalableTargets", shown, request)

    async def deregister_scalable_target(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """With its policies and scheduled actions."""
        key = _key(call, request)

        def edit(known: Target | None) -> None:
            _registered(key, known)

        await self._targets.change(key, edit)
        return {}

    async def describe_scaling_activities(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        found = await self._all(call, request)
        activities = [(activity.start, _activity(key, activity)) for key, t in found for activity in t.activities]
        activities.sort(key=lambda item: -item[0])
        return _page("ScalingActivities", [shown for _, shown in activities], request)

    # Policies...

    async def put_scaling_policy(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        key, name = _key(call, request), request["PolicyName"]
        draft = _policy_of(request)
        now = self._clock.now()

        def edit(known: Target | None) -> Target:
            target = _registered(key, known)
            before = target.policies.get(name)
            if before is None and draft is None:
                raise ValidationError("TargetTrackingScalingPolicyConfiguration is required.")
            id_, created = (before.id, before.created) if before else (self._new_id(), now)
            policy = dataclasses.replace(draft, id=id_, created=created) if draft else before
            assert policy is not None
            return dataclasses.replace(target, policies=dict(sorted({**target.policies, name: policy}.items())))

        target = await self._targets.change(key, edit)
        assert target is not None
        return {"PolicyARN": _policy_arn(key, target, name), "Alarms": _alarms(key, target, name)}

    async def describe_scaling_policies(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        names = request.get("PolicyNames")
        found = await self._all(call, request)
        shown = [
            _policy(key, target, name)
            for key, target in found
            for name in target.policies
            if not names or name in names
        ]
        return _page("ScalingPolicies", shown, request)

    async def delete_scaling_policy(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        key, name = _key(call, request), request["PolicyName"]

        def edit(known: Target | None) -> Target:
            if known is None or name not in known.policies:
                raise ObjectNotFound(f"No scaling policy found for {_named(key)}, policy name: {name}")
            return dataclasses.replace(known, policies={n: p for n, p in known.policies.items() if n != name})

        await self._targets.change(key, edit)
        return {}

    # Scheduled actions...

    async def put_scheduled_action(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """What a known one's request does not name stays."""
        key, name = _key(call, request), request["ScheduledActionName"]
        now = self._clock.now()

        def edit(known: Target | None) -> Target:
            target = _registered(key, known)
            action = _action_of(request, target.actions.get(name) or Action(self._new_id(), now, "", now), now)
            return dataclasses.replace(target, actions=dict(sorted({**target.actions, name: action}.items())))

        await self._targets.change(key, edit)
        return {}

    async def describe_scheduled_actions(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        names = request.get("ScheduledActionNames")
        found = await self._all(call, request)
        shown = [
            _action(key, name, action)
            for key, target in found
            for name, action in target.actions.items()
            if not names or name in names
        ]
        return _page("ScheduledActions", shown, request)

    async def delete_scheduled_action(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        key, name = _key(call, request), request["ScheduledActionName"]

        def edit(known: Target | None) -> Target:
            if known is None or name not in known.actions:
                raise ObjectNotFound(f"No scheduled action found for {_named(key)}, scheduled action name: {name}")
            return dataclasses.replace(known, actions={n: a for n, a in known.actions.items() if n != name})

        await self._targets.change(key, edit)
        return {}

    async def _all(self, call: "Call", request: dict[str, Any]) -> list[tuple[TargetKey, Target]]:
        """The targets that a Describe asks about."""
        if request["ServiceNamespace"] != NAMESPACE or request.get("ScalableDimension", DIMENSION) != DIMENSION:
            return []
        if resource := request.get("ResourceId"):
            key = _parse(call.scope, resource)
            target = await self._targets.find(key)
            return [(key, target)] if target is not None else []
        found: list[tuple[TargetKey, Target]] = []
        after = ""
        while page := await self._targets.list(call.scope, after=after):
            after = page[-1][0].document
            found += page
        return found


# What is asked...


def _key(call: "Call", request: dict[str, Any]) -> TargetKey:
    if request["ServiceNamespace"] != NAMESPACE:
        raise NotBuiltYet(f"Scaling of the namespace {request['ServiceNamespace']} is not served by Pasture.")
    if request["ScalableDimension"] != DIMENSION:
        raise _unsupported()
    return _parse(call.scope, request["ResourceId"])


def _parse(scope: Scope, resource: str) -> TargetKey:
    match resource.split(":"):
        case ["function", name, qualifier] if name and qualifier and "/" not in resource:
            return TargetKey(scope, name, qualifier)
        case _:
            raise _unsupported()


def _unsupported() -> ValidationError:
    return ValidationError("Unsupported service namespace, resource type or scalable dimension")


def _registered(key: TargetKey, known: Target | None) -> Target:
    if known is None:
        raise ObjectNotFound(f"No scalable target found for {_named(key)}")
    return known


def _named(key: TargetKey) -> str:
    return f"service namespace: {NAMESPACE}, resource ID: {key.resource}, scalable dimension: {DIMENSION}"


def _check_bounds(minimum: int | None, maximum: int | None) -> None:
    if min(minimum or 0, maximum or 0) < 0:
        raise ValidationError("Capacity must be greater than or equal to 0")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValidationError("Maximum capacity cannot be less than minimum capacity")


def _suspended(known: Suspended, asked: dict[str, Any]) -> Suspended:
    return dataclasses.replace(known, **{field: asked[member] for member, field in _SUSPENDED if member in asked})


def _policy_of(request: dict[str, Any]) -> Policy | None:
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


def _action_of(request: dict[str, Any], known: Action, now: float) -> Action:
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
    _check_bounds(action.minimum, action.maximum)
    try:
        parse(action.schedule)
    except BadSchedule as error:
        raise ValidationError(f"Invalid schedule expression: {action.schedule}") from error
    try:
        ZoneInfo(action.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError(f"Invalid timezone: {action.timezone}") from error
    return action


# What is shown...


def _page(member: str, shown: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    limit = request.get("MaxResults", PAGE)
    if not 1 <= limit <= PAGE:
        raise ValidationError(f"MaxResults must be between 1 and {PAGE}")
    try:
        start = int(unmark(request.get("NextToken")) or 0)
    except (ValueError, InvalidParameterValue) as error:
        raise InvalidNextToken("The next token is invalid.") from error
    answer: dict[str, Any] = {member: shown[start : start + limit]}
    return {**answer, "NextToken": mark(str(start + limit))} if len(shown) > start + limit else answer


def _where(key: TargetKey) -> dict[str, Any]:
    return {"ServiceNamespace": NAMESPACE, "ResourceId": key.resource, "ScalableDimension": DIMENSION}


def _target_arn(key: TargetKey, target: Target) -> str:
    return key.scope.arn("application-autoscaling", f"scalable-target/{target.id}")


def _target(key: TargetKey, target: Target) -> dict[str, Any]:
    return {
        **_where(key),
        "MinCapacity": target.minimum,
        "MaxCapacity": target.maximum,
        "RoleARN": f"arn:{key.scope.partition}:iam::{key.scope.account}:{_ROLE}",
        "CreationTime": target.created,
        "SuspendedState": {member: getattr(target.suspended, field) for member, field in _SUSPENDED},
        "ScalableTargetARN": _target_arn(key, target),
    }


def _policy_arn(key: TargetKey, target: Target, name: str) -> str:
    resource = f"scalingPolicy:{target.policies[name].id}:resource/{NAMESPACE}/{key.resource}:policyName/{name}"
    return key.scope.arn("autoscaling", resource)


def _alarms(key: TargetKey, target: Target, name: str) -> list[dict[str, str]]:
    kinds: Iterable[str] = ("High", "Low") if target.policies[name].scales_in else ("High",)
    names = [alarm(target, name, kind) for kind in kinds]
    return [{"AlarmName": each, "AlarmARN": key.scope.arn("cloudwatch", f"alarm:{each}")} for each in names]


def _policy(key: TargetKey, target: Target, name: str) -> dict[str, Any]:
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
        "PolicyARN": _policy_arn(key, target, name),
        "PolicyName": name,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": configuration,
        "Alarms": _alarms(key, target, name),
        "CreationTime": policy.created,
    }


def _action(key: TargetKey, name: str, action: Action) -> dict[str, Any]:
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


def _activity(key: TargetKey, activity: Activity) -> dict[str, Any]:
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
