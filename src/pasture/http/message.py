"""What a handler is given and what it answers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, overload
from urllib.parse import parse_qsl, unquote

T = TypeVar("T")

# What may wait unread of a streamed body before its sender has to wait.
_STREAM_BUFFER = 256 * 1024


# Names of header fields as they have come, and in lower case. What clients make up beyond that is not remembered.
_NAMES: dict[bytes, str] = {}
_NAMES_REMEMBERED = 1024
_LONG_NAME = 64


def _learn(name: bytes) -> str:
    lower = name.lower().decode("latin-1")
    if len(_NAMES) < _NAMES_REMEMBERED and len(name) <= _LONG_NAME:
        _NAMES[name] = lower
    return lower


class Headers(Mapping[str, str]):
    """Header fields as they came: order and repeats are kept, names are looked up in any case.

    `h["x"]` is the first value; `all("x")` every one; iteration yields lower-case names.
    """

    __slots__ = ("_fields", "first")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._fields = [(_NAMES.get(name) or _learn(name), value.decode("latin-1")) for name, value in fields]
        self.first: Mapping[str, str] = dict(reversed(self._fields))
        """The first values by lower-case name, for who looks up names that are."""

    @property
    def has_repeats(self) -> bool:
        return len(self.first) != len(self._fields)

    def __getitem__(self, name: str) -> str:
        return self.first[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._fields))

    def __len__(self) -> int:
        return len(self.first)

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, default: T, /) -> str | T: ...
    def get(self, key: str, default: T | None = None, /) -> str | T | None:
        return self.first.get(key.lower(), default)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"

    def all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for known, value in self._fields if known == wanted]

    @property
    def fields(self) -> list[tuple[str, str]]:
        return list(self._fields)


class BodyStream:
    """A body on its way: its pieces as they come, then its trailers. For one reader, once.

    When the reader is slow the sender is made to wait. Reading raises ConnectionResetError when the sender goes
    before the end.
    """

    __slots__ = ("_ended", "_error", "_pause", "_paused", "_pieces", "_size", "_waiting", "trailers")

    def __init__(self, pause: Callable[[bool], None]) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._error: ConnectionResetError | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._pause = pause
        self._paused = False
        self.trailers = Headers()

    def __repr__(self) -> str:
        return f"<BodyStream {self._size} bytes waiting{', ended' if self._ended else ''}>"

    @property
    def has_ended(self) -> bool:
        """Whether everything has come; it may not have been read yet."""
        return self._ended

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._paused and self._size < _STREAM_BUFFER:
            self._paused = False
            self._pause(False)
        return piece

    # The connection's side...

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= _STREAM_BUFFER and not self._paused:
            self._paused = True
            self._pause(True)
        self._wake()

    def end(self, trailers: Headers) -> None:
        self.trailers = trailers
        self._ended = True
        self._wake()

    def fail(self, error: ConnectionResetError) -> None:
        if not self._ended:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        self._waiting = None


@dataclass(slots=True)
class Request:
    """A whole request: the handler is called when its body has come; or, where the server streams, before it."""

    method: str
    target: str
    """As sent: the path with its percent-encoding, and the query."""
    headers: Headers
    body: bytes = b""
    peer: str = ""
    stream: BodyStream | None = None
    """The body as it comes, where the server streams; `body` is empty then."""
    on_disconnect: list[Callable[[], object]] = field(default_factory=list)
    """Called when the client goes before it was answered. The handler itself is never cancelled for that."""

    @property
    def raw_path(self) -> str:
        return self.target.split("?", 1)[0]

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def raw_query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.raw_query, keep_blank_values=True)


@dataclass(slots=True)
class Response:
    """An answer. `body` as bytes is sent with a Content-Length; as an iterator as it comes, chunked, or by the
    `Content-Length` among its headers, which it then has to keep.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = b""
    close: bool = False
    """End the connection after this answer."""
    also: Sequence[tuple[str, str]] = ()
    """Further header fields, whose names may come more than once (`set-cookie`)."""


class CutOff(Exception):
    """Raised by a body on its way that cannot be finished: the connection ends, so that the client sees it."""


__all__ = ["BodyStream", "CutOff", "Headers", "Request", "Response"]
