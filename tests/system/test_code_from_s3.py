"""Functions and layers whose packages are in S3."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from fakes.s3 import KEYS, Scripted, client, serving
from system.node import ROLE, RUNTIME, Server, package

CODE = "def handler(event, context):\n    return {answer!r}\n"
NOT_CONFIGURED = (
    "Error occurred while GetObject. This server has no S3: set s3_endpoint (`pasture serve --s3-endpoint`) "
    "or a neighbour that serves s3, or send the package as ZipFile."
)
NO_KEY = "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."
CONFIGURATION: dict[str, Any] = {"Runtime": RUNTIME, "Handler": "app.handler", "Role": ROLE}


def started(directory: Path, *arguments: str) -> Server:
    """With the keys of the store in its environment, which is where a server has them from."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name.upper(), value)
        return Server(directory / "data", *arguments).start()


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with serving() as url:
        store = client(url)
        store.create_bucket(Bucket="code")
        store.put_bucket_versioning(Bucket="code", VersioningConfiguration={"Status": "Enabled"})
        yield store


@pytest.fixture(scope="module")
def server(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = started(tmp_path_factory.mktemp("s3"), "--s3-endpoint", s3.meta.endpoint_url)
    yield server
    assert server.stop() == 0


def put(s3: Any, key: str, content: bytes) -> Any:
    s3.put_object(Bucket="code", Key=key, Body=content)
    return {"S3Bucket": "code", "S3Key": key}


def create(server: Server, name: str, code: Any, **more: Any) -> Any:
    lambdas = server.functions
    answer = lambdas.create_function(FunctionName=name, Code=code, **{**CONFIGURATION, **more})
    lambdas.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 10_000})
    return answer


