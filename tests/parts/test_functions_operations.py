"""The function operations: what a client sends, and the whole of what it gets."""

import asyncio
import base64
import hashlib
import io
import uuid
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from pasture.api.account_operations import AccountOperations
from pasture.api.call import Call, Principal
from pasture.api.functions_operations import FunctionsOperations
from pasture.domain.errors import ApiError, InvalidParameterValue, ResourceConflict, ResourceNotFound
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.activation import Activation
from pasture.functions.catalog import Catalog
from pasture.functions.package import Packages
from pasture.functions.s3 import S3
from pasture.functions.s3_options import S3Options
from pasture.functions.sources import Sources
from pasture.http.message import Headers, Request
from pasture.kit.clock import ManualClock
from pasture.runtimes.fake import FakeFamily
from pasture.runtimes.identifiers import runtime_version_arn
from pasture.runtimes.registry import Runtimes
from pasture.store.blobs import Blobs
from pasture.store.kinds.memory import MemoryDocuments

MODEL = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")
ROLE = "arn:aws:iam::000000000000:role/r"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


def zip_of(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("main.py", text)
    return content.getvalue()


ONE, TWO = zip_of("one"), zip_of("the second")


@dataclass
class Node:
    functions: FunctionsOperations
    account: AccountOperations
    catalog: Catalog
    activation: Activation

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """Every answer fits the model."""
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in operation)[1:]
        call = Call("r", operation, Scope(), Principal(), Request("GET", "/", Headers()), "http://here:9")
        holder = self.account if operation == "GetAccountSettings" else self.functions
        answer: dict[str, Any] = await getattr(holder, snake)(call, request)
        if operation != "DeleteFunction":
            shape = MODEL.operation_model(operation).output_shape
            assert shape is not None
            report = ParamValidator().validate(answer, shape)
            assert not report.has_errors(), report.generate_report()
        return answer

    async def create(self, **changes: Any) -> dict[str, Any]:
        request = {
            "FunctionName": "f",
            "Runtime": "python3.12",
            "Handler": "main.h",
            "Role": ROLE,
            "Code": {"ZipFile": ONE},
        }
        return await self.call("CreateFunction", **{**request, **changes})

    async def created(self, **changes: Any) -> dict[str, Any]:
        """As GetFunctionConfiguration shows it, once it is active."""
        answer = await self.create(**changes)
        await self.activation.idle()
        return await self.call("GetFunctionConfiguration", FunctionName=answer["FunctionName"])

    async def refusal(self, operation: str, **request: Any) -> tuple[type[ApiError], str]:
        with pytest.raises(ApiError) as failure:
            await self.call(operation, **request)
        return type(failure.value), failure.value.message


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    limits = Limits()
    packages = Packages(tmp_path / "packages", Blobs(tmp_path / "blobs"), limits)
    await packages.open()
    catalog = Catalog(MemoryDocuments(), packages, limits=limits, clock=ManualClock(), new_id=lambda: str(uuid.uuid4()))
    catalog.open()
    runtimes = Runtimes([FakeFamily()])
    activation = Activation(catalog, packages, runtimes)
    await activation.open()
    functions = FunctionsOperations(
        catalog,
        runtimes,
        lambda base, sha256, name: f"{base}/{sha256[:8]}/{name}",
        Sources(packages, S3(S3Options(), limits.code_unzipped_bytes)),
        limits,
        architecture="x86_64",
    )
    yield Node(functions, AccountOperations(catalog, limits), catalog, activation)
    await activation.close()
    catalog.close()


def digest(zip_bytes: bytes) -> str:
    return base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()


def plain(revision: str) -> dict[str, Any]:
    """A function that was sent with nothing but what it must have, as far as it does not change with its state."""
    return {
        "FunctionName": "f",
        "FunctionArn": ARN,
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "main.h",
        "CodeSize": len(ONE),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "LastModified": "2023-11-14T22:13:20.000+0000",
        "CodeSha256": digest(ONE),
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": revision,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "RuntimeVersionConfig": {"RuntimeVersionArn": runtime_version_arn("us-east-1", "python3.12", "3.12.0")},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
    }


# Creating and getting...


async def test_a_created_function_is_answered_pending(node: Node) -> None:
    answer = await node.create()
    assert answer == {
        **plain(answer["RevisionId"]),
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
    }


async def test_an_active_function_is_shown_with_its_code_and_nothing_that_was_not_set(node: Node) -> None:
    pending = await node.create()
    await node.activation.idle()
    answer = await node.call("GetFunction", FunctionName="f")
    revision = answer["Configuration"]["RevisionId"]
    assert revision != pending["RevisionId"]
    assert answer == {
        "Configuration": {**plain(revision), "State": "Active", "LastUpdateStatus": "Successful"},
        "Code": {
            "RepositoryType": "S3",
            "Location": f"http://here:9/{hashlib.sha256(ONE).hexdigest()[:8]}/f.zip",
        },
    }


