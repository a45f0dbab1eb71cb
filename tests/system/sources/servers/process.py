"""A server of somebody else's, run for the tests in a process and a directory of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

START_SECONDS = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class ServerProcess:
    """Ready when `ready` says so. It and all that it starts are of one session, and end together."""

    def __init__(
        self, words: Sequence[str], directory: Path, ready: Callable[[], bool], *, environment: Mapping[str, str] = {}
    ) -> None:
        self._words = list(words)
        self._ready = ready
        self._environment = {**os.environ, **environment}
        self._directory = directory
        self.log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words, cwd=self._directory, env=self._environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self._process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-3000:]
            time.sleep(0.1)
        return self

    def stop(self, number: int = signal.SIGKILL) -> None:
        """At once, as machines fail."""
        if self._process is not None:
            os.killpg(self._process.pid, number)
            self._process.wait(timeout=60)
            self._process = None
            while self._ready():  # the last of its processes is on its way
                time.sleep(0.02)
