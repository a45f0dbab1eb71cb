"""Every operation on functions through boto3: typical, minimal, wrong; the answers whole."""

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import Shape

from pasture.runtimes.registry import machine_architecture
from system.node import ROLE, RUNTIME, Server, package, until

CODE = "def handler(event, context):\n    return event\n"
OTHER = "def handler(event, context):\n    return 'other'\n"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
NOBODY = (404, "ResourceNotFoundException", f"Function not found: {ARN}nobody")
ON_LATEST_ONLY = (
    400,
    "InvalidParameterValueException",
    (
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN."
    ),
)


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def unchecked(server: Server) -> Any:
    """A client that leaves every check to the server."""
    config = Config(
        parameter_validation=False, retries={"total_max_attempts": 1}, read_timeout=20, inject_host_prefix=False
    )
    connect: Any = boto3.client
    return connect("lambda", endpoint_url=server.url, region_name="us-east-1", config=config, **server.key())


def steady(answer: Any) -> dict[str, Any]:
    """An answer without what is different every time, once that has the right form."""
    told = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    for name, form in (
        ("RevisionId", UUID),
        ("LastModified", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"),
        ("CodeSha256", r"[\w+/]{43}="),
    ):
        assert re.fullmatch(form, told.pop(name))
    told.pop("CodeSize")
    if version := told.pop("RuntimeVersionConfig", None):
        assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", version["RuntimeVersionArn"])
    return told


def minimal(name: str) -> dict[str, Any]:
    """What AWS shows of a function made with nothing but what is required."""
    return {
        "FunctionName": name, "FunctionArn": ARN + name, "Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler",
        "Description": "", "Timeout": 3, "MemorySize": 128, "Version": "$LATEST", "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": "Zip", "Architectures": [machine_architecture()], "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }  # fmt: skip


PENDING = {"State": "Pending", "StateReason": "The function is being created.", "StateReasonCode": "Creating"}
ACTIVE = {"State": "Active", "LastUpdateStatus": "Successful"}
UPDATING = {
    "State": "Active", "LastUpdateStatus": "InProgress", "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}  # fmt: skip


def make(server: Server, name: str, **more: Any) -> Any:
    code: Any = {"ZipFile": package(CODE)}
    return server.functions.create_function(
        FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code=code, **more
    )


def active(server: Server, name: str) -> str:
    server.functions.get_waiter("function_active_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    return name


def updated(server: Server, name: str) -> None:
    server.functions.get_waiter("function_updated_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )


# Creating and getting...


def test_a_minimal_function_is_created_and_becomes_active(server: Server) -> None:
    answer = make(server, "m-minimal")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert steady(answer) == {**minimal("m-minimal"), **PENDING}
    server.functions.get_waiter("function_exists").wait(FunctionName="m-minimal")
    server.functions.get_waiter("function_active").wait(
        FunctionName="m-minimal", WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    active(server, "m-minimal")
    now = server.functions.get_function_configuration(FunctionName="m-minimal")
    assert steady(now) == {**minimal("m-minimal"), **ACTIVE}
    assert now["RevisionId"] != answer["RevisionId"]


FULL: dict[str, Any] = {
    "Description": "does everything", "Timeout": 30, "MemorySize": 512, "Environment": {"Variables": {"ONE": "1", "TWO": "grün"}},
    "TracingConfig": {"Mode": "Active"}, "EphemeralStorage": {"Size": 1024}, "Tags": {"team": "cows"},
    "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "WARN", "LogGroup": "/mine/full"},
    "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"},
}  # fmt: skip


def test_a_function_with_everything_shows_everything(server: Server) -> None:
    make(server, "m-full", **FULL)
    active(server, "m-full")
    answer = server.functions.get_function(FunctionName="m-full")
    shown = {name: value for name, value in FULL.items() if name != "Tags"}
    assert steady(answer["Configuration"]) == {**minimal("m-full"), **ACTIVE, **shown}
    assert answer["Tags"] == {"team": "cows"}
    assert answer["Code"]["RepositoryType"] == "S3"


def test_a_name_may_be_given_in_every_form(server: Server) -> None:
    make(server, "m-names")
    active(server, "m-names")
    for name in ("m-names", "000000000000:function:m-names", f"{ARN}m-names", "function:m-names"):
        assert server.functions.get_function_configuration(FunctionName=name)["FunctionArn"] == f"{ARN}m-names"
    for named in ({"FunctionName": "m-names:$LATEST"}, {"FunctionName": "m-names", "Qualifier": "$LATEST"}):
        assert server.functions.get_function_configuration(**named)["FunctionArn"] == f"{ARN}m-names:$LATEST"
    assert refused(server.functions.get_function, FunctionName="m-names", Qualifier="7")[:2] == (
        404,
        "ResourceNotFoundException",
    )


def test_a_name_is_taken_once(server: Server) -> None:
    make(server, "m-twice")
    assert refused(make, server=server, name="m-twice") == (
        409, "ResourceConflictException", "Function already exist: m-twice",
    )  # fmt: skip


def test_an_unknown_function_is_not_found_by_any_operation(server: Server) -> None:
    client = server.functions
    for call, more in (
        (client.get_function, {}), (client.get_function_configuration, {}), (client.delete_function, {}),
        (client.update_function_code, {"ZipFile": package(CODE)}), (client.update_function_configuration, {"Timeout": 5}),
    ):  # fmt: skip
        assert refused(call, FunctionName="nobody", **more) == NOBODY


# The package...


def test_the_link_gives_the_very_package_and_no_other(server: Server) -> None:
    sent = package({"app.py": CODE, "data/ü.txt": "hello"})
    server.functions.create_function(
        FunctionName="m-link", Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code={"ZipFile": sent}
    )
    location = server.functions.get_function(FunctionName="m-link")["Code"]["Location"]
    with urllib.request.urlopen(location) as answer:
        assert answer.read() == sent
    sha = location.partition("downloads/")[2][:64]
    for tampered in (
        location[:-1] + ("0" if location[-1] != "0" else "1"),
        location.replace(sha, "0" * 64),
        location.replace("X-Amz-Expires=600", "X-Amz-Expires=999999"),
        re.sub(r"X-Amz-Date=\d{4}", "X-Amz-Date=2099", location),
        location.partition("?")[0],
    ):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(tampered)
        assert refusal.value.code == 403


# Updating...


def test_new_code_is_shown_at_once_and_settles(server: Server) -> None:
    make(server, "m-code")
    active(server, "m-code")
    before = server.functions.get_function_configuration(FunctionName="m-code")
    answer = server.functions.update_function_code(FunctionName="m-code", ZipFile=package(OTHER))
    assert steady(answer) == {**minimal("m-code"), **UPDATING}
    assert answer["CodeSha256"] != before["CodeSha256"]
    server.functions.get_waiter("function_updated").wait(
        FunctionName="m-code", WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    updated(server, "m-code")
    assert server.invoke("m-code").payload == "other"


def test_a_dry_run_of_new_code_changes_nothing(server: Server) -> None:
    make(server, "m-dry")
    active(server, "m-dry")
    before = server.functions.get_function_configuration(FunctionName="m-dry")
    answer = server.functions.update_function_code(FunctionName="m-dry", ZipFile=package(OTHER), DryRun=True)
    assert answer["CodeSha256"] != before["CodeSha256"]
    after = server.functions.get_function_configuration(FunctionName="m-dry")
    assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}


def test_an_update_of_another_revision_is_refused(server: Server) -> None:
    make(server, "m-revision")
    active(server, "m-revision")
    client = server.functions
    words = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
    wrong = {"FunctionName": "m-revision", "RevisionId": "00000000-0000-0000-0000-000000000000"}
    assert refused(client.update_function_code, ZipFile=package(OTHER), **wrong) == (
        412,
        "PreconditionFailedException",
        words,
    )
    assert refused(client.update_function_configuration, Timeout=9, **wrong) == (
        412,
        "PreconditionFailedException",
        words,
    )
    right = client.get_function_configuration(FunctionName="m-revision")["RevisionId"]
    assert client.update_function_configuration(FunctionName="m-revision", Timeout=9, RevisionId=right)["Timeout"] == 9


def test_a_configuration_changes_in_what_is_named_and_in_nothing_else(server: Server) -> None:
    make(server, "m-configuration", **FULL)
    active(server, "m-configuration")
    changes: dict[str, Any] = {
        "Timeout": 7,
        "MemorySize": 256,
        "Description": "",
        "Environment": {"Variables": {"THREE": "3"}},
    }
    answer = server.functions.update_function_configuration(FunctionName="m-configuration", **changes)
    shown = {name: value for name, value in FULL.items() if name != "Tags"}
    assert steady(answer) == {**minimal("m-configuration"), **UPDATING, **shown, **changes}
    updated(server, "m-configuration")
    assert steady(server.functions.get_function_configuration(FunctionName="m-configuration")) == {
        **minimal("m-configuration"), **ACTIVE, **shown, **changes,
    }  # fmt: skip


def test_a_version_cannot_be_updated(server: Server) -> None:
    make(server, "m-latest-only")
    client = server.functions
    assert refused(client.update_function_configuration, FunctionName="m-latest-only:1", Timeout=4) == ON_LATEST_ONLY
    assert refused(client.update_function_code, FunctionName="m-latest-only:1", ZipFile=package(CODE)) == ON_LATEST_ONLY


# Deleting...


def test_a_deleted_function_is_gone_and_its_name_is_free(server: Server) -> None:
    make(server, "m-deleted")
    answer = server.functions.delete_function(FunctionName="m-deleted")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] in {200, 204}
    assert refused(server.functions.get_function, FunctionName="m-deleted")[0] == 404
    assert refused(server.functions.invoke, FunctionName="m-deleted")[0] == 404
    make(server, "m-deleted")
    active(server, "m-deleted")
    assert server.invoke("m-deleted", 1).payload == 1


def test_the_latest_version_cannot_be_deleted_alone(server: Server) -> None:
    make(server, "m-keep")
    assert refused(server.functions.delete_function, FunctionName="m-keep", Qualifier="$LATEST") == (
        400, "InvalidParameterValueException", "$LATEST version cannot be deleted without deleting the function.",
    )  # fmt: skip


# Lists and the account...


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("crowded") / "data").start()
    client: Any = running.functions
    code = {"ZipFile": package(CODE)}
    for number in range(121):
        client.create_function(FunctionName=f"f{number}", Runtime=RUNTIME, Role=ROLE, Handler="app.handler", Code=code)
    yield running
    assert running.stop() == 0


def test_a_list_comes_in_pages_that_hold_everyone_once(crowded: Server) -> None:
    client: Any = crowded.functions
    wanted = sorted(f"f{number}" for number in range(121))
    first = client.list_functions()
    assert len(first["Functions"]) == 50
    assert len(client.list_functions(MaxItems=10_000)["Functions"]) == 50
    for size in (7, 50):
        names, marker = [], ""
        while True:
            page = client.list_functions(MaxItems=size, **({"Marker": marker} if marker else {}))
            assert len(page["Functions"]) <= size
            names += [function["FunctionName"] for function in page["Functions"]]
            marker = page.get("NextMarker", "")
            if not marker:
                break
        assert (sorted(names), len(names)) == (wanted, len(set(names)))
    paged = client.get_paginator("list_functions").paginate().build_full_result()["Functions"]
    assert sorted(function["FunctionName"] for function in paged) == wanted


def test_a_list_shows_configurations_without_their_states(crowded: Server) -> None:
    until(lambda: crowded.functions.get_function_configuration(FunctionName="f0")["State"] == "Active")
    listed = crowded.functions.list_functions(MaxItems=1)["Functions"][0]
    assert steady(listed) == minimal("f0")


def test_a_list_of_all_versions_has_qualified_arns(crowded: Server) -> None:
    listed = crowded.functions.list_functions(MaxItems=1, FunctionVersion="ALL")["Functions"][0]
    assert listed["FunctionArn"] == f"{ARN}f0:$LATEST"


def test_a_marker_that_is_none_is_refused(crowded: Server) -> None:
    assert refused(crowded.functions.list_functions, Marker="nonsense!")[:2] == (400, "InvalidParameterValueException")


def test_a_page_size_out_of_range_is_refused(crowded: Server) -> None:
    client = unchecked(crowded)
    for size in (0, 10_001):
        assert refused(client.list_functions, MaxItems=size)[:2] == (400, "ValidationException")


def test_the_account_counts_its_functions_and_their_code(crowded: Server) -> None:
    answer: Any = crowded.functions.get_account_settings()
    size = crowded.functions.get_function_configuration(FunctionName="f0")["CodeSize"]
    del answer["ResponseMetadata"]
    assert answer == {
        "AccountLimit": {
            "TotalCodeSize": 322122547200, "CodeSizeUnzipped": 262144000, "CodeSizeZipped": 52428800,
            "ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000,
        },
        "AccountUsage": {"TotalCodeSize": 121 * size, "FunctionCount": 121},
    }  # fmt: skip


# What is not built...


def _example(shape: Shape, depth: int = 0) -> Any:
    """The least that the model takes for a required member."""
    kind: Any = shape
    if shape.type_name == "structure":
        return {name: _named(name, kind.members[name], depth) for name in kind.required_members} if depth < 6 else {}
    if shape.type_name == "list":
        return [_example(kind.member, depth + 1)] * max(1, shape.metadata.get("min", 0))
    if shape.type_name == "map":
        return {}
    if shape.type_name == "string":
        return kind.enum[0] if kind.enum else _text(shape)
    return {"integer": 1, "long": 1, "double": 1.0, "float": 1.0, "boolean": True, "blob": b"x", "timestamp": 0}[
        shape.type_name
    ]


def _named(name: str, shape: Shape, depth: int) -> Any:
    return "nobody" if name in {"FunctionName", "LayerName"} else _example(shape, depth + 1)


_TEXTS = (
    "f", "1", "a" * 36, "00000000-0000-0000-0000-000000000000", "arn:aws:lambda:us-east-1:000000000000:function:nobody",
    "arn:aws:lambda:us-east-1:000000000000:layer:nobody:1", "arn:aws:lambda:us-east-1:000000000000:layer:nobody", ROLE,
    "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000", "lambda:GetLayerVersion", "lambda:InvokeFunction",
    "arn:aws:lambda:us-east-1:000000000000:capacity-provider:nobody", "s3.amazonaws.com", "{}", "2020-01-01T00:00:00Z", "LATEST",
)  # fmt: skip


def _text(shape: Shape) -> str:
    pattern, least = (
        shape.metadata.get("pattern", ".*").replace(r"\p{L}", r"\w").replace(r"\p{Z}", " ").replace(r"\p{N}", ""),
        shape.metadata.get("min", 0),
    )
    fits = (text for text in _TEXTS if re.fullmatch(pattern, text) and len(text) >= least)
    return next(fits, "x" * max(1, least))


BUILT = {
    "CreateFunction", "GetFunction", "GetFunctionConfiguration", "UpdateFunctionCode", "UpdateFunctionConfiguration",
    "DeleteFunction", "ListFunctions", "GetAccountSettings", "Invoke",
}  # fmt: skip


def test_an_operation_that_is_not_built_says_so_by_its_name(server: Server) -> None:
    client = unchecked(server)
    model = client.meta.service_model
    wrong = {}
    for name in model.operation_names:
        if name in BUILT:
            continue
        shape = model.operation_model(name).input_shape
        try:
            getattr(client, xform_name(name))(**(_example(shape) if shape else {}))
        except ClientError as error:
            status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
            if status == 501:
                if code == "NotImplementedException" and name in error.response["Error"]["Message"]:
                    continue
            elif status < 500:
                continue  # it has been built since
            wrong[name] = (status, code, error.response["Error"]["Message"])
    assert wrong == {}
