"""The rest-json protocol: an operation is a method and a path; members are everywhere. Lambda speaks it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape

from pasture.api.wire.eventstream import EVENT_STREAM, event_stream
from pasture.api.wire.faults import Faults
from pasture.api.wire.parsing import Parse, Parsers, decode_json, text_parser
from pasture.api.wire.protocol import Found
from pasture.api.wire.rendering import Render, Renderers, encode_json
from pasture.api.wire.routes import Match, Routes
from pasture.api.wire.timestamps import RFC822, format_timestamp
from pasture.api.wire.validation import Validator
from pasture.domain.errors import ApiError, UnknownOperation
from pasture.http.message import Request, Response

JSON = "application/json"

Query = list[tuple[str, str]]

_MATCHES = 4096
_SHORT_PATH = 256


class RestJson:
    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._routes = Routes(model)
        self._matches: dict[tuple[str, str], Match] = {}
        """What targets without a query have been found to mean."""
        self._faults = Faults(model)
        self._parsers = Parsers()
        self._renderers = Renderers()
        self._inputs: dict[str, _Input] = {}
        self._outputs: dict[str, _Output] = {}

    def prepare(self, operation: str) -> None:
        self._input(operation)
        self._output(operation)

    def find(self, request: Request) -> Found:
        target = request.target
        place = (request.method, target)
        match = self._matches.get(place)
        query: Query = []
        if match is None:
            if "?" in target:
                query = request.query
            match = self._routes.find(request.method, request.raw_path, query)
            if match is None:
                raise UnknownOperation(f"No operation answers {request.method} {request.raw_path[:256]}.")
            if not query and len(target) <= _SHORT_PATH:
                if len(self._matches) >= _MATCHES:
                    self._matches.clear()
                self._matches[place] = match
        return Found(match.operation, partial(self._input(match.operation).read, request, match, query))

    def answer(self, operation: str, output: dict[str, Any], request_id: str) -> Response:
        status, headers, body = self._output(operation).write(output)
        return Response(status, {"Content-Type": JSON, "x-amzn-RequestId": request_id, **headers}, body)

    def error(self, error: ApiError, request_id: str) -> Response:
        return rest_json_error(error, request_id, self._faults)

    def _input(self, operation: str) -> "_Input":
        if operation not in self._inputs:
            self._inputs[operation] = _Input(self._model, self._model.operation_model(operation), self._parsers)
        return self._inputs[operation]

    def _output(self, operation: str) -> "_Output":
        if operation not in self._outputs:
            self._outputs[operation] = _Output(self._model.operation_model(operation), self._renderers)
        return self._outputs[operation]


def rest_json_error(error: ApiError, request_id: str, faults: Faults | None = None) -> Response:
    """`x-amzn-ErrorType` names the error; the body has `Type`, the message and the error's own members."""
    declared = faults.declared(error) if faults else None
    status = (declared and declared.status) or error.status
    headers = {"Content-Type": JSON, "x-amzn-RequestId": request_id, "x-amzn-ErrorType": error.code, **error.headers}
    members = dict(error.members)
    for name, header in (declared.headers if declared else {}).items():
        if name in members:
            headers[header] = str(members.pop(name))
    body = {"Type": error.fault, (declared.message_key if declared else "message"): error.message, **members}
    return Response(status, headers, encode_json(body))


@dataclass(frozen=True, slots=True)
class _Text:
    """A member that comes as text: in the path, the query or a header."""

    member: str
    name: str
    lower: str
    """The name of a header, as headers are looked up."""
    parse: Callable[[str], Any]
    is_list: bool


