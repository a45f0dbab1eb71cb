"""Is this input what the model allows, and what does AWS say if not? Pure.

A shape is compiled once into a `Check`, which appends one sentence to a list for
each constraint that a value breaks. AWS tells them all in one message.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from pasture.api.wire.javaish import member_name, show
from pasture.api.wire.patterns import matcher
from pasture.api.wire.recorded import ENUM_LISTS, ENUM_ORDER, LEFT_TO_THE_OPERATION, NULLABLE_ELEMENTS
from pasture.domain.errors import ValidationError

Check = Callable[[Any, str, list[str]], None]

NOT_NULL = "Member must not be null"
# A pattern is not tried on a text that is this much longer than allowed: some take quadratic time.
_PATTERN_SLACK = 1024
# So many texts of a member, no longer than this, are remembered.
_REMEMBERED = 1024
_REMEMBERED_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Constraint:
    kind: str
    words: str
    holds: Callable[[Any], bool]


class Validator:
    """The input of one operation."""

    def __init__(self, service: str, operation: OperationModel) -> None:
        self._service = service
        self._operation = operation.name
        self._known: dict[str, Check] = {}
        shape = operation.input_shape
        self._check = self._structure(shape, root=True) if shape is not None else _nothing

    def validate(self, request: dict[str, Any]) -> None:
        broken: list[str] = []
        self._check(request, "", broken)
        if broken:
            errors = "error" if len(broken) == 1 else "errors"
            raise ValidationError(f"{len(broken)} validation {errors} detected: {'; '.join(broken)}")

    def _of(self, shape: Shape, without: frozenset[str] = frozenset()) -> Check | None:
        """None when anything goes."""
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        leaf = _leaf_check(shape, [c for c in constraints(shape) if c.kind not in without])
        inner = self._inside(shape)
        if inner is None:
            return leaf
        if leaf is None:
            return inner
        return _both(leaf, inner)

    def _structure(self, shape: StructureShape, *, root: bool = False) -> Check:
        if shape.name in self._known:
            return self._known[shape.name]
        table: list[tuple[str, str, bool, Check | None]] = []

        def check(value: Any, path: str, broken: list[str]) -> None:
            prefix = f"{path}." if path else ""
            for name, shown, required, member in table:
                inside = value.get(name)
                if inside is None:
                    if required:
                        broken.append(f"Value null at '{prefix}{shown}' failed to satisfy constraint: {NOT_NULL}")
                elif member is not None:
                    member(inside, prefix + shown, broken)

        self._known[shape.name] = check  # before its members: shapes may contain themselves
        for name, member in shape.members.items():
            key = (self._service, self._operation, name)
            without = LEFT_TO_THE_OPERATION.get(key, frozenset()) if root else frozenset()
            compiled = self._of(member, without)
            required = name in shape.required_members
            if required or compiled is not None:
                table.append((name, member_name(name), required, compiled))
        return check

    def _inside(self, shape: Shape) -> Check | None:
        """Structures within lists and maps are told by their own paths: `filters.1.member.pattern`."""
        element = _element(shape)
        if element is None or not _holds_structures(element):
            return None
        check = self._of(element) or _nothing

        def inside(value: Any, path: str, broken: list[str]) -> None:
            for where, item in _items(value):
                at = f"{path}.{where}.member"
                if item is None:
                    broken.append(f"Value null at '{at}' failed to satisfy constraint: {NOT_NULL}")
                else:
                    check(item, at, broken)

        return inside


def constraints(shape: Shape) -> list[Constraint]:
    """What one value that is not a structure must satisfy, in AWS's order."""
    if isinstance(shape, ListShape):
        return _list_constraints(shape)
    if isinstance(shape, MapShape):
        return [*_length(shape), *_map_constraints(shape)]
    if shape.type_name in {"string", "blob", "char"}:
        found = _length(shape)
        if (pattern := shape.metadata.get("pattern")) is not None:
            found.append(_pattern(pattern, shape.metadata.get("max")))
        if isinstance(shape, StringShape) and shape.enum:
            found.append(_enum(_in_aws_order(shape.name, shape.enum)))
        return found
    if shape.type_name in {"integer", "long", "double", "float", "short", "byte"}:
        return _range(shape)
    return []


