"""Before an operation runs: may its caller do this?"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pasture.api.auth.needs import Need, needs
from pasture.api.call import Call
from pasture.domain.errors import AccessDenied
from pasture.http.message import Request
from pasture.iam import evaluation
from pasture.iam.evaluation import Decision
from pasture.iam.policy import Policy
from pasture.iam.principal import Principal
from pasture.iam.wildcards import Context
from pasture.kit.clock import Clock

ResourcePolicy = Callable[[str], Awaitable[Policy | None]]
"""The policy of the resource with this ARN."""


class Authorizer:
    """`resource_policy` is asked only for callers who may not do everything in their account anyway."""

    def __init__(self, clock: Clock, resource_policy: ResourcePolicy | None = None) -> None:
        self._clock = clock
        self._resource_policy = resource_policy

    async def authorise(self, service: str, call: Call, asked: Mapping[str, Any]) -> None:
        """Raises AccessDenied, in AWS's words."""
        if call.principal.policies is None:
            return
        context = self.context(call)
        for need in needs(service, call.operation, asked, call.scope):
            policy = await self._resource_policy(need.resource) if self._resource_policy else None
            decision = self.decide(call.principal, need.action, need.resource, {**context, **need.keys}, policy)
            if not decision.allowed:
                raise denied(call.principal, need, decision)

    def decide(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: Context,
        resource_policy: Policy | None = None,
        *,
        resource_must_agree: bool = False,
    ) -> Decision:
        """What all policies together say; `resource_must_agree` also within an account (a role's trust policy)."""
        return evaluation.decide(
            principal, action, resource, context, resource_policy, resource_must_agree=resource_must_agree
        )

    def context(self, call: Call) -> dict[str, Sequence[str]]:
        """The global condition keys of a call. Source: "AWS global condition context keys" in the IAM guide."""
        principal = call.principal
        now = int(self._clock.now())
        context: dict[str, Sequence[str]] = {
            **_who(principal),
            "aws:requestedregion": (call.scope.region,),
            "aws:resourceaccount": (call.scope.account,),
            "aws:currenttime": (_iso(now),),
            "aws:epochtime": (str(now),),
            "aws:securetransport": ("true" if call.base_url.startswith("https:") else "false",),
        }
        context.update(_client(call.request))
        return context


def denied(principal: Principal, need: Need, decision: Decision) -> AccessDenied:
    return AccessDenied(
        f"User: {principal.arn} is not authorized to perform: {need.action} on resource: {need.resource} "
        f"{decision.reason}"
    )


def _who(principal: Principal) -> dict[str, Sequence[str]]:
    """`aws:PrincipalArn` of a session is its role's; only a user has a name."""
    who: dict[str, Sequence[str]] = {
        "aws:principalarn": (principal.role_arn or principal.arn,),
        "aws:principalaccount": (principal.account,),
        "aws:userid": (principal.user_id,),
    }
    kind, _, name = principal.arn.split(":", 5)[-1].partition("/")
    if principal.role_arn:
        who["aws:principaltype"] = ("AssumedRole",)
    elif kind == "user":
        who |= {"aws:principaltype": ("User",), "aws:username": (name,)}
    else:
        who["aws:principaltype"] = ("Account",)
    if principal.token_issued is not None:
        who["aws:tokenissuetime"] = (_iso(int(principal.token_issued)),)
    return who


def _client(request: Request) -> dict[str, Sequence[str]]:
    client: dict[str, Sequence[str]] = {}
    # A socket that listens for both families writes IPv4 so.
    address = request.peer.rpartition(":")[0].removeprefix("::ffff:")
    if address:
        client["aws:sourceip"] = (address,)
    for header, key in (("user-agent", "aws:useragent"), ("referer", "aws:referer")):
        value = request.headers.get(header)
        if value is not None:
            client[key] = (value,)
    return client


@lru_cache(maxsize=256)
def _iso(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
