"""Is a payload JSON, and what does AWS say if not? Pure.

AWS reads payloads with Jackson, whose words and places (`line: 1, column: 3`) clients get to see. A fast parser says
yes; only what it refuses is looked at again, to find the place and the words.
"""

import json
import re

import msgspec

from pasture.domain.errors import InvalidRequestContent

_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_FIELD_NAME = "was expecting double-quote to start field name"
_COLON = "was expecting a colon to separate field name and value"
_WORD = re.compile(r"[\w$]+", re.ASCII)
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_SPACE = " \t\r\n"

_decode = msgspec.json.Decoder().decode


def check_json(payload: bytes) -> None:
    """Raises InvalidRequestContent."""
    try:
        _decode(payload)
    except RecursionError as error:
        raise _unparsable("Document nesting depth exceeds the maximum allowed", payload, 1) from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        # It refuses a few things that are JSON, too: a number of 5,000 digits, half a surrogate pair.
        _check_slowly(payload)


def _check_slowly(payload: bytes) -> None:
    # As Latin-1, every position is a byte's.
    text = payload.decode("latin-1")
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
        wrong = None
    except RecursionError as error:
        raise _unparsable("Document nesting depth exceeds the maximum allowed", payload, 1) from error
    except json.JSONDecodeError as error:
        wrong = error
    except _Constant as constant:
        position = text.index(str(constant))
        raise _unparsable(_unknown_token(str(constant)), payload, position + len(str(constant)) + 1) from None
    undecodable = _first_undecodable(payload)
    if undecodable is not None and (wrong is None or undecodable < wrong.pos):
        raise _unparsable(f"Invalid UTF-8 start byte 0x{payload[undecodable]:x}", payload, undecodable + 2)
    if wrong is not None:
        raise _jackson(payload, text, wrong)


class _Constant(Exception):
    """NaN or Infinity: Python takes them, JSON does not know them."""


def _no_constant(name: str) -> None:
    raise _Constant(name)


def _first_undecodable(payload: bytes) -> int | None:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _jackson(payload: bytes, text: str, wrong: json.JSONDecodeError) -> InvalidRequestContent:
    position = wrong.pos
    if wrong.msg.startswith("Illegal trailing comma"):
        position += 1
        while position < len(text) and text[position] in _SPACE:
            position += 1
    if position >= len(text) or wrong.msg.startswith("Unterminated string"):
        return _unparsable("Unexpected end-of-input", payload, len(text) + 1)
    if wrong.msg.startswith(("Expecting value", "Extra data")) and _starts_word(text[position]):
        return _bad_word(payload, text, position)
    return _unparsable(f"{_character(text[position])}: {_expected(wrong, text[:position])}", payload, position + 1)


def _bad_word(payload: bytes, text: str, position: int) -> InvalidRequestContent:
    """Jackson takes the first byte for a character, whatever it is, and decodes what follows."""
    word = _WORD.match(text, position + 1)
    end = word.end() if word else position + 1
    if "\x80" <= text[end : end + 1] < "\xc0":
        return _unparsable(f"Invalid UTF-8 start byte 0x{payload[end]:x}", payload, end + 2)
    # It has read the character that ends the word.
    return _unparsable(_unknown_token(text[position:end]), payload, min(end + 1, len(text)) + 1)


def _starts_word(character: str) -> bool:
    return character.isalpha() or character in "_$"


def _unknown_token(word: str) -> str:
    return f"Unrecognized token '{word[:256]}': was expecting {_VALUES}"


def _character(character: str) -> str:
    code = ord(character)
    is_control = code < 0x20 or 0x7F <= code < 0xA0
    shown = f"(CTRL-CHAR, code {code})" if is_control else f"'{character}' (code {code})"
    return f"Unexpected character ({shown})"


def _expected(wrong: json.JSONDecodeError, before: str) -> str:
    if wrong.msg.startswith(("Expecting property name", "Illegal trailing comma before end of object")):
        return _FIELD_NAME
    if wrong.msg.startswith("Expecting ':'"):
        return _COLON
    if wrong.msg.startswith("Expecting ','"):
        return f"was expecting comma to separate {_container(before)} entries"
    if wrong.msg.startswith("Invalid control character"):
        return "has to be escaped using backslash to be included in string value"
    return f"expected a valid value {_VALUES}"


def _container(before: str) -> str:
    opened: list[str] = []
    for found in _STRUCTURE.findall(before):
        if found in "[{":
            opened.append(found)
        elif found in "]}":
            opened.pop()
    return "Array" if opened[-1:] == ["["] else "Object"


def _unparsable(reason: str, payload: bytes, column: int) -> InvalidRequestContent:
    """`column` counts from the payload's beginning, as if it were one line."""
    lines = payload[: column - 1].split(b"\n")
    source = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled);"
    # Jackson puts the place on a line of its own.
    return InvalidRequestContent(
        f"Could not parse request body into json: Could not parse payload into json: {reason}\n"
        f" at {source} line: {len(lines)}, column: {column - (len(payload[: column - 1]) - len(lines[-1]))}]"
    )
