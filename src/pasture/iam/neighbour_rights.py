"""May an execution role use a service beside Pasture? The one rule for destinations and for functions' own calls.

- A role that `pasture roles` knows may do what its policies allow.
- One that it does not know may use the embedded services, which are the operator's own and hold nothing else; of
  services that were configured, and of Pasture's own API, it may use nothing.
- Where nobody's rights are asked (`--no-auth`), a role's are not either.

What the resource's own policy says is for the service to judge.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pasture.iam.evaluation import together
from pasture.iam.policy import Effect, Policy
from pasture.iam.roles import Roles, parts_of
from pasture.kit.clock import Clock


class NeighbourRights:
    def __init__(self, roles: Roles, clock: Clock, *, open_door: bool = False) -> None:
        self._roles = roles
        self._clock = clock
        self._open_door = open_door

    def __repr__(self) -> str:
        return f"NeighbourRights({self._roles!r}, open_door={self._open_door})"

    def may_use(
        self,
        role_arn: str,
        action: str,
        resource: str,
        *,
        embedded: bool,
        holder: str = "",
        session_policy: Policy | None = None,
        keys: Mapping[str, Sequence[str]] | None = None,
    ) -> bool:
        """Whether the role may take `action` (`sqs:SendMessage`) on the resource with this ARN.

        `embedded`: of a service that this server brings along. `holder` is the account of the function that has the
        role, when it is known: another account's role gives it no rights. `keys` are further condition keys of the
        call, in lower case.
        """
        if self._open_door:
            return True
        parts = parts_of(role_arn)
        if parts is None or holder not in {"", parts[0]}:
            return False
        context = {**self._context(role_arn, parts[0], resource), **(keys or {})}
        if session_policy is not None and session_policy.decide(action, resource, context) is not Effect.ALLOW:
            return False
        role = self._roles.find(role_arn)
        if role is None:
            return embedded
        return together(role.rights, action, resource, context) is Effect.ALLOW

    def _context(self, role_arn: str, account: str, resource: str) -> dict[str, Sequence[str]]:
        """Source: "AWS global condition context keys" in the IAM guide."""
        now = int(self._clock.now())
        context: dict[str, Sequence[str]] = {
            "aws:principalarn": (role_arn,),
            "aws:principalaccount": (account,),
            "aws:principaltype": ("AssumedRole",),
            "aws:currenttime": (datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),),
            "aws:epochtime": (str(now),),
            "aws:securetransport": ("true",),
        }
        parts = resource.split(":", 5)
        if len(parts) > 5:
            context |= {"aws:requestedregion": (parts[3],)} if parts[3] else {}
            context |= {"aws:resourceaccount": (parts[4],)} if parts[4] else {}
        return context
