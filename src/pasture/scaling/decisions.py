"""To how much provisioned concurrency a target is scaled, and why. Pure; time is an argument.

Target tracking acts as AWS's alarms do: out when the last three minutes were all above the target, in when the last
fifteen were all below nine tenths of it. Source: "Target tracking scaling policies" in the Application Auto Scaling
guide, "Managing provisioned concurrency" in the Lambda developer guide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from pasture.kit.schedules import At, Rate, parse
from pasture.scaling.target import Action, Policy, Target

OUT_MINUTES = 3
IN_MINUTES = 15
_IN_BELOW = 0.9
# Of a schedule that repeats, what was missed longer ago, while the server rested, is not made up for.
_LOOKS_BACK = 86_400.0


@dataclass(frozen=True, slots=True)
class Scale:
    to: int
    cause: str


def within(target: Target, current: int) -> Scale | None:
    """What lies outside the bounds is brought to them."""
    if current < target.minimum:
        return Scale(target.minimum, f"minimum capacity was set to {target.minimum}")
    if current > target.maximum:
        return Scale(target.maximum, f"maximum capacity was set to {target.maximum}")
    return None


def tracked(target: Target, current: int, minutes: Sequence[float], now: float) -> Scale | None:
    """What its policies make of the utilisation of the last minutes, the latest last: of several the highest."""
    outs = [
        scale for name, policy in target.policies.items() if (scale := _out(target, name, policy, current, minutes))
    ]
    if outs:
        policies = target.policies.values()
        cooldown = max((policy.out_cooldown or 0 for policy in policies), default=0)
        if target.suspended.scale_out or now - target.scaled_out < cooldown:
            return None
        return max(outs, key=lambda scale: scale.to)
    if target.suspended.scale_in or not target.policies:
        return None
    cooldown = max(policy.in_cooldown or 0 for policy in target.policies.values())
    ins = [_in(target, name, policy, current, minutes) for name, policy in target.policies.items()]
    if now - target.scaled_in < cooldown or any(scale is None for scale in ins):
        return None
    return max((scale for scale in ins if scale is not None), key=lambda scale: scale.to)


def due(action: Action, now: float) -> float | None:
    """When it was due last of all since it was taken last; None when it was not."""
    schedule = parse(action.schedule)
    zone = ZoneInfo(action.timezone or "UTC")
    since, origin = action.since, action.created
    if not isinstance(schedule, At):
        since = max(since, now - _LOOKS_BACK)
    if action.start is not None:
        since, origin = max(since, action.start - 1e-3), action.start
    end = min(now, action.end) if action.end is not None else now
    if isinstance(schedule, Rate) and action.start is not None and action.since < action.start <= end:
        last: float | None = action.start  # the first of a rate with a start is then
    else:
        last = None
    when = schedule.after(since, zone, origin)
    while when is not None and when <= end:
        last = when
        when = schedule.after(when, zone, origin)
    return last


def taken(target: Target, name: str, at: float) -> Target:
    """With the bounds that a scheduled action sets; it is done once."""
    action = target.actions[name]
    minimum = target.minimum if action.minimum is None else action.minimum
    maximum = target.maximum if action.maximum is None else action.maximum
    if action.minimum is None:
        minimum = min(minimum, maximum)
    if action.maximum is None:
        maximum = max(minimum, maximum)
    actions = {**target.actions, name: replace(action, since=at)}
    return replace(target, minimum=minimum, maximum=maximum, actions=actions)


def _out(target: Target, name: str, policy: Policy, current: int, minutes: Sequence[float]) -> Scale | None:
    last = minutes[-OUT_MINUTES:]
    if len(last) < OUT_MINUTES or any(used <= policy.value for used in last):
        return None
    to = min(target.maximum, max(current + 1, math.ceil(current * last[-1] / policy.value - 1e-9)))
    return Scale(to, _cause(target, name, "High")) if to > current else None


def _in(target: Target, name: str, policy: Policy, current: int, minutes: Sequence[float]) -> Scale | None:
    last = minutes[-IN_MINUTES:]
    if not policy.scales_in or len(last) < IN_MINUTES or any(used >= policy.value * _IN_BELOW for used in last):
        return None
    to = max(target.minimum, math.ceil(current * max(last) / policy.value - 1e-9), 1)
    return Scale(to, _cause(target, name, "Low")) if to < current else None


def _cause(target: Target, policy: str, which: str) -> str:
    return f"monitor alarm {alarm(target, policy, which)} in state ALARM triggered policy {policy}"


def alarm(target: Target, policy: str, which: str) -> str:
    return f"TargetTracking-{policy}-Alarm{which}-{target.policies[policy].id}"
