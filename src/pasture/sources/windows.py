"""Tumbling windows over the records of a shard: which one a record is of, and what a function is told of it. Pure.

Source: "Using Lambda to process records from Amazon Kinesis Data Streams" in the developer guide (reference 7.4).
Windows follow each other without a gap, by the time at which records arrived; a function is given the state that it
answered last, and once more when the window is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from pasture.sources.stream_records import StreamRecord

STATE_MAX = 1024 * 1024
"""Bytes. A larger one ends its window early."""
NOTHING = b"{}"


@dataclass(frozen=True, slots=True)
class Window:
    """One that is open; times are milliseconds since the epoch."""

    start: int
    length: int
    state: bytes = NOTHING
    """A JSON object."""
    is_begun: bool = False
    """The function has answered for some of its records."""

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def is_too_large(self) -> bool:
        return len(self.state) > STATE_MAX


def window_of(timestamp: int, length: int, current: Window | None) -> int:
    """When the window of a record begins; never before the current one, which may be open no longer."""
    start = timestamp - timestamp % length
    return start if current is None else max(start, current.start)


def windowed_event(
    records: Sequence[StreamRecord], window: Window, shard: str, source: str, *, is_final: bool = False
) -> bytes:
    return msgspec.json.encode({
        "Records": [msgspec.Raw(record.event) for record in records],
        "window": {"start": _iso(window.start), "end": _iso(window.end)},
        "state": msgspec.Raw(window.state),
        "shardId": shard,
        "eventSourceARN": source,
        "isFinalInvokeForWindow": is_final,
        "isWindowTerminatedEarly": is_final and window.is_too_large,
    })  # fmt: skip


class _Answer(msgspec.Struct):
    state: dict[str, Any]


def answered_state(payload: bytes) -> bytes | None:
    """None when the function has not answered a state."""
    try:
        msgspec.json.decode(payload, type=_Answer)
        return bytes(msgspec.json.decode(payload, type=dict[str, msgspec.Raw])["state"])
    except (msgspec.DecodeError, RecursionError):
        return None


def names_failures(payload: bytes) -> bool:
    """Of an answer that has a state."""
    return "batchItemFailures" in msgspec.json.decode(payload, type=dict[str, msgspec.Raw])


def kept_window(window: Window | None) -> dict[str, Any]:
    """Members of what is kept of a shard."""
    if window is None or not window.is_begun:
        return {}
    return {"window": {"start": window.start, "length": window.length, "state": msgspec.Raw(window.state)}}


def window_that_was_kept(value: bytes) -> Window | None:
    found = msgspec.json.decode(value, type=_Kept).window
    return None if found is None else Window(found.start, found.length, bytes(found.state), is_begun=True)


class _KeptWindow(msgspec.Struct):
    start: int
    length: int
    state: msgspec.Raw


class _Kept(msgspec.Struct):
    window: _KeptWindow | None = None


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
