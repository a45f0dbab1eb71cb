"""The SQL of IoT rules, kept small: what of a message a function gets, and whether. Pure.

    SELECT *, topic(2) AS room FROM 'sensors/+/temperature' WHERE celsius > 30 AND NOT test

Source: "SQL reference" in the IoT Core developer guide. Served are `*`, members of the message by path, texts, numbers,
`true`, `false`, `null`; `topic()`, `topic(n)`, `timestamp()`, `encode(*, 'base64')`; comparisons, arithmetic, AND,
OR, NOT and parentheses. As there, what is not in the message is *undefined*: it is left out of the result, and
nothing that is compared with it is true.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?: (?P<number>\d+(?:\.\d+)?) | '(?P<text>(?:[^']|'')*)' | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
             | (?P<sign><>|<=|>=|!=|[=<>*/+\-%(),.]) )""",
    re.VERBOSE,
)
_DEEPEST = 50
_RESERVED = frozenset({"select", "from", "where", "as", "and", "or", "not"})
_WORDS = {"true": True, "false": False, "null": None}


class _Undefined:
    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = _Undefined()


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    now: float
    """When it came, in seconds since the epoch."""

    @property
    def content(self) -> Any:
        try:
            return json.loads(self.payload)
        except (ValueError, RecursionError):
            return UNDEFINED


@dataclass(frozen=True, slots=True)
class _Seen:
    message: Message
    content: Any


