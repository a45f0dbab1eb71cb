"""Tumbling windows: which one a record is of, what a function is told, and what it must answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.sources.stream_records import StreamRecord
from pasture.sources.windows import (
    STATE_MAX,
    Window,
    answered_state,
    kept_window,
    window_of,
    window_that_was_kept,
    windowed_event,
)

TIMES = st.integers(0, 4_000_000_000_000)


@given(TIMES, st.integers(1, 900))
def test_a_record_is_of_the_window_that_it_arrived_in(timestamp: int, seconds: int) -> None:
    start = window_of(timestamp, seconds * 1000, None)
    assert start % (seconds * 1000) == 0
    assert start <= timestamp < start + seconds * 1000


@given(TIMES, TIMES, st.integers(1, 900))
def test_no_window_is_opened_before_the_one_that_is_open(first: int, second: int, seconds: int) -> None:
    current = Window(window_of(first, seconds * 1000, None), seconds * 1000)
    assert window_of(second, seconds * 1000, current) >= current.start


def test_the_event_has_the_window_and_the_state_beside_the_records() -> None:
    record = StreamRecord("1", 0, b'{"kinesis":1}', {}, b"")
    window = Window(1_596_128_400_000, 300_000, b'{"sum":3}', is_begun=True)
    assert json.loads(windowed_event([record], window, "shardId-000000000000", "arn")) == {
        "Records": [{"kinesis": 1}],
        "window": {"start": "2020-07-30T17:00:00Z", "end": "2020-07-30T17:05:00Z"},
        "state": {"sum": 3},
        "shardId": "shardId-000000000000",
        "eventSourceARN": "arn",
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }


def test_the_last_event_of_a_window_says_so_and_whether_it_came_early() -> None:
    large = Window(0, 1_000, b'{"x":"' + b"x" * STATE_MAX + b'"}', is_begun=True)
    for window, early in ((Window(0, 1_000), False), (large, True)):
        told = json.loads(windowed_event([], window, "s", "arn", is_final=True))
        assert (told["Records"], told["isFinalInvokeForWindow"], told["isWindowTerminatedEarly"]) == ([], True, early)


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"{}", b'{"state":null}', b'{"state":[1]}', b"[]", b"{", b"[" * 99_999]
)
def test_what_has_no_state_is_no_answer(payload: bytes) -> None:
    assert answered_state(payload) is None


def test_a_state_is_what_was_answered_to_the_letter() -> None:
    assert answered_state(b'{"more": 1, "state": {"a":  1.10}}') == b'{"a":  1.10}'


def test_a_window_comes_back_from_what_is_kept_once_the_function_has_answered_for_it() -> None:
    begun = Window(1_000, 500, b'{"a":1}', is_begun=True)
    value = {"sequence": "1", "done": False}
    assert kept_window(None) == kept_window(Window(0, 500)) == {}
    kept = json.dumps({**value, "window": {"start": 1_000, "length": 500, "state": {"a": 1}}}).encode()
    assert window_that_was_kept(kept) is not None
    assert window_that_was_kept(json.dumps(value).encode()) is None
    told = kept_window(begun)["window"]
    assert (told["start"], told["length"], bytes(told["state"])) == (1_000, 500, b'{"a":1}')
