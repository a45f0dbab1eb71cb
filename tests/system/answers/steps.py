"""One call and the whole of what AWS answers to it, as rows of a table.

Where the answers come from: the service model (which members there are, statuses, and where an error's message is), and
what has been recorded from AWS. What differs from call to call stands as `<uuid>`, `<time>`, `<url>` and the like: see
`system.test_every_operation`.
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from system.node import ROLE, RUNTIME

Body = dict[str, Any] | str | None
ACCOUNT = "000000000000"
REGION = "us-east-1"
PREFIX = f"arn:aws:lambda:{REGION}:{ACCOUNT}:"
TYPICAL, MINIMAL, WRONG = "typical", "minimal", "wrong"


@dataclass(frozen=True, slots=True)
class Step:
    kind: str
    """`typical`, `minimal` or `wrong`; empty for one that only makes ready for others."""
    operation: str
    request: Mapping[str, Any]
    status: int
    body: Body = None
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside those that every answer has."""


def typical(operation: str, status: int, body: Body = None, **request: Any) -> Step:
    return Step(TYPICAL, operation, request, status, body)


def minimal(operation: str, status: int, body: Body = None, **request: Any) -> Step:
    return Step(MINIMAL, operation, request, status, body)


def ready(operation: str, status: int, body: Body = None, **request: Any) -> Step:
    return Step("", operation, request, status, body)


def wrong(operation: str, status: int, error: str, message: str, **request: Any) -> Step:
    return Step(WRONG, operation, request, status, message, error)


def invalid(operation: str, value: str, where: str, constraint: str, **request: Any) -> Step:
    """What the generic validator answers."""
    words = f"1 validation error detected: Value {value} at '{where}' failed to satisfy constraint: {constraint}"
    return wrong(operation, 400, "ValidationException", words, **request)


def package(text: str = "def handler(event, context):\n    return event\n", name: str = "app.py") -> bytes:
    """The same bytes at any time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo(name), text)
    return out.getvalue()


ZIP = package()
OTHER_ZIP = package("def handler(event, context):\n    return 'other'\n")
LAYER_ZIP = package("WORD = 'layered'\n", "python/shared.py")


def code(zipped: bytes) -> dict[str, Any]:
    return {
        "CodeSha256": base64.b64encode(hashlib.sha256(zipped).digest()).decode(),
        "CodeSize": len(zipped),
    }


NEW = {
    "State": "Pending",
    "StateReason": "The function is being created.",
    "StateReasonCode": "Creating",
}
UPDATING = {
    "State": "Active",
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}
SETTLED = {"State": "Active", "LastUpdateStatus": "Successful"}
RUNTIME_VERSION = {"RuntimeVersionConfig": {"RuntimeVersionArn": "<runtime-version>"}}


def configuration(name: str, *states: Mapping[str, Any], qualifier: str = "", **changes: Any) -> dict[str, Any]:
    """FunctionConfiguration with AWS's defaults; `RuntimeVersionConfig` is not in lists, nor are states."""
    shown: dict[str, Any] = {
        "FunctionName": name,
        "FunctionArn": f"{PREFIX}function:{name}" + (f":{qualifier}" if qualifier else ""),
        "Runtime": RUNTIME,
        "Role": ROLE,
        "Handler": "app.handler",
        **code(ZIP),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "LastModified": "<time>",
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": "<uuid>",
        "PackageType": "Zip",
        "Architectures": ["<architecture>"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }
    for state in states:
        shown |= state
    return {member: value for member, value in {**shown, **changes}.items() if value is not None}


def create(name: str, **request: Any) -> dict[str, Any]:
    """What CreateFunction needs."""
    return {
        "FunctionName": name,
        "Runtime": RUNTIME,
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": ZIP},
        **request,
    }


def made(name: str) -> Step:
    return ready("CreateFunction", 201, configuration(name, NEW, RUNTIME_VERSION), **create(name))


def not_found(name: str, qualifier: str = "") -> tuple[int, str, str]:
    arn = f"{PREFIX}function:{name}" + (f":{qualifier}" if qualifier else "")
    return 404, "ResourceNotFoundException", f"Function not found: {arn}"
