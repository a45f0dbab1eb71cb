"""Requests from the service models, right, nearly right and wrong, for `test_fuzzing`."""

import base64
import json
from typing import Any
from urllib.parse import quote

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StringShape, StructureShape
from hypothesis import strategies as st

from pasture.api.served import State, entries
from system.answers.steps import PREFIX, ZIP
from system.node import ROLE, RUNTIME

LAMBDA = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")
LOGS = ServiceModel(Loader().load_service_model("logs", "service-2"), "logs")

# One that is refused is refused like any other.
_SERVED = {
    service: [entry.operation for entry in entries(service) if entry.state is not State.REFUSED] + [refused]
    for service, refused in (("lambda", "CreateCapacityProvider"), ("logs", "StartQuery"))
}

Request = tuple[str, str, dict[str, str], bytes]
"""Method, target, headers, body."""

_KNOWN: dict[str, list[str]] = {
    "FunctionName": ["f", "f:live", "f:1", f"{PREFIX}function:f", "000000000000:f", "none", f"{PREFIX}function:f:live"],
    "LayerName": ["l", f"{PREFIX}layer:l", "none"],
    "Qualifier": ["$LATEST", "1", "live", "2", "none"],
    "Name": ["live", "other"],
    "FunctionVersion": ["1", "$LATEST", "ALL"],
    "Role": [ROLE],
    "Runtime": [RUNTIME, "nodejs22.x"],
    "Handler": ["app.handler", "app.none", ""],
    "Resource": [f"{PREFIX}function:f", f"{PREFIX}layer:l"],
    "ResourceArn": [f"{PREFIX}function:f"],
    "Arn": [f"{PREFIX}layer:l:1"],
    "EventSourceArn": ["arn:aws:sqs:us-east-1:000000000000:q", "arn:aws:kinesis:us-east-1:000000000000:stream/s"],
    "AuthType": ["NONE"],
    "Description": ["words"],
    "SubnetIds": ["subnet-1"],
    "SecurityGroupIds": ["sg-1"],
    "Layers": [f"{PREFIX}layer:l:1"],
    "Destination": ["arn:aws:sqs:us-east-1:000000000000:q"],
    "TargetArn": ["arn:aws:sqs:us-east-1:000000000000:q"],
    "KMSKeyArn": ["arn:aws:kms:us-east-1:000000000000:key/k"],
    "TagKeys": ["a"],
    "SigningProfileVersionArns": ["arn:aws:signer:us-east-1:111122223333:/signing-profiles/theirs/0123456789"],
    "CodeSigningConfigArn": [f"{PREFIX}code-signing-config:csc-00000000000000000"],
    "UUID": ["14e0db71-5d35-4eb5-b481-8945cf9d10c2"],
    "Pattern": ['{"a":[1]}', "{"],
    "LogGroup": ["/aws/lambda/f"],
    "Principal": ["*", "s3.amazonaws.com", "111122223333"],
    "Action": ["lambda:InvokeFunction", "lambda:GetLayerVersion", "*"],
    "StatementId": ["s", "t"],
    "Marker": ["", "MQ==", "Zg==", "%00"],
    "Policy": ['{"Version":"2012-10-17","Statement":[]}', "{", "[]"],
    "logGroupName": ["/aws/lambda/f", "g"],
    "logStreamName": ["s"],
}
_ODD = ["", " ", "\x00", "é", "\U0001f404", "..", "a" * 300, "%", "null", "[1]", "\ud800", "-1"]

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(_ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def values(draw: st.DrawFn, shape: Shape, name: str = "", depth: int = 0) -> Any:
    """Mostly of the right kind."""
    if draw(st.integers(0, 39)) == 39 or depth > 6:
        return draw(_json)
    match shape:
        case StructureShape():
            return draw(structures(shape, depth))
        case ListShape():
            return draw(st.lists(values(shape.member, name, depth + 1), max_size=2))
        case MapShape():
            return draw(st.dictionaries(_texts(shape.key, ""), values(shape.value, "", depth + 1), max_size=2))
        case StringShape():
            return draw(_texts(shape, name))
    return draw(_scalars(shape))


def _mostly(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What is wrong in one place hides what is behind it: most of a request has to be right."""
    return st.integers(0, 11).flatmap(lambda chance: usual if chance else other)


def _texts(shape: Shape, name: str) -> st.SearchStrategy[str]:
    options = [*getattr(shape, "enum", []), *_KNOWN.get(name, [])]
    anything = st.text(max_size=20) | st.sampled_from(_ODD)
    return _mostly(st.sampled_from(options), anything) if options else anything


def _scalars(shape: Shape) -> st.SearchStrategy[Any]:
    match shape.type_name:
        case "blob":
            return _mostly(st.just(base64.b64encode(ZIP).decode()), st.sampled_from(["", "====", "bm8gemlw"]))
        case "boolean":
            return st.booleans()
        case "integer" | "long":
            low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 300)
            beyond = st.sampled_from([low - 1, high + 1, 0, -1, 2**31, 2**63, 2**70])
            return _mostly(st.sampled_from([low, high]) | st.integers(low, min(high, low + 300)), beyond)
        case "double" | "float":
            return st.floats(allow_nan=True)
        case _:
            return st.integers(0, 2**33) | st.text(max_size=10)


@st.composite
def structures(draw: st.DrawFn, shape: StructureShape, depth: int = 0) -> dict[str, Any]:
    wanted = set(shape.required_members) if draw(st.integers(0, 19)) < 19 else set()
    wanted |= set(draw(st.lists(st.sampled_from(sorted(shape.members)), max_size=2))) if shape.members else set()
    found = {name: draw(values(shape.members[name], name, depth + 1)) for name in sorted(wanted)}
    if draw(st.integers(0, 19)) == 19:
        found[draw(st.text(max_size=6))] = draw(_json)
    return found


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Of any operation that is served of Lambda, or of CloudWatch Logs."""
    if draw(st.integers(0, 4)) == 0:
        operation = LOGS.operation_model(draw(st.sampled_from(_SERVED["logs"])))
        asked = draw(structures(operation.input_shape)) if operation.input_shape is not None else {}
        headers = {"X-Amz-Target": f"Logs_20140328.{operation.name}", "Content-Type": "application/x-amz-json-1.1"}
        return "POST", "/", headers, draw(_mangled(_encoded(asked)))
    operation = LAMBDA.operation_model(draw(st.sampled_from(_SERVED["lambda"])))
    shape = operation.input_shape
    asked = draw(structures(shape)) if isinstance(shape, StructureShape) else {}
    return _placed(draw, operation, asked)


def _placed(draw: st.DrawFn, operation: OperationModel, asked: dict[str, Any]) -> Request:
    """Every member where the model says that it goes."""
    shape = operation.input_shape
    members = shape.members if isinstance(shape, StructureShape) else {}
    target: str = operation.http["requestUri"]
    query: list[str] = []
    headers: dict[str, str] = {"Content-Type": "application/json"}
    inside: dict[str, Any] = {}
    for name, value in asked.items():
        serialization = members[name].serialization if name in members else {}
        wire = serialization.get("name", name)
        match serialization.get("location"):
            case "uri":
                target = target.replace("{" + wire + "}", _quoted(value)).replace("{" + wire + "+}", _quoted(value))
            case "querystring":
                query.append(f"{wire}={_quoted(value)}")
            case "header":
                headers[wire] = _header(value)
            case _:
                inside[wire] = value
    target += ("&" if "?" in target else "?") + "&".join(query) if query else ""
    payload = shape.serialization.get("payload") if shape is not None else None
    body = _encoded(inside.get(payload, {}) if payload else inside)
    method = draw(st.sampled_from([operation.http["method"]] * 9 + ["PATCH"]))
    return method, quote(target, safe="/?&=%:$+"), headers, draw(_mangled(body))


def _quoted(value: Any) -> str:
    return quote(str(value).encode("utf-8", "surrogatepass"), safe="$")


def _header(value: Any) -> str:
    return "".join(letter for letter in str(value) if " " <= letter <= "~")[:2000]


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@st.composite
def _mangled(draw: st.DrawFn, body: bytes) -> bytes:
    """Once in a while not what it was."""
    return draw(mutations(body)) if body and draw(st.integers(0, 19)) == 19 else body


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 30)))
        middle = draw(st.sampled_from([b"", data[start:end] * 2, data[start:end][::-1]]) | st.binary(max_size=12))
        data = data[:start] + middle + data[end:]
    return data
