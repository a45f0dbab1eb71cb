"""How a phase of an environment ends: what the caller gets, what the log says, whether everything starts anew. Pure."""

import re
import signal
from dataclasses import dataclass

from pasture.domain.invocation import Outcome, Status
from pasture.isolation.spec import Exit
from pasture.logs import report
from pasture.runtime_api.streaming import error_payload


@dataclass(frozen=True, slots=True)
class Ending:
    outcome: Outcome
    reset: bool = False
    """Whether every program must go; the next invocation starts them anew."""
    status: Status = Status.SUCCESS
    """As REPORT tells it: an error that the function's own code raised is a success of the platform."""
    error_type: str = ""
    news: str = ""
    """What the log says of it before END."""

    @property
    def shutdown_reason(self) -> str:
        """What extensions are told when it ends in a reset."""
        return "timeout" if self.status is Status.TIMEOUT else "failure"


def timed_out(now: float, request_id: str, timeout: int) -> Ending:
    message = f"RequestId: {request_id} Error: {report.timeout_words(timeout)}"
    outcome = Outcome(Status.TIMEOUT, error_payload("Sandbox.Timedout", message), "Sandbox.Timedout")
    return Ending(outcome, reset=True, status=Status.TIMEOUT, news=report.timed_out(now, request_id, timeout))


def init_timed_out() -> Ending:
    """Nobody is told but the log: the first invocation tries again."""
    return Ending(Outcome(Status.TIMEOUT, b""), reset=True, status=Status.TIMEOUT)


def restore_timed_out() -> Ending:
    payload = error_payload("Runtime.RestoreTimeout", "Restoring the function took longer than 10 seconds.")
    return Ending(Outcome(Status.TIMEOUT, payload, "Runtime.RestoreTimeout"), reset=True, status=Status.TIMEOUT)


def init_failed(outcome: Outcome) -> Ending:
    """The runtime reported why the function cannot be initialised: its words are the caller's."""
    return Ending(outcome, reset=True, status=Status.ERROR, error_type=outcome.error_type)


def runtime_exited(request_id: str, exit_: Exit) -> Ending:
    return failed(request_id, "Runtime.ExitError", f"Runtime exited {_how(exit_)}")


def extension_crashed(request_id: str, exit_: Exit) -> Ending:
    """RAPID's `Extension.Crash`: an external extension may not end before it is told to."""
    return failed(request_id, "Extension.Crash", _status_words(exit_) or "exit status 0")


def extension_failed(request_id: str, error_type: str, claimed: str) -> Ending:
    """`Extension.InitError` or `Extension.ExitError`, by the extension's own word."""
    return failed(request_id, error_type, claimed or error_type)


def not_started(request_id: str, error_type: str, reason: str) -> Ending:
    """Where the kernel refused to execute it, in the words of Go's os/exec, as AWS's messages have them."""
    return failed(request_id, error_type, launch_words(reason))


def launch_words(reason: str) -> str:
    """What Go's os/exec would say of it; the reason itself, where that would not have got so far."""
    refused = _REFUSED.search(reason)
    if refused is None:
        return reason
    if "/" not in refused[1]:
        return f'exec: "{refused[1]}": executable file not found in $PATH'
    return f"fork/exec {refused[1]}: {refused[2].lower()}"


def failed(request_id: str, error_type: str, words: str) -> Ending:
    payload = error_payload(error_type, f"RequestId: {request_id} Error: {words}")
    return Ending(
        Outcome(Status.ERROR, payload, error_type),
        reset=True,
        status=Status.ERROR,
        error_type=error_type,
        news=report.crashed(request_id, words, error_type),
    )


# As both kinds of isolation tell it.
_REFUSED = re.compile(r"cannot execute (\S+): ([^.]+)\.")


def _how(exit_: Exit) -> str:
    words = _status_words(exit_)
    return f"with error: {words}" if words else "without providing a reason"


def _status_words(exit_: Exit) -> str:
    if exit_.signal:
        return f"signal: {_signal_name(exit_.signal)}"
    return f"exit status {exit_.code}" if exit_.code else ""


# As Go's os/exec names them, which AWS's messages show.
_SIGNAL_NAMES = {
    int(signal.SIGABRT): "aborted",
    int(signal.SIGBUS): "bus error",
    int(signal.SIGFPE): "floating point exception",
    int(signal.SIGHUP): "hangup",
    int(signal.SIGILL): "illegal instruction",
    int(signal.SIGINT): "interrupt",
    int(signal.SIGKILL): "killed",
    int(signal.SIGPIPE): "broken pipe",
    int(signal.SIGQUIT): "quit",
    int(signal.SIGSEGV): "segmentation fault",
    int(signal.SIGTERM): "terminated",
    int(signal.SIGTRAP): "trace/breakpoint trap",
}


def _signal_name(number: int) -> str:
    return _SIGNAL_NAMES.get(number, f"signal {number}")
