"""One life of an environment's programs: the runtime and its extensions, the APIs they talk to, and what they say."""

import asyncio
import os
import signal as signals
from collections import deque
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

from pasture.domain.invocation import Invocation
from pasture.domain.limits import Limits
from pasture.environments.capture import Capture, ExtensionCapture
from pasture.environments.journal import Journal
from pasture.environments.plan import (
    EMULATOR_FD,
    EXTENSIONS,
    TELEMETRY_FD,
    Plan,
    command,
    directory,
    emulation,
    extension_variables,
    variables,
)
from pasture.http.message import Request, Response
from pasture.http.patience import Patience
from pasture.isolation.spec import Exit, Process, Program, Sandbox, SandboxError
from pasture.kit.clock import Clock
from pasture.kit.errands import Notice
from pasture.kit.tasks import Tasks
from pasture.logs import platform
from pasture.runtime_api import extensions as extensions_api
from pasture.runtime_api import metadata as metadata_api
from pasture.runtime_api import telemetry as telemetry_api
from pasture.runtime_api.api import RuntimeApi
from pasture.runtime_api.extension_signals import ExtensionSignal
from pasture.runtime_api.extensions import ExtensionsApi, FunctionFacts
from pasture.runtime_api.metadata import Metadata
from pasture.runtime_api.signals import Exited, Signal
from pasture.runtime_api.telemetry import Telemetry

# Seconds that a shutdown may take: with internal extensions only, and with external ones; and the runtime's share
# of it (aws-lambda reference 2.1, 2.2).
_INTERNAL_BUDGET = 0.5
_EXTERNAL_BUDGET = 2.0
_RUNTIMES_SHARE = 0.3
# What subscribers of telemetry are given at the end to take what there is.
_LAST_TELEMETRY = 0.1


@dataclass(frozen=True, slots=True)
class ExtensionExited:
    """The process of an external extension has ended."""

    name: str
    exit: Exit


AnySignal = Signal | ExtensionSignal | ExtensionExited


