"""What an environment is told of its runtime."""

from dataclasses import dataclass

from pasture.domain.invocation import Outcome
from pasture.isolation.spec import Exit


@dataclass(frozen=True, slots=True)
class Ready:
    """The runtime waits for an event: its init is over, or its last invocation is."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A response or an error was posted for the current invocation."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class InitFailed:
    """The runtime reported that the function cannot be initialised."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Snapshotted:
    """The runtime has run its init and its before-snapshot hooks, and waits to be restored."""


@dataclass(frozen=True, slots=True)
class RestoreFailed:
    """The runtime reported that an after-restore hook failed."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Exited:
    """The runtime's process has ended."""

    exit: Exit


Signal = Ready | Answered | InitFailed | Snapshotted | RestoreFailed | Exited
