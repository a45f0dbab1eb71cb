"""Patterns of EventBridge: which are some, and what they match; and what targets are handed of an event."""

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.schedules.event_patterns import BadPattern, matcher, read
from pasture.schedules.rule import RuleTarget
from pasture.schedules.schedule import Target
from pasture.schedules.transforming import BadInput, check, payload

EVENT = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2021-11-12T00:00:00Z",
    "region": "ca-central-1",
    "resources": ["arn:aws:s3:::bucket"],
    "detail": {
        "file": "photos/2021/a.PNG",
        "size": 5,
        "ip": "10.0.0.17",
        "owner": None,
        "is_new": True,
        "labels": ["red", "round"],
        "empty": "",
        "parts": [{"n": 1, "ok": False}, {"n": 2, "ok": True}],
        "text": 'say "hi"\n',
    },
}


@pytest.mark.parametrize(
    ("detail", "matches"),
    [
        ({"file": [{"prefix": "photos/"}]}, True),
        ({"file": [{"prefix": {"equals-ignore-case": "PHOTOS/"}}]}, True),
        ({"file": [{"suffix": ".png"}]}, False),
        ({"file": [{"suffix": {"equals-ignore-case": ".png"}}]}, True),
        ({"file": [{"equals-ignore-case": "PHOTOS/2021/A.png"}]}, True),
        ({"file": [{"wildcard": "photos/*/a.*"}]}, True),
        ({"file": [{"wildcard": "photos/*/b.*"}]}, False),
        ({"file": [{"anything-but": "photos"}]}, True),
        ({"file": [{"anything-but": ["x", "photos/2021/a.PNG"]}]}, False),
        ({"file": [{"anything-but": {"prefix": ["video/", "photos/"]}}]}, False),
        ({"file": [{"anything-but": {"suffix": ".gif"}}]}, True),
        ({"file": [{"anything-but": {"wildcard": "*/2021/*"}}]}, False),
        ({"file": [{"anything-but": {"equals-ignore-case": ["PHOTOS/2021/A.PNG"]}}]}, False),
        ({"size": [{"numeric": [">", 0, "<=", 5]}]}, True),
        ({"size": [{"numeric": ["=", 5.0]}]}, True),
        ({"size": [{"numeric": ["<", 5]}]}, False),
        ({"size": ["5"]}, False),
        ({"is_new": [1]}, False),
        ({"is_new": [True]}, True),
        ({"owner": [None]}, True),
        ({"empty": [""]}, True),
        ({"empty": [None]}, False),
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"ip": [{"cidr": "10.0.1.0/24"}]}, False),
        ({"file": [{"cidr": "10.0.1.0/24"}]}, False),
        ({"labels": ["round"]}, True),
        ({"labels": ["square", {"prefix": "re"}]}, True),
        ({"missing": [{"exists": False}]}, True),
        ({"size": [{"exists": False}]}, False),
        ({"size": [{"exists": True}], "file": ["other"]}, False),
        ({"$or": [{"size": [6]}, {"file": [{"prefix": "photos"}]}]}, True),
        ({"$or": [{"size": [6]}, {"file": ["x"]}]}, False),
    ],
)
def test_an_event_matches_where_all_of_the_pattern_does(detail: dict[str, Any], matches: bool) -> None:
    assert matcher(json.dumps({"source": [{"prefix": "aws."}], "detail": detail}))(EVENT) is matches


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[]", "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ('{"source": "aws.s3"}', '"source" must be an object or an array'),
        ('{"source": []}', "Empty arrays are not allowed"),
        ('{"source": [["a"]]}', "Match value must be String, number, true, false, or null"),
        ('{"source": [{"starts": "a"}]}', "Unrecognized match type starts"),
        ('{"source": [{"prefix": "a", "suffix": "b"}]}', "Only one key allowed in match expression"),
        ('{"source": [{"prefix": 1}]}', "The value of prefix is not one that it can have"),
        ('{"source": [{"wildcard": "a**b"}]}', "The value of wildcard is not one that it can have"),
        ('{"source": [{"cidr": "10.0.0.0/99"}]}', "The value of cidr is not one that it can have"),
        ('{"source": [{"anything-but": {"cidr": "10.0.0.0/8"}}]}', "Unrecognized match type cidr"),
        ('{"a": [{"numeric": [">", 5, "<", 1]}]}', "The value of numeric is not one that it can have"),
        ('{"$or": [{"a": [1]}]}', "There must have at least 2 Objects in $or relationship."),
        ('{"a": ' * 200 + "[1]" + "}" * 200, "The pattern is too deep"),
    ],
)
def test_what_is_no_pattern_is_told_why(pattern: str, why: str) -> None:
    with pytest.raises(BadPattern) as caught:
        read(pattern)
    assert str(caught.value) == why