async def test_everything_that_was_sent_is_shown(node: Node) -> None:
    sent = {
        "Description": "what it does",
        "Timeout": 30,
        "MemorySize": 512,
        "Environment": {"Variables": {"A1": "1"}},
        "EphemeralStorage": {"Size": 1024},
        "TracingConfig": {"Mode": "Active"},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"},
        "FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:…", "LocalMountPath": "/mnt/x"}],
    }
    shown = await node.created(
        **sent,
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "WARN", "LogGroup": "/mine"},
        Tags={"team": "a"},
    )
    assert {name: shown[name] for name in sent} == sent
    assert shown["VpcConfig"] == {
        "SubnetIds": ["subnet-1"],
        "SecurityGroupIds": ["sg-1"],
        "VpcId": "",
        "Ipv6AllowedForDualStack": False,
    }
    assert shown["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "WARN",
        "LogGroup": "/mine",
    }
    assert (await node.call("GetFunction", FunctionName="f"))["Tags"] == {"team": "a"}


async def test_snap_start_is_shown_and_does_not_optimise_what_is_not_published(node: Node) -> None:
    chosen = {"ApplyOn": "PublishedVersions"}
    assert (await node.created(SnapStart=chosen))["SnapStart"] == {**chosen, "OptimizationStatus": "Off"}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"EphemeralStorage": {"Size": 513}}, "more than 512 MB of ephemeral storage"),
        ({"FileSystemConfigs": [{"Arn": "arn:x", "LocalMountPath": "/mnt/x"}]}, "a file system"),
    ],
)
async def test_snap_start_is_refused_where_aws_has_none(node: Node, more: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidParameterValue, match=why):
        await node.created(**{"Runtime": "python3.13", "SnapStart": {"ApplyOn": "PublishedVersions"}, **more})


async def test_an_environment_that_was_sent_empty_is_shown_empty(node: Node) -> None:
    assert (await node.created(Environment={"Variables": {}}))["Environment"] == {"Variables": {}}


@pytest.mark.parametrize("name", ["f", ARN, "function:f", "000000000000:function:f"])
async def test_a_function_is_found_by_every_form_of_its_name(node: Node, name: str) -> None:
    await node.created()
    assert (await node.call("GetFunctionConfiguration", FunctionName=name))["FunctionArn"] == ARN


async def test_a_qualifier_that_was_given_is_in_the_arn_that_is_shown(node: Node) -> None:
    await node.created()
    answer = await node.call("GetFunctionConfiguration", FunctionName="f", Qualifier="$LATEST")
    assert answer["FunctionArn"] == f"{ARN}:$LATEST"


@pytest.mark.parametrize("operation", ["GetFunction", "GetFunctionConfiguration", "DeleteFunction"])
async def test_a_version_that_does_not_exist_is_not_found(node: Node, operation: str) -> None:
    await node.created()
    assert await node.refusal(operation, FunctionName="f", Qualifier="1221") == (
        ResourceNotFound,
        f"Function not found: {ARN}:1221",
    )


@pytest.mark.parametrize("operation", ["GetFunction", "GetFunctionConfiguration"])
async def test_an_unknown_function_is_named_with_the_qualifier_it_was_asked_for(node: Node, operation: str) -> None:
    assert await node.refusal(operation, FunctionName="f", Qualifier="$LATEST") == (
        ResourceNotFound,
        f"Function not found: {ARN}:$LATEST",
    )


async def test_a_name_is_taken_once(node: Node) -> None:
    await node.created()
    with pytest.raises(ResourceConflict, match="Function already exist: f"):
        await node.create()


# Updating...


async def test_an_update_of_the_code_is_answered_in_progress_and_ends_successful(node: Node) -> None:
    before = await node.created()
    answer = await node.call("UpdateFunctionCode", FunctionName="f", ZipFile=TWO)
    assert answer == {
        **before,
        "CodeSize": len(TWO),
        "CodeSha256": digest(TWO),
        "RevisionId": answer["RevisionId"],
        "LastUpdateStatus": "InProgress",
        "LastUpdateStatusReason": "The function is being created.",
        "LastUpdateStatusReasonCode": "Creating",
    }
    await node.activation.idle()
    after = await node.call("GetFunctionConfiguration", FunctionName="f")
    assert after == {
        **before,
        "CodeSize": len(TWO),
        "CodeSha256": digest(TWO),
        "RevisionId": after["RevisionId"],
        "LastUpdateStatus": "Successful",
    }
    assert len({before["RevisionId"], answer["RevisionId"], after["RevisionId"]}) == 3


async def test_a_dry_run_answers_what_would_be_and_changes_nothing(node: Node) -> None:
    before = await node.created()
    answer = await node.call("UpdateFunctionCode", FunctionName="f", ZipFile=TWO, DryRun=True)
    assert answer == {**before, "CodeSize": len(TWO), "CodeSha256": digest(TWO)}
    assert await node.call("GetFunctionConfiguration", FunctionName="f") == before


