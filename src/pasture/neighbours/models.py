"""The models of neighbours' services, and the wire that they describe: botocore's, loaded when first needed."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import ResponseParser, create_parser
from botocore.serialize import Serializer, create_serializer

from pasture.neighbours.caller import NoNeighbour

_JSON = frozenset({"json", "rest-json"})


class Wire(NamedTuple):
    """How one service is spoken to."""

    model: ServiceModel
    serializer: Serializer
    parser: ResponseParser

    def write(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """method, url_path, query_string, headers, body."""
        written: dict[str, Any] = self.serializer.serialize_to_request(parameters, self.operation(operation))
        return written

    def read(self, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Raises ValueError or ResponseParserError for what is no answer."""
        model = self.operation(operation)
        shape: Any = model.output_shape  # None where there is none, as botocore's own client has it
        is_stream = status < 300 and model.has_streaming_output
        if status < 300 and body and not is_stream and self.model.resolved_protocol in _JSON:
            # botocore's parser takes what is no JSON for an answer without members.
            msgspec.json.decode(body, type=dict[str, Any])
        # And what is no bytes it leaves as it is: a stream need not be text.
        told = {
            "status_code": status,
            "headers": headers,
            "body": bytearray(body) if is_stream else body,
            "context": {},
        }
        parsed: dict[str, Any] = self.parser.parse(told, shape)
        if is_stream:
            parsed[shape.serialization["payload"]] = body
        return parsed

    def operation(self, name: str) -> OperationModel:
        return self.model.operation_model(name)


class Models:
    """Mutable state: the wires that were asked for. Their documentation, half of what they are, is left away."""

    def __init__(self) -> None:
        self._wires: dict[str, Wire] = {}
        self._loading = asyncio.Lock()

    async def wire(self, service: str) -> Wire:
        """Of botocore's name for it. Raises NoNeighbour for a service that botocore does not know."""
        known = self._wires.get(service)
        if known is not None:
            return known
        async with self._loading:
            if service not in self._wires:
                self._wires[service] = await asyncio.to_thread(load, service)
            return self._wires[service]


def load(service: str) -> Wire:
    try:
        description = Loader().load_service_model(service, "service-2")
    except UnknownServiceError as error:
        raise NoNeighbour(f"There is no service {service!r}.") from error
    model = ServiceModel(_slim(description), service)
    protocol = model.resolved_protocol
    serializer: Any = create_serializer(protocol, include_validation=False)
    return Wire(model, serializer, create_parser(protocol))


def _slim(description: Mapping[str, Any]) -> dict[str, Any]:
    shapes = {name: _slim_shape(shape) for name, shape in description["shapes"].items()}
    operations = {name: _without(it) for name, it in description["operations"].items()}
    return {"metadata": description["metadata"], "operations": operations, "shapes": shapes}


def _slim_shape(shape: Mapping[str, Any]) -> dict[str, Any]:
    slim = _without(shape)
    if "members" in slim:
        slim["members"] = {name: _without(member) for name, member in slim["members"].items()}
    return slim


def _without(thing: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if name not in {"documentation", "documentationUrl"}}
