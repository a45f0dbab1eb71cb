"""From a request to the event that a function is given: payload format 2.0, as real URLs send it. Pure."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

# What arrives as it was sent; everything else in base64, also when it would be text.
_TEXT = frozenset({"application/json", "application/javascript", "application/xml"})
_ROUTE = "$default"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a function's URL."""

    url_id: str
    host: str
    """As the client named it, with the port."""
    method: str
    path: str
    """With its percent-encoding, as AWS hands it on."""
    query: str
    headers: Sequence[tuple[str, str]]
    """Names in lower case; repeats are kept."""
    body: bytes
    source_ip: str
    request_id: str
    at: float
    """Seconds since the epoch."""
    account: str
    """Whose function it is."""
    iam: Mapping[str, Any] | None = None
    """Who signed, when the URL asks for signatures."""


def event_of(asked: Asked) -> bytes:
    """JSON. Members that have nothing to say are left out, as AWS does whatever its examples show."""
    headers = _joined((name, value) for name, value in asked.headers if name != "cookie")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": _ROUTE,
        "rawPath": asked.path,
        "rawQueryString": asked.query,
    }
    if cookies := [c for name, value in asked.headers if name == "cookie" for c in value.split("; ") if c]:
        event["cookies"] = cookies
    event["headers"] = headers
    if asked.query:
        event["queryStringParameters"] = _joined(parse_qsl(asked.query, keep_blank_values=True))
    event["requestContext"] = _context(asked, headers.get("user-agent", ""))
    if asked.body:
        event["body"], event["isBase64Encoded"] = _body(asked.body, headers)
    else:
        event["isBase64Encoded"] = False
    return msgspec.json.encode(event)


def _context(asked: Asked, agent: str) -> dict[str, Any]:
    domain = asked.host.rsplit(":", 1)[0] if asked.host.rpartition(":")[2].isdigit() else asked.host
    moment = datetime.fromtimestamp(asked.at, UTC)
    return {
        "accountId": asked.account if asked.iam else "anonymous",
        "apiId": asked.url_id,
        **({"authorizer": {"iam": asked.iam}} if asked.iam else {}),
        "domainName": domain,
        "domainPrefix": domain.split(".", 1)[0],
        "http": {
            "method": asked.method,
            "path": asked.path,
            "protocol": "HTTP/1.1",
            "sourceIp": asked.source_ip,
            "userAgent": agent,
        },
        "requestId": asked.request_id,
        "routeKey": _ROUTE,
        "stage": _ROUTE,
        "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(asked.at * 1000),
    }


def _body(body: bytes, headers: Mapping[str, str]) -> tuple[str, bool]:
    kind = headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if "content-encoding" not in headers and (kind.startswith("text/") or kind in _TEXT or kind.endswith("+json")):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values of one name with commas between."""
    values: dict[str, str] = {}
    for name, value in pairs:
        values[name] = f"{values[name]},{value}" if name in values else value
    return values
