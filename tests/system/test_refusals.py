"""What the server does not take: it says so in AWS's words, serves on, and keeps nothing of it."""

import base64
import io
import json
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from system.node import ROLE, RUNTIME, Server, package, until

MIB = 1024 * 1024
UNZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
TOO_LARGE = "Unzipped size must be smaller than 262144000 bytes"
CODE = "def handler(event, context):\n    return event\n"


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has taken nothing: whatever is found in it is left over."""
    running = Server(tmp_path_factory.mktemp("refusing") / "data").start()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def create(server: Server, **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "FunctionName": "refused", "Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler",
        "Code": {"ZipFile": package(CODE)},
    }  # fmt: skip
    request |= changes
    answer: dict[str, Any] = unchecked(server).create_function(**request)
    return answer


def unchecked(server: Server) -> Any:
    """A client that leaves every check to the server."""
    connect: Any = boto3.client
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    return connect("lambda", endpoint_url=server.url, region_name="us-east-1", config=config, **server.key())


def refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def files_of(server: Server) -> list[str]:
    """Packages, packed and unpacked, and what was on the way to be one."""
    return [
        str(path.relative_to(server.data))
        for place in ("blobs", "packages")
        for path in (server.data / place).rglob("*")
        if path.is_file() or path.is_symlink()
    ]


def assert_nothing_is_left(server: Server) -> None:
    assert server.functions.list_functions()["Functions"] == []
    until(lambda: files_of(server) == [])


def peak_kib(server: Server) -> int:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


# Packages...


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in entries:
            zipped.writestr(name, content)
    return out.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    return info, target.encode()


def special(name: str, kind: int) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o666) << 16
    return info, b""


def bomb(size: int) -> bytes:
    """Zeros, without ever having them all."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped, zipped.open("zeros", "w") as file:
        for _ in range(size // MIB):
            file.write(bytes(MIB))
    return out.getvalue()


def lying(size: int) -> bytes:
    """A bomb whose directory says that it holds ten bytes."""
    raw = bytearray(bomb(size))
    central = raw.rfind(b"PK\1\2")
    raw[central + 24 : central + 28] = struct.pack("<I", 10)
    return bytes(raw)


def overlapping(copies: int) -> bytes:
    """Many entries of the directory that all mean the same compressed bytes."""
    raw = bomb(10 * MIB)
    central, end = raw.rfind(b"PK\1\2"), raw.rfind(b"PK\5\6")
    entry = raw[central:end]
    directory = b"".join(entry.replace(b"zeros", b"%05d" % number) for number in range(copies))
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, copies, copies, len(directory), central, 0)
    return raw[:central] + directory + tail


def truncated() -> bytes:
    return package({"app.py": CODE, "more.bin": bytes(range(256)) * 100})[:-40]


def corrupt() -> bytes:
    raw = bytearray(zip_of(("app.py", CODE.encode() * 50)))
    raw[45] ^= 0xFF
    return bytes(raw)


PACKAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "no zip": (lambda: b"this is no zip", UNZIP),
    "a truncated zip": (truncated, UNZIP),
    "a corrupt zip": (corrupt, UNZIP),
    "an empty zip": (zip_of, "Uploaded file must be a non-empty zip"),
    "a name that goes up": (lambda: zip_of(("app.py", b""), ("../evil", b"x")), UNZIP),
    "a name that goes up inside": (lambda: zip_of(("a/../../evil", b"x")), UNZIP),
    "an absolute name": (lambda: zip_of(("/etc/evil", b"x")), UNZIP),
    "a Windows name": (lambda: zip_of(("..\\evil", b"x")), UNZIP),
    "a link up": (lambda: zip_of(("app.py", b""), link("out", "../../keys.json")), UNZIP),
    "an absolute link": (lambda: zip_of(("app.py", b""), link("out", "/etc/shadow")), UNZIP),
    "a file through a link": (lambda: zip_of(link("d", "."), ("d/app.py", b"")), UNZIP),
    "a chain of links up": (lambda: zip_of(link("a", "b/.."), link("b", "c/.."), ("c/x", b"")), UNZIP),
    "links in a circle": (lambda: zip_of(link("a", "b"), link("b", "a")), UNZIP),
    "a device": (lambda: zip_of(special("disk", 0o060000)), UNZIP),
    "a pipe": (lambda: zip_of(special("pipe", 0o010000)), UNZIP),
    "a bomb": (lambda: bomb(300 * MIB), TOO_LARGE),
    "a bomb that lies": (lambda: lying(300 * MIB), UNZIP),
    "entries that share bytes": (lambda: overlapping(2_000), UNZIP),
}


