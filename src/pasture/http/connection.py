"""One client's connection: bytes in, requests out to the handler, answers back in order."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, cast

import httptools

from pasture.http.encoding import CONTINUE, LAST_CHUNK, chunk, encode_head, encode_whole
from pasture.http.message import Headers, Request, Response

if TYPE_CHECKING:
    from pasture.http.server import Handler, HttpLimits

_log = logging.getLogger(__name__)

# While one request is served, this many more may wait behind it before reading pauses.
_PIPELINE = 4
# After an answer to a request that was cut off, what the client still sends is read and dropped, so that
# it sees the answer and not a reset; this much at most, and for this long.
_DISCARD_BYTES = 256 * 1024 * 1024
_DISCARD_SECONDS = 10.0


class Connection(asyncio.Protocol):
    def __init__(
        self,
        handler: "Handler",
        limits: "HttpLimits",
        opened: Callable[["Connection"], bool],
        closed: Callable[["Connection"], None],
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._opened = opened
        self._on_closed = closed
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._peer = ""
        self.closed: asyncio.Future[None] = self._loop.create_future()
        # What is being parsed.
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_limit = 0
        # What waits, and what is being answered.
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._serving: Request | None = None
        self._task: asyncio.Task[None] | None = None
        # How it goes on.
        self._keep_alive = True
        self._paused = False
        self._discarding = False
        self._discarded = 0
        self._finishing = False
        self._writable: asyncio.Future[None] | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "serving" if self._serving else "idle"
        return f"<Connection {self._peer} {state}, {len(self._waiting)} waiting>"

    # The transport's side...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        if not self._opened(self):
            self._transport.abort()
            return
        self._expect_within(self._limits.idle_seconds)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._on_closed(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(ConnectionResetError("the client has gone"))
        if self._serving is not None:
            for callback in self._serving.on_disconnect:
                callback()
        self._waiting.clear()
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            self._discard(len(data))
            return
        if not self._fields and not self._head_bytes:
            self._expect_within(self._limits.head_seconds)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The message before the upgrade has been given to on_message_complete; no other protocol is spoken.
            self._keep_alive = False
        except httptools.HttpParserError as error:
            if not self._discarding:
                self._refuse(Response(400, {"Content-Type": "text/plain"}, f"Bad request: {error}\n".encode()))

    def eof_received(self) -> bool:
        # A half-closed client still gets its answer.
        self._finishing = True
        return self._serving is not None or bool(self._waiting)

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    # The parser's side...

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))
        self._count_head(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        if self._discarding:
            return
        self._body_limit = self._limits.body_bytes(self._method(), self._target())
        length = next((value for name, value in self._fields if name.lower() == b"content-length"), b"0")
        if not length.isdigit() or int(length) > self._body_limit:
            self._refuse(self._limits.too_large(self._method(), self._target()))
            return
        if any(name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in self._fields):
            self._transport.write(CONTINUE)
        self._expect_within(self._limits.body_seconds)

    def on_body(self, body: bytes) -> None:
        if self._discarding:
            return
        self._body_bytes += len(body)
        if self._body_bytes > self._body_limit:
            self._refuse(self._limits.too_large(self._method(), self._target()))
            return
        self._body.append(body)
        self._expect_within(self._limits.body_seconds)

    def on_message_complete(self) -> None:
        if self._discarding:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(self._method(), self._target(), Headers(self._fields), body, self._peer)
        self._url, self._fields, self._head_bytes, self._body, self._body_bytes = b"", [], 0, [], 0
        self._expect_within(None)
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self._serving is None:
            self._serve_next()
        elif len(self._waiting) >= _PIPELINE:
            self._paused = True
            self._transport.pause_reading()

    # Serving...

    def _serve_next(self) -> None:
        while self._waiting and self._serving is None:
            request, keep_alive = self._waiting.popleft()
            self._serving, self._keep_alive = request, keep_alive
            try:
                answer = self._handler(request)
            except Exception:  # noqa: BLE001 (logged; the client is told)
                _log.exception("%s %s failed", request.method, request.raw_path)
                answer = Response(500, {"Content-Type": "text/plain"}, b"Internal error.\n", close=True)
            if isinstance(answer, Response) and isinstance(answer.body, bytes):
                self._send_whole(request, answer)
                self._served(close=answer.close)
            else:
                self._task = self._loop.create_task(self._serve_later(request, answer))
                return

    async def _serve_later(self, request: Request, pending: Response | Awaitable[Response]) -> None:
        close = True
        try:
            answer = pending if isinstance(pending, Response) else await pending
            if isinstance(answer.body, bytes):
                self._send_whole(request, answer)
            else:
                await self._send_stream(request, answer, answer.body)
            close = answer.close
        except ConnectionResetError:
            pass  # The client has gone; nobody is left to tell.
        except Exception:  # noqa: BLE001 (logged; the client is told)
            _log.exception("%s %s failed", request.method, request.raw_path)
            if not self._transport.is_closing():
                self._transport.write(encode_whole(Response(500, {}, b"Internal error.\n", close=True), request.method))
        finally:
            self._task = None
            self._served(close=close)
            self._serve_next()

    def _send_whole(self, request: Request, answer: Response) -> None:
        if self._transport.is_closing():
            return
        answer.close = answer.close or not self._keep_alive or self._finishing
        self._transport.write(encode_whole(answer, request.method))

    async def _send_stream(self, request: Request, answer: Response, body: AsyncIterator[bytes]) -> None:
        answer.close = answer.close or not self._keep_alive or self._finishing
        self._transport.write(encode_head(answer))
        async for piece in body:
            if self._transport.is_closing():
                raise ConnectionResetError("the client has gone")
            if piece and request.method != "HEAD":
                self._transport.write(chunk(piece))
                if self._writable is not None:
                    await self._writable
        if request.method != "HEAD":
            self._transport.write(LAST_CHUNK)

    def _served(self, *, close: bool) -> None:
        self._serving = None
        if close or self._finishing or not self._keep_alive:
            self._waiting.clear()
            self._transport.close()
            return
        if not self._waiting:
            self._expect_within(self._limits.idle_seconds)
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    # Ending...

    def finish(self) -> None:
        """End after what is being answered, or now when nothing is."""
        self._finishing = True
        if self._serving is None and not self._waiting:
            self._transport.close()

    def abort(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def _refuse(self, answer: Response) -> None:
        """Answer a request that cannot be taken, and read on only so that the client gets to see it."""
        self._discarding = True
        if self._serving is not None or self._waiting:
            # Answers go in order, and what is being served will take its time: cut here.
            self._finishing = True
            return
        answer.close = True
        if not self._transport.is_closing():
            self._transport.write(encode_whole(answer, "POST"))
            if self._transport.can_write_eof():
                self._transport.write_eof()
        self._expect_within(_DISCARD_SECONDS)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARD_BYTES:
            self._transport.abort()

    # Details...

    def _method(self) -> str:
        return self._parser.get_method().decode("ascii")

    def _target(self) -> str:
        return self._url.decode("latin-1")

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.header_bytes and not self._discarding:
            self._refuse(Response(431, {"Content-Type": "text/plain"}, b"The request's headers are too large.\n"))

    def _expect_within(self, seconds: float | None) -> None:
        """The client has so long for what it does next. One timer serves a connection: it looks again when it fires."""
        if seconds is None:
            self._deadline = None
            return
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look_at_deadline)
        elif self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        self._timer = None
        if self._deadline is None or self._transport.is_closing():
            return
        if self._loop.time() >= self._deadline:
            self._transport.abort() if self._discarding else self._transport.close()
        else:
            self._timer = self._loop.call_at(self._deadline, self._look_at_deadline)