def test_what_is_no_json_is_no_pattern() -> None:
    with pytest.raises(BadPattern):
        read("{source")


TEXTS = st.text("ab*\\", max_size=8)


@given(st.text("ab*", max_size=8).filter(lambda pattern: "**" not in pattern), st.text("ab", max_size=10))
def test_a_wildcard_is_any_text(pattern: str, text: str) -> None:
    found = matcher(json.dumps({"a": [{"wildcard": pattern}]}))({"a": text})
    assert found is fnmatch.fnmatchcase(text, pattern)


@given(TEXTS)
def test_what_follows_a_backslash_is_itself(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("*", "\\*")
    assert matcher(json.dumps({"a": [{"wildcard": escaped}]}))({"a": text})


def handed(**more: Any) -> str:
    input_ = more.pop("input", None)
    return payload(RuleTarget(Target("arn", input=input_), **more), EVENT, "arn:aws:events:r:a:rule/bus/name", 0.0)


def test_a_target_is_handed_the_event_or_something_constant_or_a_part() -> None:
    assert json.loads(handed()) == EVENT
    assert handed(input='{"a": 1}') == '{"a": 1}'
    assert handed(path="$") == handed()
    assert handed(path="$.detail.parts[1].ok") == "true"
    assert handed(path="$.detail-type") == '"Object Created"'
    assert handed(path="$.nothing.there") == "null"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"s": <size>, "f": <file>}', '{"s": 5, "f": "photos/2021/a.PNG"}'),
        ('{"t": "size <size> of <file>"}', '{"t": "size 5 of photos/2021/a.PNG"}'),
        ('"<text> \\"<size>\\""', '"say \\"hi\\"\\n \\"5\\""'),
        ('{"parts": <parts>}', '{"parts": [{"n":1,"ok":false},{"n":2,"ok":true}]}'),
        ('{"parts": "<parts>"}', '{"parts": "[{\\"n\\":1,\\"ok\\":false},{\\"n\\":2,\\"ok\\":true}]"}'),
        ('{"gone": "<gone>"}', '{"gone": ""}'),
        ("<aws.events.rule-name>", '"name"'),
        ('{"at": <aws.events.event.ingestion-time>}', '{"at": "1970-01-01T00:00:00Z"}'),
    ],
)
def test_a_template_is_filled_from_the_event_and_stays_json(template: str, expected: str) -> None:
    paths = {name: f"$.detail.{name}" for name in ("size", "file", "text", "parts", "gone")}
    filled = handed(paths=paths, template=template)
    assert filled == expected
    json.loads(filled)


def test_what_was_filled_in_is_not_filled_again() -> None:
    event = {**EVENT, "detail": {"a": "<b>", "b": "secret"}}
    to = RuleTarget(Target("arn"), paths={"a": "$.detail.a", "b": "$.detail.b"}, template='{"a": <a>}')
    assert payload(to, event, "arn", 0.0) == '{"a": "<b>"}'


def test_the_whole_event_can_be_part_of_a_template() -> None:
    assert json.loads(handed(template='{"e": <aws.events.event.json>}')) == {"e": EVENT}
    without = {name: value for name, value in EVENT.items() if name != "detail"}
    assert json.loads(handed(template='{"e": <aws.events.event>}')) == {"e": without}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"input": "1", "path": "$"},
            "Only one of Input, InputPath, or InputTransformer must be provided for target t.",
        ),
        ({"path": "detail"}, "Invalid path detail for target t."),
        ({"path": "$.a["}, "Invalid path $.a[ for target t."),
        ({"template": "<who>"}, "InputTemplate for target t contains invalid placeholder who."),
    ],
)
def test_what_cannot_be_filled_is_refused(more: dict[str, Any], words: str) -> None:
    made = RuleTarget(Target("arn", input=more.pop("input", None)), **more)
    with pytest.raises(BadInput) as caught:
        check(made, "t")
    assert str(caught.value) == words
