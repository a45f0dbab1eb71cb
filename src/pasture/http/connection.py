"""One client's connection: requests out to the handler, answers back in order. What comes in is `incoming`'s."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pasture.http.encoding import CONTINUE, LAST_CHUNK, chunk, encode_head, encode_whole
from pasture.http.incoming import DISCARD_SECONDS, Incoming
from pasture.http.message import CutOff, Request, Response
from pasture.http.patience import Patience
from pasture.kit.errands import Errand, Notice

if TYPE_CHECKING:
    from pasture.http.server import Handler, HttpLimits

_log = logging.getLogger(__name__)

# While one request is served, this many more may wait behind it before reading pauses.
_PIPELINE = 4


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
        self._incoming = Incoming(self, limits)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.peer = ""
        self.closed: asyncio.Future[None] = self._loop.create_future()
        # What waits, and what is being answered.
        self._waiting: deque[_Turn] = deque()
        self._serving: _Turn | None = None
        self._errand: Errand | None = None
        self._is_serving_on = False
        # How it goes on.
        self._paused = False
        self._half_closed = False
        self._finishing = False
        self._writable: asyncio.Future[None] | None = None
        self.patience = Patience(self._lose_patience)

    def __repr__(self) -> str:
        state = "serving" if self._serving is not None else "idle"
        return f"<Connection {self.peer} {state}, {len(self._waiting)} waiting>"

    # The transport's side...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        if not self._opened(self):
            self._transport.abort()
            return
        self.patience.expect_within(self._limits.idle_seconds)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._on_closed(self)
        self.patience.close()
        self._waiting.clear()
        self.resume_writing()
        self._incoming.cut()
        self._tell_of_disconnect()
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._incoming.feed(data)

    def eof_received(self) -> bool:
        """A client that will send no more still gets its answers; most often it is simply gone."""
        self._half_closed = True
        goes_on = self._serving is not None or bool(self._waiting)
        self._incoming.cut()
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

    # What has come in...

    def enqueue(self, request: Request, *, keep_alive: bool, chunked: bool) -> None:
        """`chunked`: whether the client knows chunks."""
        self._waiting.append(_Turn(request, keep_alive, chunked))
        self._serve_next()
        if len(self._waiting) >= _PIPELINE and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def pause_reading(self, pause: bool) -> None:
        """For who reads a body slower than it comes."""
        self._transport.pause_reading() if pause else self._transport.resume_reading()

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def cut(self) -> None:
        """Now, without an answer."""
        self._transport.abort()

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
        chunked = turn.chunked and "Content-Length" not in answer.headers
        if not self._transport.is_closing():
            self._transport.write(encode_head(answer, close=close, chunked=chunked))
        async with _closing(body):
            if turn.request.method == "HEAD":
                return close
            async for piece in body:
                if self._writable is not None:
                    await self._writable
                if self._transport.is_closing():
                    return True
                if piece:
                    self._transport.write(chunk(piece) if chunked else piece)
        if chunked and not self._transport.is_closing():
            self._transport.write(LAST_CHUNK)
        return close

    def _is_last(self, turn: _Turn) -> bool:
        return not turn.keep_alive or self._finishing or (self._half_closed and not self._waiting)

    def _served(self, *, close: bool) -> None:
        self._serving = None
        if close or self._finishing or self._transport.is_closing() or self._incoming.is_streaming:
            # An answer before the end of a streamed body: nobody reads the rest of it.
            self._waiting.clear()
            self._transport.close()
            return
        if not self._waiting and self._incoming.is_between_messages:
            self.patience.expect_within(self._limits.idle_seconds)
        if self._paused and len(self._waiting) < _PIPELINE:
            self._paused = False
            self._transport.resume_reading()
        self.send_continue()

    def send_continue(self) -> None:
        """What a client that sent `Expect: 100-continue` waits for: not in the midst of the answer before it."""
        if self._incoming.owes_continue and self._serving is None and not self._waiting:
            self._incoming.owes_continue = False
            self._transport.write(CONTINUE)

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

    def refuse(self, answer: Response) -> None:
        """Answer a request that cannot be taken; what the client sends from now on is dropped."""
        if self._serving is not None or self._waiting:
            # Answers go in order, and what is being served will take its time: cut here.
            self._finishing = True
            self.patience.expect_within(None)
            return
        if not self._transport.is_closing():
            self._transport.write(encode_whole(answer, "POST", close=True))
            if self._transport.can_write_eof():
                self._transport.write_eof()
        self.patience.expect_within(DISCARD_SECONDS)

    def _lose_patience(self) -> None:
        if not self._transport.is_closing():
            self._transport.abort() if self._incoming.is_discarding else self._transport.close()


def _closing(body: AsyncIterator[bytes]) -> AbstractAsyncContextManager[object]:
    """What a generator holds is given back when its client is served or gone, not when the collector comes by."""
    return aclosing(body) if isinstance(body, AsyncGenerator) else nullcontext()