async def test_a_dry_run_refuses_what_the_update_would(node: Node) -> None:
    await node.created()
    assert await node.refusal("UpdateFunctionCode", FunctionName="f", ZipFile=b"no zip", DryRun=True) == (
        InvalidParameterValue,
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    )


async def test_an_update_of_the_configuration_changes_what_it_names_and_nothing_else(node: Node) -> None:
    before = await node.created(Environment={"Variables": {"A1": "1"}}, MemorySize=256)
    await node.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=9, Environment={"Variables": {"B1": "2"}})
    await node.activation.idle()
    after = await node.call("GetFunctionConfiguration", FunctionName="f")
    assert after == {
        **before,
        "Timeout": 9,
        "Environment": {"Variables": {"B1": "2"}},
        "RevisionId": after["RevisionId"],
    }


async def test_an_empty_target_takes_the_dead_letter_queue_away(node: Node) -> None:
    await node.created(DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"})
    answer = await node.call("UpdateFunctionConfiguration", FunctionName="f", DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in answer


async def test_log_levels_go_with_json(node: Node) -> None:
    await node.created(LoggingConfig={"LogFormat": "JSON"})
    answer = await node.call("UpdateFunctionConfiguration", FunctionName="f", LoggingConfig={"LogFormat": "Text"})
    assert answer["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}


async def test_a_configuration_that_is_illegal_changes_nothing(node: Node) -> None:
    before = await node.created()
    await node.refusal("UpdateFunctionConfiguration", FunctionName="f", Timeout=901)
    assert await node.call("GetFunctionConfiguration", FunctionName="f") == before


@pytest.mark.parametrize(
    ("operation", "request_"),
    [("UpdateFunctionCode", {"ZipFile": TWO}), ("UpdateFunctionConfiguration", {"Timeout": 9})],
)
async def test_versions_and_aliases_cannot_be_updated(node: Node, operation: str, request_: dict[str, Any]) -> None:
    await node.created()
    assert await node.refusal(operation, FunctionName="f:live", **request_) == (
        InvalidParameterValue,
        (
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        ),
    )


# Deleting, listing, counting...


async def test_a_deleted_function_is_gone_and_its_name_is_free(node: Node) -> None:
    await node.created()
    assert await node.call("DeleteFunction", FunctionName="f") == {"StatusCode": 204}
    assert await node.refusal("GetFunction", FunctionName="f") == (ResourceNotFound, f"Function not found: {ARN}")
    assert (await node.create())["State"] == "Pending"


async def test_latest_cannot_be_deleted_alone(node: Node) -> None:
    await node.created()
    assert await node.refusal("DeleteFunction", FunctionName="f", Qualifier="$LATEST") == (
        InvalidParameterValue,
        "$LATEST version cannot be deleted without deleting the function.",
    )


async def test_a_list_shows_functions_without_their_state(node: Node) -> None:
    shown = await node.created()
    hidden = {"State", "LastUpdateStatus", "RuntimeVersionConfig"}
    assert await node.call("ListFunctions") == {
        "Functions": [{name: value for name, value in shown.items() if name not in hidden}]
    }


async def test_a_list_of_all_versions_shows_qualified_arns(node: Node) -> None:
    await node.created()
    answer = await node.call("ListFunctions", FunctionVersion="ALL")
    assert [function["FunctionArn"] for function in answer["Functions"]] == [f"{ARN}:$LATEST"]


async def test_a_page_has_at_most_fifty_functions_and_the_marker_leads_on(node: Node) -> None:
    names = [f"f{n:02}" for n in range(52)]
    await asyncio.gather(*(node.create(FunctionName=name) for name in names))
    first = await node.call("ListFunctions", MaxItems=1000)
    second = await node.call("ListFunctions", Marker=first["NextMarker"])
    assert [function["FunctionName"] for function in first["Functions"]] == names[:50]
    assert [function["FunctionName"] for function in second["Functions"]] == names[50:]
    assert "NextMarker" not in second


async def test_a_marker_that_is_not_ours_is_refused(node: Node) -> None:
    assert await node.refusal("ListFunctions", Marker="…") == (
        InvalidParameterValue,
        "The provided Marker is invalid. Use the NextMarker of the page before.",
    )


async def test_the_account_shows_its_limits_and_what_it_uses(node: Node) -> None:
    await node.created()
    assert await node.call("GetAccountSettings") == {
        "AccountLimit": {
            "TotalCodeSize": 322122547200,
            "CodeSizeUnzipped": 262144000,
            "CodeSizeZipped": 52428800,
            "ConcurrentExecutions": 1000,
            "UnreservedConcurrentExecutions": 1000,
        },
        "AccountUsage": {"TotalCodeSize": len(ONE), "FunctionCount": 1},
    }
