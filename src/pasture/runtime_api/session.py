"""What a call from inside the sandbox means now. Pure.

The legal moves of a runtime, as AWS's own RAPID has them (runtime interface emulator,
`core/statejson` and `rapi/handler`): a move that is not in the table is refused with an
error that names both states, and nothing changes.

    Started ──next──► Ready ──(given an event)──► Running ──response──► InvocationResponse ──next──► Ready
       │                                             └──────error─────► InvocationErrorResponse ──next──► Ready
       ├──init/error──► InitError
       └──restore/next──► RestoreReady ──(restored)──► Restoring ──next──► Ready      (SnapStart alone)
                                                          └──restore/error──► RestoreError
"""

from dataclasses import dataclass
from enum import StrEnum


class RuntimeState(StrEnum):
    """RAPID's names: they are part of its error messages."""

    STARTED = "Started"
    INIT_ERROR = "InitError"
    READY = "Ready"
    RUNNING = "Running"
    RESPONDED = "InvocationResponse"
    FAILED = "InvocationErrorResponse"
    RESTORE_READY = "RestoreReady"
    RESTORING = "Restoring"
    RESTORE_ERROR = "RestoreError"


class Refusal(Exception):
    """A call that cannot be taken now: what the runtime is answered."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message


class Poll(StrEnum):
    """What a call of `next` tells."""

    INITIALISED = "initialised"
    DONE = "done"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class _Given:
    request_id: str
    invocation_id: str


_MOVES: dict[RuntimeState, frozenset[RuntimeState]] = {
    RuntimeState.STARTED: frozenset({RuntimeState.READY, RuntimeState.INIT_ERROR, RuntimeState.RESTORE_READY}),
    RuntimeState.RESTORE_READY: frozenset({RuntimeState.RESTORING, RuntimeState.INIT_ERROR}),
    RuntimeState.RESTORING: frozenset({RuntimeState.READY, RuntimeState.RESTORE_ERROR}),
    RuntimeState.RESTORE_ERROR: frozenset(),
    RuntimeState.INIT_ERROR: frozenset(),
    RuntimeState.READY: frozenset({RuntimeState.RUNNING}),
    RuntimeState.RUNNING: frozenset({RuntimeState.RESPONDED, RuntimeState.FAILED}),
    RuntimeState.RESPONDED: frozenset({RuntimeState.READY}),
    RuntimeState.FAILED: frozenset({RuntimeState.READY}),
}


class Session:
    """One life of a runtime, from its start to its end."""

    def __init__(self) -> None:
        self.state = RuntimeState.STARTED
        self._given: _Given | None = None

    def __repr__(self) -> str:
        return f"<Session {self.state}{' ' + self._given.request_id if self._given else ''}>"

    def polls(self) -> Poll:
        """The runtime calls `next`. Calling it again while waiting or running is tolerated, as RAPID does."""
        if self.state in {RuntimeState.READY, RuntimeState.RUNNING}:
            return Poll.AGAIN
        first = self.state in {RuntimeState.STARTED, RuntimeState.RESTORING}
        self._move(RuntimeState.READY)
        self._given = None
        return Poll.INITIALISED if first else Poll.DONE

    def is_given(self, request_id: str, invocation_id: str) -> None:
        """The platform hands an event to the runtime that waits for one."""
        self._move(RuntimeState.RUNNING)
        self._given = _Given(request_id, invocation_id)

    def responds(self, request_id: str, invocation_id: str) -> None:
        self._check(request_id, invocation_id)
        self._move(RuntimeState.RESPONDED)

    def fails(self, request_id: str, invocation_id: str) -> None:
        self._check(request_id, invocation_id)
        self._move(RuntimeState.FAILED)

    def fails_to_initialise(self) -> None:
        self._move(RuntimeState.INIT_ERROR)

    def waits_for_restore(self) -> bool:
        """The runtime is initialised, and calls `restore/next`. False when it calls again while it waits."""
        if self.state is RuntimeState.RESTORE_READY:
            return False
        self._move(RuntimeState.RESTORE_READY)
        return True

    def is_restored(self) -> None:
        """The platform lets it go on: its hooks run now."""
        self._move(RuntimeState.RESTORING)

    def fails_to_restore(self) -> None:
        self._move(RuntimeState.RESTORE_ERROR)

    def _check(self, request_id: str, invocation_id: str) -> None:
        if self._given is None or request_id != self._given.request_id:
            raise Refusal(400, "InvalidRequestID", "Invalid request ID")
        if invocation_id and invocation_id != self._given.invocation_id:
            raise Refusal(400, "InvalidInvocationId", "Invalid invocation ID")

    def _move(self, to: RuntimeState) -> None:
        if to not in _MOVES[self.state]:
            raise Refusal(
                403,
                "InvalidStateTransition",
                f"State transition from {self.state} to {to} failed for runtime. "
                "Error: State transition is not allowed",
            )
        self.state = to
