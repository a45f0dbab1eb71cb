"""Before an operation runs: may its caller do this?"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pasture.api.auth.needs import Need, needs
from pasture.api.call import Call
from pasture.domain.errors import AccessDenied
from pasture.functions.s3 import S3Object, denied_by_s3
from pasture.http.message import Request
from pasture.iam import evaluation
from pasture.iam.evaluation import Decision
from pasture.iam.policy import Policy
from pasture.iam.principal import Principal
from pasture.iam.wildcards import Context
from pasture.kit.clock import Clock

ResourcePolicy = Callable[[str], Awaitable[Policy | None]]
"""The policy of the resource with this ARN."""

KeysOf = Callable[[str], Awaitable[Context]]
"""The condition keys that the resource with this ARN brings."""


class Authorizer:
    """`open_door`: whoever comes may do everything in its own account; others' resources keep their policies."""

    def __init__(
        self,
        clock: Clock,
        resource_policy: ResourcePolicy | None = None,
        *,
        keys_of: KeysOf | None = None,
        open_door: bool = False,
    ) -> None:
        self._clock = clock
        self._resource_policy = resource_policy
        self._keys_of = keys_of
        self.open_door = open_door

    async def authorise(self, service: str, call: Call, asked: Mapping[str, Any]) -> None:
        """Raises AccessDenied, in AWS's words."""
        unrestricted = call.principal.policies is None
        if unrestricted and (service != "lambda" or self._resource_policy is None):
            return
        for need in needs(service, call.operation, asked, call.scope):
            foreign = _is_foreign(need, call.principal.account)
            if unrestricted and not foreign and (self.open_door or call.operation in _NEVER_LOCKED_OUT):
                continue
            policy = await self._resource_policy(need.resource) if self._resource_policy else None
            if unrestricted and policy is None and not foreign:
                continue
            brought = await self._keys_of(need.resource) if self._keys_of else {}
            context = {**self.context(call), **brought, **need.keys}
            if foreign:
                context["aws:resourceaccount"] = (need.resource.split(":", 5)[4],)
            decision = self.decide(call.principal, need.action, need.resource, context, policy)
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


# Whoever may do everything in an account can always take back what its policies say.
_NEVER_LOCKED_OUT = frozenset({"GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy"})


def _is_foreign(need: Need, account: str) -> bool:
    """Whether it is another account's. A role is not: whether it may be passed is for the caller's own policies."""
    return _lambda_account(need.resource) not in {"", account}


@lru_cache(maxsize=4096)
def _lambda_account(resource: str) -> str:
    """Whose it is; empty when it is nobody's, or nothing of Lambda's."""
    parts = resource.split(":", 5)
    return parts[4] if len(parts) > 5 and parts[2] == "lambda" else ""


def denied(principal: Principal, need: Need, decision: Decision) -> AccessDenied:
    """A function of another account is refused without words, as recorded from AWS."""
    if _is_foreign(need, principal.account) and ":function:" in need.resource:
        return AccessDenied()
    refusal = f"User: {principal.arn} is not authorized to perform: {need.action} on resource:"
    if need.action.startswith("s3:"):  # in the words of S3, which Lambda passes on
        bucket, _, key = need.resource.split(":", 5)[5].partition("/")
        return denied_by_s3(S3Object(bucket, key), f'{refusal} "{need.resource}" {decision.reason}')
    return AccessDenied(f"{refusal} {need.resource} {decision.reason}")


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
