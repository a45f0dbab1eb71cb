"""Who is compared: each starts, is invoked warm and cold, and says how it keeps functions apart.

`cold` is the time from the first byte of an invocation that finds no environment to the last of its answer.
"""

import base64
import contextlib
import json
import os
import platform
import subprocess
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Protocol

import floors
from client import Connection, to_bytes
from harness import Run
from packages import ECHO, pip, pip_install, zipped
from processes import tree
from server import ROLE, RUNTIME, environment, free_port

_START_SECONDS = 60.0


class PeerUnavailable(Exception):
    """It cannot be run on this machine; the message says why."""


class Peer(Protocol):
    name: ClassVar[str]
    isolation: ClassVar[str]

    def start(self) -> None:
        """Raises PeerUnavailable or NoPackage."""
        ...

    def connect(self) -> Connection:
        """To where `invocation` goes, which is warm from its second time on."""
        ...

    def invocation(self) -> bytes: ...

    def cold(self) -> float | None:
        """Seconds of one cold start; None where there are none."""
        ...

    def pids(self) -> set[int]:
        """The server's and its environments'."""
        ...

    def close(self) -> None: ...


class Pasture:
    name: ClassVar[str] = "Pasture"
    isolation: ClassVar[str] = "namespaces, cgroups, system call filter, a user of its own"

    def __init__(self, run: Run, _home: Path) -> None:
        self._server = run.server("peer")
        self._cold = 0

    def start(self) -> None:
        self._server.deploy("echo", zipped(ECHO), MemorySize=1769)
        self._server.wait("echo")

    def connect(self) -> Connection:
        return self._server.connect()

    def invocation(self) -> bytes:
        return self._server.invocation("echo")

    def cold(self) -> float:
        self._cold += 1
        name = f"cold-{self._cold}"
        self._server.deploy(name, zipped(ECHO), MemorySize=1769)
        self._server.wait(name)
        return _seconds(self._server.url, self._server.invocation(name))

    def pids(self) -> set[int]:
        return self._server.pids()

    def close(self) -> None:
        """The run ends the server."""


class Relay:
    name: ClassVar[str] = "bare relay (floor)"
    isolation: ClassVar[str] = "none: a plain process"

    def __init__(self, run: Run, _home: Path) -> None:
        self._directory = run.directory
        self._stack = ExitStack()

    def start(self) -> None:
        self._relay = self._stack.enter_context(floors.relay(self._directory, 1))

    def connect(self) -> Connection:
        return self._relay.connect()

    def invocation(self) -> bytes:
        return self._relay.invocation()

    def cold(self) -> None:
        """It has one runtime, for ever."""

    def pids(self) -> set[int]:
        return self._relay.pids()

    def close(self) -> None:
        self._stack.close()


