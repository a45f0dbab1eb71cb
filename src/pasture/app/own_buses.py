"""The event buses of this server, for whoever calls services by their APIs: unless a neighbour has them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pasture.domain.scope import Scope
from pasture.neighbours.caller import Caller, NeighbourUnreachable
from pasture.neighbours.client import Neighbours

Put = Callable[[Scope, Mapping[str, Any], str], Awaitable[dict[str, Any]]]


class OwnBuses:
    """A `Caller`. Mutable state: where the buses are, once they are open."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours: Caller = neighbours
        self._directory = neighbours.directory
        self._put: Put | None = None

    def is_configured(self, service: str) -> bool:
        """Whether the operator has named a server for it."""
        return self._directory.has(service) and not self._directory.is_embedded(service)

    @property
    def are_here(self) -> bool:
        return not self.is_configured("events")

    def open(self, put: Put) -> None:
        self._put = put

    def close(self) -> None:
        self._put = None

    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], *, scope: Scope, trace_id: str = ""
    ) -> dict[str, Any]:
        if (service, operation) != ("events", "PutEvents") or not self.are_here:
            return await self._neighbours.call(service, operation, parameters, scope=scope, trace_id=trace_id)
        if self._put is None:
            raise NeighbourUnreachable("The event buses are not open at this moment.")
        return await self._put(scope, parameters, trace_id)
