"""Which records a filter lets through."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.event_source_patterns import is_pattern
from pasture.sources.filtering import Filter


def matches(pattern: object, body: object, **record: Any) -> bool:
    text = json.dumps(pattern)
    assert is_pattern(text)
    return Filter([text], "body").matches(record, body if isinstance(body, str | bytes) else json.dumps(body))


@pytest.mark.parametrize(
    ("pattern", "body", "is_match"),
    [
        ({"a": ["x"]}, {"a": "x"}, True),
        ({"a": ["x"]}, {"a": "y"}, False),
        ({"a": ["x"]}, {}, False),
        ({"a": ["x", "y"]}, {"a": "y"}, True),
        ({"a": ["x"], "b": [1]}, {"a": "x", "b": 1}, True),
        ({"a": ["x"], "b": [1]}, {"a": "x", "b": 2}, False),
        ({"a": [1]}, {"a": 1.0}, True),
        ({"a": [1]}, {"a": True}, False),
        ({"a": [True]}, {"a": 1}, False),
        ({"a": [None]}, {"a": None}, True),
        ({"a": [None]}, {}, False),
        ({"a": [""]}, {"a": ""}, True),
        ({"a": {"b": {"c": [1]}}}, {"a": {"b": {"c": 1}}}, True),
        ({"a": {"b": [1]}}, {"a": 1}, False),
        ({"a": ["x"]}, {"a": ["y", "x"]}, True),
        ({"a": {"b": [1]}}, {"a": [{"b": 2}, {"b": 1}]}, True),
        ({"a": [{"prefix": "us-"}]}, {"a": "us-east-1"}, True),
        ({"a": [{"prefix": "us-"}]}, {"a": 5}, False),
        ({"a": [{"suffix": ".png"}]}, {"a": "x.png"}, True),
        ({"a": [{"equals-ignore-case": "Red"}]}, {"a": "rED"}, True),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "z"}, True),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "y"}, False),
        ({"a": [{"anything-but": [1]}]}, {}, False),
        ({"a": [{"anything-but": {"prefix": "x"}}]}, {"a": "yx"}, True),
        ({"a": [{"anything-but": {"prefix": "x"}}]}, {"a": "xy"}, False),
        ({"a": [{"numeric": [">", 10, "<=", 20]}]}, {"a": 20}, True),
        ({"a": [{"numeric": [">", 10, "<=", 20]}]}, {"a": 10}, False),
        ({"a": [{"numeric": ["=", 0.5]}]}, {"a": 0.5}, True),
        ({"a": [{"numeric": [">", 0]}]}, {"a": "1"}, False),
        ({"a": [{"numeric": [">", 0]}]}, {"a": True}, False),
        ({"a": [{"exists": True}]}, {"a": None}, True),
        ({"a": [{"exists": True}]}, {"a": {"b": 1}}, False),
        ({"a": [{"exists": False}]}, {}, True),
        ({"a": {"b": [{"exists": False}]}}, {}, True),
        ({"a": {"b": [{"exists": False}]}}, {"a": {"b": 1}}, False),
        ({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
        ({"$or": [{"a": [1]}, {"b": [2]}]}, {"a": 2, "b": 1}, False),
        ({"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, False),
    ],
)
def test_a_pattern_looks_into_the_body(pattern: object, body: object, is_match: bool) -> None:
    assert matches({"body": pattern}, body) is is_match


def test_metadata_and_body_must_both_match() -> None:
    pattern = {"eventSource": ["aws:sqs"], "body": {"a": [1]}}
    assert matches(pattern, {"a": 1}, eventSource="aws:sqs")
    assert not matches(pattern, {"a": 1}, eventSource="aws:mq")


def test_metadata_alone_does_not_ask_what_the_body_is() -> None:
    assert matches(
        {"messageAttributes": {"k": {"stringValue": ["v"]}}}, "\xff", messageAttributes={"k": {"stringValue": "v"}}
    )


@pytest.mark.parametrize("body", ["text", b"\xff\xfe", "[1]", '"a"', "5", "", "{broken"])
def test_a_pattern_that_looks_into_a_body_drops_what_is_no_object(body: str | bytes) -> None:
    assert not matches({"body": {"a": [{"exists": False}]}}, body)


def test_a_pattern_of_plain_text_drops_json_objects_and_takes_text() -> None:
    assert matches({"body": ["hello"]}, "hello")
    assert matches({"body": [{"prefix": "he"}]}, b"hello")
    assert not matches({"body": [{"prefix": "{"}]}, {"a": 1})


def test_one_of_several_patterns_is_enough_and_none_lets_everything_through() -> None:
    both = Filter(['{"body": {"a": [1]}}', '{"body": {"a": [2]}}'], "body")
    assert [both.matches({}, json.dumps({"a": n})) for n in (1, 2, 3)] == [True, True, False]
    assert Filter([], "body").matches({}, b"\xff")
    assert not Filter([], "body")


LEAF = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", "b"])
VALUE = st.recursive(
    LEAF, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from("abc"), inside, max_size=3)
)
COMPARISON = st.one_of(
    st.builds(lambda text: {"prefix": text}, st.sampled_from(["", "a"])),
    st.builds(lambda flag: {"exists": flag}, st.booleans()),
    st.builds(lambda n: {"numeric": [">=", n]}, st.integers(-3, 3)),
    st.builds(lambda text: {"anything-but": [text]}, st.sampled_from(["", "a"])),
)
PATTERN = st.recursive(
    st.dictionaries(
        st.sampled_from("abc"), st.lists(LEAF | COMPARISON, min_size=1, max_size=3), min_size=1, max_size=3
    ),
    lambda inside: st.dictionaries(st.sampled_from("abc"), inside, min_size=1, max_size=3),
)


@given(PATTERN, st.dictionaries(st.sampled_from("abc"), VALUE, max_size=3))
def test_every_pattern_judges_every_record(pattern: object, body: object) -> None:
    assert matches({"body": pattern}, body) in {True, False}