@pytest.mark.parametrize("what", PACKAGES)
def test_a_package_that_is_none_is_refused_and_nothing_of_it_is_kept(refusing: Server, what: str) -> None:
    make, words = PACKAGES[what]
    before = peak_kib(refusing)
    answer = refused(create, refusing, Code={"ZipFile": make()})
    assert answer == (400, "InvalidParameterValueException", words)
    assert peak_kib(refusing) - before < 100 * 1024
    assert_nothing_is_left(refusing)


def test_a_zip_of_more_than_fifty_megabytes_is_refused(refusing: Server) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as zipped:
        zipped.writestr("app.py", bytes(52_428_800))
    assert refused(create, refusing, Code={"ZipFile": out.getvalue()}) == (
        413,
        "RequestEntityTooLargeException",
        "Zipped size must be smaller than 52428800 bytes",
    )
    assert_nothing_is_left(refusing)


def test_a_request_over_the_limit_is_refused_before_it_is_read(refusing: Server) -> None:
    before = peak_kib(refusing)
    with socket.create_connection(_address(refusing)) as s:
        s.sendall(b"POST /2015-03-31/functions HTTP/1.1\r\nHost: x\r\nContent-Length: 70167212\r\n\r\n")
        answer = _received(s)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
        "Type": "User", "message": "Request must be smaller than 70167211 bytes for the CreateFunction operation",
    }  # fmt: skip
    assert peak_kib(refusing) - before < 50 * 1024


# Members...


