"""Application Auto Scaling, of the provisioned concurrency of functions and of nothing else."""

import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from pasture.api import autoscaling_answers as answers
from pasture.api import autoscaling_requests as requests
from pasture.api.autoscaling_errors import ObjectNotFound
from pasture.domain.errors import NotBuiltYet, ValidationError
from pasture.domain.function_settings import lacking
from pasture.domain.scope import Scope
from pasture.kit.clock import Clock
from pasture.scaling.target import Action, Target
from pasture.scaling.targets import TargetKey, Targets

if TYPE_CHECKING:
    from pasture.api.call import Call

Exists = Callable[[Scope, str, str], Awaitable[bool]]
"""Whether that version or alias of a function is there."""
Request = dict[str, Any]
Found = list[tuple[TargetKey, Target]]


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

    async def register_scalable_target(self, call: "Call", request: Request) -> dict[str, Any]:
        """What a known one's request does not name stays."""
        key = requests.key_of(call.scope, request)
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
                suspended=requests.suspended(target.suspended, request.get("SuspendedState") or {}),
            )
            requests.check_bounds(target.minimum, target.maximum)
            return target

        return {"ScalableTargetARN": answers.target_arn(key, await self._put(key, edit))}

    async def describe_scalable_targets(self, call: "Call", request: Request) -> dict[str, Any]:
        found = await self._all(call, request, request.get("ResourceIds") or ())
        return answers.page("ScalableTargets", [answers.shown_target(key, target) for key, target in found], request)

    async def deregister_scalable_target(self, call: "Call", request: Request) -> dict[str, Any]:
        """With its policies and scheduled actions."""
        key = requests.key_of(call.scope, request)

        def edit(known: Target | None) -> None:
            requests.registered(key, known, "found")

        await self._targets.change(key, edit)
        return {}

    async def describe_scaling_activities(self, call: "Call", request: Request) -> dict[str, Any]:
        found = await self._all(call, request)
        activities = [(activity, key) for key, target in found for activity in target.activities]
        activities.sort(key=lambda item: -item[0].start)
        shown = [answers.shown_activity(key, activity) for activity, key in activities]
        return answers.page("ScalingActivities", shown, request)

    # Policies...

    async def put_scaling_policy(self, call: "Call", request: Request) -> dict[str, Any]:
        key, name = requests.key_of(call.scope, request), request["PolicyName"]
        draft = requests.policy_of(request)
        now = self._clock.now()

        def edit(known: Target | None) -> Target:
            target = requests.registered(key, known)
            before = target.policies.get(name)
            if before is None and draft is None:
                raise ValidationError("TargetTrackingScalingPolicyConfiguration is required.")
            id_, created = (before.id, before.created) if before else (self._new_id(), now)
            policy = dataclasses.replace(draft, id=id_, created=created) if draft else before
            assert policy is not None
            return dataclasses.replace(target, policies=dict(sorted({**target.policies, name: policy}.items())))

        target = await self._put(key, edit)
        return {"PolicyARN": answers.policy_arn(key, target, name), "Alarms": answers.alarms(key, target, name)}

    async def describe_scaling_policies(self, call: "Call", request: Request) -> dict[str, Any]:
        found = _named(await self._all(call, request), lambda target: target.policies, request.get("PolicyNames"))
        return answers.page("ScalingPolicies", [answers.shown_policy(*each) for each in found], request)

    async def delete_scaling_policy(self, call: "Call", request: Request) -> dict[str, Any]:
        return await self._remove(call, request, "policies", "scaling policy", "policy name", request["PolicyName"])

    # Scheduled actions...

    async def put_scheduled_action(self, call: "Call", request: Request) -> dict[str, Any]:
        """What a known one's request does not name stays."""
        key, name = requests.key_of(call.scope, request), request["ScheduledActionName"]
        now = self._clock.now()

        def edit(known: Target | None) -> Target:
            target = requests.registered(key, known)
            before = target.actions.get(name) or Action(self._new_id(), now, "", now)
            action = requests.action_of(request, before, now)
            return dataclasses.replace(target, actions=dict(sorted({**target.actions, name: action}.items())))

        await self._put(key, edit)
        return {}

    async def describe_scheduled_actions(self, call: "Call", request: Request) -> dict[str, Any]:
        names = request.get("ScheduledActionNames")
        found = _named(await self._all(call, request), lambda target: target.actions, names)
        return answers.page("ScheduledActions", [answers.shown_action(*each) for each in found], request)

    async def delete_scheduled_action(self, call: "Call", request: Request) -> dict[str, Any]:
        name = request["ScheduledActionName"]
        return await self._remove(call, request, "actions", "scheduled action", "scheduled action name", name)

    # Of all of them...

    async def _put(self, key: TargetKey, edit: Callable[[Target | None], Target]) -> Target:
        target = await self._targets.change(key, edit)
        assert target is not None
        return target

    async def _remove(
        self, call: "Call", request: Request, field: str, kind: str, what: str, name: str
    ) -> dict[str, Any]:
        key = requests.key_of(call.scope, request)

        def edit(known: Target | None) -> Target:
            if known is None or name not in getattr(known, field):
                raise ObjectNotFound(f"No {kind} found for {requests.named(key)}, {what}: {name}")
            changes: dict[str, Any] = {field: lacking(getattr(known, field), name)}
            return dataclasses.replace(known, **changes)

        await self._put(key, edit)
        return {}

    async def _all(self, call: "Call", request: Request, resources: Iterable[str] = ()) -> Found:
        """The targets that a Describe asks about."""
        dimension = request.get("ScalableDimension", requests.DIMENSION)
        if request["ServiceNamespace"] != requests.NAMESPACE or dimension != requests.DIMENSION:
            return []
        if asked := {request["ResourceId"]} if "ResourceId" in request else set(resources):
            keys = [requests.resource_of(call.scope, resource) for resource in sorted(asked)]
            return [(key, target) for key in keys if (target := await self._targets.find(key)) is not None]
        found: Found = []
        after = ""
        while page := await self._targets.list(call.scope, after=after):
            after = page[-1][0].document
            found += page
        return found


def _named(
    found: Found, parts: Callable[[Target], Iterable[str]], names: list[str] | None
) -> Iterable[tuple[TargetKey, Target, str]]:
    """What belongs to targets, by name; all of it without names."""
    return ((key, target, name) for key, target in found for name in parts(target) if not names or name in names)
