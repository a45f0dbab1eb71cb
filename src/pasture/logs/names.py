"""Names, ARNs and page tokens of CloudWatch Logs. Pure."""

import base64
import binascii
import json
import re
from typing import Any

from pasture.domain.scope import Scope
from pasture.logs.errors import InvalidParameter, no_group
from pasture.logs.records import Position

_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_STREAM = re.compile(r"[^:*]{1,512}")
_ARN = re.compile(r"arn:[^:]+:logs:([^:]*):([^:]*):log-group:([^:]+)(?::\*)?")
_EVENT_DIGITS = 56
_ID_DIGITS = 20


def check_group_name(name: str) -> None:
    if not _GROUP.fullmatch(name):
        raise InvalidParameter(
            f"1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
        )
    if name.startswith("aws/"):
        raise InvalidParameter("Log groups starting with AWS/ are reserved for AWS.")


def check_stream_name(name: str) -> None:
    if not _STREAM.fullmatch(name):
        raise InvalidParameter(
            f"1 validation error detected: Value '{name}' at 'logStreamName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [^:*]*"
        )


def group_of_identifier(scope: Scope, identifier: str) -> str:
    """A name, or an ARN with or without the `:*` at its end. Groups of other accounts and regions are not seen here."""
    if not identifier.startswith("arn:"):
        return identifier
    match = _ARN.fullmatch(identifier)
    if match is None:
        raise InvalidParameter(f"Invalid ARN: {identifier}")
    if match.group(1, 2) != (scope.region, scope.account):
        raise no_group()
    return match[3]


def group_arn(scope: Scope, name: str) -> str:
    return scope.arn("logs", f"log-group:{name}")


def stream_arn(scope: Scope, group: str, stream: str) -> str:
    return scope.arn("logs", f"log-group:{group}:log-stream:{stream}")


# Events have numbers of 56 digits, which sort as the events do; so have the tokens of GetLogEvents.


def event_id(position: Position) -> str:
    return f"{position.timestamp:0{_EVENT_DIGITS - _ID_DIGITS}}{position.id:0{_ID_DIGITS}}"


def page_token(direction: str, position: Position) -> str:
    """`f/…` reads on after `position`, `b/…` backwards before it."""
    return f"{direction}/{event_id(position)}"


def parse_page_token(token: str) -> tuple[bool, Position]:
    """Whether it reads forward, and from where."""
    direction, _, number = token.partition("/")
    if direction not in {"f", "b"} or len(number) != _EVENT_DIGITS or not (number.isascii() and number.isdigit()):
        raise invalid_token()
    return direction == "f", _sized(Position(int(number[:-_ID_DIGITS]), int(number[-_ID_DIGITS:])))


# The other tokens are opaque.


def opaque_token(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def parse_opaque_token(token: str, *kinds: type) -> list[Any]:
    """The parts, when they are of these kinds."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, RecursionError):
        raise invalid_token() from None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise invalid_token()
    for part in parts:
        if isinstance(part, int):
            _sized(Position(part, 0))
    return parts


def invalid_token() -> InvalidParameter:
    return InvalidParameter("The specified nextToken is invalid.")


def _sized(position: Position) -> Position:
    """What SQLite can take; no token that was given out holds more."""
    if not all(-(2**63) <= number < 2**63 for number in position):
        raise invalid_token()
    return position
