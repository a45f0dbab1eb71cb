"""Does this record match? Pure.

Patterns are those that `domain.event_source_patterns` lets through. Each is made into a function once; a record that
any of them matches is kept. A record's data is text or bytes that may be JSON: a pattern that looks into it (an
object) matches only data that is a JSON object, and one that compares it as a whole (a list) only data that is none,
as on AWS ("Filtering event source records", properly filtering).
"""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

Test = Callable[[Any], bool]

_MISSING: Any = object()
_NOT_JSON: Any = object()


class Filter:
    """`data` is the key that holds what the producer wrote; the rest of a record is metadata."""

    def __init__(self, patterns: Sequence[str], data: str) -> None:
        self._patterns = [msgspec.json.decode(pattern, type=dict[str, Any]) for pattern in patterns]
        self._tests = [_object(pattern) for pattern in self._patterns]
        self._data = data
        self._looks_into = [isinstance(pattern.get(data), dict) for pattern in self._patterns]
        self._compares = [isinstance(pattern.get(data), list) for pattern in self._patterns]

    def __bool__(self) -> bool:
        """Whether anything is filtered."""
        return bool(self._tests)

    def matches(self, record: Mapping[str, Any], data: str | bytes | Mapping[str, Any]) -> bool:
        """`record` is the metadata; `data` what stands under the data key, decoded already when it is a mapping."""
        if not self._tests:
            return True
        parsed: Any = data if isinstance(data, Mapping) else _MISSING
        for test, looks_into, compares in zip(self._tests, self._looks_into, self._compares, strict=True):
            value: Any = _MISSING
            if looks_into or compares:
                if parsed is _MISSING:
                    parsed = _json(data)
                if looks_into is not isinstance(parsed, Mapping):
                    continue
                value = parsed if looks_into else _text(data)
            if test(record if value is _MISSING else {**record, self._data: value}):
                return True
        return False


def _json(data: Any) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return _NOT_JSON


def _text(data: Any) -> str:
    return data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")


# From patterns to tests...


def compiled(pattern: Mapping[str, Any]) -> Test:
    """Of whole objects: a pattern that was found to be one."""
    return _object(pattern)


def _object(pattern: Mapping[str, Any]) -> Test:
    tests = [_field(name, inside) for name, inside in pattern.items()]
    return lambda value: all(test(value) for test in tests)


def _field(name: str, inside: Any) -> Test:
    if name == "$or" and isinstance(inside, list) and all(isinstance(item, dict) for item in inside):
        choices = [_object(item) for item in inside]
        return lambda value: any(test(value) for test in choices)
    if isinstance(inside, dict):
        return _below(name, _object(inside))
    alternatives = [_alternative(item) for item in inside]
    return lambda value: _leaf(value.get(name, _MISSING), alternatives)


def _below(name: str, test: Test) -> Test:
    def judge(value: Mapping[str, Any]) -> bool:
        found = value.get(name, _MISSING)
        if isinstance(found, list):
            return any(test(item) for item in found if isinstance(item, Mapping))
        # What is not there has no fields: a pattern may ask just that of them.
        return test(found if isinstance(found, Mapping) else {})

    return judge


def _leaf(found: Any, alternatives: Sequence[Test]) -> bool:
    if isinstance(found, list):
        return any(test(item) for item in found for test in alternatives)
    return any(test(found) for test in alternatives)


def _alternative(wanted: Any) -> Test:
    if not isinstance(wanted, dict):
        return lambda found: _is_same(found, wanted)
    ((operator, operand),) = wanted.items()
    return _OPERATORS[operator](operand)


def _is_same(found: Any, wanted: Any) -> bool:
    """Booleans are no numbers, whatever Python says."""
    return found is not _MISSING and isinstance(found, bool) is isinstance(wanted, bool) and bool(found == wanted)


def _text_test(judge: Callable[[str, str], bool]) -> Callable[[str], Test]:
    return lambda wanted: lambda found: isinstance(found, str) and judge(found, wanted)


def _end(judge: Callable[[str, str], bool]) -> Callable[[Any], Test]:
    """Of a prefix or suffix, that may be without regard to small and capital letters."""

    def made(wanted: Any) -> Test:
        if isinstance(wanted, dict):
            folded = str(wanted["equals-ignore-case"]).casefold()
            return lambda found: isinstance(found, str) and judge(found.casefold(), folded)
        return _text_test(judge)(wanted)

    return made


def _wildcard(wanted: str) -> Test:
    """`*` is any text, and a star or a backslash after a backslash is itself."""
    parts, is_escaped = [""], False
    for character in wanted:
        if character == "*" and not is_escaped:
            parts.append("")
        elif character != "\\" or is_escaped:
            parts[-1] += character
        is_escaped = character == "\\" and not is_escaped
    return lambda found: isinstance(found, str) and _fits(found, parts)


def _fits(found: str, parts: Sequence[str]) -> bool:
    """Part by part from the left: nothing is gone back over."""
    first, *between = parts
    if not between:
        return found == first
    last = between.pop()
    if len(found) < len(first) + len(last) or not found.startswith(first) or not found.endswith(last):
        return False
    place, end = len(first), len(found) - len(last)
    for part in between:
        place = found.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def _cidr(wanted: str) -> Test:
    network = ipaddress.ip_network(wanted, strict=False)

    def judge(found: Any) -> bool:
        try:
            return isinstance(found, str) and ipaddress.ip_address(found) in network
        except ValueError:
            return False

    return judge


def _exists(wanted: bool) -> Test:
    """Only of leaves."""
    return lambda found: (found is not _MISSING and not isinstance(found, Mapping)) if wanted else found is _MISSING


def _anything_but(unwanted: Any) -> Test:
    """A field that is not there is nothing at all."""
    if isinstance(unwanted, dict):
        ((operator, operand),) = unwanted.items()
        tests = [_OPERATORS[operator](each) for each in (operand if isinstance(operand, list) else [operand])]
        return lambda found: isinstance(found, str) and not any(test(found) for test in tests)
    values = unwanted if isinstance(unwanted, list) else [unwanted]
    return lambda found: (
        found is not _MISSING and not isinstance(found, Mapping) and not any(_is_same(found, value) for value in values)
    )


def _numeric(bounds: Sequence[Any]) -> Test:
    pairs = list(zip(bounds[::2], bounds[1::2], strict=True))

    def judge(found: Any) -> bool:
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        return is_number and all(_COMPARE[operator](found, bound) for operator, bound in pairs)

    return judge


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda found, bound: bool(found == bound),
    "<": lambda found, bound: bool(found < bound),
    "<=": lambda found, bound: bool(found <= bound),
    ">": lambda found, bound: bool(found > bound),
    ">=": lambda found, bound: bool(found >= bound),
}
_OPERATORS: Mapping[str, Callable[[Any], Test]] = {
    "prefix": _end(lambda found, wanted: found.startswith(wanted)),
    "suffix": _end(lambda found, wanted: found.endswith(wanted)),
    # Of EventBridge, and not of event source mappings.
    "wildcard": _wildcard,
    "cidr": _cidr,
    "equals-ignore-case": _text_test(lambda found, wanted: found.casefold() == wanted.casefold()),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
}
