"""The invoke phase: the runtime answers the event it was given; then it and the extensions ask for the next one.

Until they have asked, they may time out or die, which ends everything (aws-lambda reference 2.1).
"""

from collections.abc import Callable
from dataclasses import replace

from pasture.domain.invocation import Invocation
from pasture.environments import endings
from pasture.environments.endings import Ending
from pasture.environments.programs import AnySignal, ExtensionExited, Programs
from pasture.runtime_api.extension_signals import ExtensionExitFailed
from pasture.runtime_api.signals import Answered, Exited, Ready


async def answer(
    programs: Programs, invocation: Invocation, deadline: float, timed_out: Callable[[], Ending]
) -> Ending:
    while True:
        match await programs.next_signal(deadline):
            case Answered(outcome):
                return Ending(outcome)
            case signal if bad := _bad_news(signal, invocation, timed_out):
                return bad


async def rest(
    programs: Programs,
    invocation: Invocation,
    ending: Ending,
    deadline: float,
    timed_out: Callable[[], Ending],
    runtime_done: Callable[[], None],
) -> Ending:
    """`ending` is that of the answer, whose outcome stays what it is, whatever follows."""
    runtime_is_ready = False
    while not runtime_is_ready or not programs.extensions.all_ready:
        match await programs.next_signal(deadline):
            case Ready():
                runtime_is_ready = True
                runtime_done()
            case signal if bad := _bad_news(signal, invocation, timed_out):
                return replace(bad, outcome=ending.outcome)
    return ending


def _bad_news(signal: AnySignal | None, invocation: Invocation, timed_out: Callable[[], Ending]) -> Ending | None:
    """What in the midst of an invocation ends everything."""
    match signal:
        case None:
            return timed_out()
        case Exited(exit_):
            return endings.runtime_exited(invocation.request_id, exit_)
        case ExtensionExited(_, exit_):
            return endings.extension_crashed(invocation.request_id, exit_)
        case ExtensionExitFailed(_, claimed, _):
            return endings.extension_failed(invocation.request_id, "Extension.ExitError", claimed)
        case _:
            return None
