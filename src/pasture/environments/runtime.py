"""One life of an environment's runtime: its process, its session with the Runtime API, and what it says, in order."""

import asyncio
from collections.abc import Awaitable

from pasture.domain.invocation import Invocation
from pasture.environments.capture import Capture, Journal
from pasture.environments.plan import TASK_ROOT, TELEMETRY_FD, Plan, command, variables
from pasture.http.message import Request, Response
from pasture.isolation.spec import Process, Program, Sandbox
from pasture.runtime_api.api import RuntimeApi
from pasture.runtime_api.signals import Exited, Signal


class Runtime:
    def __init__(self, plan: Plan, sandbox: Sandbox, journal: Journal, payload_bytes: int) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self._signals: asyncio.Queue[Signal] = asyncio.Queue()
        self._capture = Capture(journal)
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self.has_exited = False
        self.api = RuntimeApi(self._signals.put_nowait, payload_bytes)

    async def start(self) -> None:
        """Raises SandboxError when the program cannot be started."""
        program = Program(
            name="runtime",
            command=command(self._plan, self._sandbox.path),
            environment=variables(self._plan, self._sandbox.address, self._sandbox.path),
            directory=self._sandbox.path(TASK_ROOT),
            stdout=self._capture.stdout,
            stderr=self._capture.stderr,
            descriptors={TELEMETRY_FD: self._capture.telemetry},
        )
        self._process = await self._sandbox.start(program)
        self._watch = asyncio.create_task(self._await_exit(self._process), name=f"{self._sandbox.id}: runtime's exit")

    async def next_signal(self, deadline: float) -> Signal | None:
        """What the runtime says next; None when it says nothing before the deadline (the event loop's time)."""
        if not self._signals.empty():
            return self._signals.get_nowait()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._signals.get()
        except TimeoutError:
            return None

    def give(self, invocation: Invocation, deadline_ms: int) -> None:
        self.api.give(invocation, deadline_ms)

    def drain(self) -> None:
        self._capture.drain()

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        return self.api(request)

    async def end(self) -> None:
        """Kill every program in the box; the box itself stays."""
        try:
            await self._sandbox.kill_all()
        finally:
            self._capture.close()
            if self._watch is not None:
                self._watch.cancel()
                await asyncio.wait({self._watch})

    async def _await_exit(self, process: Process) -> None:
        exit_ = await process.wait()
        self.has_exited = True
        self._signals.put_nowait(Exited(exit_))
