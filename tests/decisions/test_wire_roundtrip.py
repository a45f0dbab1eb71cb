"""botocore is the client: what it sends is understood, and what is answered it understands."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore import parsers, serialize
from botocore.awsrequest import HeadersDict
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from pasture.api.wire.awsjson import AwsJson
from pasture.api.wire.awsquery import AwsQuery
from pasture.api.wire.protocol import Wire
from pasture.api.wire.restjson import RestJson
from pasture.api.wire.rpccbor import RpcCbor
from pasture.api.wire.service import load_model
from pasture.api.wire.validation import constraints
from pasture.http.message import Headers, Request

WIRES: dict[str, Wire] = {
    "lambda": RestJson(load_model("lambda")),
    "logs": AwsJson(load_model("logs")),
    "sts": AwsQuery(load_model("sts")),
    "cloudwatch": RpcCbor(load_model("cloudwatch")),
}
OPERATIONS = [(service, name) for service in WIRES for name in load_model(service).operation_names]

LAMBDA = "arn:aws:lambda:us-east-1:123456789012"
UUID = "12345678-1234-4123-8123-123456789012"
TEXTS = [
    "a",
    "1",
    "é/ü x",
    "123456789012",
    "123456",
    "2026-01",
    "csc-12345678901234567",
    "name-1",
    "us-east-1",
    f"{LAMBDA}:function:f:1",
    f"{LAMBDA}:function:f:1/durable-execution/name/id",
    f"{LAMBDA}:function:f",
    f"{LAMBDA}:layer:l:1",
    f"{LAMBDA}:layer:l",
    f"{LAMBDA}:capacity-provider:c",
    f"{LAMBDA}:code-signing-config:csc-12345678901234567",
    f"{LAMBDA}:event-source-mapping:{UUID}",
    "arn:aws:lambda:us-east-1::runtime:abc",
    f"{LAMBDA}:runtime/name/version/1",
    "arn:aws:iam::123456789012:role/some/role",
    "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-12345678901234567",
    "arn:aws:kms:us-east-1:123456789012:key/abc",
    "arn:aws:sqs:us-east-1:123456789012:q",
    "arn:aws:s3:::bucket",
    "/mnt/data",
    "lambda:InvokeFunction",
    "lambda:GetLayerVersion",
    "host.example.com:9092",
    "o-1234567890",
    "sg-1",
    "subnet-1",
    UUID,
    "Aa==",
    "TheException",
    "$LATEST.PUBLISHED",
    "https://example.com",
    "https://dogs.com",
    "1.0",
    "s3://bucket/key",
    "vpce-1",
    "default",
    "Average",
    "arn:aws:cloudwatch:us-east-1:123456789012:dataset/default",
]


def a_text(shape: StringShape) -> str:
    if shape.enum:
        return shape.enum[-1]
    padded = [*TEXTS, "a" * int(shape.metadata.get("min", 1))]
    rules = constraints(shape)
    fitting = [text for text in padded if all(rule.holds(text) for rule in rules)]
    assert fitting, f"no sample for {shape.name}: {shape.metadata}"
    return fitting[0]


def a_value(shape: Shape, within: tuple[str, ...] = ()) -> Any:
    """Something that satisfies the shape, with every member there is."""
    if isinstance(shape, StructureShape):
        members = list(shape.members.items())
        if shape.metadata.get("union"):
            members = members[:1]
        return {
            name: a_value(member, (*within, shape.name))
            for name, member in members
            if member.name not in within and not member.serialization.get("eventstream")
        }
    if isinstance(shape, ListShape):
        least = max(1, int(shape.metadata.get("min", 1)))
        return [a_value(shape.member, within)] * least
    if isinstance(shape, MapShape):
        least = int(shape.metadata.get("min", 1))
        keys = [a_value(shape.key, within), "b", "c"][: max(1, least)]
        return {key: a_value(shape.value, within) for key in keys}
    if isinstance(shape, StringShape):
        return a_text(shape)
    if shape.type_name == "blob":
        return b"\x00\xff bytes"
    if shape.type_name == "timestamp":
        return datetime(2026, 3, 4, 10, 11, 12, tzinfo=UTC)
    if shape.type_name == "boolean":
        return True
    number = max(shape.metadata.get("min", 1), min(1, shape.metadata.get("max", 1)))
    return float(number) if shape.type_name in {"double", "float"} else int(number)


def required_only(shape: StructureShape) -> dict[str, Any]:
    return {name: a_value(shape.members[name]) for name in shape.required_members}


def sent(operation: OperationModel, params: dict[str, Any], service: str) -> Request:
    """The request that botocore makes."""
    serializer = serialize.create_serializer(load_model(service).metadata["protocol"])
    made = serializer.serialize_to_request(params, operation)
    target = made["url_path"]
    pairs = made["query_string"]
    if pairs:
        target += ("&" if "?" in target else "?") + urlencode(pairs, doseq=True)
    body = made["body"]
    if isinstance(body, dict):
        body = urlencode(body, doseq=True)
    headers = Headers((name.encode(), str(value).encode()) for name, value in made["headers"].items())
    return Request(made["method"], target, headers, body.encode() if isinstance(body, str) else body)


def inputs(operation: OperationModel) -> Iterator[dict[str, Any]]:
    if operation.input_shape is None:
        yield {}
    else:
        yield required_only(operation.input_shape)
        yield a_value(operation.input_shape)


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_what_botocore_sends_arrives_as_it_was_meant(service: str, name: str) -> None:
    operation = load_model(service).operation_model(name)
    for params in inputs(operation):
        found = WIRES[service].find(sent(operation, params, service))
        read = found.read()
        if read.get("Error") == {}:
            del read["Error"]  # botocore sends an empty structure for a payload that was not given
        assert (found.operation, read) == (name, params)


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_what_is_answered_arrives_at_botocore_as_it_was_meant(service: str, name: str) -> None:
    operation = load_model(service).operation_model(name)
    if operation.has_event_stream_output:
        pytest.skip("told piece by piece: test_wire_eventstream")
    shape = operation.output_shape
    output = a_value(shape) if shape is not None else {}
    if operation.name in {"Invoke", "InvokeAsync", "DeleteFunction"}:
        output["Status" if name == "InvokeAsync" else "StatusCode"] = 202
    response = WIRES[service].answer(name, output, "an-id")
    assert isinstance(response.body, bytes)
    parser: Any = parsers.create_parser(load_model(service).metadata["protocol"])
    body = BytesIO(response.body) if operation.has_streaming_output else response.body
    heard = parser.parse(
        {"status_code": response.status, "headers": HeadersDict(response.headers), "body": body}, shape
    )
    del heard["ResponseMetadata"]
    if response.status == 204 and name != "DeleteFunction":
        assert heard == {}
    else:
        assert _plain(heard) == output


def _plain(heard: dict[str, Any]) -> dict[str, Any]:
    """Streams read out."""
    return {name: value.read() if hasattr(value, "read") else value for name, value in heard.items()}
