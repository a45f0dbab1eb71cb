"""From what came over the wire to what an operation is given. Pure.

A shape is compiled once into a `Parse`. Members that the model does not know are
passed over, as AWS does, and null is absence. A value of another JSON type is refused in the words
of AWS's JSON layer.
"""

import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.model import ListShape, MapShape, Shape, StructureShape

from pasture.api.wire.timestamps import parse_timestamp
from pasture.domain.errors import ApiError

Parse = Callable[[Any], Any]


class SerializationError(ApiError):
    """Not in the models: AWS's JSON layer answers it before the operation is reached."""

    code = "SerializationException"
    status = 400


def decode_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SerializationError(f"Could not parse request body into json: {error}") from None
    except RecursionError:
        raise SerializationError("Could not parse request body into json: it is nested too deeply") from None


def json_name(name: str, shape: Shape) -> str:
    return str(shape.serialization.get("name", name))


class Parsers:
    """The JSON values of one service. Structures are compiled once each, and may contain themselves."""

    def __init__(self) -> None:
        self._structures: dict[str, Parse] = {}

    def of(self, shape: Shape) -> Parse:
        if isinstance(shape, StructureShape):
            return self.structure(shape)
        if isinstance(shape, ListShape):
            return _list(self.of(shape.member))
        if isinstance(shape, MapShape):
            return _map(self.of(shape.value))
        return _SCALARS[shape.type_name]

    def structure(self, shape: StructureShape, only: frozenset[str] | None = None) -> Parse:
        """With `only`, those members: the rest of them is elsewhere in the request."""
        if only is None and shape.name in self._structures:
            return self._structures[shape.name]
        fields: dict[str, tuple[str, Parse]] = {}

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise _misplaced(value)
            found = {}
            for key, item in value.items():
                if item is not None and (field := fields.get(key)) is not None:
                    found[field[0]] = field[1](item)
            return found

        if only is None:
            self._structures[shape.name] = parse
        for name, member in shape.members.items():
            if only is None or name in only:
                fields[json_name(name, member)] = (name, self.of(member))
        return parse


def _list(item: Parse) -> Parse:
    def parse(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _misplaced(value)
        return [None if element is None else item(element) for element in value]

    return parse


def _map(item: Parse) -> Parse:
    def parse(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _misplaced(value)
        return {key: None if element is None else item(element) for key, element in value.items()}

    return parse


# JSON's scalars...


def _string(value: Any) -> str:
    if type(value) is str:
        return value
    raise _unconvertible(value, "a String")


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _unconvertible(value, "a Boolean")


def _integer(java: str) -> Parse:
    def parse(value: Any) -> int:
        if type(value) is int:
            return value
        if type(value) is float and value.is_integer():
            return int(value)
        raise _unconvertible(value, java)

    return parse


def _number(java: str) -> Parse:
    def parse(value: Any) -> float:
        if type(value) is int or type(value) is float:
            return float(value)
        raise _unconvertible(value, java)

    return parse


def _blob(value: Any) -> bytes:
    if type(value) is not str:
        raise _unconvertible(value, "a ByteBuffer")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError):
        raise SerializationError("Invalid Base64: the value of a blob could not be decoded") from None


def _timestamp(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise _misplaced(value)
    try:
        return parse_timestamp(value)
    except ValueError:
        raise _unconvertible(value, "milliseconds since epoch") from None


_SCALARS: dict[str, Parse] = {
    "string": _string,
    "char": _string,
    "boolean": _boolean,
    "integer": _integer("an Integer"),
    "long": _integer("a Long"),
    "short": _integer("a Short"),
    "byte": _integer("a Byte"),
    "float": _number("a Float"),
    "double": _number("a Double"),
    "blob": _blob,
    "timestamp": _timestamp,
}

_TOKENS = {str: "STRING_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}


def _unconvertible(value: Any, java: str) -> SerializationError:
    if isinstance(value, dict | list):
        return _misplaced(value)
    token = f"{value}_VALUE".upper() if isinstance(value, bool) else _TOKENS.get(type(value), "VALUE")
    return SerializationError(f"{token} can not be converted to {java}")


def _misplaced(value: Any) -> SerializationError:
    if isinstance(value, list):
        return SerializationError("Start of list found where not expected")
    if isinstance(value, dict):
        return SerializationError("Start of structure or map found where not expected.")
    return SerializationError("Unexpected value type in payload")


# Texts: labels, queries, headers, form fields...


def text_parser(shape: Shape) -> Callable[[str], Any]:
    kind = shape.type_name
    if kind in {"integer", "long", "short", "byte"}:
        return _text_integer
    if kind in {"double", "float"}:
        return _text_number
    if kind == "boolean":
        return _text_boolean
    if kind in {"timestamp", "blob"}:
        return _SCALARS[kind]
    return str


def _text_integer(text: str) -> int:
    # No more digits than a Long has: `int` takes quadratic time.
    if len(text) <= 20 and text.isascii() and text.lstrip("+-").isdigit():
        return int(text)
    raise _unconvertible(text, "an Integer")


def _text_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _unconvertible(text, "a Double") from None


def _text_boolean(text: str) -> bool:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    raise _unconvertible(text, "a Boolean")
