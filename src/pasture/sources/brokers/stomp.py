"""Frames of STOMP 1.2, the text protocol that ActiveMQ speaks. Pure (stomp.github.io/stomp-specification-1.2.html)."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

FRAME_MAX = 128 * 1024 * 1024
_ESCAPES = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}
_UNESCAPES = {"\\": "\\", "r": "\r", "n": "\n", "c": ":"}
_PLAIN = frozenset({"CONNECT", "CONNECTED"})
"""Frames whose headers have no escapes, for the sake of STOMP 1.0."""


class StompError(Exception):
    """What came is no STOMP."""


class Frame(NamedTuple):
    command: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    escaped = (lambda text: text) if frame.command in _PLAIN else _escape
    lines = [frame.command, *(f"{escaped(name)}:{escaped(value)}" for name, value in frame.headers.items())]
    return "\n".join(lines).encode() + b"\n\n" + frame.body + b"\0"


class Parser:
    """Takes bytes as they come."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises StompError."""
        self._bytes += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        data = self._bytes
        # Between frames there may be ends of line, which are the other side's sign of life.
        start = next((at for at, byte in enumerate(data) if byte not in b"\r\n"), len(data))
        if start:
            del data[:start]
            self._searched = 0
        head, body = _head_end(data)
        if body < 0:
            self._check_size()
            return None
        lines = bytes(data[:head]).decode(errors="replace").replace("\r\n", "\n").split("\n")
        headers = _headers(lines[0], lines[1:])
        length = headers.get("content-length", "")
        end = body + int(length) if length.isdecimal() else data.find(b"\0", max(body, self._searched))
        if end < 0 or end >= len(data):
            self._searched = len(data)
            self._check_size()
            return None
        if data[end] != 0:
            raise StompError("a frame is longer than its content-length")
        frame = Frame(lines[0], headers, bytes(data[body:end]))
        del data[: end + 1]
        self._searched = 0
        return frame

    def _check_size(self) -> None:
        if len(self._bytes) > FRAME_MAX:
            raise StompError(f"a frame is larger than {FRAME_MAX} bytes")


def _head_end(data: bytearray) -> tuple[int, int]:
    """Where the headers end, and where the body begins; -1 while that is not known."""
    plain, carriage = data.find(b"\n\n"), data.find(b"\n\r\n")
    if plain >= 0 and (carriage < 0 or plain < carriage):
        return plain, plain + 2
    return (carriage, carriage + 3) if carriage >= 0 else (-1, -1)


def _headers(command: str, lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    unescaped = (lambda text: text) if command in _PLAIN else _unescape
    for line in lines:
        name, is_there, value = line.rstrip("\r").partition(":")
        if not is_there:
            raise StompError(f"{line!r} is no header")
        # Of repeated headers the first counts.
        headers.setdefault(unescaped(name), unescaped(value))
    return headers


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    letters = iter(text)
    try:
        return "".join(letter if letter != "\\" else _UNESCAPES[next(letters)] for letter in letters)
    except (KeyError, StopIteration, RuntimeError) as error:
        raise StompError(f"{text!r} has an escape that is none") from error
