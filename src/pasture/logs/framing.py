"""The frames in which runtime clients write log records to `_LAMBDA_TELEMETRY_LOG_FD`. Pure.

Big-endian: 4 bytes type, 4 bytes length, 8 bytes microseconds since the epoch, then the
message. The type is 0xa55a00 and a byte of level and format (aws-lambda reference 3.6).

What is on the other end is the function, so anything may come. A header that is not one
(another magic, an unknown low byte, a length over the limit) is skipped as plain bytes
up to the next three bytes of magic; the skipped bytes become records of their own,
without time or level, so that nothing a function says is lost. Memory is bounded by the
longest frame and what one `feed` brings.
"""

import struct
from dataclasses import dataclass

_HEADER = struct.Struct(">4sIQ")
_MAGIC = b"\xa5\x5a\x00"
# More than the largest event and its repr, which is what functions log at most; what claims more is not a frame.
MESSAGE_LIMIT = 8 * 1024 * 1024

# The low byte: two bits of format (2 JSON, 3 text), the level above them.
_FORMATS = {2: True, 3: False}
_LEVELS = {0: "", 2: "DEBUG", 3: "INFO", 4: "WARN", 5: "ERROR", 6: "CRITICAL"}
_KINDS = {level << 2 | form: (name, json) for level, name in _LEVELS.items() for form, json in _FORMATS.items()}


@dataclass(frozen=True, slots=True)
class Frame:
    timestamp_us: int | None
    """None for bytes outside of any frame: whoever reads them knows when."""
    level: str
    """DEBUG, INFO, WARN, ERROR, CRITICAL; empty when the record has none."""
    json: bool
    message: str


class Frames:
    """An incremental parser: feed it what was read, in whatever pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __repr__(self) -> str:
        return f"Frames({len(self._buffer)} bytes wait)"

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        frames: list[Frame] = []
        position = 0
        while True:
            step = self._frame_at(position) or self._stray_at(position)
            if step is None:
                break
            frame, position = step
            frames.append(frame)
        del self._buffer[:position]
        return frames

    def end(self) -> list[Frame]:
        """What is left when the writer is gone: half a frame, given as plain bytes."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return [_plain(rest)] if rest else []

    def _frame_at(self, position: int) -> tuple[Frame, int] | None:
        """A whole frame and where it ends."""
        if not self._may_be_header(position) or len(self._buffer) < position + _HEADER.size:
            return None
        kind, length, timestamp_us = _HEADER.unpack_from(self._buffer, position)
        first = position + _HEADER.size
        if len(self._buffer) < first + length:
            return None
        level, json = _KINDS[kind[3]]
        message = self._buffer[first : first + length].decode("utf-8", "replace")
        return Frame(timestamp_us, level, json, message), first + length

    def _stray_at(self, position: int) -> tuple[Frame, int] | None:
        """The bytes before the next place where a frame may begin, when none begins here."""
        if position == len(self._buffer) or self._may_be_header(position):
            return None
        following = position + 1
        while not self._may_be_header(following):
            following = self._next_magic(following)
        return _plain(bytes(self._buffer[position:following])), following

    def _next_magic(self, position: int) -> int:
        """The next place after `position` that holds magic, or the start of it at the end of what has come."""
        found = self._buffer.find(_MAGIC, position + 1)
        if found >= 0:
            return found
        for length in (2, 1):
            if self._buffer.endswith(_MAGIC[:length]) and len(self._buffer) - length > position:
                return len(self._buffer) - length
        return len(self._buffer)

    def _may_be_header(self, position: int) -> bool:
        """Whether what has come so far can be the header of a frame; true of nothing at all."""
        header = self._buffer[position : position + _HEADER.size]
        if not _MAGIC.startswith(header[:3]) or (len(header) > 3 and header[3] not in _KINDS):
            return False
        return len(header) < 8 or int.from_bytes(header[4:8], "big") <= MESSAGE_LIMIT


def _plain(data: bytes) -> Frame:
    return Frame(None, "", False, data.decode("utf-8", "replace"))
