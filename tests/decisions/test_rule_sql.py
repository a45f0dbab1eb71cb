"""The SQL of rules on messages: what a function gets of one, and when."""

import json
from typing import Any

import pytest

from pasture.sources.push.rule_sql import UNDEFINED, Message, parse


def result(sql: str, content: object, topic: str = "sensors/kitchen/temperature") -> Any:
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse(sql).result(Message(topic, payload, 12.5))


def test_a_star_is_the_message_as_it_is() -> None:
    assert result("SELECT * FROM 'a'", {"b": [1, None]}) == {"b": [1, None]}
    assert result("select * from 'a'", [1, 2]) == [1, 2]
    assert parse("SELECT * FROM 'sensors/+/temperature'").topic_filter == "sensors/+/temperature"


def test_items_have_the_name_that_they_are_given_or_the_last_of_their_path() -> None:
    sql = "SELECT a, b.c AS d, b.c, topic(2) AS room, topic() AS all, timestamp() AS at, 'x' AS text FROM 't'"
    assert result(sql, {"a": 1, "b": {"c": 2}}) == {
        "a": 1, "d": 2, "c": 2, "room": "kitchen", "all": "sensors/kitchen/temperature", "at": 12500, "text": "x",
    }  # fmt: skip


def test_a_star_among_others_brings_the_members_of_the_message() -> None:
    assert result("SELECT *, topic(2) AS room FROM 't'", {"a": 1}) == {"a": 1, "room": "kitchen"}


def test_what_is_not_in_the_message_is_left_out() -> None:
    assert result("SELECT a, nothing, a.b.c AS deep, topic(9) AS none FROM 't'", {"a": 1}) == {"a": 1}
    assert result("SELECT nothing FROM 't'", {"a": 1}) is UNDEFINED


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        ("celsius > 30", True),
        ("celsius >= 31.5 AND room = 'kitchen'", True),
        ("celsius > 30 AND NOT test", True),
        ("NOT (celsius > 30)", False),
        ("celsius < 0 OR room <> 'cellar'", True),
        ("celsius - 1.5 = 5 * 6", True),
        ("-celsius < -30", True),
        ("celsius > '30'", False),
        ("nothing > 1", False),
        ("NOT nothing", False),
        ("nothing = nothing", False),
        ("nothing > 1 OR celsius > 30", True),
        ("celsius / 0 > 1", False),
        ("none = null", True),
        ("test = 0", False),
        ("topic(2) = 'kitchen'", True),
        ("room = 'it''s'", False),
    ],
)
def test_a_rule_matches_when_its_condition_is_true(where: str, matches: bool) -> None:
    content = {"celsius": 31.5, "room": "kitchen", "test": False, "none": None}
    assert (result(f"SELECT * FROM 't' WHERE {where}", content) is not UNDEFINED) == matches


def test_what_is_no_json_has_no_members_and_can_be_had_encoded() -> None:
    assert result("SELECT * FROM 't'", b"\xff") is UNDEFINED
    assert result("SELECT encode(*, 'base64') AS data FROM 't'", b"\xff\x00") == {"data": "/wA="}


@pytest.mark.parametrize(
    "sql",
    [
        "", "SELECT", "SELECT * FROM", "SELECT * FROM 't", "SELECT * FROM t", "SELECT a b FROM 't'", "SELECT 1 FROM 't'",
        "SELECT * FROM 't' WHERE", "SELECT * FROM 't' WHERE a >", "SELECT * FROM 't' WHERE (a", "SELECT f(x) FROM 't'",
        "SELECT topic( FROM 't'", "SELECT * FROM 't' WHERE a ; b", "SELECT * FROM 't' WHERE " + "(" * 60 + "a" + ")" * 60,
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(sql)
