"""The JSON 1.0 and 1.1 protocols: one path, the operation in `X-Amz-Target`. CloudWatch Logs speaks it."""

from typing import Any

from botocore.model import ServiceModel, StructureShape

from pasture.api.wire.awsquery import query_code
from pasture.api.wire.eventstream import EVENT_STREAM, event_stream, with_initial_response
from pasture.api.wire.faults import Faults
from pasture.api.wire.operations import Operations
from pasture.api.wire.parsing import Parsers, decode_json
from pasture.api.wire.protocol import Found
from pasture.api.wire.rendering import Renderers, encode_json
from pasture.api.wire.unpacking import is_packed, unpacked
from pasture.domain.errors import ApiError, ValidationError
from pasture.http.message import Request, Response


class InvalidParameter(ValidationError):
    """The generic validator's answer where the operation declares this one. Seen from CloudWatch Logs: `2 validation
    errors detected: Value '' at 'logGroupNamePrefix' failed to satisfy constraint: …` as InvalidParameterException.
    """

    code = "InvalidParameterException"


class AwsJson:
    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._faults = Faults(model)
        self._operations = Operations(model, Parsers(), Renderers())
        self._content_type = f"application/x-amz-json-{model.metadata.get('jsonVersion', '1.1')}"

    def prepare(self, operation: str) -> None:
        self._operations.prepare(operation)

    def find(self, request: Request) -> Found:
        name = request.headers.get("x-amz-target", "").rpartition(".")[2]
        operation = self._operations.known(name, f"'{name[:128]}'")
        return Found(operation, lambda: self._read(operation, unpacked(request)), is_packed(request))

    def _read(self, operation: str, body: bytes) -> dict[str, Any]:
        try:
            return self._operations.read(operation, decode_json(body) if body.strip() else None)
        except ValidationError as error:
            raise self._declared(operation, error) from error

    def _declared(self, operation: str, error: ValidationError) -> ValidationError:
        names = {shape.name for shape in self._model.operation_model(operation).error_shapes}
        return InvalidParameter(error.message) if InvalidParameter.code in names else error

    def answer(self, operation: str, output: dict[str, Any], request_id: str) -> Response:
        headers = {"Content-Type": self._content_type, "x-amzn-RequestId": request_id}
        shape, content = self._operations.rendered(operation, output)
        if shape is None:
            return Response(200, headers)
        for name, member in shape.members.items():
            if isinstance(member, StructureShape) and member.serialization.get("eventstream"):
                events = event_stream(member)(output[name])
                headers["Content-Type"] = EVENT_STREAM
                return Response(200, headers, with_initial_response(content, events))
        return Response(200, headers, encode_json(content))

    def error(self, error: ApiError, request_id: str) -> Response:
        response = aws_json_error(error, request_id, self._faults, self._content_type)
        if "awsQueryCompatible" in self._model.metadata:
            response.headers = {**response.headers, "x-amzn-query-error": query_code(error, self._faults)}
        return response


def aws_json_error(
    error: ApiError,
    request_id: str,
    faults: Faults | None = None,
    content_type: str = "application/x-amz-json-1.1",
) -> Response:
    """`__type` names the error. The caller's errors are 400 unless the model says otherwise."""
    declared = faults.declared(error) if faults else None
    status = (declared and declared.status) or (error.status if error.status in {413, 501} else _by_fault(error))
    headers = {"Content-Type": content_type, "x-amzn-RequestId": request_id, **error.headers}
    message_key = declared.message_key if declared else "message"
    return Response(status, headers, encode_json({"__type": error.code, message_key: error.message, **error.members}))


def _by_fault(error: ApiError) -> int:
    return 400 if error.fault == "User" else max(error.status, 500)
