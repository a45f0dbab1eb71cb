"""The client of neighbours: any operation of any service that botocore knows, without blocking."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import md5
from typing import Any
from urllib.parse import urlencode

from botocore.parsers import ResponseParserError

from pasture.domain.scope import Scope
from pasture.neighbours import tracing
from pasture.neighbours.caller import NeighbourRefused, NeighbourUnreachable
from pasture.neighbours.connections import Answer, Connections
from pasture.neighbours.directory import Directory
from pasture.neighbours.models import Models, Wire

_SECONDS = 30.0


class Neighbours:
    """A `Caller`. Calls are independent of each other: hundreds may wait at once, each on a connection of its own."""

    def __init__(self, directory: Directory, connections: Connections, models: Models | None = None) -> None:
        self.directory = directory
        self.connections = connections
        self.models = models or Models()

    async def close(self) -> None:
        await self.connections.close()

    def is_embedded(self, service: str) -> bool:
        """Whether the service (as signatures have it) is one that this server brings along."""
        return self.directory.is_embedded(service)

    async def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        scope: Scope,
        trace_id: str = "",
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """See `Caller`. An answer may take `seconds`; without them 30, and what the call itself asks to wait (SQS)."""
        wire = await self.models.wire(service)
        target = await self.directory.find(wire.model.signing_name, scope, wire.model.endpoint_prefix)
        written = wire.write(operation, parameters)
        body = _bytes(written["body"])
        if target.is_embedded and service == "sqs":
            body = tracing.with_trace(operation, body, trace_id)
        headers = {name: str(value) for name, value in written["headers"].items()}
        if trace_id:
            headers["X-Amzn-Trace-Id"] = trace_id
        if _wants_digest(wire, operation):
            headers["Content-MD5"] = b64encode(md5(body, usedforsecurity=False).digest()).decode()
        where = _path(written)
        if seconds is None:
            seconds = _SECONDS + float(parameters.get("WaitTimeSeconds", 0))
        headers = await target.sign(written["method"], where, headers, body=body)
        socket = self.directory.socket if target.is_embedded else None
        answer = await self.connections.exchange(
            written["method"], target.url + where, headers, body, seconds=seconds, socket=socket
        )
        return _read(wire, operation, answer, service)


def _read(wire: Wire, operation: str, answer: Answer, service: str) -> dict[str, Any]:
    try:
        found = wire.read(operation, answer.status, answer.headers, answer.body)
    except (ResponseParserError, ValueError) as error:
        raise NeighbourUnreachable(f"{service} has answered {operation} with what is no answer: {error}") from error
    if answer.status >= 300:
        told = found.get("Error", {})
        raise NeighbourRefused(str(told.get("Code", answer.status)), str(told.get("Message", "")), answer.status)
    return found


def _wants_digest(wire: Wire, operation: str) -> bool:
    model = wire.operation(operation)
    return bool(model.http_checksum_required or (model.http_checksum or {}).get("requestChecksumRequired"))


def _path(written: Mapping[str, Any]) -> str:
    query = written["query_string"]
    if not query:
        return str(written["url_path"])
    text = query if isinstance(query, str) else urlencode(list(query.items()), doseq=True)
    return f"{written['url_path']}{'&' if '?' in written['url_path'] else '?'}{text}"


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, Mapping):  # the query protocol's form
        return urlencode(body, doseq=True).encode()
    return str(body or "").encode()


__all__ = ["Neighbours"]
