"""Samples, their spread, and their ratio to a floor measured in the same run."""

import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

RUNTIME = f"python3.{sys.version_info.minor}"
ROLE = "arn:aws:iam::000000000000:role/bench"


@dataclass
class Samples:
    """Times in milliseconds."""

    values: list[float] = field(default_factory=list)

    def take(self, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        self.values.append((time.perf_counter() - began) * 1000)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        return f"{self.quantile(0.05):.2f}-{self.quantile(0.95):.2f}"


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure, its floor, and what was promised of their ratio."""

    what: str
    figure: float
    spread: str
    floor: float
    ratio: float
    goal: str
    unit: str = "ms"

    def __str__(self) -> str:
        return (
            f"| {self.what} | {self.figure:.2f} {self.unit} | {self.spread} | {self.floor:.2f} {self.unit} "
            f"| {self.ratio:.2f} | {self.goal} |"
        )


HEADER = "| row | median | 5 %-95 % | floor | ratio | goal |\n|---|---|---|---|---|---|"


class Bench:
    """A server under test and signed requests for it."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        command = [sys.executable, "-m", "pasture", "serve", "--port", "0", "--data-dir", str(self.data)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().split()[-1]
        key = json.loads((self.data / "keys.json").read_bytes())["keys"][0]
        self._credentials = Credentials(key["id"], key["secret"])
        self.client = boto3.client(
            "lambda",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key["id"],
            aws_secret_access_key=key["secret"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def deploy(self, name: str, package: bytes, **more: object) -> None:
        self.client.create_function(
            FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code={"ZipFile": package}, **more
        )

    def wait(self, name: str) -> None:
        self.client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0})

    def request(self, name: str, payload: bytes = b"{}") -> "Signed":
        path = f"/2015-03-31/functions/{name}/invocations"
        request = AWSRequest("POST", self.url + path, data=payload)
        SigV4Auth(self._credentials, "lambda", "us-east-1").add_auth(request)
        return Signed(path, payload, dict(request.headers.items()))

    def connect(self) -> http.client.HTTPConnection:
        return connect(self.url)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@dataclass(frozen=True)
class Signed:
    path: str
    payload: bytes
    headers: dict[str, str]

    def send(self, connection: http.client.HTTPConnection) -> bytes:
        connection.request("POST", self.path, self.payload, self.headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or answer.getheader("X-Amz-Function-Error"):
            raise RuntimeError(f"{answer.status}: {body!r}")
        return body


def connect(url: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.connect()
    return connection
