"""The last 4 KB of an invocation's log."""

from hypothesis import given
from hypothesis import strategies as st

from pasture.logs.tail import Tail


def test_a_short_log_is_the_tail() -> None:
    tail = Tail()
    tail.add("START\n")
    tail.add("")
    tail.add("END\n")
    assert tail.value() == b"START\nEND\n"


def test_a_long_log_is_cut_at_the_front_to_the_byte() -> None:
    tail = Tail()
    for number in range(10_000):
        tail.add(f"{number}\n")
    whole = "".join(f"{number}\n" for number in range(10_000)).encode()
    assert tail.value() == whole[-4096:]


def test_a_character_that_the_cut_would_part_is_left_out() -> None:
    tail = Tail(limit=4)
    tail.add("€€")
    assert tail.value() == "€".encode()


@given(messages=st.lists(st.text(max_size=10), max_size=20), limit=st.integers(4, 30))
def test_the_tail_is_an_end_of_the_log_as_long_as_allowed(messages: list[str], limit: int) -> None:
    tail = Tail(limit)
    for message in messages:
        tail.add(message)
    whole = "".join(messages).encode("utf-8", "replace")
    assert whole.endswith(tail.value())
    assert min(len(whole), limit) - 3 <= len(tail.value()) <= limit
    tail.value().decode()
