"""A small real server that the command line can talk to: it answers from a table and remembers what it was asked."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result

from pasture.cli.main import main
from pasture.http.message import Request, Response
from pasture.http.server import HttpServer

Answer = Callable[[Request], Response]

HELLO = {
    "FunctionName": "hello",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:hello",
    "Runtime": "python3.12",
    "MemorySize": 128,
    "Timeout": 3,
    "CodeSize": 4200,
    "LastModified": "2024-03-04T10:11:12.000+0000",
    "State": "Active",
    "LastUpdateStatus": "Successful",
}
FUNCTIONS = "/2015-03-31/functions"


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: Response(status, {"Content-Type": "application/json", **(headers or {})}, content)


def refusal(code: str, message: str, status: int) -> Answer:
    return answer({"Type": "User", "Message": message}, status, {"x-amzn-ErrorType": code})


def in_turn(*answers: Answer) -> Answer:
    """One after the other, and the last for ever."""
    left = list(answers)

    def next_one(request: Request) -> Response:
        current = left.pop(0) if len(left) > 1 else left[0]
        return current(request)

    return next_one


class Endpoint:
    """`answers` maps "METHOD /path", or the operation of a JSON protocol, to what is answered."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Request] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = HttpServer(self._answer)
        host, port = asyncio.run_coroutine_threadsafe(self._server.listen("127.0.0.1", 0), self._loop).result()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _answer(self, request: Request) -> Response:
        self.asked.append(request)
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
        return self.answers[operation or f"{request.method} {request.path}"](request)

    def calls(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.asked]


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Iterator[Endpoint]:
    """An endpoint that serves this data directory, and no other setting in the environment."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "PASTURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PASTURE_DATA_DIR", str(data_dir))
    with Endpoint() as endpoint:
        (data_dir / "endpoint.json").write_text(json.dumps({"url": endpoint.url}))
        yield endpoint


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)