class _Input:
    def __init__(self, service: ServiceModel, operation: OperationModel, parsers: Parsers) -> None:
        self._labels: list[_Text] = []
        self._query: list[_Text] = []
        self._headers: list[_Text] = []
        self._payload: tuple[str, Parse | None] | None = None
        self._body: Parse | None = None
        self._validate = Validator(service.service_name, operation).validate
        if operation.input_shape is not None:
            self._compile(operation.input_shape, parsers)

    def _compile(self, shape: StructureShape, parsers: Parsers) -> None:
        places = {"uri": self._labels, "querystring": self._query, "header": self._headers}
        payload = shape.serialization.get("payload")
        in_body = set()
        for name, member in shape.members.items():
            location = member.serialization.get("location")
            if location is not None:
                places[location].append(_text(name, member))
            elif name == payload:
                blob = member.type_name in {"blob", "string"}
                self._payload = (name, None if blob else parsers.of(member))
            else:
                in_body.add(name)
        if in_body:
            self._body = parsers.structure(shape, frozenset(in_body))

    def read(self, request: Request, match: Match, query: Query) -> dict[str, Any]:
        found = self._read_body(request.body) if request.body else {}
        for text in self._labels:
            found[text.member] = text.parse(match.labels[text.name])
        if query:
            self._read_query(query, found)
        headers = request.headers.first
        for text in self._headers:
            header = headers.get(text.lower)
            if header is not None:
                found[text.member] = text.parse(header)
        self._validate(found)
        return found

    def _read_query(self, query: Query, found: dict[str, Any]) -> None:
        for text in self._query:
            values = [value for name, value in query if name == text.name]
            if values:
                found[text.member] = [text.parse(value) for value in values] if text.is_list else text.parse(values[0])

    def _read_body(self, body: bytes) -> dict[str, Any]:
        if self._payload is not None:
            name, parse = self._payload
            return {name: body if parse is None else parse(decode_json(body))}
        if self._body is None:
            return {}
        content = decode_json(body)
        return {} if content is None else dict(self._body(content))


def _text(name: str, member: Shape) -> _Text:
    is_list = isinstance(member, ListShape)
    element = member.member if isinstance(member, ListShape) else member
    wire_name = member.serialization.get("name", name)
    return _Text(name, wire_name, wire_name.lower(), text_parser(element), is_list)


class _Output:
    def __init__(self, operation: OperationModel, renderers: Renderers) -> None:
        self._status = int(operation.http.get("responseCode", 200))
        self._status_member: str | None = None
        self._headers: list[tuple[str, str, Callable[[Any], str]]] = []
        self._payload: tuple[str, Render | None] | None = None
        self._stream: str | None = None
        self._body: Render | None = None
        if operation.output_shape is not None:
            self._compile(operation, operation.output_shape, renderers)

    def _compile(self, operation: OperationModel, shape: StructureShape, renderers: Renderers) -> None:
        payload = shape.serialization.get("payload")
        in_body = set()
        for name, member in shape.members.items():
            location = member.serialization.get("location")
            if location == "statusCode":
                self._status_member = name
            elif location == "header":
                self._headers.append((name, member.serialization["name"], _header_text(member)))
            elif name == payload and operation.has_event_stream_output and isinstance(member, StructureShape):
                self._stream = name
                self._encode = event_stream(member)
            elif name == payload:
                self._payload = (name, None if member.type_name in {"blob", "string"} else renderers.of(member))
            else:
                in_body.add(name)
        if payload is None:
            self._body = renderers.structure(shape, frozenset(in_body))

    def write(self, output: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        status = self._status
        if self._status_member is not None:
            status = output.get(self._status_member) or status
        headers = {}
        for name, header, text in self._headers:
            value = output.get(name)
            if value is not None:
                headers[header] = text(value)
        if self._stream is not None and self._stream in output:  # a dry run has none
            # The stream's own content type is always this one; what the function said is in another header.
            return status, {**headers, "Content-Type": EVENT_STREAM}, self._encode(output[self._stream])
        return status, headers, self._write_body(output, status)

    def _write_body(self, output: dict[str, Any], status: int) -> Any:
        if self._payload is not None:
            name, render = self._payload
            value = output.get(name)
            if value is None:
                return b""
            return value if render is None else encode_json(render(value))
        if self._body is None or status == 204:
            return b""
        return encode_json(self._body(output))


def _header_text(member: Shape) -> Callable[[Any], str]:
    if member.type_name == "timestamp":
        form = member.serialization.get("timestampFormat", RFC822)
        return lambda value: str(format_timestamp(value, form))
    if member.type_name == "boolean":
        return lambda value: "true" if value else "false"
    return str
