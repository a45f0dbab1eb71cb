"""May an execution role deliver to a target? Asked when a function is configured, and again at every delivery."""

from collections.abc import Callable, Mapping

from pasture.destinations.kinds import Kind, Need, service_of
from pasture.domain.events import Delivery
from pasture.iam.neighbour_rights import NeighbourRights

Lacks = Callable[[str, str, str], str]
"""What a role, at a target, of a function in an account, is not allowed and needs; see `DestinationRights.lacks`."""


def lacks_nothing(_role: str, _target: str, _holder: str) -> str:
    return ""


# Served by Pasture itself, so that nobody else judges who may call it.
_OWN = "lambda"


class DestinationRights:
    """`is_configured`: whether the operator has named a server for this service, where others' things may be."""

    def __init__(
        self, kinds: Mapping[str, Kind], rights: NeighbourRights, is_configured: Callable[[str], bool]
    ) -> None:
        self._kinds = kinds
        self._rights = rights
        self._is_configured = is_configured

    def lacks(self, role: str, target: str, holder: str = "") -> str:
        """The action that the role lacks for this target, such as `sqs:SendMessage`; empty when it lacks none.

        `holder` is the account of the function that has the role.
        """
        kind = self._kinds.get(service_of(target))
        missing = [need for need in kind.needs(target) if not self._may(role, need, holder)] if kind else []
        return missing[0].action if missing else ""

    def of(self, delivery: Delivery) -> str:
        return self.lacks(delivery.role, delivery.target, delivery.scope.account)

    def _may(self, role: str, need: Need, holder: str) -> bool:
        service = need.action.partition(":")[0]
        embedded = service != _OWN and not self._is_configured(service)
        return self._rights.may_use(role, need.action, need.resource, embedded=embedded, holder=holder)
