"""Keeps the embedded services running: starts their process, waits until it serves, starts it again when it dies.

The listening socket is the server's and outlives every process behind it: whoever calls meanwhile waits. Only its
owner reaches it: it lies in a directory that is nobody else's.
"""

import asyncio
import contextlib
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pasture.kit.errors import OperatorError
from pasture.kit.tasks import Tasks
from pasture.neighbours.embedded.line import Answers, Line, nobody_answers

_log = logging.getLogger(__name__)

_MODULE = "pasture.neighbours.embedded.server"
_NEEDED = ("moto", "flask", "flask_cors")
_READY_SECONDS = 60.0
_END_SECONDS = 5.0
_BACKLOG = 1024
# Seconds before the next start of what ends again and again: at first, and at most.
_PAUSE = 0.1
_PAUSE_AT_MOST = 10.0
_LONGEST_LINE = 2000
_LONGEST_PATH = 108
_SETTINGS = {
    # Buckets are in the path when a call gets here, and in one account each.
    "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true",
    "MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS": "false",
    # Some of the services would start containers.
    "DOCKER_HOST": "unix:///nonexistent",
    "PYTHONUNBUFFERED": "1",
}


class EmbeddedServices:
    """Mutable state: the process, and whether it is wanted."""

    def __init__(self, path: Path) -> None:
        self._directory: int | None = None
        self.path = self._short(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._process: asyncio.subprocess.Process | None = None
        self._tasks = Tasks("embedded services")
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = False
        self.answers: Answers = nobody_answers
        """To what they would hand to functions."""

    def __repr__(self) -> str:
        return f"<EmbeddedServices pid={self.pid}{' closing' if self._closing else ''}>"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Begin; `ready` waits for it. Raises OperatorError when what it needs is not installed."""
        lacking = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if lacking:
            raise OperatorError(
                f"--with-aws needs moto, and of that {', '.join(lacking)} is not installed.",
                f"Install it with: {sys.executable} -m pip install 'pasture[aws]'",
            )
        self._listener.bind(str(self.path))
        self._listener.listen(_BACKLOG)
        self._tasks.start(self._keep(), "keeping")

    async def ready(self) -> None:
        """Raises OperatorError when they cannot be started."""
        await self._ready

    async def close(self) -> None:
        self._closing = True
        await self._tasks.close()
        await self._end()
        self._listener.close()
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()

    def _short(self, path: Path) -> Path:
        """The kernel takes no longer one; by the descriptor of its directory it is never long."""
        if len(os.fsencode(path)) < _LONGEST_PATH or sys.platform != "linux":
            return path
        self._directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return Path(f"/proc/self/fd/{self._directory}") / path.name

    async def _keep(self) -> None:
        pause = _PAUSE
        while True:
            served = await self._run()
            if not self._ready.done():
                self._ready.set_exception(OperatorError("the embedded services (moto) cannot be started: see the log"))
                return
            _log.error("the embedded services have ended; they start again, and what they held is gone")
            pause = _PAUSE if served else min(pause * 2, _PAUSE_AT_MOST)
            await asyncio.sleep(pause)

    async def _run(self) -> bool:
        """One life of the process; whether it has come to serve."""
        line = Line(self._answered)
        try:
            process = await self._spawn(line)
            await line.open()
            return await self._live(process)
        finally:
            await line.close()

    async def _answered(self, said: Mapping[str, Any]) -> str:
        return await self.answers(said)

    async def _live(self, process: asyncio.subprocess.Process) -> bool:
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        relay = asyncio.create_task(_relay(process.stderr))
        try:
            async with asyncio.timeout(_READY_SECONDS):
                served = await process.stdout.readline() == b"ready\n"
        except TimeoutError:
            _log.error("the embedded services are not ready after %g seconds", _READY_SECONDS)
            served = False
            process.kill()
        if served and not self._ready.done():
            self._ready.set_result(None)
            _log.warning(
                "the embedded services of AWS (moto, process %d) keep everything in memory: what is in them is gone "
                "when this server stops",
                process.pid,
            )
        elif served:
            _log.info("the embedded services are there again, empty (process %d)", process.pid)
        try:
            await process.wait()
        finally:
            relay.cancel()
        return served

    async def _spawn(self, line: Line) -> asyncio.subprocess.Process:
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_", "PASTURE_"))}
        descriptors = [self._listener.fileno(), line.theirs.fileno()]
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, str(descriptors[0]), str(os.getpid()), str(descriptors[1]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            env={**keep, **_SETTINGS},
            cwd="/",
        )  # fmt: skip

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # there is nothing that it could save
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()


async def _relay(lines: asyncio.StreamReader) -> None:
    """What the process says, into the server's log."""
    while True:
        try:
            line = await lines.readline()
        except ValueError:
            continue  # a line beyond all measure, which the reader has dropped
        if not line:
            return
        _log.warning("embedded AWS: %s", line.decode("utf-8", "replace").rstrip()[:_LONGEST_LINE])