ENUM = "Member must satisfy enum value set: "
MEMBERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown runtime": (
        {"Runtime": "python9.9"},
        "InvalidParameterValueException",
        "Value python9.9 at 'runtime' failed to satisfy constraint: " + ENUM,
    ),
    "a retired runtime": (
        {"Runtime": "python3.7"},
        "InvalidParameterValueException",
        ("The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions. "
        "We recommend you use a supported runtime while creating or updating functions."),
    ),
    "a role that is no ARN": (
        {"Role": "r1"},
        "ValidationException",
        ("1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular "
        r"expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"),
    ),
    "a handler with a blank": (
        {"Handler": "app .handler"},
        "ValidationException",
        ("1 validation error detected: Value 'app .handler' at 'handler' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [^\s]+"),
    ),
    "too little memory": (
        {"MemorySize": 64},
        "ValidationException",
        ("1 validation error detected: Value '64' at 'memorySize' failed to satisfy constraint: "
        "Member must have value greater than or equal to 128"),
    ),
    "too much memory": (
        {"MemorySize": 10_241},
        "InvalidParameterValueException",
        "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
    ),
    "no time": (
        {"Timeout": 0},
        "ValidationException",
        ("1 validation error detected: Value '0' at 'timeout' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1"),
    ),
    "too much time": ({"Timeout": 901}, "", ("'901' at 'timeout' failed to satisfy constraint: "
                      "Member must have value less than or equal to 900")),
    "too small a disk": (
        {"EphemeralStorage": {"Size": 511}},
        "ValidationException",
        ("1 validation error detected: Value '511' at 'ephemeralStorage.size' failed to satisfy constraint: "
        "Member must have value greater than or equal to 512"),
    ),
    "no code": (
        {"Code": None},
        "ValidationException",
        "1 validation error detected: Value null at 'code' failed to satisfy constraint: Member must not be null",
    ),
    "a long name": (
        {"FunctionName": "a" * 65},
        "InvalidParameterValueException",
        (f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64"),
    ),
    "a name with a qualifier": ({"FunctionName": "refused:1"}, "InvalidParameterValueException", "This operation is permitted on Lambda functions only."),
    "a name of another account": ({"FunctionName": "arn:aws:lambda:us-east-1:999999999999:function:refused"}, "AccessDeniedException", ""),
    "a name of another region": (
        {"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:refused"},
        "ResourceNotFoundException",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    ),
    "a reserved variable": (
        {"Environment": {"Variables": {"AWS_REGION": "x"}}},
        "InvalidParameterValueException",
        "AWS_REGION",
    ),
    "too many variables": (
        {"Environment": {"Variables": {"LARGE": "x" * 4096}}},
        "InvalidParameterValueException",
        ("Lambda was unable to configure your environment variables because the environment variables you have provided "
        'exceeded the 4KB limit. String measured: {"LARGE":"xxxx'),
    ),
    "a layer that is not there": (
        {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:nobody:1"]},
        "InvalidParameterValueException",
        "Layer version arn:aws:lambda:us-east-1:000000000000:layer:nobody:1 does not exist.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MEMBERS)
def test_a_member_that_cannot_be_is_refused_in_awss_words(refusing: Server, what: str) -> None:
    members, code, words = MEMBERS[what]
    status, said, message = refused(create, refusing, **members)
    assert 400 <= status < 500
    assert said == (code or said)
    assert words in message
    assert_nothing_is_left(refusing)


@pytest.mark.parametrize(
    "name", ["", "with blank", "with/slash", "üml", "a:b:c:d:e:f:g:h", "arn:aws:lambda", "$LATEST", "..", "a\nb"]
)
def test_a_bad_name_is_refused(refusing: Server, name: str) -> None:
    status, code, message = refused(create, refusing, FunctionName=name)
    assert (status, code) == (400, "ValidationException")
    assert "at 'functionName' failed to satisfy constraint" in message
    assert_nothing_is_left(refusing)


# Requests that do not arrive whole...


def test_a_request_that_breaks_off_leaves_nothing(refusing: Server) -> None:
    body = json.dumps({
        "FunctionName": "refused", "Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler",
        "Code": {"ZipFile": base64.b64encode(package(CODE)).decode()},
    }).encode()  # fmt: skip
    head, path = _signed(refusing, "POST", "/2015-03-31/functions", body)
    with socket.create_connection(_address(refusing)) as s:
        s.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body[: len(body) // 2])
    with socket.create_connection(_address(refusing)) as s:
        s.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body[: len(body) // 2])
        s.shutdown(socket.SHUT_WR)
        assert _received(s)[:12] in {b"", b"HTTP/1.1 400"}
    assert_nothing_is_left(refusing)


def test_clients_that_go_away_in_the_middle_of_an_invocation_do_no_harm(server: Server) -> None:
    name = server.deploy(
        "walked-out",
        "import time\ndef handler(event, context):\n    time.sleep(event)\n    print('finished', event)\n    return event\n",
    )
    head, path = _signed(server, "POST", f"/2015-03-31/functions/{name}/invocations", b"0.4")
    for _ in range(5):
        with socket.create_connection(_address(server)) as s:
            s.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + b"0.4")
    assert server.invoke(name, 0.01).payload == 0.01
    until(lambda: sum("finished 0.4" in line for line in server.log_lines(f"/aws/lambda/{name}")) == 5)


def _address(server: Server) -> tuple[str, int]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


def _received(s: socket.socket) -> bytes:
    s.settimeout(20)
    answer = b""
    try:
        while chunk := s.recv(65_536):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer


def _signed(server: Server, method: str, path: str, body: bytes) -> tuple[str, str]:
    """The header lines of a good request, and its path."""
    key = server.key()
    request = AWSRequest(method, server.url + path, data=body, headers={"Content-Length": str(len(body))})
    SigV4Auth(Credentials(key["aws_access_key_id"], key["aws_secret_access_key"]), "lambda", "us-east-1").add_auth(
        request
    )
    fields = {"Host": server.url.removeprefix("http://"), **dict(request.headers.items())}
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()), path
