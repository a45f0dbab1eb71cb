"""Which texts are filter patterns of event source mappings."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.event_source_patterns import is_pattern

GOOD = [
    {"body": {"city": ["Seattle"]}},
    {"body": ["Just a plain string"]},
    {"eventName": ["INSERT", "MODIFY"], "eventSource": ["aws:dynamodb"]},
    {"data": {"a": [None], "b": [""], "c": [True, 1, 1.5]}},
    {"data": {"price": [{"numeric": [">", 10, "<=", 20]}]}},
    {"data": {"price": [{"numeric": ["=", 100]}, {"numeric": ["<", -1.5]}]}},
    {"data": {"state": [{"anything-but": ["init", "done"]}]}},
    {"data": {"state": [{"anything-but": [1, 2]}, {"anything-but": "x"}, {"anything-but": {"prefix": "x"}}]}},
    {"data": {"name": [{"prefix": "us-"}, {"suffix": ".png"}, {"equals-ignore-case": "alice"}]}},
    {"data": {"name": [{"exists": False}]}},
    {"data": {"$or": [{"a": ["b"]}, {"c": {"d": [{"exists": True}]}}]}},
    {"data": {"$or": ["a field of that name"]}},
]
BAD = [
    {},
    [],
    "text",
    {"a": "text"},
    {"a": 1},
    {"a": None},
    {"a": []},
    {"a": {}},
    {"a": [[]]},
    {"a": [{}]},
    {"a": [{"prefix": "x", "suffix": "y"}]},
    {"a": [{"prefix": 1}]},
    {"a": [{"wildcard": "*"}]},
    {"a": [{"cidr": "10.0.0.0/8"}]},
    {"a": [{"exists": "true"}]},
    {"a": [{"numeric": [">"]}]},
    {"a": [{"numeric": [">", "10"]}]},
    {"a": [{"numeric": ["!", 10]}]},
    {"a": [{"numeric": [">", True]}]},
    {"a": [{"numeric": [">", 20, "<", 10]}]},
    {"a": [{"numeric": ["<", 10, ">", 5]}]},
    {"a": [{"numeric": [["<"], 10]}]},
    {"a": [{"anything-but": []}]},
    {"a": [{"anything-but": ["x", 1]}]},
    {"a": [{"anything-but": None}]},
    {"a": [{"anything-but": {"numeric": [">", 1]}}]},
    {"$or": [{"a": ["b"]}]},
    {"$or": [{"a": ["b"]}, {}]},
]
TEXTS = ["", " ", "single-string", '[{"eventName": ["INSERT"=123}]', '{"a": [NaN]}', '{"a": ["\ud800"]}', "[" * 4096]


@pytest.mark.parametrize("pattern", GOOD, ids=json.dumps)
def test_a_pattern_is_an_object_with_lists_of_what_its_fields_may_be(pattern: object) -> None:
    assert is_pattern(json.dumps(pattern))


@pytest.mark.parametrize("pattern", BAD, ids=json.dumps)
def test_what_says_nothing_about_a_field_is_none(pattern: object) -> None:
    assert not is_pattern(json.dumps(pattern))


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_what_is_no_json_is_no_pattern(text: str) -> None:
    assert not is_pattern(text)


def test_a_pattern_is_as_deep_as_any_record_and_no_deeper() -> None:
    def deep(levels: int) -> str:
        return '{"a":' * levels + '["b"]' + "}" * levels

    assert is_pattern(deep(90))
    assert not is_pattern(deep(600))


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "$or", "numeric", "exists"]), inner, max_size=2)
    ),
)


@given(VALUES)
def test_every_json_is_judged(value: object) -> None:
    assert is_pattern(json.dumps(value)) in {True, False}
