"""One client's connection: bytes in, requests out to the handler, answers back in order."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import httptools

from pasture.http.encoding import CONTINUE, LAST_CHUNK, chunk, encode_head, encode_whole
from pasture.http.message import BodyStream, CutOff, Headers, Request, Response
from pasture.http.patience import Patience
from pasture.kit.errands import Errand, Notice

if TYPE_CHECKING:
    from pasture.http.server import Handler, HttpLimits

_log = logging.getLogger(__name__)

# While one request is served, this many more may wait behind it before reading pauses.
_PIPELINE = 4
# After an answer to a request that was cut off, what the client still sends is read and dropped, so that
# it sees the answer and not a reset; this much at most, and for this long.
_DISCARD_BYTES = 256 * 1024 * 1024
_DISCARD_SECONDS = 10.0


@dataclass(slots=True)
class _Turn:
    """A whole request, and how its answer must go."""

    request: Request
    keep_alive: bool
    chunked: bool
    """Whether the client knows chunks: one of HTTP/1.0 gets a streamed answer up to the end of the connection."""


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
        self._method = self._target = ""
        self._headers = Headers()
        self._head_bytes = 0
        self._in_head = True
        self._fruitless_bytes = 0
        """Received since the message began or its body last grew: what the parser may be hoarding."""
        self._expects_head = False
        self._is_body_paused = False
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_limit = 0
        self._stream: BodyStream | None = None
        self._trailers: list[tuple[bytes, bytes]] = []
        # What waits, and what is being answered.
        self._waiting: deque[_Turn] = deque()
        self._serving: _Turn | None = None
        self._errand: Errand | None = None
        self._is_serving_on = False
        # How it goes on.
        self._paused = False
        self._owes_continue = False
        self._discarding = False
        self._discarded = 0
        self._half_closed = False
        self._finishing = False
        self._writable: asyncio.Future[None] | None = None
        self._patience = Patience(self._lose_patience)

    def __repr__(self) -> str:
        state = "serving" if self._serving is not None else "idle"
        return f"<Connection {self._peer} {state}, {len(self._waiting)} waiting>"

    # The transport's side...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        if not self._opened(self):
            self._transport.abort()
            return
        self._patience.expect_within(self._limits.idle_seconds)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._on_closed(self)
        self._patience.close()
        self._waiting.clear()
        self.resume_writing()
        self._cut_stream()
        self._tell_of_disconnect()
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            self._discard(len(data))
            return
        self._fruitless_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The message before the upgrade has been given to on_message_complete, and the connection ends with
            # its answer: no other protocol is spoken.
            self._discarding = True
        except httptools.HttpParserCallbackError:
            _log.exception("%s: a request could not be taken", self._peer)
            self._refuse(Response(500, {"Content-Type": "text/plain"}, b"Internal error.\n"))
        except httptools.HttpParserError as error:
            self._refuse(Response(400, {"Content-Type": "text/plain"}, f"Bad request: {error}\n".encode()))
        else:
            if self._fruitless_bytes or not self._in_head:
                self._expect_rest()

    def _expect_rest(self) -> None:
        """A message is under way: how long its rest may take. One that comes whole has never touched a timer."""
        # The parser keeps a header's pieces to itself until the header ends.
        if self._fruitless_bytes > self._limits.header_bytes:
            self._refuse_head()
        if self._discarding:
            return
        if self._in_head:
            if not self._expects_head:
                self._expects_head = True
                self._patience.expect_within(self._limits.head_seconds)
        elif not self._fruitless_bytes and not self._is_body_paused:
            self._patience.expect_within(self._limits.body_seconds)

    def eof_received(self) -> bool:
        """A client that will send no more still gets its answers; most often it is simply gone."""
        self._half_closed = True
        goes_on = self._serving is not None or bool(self._waiting)
        self._cut_stream()
        self._tell_of_disconnect()
        return goes_on

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
        if self._serving is None:
            self._serve_next()

    # The parser's side...

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head_bytes += len(url)
        if self._head_bytes > self._limits.header_bytes:
            self._refuse_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._limits.header_bytes:
            self._refuse_head()
        # A trailer of a chunked body is none of the headers: RFC 9110, 6.5.1.
        if self._in_head:
            self._fields.append((name, value))
        elif self._stream is not None:
            self._trailers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._fruitless_bytes = 0
        if self._discarding:
            return
        self._method = self._parser.get_method().decode("ascii")
        self._target = self._url.decode("latin-1")
        headers = self._headers = Headers(self._fields)
        streams = self._limits.streams
        if streams is not None and streams(self._target, headers):
            self._begin_stream(headers)
            return
        self._body_limit = self._limits.body_bytes(self._method, self._target)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._body_limit:
            self._refuse(self._limits.too_large(self._method, self._target))
            return
        if headers.get("expect", "").lower() == "100-continue":
            self._owes_continue = True
            self._continue()

    def on_body(self, body: bytes) -> None:
        if self._discarding:
            return
        self._fruitless_bytes = 0
        if self._stream is not None:
            self._stream.feed(body)
            return
        self._body_bytes += len(body)
        if self._body_bytes > self._body_limit:
            self._refuse(self._limits.too_large(self._method, self._target))
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._discarding:
            return
        if self._stream is not None:
            stream, self._stream = self._stream, None
            self._begin_message()
            stream.end(Headers(self._trailers))
            self._trailers = []
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(self._method, self._target, self._headers, body, self._peer)
        self._begin_message()
        self._enqueue(request)

    def _begin_message(self) -> None:
        self._url, self._fields, self._head_bytes, self._body, self._body_bytes = b"", [], 0, [], 0
        self._in_head, self._fruitless_bytes, self._owes_continue = True, 0, False
        self._expects_head = self._is_body_paused = False
        self._patience.expect_within(None)

    def _begin_stream(self, headers: Headers) -> None:
        """The request is handed over now, its body follows."""
        self._stream = BodyStream(self._pause_reading_of_body)
        self._trailers = []
        self._enqueue(Request(self._method, self._target, headers, peer=self._peer, stream=self._stream))

    def _enqueue(self, request: Request) -> None:
        chunked = self._parser.get_http_version() != "1.0"
        keep_alive = chunked and self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._waiting.append(_Turn(request, keep_alive, chunked))
        self._serve_next()
        if len(self._waiting) >= _PIPELINE and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    # Serving...

    def _serve_next(self) -> None:
        """Serve what waits, while the client takes the answers."""
        if self._is_serving_on:
            return  # in the loop below, further up in this stack
        self._is_serving_on = True
        try:
            while self._waiting and self._serving is None and self._writable is None:
                self._serving = self._waiting.popleft()
                self._serve(self._serving)
        finally:
            self._is_serving_on = False

    def _serve(self, turn: _Turn) -> None:
        try:
            answer = self._handler(turn.request)
        except Exception:  # noqa: BLE001 (logged; the client is told)
            answer = self._failed(turn)
        if isinstance(answer, Response) and isinstance(answer.body, bytes):
            self._served(close=self._send_whole(turn, answer))
        elif isinstance(answer, Notice):
            # What a poll waits for: nothing need wait with it.
            answer.then(partial(self._polled, turn, answer))
        elif isinstance(answer, asyncio.Future):
            answer.add_done_callback(partial(self._polled, turn))
        else:
            self._send_on_errand(turn, answer)

    def _send_on_errand(self, turn: _Turn, answer: Response | Awaitable[Response]) -> None:
        errand = Errand(self._serve_later(turn, answer), "an answer", self._errand_ended, self._loop)
        if not errand.has_ended:
            self._errand = errand

    def _errand_ended(self, errand: Errand, _error: BaseException | None) -> None:
        if self._errand is errand:
            self._errand = None

    def _polled(self, turn: _Turn, answer: "asyncio.Future[Response]") -> None:
        """A future that the handler gave has come to its end; it is cancelled when nobody waits any more."""
        if answer.cancelled() or answer.exception() is not None or not isinstance(answer.result().body, bytes):
            self._send_on_errand(turn, answer)
            return
        self._served(close=self._send_whole(turn, answer.result()))
        self._serve_next()

    async def _serve_later(self, turn: _Turn, pending: Response | Awaitable[Response]) -> None:
        close = True
        try:
            try:
                answer = pending if isinstance(pending, Response) else await pending
            except Exception:  # noqa: BLE001 (logged; the client is told)
                answer = self._failed(turn)
            if isinstance(answer.body, bytes):
                close = self._send_whole(turn, answer)
            else:
                close = await self._send_stream(turn, answer, answer.body)
        except CutOff as cut:
            _log.info("%s %s was cut off: %s", turn.request.method, turn.request.raw_path, cut)
            self._transport.abort()
        except Exception:  # noqa: BLE001 (logged; the client sees that the answer is not whole)
            _log.exception("%s %s failed in its answer", turn.request.method, turn.request.raw_path)
            self._transport.abort()
        finally:
            self._served(close=close)
            self._serve_next()

    def _failed(self, turn: _Turn) -> Response:
        _log.exception("%s %s failed", turn.request.method, turn.request.raw_path)
        return Response(500, {"Content-Type": "text/plain"}, b"Internal error.\n", close=True)

    def _send_whole(self, turn: _Turn, answer: Response) -> bool:
        """Whether the connection ends with this answer."""
        close = answer.close or self._is_last(turn)
        if not self._transport.is_closing():
            self._transport.write(encode_whole(answer, turn.request.method, close=close))
        return close

    async def _send_stream(self, turn: _Turn, answer: Response, body: AsyncIterator[bytes]) -> bool:
        """Whether the connection ends with this answer. A client that goes ends the stream, at its next piece."""
        close = answer.close or self._is_last(turn)
        if not self._transport.is_closing():
            self._transport.write(encode_head(answer, close=close, chunked=turn.chunked))
        async with _closing(body):
            if turn.request.method == "HEAD":
                return close
            async for piece in body:
                if self._writable is not None:
                    await self._writable
                if self._transport.is_closing():
                    return True
                if piece:
                    self._transport.write(chunk(piece) if turn.chunked else piece)
        if turn.chunked and not self._transport.is_closing():
            self._transport.write(LAST_CHUNK)
        return close

    def _is_last(self, turn: _Turn) -> bool:
        return not turn.keep_alive or self._finishing or (self._half_closed and not self._waiting)

    def _served(self, *, close: bool) -> None:
        self._serving = None
        if close or self._finishing or self._transport.is_closing() or self._stream is not None:
            # An answer before the end of a streamed body: nobody reads the rest of it.
            self._waiting.clear()
            self._transport.close()
            return
        if not self._waiting and self._in_head and not self._fruitless_bytes:
            self._patience.expect_within(self._limits.idle_seconds)
        if self._paused and len(self._waiting) < _PIPELINE:
            self._paused = False
            self._transport.resume_reading()
        self._continue()

    def _continue(self) -> None:
        """What a client that sent `Expect: 100-continue` waits for: not in the midst of the answer before it."""
        if self._owes_continue and self._serving is None and not self._waiting:
            self._owes_continue = False
            self._transport.write(CONTINUE)

    def _pause_reading_of_body(self, pause: bool) -> None:
        if self._transport.is_closing():
            return
        self._is_body_paused = pause
        if pause:
            self._patience.expect_within(None)
            self._transport.pause_reading()
        else:
            self._patience.expect_within(self._limits.body_seconds)
            self._transport.resume_reading()

    def _cut_stream(self) -> None:
        if self._stream is not None:
            self._stream.fail(ConnectionResetError("the client went before the end of its body"))

    def _tell_of_disconnect(self) -> None:
        if self._serving is None:
            return
        callbacks, self._serving.request.on_disconnect = self._serving.request.on_disconnect, []
        for callback in callbacks:
            callback()

    # Ending...

    def finish(self) -> None:
        """End after what is being answered, or now when nothing is."""
        self._finishing = True
        if self._serving is None and not self._waiting:
            self._transport.close()

    def abort(self) -> set[asyncio.Future[Any]]:
        """Cut it, and what was to be answered. What there is to wait for until it has ended."""
        self._transport.abort()
        if self._errand is None or self._errand.is_running:
            return {self.closed}
        task = self._errand.as_task()
        task.cancel()
        return {self.closed, task}

    def _refuse(self, answer: Response) -> None:
        """Answer a request that cannot be taken, and read on only so that the client gets to see it."""
        if self._discarding:
            return
        self._discarding = True
        if self._serving is not None or self._waiting:
            # Answers go in order, and what is being served will take its time: cut here.
            self._finishing = True
            self._patience.expect_within(None)
            return
        if not self._transport.is_closing():
            self._transport.write(encode_whole(answer, "POST", close=True))
            if self._transport.can_write_eof():
                self._transport.write_eof()
        self._patience.expect_within(_DISCARD_SECONDS)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARD_BYTES:
            self._transport.abort()

    # Details...

    def _refuse_head(self) -> None:
        self._refuse(Response(431, {"Content-Type": "text/plain"}, b"The request's headers are too large.\n"))

    def _lose_patience(self) -> None:
        if not self._transport.is_closing():
            self._transport.abort() if self._discarding else self._transport.close()


def _closing(body: AsyncIterator[bytes]) -> AbstractAsyncContextManager[object]:
    """What a generator holds is given back when its client is served or gone, not when the collector comes by."""
    return aclosing(body) if isinstance(body, AsyncGenerator) else nullcontext()
