"""A lean HTTP/1.1 server: one asyncio protocol over llhttp, shared by the gateway and by the API inside every sandbox.

The handler is called with a whole `Request` and answers with a `Response`, at once or as an
awaitable. One request of a connection is served at a time, in order; those pipelined behind it
wait, and reading pauses meanwhile. A client that goes away cancels nothing: its handler is told
through `Request.on_disconnect` and runs on.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pasture.http.connection import Connection
from pasture.http.message import Headers, Request, Response

_log = logging.getLogger(__name__)

Handler = Callable[[Request], Response | Awaitable[Response]]


def _anything(_method: str, _target: str) -> int:
    return 16 * 1024 * 1024


def _too_large(_method: str, _target: str) -> Response:
    return Response(413, {"Content-Type": "text/plain"}, b"The request is too large.\n")


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Seconds and bytes that one connection may take. `None` means for ever."""

    header_bytes: int = 1024 * 1024
    """Request line and headers together."""
    head_seconds: float | None = 30.0
    """From the first byte of a request to the end of its headers: a slow loris gets no further."""
    body_seconds: float | None = 60.0
    """Between two pieces of a body."""
    idle_seconds: float | None = 120.0
    """Between two requests."""
    body_bytes: Callable[[str, str], int] = _anything
    """The most bytes of body for (method, target)."""
    too_large: Callable[[str, str], Response] = _too_large
    """What (method, target) is answered when its body passes that."""
    connections: int = 10_000
    streams: Callable[[str, Headers], bool] | None = None
    """Whether the body of (target, headers) is handed over as it comes; `body_bytes` does not bound it then."""


class HttpServer:
    """Owns its listening sockets and every connection accepted on them."""

    def __init__(self, handler: Handler, limits: HttpLimits | None = None) -> None:
        self._handler = handler
        self._limits = limits or HttpLimits()
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._closing = False

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen on a TCP address; port 0 picks a free one. Returns the address in use."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._connection, host, port, backlog=2048)
        self._servers.append(server)
        address = server.sockets[0].getsockname()
        return address[0], address[1]

    async def serve(self, listener: socket.socket) -> None:
        """Accept on a socket that listens already. The socket stays its owner's."""
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._connection, sock=listener.dup()))

    def stop_listening(self) -> None:
        """Accept no more; each connection ends after the answer it is at."""
        self._closing = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.finish()

    async def close(self, grace: float = 0.0) -> None:
        """Accept no more; let what is being answered finish within `grace` seconds; then cut."""
        self.stop_listening()
        busy = {connection.closed for connection in self._connections}
        if busy and grace > 0:
            await asyncio.wait(busy, timeout=grace)
        await self.disconnect()
        self._servers.clear()

    async def disconnect(self) -> None:
        """Cut every connection, and what was to be answered on it; the sockets go on listening."""
        ending = {waited for connection in self._connections for waited in connection.abort()}
        if ending:
            await asyncio.wait(ending)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def _connection(self) -> Connection:
        return Connection(self._handler, self._limits, self._opened, self._closed)

    def _opened(self, connection: Connection) -> bool:
        if self._closing or len(self._connections) >= self._limits.connections:
            return False
        self._connections.add(connection)
        return True

    def _closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