def _leaf_check(shape: Shape, rules: list[Constraint]) -> Check | None:
    if not rules:
        return None
    secret = bool(shape.metadata.get("sensitive"))
    pairs = tuple((rule.holds, rule.words) for rule in rules)

    # Names and the like come again and again; what was found good is good.
    good: set[str] = set()

    def check(value: Any, path: str, broken: list[str]) -> None:
        is_text = type(value) is str and len(value) <= _REMEMBERED_LENGTH
        if is_text and value in good:
            return
        before = len(broken)
        for holds, words in pairs:
            if not holds(value):
                shown = "" if secret else f" '{show(shape, value)}'"
                broken.append(f"Value{shown} at '{path}' failed to satisfy constraint: {words}")
        if is_text and len(broken) == before:
            if len(good) >= _REMEMBERED:
                good.clear()
            good.add(value)

    return check


def _both(first: Check, second: Check) -> Check:
    def check(value: Any, path: str, broken: list[str]) -> None:
        first(value, path, broken)
        second(value, path, broken)

    return check


def _nothing(value: Any, path: str, broken: list[str]) -> None:
    """Anything goes."""


def _element(shape: Shape) -> Shape | None:
    if isinstance(shape, ListShape):
        return shape.member
    return shape.value if isinstance(shape, MapShape) else None


def _holds_structures(shape: Shape) -> bool:
    if isinstance(shape, StructureShape):
        return True
    element = _element(shape)
    return element is not None and _holds_structures(element)


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value, start=1)


# The single constraints...


def _length(shape: Shape) -> list[Constraint]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    found = []
    if most is not None:
        words = f"Member must have length less than or equal to {most}"
        found.append(Constraint("max", words, lambda value: len(value) <= most))
    if least is not None:
        words = f"Member must have length greater than or equal to {least}"
        found.append(Constraint("min", words, lambda value: len(value) >= least))
    return found


def _range(shape: Shape) -> list[Constraint]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    found = []
    if most is not None:
        words = f"Member must have value less than or equal to {most}"
        found.append(Constraint("max", words, lambda value: value <= most))
    if least is not None:
        words = f"Member must have value greater than or equal to {least}"
        found.append(Constraint("min", words, lambda value: value >= least))
    return found


def _pattern(java: str, most: int | None) -> Constraint:
    longest = None if most is None else most + _PATTERN_SLACK
    matches = matcher(java)

    def holds(value: str) -> bool:
        return (longest is not None and len(value) > longest) or matches(value)

    return Constraint("pattern", f"Member must satisfy regular expression pattern: {java}", holds)


def _enum(values: Iterable[str]) -> Constraint:
    values = tuple(values)
    return Constraint(
        "enum", f"Member must satisfy enum value set: [{', '.join(values)}]", frozenset(values).__contains__
    )


def _in_aws_order(name: str, values: list[str]) -> list[str]:
    recorded = ENUM_ORDER.get(name, ())
    return [*(v for v in recorded if v in values), *(v for v in values if v not in recorded)]


def _list_constraints(shape: ListShape) -> list[Constraint]:
    found = _length(shape)
    if shape.name in ENUM_LISTS:
        (one,) = constraints(shape.member)
        return [*found, Constraint("enum", one.words, lambda value: all(map(one.holds, value)))]
    if _holds_structures(shape.member):
        return found
    nullable = shape.member.name in NULLABLE_ELEMENTS
    each = _every(constraints(shape.member), nullable=nullable)
    words = f"Member must satisfy constraint: [{_joined(shape.member, nullable=nullable)}]"
    return [*found, Constraint("member", words, lambda value: all(map(each, value)))]


def _map_constraints(shape: MapShape) -> list[Constraint]:
    found = []
    if rules := constraints(shape.key):
        key = _every(rules, nullable=True)
        words = f"Map keys must satisfy constraint: [{_joined(shape.key, nullable=True)}]"
        found.append(Constraint("keys", words, lambda value: all(map(key, value))))
    if not _holds_structures(shape.value):
        each = _every(constraints(shape.value), nullable=False)
        words = f"Map value must satisfy constraint: [{_joined(shape.value, nullable=False)}]"
        found.append(Constraint("values", words, lambda value: all(map(each, value.values()))))
    return found


def _joined(shape: Shape, *, nullable: bool) -> str:
    words = [rule.words for rule in constraints(shape)]
    return ", ".join(words if nullable else [*words, NOT_NULL])


def _every(rules: list[Constraint], *, nullable: bool) -> Callable[[Any], bool]:
    tests = tuple(rule.holds for rule in rules)

    def holds(value: Any) -> bool:
        return nullable if value is None else all(test(value) for test in tests)

    return holds
