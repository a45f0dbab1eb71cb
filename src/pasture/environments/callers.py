"""Invocations that have no outcome yet: whoever waits for each is told of it once, and its slot goes back then."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from pasture.domain.errors import ApiError, ServiceError
from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome
from pasture.environments.waiting import Want
from pasture.kit.errands import Notice


class Slot(Protocol):
    """What an invocation was admitted with; `invoke.admission` has the real one."""

    @property
    def environments(self) -> int:
        """So many environments for tenants its function may have."""
        ...

    def served(self, provisioned: bool) -> None:
        """When it has an environment, and whether that one is provisioned."""
        ...

    def give_back(self) -> None:
        """When it has its outcome, or can have none, whether or not its caller still waits."""
        ...


class FreeSlot:
    """Of what needs no admission."""

    environments = 0

    def served(self, provisioned: bool) -> None:
        pass

    def give_back(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Pending:
    version: FunctionVersion
    invocation: Invocation
    answer: Notice[Outcome]
    slot: Slot
    want: Want


class Callers:
    """Mutable state: who waits, by the id of what he wants."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}
        self._leaving = False
        self._all_answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __contains__(self, want: str) -> bool:
        return want in self._pending

    def add(self, pending: Pending) -> None:
        self._pending[pending.want.id] = pending

    def get(self, want: str) -> Pending | None:
        return self._pending.get(want)

    def answer(self, pending: Pending, outcome: Outcome) -> None:
        """The slot first: who is told may come back at once."""
        if self._pending.pop(pending.want.id, None) is not None:
            pending.slot.give_back()
        pending.answer.tell(outcome)
        self._was_answered()

    def fail(self, want: str, error: ApiError) -> Pending | None:
        """Whom it was told, if anybody."""
        pending = self._pending.pop(want, None)
        if pending is not None:
            pending.slot.give_back()
            pending.answer.fail(error)
            self._was_answered()
        return pending

    def fail_all(self) -> None:
        """The server goes."""
        pending, self._pending = self._pending, {}
        for each in pending.values():
            each.slot.give_back()
            each.answer.fail(ServiceError("The server is shutting down."))
        self._was_answered()

    async def leave(self, seconds: float) -> None:
        """Wait until everybody has been told, at most so long. Nobody comes any more."""
        self._leaving = True
        if self._pending:
            await asyncio.wait({self._all_answered}, timeout=seconds)

    def _was_answered(self) -> None:
        if self._leaving and not self._pending and not self._all_answered.done():
            self._all_answered.set_result(None)
