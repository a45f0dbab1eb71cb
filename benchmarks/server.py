"""A server under test, as a user starts it, and signed requests for it."""

import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from client import Connection, to_bytes
from processes import CpuMeter, tree

RUNTIME = f"python3.{sys.version_info.minor}"
ROLE = "arn:aws:iam::000000000000:role/bench"
# What all environments together may be promised: more than any machine has, as none uses what it is promised.
_MEMORY_MB = 1_000_000
_STOP_SECONDS = 60.0
_VERSION = "/2015-03-31/functions"


class Server:
    """`pasture serve` in a process of its own. Mutable state: the process and its address."""

    def __init__(self, directory: Path, *arguments: str, files: dict[str, str]) -> None:
        """`files` are written into the directory before the start: a configuration, say."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)
        self.data = directory / "data"
        self._log = directory / "server.log"
        self._command = [
            *(sys.executable, "-m", "pasture", "serve", "--port", "0", "--data-dir", str(self.data)),
            *("--memory-mb", str(_MEMORY_MB), "--log-level", "warning", *arguments),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.ready_seconds = 0.0
        """How long the last start took."""
        self.deployed: set[str] = set()

    def start(self) -> None:
        began = time.perf_counter()
        with self._log.open("a") as log:
            # A group of its own: Ctrl-C is for the run, which ends this.
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, process_group=0
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.ready_seconds = time.perf_counter() - began
        if not line.startswith("Pasture is ready at "):
            raise RuntimeError(f"the server did not start: {self._log.read_text()[-2000:]}")
        self.url = line.split()[-1]
        key = json.loads((self.data / "keys.json").read_bytes())["keys"][0]
        self._credentials = Credentials(key["id"], key["secret"])
        self.client: Any = boto3.client(
            "lambda",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key["id"],
            aws_secret_access_key=key["secret"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=300),
        )

    def stop(self) -> None:
        """Idempotent. One that does not end is killed; what it started goes with it."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except BaseException as error:
            process.kill()
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            if process.stdout is not None:
                process.stdout.close()

    def pids(self) -> set[int]:
        """The server, what it is helped by, and every environment."""
        assert self._process is not None
        owner = hashlib.sha256(str(self.data.resolve()).encode()).hexdigest()[:12]
        return tree(self._process.pid, also=f"pasture-{owner}")

    @property
    def pid(self) -> int:
        """Of the server alone."""
        assert self._process is not None
        return self._process.pid

    def connect(self) -> Connection:
        return Connection(self.url)

    # Functions...

    def deploy(self, name: str, package: bytes, **more: Any) -> None:
        options = {"Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler", **more}
        self.client.create_function(FunctionName=name, Code={"ZipFile": package}, **options)
        self.deployed.add(name)

    def wait(self, name: str, qualifier: str | None = None) -> None:
        more = {"Qualifier": qualifier} if qualifier else {}
        for state in ("function_active_v2", "function_updated_v2"):
            waiter = self.client.get_waiter(state)
            waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 100_000}, **more)

    def invocation(self, name: str, payload: bytes = b"{}", qualifier: str = "", kind: str = "") -> bytes:
        """`kind`: `Event` or `DryRun`."""
        query = f"?Qualifier={qualifier}" if qualifier else ""
        more = {"X-Amz-Invocation-Type": kind} if kind else {}
        return self.signed("POST", f"{_VERSION}/{name}/invocations{query}", payload, more)

    def creation(self, name: str, package: bytes) -> bytes:
        body = {
            "FunctionName": name,
            "Runtime": RUNTIME,
            "Role": ROLE,
            "Handler": "app.handler",
            "Code": {"ZipFile": base64.b64encode(package).decode()},
        }
        return self.signed("POST", _VERSION, json.dumps(body).encode())

    def reading(self, name: str = "") -> bytes:
        """GetFunction, or without a name the first page of ListFunctions."""
        return self.signed("GET", f"{_VERSION}/{name}" if name else f"{_VERSION}/")

    def signed(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """A whole request. Good for five minutes, any number of times."""
        url = self.url + target
        request = AWSRequest(method, url, data=body, headers=headers or {})
        SigV4Auth(self._credentials, "lambda", "us-east-1").add_auth(request)
        return to_bytes(method, url, dict(request.headers.items()), body)


def until_quiet(pids: set[int], seconds: float = 60.0) -> None:
    """Until processes rest: they use less than a hundredth of a processor for a while, or the time is up."""
    meter = CpuMeter(lambda: pids)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if meter.lap() < 0.005:
            return


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """For what is no Pasture: nothing of the user's settings."""
    return {"PATH": os.environ["PATH"], **more}
