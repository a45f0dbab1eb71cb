"""A whole server as a user starts it, and real clients for it."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient

T = TypeVar("T")

RUNTIME: Any = f"python3.{sys.version_info.minor}"
ROLE = "arn:aws:iam::000000000000:role/test"


class Server:
    """`pasture serve` in a process of its own."""

    def __init__(self, data: Path, *arguments: str, log: Path | None = None, under: tuple[str, ...] = ()) -> None:
        """`under`: a command that runs the server, such as `unshare`."""
        self.data = data
        self.log = log or data.parent / f"{data.name}.log"
        serve = [sys.executable, "-m", "pasture", "serve", "--port", "0", "--data-dir", str(data)]
        # Test functions reach nothing beyond this machine; tests of the network say otherwise, in a network of their own.
        serve += ["--network", "none"]
        self.command = [*under, *serve, *arguments]
        self.url = ""
        self.process: subprocess.Popen[str]

    def start(self) -> "Server":
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Pasture is ready at "), self.log.read_text()
        self.url = line.split()[-1]
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    # Clients...

    def key(self) -> dict[str, str]:
        """The first access key, as the command line tells it."""
        keys = json.loads((self.data / "keys.json").read_bytes())["keys"]
        return {"aws_access_key_id": keys[0]["id"], "aws_secret_access_key": keys[0]["secret"]}

    def client(self, service: str, **more: Any) -> Any:
        options: dict[str, Any] = {"region_name": "us-east-1", **self.key(), **more}
        config = Config(retries={"total_max_attempts": 1}, read_timeout=90, max_pool_connections=64)
        return boto3.client(service, endpoint_url=self.url, config=config, **options)

    @property
    def functions(self) -> "LambdaClient":
        client: LambdaClient = self.client("lambda")
        return client

    @property
    def logs(self) -> "CloudWatchLogsClient":
        client: CloudWatchLogsClient = self.client("logs")
        return client

    def deploy(self, name: str, code: str | Mapping[str, str | bytes], **more: Any) -> str:
        """Create a function whose handler is app.handler and wait until it is active; answers its name."""
        options: dict[str, Any] = {"Runtime": RUNTIME, "Handler": "app.handler", "Role": ROLE, "Timeout": 10, **more}
        client = self.functions
        client.create_function(FunctionName=name, Code={"ZipFile": package(code)}, **options)
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
        return name

    def invoke(self, name: str, event: object = None, **more: Any) -> "Answer":
        return Answer(self.functions.invoke(FunctionName=name, Payload=json.dumps(event), **more))

    def log_lines(self, group: str) -> list[str]:
        events = self.logs.filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events]


class Answer:
    """An Invoke's answer, read whole."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.status: int = raw["StatusCode"]
        self.error: str | None = raw.get("FunctionError")
        self.body: bytes = raw["Payload"].read()
        self.request_id: str = raw["ResponseMetadata"]["RequestId"]

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


def a_role(server: Server, name: str, action: str, resource: str) -> str:
    """A role that may do that and no more; answers its ARN. The server may be up or not."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
    command = [sys.executable, "-m", "pasture", "roles", "create", name, "--policy-json", json.dumps(document)]
    made = subprocess.run([*command, "--data-dir", str(server.data)], check=True, capture_output=True, text=True)
    return made.stdout.strip()


def package(code: str | Mapping[str, str | bytes]) -> bytes:
    """A deployment package: one app.py, or files by name."""
    files = {"app.py": code} if isinstance(code, str) else code
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return out.getvalue()


def until(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """Wait until the condition answers something true, and answer it."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"still not so after {seconds} seconds"
        time.sleep(0.02)
    return result


def processes_with(text: str) -> list[int]:
    """Processes of this machine whose command line or environment's data directory mentions `text`."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command and int(directory.name) != os.getpid():
            found.append(int(directory.name))
    return found
