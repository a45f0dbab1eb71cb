"""One execution environment, from its cold start to its end.

The box is made once; the runtime in it may live several times: an init that fails is tried
again inside the first invocation, under the function's timeout, and a timeout or a crash
resets the environment: every program is killed, the box and its /tmp stay, and the next
invocation starts the runtime anew (aws-lambda reference 2.1).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from pasture.domain.function import FunctionVersion
from pasture.domain.invocation import Invocation, Outcome, Status
from pasture.domain.limits import Limits
from pasture.environments import endings, init_phase, invoke_phase
from pasture.environments.account import Account
from pasture.environments.endings import Ending
from pasture.environments.journal import Journal
from pasture.environments.lifecycle import EnvironmentState, move
from pasture.environments.plan import Plan
from pasture.environments.programs import Programs
from pasture.http.message import Headers, Request, Response
from pasture.http.server import HttpLimits, HttpServer
from pasture.isolation.spec import Isolation, Sandbox, SandboxError
from pasture.kit.clock import Clock
from pasture.logs import platform
from pasture.logs.report import Phase
from pasture.runtime_api.api import RUNTIME, error_response, streams
from pasture.runtime_api.outward import Outward

_log = logging.getLogger(__name__)

# Seconds that a resting environment is left running for its telemetry.
_TELEMETRY_BEFORE_FREEZING = 0.2


# Seconds that an init may take that nobody waits for: at least, and at most, whatever the function's timeout.
_INIT_AHEAD = 130.0
_INIT_AHEAD_AT_MOST = 900.0


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
        outward: Outward | None = None,
        on_gone: Callable[[], None] = lambda: None,
        on_report: Callable[[Invocation, Outcome, float], None] = lambda _invocation, _outcome, _ms: None,
    ) -> None:
        self._plan = plan
        self._id = plan.sandbox.id
        self._isolation = isolation
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._outward = outward
        self._on_gone = on_gone
        self._account = Account(plan, journal, clock, runtime_version_arn, on_report)
        self._state = EnvironmentState.STARTING
        self._frozen = False
        self._loop = asyncio.get_running_loop()
        self.born = clock.monotonic()
        self.has_served = False
        self._sandbox: Sandbox | None = None
        self._server: HttpServer | None = None
        self._programs: Programs | None = None

    def __repr__(self) -> str:
        return f"<Environment {self.id} {self._state} {self.version.name}:{self.version.version}>"

    @property
    def id(self) -> str:
        return self._id

    @property
    def is_alive(self) -> bool:
        return self._sandbox is not None and self._sandbox.is_alive

    @property
    def is_initialised(self) -> bool:
        """Whether its programs run, and have asked for an event."""
        return self._is_initialised

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
        """The cold start: the box, the init phase, the restore of what waits for one. Raises SandboxError when there
        can be no box, EnvironmentGone when it went meanwhile.

        A function that cannot be initialised is no error here: its first invocation will tell.
        """
        if self._sandbox is None:
            await self.prepare()
        self._check_alive()
        if self._frozen:
            await self._thaw()
        if self._waits_for_restore:
            await self._restore(self._limits.restore_seconds)
        self._move(EnvironmentState.IDLE)

    async def prepare(self) -> Ending | None:
        """The first part of `start`, to where a function with SnapStart waits to be restored; how it failed, if so."""
        self._sandbox = await self._isolation.create(self._plan.sandbox)
        self._server = HttpServer(
            self._handle,
            HttpLimits(
                head_seconds=30.0,
                idle_seconds=None,
                body_bytes=lambda _method, _target: self._limits.payload_bytes,
                too_large=self._too_large,
                connections=256,
                streams=self._streams,
            ),
        )
        await self._server.serve(self._sandbox.listener)
        began = self._clock.monotonic()
        failed = await self._initialise(self._init_seconds, Phase.INIT)
        if failed is None and not self._waits_for_restore:
            self._account.init_ms = (self._clock.monotonic() - began) * 1000
        return failed

    async def keep(self) -> None:
        """Prepared, it gets no processor time until it is started."""
        if self._sandbox is not None:
            self._frozen = True
            await self._sandbox.freeze()

    @property
    def _init_seconds(self) -> float:
        if self._plan.initialization == platform.ON_DEMAND:
            return self._limits.init_seconds
        return min(max(_INIT_AHEAD, self.version.timeout), _INIT_AHEAD_AT_MOST)

    async def serve(self, invocation: Invocation, answer: Callable[[Outcome], None]) -> None:
        """One invocation. `answer` is called as soon as the outcome is known; then the environment becomes idle.

        Raises EnvironmentGone when another environment may still serve it.
        """
        self._check_alive()
        self._move(EnvironmentState.BUSY)
        self.has_served = True
        try:
            if self._frozen:
                await self._thaw()
            await self._serve(invocation, answer)
        finally:
            self._journal.owes(False)
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
            await self._thaw()
            await self._end_programs("spindown")
        if self._state is EnvironmentState.STOPPING:
            self._move(EnvironmentState.GONE)
            self._on_gone()

    async def freeze(self) -> None:
        """No processor time until the next invocation, if it still rests. An invocation that comes meanwhile wins."""
        if not self._rests() or self._sandbox is None:
            return
        telemetry = self._programs.telemetry if self._programs is not None else None
        if telemetry is not None and telemetry.subscribers:
            # What they have not taken by now they take after the next thaw.
            await telemetry.flush(_TELEMETRY_BEFORE_FREEZING)
            if not self._rests():
                return
            telemetry.pause()
        self._frozen = True
        await self._sandbox.freeze()
        # An invocation that came meanwhile has thawed it, perhaps before the freezing took hold.
        self._frozen = True
        if not self._rests():
            await self._thaw()

    def _rests(self) -> bool:
        return self._state is EnvironmentState.IDLE

    async def _thaw(self) -> None:
        if not self._frozen or self._sandbox is None:
            return
        self._frozen = False
        await self._sandbox.thaw()
        if self._programs is not None:
            self._programs.telemetry.resume()

    # An invocation...

    async def _serve(self, invocation: Invocation, answer: Callable[[Outcome], None]) -> None:
        if invocation.tail:
            self._journal.begin_tail()
        self._account.begin(invocation)
        timed_out = partial(self._timed_out, invocation)
        timeout = self.version.timeout
        deadline = self._loop.time() + timeout
        deadline_ms = int((self._clock.now() + timeout) * 1000)

        ending = None if self._is_initialised else await self._initialise_again(invocation, deadline)
        if ending is None:
            self._living.give(invocation, deadline_ms)
        # Behind an init that runs inside the invocation, as RAPID does it; and what the function says of the event
        # that it was given is read later.
        self._account.start(invocation)
        answered = False
        if ending is None:
            ending = await invoke_phase.answer(self._living, invocation, deadline, timed_out)
            if not ending.reset and not invocation.tail:
                self._journal.owes(True)
                answer(ending.outcome)
                answered = True
            if not ending.reset:
                done = partial(self._account.runtime_done, invocation, ending)
                ending = await invoke_phase.rest(self._living, invocation, ending, deadline, timed_out, done)
        if self._programs is not None:
            self._programs.drain()
        assert self._sandbox is not None
        self._account.conclude(invocation, ending, self._sandbox.peak_memory_bytes())
        if not answered:
            answer(_with_tail(ending.outcome, self._journal.end_tail()))
        if ending.reset:
            await self._end_programs(ending.shutdown_reason)

    def _timed_out(self, invocation: Invocation) -> Ending:
        return endings.timed_out(self._clock.now(), invocation.request_id, self.version.timeout)

    @property
    def _is_initialised(self) -> bool:
        return self._programs is not None and not self._programs.has_exited

    async def _initialise_again(self, invocation: Invocation, deadline: float) -> Ending | None:
        """The programs are dead or never got ready: init on the invocation's time. None when they are ready."""
        await self._end_programs("failure")
        failed = await self._initialise(deadline - self._loop.time(), Phase.INVOKE, invocation)
        if failed is None and self._waits_for_restore:
            failed = await self._restore(min(deadline - self._loop.time(), self._limits.restore_seconds))
        return failed

    # Restore...

    @property
    def _waits_for_restore(self) -> bool:
        return self._is_initialised and self._living.waits_for_restore

    async def _restore(self, seconds: float) -> Ending | None:
        """Let it go on, through its hooks, to where it asks for an event. None when it does; else how it failed."""
        began = self._clock.monotonic()
        programs = self._living
        self._account.restore_start()
        failed = await init_phase.restore(programs, self._loop.time() + seconds)
        duration_ms = (self._clock.monotonic() - began) * 1000
        programs.drain()
        self._account.restored(failed, duration_ms)
        if failed is not None:
            self._check_alive()
            await self._end_programs(failed.shutdown_reason)
        return failed

    # Init...

    async def _initialise(self, seconds: float, phase: Phase, invocation: Invocation | None = None) -> Ending | None:
        """Start the programs and wait until they ask for an event. None when they did; else how it failed."""
        assert self._sandbox is not None
        self._sandbox.limit_cpus(self._plan.sandbox.cpus)
        began = self._clock.monotonic()
        kind = self._plan.initialization
        programs = self._programs = Programs(self._plan, self._sandbox, self._journal, self._clock, self._limits)
        self._account.init_start(phase)
        request_id = invocation.request_id if invocation else ""
        deadline = self._loop.time() + seconds
        try:
            failed = await init_phase.run(programs, self._journal, phase, kind, deadline, request_id)
        except SandboxError as error:
            self._check_alive()
            _log.warning("environment %s: %s", self.id, error)
            failed = endings.not_started(request_id, programs.cannot_start, f"{error}")
            if self._plan.image is not None:
                self._journal.platform(platform.Fault(self._plan.image.launch_error(endings.launch_words(f"{error}"))))
        duration_ms = (self._clock.monotonic() - began) * 1000
        if failed is None:
            self._has_initialised(programs, duration_ms, phase)
            return None
        if invocation is None:
            self._check_alive()
        programs.drain()
        status = Status.TIMEOUT if failed.status is Status.TIMEOUT else Status.ERROR
        self._journal.platform(platform.InitReport(status, duration_ms, failed.error_type, phase, kind))
        await self._end_programs(failed.shutdown_reason)
        if failed.status is Status.TIMEOUT and invocation is not None:
            return self._timed_out(invocation)
        return failed

    def _has_initialised(self, programs: Programs, duration_ms: float, phase: Phase) -> None:
        assert self._sandbox is not None
        self._sandbox.limit_cpus(self._plan.cpus)
        programs.telemetry.close_subscriptions()
        for agent in programs.extensions.agents:
            self._journal.platform(platform.Extension(agent.name, str(agent.state), agent.events))
        self._journal.platform(platform.InitReport(Status.SUCCESS, duration_ms, "", phase, self._plan.initialization))

    # Details...

    def _check_alive(self) -> None:
        if self._sandbox is None or not self._sandbox.is_alive:
            raise EnvironmentGone(f"the box of environment {self.id} has gone")

    @property
    def _living(self) -> Programs:
        assert self._programs is not None
        return self._programs

    async def _end_programs(self, reason: str) -> None:
        programs, self._programs = self._programs, None
        if programs is not None:
            await programs.end(reason)
            # What the dead have sent and nobody has read yet must not be taken for words of the next life.
            assert self._server is not None
            await self._server.disconnect()

    def _streams(self, target: str, headers: Headers) -> bool:
        return streams(target, headers) or (self._outward is not None and self._outward.streams(target, headers))

    def _handle(self, request: Request) -> Response | Awaitable[Response]:
        if self._outward is not None and self._outward.takes(request):
            return self._outward.call(request)
        if self._programs is None:
            return error_response(403, "InvalidStateTransition", "The environment is being reset.")
        return self._programs.handle(request)

    def _too_large(self, method: str, target: str) -> Response:
        if self._outward is not None and not target.startswith(RUNTIME):
            return self._outward.too_large(method, target)
        if self._programs is None:
            return error_response(403, "InvalidStateTransition", "The environment is being reset.")
        return self._programs.api.too_large(method, target)

    def _move(self, to: EnvironmentState) -> None:
        self._state = move(self.id, self._state, to)


def _with_tail(outcome: Outcome, tail: bytes) -> Outcome:
    return replace(outcome, log_tail=tail) if tail else outcome
