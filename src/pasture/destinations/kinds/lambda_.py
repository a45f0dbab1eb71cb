"""Functions: invoked asynchronously, here, with the record as their event."""

from pasture.destinations.kinds import Accept, Kind, Need, Tools, Undeliverable, Unreachable
from pasture.domain.errors import ApiError
from pasture.domain.events import Delivery


class _Functions:
    def __init__(self, accept: Accept) -> None:
        self._accept = accept

    def needs(self, target: str) -> tuple[Need, ...]:
        return (Need("lambda:InvokeFunction", target),)

    async def deliver(self, delivery: Delivery) -> None:
        try:
            await self._accept(delivery)
        except ApiError as error:
            words = f"{error.code}: {error.message}"
            passing = error.status >= 500 or error.status == 429
            raise (Unreachable(words) if passing else Undeliverable(words)) from error


def make(tools: Tools) -> Kind:
    return _Functions(tools.accept)
