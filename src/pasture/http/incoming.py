"""What a client sends: bytes in, whole requests out to the connection, within the limits of size and patience."""

import logging
from typing import TYPE_CHECKING

import httptools

from pasture.http.message import BodyStream, Headers, Request, Response

if TYPE_CHECKING:
    from pasture.http.connection import Connection
    from pasture.http.server import HttpLimits

_log = logging.getLogger(__name__)

# After an answer to a request that was cut off, what the client still sends is read and dropped, so that
# it sees the answer and not a reset; this much at most, and for this long.
_DISCARD_BYTES = 256 * 1024 * 1024
DISCARD_SECONDS = 10.0


class Incoming:
    """Mutable state: the message that is being parsed. The methods `on_…` are llhttp's callbacks."""

    def __init__(self, connection: "Connection", limits: "HttpLimits") -> None:
        self._connection = connection
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
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
        self.owes_continue = False
        """The client waits for leave to send its body."""
        self.is_discarding = False
        self._discarded = 0

    @property
    def is_between_messages(self) -> bool:
        return self._in_head and not self._fruitless_bytes

    @property
    def is_streaming(self) -> bool:
        """Whether a request has been handed over whose body is not whole."""
        return self._stream is not None

    def feed(self, data: bytes) -> None:
        if self.is_discarding:
            self._discard(len(data))
            return
        self._fruitless_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The message before the upgrade has been given to on_message_complete, and the connection ends with
            # its answer: no other protocol is spoken.
            self.is_discarding = True
        except httptools.HttpParserCallbackError:
            _log.exception("%s: a request could not be taken", self._connection.peer)
            self._refuse(Response(500, {"Content-Type": "text/plain"}, b"Internal error.\n"))
        except httptools.HttpParserError as error:
            self._refuse(Response(400, {"Content-Type": "text/plain"}, f"Bad request: {error}\n".encode()))
        else:
            if self._fruitless_bytes or not self._in_head:
                self._expect_rest()

    def cut(self) -> None:
        """The client has gone."""
        if self._stream is not None:
            self._stream.fail(ConnectionResetError("the client went before the end of its body"))

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
        if self.is_discarding:
            return
        self._method = self._parser.get_method().decode("ascii")
        self._target = self._url.decode("latin-1")
        headers = self._headers = Headers(self._fields)
        streams = self._limits.streams
        if streams is not None and streams(self._target, headers):
            self._expect_body(headers)
            self._begin_stream(headers)
            return
        self._body_limit = self._limits.body_bytes(self._method, self._target)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._body_limit:
            self._refuse(self._limits.too_large(self._method, self._target))
            return
        self._expect_body(headers)

    def on_body(self, body: bytes) -> None:
        if self.is_discarding:
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
        if self.is_discarding:
            return
        if self._stream is not None:
            stream, self._stream = self._stream, None
            self._begin_message()
            stream.end(Headers(self._trailers))
            self._trailers = []
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(self._method, self._target, self._headers, body, self._connection.peer)
        self._begin_message()
        self._hand_over(request)

    def _begin_message(self) -> None:
        self._url, self._fields, self._head_bytes, self._body, self._body_bytes = b"", [], 0, [], 0
        self._in_head, self._fruitless_bytes, self.owes_continue = True, 0, False
        self._expects_head = self._is_body_paused = False
        self._connection.patience.expect_within(None)

    def _expect_body(self, headers: Headers) -> None:
        if headers.get("expect", "").lower() == "100-continue":
            self.owes_continue = True
            self._connection.send_continue()

    def _begin_stream(self, headers: Headers) -> None:
        """The request is handed over now, its body follows."""
        self._stream = BodyStream(self._pause_body)
        self._trailers = []
        self._hand_over(Request(self._method, self._target, headers, peer=self._connection.peer, stream=self._stream))

    def _hand_over(self, request: Request) -> None:
        chunked = self._parser.get_http_version() != "1.0"
        keep_alive = chunked and self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._connection.enqueue(request, keep_alive=keep_alive, chunked=chunked)

    # How long it may take, and how much it may be...

    def _expect_rest(self) -> None:
        """A message is under way: how long its rest may take. One that comes whole has never touched a timer."""
        # The parser keeps a header's pieces to itself until the header ends.
        if self._fruitless_bytes > self._limits.header_bytes:
            self._refuse_head()
        if self.is_discarding:
            return
        if self._in_head:
            if not self._expects_head:
                self._expects_head = True
                self._connection.patience.expect_within(self._limits.head_seconds)
        elif not self._fruitless_bytes and not self._is_body_paused:
            self._connection.patience.expect_within(self._limits.body_seconds)

    def _pause_body(self, pause: bool) -> None:
        connection = self._connection
        if connection.is_closing:
            return
        self._is_body_paused = pause
        connection.patience.expect_within(None if pause else self._limits.body_seconds)
        connection.pause_reading(pause)

    def _refuse_head(self) -> None:
        self._refuse(Response(431, {"Content-Type": "text/plain"}, b"The request's headers are too large.\n"))

    def _refuse(self, answer: Response) -> None:
        """It cannot be taken; what follows is read on only so that the client gets to see the answer."""
        if not self.is_discarding:
            self.is_discarding = True
            self._connection.refuse(answer)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARD_BYTES:
            self._connection.cut()
