"""Answers as bytes."""

import time
from http import HTTPStatus

from pasture.http.message import Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_NO_BODY = frozenset({204, 304})
_FORBIDDEN = str.maketrans("", "", "\r\n\0")

_date = ""
_date_second = 0


def encode_whole(answer: Response, method: str, *, close: bool) -> bytes:
    """The whole answer; a HEAD request gets the head alone, with the length the body would have."""
    body = answer.body
    assert isinstance(body, bytes)
    head = _head(answer, close=close)
    if answer.status in _NO_BODY:
        return f"{head}\r\n".encode("latin-1")
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") if method == "HEAD" else head.encode("latin-1") + body


def encode_head(answer: Response, *, close: bool, chunked: bool) -> bytes:
    """The head of an answer whose body follows as it comes: in chunks, or up to the end of the connection."""
    coding = "Transfer-Encoding: chunked\r\n" if chunked else ""
    return f"{_head(answer, close=close)}{coding}\r\n".encode("latin-1")


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _head(answer: Response, *, close: bool) -> str:
    status = _STATUS_LINES.get(answer.status) or f"HTTP/1.1 {answer.status} Unknown\r\n"
    headers = answer.headers
    fields = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
    if not _is_clean(fields, len(headers) - 1):
        fields = "\r\n".join([f"{name}: {_clean(value)}" for name, value in headers.items()])
    for name, value in answer.also:
        fields += f"\r\n{name}: {_clean(value)}" if fields else f"{name}: {_clean(value)}"
    end = "\r\nConnection: close\r\n" if close else "\r\n"
    return f"{status}Date: {_now()}\r\n{fields}{end}" if fields else f"{status}Date: {_now()}{end}"


def _is_clean(fields: str, breaks: int) -> bool:
    """Whether the only breaks of lines are ours, and everything can be sent as it is: one look at all the fields."""
    return (
        fields.isascii() and (breaks < 0 or fields.count("\n") == breaks == fields.count("\r")) and "\0" not in fields
    )


def _clean(value: str) -> str:
    """A header's value can never start another header, whoever chose it."""
    return value.translate(_FORBIDDEN).encode("latin-1", "replace").decode("latin-1")


def _now() -> str:
    """The date in HTTP's form, made once a second."""
    global _date, _date_second
    second = int(time.time())
    if second != _date_second:
        _date_second = second
        _date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second))
    return _date
