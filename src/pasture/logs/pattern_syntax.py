"""What JSON and space-delimited filter patterns share: tokens, and/or/parentheses, comparisons. Pure."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pasture.logs.errors import InvalidParameter
from pasture.logs.expressions import compile_expression

T = TypeVar("T")

Predicate = Callable[[T], bool]

_TOKEN = re.compile(
    r"""\s*(?: (?P<string> "(?:[^"\\]|\\.)*" )
             | (?P<expression> %(?:[^%\\]|\\.)*% )
             | (?P<selector> \$ (?: \.? \[ (?: '[^']*' | "[^"]*" | \d+ | \* ) \] | \. [^\s.\[\]=<>!&|(),"%]+ )+ )
             | (?P<sign> && | \|\| | != | <= | >= | \.\.\. | [=<>(),] )
             | (?P<word> [^\s"%=<>!&|(),]+ ) )""",
    re.VERBOSE,
)
# Deeper than anyone writes; each level is a few frames of Python's stack.
_DEPTH = 50
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
COMPARISONS = frozenset({"=", "!=", *_ORDER})


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


class Tokens:
    """The tokens of a pattern, taken one after the other."""

    def __init__(self, pattern: str, text: str) -> None:
        self._pattern = pattern
        self._tokens = self._read(text)
        self._next = 0

    def _read(self, text: str) -> list[Token]:
        tokens = []
        text = text.rstrip()
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise self.invalid()
            tokens.append(Token(match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return tokens

    def invalid(self) -> InvalidParameter:
        return invalid_pattern(self._pattern)

    @property
    def at_end(self) -> bool:
        return self._next == len(self._tokens)

    def sees(self, *texts: str) -> bool:
        """Whether the next tokens are these signs or words, in any case."""
        following = self._tokens[self._next : self._next + len(texts)]
        return [token.text.upper() for token in following if token.kind in {"sign", "word"}] == list(texts)

    def skip(self, *texts: str) -> bool:
        if not self.sees(*texts):
            return False
        self._next += len(texts)
        return True

    def take(self, *kinds: str) -> Token:
        if self.at_end or self._tokens[self._next].kind not in kinds:
            raise self.invalid()
        self._next += 1
        return self._tokens[self._next - 1]

    def operator(self) -> str:
        sign = self.take("sign").text
        if sign not in COMPARISONS:
            raise self.invalid()
        return sign


def conditions(tokens: Tokens, condition: Callable[[], Predicate[T]], depth: int = 0) -> Predicate[T]:
    """Conditions joined by `||`, which binds less than `&&`; parentheses group."""
    if depth > _DEPTH:
        raise tokens.invalid()
    either = [_all(tokens, condition, depth)]
    while tokens.skip("||"):
        either.append(_all(tokens, condition, depth))
    return either[0] if len(either) == 1 else lambda value: any(each(value) for each in either)


def _all(tokens: Tokens, condition: Callable[[], Predicate[T]], depth: int) -> Predicate[T]:
    every = [_one(tokens, condition, depth)]
    while tokens.skip("&&"):
        every.append(_one(tokens, condition, depth))
    return every[0] if len(every) == 1 else lambda value: all(each(value) for each in every)


def _one(tokens: Tokens, condition: Callable[[], Predicate[T]], depth: int) -> Predicate[T]:
    if not tokens.skip("("):
        return condition()
    inner = conditions(tokens, condition, depth + 1)
    if not tokens.skip(")"):
        raise tokens.invalid()
    return inner


def comparison(tokens: Tokens, operator: str) -> Predicate[Any]:
    """Of a value, a string or what JSON has, with the literal that comes next."""
    token = tokens.take("string", "expression", "word")
    if operator in _ORDER:
        limit = _number(token.text) if token.kind == "word" else None
        if limit is None:
            raise tokens.invalid()
        return _ordered(_ORDER[operator], limit)
    equal = _equal(token)
    return equal if operator == "=" else lambda value: _is_scalar(value) and not equal(value)


def _ordered(order: Callable[[float, float], bool], limit: float) -> Predicate[Any]:
    def holds(value: Any) -> bool:
        number = _number(value)
        return number is not None and order(number, limit)

    return holds


def _equal(token: Token) -> Predicate[Any]:
    if token.kind == "expression":
        found = compile_expression(token.text[1:-1])
        return lambda value: _is_scalar(value) and found(_text(value))
    text = unquoted(token.text) if token.kind == "string" else token.text
    like = wildcards(text)
    number = _number(text) if token.kind == "word" else None
    if number is None:
        return lambda value: _is_scalar(value) and like(_text(value))
    return lambda value: _is_scalar(value) and (_number(value) == number or like(_text(value)))


def wildcards(text: str) -> Predicate[str]:
    """`*` is any characters. The pieces between are looked for one after the other, so time is bounded."""
    first, *rest = text.split("*")
    if not rest:
        return lambda value: value == text
    *middle, last = rest

    def like(value: str) -> bool:
        if len(value) < len(first) + len(last) or not value.startswith(first) or not value.endswith(last):
            return False
        position, end = len(first), len(value) - len(last)
        for piece in middle:
            found = value.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return like


def unquoted(string: str) -> str:
    return re.sub(r"\\(.)", r"\1", string[1:-1], flags=re.DOTALL)


def invalid_pattern(pattern: str) -> InvalidParameter:
    return InvalidParameter(f"Invalid filter pattern: {pattern}")


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, (list, dict))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
