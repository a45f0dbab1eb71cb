"""From what a function returned to the answer that its URL gives. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

JSON = "application/json"
PRELUDE = "application/vnd.awslambda.http-integration-response"
"""The content type of a streamed response that begins with its status and headers."""
SEPARATOR = b"\0" * 8
"""Between those and the body."""
# What a prelude may be long. Source: none found; it holds headers, and those have limits everywhere.
PRELUDE_BYTES = 128 * 1024

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The connection's own, and what the server says itself: AWS hands them on under other names.
_OURS = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"})
_REMAPPED = "x-amzn-remapped-"


class Malformed(Exception):
    """What the function returned is no answer of HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": JSON})
    """Names in lower case."""
    cookies: Sequence[str] = ()
    body: bytes = b""


def answer_of(payload: bytes) -> Answer:
    """Of a whole response. Raises Malformed.

    An object with a `statusCode` says it all; anything else is the body. A text loses its quotes, as recorded from AWS.
    """
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed("it is not JSON") from error
    if isinstance(value, str):
        return Answer(body=value.encode())
    if not isinstance(value, dict) or "statusCode" not in value:
        return Answer(body=payload)
    status, headers, cookies = _head(value)
    return Answer(status, headers, cookies, _body(value.get("body"), value.get("isBase64Encoded", False)))


def head_of(prelude: bytes) -> Answer:
    """Of a streamed response: what stood before the separator. Raises Malformed."""
    try:
        value = msgspec.json.decode(prelude, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed("what stands before its body is no object of JSON") from error
    status, headers, cookies = _head({"statusCode": 200, **value})
    return Answer(status, headers, cookies)


def _head(value: Mapping[str, Any]) -> tuple[int, dict[str, str], tuple[str, ...]]:
    status = value["statusCode"]
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 599:
        raise Malformed("its statusCode is none of HTTP")
    headers, cookies = _headers(value.get("headers")), value.get("cookies") or ()
    if not isinstance(cookies, Sequence) or not all(isinstance(cookie, str) for cookie in cookies):
        raise Malformed("its cookies are no list of texts")
    return status, headers, tuple(cookies)


def _headers(given: Any) -> dict[str, str]:
    if not isinstance(given or {}, dict):
        raise Malformed("its headers are no object")
    headers = {"content-type": JSON}
    for name, value in (given or {}).items():
        if not _NAME.fullmatch(name):
            raise Malformed("a header's name is none of HTTP")
        if isinstance(value, dict | list):
            raise Malformed("a header's value is no text")
        lower = name.lower()
        headers[_REMAPPED + lower if lower in _OURS else lower] = _text(value)
    return headers


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()


def _body(body: Any, is_base64: Any) -> bytes:
    text = _text(body)
    if is_base64 is not True:
        return text.encode()
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise Malformed("its body is not base64") from error
