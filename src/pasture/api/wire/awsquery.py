"""The query protocol: a form in, XML out. STS speaks it."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from pasture.api.wire.faults import Faults
from pasture.api.wire.operations import Checks
from pasture.api.wire.parsing import text_parser
from pasture.api.wire.protocol import Found
from pasture.api.wire.rendering import base64_text
from pasture.api.wire.timestamps import ISO8601, format_timestamp
from pasture.api.wire.unpacking import is_packed, unpacked
from pasture.domain.errors import ApiError, RequestEntityTooLarge, UnknownOperation
from pasture.http.message import Request, Response

# What the other protocols call otherwise. Source: "Common Errors" in the STS API reference.
_CODES = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnknownOperationException": "InvalidAction",
    "ValidationException": "ValidationError",
    "ServiceException": "InternalFailure",
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
}
# The largest form is a policy of STS; a larger one would keep the event loop busy before it is known who sent it.
_FORM_BYTES = 128 * 1024
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class AwsQuery:
    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._faults = Faults(model)
        self._check = Checks(model)
        self._namespace = str(model.metadata.get("xmlNamespace", ""))

    def prepare(self, operation: str) -> None:
        self._check.prepare(operation)

    def find(self, request: Request) -> Found:
        if is_packed(request):
            request = replace(request, body=unpacked(request))
        form = read_form(request)
        operation = form.get("Action", "")
        if operation not in self._model.operation_names:
            version = form.get("Version", "")
            raise UnknownOperation(f"Could not find operation {operation[:128]} for version {version[:32]}")
        return Found(operation, lambda: self._read(operation, form))

    def _read(self, operation: str, form: dict[str, str]) -> dict[str, Any]:
        shape = self._model.operation_model(operation).input_shape
        found = (_read(shape, form, "") if shape is not None else None) or {}
        return self._check(operation, found)

    def answer(self, operation: str, output: dict[str, Any], request_id: str) -> Response:
        shape = self._model.operation_model(operation).output_shape
        result = ""
        if shape is not None:
            name = shape.serialization.get("resultWrapper", f"{operation}Result")
            result = f"<{name}>{''.join(_members(shape, output))}</{name}>"
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        return _xml(200, f"{operation}Response", self._namespace, result + metadata, request_id, {})

    def error(self, error: ApiError, request_id: str) -> Response:
        return aws_query_error(error, request_id, self._faults, self._namespace)


def aws_query_error(error: ApiError, request_id: str, faults: Faults | None = None, namespace: str = "") -> Response:
    # STS's model declares ExpiredTokenException for other tokens than the caller's.
    declared = faults.declared(error) if faults and error.code not in _CODES else None
    code = declared.name if declared else _CODES.get(error.code, error.code)
    kind = "Sender" if error.fault == "User" else "Receiver"
    status = (declared and declared.status) or (400 if error.code == "UnknownOperationException" else error.status)
    body = (
        f"<Error><Type>{kind}</Type><Code>{_text(code)}</Code><Message>{_text(error.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId>"
    )
    return _xml(status, "ErrorResponse", namespace, body, request_id, error.headers)


def query_code(error: ApiError, faults: Faults) -> str:
    """What this protocol calls an error: who has left it for another still tells its clients so."""
    declared = faults.declared(error)
    code = declared.name if declared else _CODES.get(error.code, error.code)
    return f"{code};{'Sender' if error.fault == 'User' else 'Receiver'}"


def read_form(request: Request) -> dict[str, str]:
    """The body's form, or the query when the call is a GET (presigned calls are)."""
    pairs = request.query if "?" in request.target else []
    if len(request.body) > _FORM_BYTES:
        raise RequestEntityTooLarge(f"Request must be smaller than {_FORM_BYTES} bytes")
    if request.body:
        pairs = [*pairs, *parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)]
    return dict(pairs)


def _xml(status: int, root: str, namespace: str, inside: str, request_id: str, more: dict[str, str]) -> Response:
    declared = f' xmlns="{namespace}"' if namespace else ""
    headers = {"Content-Type": "text/xml", "x-amzn-RequestId": request_id, **more}
    return Response(status, headers, f"<{root}{declared}>{inside}</{root}>\n".encode())


# Forms: `Tags.member.1.Key=…`, lists and maps counted from one...


def _read(shape: Shape, form: dict[str, str], prefix: str) -> Any:
    """None when nothing in the form belongs to it."""
    if isinstance(shape, StructureShape):
        found = {}
        for name, member in shape.members.items():
            value = _read(member, form, _within(prefix, str(member.serialization.get("name", name))))
            if value is not None:
                found[name] = value
        return found or None
    if isinstance(shape, ListShape):
        where = prefix if shape.serialization.get("flattened") else f"{prefix}.member"
        return list(_counted(shape.member, form, where)) or ([] if form.get(prefix) == "" else None)
    if isinstance(shape, MapShape):
        where = prefix if shape.serialization.get("flattened") else f"{prefix}.entry"
        return _read_map(shape, form, where) or None
    text = form.get(prefix)
    return None if text is None else text_parser(shape)(text)


def _counted(shape: Shape, form: dict[str, str], prefix: str) -> Iterable[Any]:
    number = 1
    while (value := _read(shape, form, f"{prefix}.{number}")) is not None:
        yield value
        number += 1


def _read_map(shape: MapShape, form: dict[str, str], prefix: str) -> dict[str, Any]:
    found = {}
    number = 1
    while (key := form.get(f"{prefix}.{number}.key")) is not None:
        found[key] = _read(shape.value, form, f"{prefix}.{number}.value")
        number += 1
    return found


def _within(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


# XML...


def _members(shape: StructureShape, value: dict[str, Any]) -> Iterable[str]:
    for name, member in shape.members.items():
        item = value.get(name)
        if item is not None:
            yield _element(str(member.serialization.get("name", name)), member, item)


def _element(name: str, shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        inside = "".join(_members(shape, value))
    elif isinstance(shape, ListShape):
        if shape.serialization.get("flattened"):
            return "".join(_element(name, shape.member, item) for item in value)
        inside = "".join(_element("member", shape.member, item) for item in value)
    elif isinstance(shape, MapShape):
        inside = "".join(
            f"<entry>{_element('key', shape.key, key)}{_element('value', shape.value, item)}</entry>"
            for key, item in value.items()
        )
    else:
        inside = _scalar(shape, value)
    return f"<{name}>{inside}</{name}>"


def _scalar(shape: Shape, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if shape.type_name == "timestamp":
        return str(format_timestamp(value, shape.serialization.get("timestampFormat", ISO8601)))
    return base64_text(value) if shape.type_name == "blob" else _text(str(value))


def _text(text: str) -> str:
    """Characters that XML cannot hold at all are replaced."""
    return escape(_NOT_XML.sub("\ufffd", text))
