"""What programs print, on its way through real pipes to the logs."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.logs import RecordingWriter
from pasture.environments.capture import Capture
from pasture.environments.journal import Journal
from pasture.kit.clock import ManualClock
from pasture.logs.platform import Fault


class Pipes:
    def __init__(self) -> None:
        self.writer = RecordingWriter()
        self.clock = ManualClock(1_700_000_000.5)
        self.journal = Journal(self.writer, self.clock)
        self.capture = Capture(self.journal)

    @property
    def said(self) -> list[str]:
        return [event.message for event in self.writer.events]


def is_open(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").exists()


@pytest.fixture
async def pipes() -> AsyncIterator[Pipes]:
    made = Pipes()
    descriptors = [number for pipe in made.capture._pipes for number in (pipe.reading, pipe.writing)]
    assert all(map(is_open, descriptors))
    yield made
    made.capture.close()
    assert not any(map(is_open, descriptors))


def frame(text: bytes, timestamp_us: int) -> bytes:
    return b"\xa5\x5a\x00\x03" + struct.pack(">IQ", len(text), timestamp_us) + text


async def test_lines_are_records_with_the_time_they_were_read(pipes: Pipes) -> None:
    os.write(pipes.capture.stdout, b"one\ntwo\n")
    pipes.capture.drain()
    assert [(event.timestamp, event.message) for event in pipes.writer.events] == [
        (1_700_000_000_500, "one\n"),
        (1_700_000_000_500, "two\n"),
    ]


async def test_output_is_read_as_it_comes_without_being_asked_for(pipes: Pipes) -> None:
    os.write(pipes.capture.stderr, b"soon\n")
    async with asyncio.timeout(5):
        while not pipes.said:  # noqa: ASYNC110 (a pipe has no event)
            await asyncio.sleep(0.001)
    assert pipes.said == ["soon\n"]


async def test_draining_gives_an_unfinished_line_its_end(pipes: Pipes) -> None:
    os.write(pipes.capture.stdout, b"unfinished")
    pipes.capture.drain()
    assert pipes.said == ["unfinished\n"]


async def test_a_line_in_pieces_is_one_record(pipes: Pipes) -> None:
    for piece in (b"on", b"e li", b"ne\n"):
        os.write(pipes.capture.stdout, piece)
        await asyncio.sleep(0.005)
    pipes.capture.drain()
    assert pipes.said == ["one line\n"]


async def test_a_frame_is_one_record_with_its_own_time(pipes: Pipes) -> None:
    os.write(pipes.capture.telemetry, frame(b"many\nlines", 1_600_000_000_999_999))
    pipes.capture.drain()
    assert [(e.timestamp, e.message) for e in pipes.writer.events] == [(1_600_000_000_999, "many\nlines\n")]


async def test_what_is_no_frame_is_not_lost(pipes: Pipes) -> None:
    os.write(pipes.capture.telemetry, b"plain words")
    pipes.capture.drain()
    assert pipes.said == ["plain words\n"]


async def test_draining_reads_everything_that_a_pipe_can_hold(pipes: Pipes) -> None:
    os.set_blocking(pipes.capture.stdout, False)
    written = 0
    while True:
        try:
            written += os.write(pipes.capture.stdout, b"0123456789\n" * 100)
        except BlockingIOError:
            break
    pipes.capture.drain()
    assert sum(len(text) for text in pipes.said) in {written, written + 1}


async def test_the_tail_is_what_was_said_since_it_was_begun(pipes: Pipes) -> None:
    pipes.journal.platform(Fault("before\n"))
    pipes.journal.begin_tail()
    pipes.journal.platform(Fault("START\n"))
    pipes.journal.line("said")
    assert (pipes.journal.end_tail(), pipes.journal.end_tail()) == (b"START\nsaid\n", b"")


async def test_closing_reads_what_is_left_and_gives_the_descriptors_back(pipes: Pipes) -> None:
    """The fixture looks at them."""
    os.write(pipes.capture.stdout, b"last words")
    pipes.capture.close()
    pipes.capture.close()
    pipes.capture.drain()
    assert pipes.said == ["last words\n"]
