"""What may happen to an environment in this state. Pure.

    starting ──► idle ⇄ busy
        │          │      │
        └──────────┴──────┴──► stopping ──► gone

A timeout or a crash does not end an environment: it is reset, which is a matter between
`idle` and `busy` (its box and its /tmp stay, its runtime is started anew inside the next invocation).
"""

from enum import StrEnum


class EnvironmentState(StrEnum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"
    GONE = "gone"


class IllegalMove(Exception):
    """A fault in Pasture: the move is not in the table. Nothing has changed."""


_MOVES: dict[EnvironmentState, frozenset[EnvironmentState]] = {
    EnvironmentState.STARTING: frozenset({EnvironmentState.IDLE, EnvironmentState.STOPPING}),
    EnvironmentState.IDLE: frozenset({EnvironmentState.BUSY, EnvironmentState.STOPPING}),
    EnvironmentState.BUSY: frozenset({EnvironmentState.IDLE, EnvironmentState.STOPPING}),
    EnvironmentState.STOPPING: frozenset({EnvironmentState.GONE}),
    EnvironmentState.GONE: frozenset(),
}


def move(environment: str, state: EnvironmentState, to: EnvironmentState) -> EnvironmentState:
    """The new state. Raises IllegalMove naming the environment and both states."""
    if to not in _MOVES[state]:
        raise IllegalMove(f"environment {environment} cannot go from {state} to {to}")
    return to
