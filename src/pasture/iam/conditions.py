"""The Condition element: operators, and what they say of a request's keys. Pure.

Source: "IAM JSON policy elements: Condition operators" and "Multivalued context keys" in the IAM guide. All operators
of a statement must hold, and all keys of an operator; one of a key's values is enough. A key that the request lacks
does not match, so what is negated holds; `...IfExists` holds then, `ForAllValues:` too, and `ForAnyValue:` never.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from operator import eq, ge, gt, le, lt
from typing import Any, Protocol

from pasture.iam.errors import MalformedPolicy
from pasture.iam.wildcards import Context, Style, Texts

_ALL, _ANY = "ForAllValues", "ForAnyValue"


class Test(Protocol):
    def __call__(self, value: str, context: Context, /) -> bool:
        """Whether one value of the request matches any of the policy's."""
        ...


Make = Callable[[Sequence[str], bool], Test]
"""From a key's values in the policy, and whether variables are read in them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of one operator."""

    key: str
    test: Test
    negated: bool = False
    if_exists: bool = False
    quantifier: str = ""

    def holds(self, context: Context) -> bool:
        values = context.get(self.key)
        if not values:
            return self._holds_without()
        if self.quantifier == _ALL:
            return all(self.test(value, context) != self.negated for value in values)
        if self.quantifier == _ANY:
            return any(self.test(value, context) != self.negated for value in values)
        return any(self.test(value, context) for value in values) != self.negated

    def _holds_without(self) -> bool:
        if self.quantifier:
            return self.quantifier == _ALL
        return self.if_exists or self.negated


@dataclass(frozen=True, slots=True)
class Presence:
    """The Null operator."""

    key: str
    wanted: bool

    def holds(self, context: Context) -> bool:
        return bool(context.get(self.key)) == self.wanted


def parse(element: Any, *, variables: bool) -> Iterator[Condition | Presence]:
    """Raises MalformedPolicy."""
    if not isinstance(element, Mapping):
        raise MalformedPolicy("Syntax errors in policy.")
    for operator, keys in element.items():
        if not isinstance(keys, Mapping):
            raise MalformedPolicy("Syntax errors in policy.")
        for key, values in keys.items():
            yield _condition(operator, key, _texts(values), variables=variables)


def _condition(operator: str, key: str, values: Sequence[str], *, variables: bool) -> Condition | Presence:
    quantifier, _, name = operator.rpartition(":")
    if name == "Null" and not quantifier:
        if any(value.lower() not in {"true", "false"} for value in values) or len(values) != 1:
            raise MalformedPolicy(f"Invalid value for Null: {', '.join(values)}.")
        return Presence(key.lower(), wanted=values[0].lower() == "false")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name not in _OPERATORS or quantifier not in {"", _ALL, _ANY}:
        raise MalformedPolicy(f"Invalid Condition type : {operator}.")
    make, negated = _OPERATORS[name]
    return Condition(key.lower(), make(values, variables), negated, if_exists, quantifier)


def _texts(values: Any) -> list[str]:
    several = values if isinstance(values, list) else [values]
    return [_text(value) for value in several]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise MalformedPolicy("Syntax errors in policy.")


# Operators...


def _texts_like(*, wildcards: bool = False, ignore_case: bool = False, arn: bool = False) -> Make:
    def make(values: Sequence[str], variables: bool) -> Test:
        return Texts(values, Style(wildcards, variables, ignore_case, arn)).match

    return make


def _compared(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Make:
    """`read` raises ValueError for what is no such value: refused in a policy, no match in a request."""

    def make(values: Sequence[str], _variables: bool) -> Test:
        wanted = [_read_policy(read, value) for value in values]

        def test(value: str, _context: Context) -> bool:
            try:
                given = read(value)
            except ValueError:
                return False
            return any(compare(given, one) for one in wanted)

        return test

    return make


def _read_policy(read: Callable[[str], Any], value: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise MalformedPolicy(f"Invalid value in a condition: {value}.") from error


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error
    if not number.is_finite():
        raise ValueError(text)
    return number


def _moment(text: str) -> float:
    """Seconds since the epoch, from those or from W3C's forms of ISO 8601."""
    if text.isascii() and text.isdigit() and len(text) != 4:
        return float(text)
    forms = ("%Y", "%Y-%m") if len(text) < 8 else ()
    for form in forms:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _truth(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _within(
    inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


_EQUAL, _LIKE = _texts_like(), _texts_like(wildcards=True)
_SAME = _texts_like(ignore_case=True)
# "The ArnEquals and ArnLike condition operators behave identically."
_ARN = _texts_like(wildcards=True, arn=True)
_ADDRESS = _compared(_network, _within)

_OPERATORS: dict[str, tuple[Make, bool]] = {
    "StringEquals": (_EQUAL, False),
    "StringNotEquals": (_EQUAL, True),
    "StringEqualsIgnoreCase": (_SAME, False),
    "StringNotEqualsIgnoreCase": (_SAME, True),
    "StringLike": (_LIKE, False),
    "StringNotLike": (_LIKE, True),
    "ArnEquals": (_ARN, False),
    "ArnLike": (_ARN, False),
    "ArnNotEquals": (_ARN, True),
    "ArnNotLike": (_ARN, True),
    "BinaryEquals": (_EQUAL, False),
    "Bool": (_compared(_truth, eq), False),
    "IpAddress": (_ADDRESS, False),
    "NotIpAddress": (_ADDRESS, True),
}
for _kind, _reader in (("Numeric", _number), ("Date", _moment)):
    _OPERATORS |= {
        f"{_kind}Equals": (_compared(_reader, eq), False),
        f"{_kind}NotEquals": (_compared(_reader, eq), True),
        f"{_kind}LessThan": (_compared(_reader, lt), False),
        f"{_kind}LessThanEquals": (_compared(_reader, le), False),
        f"{_kind}GreaterThan": (_compared(_reader, gt), False),
        f"{_kind}GreaterThanEquals": (_compared(_reader, ge), False),
    }
