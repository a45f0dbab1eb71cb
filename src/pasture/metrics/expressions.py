"""Metric math: what an expression over metrics means. Pure.

Source: "Using math expressions with CloudWatch metrics" in the CloudWatch user guide. A value is a number, a line
(numbers by time), or an array of lines; a line with a number takes the number for every time, two lines have the times
they share. What cannot be computed for one time, such as a division by zero, leaves that time out.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pasture.metrics.functions import FUNCTIONS, Grid, Line, Value, combined

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<text>"[^"]*"|'[^']*')
    |(?P<sign><=|>=|==|!=|&&|\|\||[-+*/^()\[\],<>]))""",
    re.VERBOSE,
)
_LEVELS: list[dict[str, Callable[[float, float], float]]] = [
    {"||": lambda a, b: float(bool(a or b)), "OR": lambda a, b: float(bool(a or b))},
    {"&&": lambda a, b: float(bool(a and b)), "AND": lambda a, b: float(bool(a and b))},
    {
        "<": operator.lt, ">": operator.gt, "<=": operator.le,
        ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
    {"^": math.pow},
]  # fmt: skip
_DEEPEST = 50


class Mistake(Exception):
    """The expression means nothing, or nothing that is known here."""


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression may name: the value of an id, the ids that are metrics, and the times they are asked for."""

    value: Callable[[str], Value]
    """Raises Mistake for an id that there is not."""
    metrics: Mapping[str, str]
    """Ids of metrics, with what `METRICS("text")` looks for in them."""
    grid: Callable[[str], Grid]


def evaluate(text: str, names: Names) -> Value:
    """Raises Mistake."""
    parser = _Parser(list(_tokens(text)), names)
    value = parser.binary(0, 0)
    parser.expect("")
    return value


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text; ends with an empty one."""
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise Mistake(f"it cannot be read from '{text[place : place + 20].strip()}' on")
        yield match.lastgroup, match[match.lastgroup]
        place = match.end()
    yield "", ""


class _Parser:
    """Reads and computes in one go: an expression is used once."""

    def __init__(self, tokens: list[tuple[str, str]], names: Names) -> None:
        self._tokens = tokens
        self._names = names
        self._at = 0

    def binary(self, level: int, depth: int) -> Value:
        if depth > _DEEPEST:
            raise Mistake("it is nested too deeply")
        if level == len(_LEVELS):
            return self._unary(depth)
        value = self.binary(level + 1, depth)
        while (sign := self._sign()) in _LEVELS[level]:
            self._at += 1
            value = _applied(_LEVELS[level][sign], value, self.binary(level + 1, depth))
        return value

    def expect(self, text: str) -> None:
        found = self._tokens[self._at][1]
        if found != text:
            raise Mistake(f"there is '{found}' where '{text}' should be" if text else f"it goes on with '{found}'")
        self._at += 1

    def _sign(self) -> str:
        kind, text = self._tokens[self._at]
        return text if kind == "sign" else text.upper() if kind == "name" else ""

    def _unary(self, depth: int) -> Value:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return float(text)
        if kind == "name":
            return self._named(text, depth)
        if text == "-":
            # As in arithmetic, a power binds closer than its sign.
            return _applied(operator.mul, -1.0, self.binary(len(_LEVELS) - 1, depth + 1))
        if text == "(":
            value = self.binary(0, depth + 1)
            self.expect(")")
            return value
        if text == "[":
            return self._array(depth)
        raise Mistake(f"there is '{text}' where a value should be" if text else "it ends where a value should be")

    def _array(self, depth: int) -> Value:
        lines: list[Line] = []
        for value in self._list("]", depth):
            if not isinstance(value, dict):
                raise Mistake("an array holds time series")
            lines.append(value)
        return lines

    def _named(self, name: str, depth: int) -> Value:
        if self._tokens[self._at][1] != "(":
            return self._names.value(name)
        self._at += 1
        known = name.upper()
        if known == "METRICS":
            return self._metrics()
        if known == "PERIOD":
            period = self._names.grid(self._tokens[self._at][1]).period
            self._at += 1
            self.expect(")")
            return float(period)
        if known not in FUNCTIONS:
            raise Mistake(f"the function {name} is not served by this version of Pasture")
        first = self._tokens[self._at][1]
        arguments = list(self._list(")", depth))
        try:
            return FUNCTIONS[known](self._names.grid(first), arguments)
        except (TypeError, IndexError, AttributeError, ValueError) as error:
            raise Mistake(f"{known} does not take these arguments") from error

    def _list(self, end: str, depth: int) -> Iterator[Value]:
        while True:
            kind, text = self._tokens[self._at]
            if kind == "name" and text.upper() in {"REPEAT", "LINEAR"}:
                self._at += 1
                yield text.upper()
            else:
                yield self.binary(0, depth + 1)
            if self._tokens[self._at][1] != ",":
                break
            self._at += 1
        self.expect(end)

    def _metrics(self) -> Value:
        kind, text = self._tokens[self._at]
        wanted = ""
        if kind == "text":
            wanted = text[1:-1]
            self._at += 1
        self.expect(")")
        values = [self._names.value(id_) for id_, about in self._names.metrics.items() if wanted in about]
        return [value for value in values if isinstance(value, dict)]


def _applied(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, str) or isinstance(right, str):
        raise Mistake("a word stands where a value should be")
    if isinstance(left, list):
        return [line for each in left if isinstance(line := _applied(function, each, right), dict)]
    if isinstance(right, list):
        return [line for each in right if isinstance(line := _applied(function, left, each), dict)]
    if isinstance(left, float) and isinstance(right, float):
        try:
            return float(function(left, right))
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise Mistake("a number of it cannot be computed") from error
    return combined(function, left, right)
