"""How a batch of telemetry gets to its subscriber inside the sandbox: by HTTP, or as lines over TCP.

What is at the other end is the customer's: it may close, never read, never answer, or answer anything.
Whatever it does ends in `DeliveryFailed`, or in the time that the caller gives; nothing is kept of what it says.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import httptools

from pasture.isolation.spec import SandboxError
from pasture.runtime_api.telemetry_subscription import HttpDestination, TcpDestination

Connect = Callable[[int], Awaitable[socket.socket]]
"""A connected, non-blocking TCP socket to this port of `sandbox.localdomain`. Raises OSError or SandboxError."""

_PIECE = 16 * 1024
# An answer to a batch says nothing: this much of it is read.
_MOST_ANSWER = 256 * 1024


class DeliveryFailed(Exception):
    """A batch has not been taken, as far as is known."""


class Delivery(Protocol):
    async def send(self, events: Sequence[bytes]) -> None:
        """Returns when the subscriber has them. Raises DeliveryFailed; failed or cancelled, `close` before the next."""
        ...

    def close(self) -> None: ...


def delivery(destination: TcpDestination | HttpDestination, connect: Connect) -> Delivery:
    link = _Link(connect, destination.port)
    return TcpDelivery(link) if isinstance(destination, TcpDestination) else HttpDelivery(link, destination)


class _Link:
    """One connection to a port, made when it is needed and kept while it is good."""

    def __init__(self, connect: Connect, port: int) -> None:
        self._connect = connect
        self._port = port
        self._socket: socket.socket | None = None

    async def send(self, data: bytes) -> None:
        if self._socket is not None and not _is_quiet(self._socket):
            self.close()
        try:
            if self._socket is None:
                self._socket = await self._connect(self._port)
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except (OSError, SandboxError) as error:
            raise DeliveryFailed(str(error)) from error

    async def receive(self) -> bytes:
        if self._socket is None:
            raise DeliveryFailed("no connection")
        try:
            data = await asyncio.get_running_loop().sock_recv(self._socket, _PIECE)
        except OSError as error:
            raise DeliveryFailed(str(error)) from error
        if not data:
            raise DeliveryFailed("the subscriber closed the connection")
        return data

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class TcpDelivery:
    def __init__(self, link: _Link) -> None:
        self._link = link

    async def send(self, events: Sequence[bytes]) -> None:
        await self._link.send(b"\n".join((*events, b"")))

    def close(self) -> None:
        self._link.close()


class HttpDelivery:
    def __init__(self, link: _Link, to: HttpDestination) -> None:
        self._link = link
        self._head = (
            f"{to.method} {to.target} HTTP/1.1\r\nHost: {to.host}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()

    async def send(self, events: Sequence[bytes]) -> None:
        size = sum(map(len, events)) + max(len(events) - 1, 0) + 2
        await self._link.send(b"%s%d\r\n\r\n[%s]" % (self._head, size, b",".join(events)))
        answer = await self._answer()
        if not answer.keep_alive:
            self._link.close()
        if not 200 <= answer.status < 300:
            raise DeliveryFailed(f"the subscriber answered {answer.status}")

    def close(self) -> None:
        self._link.close()

    async def _answer(self) -> "_Answer":
        answer = _Answer()
        received = 0
        while not answer.complete:
            data = await self._link.receive()
            received += len(data)
            if received > _MOST_ANSWER:
                raise DeliveryFailed(f"the subscriber's answer is longer than {_MOST_ANSWER} bytes")
            answer.feed(data)
        return answer


class _Answer:
    """The head of an answer; its body is skipped."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.keep_alive = False
        self.complete = False

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise DeliveryFailed(f"the subscriber does not answer in HTTP: {error}") from error

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        # 100 Continue and its like announce the answer.
        if status >= 200 and not self.complete:
            self.status, self.keep_alive, self.complete = status, self._parser.should_keep_alive(), True


def _is_quiet(connection: socket.socket) -> bool:
    """Whether a connection that was left alone may be used: not closed, and nothing said out of turn."""
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
