"""The init phase: extensions first; when all have registered, the runtime; then all must ask for their first event.

The order is RAPID's (aws-lambda reference 3.4). It runs at the cold start, and again inside an
invocation when the programs are to live anew.
"""

from pasture.domain.invocation import Status
from pasture.environments import endings
from pasture.environments.endings import Ending
from pasture.environments.journal import Journal
from pasture.environments.programs import AnySignal, ExtensionExited, Programs
from pasture.logs import platform
from pasture.logs.report import Phase
from pasture.runtime_api.extension_signals import ExtensionExitFailed, ExtensionInitFailed
from pasture.runtime_api.session import Refusal
from pasture.runtime_api.signals import Exited, InitFailed, Ready, RestoreFailed, Snapshotted


async def run(
    programs: Programs, journal: Journal, phase: Phase, kind: str, deadline: float, request_id: str
) -> Ending | None:
    """None when every program asks for its first event; else how it failed. SandboxError when one cannot start.

    `kind`: the initialization type. With SnapStart the runtime may wait to be restored instead; see `restore`.
    """
    try:
        await programs.start_extensions()
    except Refusal as refusal:
        return endings.failed(request_id, refusal.error_type, refusal.message)
    if programs.has_external and (failed := await _await_registered(programs, deadline, request_id)):
        return failed
    await programs.start_runtime()
    return await _await_ready(programs, journal, phase, kind, deadline, request_id)


async def restore(programs: Programs, deadline: float) -> Ending | None:
    """Of a runtime that waits for it: None when its hooks have run and it asks for an event; else how it failed."""
    programs.restore()
    while True:
        match await programs.next_signal(deadline):
            case Ready():
                return None
            case None:
                return endings.restore_timed_out()
            case RestoreFailed(outcome):
                return endings.init_failed(outcome)
            case signal if failed := _bad_start(signal, ""):
                return failed


async def _await_registered(programs: Programs, deadline: float, request_id: str) -> Ending | None:
    while not programs.extensions.all_registered:
        if failed := _bad_start(await programs.next_signal(deadline), request_id):
            return failed
    return None


async def _await_ready(
    programs: Programs, journal: Journal, phase: Phase, kind: str, deadline: float, request_id: str
) -> Ending | None:
    runtime_is_ready = False
    while not runtime_is_ready or not programs.extensions.all_ready:
        signal = await programs.next_signal(deadline)
        if isinstance(signal, Ready | Snapshotted):
            runtime_is_ready = True
            programs.extensions.close_registration()
            journal.platform(platform.InitRuntimeDone(Status.SUCCESS, phase=phase, initialization_type=kind))
        elif failed := _bad_start(signal, request_id):
            return failed
    return None


def _bad_start(signal: AnySignal | None, request_id: str) -> Ending | None:
    """What in the midst of an init makes it fail."""
    match signal:
        case None:
            return endings.init_timed_out()
        case InitFailed(outcome):
            return endings.init_failed(outcome)
        case Exited(exit_):
            return endings.runtime_exited(request_id, exit_)
        case ExtensionExited(_, exit_):
            return endings.extension_crashed(request_id, exit_)
        case ExtensionInitFailed(_, claimed, _):
            return endings.extension_failed(request_id, "Extension.InitError", claimed)
        case ExtensionExitFailed(_, claimed, _):
            return endings.extension_failed(request_id, "Extension.ExitError", claimed)
        case _:
            return None
