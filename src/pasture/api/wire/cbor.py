"""CBOR (RFC 8949), as far as Smithy's protocol uses it. Pure.

What is read is not trusted: lengths are believed only as far as there are bytes, nesting is bounded, and whatever is
not well-formed raises Malformed. A tag 1 becomes an aware datetime; an aware datetime is written as one.
"""

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_DEEPEST = 64
_ANY_LENGTH = 31
_BREAK = object()
_SIMPLE: dict[int, Any] = {20: False, 21: True, 22: None, 23: None, 31: _BREAK}
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_DOUBLE = struct.Struct(">Bd").pack
_TIMES = struct.Struct(">BBd").pack


class Malformed(ValueError):
    """It is no CBOR, or of a kind that has no place here."""


def decode(body: bytes) -> Any:
    """One item, which is all of the body. Raises Malformed."""
    reader = _Reader(body)
    value = reader.item(0)
    if value is _BREAK or reader.at != len(body):
        raise Malformed("there is more than one item, or none")
    return value


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.at = 0
        self._kinds: list[Callable[[int, int], Any]] = [
            lambda info, _depth: self._number(info),
            lambda info, _depth: -1 - self._number(info),
            lambda info, _depth: self._bytes(info, 2),
            lambda info, _depth: self._text(info),
            self._list,
            self._map,
            self._tag,
            lambda info, _depth: self._simple(info),
        ]

    def item(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise Malformed("it is nested too deeply")
        first = self._take(1)[0]
        return self._kinds[first >> 5](first & 31, depth)

    def _take(self, length: int) -> bytes:
        taken = self._body[self.at : self.at + length]
        if len(taken) != length:
            raise Malformed("it ends too soon")
        self.at += length
        return taken

    def _number(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise Malformed("a number has no such size")
        return int.from_bytes(self._take(1 << (info - 24)), "big")

    def _bytes(self, info: int, kind: int) -> bytes:
        if info != _ANY_LENGTH:
            return self._take(self._number(info))
        pieces = []
        while (first := self._take(1)[0]) != 0xFF:
            if first >> 5 != kind or first & 31 == _ANY_LENGTH:
                raise Malformed("a string has pieces of another kind")
            pieces.append(self._take(self._number(first & 31)))
        return b"".join(pieces)

    def _text(self, info: int) -> str:
        try:
            return self._bytes(info, 3).decode()
        except UnicodeDecodeError as error:
            raise Malformed("a text is not UTF-8") from error

    def _count(self, info: int) -> float:
        """How many items follow at most."""
        if info == _ANY_LENGTH:
            return math.inf
        count = self._number(info)
        if count > len(self._body) - self.at:
            raise Malformed("it ends too soon")
        return count

    def _list(self, info: int, depth: int) -> list[Any]:
        count = self._count(info)
        found: list[Any] = []
        while len(found) < count:
            value = self.item(depth + 1)
            if value is _BREAK:
                self._check_break(count)
                break
            found.append(value)
        return found

    def _map(self, info: int, depth: int) -> dict[str, Any]:
        left = self._count(info)
        count = left
        found: dict[str, Any] = {}
        while left > 0:
            key = self.item(depth + 1)
            if key is _BREAK:
                self._check_break(count)
                break
            value = self.item(depth + 1)
            if type(key) is not str or value is _BREAK:
                raise Malformed("a map's keys are texts, and each has a value")
            found[key] = value
            left -= 1
        return found

    @staticmethod
    def _check_break(count: float) -> None:
        if count != math.inf:
            raise Malformed("it ends too soon")

    def _tag(self, info: int, depth: int) -> Any:
        tag = self._number(info)
        value = self.item(depth + 1)
        if tag != 1:
            return value
        if type(value) not in {int, float}:
            raise Malformed("a time is no number")
        try:
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise Malformed("a time is beyond the calendar") from error

    def _simple(self, info: int) -> Any:
        if info in _FLOATS:
            kind = _FLOATS[info]
            return kind.unpack(self._take(kind.size))[0]
        try:
            return _SIMPLE[info]
        except KeyError as error:
            raise Malformed("there is no such simple value") from error


def encode(value: Any) -> bytes:
    """Of None, booleans, numbers, texts, bytes, aware datetimes, and lists and maps of those. A float is a double."""
    pieces: list[bytes] = []
    _write(value, pieces.append)
    return b"".join(pieces)


def _write(value: Any, put: Callable[[bytes], None]) -> None:
    match value:
        case float():
            put(_DOUBLE(0xFB, value))
        case str():
            text = value.encode("utf-8", "replace")
            put(_head(3, len(text)) + text)
        case None | bool():
            put({None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value])
        case int():
            put(_head(0, value) if value >= 0 else _head(1, -1 - value))
        case datetime():
            put(_TIMES(0xC1, 0xFB, value.timestamp()))
        case dict():
            put(_head(5, len(value)))
            for key, item in value.items():
                _write(key, put)
                _write(item, put)
        case list() | tuple():
            put(_head(4, len(value)))
            for item in value:
                _write(item, put)
        case _:
            put(_head(2, len(value)) + bytes(value))


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes((kind << 5 | number,))
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes((kind << 5 | info,)) + number.to_bytes(size, "big")
    raise OverflowError(number)
