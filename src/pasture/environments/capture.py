"""What the programs of an environment print, on its way to the journal.

Pipes are read as they fill, a bounded piece at a time, so that a flood slows its writer and
not the server; `drain` reads what is there already, so that END comes after everything that
the function wrote before it.
"""

import asyncio
import os
import select
from collections.abc import Callable
from typing import Protocol

from pasture.environments.journal import Journal
from pasture.logs.framing import Frames
from pasture.logs.lines import Lines

_PIECE = 64 * 1024
# What one drain may read of each pipe: as much as a pipe can hold.
_DRAIN = 1024 * 1024


class _Records(Protocol):
    def feed(self, data: bytes) -> None: ...

    def flush(self) -> None: ...


class _PlainRecords:
    """Standard output or error, cut into lines."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._lines = Lines()
        self._emit = emit

    def feed(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._emit(line)

    def flush(self) -> None:
        for line in self._lines.flush():
            self._emit(line)


class _FramedRecords:
    """The telemetry descriptor, whose frames keep a record of many lines whole."""

    def __init__(self, journal: Journal) -> None:
        self._frames = Frames()
        self._journal = journal

    def feed(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            self._journal.frame(frame.timestamp_us, frame.level, frame.message)

    def flush(self) -> None:
        for frame in self._frames.end():
            self._journal.frame(frame.timestamp_us, frame.level, frame.message)


class _Pipe:
    def __init__(self, records: _Records) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self._records = records
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.reading, self.read)
        self._open = True
        self._may_be_unfinished = False

    def read(self) -> int:
        """One piece; how many bytes there were."""
        try:
            data = os.read(self.reading, _PIECE)
        except BlockingIOError:
            return 0
        if not data:
            self._loop.remove_reader(self.reading)
            return 0
        self._may_be_unfinished = True
        self._records.feed(data)
        return len(data)

    def drain(self) -> None:
        read = 0
        while self._open and read < _DRAIN and (size := self.read()):
            read += size

    def flush(self) -> None:
        if self._may_be_unfinished:
            self._may_be_unfinished = False
            self._records.flush()

    def close(self) -> None:
        if self._open:
            self.drain()
            self.flush()
            self._open = False
            self._loop.remove_reader(self.reading)
            os.close(self.reading)
            os.close(self.writing)


class _Pipes:
    """`stdout`, `stderr` and what follows are the ends to hand to a program."""

    def __init__(self, *records: _Records) -> None:
        self._pipes = [_Pipe(each) for each in records]
        self._by_descriptor = {pipe.reading: pipe for pipe in self._pipes}
        # One call of the kernel asks about all of them; most often there is nothing.
        self._poll = select.poll()
        for pipe in self._pipes:
            self._poll.register(pipe.reading, select.POLLIN)

    @property
    def stdout(self) -> int:
        return self._pipes[0].writing

    @property
    def stderr(self) -> int:
        return self._pipes[1].writing

    def drain(self) -> None:
        """Read what has been written until now, unfinished lines included."""
        for descriptor, _ in self._poll.poll(0):
            self._by_descriptor[descriptor].drain()
        for pipe in self._pipes:
            pipe.flush()

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()


class Capture(_Pipes):
    """The pipes of one life of a runtime."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(_PlainRecords(journal.line), _PlainRecords(journal.line), _FramedRecords(journal))

    @property
    def telemetry(self) -> int:
        return self._pipes[2].writing


class ExtensionCapture(_Pipes):
    """The pipes of one external extension."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(_PlainRecords(journal.extension_line), _PlainRecords(journal.extension_line))
