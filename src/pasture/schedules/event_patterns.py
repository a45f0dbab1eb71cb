"""Is this a pattern of EventBridge, and does this event match? Pure.

Source: "Comparison operators for use in event patterns" in the EventBridge guide. What patterns mean is
`sources.filtering`; here is what EventBridge lets through, which is more than Lambda does: wildcards, address ranges,
and more forms of what is not to be.
"""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pasture.domain.event_source_patterns import is_number, is_numeric, is_text
from pasture.sources.filtering import Test, compiled

_DEPTH_MAX = 100


class BadPattern(Exception):
    """The message says why."""


def read(text: str) -> Mapping[str, Any]:
    """Raises BadPattern."""
    try:
        pattern = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise BadPattern(f"{error}") from error
    _object(pattern, _DEPTH_MAX)
    return dict(pattern)


def matcher(text: str) -> Test:
    """Of events. Raises BadPattern."""
    return compiled(read(text))


def _object(value: Any, depth: int) -> None:
    if not isinstance(value, dict):
        raise BadPattern("Filter is not an object")
    if not value:
        raise BadPattern("Empty objects are not allowed")
    if depth == 0:
        raise BadPattern("The pattern is too deep")
    for name, inside in value.items():
        _field(name, inside, depth - 1)


def _field(name: str, value: Any, depth: int) -> None:
    if isinstance(value, dict):
        return _object(value, depth)
    if not isinstance(value, list):
        raise BadPattern(f'"{name}" must be an object or an array')
    if not value:
        raise BadPattern("Empty arrays are not allowed")
    if name == "$or" and all(isinstance(item, dict) for item in value):
        if len(value) < 2:
            raise BadPattern("There must have at least 2 Objects in $or relationship.")
        for item in value:
            _object(item, depth)
        return None
    for item in value:
        _alternative(item)
    return None


def _alternative(value: Any) -> None:
    if isinstance(value, dict):
        _comparison(value, _COMPARISONS)
    elif isinstance(value, list):
        raise BadPattern("Match value must be String, number, true, false, or null")


def _comparison(value: Mapping[str, Any], known: Mapping[str, Callable[[Any], bool]]) -> None:
    if len(value) != 1:
        raise BadPattern("Only one key allowed in match expression")
    ((operator, operand),) = value.items()
    judge = known.get(operator)
    if judge is None:
        raise BadPattern(f"Unrecognized match type {operator}")
    if not judge(operand):
        raise BadPattern(f"The value of {operator} is not one that it can have")


def _is_prefix(value: Any) -> bool:
    """A text, or one whose letters may be small or capital."""
    if isinstance(value, dict):
        return len(value) == 1 and is_text(value.get("equals-ignore-case"))
    return is_text(value)


def _is_wildcard(value: Any) -> bool:
    return is_text(value) and "**" not in value.replace("\\\\", "").replace("\\*", "")


def _one_or_more(judge: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: bool(value) and all(map(judge, value)) if isinstance(value, list) else judge(value)


def _is_anything_but(value: Any) -> bool:
    """A comparison, one value, or several of one type."""
    if isinstance(value, dict):
        _comparison(value, _BUT)
        return True
    if isinstance(value, list):
        return bool(value) and (all(map(is_text, value)) or all(map(is_number, value)))
    return is_text(value) or is_number(value)


def _is_range(value: Any) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except (ValueError, TypeError):
        return False
    return isinstance(value, str)


_BUT: Mapping[str, Callable[[Any], bool]] = {
    "prefix": _one_or_more(is_text),
    "suffix": _one_or_more(is_text),
    "equals-ignore-case": _one_or_more(is_text),
    "wildcard": _one_or_more(_is_wildcard),
}
_COMPARISONS: Mapping[str, Callable[[Any], bool]] = {
    "prefix": _is_prefix,
    "suffix": _is_prefix,
    "equals-ignore-case": is_text,
    "wildcard": _is_wildcard,
    "anything-but": _is_anything_but,
    "numeric": is_numeric,
    "cidr": _is_range,
    "exists": lambda value: isinstance(value, bool),
}
