"""May this caller have its call passed on?"""

from collections.abc import Callable

from botocore.model import ServiceModel

from pasture.api.auth.authorisation import Authorizer
from pasture.api.call import Authenticated, Call
from pasture.api.passing.needs import Needed, needed
from pasture.api.passing.operations import asked
from pasture.domain.errors import AccessDenied
from pasture.iam.neighbour_rights import NeighbourRights


class PassingRights:
    """Keys without a policy may do everything in their account; others what their policies say, functions what
    `NeighbourRights` says.
    """

    def __init__(self, authorizer: Authorizer, rights: NeighbourRights) -> None:
        self._authorizer = authorizer
        self._rights = rights

    @staticmethod
    def are_limited(who: Authenticated) -> bool:
        return who.principal.policies is not None or who.principal.session_policy is not None

    def check(
        self, who: Authenticated, call: Call, target: str, *, embedded: bool, model: Callable[[], ServiceModel | None]
    ) -> None:
        """Raises AccessDenied."""
        service, request = who.service or "", call.request
        meant = asked(request, target, model)
        copied = request.headers.get("x-amz-copy-source", "")
        for need in needed(service, meant.operation, meant.parameters, who.scope, copied):
            why = self._refusal(who, need, call, embedded=embedded)
            if why is not None:
                raise AccessDenied(
                    f"User: {who.principal.arn} is not authorized to perform: {need.action} on resource: "
                    f"{need.resource} {why}"
                )

    def _refusal(self, who: Authenticated, need: Needed, call: Call, *, embedded: bool) -> str | None:
        principal = who.principal
        context = self._authorizer.context(call)
        if not principal.role_arn:
            decision = self._authorizer.decide(principal, need.action, need.resource, context)
            return None if decision.allowed else decision.reason
        allowed = self._rights.may_use(
            principal.role_arn,
            need.action,
            need.resource,
            embedded=embedded,
            holder=principal.account,
            session_policy=principal.session_policy,
            keys=context,
        )
        return None if allowed else f"because no identity-based policy allows the {need.action} action"
