"""Smithy's RPC v2 protocol in CBOR: the operation is in the path, everything else in the body. CloudWatch speaks it.

Source: "Smithy RPC v2 CBOR" in Smithy's documentation, and there "AWS Query compatible": who has moved to this protocol
from the query protocol finds the error codes of that one in a header.
"""

import re
from datetime import UTC, datetime
from typing import Any

from botocore.model import ServiceModel, Shape

from pasture.api.wire import cbor
from pasture.api.wire.awsquery import query_code
from pasture.api.wire.faults import Faults
from pasture.api.wire.operations import Operations
from pasture.api.wire.parsing import Parse, Parsers, SerializationError
from pasture.api.wire.protocol import Found
from pasture.api.wire.rendering import Render, Renderers
from pasture.api.wire.unpacking import is_packed, unpacked
from pasture.domain.errors import ApiError
from pasture.http.message import Request, Response

CBOR = "application/cbor"
_PATH = re.compile(r"/service/([A-Za-z0-9_.]{1,256})/operation/([A-Za-z0-9_]{1,256})")
# Reading CBOR takes about 0.1 ms a kilobyte.
_SLOW_BYTES = 16 * 1024
_HEADERS = {"Content-Type": CBOR, "smithy-protocol": "rpc-v2-cbor"}


def target_prefix(request: Request) -> str | None:
    """The service that the path names, as X-Amz-Target would; None when it is not of this protocol."""
    match = _PATH.fullmatch(request.raw_path)
    return match[1] if match is not None else None


class RpcCbor:
    def __init__(self, model: ServiceModel) -> None:
        self._faults = Faults(model)
        self._operations = Operations(model, _CborParsers(), _CborRenderers())

    def prepare(self, operation: str) -> None:
        self._operations.prepare(operation)

    def find(self, request: Request) -> Found:
        match = _PATH.fullmatch(request.raw_path)
        operation = self._operations.known(match[2] if match is not None else "", f"of {request.raw_path[:256]}")
        slow = len(request.body) >= _SLOW_BYTES or is_packed(request)
        return Found(operation, lambda: self._read(operation, unpacked(request)), slow)

    def _read(self, operation: str, body: bytes) -> dict[str, Any]:
        try:
            content = cbor.decode(body) if body else None
        except cbor.Malformed as error:
            raise SerializationError(f"Could not parse request body into cbor: {error}") from error
        return self._operations.read(operation, content)

    def answer(self, operation: str, output: dict[str, Any], request_id: str) -> Response:
        shape, content = self._operations.rendered(operation, output)
        body = b"" if shape is None else cbor.encode(content)
        return Response(200, {**_HEADERS, "x-amzn-RequestId": request_id}, body)

    def error(self, error: ApiError, request_id: str) -> Response:
        return cbor_error(error, request_id, self._faults)


def cbor_error(error: ApiError, request_id: str, faults: Faults | None = None) -> Response:
    """`__type` names the error's shape; a header has the code that the query protocol has for it."""
    declared = faults.declared(error) if faults else None
    status = (declared and declared.status) or error.status
    headers = {**_HEADERS, "x-amzn-RequestId": request_id, **error.headers}
    if faults is not None:
        headers["x-amzn-query-error"] = query_code(error, faults)
    message = declared.message_key if declared else "message"
    return Response(status, headers, cbor.encode({"__type": error.code, message: error.message, **error.members}))


# What CBOR has values of its own for...


def _blob(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    raise SerializationError("The value of a blob is no byte string")


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    raise SerializationError("The value of a timestamp is no time")


class _CborParsers(Parsers):
    def of(self, shape: Shape) -> Parse:
        if shape.type_name == "blob":
            return _blob
        return _timestamp if shape.type_name == "timestamp" else super().of(shape)


class _CborRenderers(Renderers):
    def of(self, shape: Shape) -> Render | None:
        if shape.type_name == "blob":
            return None
        if shape.type_name in {"float", "double"}:
            return float
        return _time if shape.type_name == "timestamp" else super().of(shape)


def _time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
