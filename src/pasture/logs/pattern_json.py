"""JSON filter patterns: `{ $.a.b[0] = "x*" && ($.n >= 3 || $.s IS NULL) }`. Pure.

A message that is not JSON is not found. A selector with `[*]` holds when it holds for one
element. Comparisons do not hold for what is missing, null, an array or an object.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from pasture.logs.pattern_syntax import Predicate, Tokens, comparison, conditions, invalid_pattern

_STEP = re.compile(r"""\.?\[(?:'([^']*)'|"([^"]*)"|(\d+)|(\*))\]|\.([^.\[]+)""")

_Step = str | int | None
"""A key, an index, or None for every element."""


def compile_json(text: str) -> Callable[[str], bool]:
    if not text.endswith("}"):
        raise invalid_pattern(text)
    tokens = Tokens(text, text[1:-1])
    holds = conditions(tokens, lambda: _condition(tokens))
    if not tokens.at_end:
        raise tokens.invalid()

    def found(message: str) -> bool:
        if not message.lstrip().startswith(("{", "[")):
            return False
        try:
            return holds(json.loads(message))
        except (ValueError, RecursionError):  # not JSON, or nested to do harm
            return False

    return found


def _condition(tokens: Tokens) -> Predicate[Any]:
    steps = _steps(tokens.take("selector").text)
    holds = _state(tokens)
    if holds is None and tokens.skip("NOT", "EXISTS"):
        return lambda document: next(_select(document, steps), _MISSING) is _MISSING
    holds = holds or comparison(tokens, tokens.operator())
    return lambda document: any(holds(value) for value in _select(document, steps))


def _state(tokens: Tokens) -> Predicate[Any] | None:
    if tokens.skip("IS", "TRUE"):
        return lambda value: value is True
    if tokens.skip("IS", "FALSE"):
        return lambda value: value is False
    if tokens.skip("IS", "NULL"):
        return lambda value: value is None
    return None


_MISSING = object()


def _steps(selector: str) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    for single, double, index, every, name in _STEP.findall(selector[1:]):
        # Nothing has 10^9 elements, and a longer number is slow to read.
        steps.append(None if every else int(index[:9]) if index else single or double or name)
    return tuple(steps)


def _select(document: Any, steps: tuple[_Step, ...]) -> Iterator[Any]:
    if not steps:
        yield document
        return
    step, *rest = steps
    if step is None:
        if isinstance(document, list):
            for element in document:
                yield from _select(element, tuple(rest))
    elif isinstance(step, int):
        if isinstance(document, list) and step < len(document):
            yield from _select(document[step], tuple(rest))
    elif isinstance(document, dict) and step in document:
        yield from _select(document[step], tuple(rest))
