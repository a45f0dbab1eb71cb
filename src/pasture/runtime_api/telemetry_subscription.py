"""What a subscription to the Telemetry API or to the older Logs API may say. Pure.

Sources: aws-lambda reference 3.5; "Lambda Telemetry API reference" and "Using the Lambda Logs API" in the
developer guide; the schema of the runtime interface emulator for managed instances.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

import msgspec

from pasture.runtime_api.session import Refusal

_HOSTS = ("sandbox", "sandbox.localdomain")
# Of the Runtime API itself.
_RESERVED_PORT = 9001
_HTTP_PORT = 80


class Api(StrEnum):
    TELEMETRY = "Telemetry"
    LOGS = "Logs"


@dataclass(frozen=True, slots=True)
class Buffering:
    """A batch is due at any of these. The defaults are those of the developer guide."""

    max_items: int = 1_000
    max_bytes: int = 262_144
    timeout_ms: int = 1_000


@dataclass(frozen=True, slots=True)
class TcpDestination:
    port: int


@dataclass(frozen=True, slots=True)
class HttpDestination:
    port: int
    host: str
    """As the `Host` header names it."""
    target: str = "/"
    """Path and query."""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Subscription:
    api: Api
    schema: str
    types: tuple[str, ...]
    """Of `platform`, `function`, `extension`."""
    destination: TcpDestination | HttpDestination
    buffering: Buffering = Buffering()


class _Buffering(msgspec.Struct):
    maxItems: Annotated[int, msgspec.Meta(ge=1_000, le=10_000)] | None = None  # noqa: N815 (the wire's name)
    maxBytes: Annotated[int, msgspec.Meta(ge=262_144, le=1_048_576)] | None = None  # noqa: N815 (likewise)
    timeoutMs: Annotated[int, msgspec.Meta(ge=25, le=30_000)] | None = None  # noqa: N815 (likewise)


class _Destination(msgspec.Struct):
    protocol: Literal["HTTP", "TCP"]
    URI: str | None = None
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    method: Literal["POST", "PUT"] = "POST"
    encoding: Literal["JSON"] = "JSON"


_Types = Annotated[list[Literal["platform", "function", "extension"]], msgspec.Meta(min_length=1)]


class _Telemetry(msgspec.Struct):
    schemaVersion: Literal["2022-07-01", "2022-12-13", "2025-01-29"]  # noqa: N815 (the wire's name)
    types: _Types
    destination: _Destination
    buffering: _Buffering | None = None


class _Logs(msgspec.Struct):
    types: _Types
    destination: _Destination
    schemaVersion: Literal["2020-08-15", "2021-03-18"] = "2020-08-15"  # noqa: N815 (the wire's name)
    buffering: _Buffering | None = None


_DEFAULTS = {Api.TELEMETRY: Buffering(), Api.LOGS: Buffering(max_items=10_000)}


def subscription(api: Api, body: bytes) -> Subscription:
    """What the body of a subscription asks for. Raises Refusal: 400 `ValidationError`."""
    kind: type[_Telemetry | _Logs] = _Telemetry if api is Api.TELEMETRY else _Logs
    try:
        asked = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(str(error)) from None
    return Subscription(
        api,
        asked.schemaVersion,
        tuple(dict.fromkeys(asked.types)),
        _destination(api, asked.destination),
        _buffering(_DEFAULTS[api], asked.buffering),
    )


def _buffering(default: Buffering, asked: _Buffering | None) -> Buffering:
    asked = asked or _Buffering()
    return Buffering(
        asked.maxItems or default.max_items,
        asked.maxBytes or default.max_bytes,
        asked.timeoutMs or default.timeout_ms,
    )


def _destination(api: Api, asked: _Destination) -> TcpDestination | HttpDestination:
    if asked.protocol == "TCP":
        if asked.port is None:
            raise _invalid("destination.port is required for the protocol TCP")
        return TcpDestination(_allowed(asked.port))
    if not asked.URI:
        raise _invalid("destination.URI is required for the protocol HTTP")
    return _http(asked.URI, asked.method if api is Api.LOGS else "POST")


def _http(uri: str, method: str) -> HttpDestination:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise _invalid(f"destination.URI: {error}") from None
    if parts.scheme != "http":
        raise _invalid("destination.URI must begin with http://")
    if parts.hostname not in _HOSTS or "@" in parts.netloc:
        raise _invalid(f"destination.URI host must be {' or '.join(_HOSTS)}")
    if port == 0:
        raise _invalid("destination.URI: port 0 is none")
    port = _allowed(port or _HTTP_PORT)
    # Nothing of it may become a header or a second request.
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return HttpDestination(port, f"{parts.hostname}:{port}", f"{target}?{query}" if query else target, method)


def _allowed(port: int) -> int:
    if port == _RESERVED_PORT:
        raise _invalid(f"destination: port {_RESERVED_PORT} is reserved")
    return port


def _invalid(message: str) -> Refusal:
    return Refusal(400, "ValidationError", message)
