"""Filter patterns: the examples of the CloudWatch Logs user guide, and patterns made to do harm."""

import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pasture.logs import expressions
from pasture.logs.errors import InvalidParameter
from pasture.logs.expressions import compile_expression
from pasture.logs.patterns import compile_pattern


def found(pattern: str, *messages: str) -> list[str]:
    matches = compile_pattern(pattern)
    assert matches is not None
    return [message for message in messages if matches(message)]


BAD_REQUEST, UNAUTHORIZED, INFO = "[ERROR 400] BAD REQUEST", "[ERROR 401] UNAUTHORIZED REQUEST", "[INFO] REQUEST FINE"
ALL = (BAD_REQUEST, UNAUTHORIZED, INFO)


@pytest.mark.parametrize(
    ("pattern", "finds"),
    [
        ("ERROR", [BAD_REQUEST, UNAUTHORIZED]),
        ("error", []),
        ("ERROR REQUEST", [BAD_REQUEST, UNAUTHORIZED]),
        ("ERROR FINE", []),
        ('"BAD REQUEST"', [BAD_REQUEST]),
        ("?400 ?INFO", [BAD_REQUEST, INFO]),
        ("REQUEST -ERROR", [INFO]),
        ("-ERROR", [INFO]),
        ('REQUEST -"BAD REQUEST" -FINE', [UNAUTHORIZED]),
        ("ERROR ?INFO", [BAD_REQUEST, UNAUTHORIZED]),
        ("%AUTHORIZED%", [UNAUTHORIZED]),
        (r"%40\d\]%", [BAD_REQUEST, UNAUTHORIZED]),
        ("%BAD|FINE%", [BAD_REQUEST, INFO]),
        (r"%^\[INFO%", [INFO]),
        ("%QUEST$%", [BAD_REQUEST, UNAUTHORIZED]),
        ("-%40[01]%", [INFO]),
        (r'"\""', []),
    ],
)
def test_terms_find(pattern: str, finds: list[str]) -> None:
    assert found(pattern, *ALL) == finds


@pytest.mark.parametrize("pattern", ["", "  ", '" "'])
def test_an_empty_pattern_finds_everything(pattern: str) -> None:
    assert compile_pattern(pattern) is None


DOCUMENT = """{
  "eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
  "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "flag": true, "off": false,
  "cluster.name": "c", "latency": 12.5, "big": 1e3, "user": {"id": 1, "email": "John.Stiles@example.com"},
  "deep": [[1, [2]]], "text": "404", "code": 404
}"""


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.eventType = "UpdateTrail" }',
        '{$.eventType="UpdateTrail"}',
        '{ $.eventType = "*Trail" }',
        '{ $.eventType = "Up*T*l" }',
        "{ $.eventType = UpdateTrail }",
        "{ $.eventType = %Trail$% }",
        "{ $.eventType != %Delete% }",
        "{ $.sourceIPAddress != 123.123.* }",
        "{ $.sourceIPAddress = 111.111.* }",
        '{ $.arrayKey[0] = "value" }',
        '{ $.arrayKey[*] = "another value" }',
        "{ $.objectList[1].id = 2 }",
        '{ $.objectList[*].name = "b" }',
        "{ $.SomeObject IS NULL }",
        "{ $.SomeOtherObject NOT EXISTS }",
        "{ $.objectList[2] not exists }",
        "{ $.flag IS TRUE }",
        "{ $.off is false }",
        "{ $.flag = true }",
        "{ $.['cluster.name'] = \"c\" }",
        "{ $['cluster.name'] = c }",
        "{ $.latency > 12 && $.latency < 13 }",
        "{ $.latency >= 12.5 && $.latency <= 12.5 }",
        "{ $.big = 1000 }",
        "{ $.big = 1e3 }",
        "{ $.latency > -1 }",
        "{ $.deep[0][1][0] = 2 }",
        "{ $.code = 404 }",
        "{ $.code = 4* }",
        "{ $.text = 404 }",
        '{ ($.user.id = 1) && ($.objectList[0].name = "a") }',
        '{ $.user.email = "none" || $.code = "404" && $.latency = 12.5 }',
        '{ ($.user.email = "none" || $.code = 404) && $.latency = 12.5 }',
    ],
)
def test_json_patterns_find(pattern: str) -> None:
    assert found(pattern, DOCUMENT) == [DOCUMENT]


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.eventType = "Update" }',
        '{ $.eventType = "updatetrail" }',
        '{ $.missing = "x" }',
        '{ $.missing != "x" }',
        '{ $.SomeObject != "x" }',
        "{ $.SomeObject NOT EXISTS }",
        "{ $.missing IS NULL }",
        "{ $.user = 1 }",
        "{ $.arrayKey[5] = value }",
        "{ $.flag IS FALSE }",
        "{ $.eventType > 1 }",
        "{ $.flag > 0 }",
        '{ $.user.email = "none" || $.code = 405 }',
        '{ ($.user.email = "none" || $.code = 404) && $.latency = 1 }',
    ],
)
def test_json_patterns_do_not_find(pattern: str) -> None:
    assert found(pattern, DOCUMENT) == []


@pytest.mark.parametrize("message", ["no json", "", "{", '{"a": 1', "[" * 100_000, '{"a":' * 100_000, "5"])
def test_a_message_that_is_no_json_object_is_not_found_and_does_no_harm(message: str) -> None:
    assert found("{ $.a = 1 }", message) == []


