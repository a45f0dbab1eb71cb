"""A runtime in the test's own process: speaks the real Runtime API over the sandbox's real socket."""

import json
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fakes.client import Client, Reply
from fakes.isolation import FakeProcess, Script

_API = "/2018-06-01/runtime"
_TELEMETRY_FD = 3
_TEXT_FRAME = b"\xa5\x5a\x00\x03"


@dataclass(frozen=True, slots=True)
class Event:
    request_id: str
    headers: Mapping[str, str]
    payload: bytes


class FakeRuntime:
    def __init__(self, process: FakeProcess, client: Client) -> None:
        self.process = process
        self.client = client

    @classmethod
    async def connect(cls, process: FakeProcess) -> "FakeRuntime":
        host, port = process.program.environment["AWS_LAMBDA_RUNTIME_API"].split(":")
        return cls(process, await Client.open(host, int(port)))

    async def next(self) -> Event:
        reply = await self.client.call("GET", f"{_API}/invocation/next")
        assert reply.status == 200, reply
        return Event(reply.headers["lambda-runtime-aws-request-id"], reply.headers, reply.body)

    async def respond(self, request_id: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        return await self.client.call("POST", f"{_API}/invocation/{request_id}/response", body, headers)

    async def fail(self, request_id: str, body: bytes, error_type: str) -> Reply:
        headers = {"Lambda-Runtime-Function-Error-Type": error_type}
        return await self.client.call("POST", f"{_API}/invocation/{request_id}/error", body, headers)

    async def init_error(self, body: bytes, error_type: str) -> Reply:
        headers = {"Lambda-Runtime-Function-Error-Type": error_type}
        return await self.client.call("POST", f"{_API}/init/error", body, headers)

    def print(self, text: str) -> None:
        self.process.write(text.encode())

    def log(self, text: str, timestamp_us: int) -> None:
        """One record in a frame on the telemetry descriptor, as managed runtimes write them."""
        frame = _TEXT_FRAME + struct.pack(">IQ", len(text.encode()), timestamp_us) + text.encode()
        self.process.write(frame, _TELEMETRY_FD)


Handler = Callable[[FakeRuntime, Event], Awaitable[Any]]


def runtime(handler: Handler, init: Callable[[FakeRuntime], Awaitable[None]] | None = None) -> Script:
    """A script that initialises, and then serves every event with what `handler` answers, as JSON."""

    async def script(process: FakeProcess) -> None:
        rt = await FakeRuntime.connect(process)
        try:
            if init is not None:
                await init(rt)
            while True:
                event = await rt.next()
                await rt.respond(event.request_id, json.dumps(await handler(rt, event)).encode())
        finally:
            rt.client.drop()

    return script


async def echo(_runtime: FakeRuntime, event: Event) -> Any:
    return json.loads(event.payload)
