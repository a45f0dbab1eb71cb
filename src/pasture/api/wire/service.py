"""One AWS service: its model, the operations that are built, and the way from a request to an answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel

import pasture
from pasture.api.call import Authenticated, Call
from pasture.api.wire.awsjson import AwsJson
from pasture.api.wire.awsquery import AwsQuery
from pasture.api.wire.protocol import Wire
from pasture.api.wire.restjson import RestJson
from pasture.api.wire.rpccbor import RpcCbor, target_prefix
from pasture.domain.errors import ApiError, NotBuiltYet, ServiceError
from pasture.http.message import Request, Response

_log = logging.getLogger(__name__)

Operation = Callable[[Call, dict[str, Any]], Awaitable[dict[str, Any] | None]]
Authorise = Callable[[str, Call, dict[str, Any]], Awaitable[None]]
"""Service, call, request: raises AccessDenied for what the caller may not do."""

_WIRES: dict[str, Callable[[ServiceModel], Wire]] = {
    "rest-json": RestJson,
    "json": AwsJson,
    "query": AwsQuery,
    "smithy-rpc-v2-cbor": RpcCbor,
}

# Above this, a body is parsed in a thread: it is a deployment package in base64.
_PARSE_ELSEWHERE_BYTES = 256 * 1024


class Service:
    """`operations` are objects whose methods are named as boto3 names them: `create_function(call, request)`.

    An operation of the model for which none of them has a method is answered with NotBuiltYet. Without `authorise`,
    everyone may do everything.
    """

    def __init__(self, name: str, operations: Sequence[object], authorise: Authorise | None = None) -> None:
        self.name = name
        self._authorise = authorise
        self._model = load_model(name)
        metadata = self._model.metadata
        # Of several protocols a client takes the one that it likes best, and each request shows which.
        protocols = metadata.get("protocols") or [metadata["protocol"]]
        self._wires = {name: _WIRES[name](self._model) for name in protocols if name in _WIRES}
        self._usual = self._wires[metadata["protocol"]]
        self._operations: dict[str, Operation] = {}
        for operation in self._model.operation_names:
            if (method := _method(operations, xform_name(operation))) is not None:
                self._operations[operation] = method
                for wire in self._wires.values():
                    wire.prepare(operation)

    def __repr__(self) -> str:
        return f"Service({self.name}, {len(self._operations)} of {len(self._model.operation_names)} operations)"

    @property
    def target_prefix(self) -> str | None:
        """What comes before the dot in X-Amz-Target."""
        prefix = self._model.metadata.get("targetPrefix")
        return None if prefix is None else str(prefix)

    @property
    def speaks_query(self) -> bool:
        return "query" in self._wires

    @property
    def operation_names(self) -> Sequence[str]:
        return self._model.operation_names

    async def answer(self, request: Request, request_id: str, who: Authenticated, base_url: str) -> Response:
        """Every answer, errors too, is in this service's form."""
        wire = self._wire(request)
        try:
            found = wire.find(request)
            operation = self._built(found.operation)
            call = Call(request_id, found.operation, who.scope, who.principal, request, base_url)
            large = found.is_slow or len(request.body) >= _PARSE_ELSEWHERE_BYTES
            asked = await asyncio.to_thread(found.read) if large else found.read()
            if self._authorise is not None:
                await self._authorise(self.name, call, asked)
            output = await operation(call, asked) or {}
            response = wire.answer(found.operation, output, request_id)
        except ApiError as error:
            return wire.error(error, request_id)
        except Exception:  # noqa: BLE001 - logged with its traceback; the caller is told that it is internal
            _log.exception("%s %s failed (request %s)", request.method, request.raw_path, request_id)
            return wire.error(internal_error(request_id), request_id)
        if call.answer_headers:
            response.headers = {**response.headers, **call.answer_headers}
        return response

    def _built(self, name: str) -> Operation:
        operation = self._operations.get(name)
        if operation is None:
            raise NotBuiltYet(
                f"The operation {name} is part of {self._model.metadata['serviceFullName']} "
                f"and not yet served by Pasture {pasture.__version__}."
            )
        return operation

    def error(self, request: Request, error: ApiError, request_id: str) -> Response:
        return self._wire(request).error(error, request_id)

    def _wire(self, request: Request) -> Wire:
        if len(self._wires) == 1:
            return self._usual
        if target_prefix(request) is not None:
            shown = "smithy-rpc-v2-cbor"
        else:
            shown = "json" if "x-amz-target" in request.headers.first else "query"
        return self._wires.get(shown, self._usual)


@cache
def load_model(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def internal_error(request_id: str) -> ServiceError:
    return ServiceError(f"An internal error occurred. The server's log has it under request id {request_id}.")


def _method(operations: Sequence[object], name: str) -> Operation | None:
    for holder in operations:
        method: Operation | None = getattr(holder, name, None)
        if method is not None:
            return method
    return None
