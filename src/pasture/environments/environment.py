"""One execution environment, from its cold start to its end.

The box is made once; the runtime in it may live several times: an init that fails is tried
again inside the first invocation, under the function's timeout, and a timeout or a crash
resets the environment: every program is killed, the box and its /tmp stay, and the next
invocation starts the runtime anew (aws-lambda reference 2.1).
"""

import asyncio
import logging
import signal as signals
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.limits import MIB, Limits
from pasture.environments.capture import Journal
from pasture.environments.lifecycle import EnvironmentState, move
from pasture.environments.plan import Plan
from pasture.environments.runtime import Runtime
from pasture.http.message import Request, Response
from pasture.http.server import HttpLimits, HttpServer
from pasture.isolation.spec import Exit, Isolation, Sandbox, SandboxError
from pasture.kit.clock import Clock
from pasture.logs import report
from pasture.logs.report import InitReport, Phase, Report
from pasture.runtime_api.api import error_response, streams
from pasture.runtime_api.signals import Answered, Exited, InitFailed, Ready
from pasture.runtime_api.streaming import error_payload

_log = logging.getLogger(__name__)


class EnvironmentGone(Exception):
    """The box has gone by no fault of the function, and no event was handed over: another environment may serve."""


class Environment:
    def __init__(
        self,
        plan: Plan,
        isolation: Isolation,
        journal: Journal,
        clock: Clock,
        limits: Limits,
        *,
        runtime_version_arn: str = "",
        on_gone: Callable[[], None] = lambda: None,
    ) -> None:
        self._plan = plan
        self._isolation = isolation
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._runtime_version_arn = runtime_version_arn
        self._on_gone = on_gone
        self._state = EnvironmentState.STARTING
        self._frozen = False
        self.born = clock.monotonic()
        self._sandbox: Sandbox | None = None
        self._server: HttpServer | None = None
        self._runtime: Runtime | None = None
        self._init_ms: float | None = None
        """Of an init that nobody has been told of yet; the next REPORT shows it."""

    def __repr__(self) -> str:
        return f"<Environment {self.id} {self._state} {self.version.name}:{self.version.version}>"

    @property
    def id(self) -> str:
        return self._plan.sandbox.id

    @property
    def version(self) -> FunctionVersion:
        return self._plan.version

    @property
    def state(self) -> EnvironmentState:
        return self._state

    @property
    def sandbox(self) -> Sandbox | None:
        return self._sandbox

    # Its life...

    async def start(self) -> None:
        """The cold start: the box, and the init phase. Raises SandboxError when there can be no box, EnvironmentGone
        when it went meanwhile.

        A function that cannot be initialised is no error here: its first invocation will tell.
        """
        self._sandbox = await self._isolation.create(self._plan.sandbox)
        self._server = HttpServer(
            self._handle,
            HttpLimits(
                head_seconds=30.0,
                idle_seconds=None,
                body_bytes=lambda _method, _target: self._limits.payload_bytes,
                too_large=self._too_large,
                connections=256,
                streams=streams,
            ),
        )
        await self._server.serve(self._sandbox.listener)
        self._journal.platform(report.init_start(self._runtime_version(), self._runtime_version_arn))
        began = self._clock.monotonic()
        failed = await self._initialise(self._limits.init_seconds, Phase.INIT)
        if failed is None:
            self._init_ms = (self._clock.monotonic() - began) * 1000
        self._move(EnvironmentState.IDLE)

    async def serve(self, invocation: Invocation, answer: Callable[[Outcome], None]) -> None:
        """One invocation. `answer` is called as soon as the outcome is known; then the environment becomes idle.

        Raises EnvironmentGone when another environment may still serve it.
        """
        self._check_alive()
        self._move(EnvironmentState.BUSY)
        try:
            await self._thaw()
            await self._serve(invocation, answer)
        finally:
            if self._state is EnvironmentState.BUSY:
                self._move(EnvironmentState.IDLE)

    async def stop(self) -> None:
        """Give back everything. Idempotent; safe in any state."""
        if self._state not in {EnvironmentState.STOPPING, EnvironmentState.GONE}:
            self._move(EnvironmentState.STOPPING)
        # Each is given back though another could not be.
        async with AsyncExitStack() as last:
            if self._sandbox is not None:
                last.push_async_callback(self._sandbox.destroy)
            if self._server is not None:
                last.push_async_callback(self._server.close)
            await self._end_runtime()
        if self._state is EnvironmentState.STOPPING:
            self._move(EnvironmentState.GONE)
            self._on_gone()

    async def freeze(self) -> None:
        """No processor time until the next invocation, if it still rests. An invocation that comes meanwhile wins."""
        if not self._rests() or self._sandbox is None:
            return
        self._frozen = True
        await self._sandbox.freeze()
        if not self._rests():
            await self._sandbox.thaw()

    def _rests(self) -> bool:
        return self._state is EnvironmentState.IDLE

    async def _thaw(self) -> None:
        if self._frozen and self._sandbox is not None:
            self._frozen = False
            await self._sandbox.thaw()

    # An invocation...

    async def _serve(self, invocation: Invocation, answer: Callable[[Outcome], None]) -> None:
        if invocation.tail:
            self._journal.begin_tail()
        timeout = self.version.timeout
        began = self._clock.monotonic()
        deadline = asyncio.get_running_loop().time() + timeout
        deadline_ms = int((self._clock.now() + timeout) * 1000)

        ending = await self._initialise_again(invocation, deadline)
        # Behind an init that runs inside the invocation, as RAPID does it.
        self._journal.platform(report.start(invocation.request_id, self.version.version))
        answered = False
        if ending is None:
            assert self._runtime is not None
            self._runtime.give(invocation, deadline_ms)
            ending = await self._await_answer(invocation, deadline)
            if not ending.reset and not invocation.tail:
                answer(ending.outcome)
                answered = True
            if not ending.reset:
                ending = await self._await_ready(invocation, deadline, ending)
        if self._runtime is not None:
            self._runtime.drain()
        self._conclude(invocation, ending, (self._clock.monotonic() - began) * 1000)
        if not answered:
            answer(_with_tail(ending.outcome, self._journal.end_tail()))
        if ending.reset:
            await self._end_runtime()

    async def _initialise_again(self, invocation: Invocation, deadline: float) -> "_Ending | None":
        """The runtime is dead or never got ready: init on the invocation's time. None when it is ready to serve."""
        if self._runtime is not None and not self._runtime.has_exited:
            return None
        await self._end_runtime()
        remaining = deadline - asyncio.get_running_loop().time()
        return await self._initialise(remaining, Phase.INVOKE, invocation)

    async def _await_answer(self, invocation: Invocation, deadline: float) -> "_Ending":
        assert self._runtime is not None
        while True:
            match await self._runtime.next_signal(deadline):
                case None:
                    return self._timed_out(invocation)
                case Answered(outcome):
                    return _Ending(outcome)
                case Exited(exit_):
                    return _exited(invocation.request_id, exit_)
                case Ready() | InitFailed():
                    continue

    async def _await_ready(self, invocation: Invocation, deadline: float, ending: "_Ending") -> "_Ending":
        """The invoke phase ends when the runtime asks for the next event; until then it may still time out or die."""
        assert self._runtime is not None
        while True:
            match await self._runtime.next_signal(deadline):
                case Ready():
                    return ending
                case None:
                    return replace(self._timed_out(invocation), outcome=ending.outcome)
                case Exited(exit_):
                    return replace(_exited(invocation.request_id, exit_), outcome=ending.outcome)
                case Answered() | InitFailed():
                    continue

    def _conclude(self, invocation: Invocation, ending: "_Ending", duration_ms: float) -> None:
        """The bad news if any, END and REPORT. A timeout's duration is the timeout: what the reset took is not the
        function's.
        """
        if ending.status is Status.TIMEOUT:
            duration_ms = self.version.timeout * 1000.0
        init_ms, self._init_ms = self._init_ms, None
        assert self._sandbox is not None
        if ending.news:
            self._journal.platform(ending.news)
        self._journal.platform(report.end(invocation.request_id))
        peak = self._sandbox.peak_memory_bytes()
        self._journal.platform(
            report.report(
                Report(
                    invocation.request_id,
                    duration_ms,
                    self.version.memory_mb,
                    min(-(-peak // MIB), self.version.memory_mb),
                    init_ms,
                    ending.status,
                    ending.error_type,
                )
            )
        )

    # Init...

    async def _initialise(self, seconds: float, phase: Phase, invocation: Invocation | None = None) -> "_Ending | None":
        """Start the runtime and wait until it asks for an event. None when it did; else how it failed."""
        assert self._sandbox is not None
        began = self._clock.monotonic()
        runtime = self._runtime = Runtime(self._plan, self._sandbox, self._journal, self._limits.payload_bytes)
        request_id = invocation.request_id if invocation else ""
        try:
            await runtime.start()
        except SandboxError as error:
            self._check_alive()
            _log.warning("environment %s: %s", self.id, error)
            failed = _failed(request_id, "Runtime.InvalidEntrypoint", f"{error}")
        else:
            failed_or_ready = await self._await_init(runtime, seconds, request_id)
            if failed_or_ready is None:
                return None
            failed = failed_or_ready
        if invocation is None:
            self._check_alive()
        runtime.drain()
        duration_ms = (self._clock.monotonic() - began) * 1000
        init_status = Status.TIMEOUT if failed.status is Status.TIMEOUT else Status.ERROR
        self._journal.platform(report.init_report(InitReport(duration_ms, phase, init_status, failed.error_type)))
        await self._end_runtime()
        if failed.status is Status.TIMEOUT and invocation is not None:
            return self._timed_out(invocation)
        return failed

    async def _await_init(self, runtime: Runtime, seconds: float, request_id: str) -> "_Ending | None":
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            match await runtime.next_signal(deadline):
                case Ready():
                    return None
                case None:
                    return _Ending(Outcome(Status.TIMEOUT, b""), reset=True, status=Status.TIMEOUT)
                case InitFailed(outcome):
                    return _Ending(outcome, reset=True, status=Status.ERROR, error_type=outcome.error_type)
                case Exited(exit_):
                    return _exited(request_id, exit_)
                case Answered():
                    continue

    # How things end badly...

    def _timed_out(self, invocation: Invocation) -> "_Ending":
        timeout = self.version.timeout
        message = f"RequestId: {invocation.request_id} Error: {report.timeout_words(timeout)}"
        outcome = Outcome(Status.TIMEOUT, error_payload("Sandbox.Timedout", message), "Sandbox.Timedout")
        news = report.timed_out(self._clock.now(), invocation.request_id, timeout)
        return _Ending(outcome, reset=True, status=Status.TIMEOUT, news=news)

    # Details...

    def _check_alive(self) -> None:
        if self._sandbox is None or not self._sandbox.is_alive:
            raise EnvironmentGone(f"the box of environment {self.id} has gone")

    async def _end_runtime(self) -> None:
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            await runtime.end()
            # What the dead have sent and nobody has read yet must not be taken for words of the next life.
            assert self._server is not None
            await self._server.disconnect()

    def _handle(self, request: Request) -> Response | Awaitable[Response]:
        if self._runtime is None:
            return error_response(403, "InvalidStateTransition", "The environment is being reset.")
        return self._runtime.handle(request)

    def _too_large(self, method: str, target: str) -> Response:
        if self._runtime is None:
            return error_response(403, "InvalidStateTransition", "The environment is being reset.")
        return self._runtime.api.too_large(method, target)

    def _runtime_version(self) -> str:
        runtime = self._plan.runtime
        family = runtime.identifier.rstrip("0123456789.x")
        return f"{family}:{runtime.version}"

    def _move(self, to: EnvironmentState) -> None:
        self._state = move(self.id, self._state, to)


@dataclass(frozen=True, slots=True)
class _Ending:
    """How an invocation ended: what the caller gets, and whether the environment must be reset."""

    outcome: Outcome
    reset: bool = False
    status: Status = Status.SUCCESS
    """As REPORT tells it: an error that the function's own code raised is a success of the platform."""
    error_type: str = ""
    news: str = ""
    """What the log says of it before END."""


def _exited(request_id: str, exit_: Exit) -> _Ending:
    name = _signal_name(exit_.signal) if exit_.signal else ""
    return _failed(request_id, "Runtime.ExitError", report.exit_words(exit_.code, name))


def _failed(request_id: str, error_type: str, words: str) -> _Ending:
    payload = error_payload(error_type, f"RequestId: {request_id} Error: {words}")
    return _Ending(
        Outcome(Status.ERROR, payload, error_type),
        reset=True,
        status=Status.ERROR,
        error_type=error_type,
        news=report.crashed(request_id, words, error_type),
    )


def _with_tail(outcome: Outcome, tail: bytes) -> Outcome:
    return Outcome(outcome.status, outcome.payload, outcome.error_type, outcome.content_type, tail) if tail else outcome


# As Go's os/exec names them, which AWS's messages show.
_SIGNAL_NAMES = {
    signals.SIGABRT: "aborted",
    signals.SIGBUS: "bus error",
    signals.SIGFPE: "floating point exception",
    signals.SIGHUP: "hangup",
    signals.SIGILL: "illegal instruction",
    signals.SIGINT: "interrupt",
    signals.SIGKILL: "killed",
    signals.SIGPIPE: "broken pipe",
    signals.SIGQUIT: "quit",
    signals.SIGSEGV: "segmentation fault",
    signals.SIGTERM: "terminated",
    signals.SIGTRAP: "trace/breakpoint trap",
}


def _signal_name(number: int) -> str:
    return _SIGNAL_NAMES.get(number, f"signal {number}")  # type: ignore[call-overload, no-any-return]
