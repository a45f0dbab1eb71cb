"""What is known of one environment. Pure."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Is(StrEnum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"
    INITIALISING = "initialising"
    """A snapshot that is to be."""
    RESTING = "resting"
    """A snapshot that waits to be restored: then it is `STARTING`, as any other."""


SNAPSHOT = frozenset({Is.INITIALISING, Is.RESTING})
"""Of the machine's own accord: no function's, until an invocation needs it."""


@dataclass(slots=True)
class Known:
    key: str
    memory_mb: int
    state: Is
    function: str
    serves_since: float = math.inf
    """When it was ready for the first time."""
    provisioned: bool = False
    """It stays while it is idle, until it is released."""
    released: bool = False
