"""May this caller do this? All the policies that have a say, put together. Pure.

Source: "Policy evaluation logic" in the IAM guide: a deny anywhere wins. Within an account either the caller's
policies or the resource's are enough; between accounts both must allow. A session policy only takes away.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pasture.iam.policy import Effect, Policy
from pasture.iam.principal import Principal
from pasture.iam.wildcards import Context


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""
    """Of a denial, as AWS's message ends."""


ALLOWED = Decision(allowed=True)


def decide(
    principal: Principal,
    action: str,
    resource: str,
    context: Context,
    resource_policy: Policy | None = None,
    *,
    resource_must_agree: bool = False,
) -> Decision:
    """`resource_must_agree`: a role is assumed only when its trust policy says so, within an account too."""
    identity, session, granted = _effects(principal, action, resource, context, resource_policy)
    for effect, kind in ((identity, "an identity-based"), (session, "a session"), (granted, "a resource-based")):
        if effect is Effect.DENY:
            return Decision(allowed=False, reason=f"with an explicit deny in {kind} policy")
    owner = _account(resource)
    outsider = not principal.account
    foreign = not outsider and owner not in {"", principal.account}
    if (foreign or outsider or resource_must_agree) and granted is None:
        return _without("resource-based", action)
    if (foreign or (granted is not Effect.ALLOW)) and identity is not Effect.ALLOW:
        return _without("identity-based", action)
    if session is not Effect.ALLOW:
        return _without("session", action)
    return ALLOWED


def _effects(
    principal: Principal, action: str, resource: str, context: Context, resource_policy: Policy | None
) -> tuple[Effect | None, Effect | None, Effect | None]:
    """Of the caller's own policies, its session's, and the resource's."""
    identity: Effect | None = Effect.ALLOW
    if principal.policies is not None:
        identity = together(principal.policies, action, resource, context)
    session: Effect | None = Effect.ALLOW
    if principal.session_policy is not None:
        session = principal.session_policy.decide(action, resource, context)
    granted = None
    if resource_policy is not None:
        granted = resource_policy.decide(action, resource, context, principal.caller)
    return identity, session, granted


def together(policies: Iterable[Policy], action: str, resource: str, context: Context) -> Effect | None:
    """What one's policies say as one; None when they say nothing of it."""
    found = None
    for policy in policies:
        effect = policy.decide(action, resource, context)
        if effect is Effect.DENY:
            return effect
        found = effect or found
    return found


def _without(kind: str, action: str) -> Decision:
    return Decision(allowed=False, reason=f"because no {kind} policy allows the {action} action")


def _account(arn: str) -> str:
    """Empty for `*` and for ARNs without an account."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) > 5 else ""
