"""What the programs of an environment print, on its way to the logs.

Three pipes: standard output and standard error, cut into lines, and the telemetry
descriptor, whose frames keep a record of many lines whole. They are read as they fill, a
bounded piece at a time, so that a flood slows its writer and not the server; `drain` reads
what is there already, so that END comes after everything that the function wrote before it.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

from pasture.kit.clock import Clock
from pasture.logs.framing import Frames
from pasture.logs.lines import Lines
from pasture.logs.spec import LogWriter
from pasture.logs.tail import Tail

_PIECE = 64 * 1024
# What one drain may read of each pipe: as much as a pipe can hold.
_DRAIN = 1024 * 1024


class _Records(Protocol):
    def feed(self, data: bytes) -> list[tuple[int | None, str]]: ...

    def end(self) -> list[tuple[int | None, str]]: ...


class _PlainRecords:
    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, data: bytes) -> list[tuple[int | None, str]]:
        return [(None, line) for line in self._lines.feed(data)]

    def end(self) -> list[tuple[int | None, str]]:
        return [(None, line) for line in self._lines.flush()]


class _FramedRecords:
    def __init__(self) -> None:
        self._frames = Frames()

    def feed(self, data: bytes) -> list[tuple[int | None, str]]:
        return [(frame.timestamp_us, frame.message) for frame in self._frames.feed(data)]

    def end(self) -> list[tuple[int | None, str]]:
        return [(frame.timestamp_us, frame.message) for frame in self._frames.end()]


class Journal:
    """The log of one environment: its stream, and the tail of the invocation that runs."""

    def __init__(self, writer: LogWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._tail: Tail | None = None

    def begin_tail(self) -> None:
        self._tail = Tail()

    def end_tail(self) -> bytes:
        tail, self._tail = self._tail, None
        return tail.value() if tail else b""

    def platform(self, text: str) -> None:
        """A line of the platform's own."""
        self._write(None, text)

    def record(self, timestamp_us: int | None, message: str) -> None:
        """One record of a program: every one ends with a newline, as in CloudWatch."""
        self._write(timestamp_us, message if message.endswith("\n") else f"{message}\n")

    def _write(self, timestamp_us: int | None, text: str) -> None:
        timestamp = int(self._clock.now() * 1000) if timestamp_us is None else timestamp_us // 1000
        self._writer.write(timestamp, text)
        if self._tail is not None:
            self._tail.add(text)


class _Pipe:
    def __init__(self, records: _Records, emit: Callable[[int | None, str], None]) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self._records = records
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.reading, self.read)
        self._open = True

    def read(self) -> int:
        """One piece; how many bytes there were."""
        try:
            data = os.read(self.reading, _PIECE)
        except BlockingIOError:
            return 0
        if not data:
            self._loop.remove_reader(self.reading)
            return 0
        for timestamp, message in self._records.feed(data):
            self._emit(timestamp, message)
        return len(data)

    def drain(self) -> None:
        read = 0
        while self._open and read < _DRAIN and (size := self.read()):
            read += size

    def flush(self) -> None:
        for timestamp, message in self._records.end():
            self._emit(timestamp, message)

    def close(self) -> None:
        if self._open:
            self.drain()
            self.flush()
            self._open = False
            self._loop.remove_reader(self.reading)
            os.close(self.reading)
            os.close(self.writing)


class Capture:
    """The pipes of one life of a runtime. `stdout`, `stderr` and `telemetry` are the ends to hand to its programs."""

    def __init__(self, journal: Journal) -> None:
        self._pipes = (
            _Pipe(_PlainRecords(), journal.record),
            _Pipe(_PlainRecords(), journal.record),
            _Pipe(_FramedRecords(), journal.record),
        )

    @property
    def stdout(self) -> int:
        return self._pipes[0].writing

    @property
    def stderr(self) -> int:
        return self._pipes[1].writing

    @property
    def telemetry(self) -> int:
        return self._pipes[2].writing

    def drain(self) -> None:
        """Read what has been written until now, unfinished lines included."""
        for pipe in self._pipes:
            pipe.drain()
            pipe.flush()

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
