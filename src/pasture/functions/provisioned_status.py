"""How far a provisioned concurrency configuration has come, and which version an alias runs meanwhile. Pure.

IN_PROGRESS → READY | FAILED; back to IN_PROGRESS when more are asked for, some have died, or the alias is moved.
"""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    IN_PROGRESS = "IN_PROGRESS"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Allocation:
    requested: int
    allocated: int = 0
    failure: str = ""

    @property
    def status(self) -> Status:
        if self.failure:
            return Status.FAILED
        return Status.READY if self.allocated >= self.requested else Status.IN_PROGRESS


def share(requested: dict[str, int], ready: int, failure: str) -> dict[str, Allocation]:
    """What each qualifier has of a version's environments, where several point to it: in order of name."""
    shares: dict[str, Allocation] = {}
    for qualifier, executions in sorted(requested.items()):
        allocated = min(executions, ready)
        ready -= allocated
        shares[qualifier] = Allocation(executions, allocated, failure)
    return shares


def serving(target: str, before: str | None, allocation: Allocation, *, before_is_there: bool) -> str:
    """The version that an alias runs: the one before, until the one it points to is ready as a whole."""
    if before is None or before == target or not before_is_there or allocation.status is Status.READY:
        return target
    return before