ACCESS = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    "pattern",
    [
        "[ip, server, username, timestamp, request, status_code, bytes]",
        "[ip, server, username, timestamp, request, status_code, bytes > 1000]",
        "[ip, server, username, timestamp, request = *html*, status_code = 4*, bytes]",
        "[..., status_code = 4*, bytes]",
        "[ip = 127.0.0.1, ...]",
        "[ip=%127\\.0%, ..., bytes]",
        "[ip, server, username, timestamp, request, status_code = 404 || status_code = 410, bytes]",
        "[(ip != 10.* && ip = 127*), ...]",
        "[,,user=frank,,,,]",
        '[..., request = "GET /index.html HTTP/1.0", status, bytes]',
        "[..., status = 404.0, bytes]",
    ],
)
def test_field_patterns_find(pattern: str) -> None:
    assert found(pattern, ACCESS) == [ACCESS]


@pytest.mark.parametrize(
    "pattern", ["[ip, server]", "[..., status_code = 5*, bytes]", "[..., bytes < 1000]", "[a,b,c,d,e,f,g,h,...]"]
)
def test_field_patterns_do_not_find(pattern: str) -> None:
    assert found(pattern, ACCESS) == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ('"open', 'Invalid filter pattern: "open'),
        ("a(b", "Invalid character(s) in term 'a(b'"),
        ("{ $.a = }", "Invalid filter pattern: { $.a = }"),
        ("{ $.a = 1", "Invalid filter pattern: { $.a = 1"),
        ("{ a = 1 }", "Invalid filter pattern: { a = 1 }"),
        ("{ }", "Invalid filter pattern: { }"),
        ("{ $.a > x }", "Invalid filter pattern: { $.a > x }"),
        ("{ ($.a = 1 }", "Invalid filter pattern: { ($.a = 1 }"),
        ("{ $.a = 1 $.b = 2 }", "Invalid filter pattern: { $.a = 1 $.b = 2 }"),
        ("[a, b", "Invalid filter pattern: [a, b"),
        ("[a = 1 || b = 2]", "Invalid filter pattern: [a = 1 || b = 2]"),
        ("[a, a]", "Invalid filter pattern: [a, a]"),
        ("[..., a, ...]", "Invalid filter pattern: [..., a, ...]"),
        ("%(a)%", "Invalid regular expression in filter pattern: %(a)%"),
        ("%a**%", "Invalid regular expression in filter pattern: %a**%"),
        ("%[z-a]%", "Invalid regular expression in filter pattern: %[z-a]%"),
        ("%a{9999}%", "Invalid regular expression in filter pattern: %a{9999}%"),
        ("%a{3,1}%", "Invalid regular expression in filter pattern: %a{3,1}%"),
        ("%a|%", "Invalid regular expression in filter pattern: %a|%"),
        ("%a% %b% %c%", "A filter pattern has at most 2 regular expressions."),
        ("x" * 1025, "A filter pattern has at most 1024 characters."),
    ],
)
def test_a_bad_pattern_is_refused_in_words(pattern: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=re.escape(words)):
        compile_pattern(pattern)


def test_parentheses_without_end_are_refused() -> None:
    with pytest.raises(InvalidParameter):
        compile_pattern("{" + "(" * 400 + "$.a=1" + ")" * 400 + "}")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("%" + "a*" * 300 + "b%", "a" * 100_000),
        ("%" + "a?" * 300 + "b%", "a" * 100_000),
        ("%" + "[a-z]+" * 100 + "0%", "a" * 100_000),
        ("%a{0,450}a{0,450}b%", "a" * 100_000),
        ("{ $.a = " + "*a" * 400 + " }", '{"a": "' + "a" * 100_000 + 'b"}'),
        ("[" + ", " * 200 + "...]", "[a " * 50_000),
        ("[a, ...]", '"' * 99_999),
        ('"' + "a" * 1_000 + '"', "a" * 999 + "b" * 100_000),
    ],
)
def test_a_pattern_made_to_take_for_ever_does_not(pattern: str, message: str) -> None:
    started = time.process_time()
    assert found(pattern, message) in ([], [message])
    assert time.process_time() - started < 2


_UNITS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w"])
_MANY = st.sampled_from(["", "", "?", "*", "+", "{2}", "{1,2}", "{0,2}", "{1,}"])
_SEQUENCE = st.lists(st.tuples(_UNITS, _MANY).map("".join), min_size=1, max_size=5).map("".join)
_ALTERNATIVE = st.tuples(st.sampled_from(["", "^"]), _SEQUENCE, st.sampled_from(["", "$"])).map("".join)


@given(
    expression=st.lists(_ALTERNATIVE, min_size=1, max_size=2).map("|".join),
    message=st.text(st.sampled_from("ab1\n"), max_size=12),
)
def test_following_all_choices_at_once_finds_what_backtracking_finds(expression: str, message: str) -> None:
    alternatives = [expressions._alternative(part, expression) for part in expressions._split(expression)]
    at_once = any(expressions._Machine(each).found(message) for each in alternatives)
    assert at_once == bool(re.search(expression, message)) == compile_expression(expression)(message)


@given(text=st.text(st.sampled_from("ab*"), max_size=8), value=st.text(st.sampled_from("ab"), max_size=8))
def test_wildcards_find_what_a_regular_expression_finds(text: str, value: str) -> None:
    assume(text)
    wanted = re.fullmatch(".*".join(map(re.escape, text.split("*"))), value) is not None
    assert bool(found(f'{{ $.v = "{text}" }}', f'{{"v": "{value}"}}')) == wanted


@given(pattern=st.text(st.sampled_from('ab$.[]{}()%"\\ =!<>&|?*-,1^'), max_size=30), message=st.text(max_size=30))
def test_any_pattern_is_either_refused_or_answers(pattern: str, message: str) -> None:
    try:
        matches = compile_pattern(pattern)
    except InvalidParameter:
        return
    assert matches is None or matches(message) in {True, False}
