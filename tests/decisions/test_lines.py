"""Output cut into records."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pasture.logs.lines import Lines


def test_a_line_is_a_record_with_its_newline() -> None:
    assert Lines().feed(b"one\ntwo\n\n") == ["one\n", "two\n", "\n"]


def test_an_unfinished_line_waits_for_its_end() -> None:
    lines = Lines()
    assert [lines.feed(b"hel"), lines.feed(b"lo\nw"), lines.flush(), lines.flush()] == [[], ["hello\n"], ["w"], []]


def test_carriage_returns_within_a_line_keep_a_stack_trace_in_one_record() -> None:
    assert Lines().feed(b"[ERROR] boom\r  File x\r    raise\n") == ["[ERROR] boom\n  File x\n    raise\n"]


def test_a_line_that_ends_as_on_windows_ends_once() -> None:
    assert Lines().feed(b"one\r\ntwo\r\n") == ["one\n", "two\n"]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert Lines().feed(b"a\xff\xfeb\n") == ["a\ufffd\ufffdb\n"]


def test_a_character_cut_by_the_reads_is_whole() -> None:
    lines = Lines()
    assert [lines.feed("é".encode()[:1]), lines.feed("é".encode()[1:] + b"\n")] == [[], ["é\n"]]


def test_a_line_over_the_limit_is_given_in_pieces_as_it_comes() -> None:
    lines = Lines(limit=4)
    assert [lines.feed(b"abcdefghij"), lines.feed(b"k\nx\n")] == [["abcd", "efgh"], ["ijk\n", "x\n"]]


def test_a_piece_never_parts_a_character() -> None:
    lines = Lines(limit=4)
    assert lines.feed("aaéé€€\n".encode()) == ["aaé", "é", "€", "€\n"]


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_records_are_the_same_however_the_bytes_come(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    lines = Lines()
    told = [each for start, end in pairwise(places) for each in lines.feed(data[start:end])]
    whole = Lines()
    assert told + lines.flush() == whole.feed(data) + whole.flush()


@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=80),
    limit=st.integers(4, 9),
)
def test_no_text_is_lost_and_no_piece_is_over_the_limit(text: str, limit: int) -> None:
    lines = Lines(limit)
    told = lines.feed(text.encode()) + lines.flush()
    assert "".join(told) == text
    assert all(len(each.encode()) <= limit for each in told)