_Expression = Callable[[_Seen], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    topic_filter: str
    items: tuple[tuple[str, _Expression], ...]
    """Each by its name in the result; `*` by none."""
    where: _Expression | None

    def result(self, message: Message) -> Any:
        """What the function gets; UNDEFINED when the rule does not match, or finds nothing."""
        seen = _Seen(message, message.content)
        if self.where is not None and self.where(seen) is not True:
            return UNDEFINED
        if [name for name, _ in self.items] == [""]:
            return seen.content
        result: dict[str, Any] = {}
        for name, expression in self.items:
            value = expression(seen)
            if not name and isinstance(value, dict):
                result |= value
            elif name and value is not UNDEFINED:
                result[name] = value
        return result or UNDEFINED


def parse(sql: str) -> Rule:
    """Raises ValueError, whose message says where it is not understood."""
    return _Parser(sql).rule()


class _Parser:
    def __init__(self, sql: str) -> None:
        self._tokens = list(_tokens(sql))
        self._at = 0
        self._depth = 0

    def rule(self) -> Rule:
        self._expect("select")
        items = [self._item()]
        while self._takes(","):
            items.append(self._item())
        self._expect("from")
        kind, topic_filter = self._next()
        if kind != "text" or not topic_filter:
            raise ValueError("FROM needs a topic filter in quotes")
        where = self._either() if self._takes("where") else None
        if self._peek()[0]:
            raise ValueError(f"{self._peek()[1]!r} was not expected")
        return Rule(topic_filter, tuple(items), where)

    def _item(self) -> tuple[str, _Expression]:
        if self._takes("*"):
            return "", lambda seen: seen.content
        start = self._at
        expression = self._sum()
        if self._takes("as"):
            kind, name = self._next()
            if kind != "word":
                raise ValueError("AS needs a name")
            return name, expression
        last = [text for kind, text in self._tokens[start : self._at] if kind == "word"]
        if not last:
            raise ValueError("a value needs a name: AS …")
        return (last[0] if self._tokens[self._at - 1][1] == ")" else last[-1]), expression

    # From the loosest to the closest...

    def _either(self) -> _Expression:
        left = self._both()
        while self._takes("or"):
            left = _logical(left, self._both(), until=True)
        return left

    def _both(self) -> _Expression:
        left = self._denied()
        while self._takes("and"):
            left = _logical(left, self._denied(), until=False)
        return left

    def _denied(self) -> _Expression:
        if not self._takes("not"):
            return self._compared()
        self._deeper()
        inner = self._denied()
        return lambda seen: not value if isinstance(value := inner(seen), bool) else UNDEFINED

    def _compared(self) -> _Expression:
        left = self._sum()
        sign = self._peek()[1]
        if self._peek()[0] == "sign" and sign in _COMPARISONS:
            self._next()
            return _binary(_COMPARISONS[sign], left, self._sum())
        return left

    def _sum(self) -> _Expression:
        left = self._product()
        while self._peek() in {("sign", "+"), ("sign", "-")}:
            left = _binary(_ARITHMETIC[self._next()[1]], left, self._product())
        return left

    def _product(self) -> _Expression:
        left = self._value()
        while self._peek() in {("sign", "*"), ("sign", "/"), ("sign", "%")}:
            left = _binary(_ARITHMETIC[self._next()[1]], left, self._value())
        return left

    def _value(self) -> _Expression:
        kind, text = self._next()
        if kind == "number":
            number = float(text) if "." in text else int(text)
            return lambda _seen: number
        if kind == "text":
            return lambda _seen: text
        if (kind, text) == ("sign", "-"):
            self._deeper()
            return _binary(_ARITHMETIC["-"], lambda _seen: 0, self._value())
        if (kind, text) == ("sign", "("):
            self._deeper()
            inner = self._either()
            self._expect(")")
            return inner
        if kind == "word" and text.lower() not in _RESERVED:
            return self._called(text.lower()) if self._takes("(") else self._path(text)
        raise ValueError(f"{text!r} was not expected" if text else "it ends too soon")

    def _called(self, name: str) -> _Expression:
        given: list[tuple[str, str]] = []
        while not self._takes(")"):
            given.append(self._next())
            if not given[-1][0]:
                raise ValueError("it ends too soon")
        if name == "timestamp" and not given:
            return lambda seen: int(seen.message.now * 1000)
        if name == "topic" and not given:
            return lambda seen: seen.message.topic
        if name == "topic" and len(given) == 1 and given[0][0] == "number":
            return _segment(given[0][1])
        if name == "encode" and given == [("sign", "*"), ("sign", ","), ("text", "base64")]:
            return lambda seen: base64.b64encode(seen.message.payload).decode()
        raise ValueError(f"the function {name} is not known, or not with this")

    def _path(self, first: str) -> _Expression:
        if first.lower() in _WORDS:
            value = _WORDS[first.lower()]
            return lambda _seen: value
        names = [first]
        while self._takes("."):
            kind, name = self._next()
            if kind != "word":
                raise ValueError("a name is needed after the dot")
            names.append(name)
        return lambda seen: _found(seen.content, names)

    # Tokens...

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _takes(self, wanted: str) -> bool:
        kind, text = self._peek()
        if kind not in {"sign", "word"} or text.lower() != wanted:
            return False
        self._at += 1
        return True

    def _expect(self, wanted: str) -> None:
        if not self._takes(wanted):
            raise ValueError(f"{wanted.upper()} is needed where {self._peek()[1] or 'it ends'!r} is")

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("it is too deep")


def _tokens(sql: str) -> "list[tuple[str, str]]":
    found: list[tuple[str, str]] = []
    at, text = 0, sql.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{text[at : at + 20]!r} is not understood")
        found.append((match.lastgroup, match[match.lastgroup].replace("''", "'")))
        at = match.end()
    return found


def _found(content: Any, names: list[str]) -> Any:
    for name in names:
        if not isinstance(content, Mapping) or name not in content:
            return UNDEFINED
        content = content[name]
    return content


def _segment(number: str) -> _Expression:
    """Of the topic, from 1."""

    def segment(seen: _Seen) -> Any:
        parts = seen.message.topic.split("/")
        return parts[int(number) - 1] if 1 <= int(number) <= len(parts) else UNDEFINED

    return segment


def _logical(left: _Expression, right: _Expression, *, until: bool) -> _Expression:
    """`until`: the value of one side that decides."""

    def value(seen: _Seen) -> Any:
        sides = [left(seen), right(seen)]
        if any(side is until for side in sides):
            return until
        return not until if all(isinstance(side, bool) for side in sides) else UNDEFINED

    return value


def _binary(of: Callable[[Any, Any], Any], left: _Expression, right: _Expression) -> _Expression:
    def value(seen: _Seen) -> Any:
        a, b = left(seen), right(seen)
        if a is UNDEFINED or b is UNDEFINED:
            return UNDEFINED
        try:
            return of(a, b)
        except (TypeError, ArithmeticError):
            return UNDEFINED

    return value


def _numbers(of: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def value(a: Any, b: Any) -> Any:
        if not _is_number(a) or not _is_number(b):
            return UNDEFINED
        return of(a, b)

    return value


def _ordered(of: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def value(a: Any, b: Any) -> Any:
        both = (_is_number(a) and _is_number(b)) or (isinstance(a, str) and isinstance(b, str))
        return of(a, b) if both else UNDEFINED

    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(a: Any, b: Any) -> bool:
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": _equal,
    "<>": lambda a, b: not _equal(a, b),
    "!=": lambda a, b: not _equal(a, b),
    "<": _ordered(lambda a, b: a < b),
    ">": _ordered(lambda a, b: a > b),
    "<=": _ordered(lambda a, b: a <= b),
    ">=": _ordered(lambda a, b: a >= b),
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b if isinstance(a, str) and isinstance(b, str) else _numbers(lambda x, y: x + y)(a, b),
    "-": _numbers(lambda a, b: a - b),
    "*": _numbers(lambda a, b: a * b),
    "/": _numbers(lambda a, b: a / b),
    "%": _numbers(lambda a, b: a % b),
}