def refused(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as failure:
        call(**request)
    error = failure.value.response["Error"]
    return error["Code"], error["Message"]


def received(server: Server) -> list[Path]:
    return list((server.data / "blobs" / "temporary").glob("*"))


def blobs(server: Server) -> set[str]:
    return {path.name for path in (server.data / "blobs").glob("??/??/*")}


def test_a_function_runs_from_its_package_in_s3(server: Server, s3: Any) -> None:
    zipped = package(CODE.format(answer="from S3"))
    answer = create(server, "f", put(s3, "some/where/f.zip", zipped))
    assert answer["CodeSha256"] == base64.b64encode(hashlib.sha256(zipped).digest()).decode()
    assert answer["CodeSize"] == len(zipped)
    assert server.invoke("f").payload == "from S3"
    assert received(server) == []


def test_code_is_updated_to_a_version_of_an_object(server: Server, s3: Any) -> None:
    create(server, "updated", {"ZipFile": package(CODE.format(answer="first"))})
    version = s3.put_object(Bucket="code", Key="u.zip", Body=package(CODE.format(answer="second")))["VersionId"]
    s3.put_object(Bucket="code", Key="u.zip", Body=package(CODE.format(answer="third")))
    code = {"S3Bucket": "code", "S3Key": "u.zip", "S3ObjectVersion": version}
    lambdas = server.functions
    said = lambdas.update_function_code(FunctionName="updated", DryRun=True, **code)["CodeSha256"]
    assert server.invoke("updated").payload == "first"
    assert lambdas.update_function_code(FunctionName="updated", **code)["CodeSha256"] == said
    lambdas.get_waiter("function_updated_v2").wait(
        FunctionName="updated", WaiterConfig={"Delay": 0, "MaxAttempts": 10_000}
    )
    assert server.invoke("updated").payload == "second"


def test_a_layer_comes_from_s3(server: Server, s3: Any) -> None:
    content = put(s3, "layer.zip", package({"python/shared.py": "WORD = 'layered'"}))
    layer = server.functions.publish_layer_version(LayerName="shared", Content=content)
    code = "import shared\ndef handler(event, context): return shared.WORD"
    create(server, "layered", {"ZipFile": package(code)}, Layers=[layer["LayerVersionArn"]])
    assert server.invoke("layered").payload == "layered"


def test_a_zip_from_s3_may_be_larger_than_one_that_is_sent(server: Server, s3: Any) -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr("app.py", "import os\ndef handler(event, context): return os.path.getsize('/var/task/large')")
        zipped.writestr("large", os.urandom(52_500_000))
    create(server, "large", put(s3, "large.zip", out.getvalue()), MemorySize=512)
    assert server.invoke("large").payload == 52_500_000
    assert refused(server.functions.update_function_code, FunctionName="large", ZipFile=out.getvalue()) == (
        "RequestEntityTooLargeException",
        "Zipped size must be smaller than 52428800 bytes",
    )


def test_what_cannot_be_unzipped_or_found_leaves_nothing(server: Server, s3: Any) -> None:
    lambdas, before = server.functions, blobs(server)
    broken = put(s3, "broken.zip", b"no zip at all" * 100)
    assert refused(lambdas.create_function, FunctionName="none", Code=broken, **CONFIGURATION) == (
        "InvalidParameterValueException",
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    )
    missing = {"S3Bucket": "code", "S3Key": "missing"}
    for call, request in (
        (lambdas.create_function, {"FunctionName": "none", "Code": missing, **CONFIGURATION}),
        (lambdas.publish_layer_version, {"LayerName": "none", "Content": missing}),
    ):
        assert refused(call, **request) == ("InvalidParameterValueException", NO_KEY)
    assert refused(lambdas.get_function, FunctionName="none")[0] == "ResourceNotFoundException"
    assert (received(server), blobs(server)) == ([], before)


def test_who_may_not_read_the_object_cannot_deploy_it(server: Server, s3: Any, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    allowed = {"Effect": "Allow", "Action": ["lambda:*", "iam:PassRole"], "Resource": "*"}
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    command = ["keys", "create", "--policy", str(policy), "--output", "json", "--data-dir", str(server.data)]
    made = json.loads(subprocess.check_output([sys.executable, "-m", "pasture", *command]))
    keys = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    deployer = server.client("lambda", **keys)
    code = put(s3, "secret.zip", package(CODE.format(answer="secret")))
    who = server.client("sts", **keys).get_caller_identity()["Arn"]
    assert refused(deployer.create_function, FunctionName="stolen", Code=code, **CONFIGURATION) == (
        "AccessDeniedException",
        (
            "Your access has been denied by S3, please make sure your request credentials have permission to GetObject "
            f"for code/secret.zip. S3 Error Code: AccessDenied. S3 Error Message: User: {who} is not authorized to "
            'perform: s3:GetObject on resource: "arn:aws:s3:::code/secret.zip" because no identity-based policy allows '
            "the s3:GetObject action"
        ),
    )


def test_a_server_without_s3_says_what_to_set(tmp_path: Path) -> None:
    server = started(tmp_path)
    try:
        code = {"S3Bucket": "code", "S3Key": "k"}
        assert refused(server.functions.create_function, FunctionName="f", Code=code, **CONFIGURATION) == (
            "InvalidParameterValueException",
            NOT_CONFIGURED,
        )
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_while_code_comes_leaves_nothing_of_it(tmp_path: Path, end: signal.Signals) -> None:
    slow = Scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + b"x" * 1000, closes=False)
    server = started(tmp_path, "--s3-endpoint", slow.url)
    lambdas = server.functions
    failures: list[str] = []

    def ask() -> None:
        try:
            lambdas.create_function(FunctionName="f", Code={"S3Bucket": "code", "S3Key": "k"}, **CONFIGURATION)
        except (ClientError, ConnectionClosedError, EndpointConnectionError) as error:
            failures.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    assert slow.asked.wait(30)
    server.stop(end)
    asking.join()
    slow.close()
    assert len(failures) == 1
    server.start()
    assert received(server) == []
    assert server.functions.list_functions()["Functions"] == []
    assert server.stop() == 0