class Programs:
    def __init__(self, plan: Plan, sandbox: Sandbox, journal: Journal, clock: Clock, limits: Limits) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self._journal = journal
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._heard: deque[AnySignal] = deque()
        self._listener: Notice[None] | None = None
        self._patience = Patience(self._wake)
        self._tasks = Tasks(f"programs of {sandbox.id}")
        self._capture = Capture(journal)
        self._captures: list[Capture | ExtensionCapture] = [self._capture]
        self._runtime: Process | None = None
        self._extensions: dict[str, Process] = {}
        self.has_exited = False
        """Whether any program has ended: whatever it was, the others cannot go on without it."""
        version = plan.version
        facts = FunctionFacts(version.name, version.version, version.handler, version.scope.account)
        self.api = RuntimeApi(self._hear, limits.payload_bytes, snap_start=plan.initialization == platform.SNAP_START)
        self.extensions = ExtensionsApi(self._hear, facts)
        self._metadata = Metadata(plan.metadata_token, version.scope.region) if plan.metadata_token else None
        self.telemetry = Telemetry(
            self.extensions.identify, sandbox.connect, clock, announce=journal.platform, json=journal.is_json
        )
        journal.telemetry = self.telemetry

    # Their start...

    @property
    def has_external(self) -> bool:
        return bool(self._plan.extensions)

    @property
    def cannot_start(self) -> str:
        """The error type when the program that is next cannot be started."""
        missing = len(self._extensions) < len(self._plan.extensions)
        if missing:
            return "Extension.LaunchError"
        image = self._plan.image
        bad_directory = image is not None and image.bad_directory
        return "Runtime.InvalidWorkingDir" if bad_directory else "Runtime.InvalidEntrypoint"

    async def start_extensions(self) -> None:
        """Every file of /opt/extensions. Raises Refusal over the limit, SandboxError when one cannot be started."""
        self.extensions.expect(self._plan.extensions)
        for name in self._plan.extensions:
            capture = ExtensionCapture(self._journal)
            self._captures.append(capture)
            path = f"{EXTENSIONS}/{name}"
            try:
                with self._emulator() as descriptors:
                    program = Program(
                        name=name,
                        command=(*emulation(self._plan, path), self._sandbox.path(path)),
                        environment=extension_variables(self._plan, self._sandbox.address, self._sandbox.path),
                        directory="/",
                        stdout=capture.stdout,
                        stderr=capture.stderr,
                        descriptors=descriptors,
                    )
                    process = self._extensions[name] = await self._sandbox.start(program)
            except SandboxError:
                self.extensions.launch_failed(name)
                raise
            self._tasks.start(self._await_extension(process), f"exit of {name}")

    async def start_runtime(self) -> None:
        """Raises SandboxError when the program cannot be started."""
        with self._emulator() as descriptors:
            program = Program(
                name="runtime",
                command=command(self._plan, self._sandbox.path),
                environment=variables(self._plan, self._sandbox.address, self._sandbox.path),
                directory=directory(self._plan, self._sandbox.path),
                stdout=self._capture.stdout,
                stderr=self._capture.stderr,
                descriptors={TELEMETRY_FD: self._capture.telemetry, **descriptors},
            )
            self._runtime = await self._sandbox.start(program)
        self._tasks.start(self._await_runtime(self._runtime), "exit of the runtime")

    @contextmanager
    def _emulator(self) -> Iterator[Mapping[int, int]]:
        """The program that runs the others, open, at its number; nothing where they run by themselves."""
        if self._plan.emulator is None:
            yield {}
            return
        try:
            descriptor = os.open(self._plan.emulator.program, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SandboxError(f"cannot open the emulator {self._plan.emulator.program}: {error.strerror}") from error
        try:
            yield {EMULATOR_FD: descriptor}
        finally:
            os.close(descriptor)

    # Their work...

    async def next_signal(self, deadline: float) -> AnySignal | None:
        """What is heard of them next; None when nothing is before the deadline (the event loop's time)."""
        if not self._heard:
            self._listener = Notice(loop=self._loop)
            self._patience.expect_by(deadline)
            try:
                await self._listener
            finally:
                self._patience.expect_within(None)
                self._listener = None
        return self._heard.popleft() if self._heard else None

    def _hear(self, signal: AnySignal) -> None:
        self._heard.append(signal)
        self._wake()

    def _wake(self) -> None:
        if self._listener is not None:
            self._listener.tell(None)

    def give(self, invocation: Invocation, deadline_ms: int) -> None:
        """To the runtime, and at the same time to the extensions that want to know."""
        self.api.give(invocation, deadline_ms)
        if self.extensions.agents:
            self.extensions.release_invoke(
                invocation.request_id, deadline_ms, invocation.function_arn, invocation.trace_id
            )

    @property
    def waits_for_restore(self) -> bool:
        return self.api.waits_for_restore

    def restore(self) -> None:
        self.api.restore()

    def drain(self) -> None:
        for capture in self._captures:
            capture.drain()

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """A call from inside the sandbox, to whichever API it is for."""
        if request.target.startswith(extensions_api.PREFIX):
            return self.extensions(request)
        if request.target.startswith((telemetry_api.TELEMETRY_PREFIX, telemetry_api.LOGS_PREFIX)):
            return self.telemetry(request)
        if self._metadata is not None and request.target.startswith(metadata_api.PREFIX):
            return self._metadata(request)
        return self.api(request)

    # Their end...

    async def end(self, reason: str) -> None:
        """Shut down as AWS does, within the budget; then nothing is left in the box. The box itself stays."""
        async with AsyncExitStack() as last:
            last.push_async_callback(self._tasks.close)
            last.callback(self._close_captures)
            last.callback(self._patience.close)
            last.push_async_callback(self.telemetry.close)
            last.push_async_callback(self._sandbox.kill_all)
            if self.extensions.agents and self._sandbox.is_alive:
                await self._shut_down(reason)

    async def _shut_down(self, reason: str) -> None:
        """The runtime gets SIGTERM and its share of the time, the extensions SHUTDOWN and the rest."""
        loop = asyncio.get_running_loop()
        budget = _EXTERNAL_BUDGET if self._extensions else _INTERNAL_BUDGET
        deadline = loop.time() + budget
        deadline_ms = int((self._clock.now() + budget) * 1000)
        if self._runtime is not None:
            self._runtime.send_signal(signals.SIGTERM)
            await _ended([self._runtime], budget * _RUNTIMES_SHARE)
            self._runtime.send_signal(signals.SIGKILL)
        await self.telemetry.flush(_LAST_TELEMETRY, patient=True)
        told = self.extensions.release_shutdown(reason, deadline_ms)
        for name, process in self._extensions.items():
            if name not in told:
                process.send_signal(signals.SIGKILL)
        waited = [process for name, process in self._extensions.items() if name in told]
        await _ended(waited, deadline - loop.time())

    def _close_captures(self) -> None:
        for capture in self._captures:
            capture.close()

    # Their exits...

    async def _await_runtime(self, process: Process) -> None:
        exit_ = await process.wait()
        self.has_exited = True
        self._hear(Exited(exit_))

    async def _await_extension(self, process: Process) -> None:
        exit_ = await process.wait()
        self.has_exited = True
        self.extensions.exited(process.name)
        self._hear(ExtensionExited(process.name, exit_))


async def _ended(processes: list[Process], seconds: float) -> None:
    """Until they have, or the time is over."""
    if processes and seconds > 0:
        waits = [asyncio.ensure_future(process.wait()) for process in processes]
        await asyncio.wait(waits, timeout=seconds)
        for wait in waits:
            wait.cancel()
