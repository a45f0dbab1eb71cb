"""The same client for everything that is measured: bytes made beforehand, sent on a connection that is kept.

It costs next to nothing, so that what is compared is not diluted by it.
"""

import asyncio
import re
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SECONDS = 120.0


def to_bytes(method: str, url: str, headers: dict[str, str], body: bytes) -> bytes:
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    fields = {"Host": parts.netloc, **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    began: float
    """When the first byte was sent, on the clock of `time.monotonic`."""
    ended: float


class Parser:
    """One answer at a time, of the simple kind: with a Content-Length."""

    def __init__(self) -> None:
        self._head = b""
        self._pieces: list[bytes] = []
        self._missing = -1

    def feed(self, piece: bytes) -> bytes | None:
        """The body, once it is there. Raises RuntimeError unless the answer is a success."""
        if self._missing < 0:
            self._head += piece
            head, end, piece = self._head.partition(b"\r\n\r\n")
            if not end:
                return None
            self._missing = _body_bytes(head, piece)
        self._pieces.append(piece)
        self._missing -= len(piece)
        if self._missing > 0:
            return None
        body = b"".join(self._pieces)
        self._head, self._pieces, self._missing = b"", [], -1
        return body


def _body_bytes(head: bytes, start: bytes) -> int:
    status = int(head[9:12])
    if not 200 <= status < 300 or b"\r\nx-amz-function-error:" in head.lower():
        raise RuntimeError(f"{head.decode(errors='replace')} {start[:1000]!r}")
    if head[9:12] == b"204":
        return 0
    if (length := _LENGTH.search(head)) is None:
        raise RuntimeError(f"an answer of unknown length: {head!r}")
    return int(length[1])


class Connection:
    """One caller: the next request goes out when the last answer has come."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), _SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = Parser()

    def send(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        while True:
            piece = self._socket.recv(1 << 18)
            if not piece:
                raise RuntimeError("the server has closed the connection")
            if (body := self._parser.feed(piece)) is not None:
                return body

    def close(self) -> None:
        self._socket.close()


class _Caller(asyncio.Protocol):
    """Mutable state: the request that is on its way, and the answers so far."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self.answers: list[Answer] = []
        self._requests = requests
        self._done = done
        self._parser = Parser()
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def begin(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._end()
            return
        self._began = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            body = self._parser.feed(data)
        except RuntimeError as error:
            self._end(error)
            return
        if body is not None:
            self.answers.append(Answer(body, self._began, time.monotonic()))
            self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(RuntimeError(f"the server has closed the connection: {exc}"))

    def _end(self, error: Exception | None = None) -> None:
        self._transport.close()
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)


def drive(url: str, requests: Iterable[bytes], callers: int) -> list[Answer]:
    """All requests, by so many callers at once, each with a connection of its own. Connections are made beforehand."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_drive(url, iter(requests), callers))
    return uvloop.run(_drive(url, iter(requests), callers))


async def _drive(url: str, requests: Iterator[bytes], count: int) -> list[Answer]:
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    endings = [loop.create_future() for _ in range(count)]
    callers = []
    for ending in endings:
        _, caller = await loop.create_connection(
            partial(_Caller, requests, ending), parts.hostname or "", parts.port or 80
        )
        callers.append(caller)
    for caller in callers:
        caller.begin()
    await asyncio.gather(*endings)
    return [answer for caller in callers for answer in caller.answers]
