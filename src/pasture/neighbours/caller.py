"""How other parts call a neighbour: one operation of a service of AWS, by its model's names."""

from collections.abc import Mapping
from typing import Any, Protocol

from pasture.domain.scope import Scope


class NoNeighbour(Exception):
    """No server of that service is known here; the message says which setting names one."""


class NeighbourRefused(Exception):
    """The service answered with an error."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class NeighbourUnreachable(Exception):
    """There was no answer, or none that is one; whether the call took effect is not known."""


class Caller(Protocol):
    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], *, scope: Scope, trace_id: str = ""
    ) -> dict[str, Any]:
        """Call `operation` (`SendMessage`) of `service` (botocore's name: `sqs`) for that account and region.

        Answers as botocore parses it. Raises NoNeighbour, NeighbourRefused, NeighbourUnreachable.
        """
        ...