class Emulator:
    """AWS's runtime interface emulator, out of the wheel of the SAM command line; with the runtime client that Pasture
    uses. It starts its one environment at the first invocation, so each cold start is a process of its own.
    """

    name: ClassVar[str] = "AWS's runtime interface emulator"
    isolation: ClassVar[str] = "none: a plain process (in use: a container); one invocation at a time"

    def __init__(self, _run: Run, home: Path) -> None:
        self._directory = home / "emulator"
        self._python = home / "bin" / "python"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        machines = {"x86_64": "x86_64", "aarch64": "arm64"}
        if (machine := machines.get(platform.machine())) is None:
            raise PeerUnavailable(f"there is none for {platform.machine()}")
        self._directory.mkdir()
        (self._directory / "app.py").write_text(ECHO)
        pip("download", "--no-deps", "--dest", str(self._directory), "aws-sam-cli", python=str(self._python))
        wheel = next(self._directory.glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            try:
                program = archive.extract(f"samcli/local/rapid/aws-lambda-rie-{machine}", self._directory)
            except KeyError as error:
                raise PeerUnavailable(f"it is not in {wheel.name}") from error
        self._program = Path(program)
        self._program.chmod(0o755)
        self._url, self._main = self._launched()

    def connect(self) -> Connection:
        return Connection(self._url)

    def invocation(self) -> bytes:
        return self._request(self._url)

    def cold(self) -> float:
        url, process = self._launched()
        try:
            return _seconds(url, self._request(url))
        finally:
            _end(process, self._processes)

    def pids(self) -> set[int]:
        return tree(self._main.pid)

    def close(self) -> None:
        for process in list(self._processes):
            _end(process, self._processes)

    def _request(self, url: str) -> bytes:
        return to_bytes("POST", f"{url}/2015-03-31/functions/function/invocations", {}, b"{}")

    def _launched(self) -> tuple[str, "subprocess.Popen[bytes]"]:
        client = floors.runtime_client()
        port, api = free_port(), free_port()
        command = [
            *(str(self._program), "--log-level", "error"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{api}"),
            *(str(floors.runtime().location), str(client / "bootstrap.py"), "app.handler"),
        ]
        variables = environment(
            HOME=str(self._directory),
            PYTHONPATH=str(client),
            LAMBDA_TASK_ROOT=str(self._directory),
            LAMBDA_RUNTIME_DIR=str(client),
            AWS_LAMBDA_FUNCTION_NAME="echo",
            AWS_LAMBDA_FUNCTION_TIMEOUT="60",
        )
        process = _started(command, variables, self._directory, self._processes)
        url = f"http://127.0.0.1:{port}"
        _until(lambda: _accepts(url), process)
        return url, process


class MiniStack:
    """An emulator of many services, as its wheel comes; functions run under the interpreter that it runs under."""

    name: ClassVar[str] = "MiniStack"
    isolation: ClassVar[str] = "none: plain processes of the server's user"

    def __init__(self, _run: Run, home: Path) -> None:
        self._directory = home / "ministack"
        self._python = home / "bin" / "python"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._cold = 0

    def start(self) -> None:
        pip_install("ministack", python=str(self._python))
        self._directory.mkdir()
        port = free_port()
        variables = environment(
            HOME=str(self._directory),
            TMPDIR=str(self._directory),
            GATEWAY_PORT=str(port),
            BIND_HOST="127.0.0.1",
            LOG_LEVEL="ERROR",
            S3_DATA_DIR=str(self._directory / "s3"),
        )
        self._url = f"http://127.0.0.1:{port}"
        self._process = _started([str(self._python), "-m", "ministack"], variables, self._directory, self._processes)
        _until(lambda: _accepts(self._url), self._process)
        self._create("echo")

    def connect(self) -> Connection:
        return Connection(self._url)

    def invocation(self) -> bytes:
        return self._request("echo")

    def cold(self) -> float:
        self._cold += 1
        name = f"cold-{self._cold}"
        self._create(name)
        return _seconds(self._url, self._request(name))

    def pids(self) -> set[int]:
        return tree(self._process.pid)

    def close(self) -> None:
        for process in list(self._processes):
            _end(process, self._processes)

    def _request(self, name: str) -> bytes:
        return to_bytes("POST", f"{self._url}/2015-03-31/functions/{name}/invocations", self._headers(), b"{}")

    def _create(self, name: str) -> None:
        body = {
            "FunctionName": name,
            "Runtime": RUNTIME,
            "Role": ROLE,
            "Handler": "app.handler",
            "Code": {"ZipFile": base64.b64encode(zipped(ECHO)).decode()},
        }
        url = f"{self._url}/2015-03-31/functions"
        self._send(to_bytes("POST", url, self._headers(), json.dumps(body).encode()))
        read = to_bytes("GET", f"{url}/{name}", self._headers(), b"")
        while json.loads(self._send(read))["Configuration"].get("State", "Active") != "Active":
            time.sleep(0.01)

    def _send(self, request: bytes) -> bytes:
        """On a connection of its own: one that is kept is closed after a thousand requests."""
        with contextlib.closing(self.connect()) as connection:
            return connection.send(request)

    @staticmethod
    def _headers() -> dict[str, str]:
        scope = "Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
        return {"Authorization": f"AWS4-HMAC-SHA256 {scope}", "Content-Type": "application/json"}


def _seconds(url: str, request: bytes) -> float:
    """On a connection that is there already."""
    with contextlib.closing(Connection(url)) as connection:
        began = time.perf_counter()
        connection.send(request)
        return time.perf_counter() - began


def _started(
    command: list[str], variables: dict[str, str], directory: Path, processes: "list[subprocess.Popen[bytes]]"
) -> "subprocess.Popen[bytes]":
    # A session of its own, so that all of it can be ended.
    process = subprocess.Popen(
        command,
        env=variables,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    processes.append(process)
    return process


def _end(process: "subprocess.Popen[bytes]", processes: "list[subprocess.Popen[bytes]]") -> None:
    """With whatever it has started, also in groups of its own."""
    for pid in tree(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    process.wait()
    processes.remove(process)


def _accepts(url: str) -> bool:
    try:
        Connection(url).close()
    except OSError:
        return False
    return True


def _until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if process.poll() is not None:
            raise PeerUnavailable(f"it ended at once with {process.returncode}")
        if time.monotonic() > deadline:
            raise PeerUnavailable(f"it accepted no connection within {_START_SECONDS:g} s")
        time.sleep(0.01)
