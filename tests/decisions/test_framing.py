"""Telemetry frames in any pieces, and anything that is not one."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.logs.framing import MESSAGE_LIMIT, Frame, Frames

LEVELS = {"": 0x02, "DEBUG": 0x0A, "INFO": 0x0E, "WARN": 0x12, "ERROR": 0x16, "CRITICAL": 0x1A}


def frame(message: bytes, low: int = 0x03, timestamp_us: int = 1_700_000_000_000_000) -> bytes:
    return struct.pack(">IIQ", 0xA55A0000 | low, len(message), timestamp_us) + message


@pytest.mark.parametrize(("level", "low"), LEVELS.items())
@pytest.mark.parametrize("json", [True, False])
def test_the_low_byte_gives_level_and_format(level: str, low: int, json: bool) -> None:
    frames = Frames().feed(frame(b"{}", low if json else low + 1))
    assert frames == [Frame(1_700_000_000_000_000, level, json, "{}")]


def test_two_frames_at_once_are_two_records() -> None:
    frames = Frames().feed(frame(b"one") + frame(b"", 0x0F, 5))
    assert [(each.message, each.level, each.timestamp_us) for each in frames] == [
        ("one", "", 1_700_000_000_000_000),
        ("", "INFO", 5),
    ]


@given(messages=st.lists(st.binary(max_size=40), max_size=5), cuts=st.lists(st.integers(0, 300), max_size=10))
def test_frames_are_the_same_however_the_bytes_come(messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frame(message) for message in messages)
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    frames = Frames()
    told = [each for start, end in pairwise(places) for each in frames.feed(data[start:end])]
    assert [each.message for each in told] == [message.decode("utf-8", "replace") for message in messages]
    assert frames.end() == []


def test_bytes_before_a_frame_are_a_record_without_time() -> None:
    assert Frames().feed(b"noise\n" + frame(b"one")) == [
        Frame(None, "", False, "noise\n"),
        Frame(1_700_000_000_000_000, "", False, "one"),
    ]


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">IIQ", 0xA55A0003, MESSAGE_LIMIT + 1, 0),
        struct.pack(">IIQ", 0xA55A0003, 0xFFFFFFFF, 0),
        struct.pack(">IIQ", 0xA55A0004, 1, 0),
        struct.pack(">IIQ", 0xA55A00FF, 1, 0),
        struct.pack(">IIQ", 0xA55B0003, 1, 0),
    ],
)
def test_a_header_that_is_none_is_passed_over_to_the_next_frame(header: bytes) -> None:
    frames = Frames().feed(header + frame(b"after"))
    assert "".join(each.message for each in frames[:-1]) == header.decode("utf-8", "replace")
    assert frames[-1].message == "after"


def test_half_a_frame_is_given_at_the_end_as_plain_bytes() -> None:
    frames = Frames()
    assert frames.feed(frame(b"message")[:-1]) == []
    (rest,) = frames.end()
    assert rest.timestamp_us is None
    assert rest.message.endswith("messag")


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert Frames().feed(frame(b"a\xff"))[0].message == "a\ufffd"


@given(
    pieces=st.lists(st.binary(max_size=30) | st.sampled_from([b"\xa5", b"\xa5\x5a", b"\xa5\x5a\x00\x03"]), max_size=20)
)
def test_nothing_that_comes_is_lost_and_little_is_held(pieces: list[bytes]) -> None:
    frames = Frames()
    told = [each for piece in pieces for each in frames.feed(piece)] + frames.end()
    plain = sum(len(each.message.encode()) for each in told)
    assert plain >= len(b"".join(pieces)) - 16 * len(told)


def test_a_flood_of_half_magic_takes_no_time() -> None:
    frames = Frames()
    flood = b"\xa5\x5a\x00\xff" * 250_000
    assert sum(len(each.message) for each in frames.feed(flood)) > 0
    assert repr(frames) == "Frames(0 bytes wait)"
