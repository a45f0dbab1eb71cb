"""Is this text a filter pattern of an event source mapping? Pure.

The grammar is that of Lambda event filtering (developer guide, "Filter rule syntax"): an object whose leaves are lists
of values and of comparisons. What EventBridge knows beside it (wildcard, cidr) is none of Lambda's.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

DEPTH_MAX = 100
"""Ours: no record is deeper, and none of what reads a pattern runs out of stack."""


def is_pattern(text: str) -> bool:
    try:
        pattern = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return _is_object(pattern, DEPTH_MAX)


def _is_object(value: Any, depth: int) -> bool:
    """Every field must match; an object without fields would match by accident."""
    if not isinstance(value, dict) or not value or depth == 0:
        return False
    return all(_is_field(name, inside, depth - 1) for name, inside in value.items())


def _is_field(name: str, value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return _is_object(value, depth)
    if not isinstance(value, list) or not value:
        return False
    if name == "$or" and all(isinstance(item, dict) for item in value):
        return len(value) > 1 and all(_is_object(item, depth) for item in value)
    return all(_is_alternative(item) for item in value)


def _is_alternative(value: Any) -> bool:
    """A value that the field may have, or a comparison that it may satisfy."""
    if isinstance(value, dict):
        return _is_comparison(value, _COMPARISONS)
    return value is None or isinstance(value, bool) or _is_scalar(value)


def _is_comparison(value: Mapping[str, Any], known: Mapping[str, Callable[[Any], bool]]) -> bool:
    if len(value) != 1:
        return False
    ((operator, operand),) = value.items()
    judge = known.get(operator)
    return judge is not None and judge(operand)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str) or is_number(value)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_anything_but(value: Any) -> bool:
    """One value, several of one type, or one comparison of texts."""
    if isinstance(value, dict):
        return _is_comparison(value, _TEXT_COMPARISONS)
    if isinstance(value, list):
        return bool(value) and (all(map(is_text, value)) or all(map(is_number, value)))
    return _is_scalar(value)


def is_numeric(value: Any) -> bool:
    """`["=", n]`, one bound, or a lower and an upper one with something between them."""
    if not isinstance(value, list) or len(value) not in {2, 4}:
        return False
    operators, numbers = value[::2], value[1::2]
    if not all(map(is_number, numbers)) or not all(map(is_text, operators)):
        return False
    if len(numbers) == 1:
        return operators[0] in {"=", *_LOWER, *_UPPER}
    return operators[0] in _LOWER and operators[1] in _UPPER and numbers[0] < numbers[1]


_LOWER, _UPPER = (">", ">="), ("<", "<=")
_TEXT_COMPARISONS: Mapping[str, Callable[[Any], bool]] = {
    "prefix": is_text,
    "suffix": is_text,
    "equals-ignore-case": is_text,
}
_COMPARISONS: Mapping[str, Callable[[Any], bool]] = {
    **_TEXT_COMPARISONS,
    "anything-but": _is_anything_but,
    "numeric": is_numeric,
    "exists": lambda value: isinstance(value, bool),
}
