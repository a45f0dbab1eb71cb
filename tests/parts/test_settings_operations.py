"""Concurrency, asynchronous outcomes, recursion, runtime updates: what a client sends, and the whole of what it gets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, Management, management, zip_of
from pasture.domain.errors import AccessDenied, InvalidParameterValue
from pasture.domain.scope import Scope
from pasture.store.kinds.memory import MemoryDocuments
from pasture.store.kinds.sqlite import SqliteDocuments

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
NO_FUNCTION = ("ResourceNotFoundException", "The function doesn't exist.")
NONE_SET = (
    "InvalidParameterValueException",
    "You must specify at least one of error handling or destination setting.",
)
FUNCTIONS_ONLY = (
    "InvalidParameterValueException",
    (
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN."
    ),
)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        await running.created(Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        yield running


# Reserved concurrency...


async def reserve(node: Management, executions: int, name: str = "f") -> dict[str, Any]:
    return await node.call("PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=executions)


async def unreserved(node: Management) -> int:
    left: int = (await node.call("GetAccountSettings"))["AccountLimit"]["UnreservedConcurrentExecutions"]
    return left


async def test_what_is_reserved_is_shown_and_taken_from_the_others(node: Management) -> None:
    reserved = {"ReservedConcurrentExecutions": 900}
    assert await reserve(node, 900) == reserved
    assert await node.call("GetFunctionConcurrency", FunctionName="f") == reserved
    assert (await node.call("GetFunction", FunctionName="f"))["Concurrency"] == reserved
    assert await unreserved(node) == 100


async def test_what_is_given_back_is_the_others_again(node: Management) -> None:
    await reserve(node, 900)
    assert await node.call("DeleteFunctionConcurrency", FunctionName="f") == {}
    assert await node.call("GetFunctionConcurrency", FunctionName="f") == {}
    assert "Concurrency" not in await node.call("GetFunction", FunctionName="f")
    assert await unreserved(node) == 1_000


async def test_a_hundred_are_always_left_to_the_others(node: Management) -> None:
    await node.created("g")
    await reserve(node, 500)
    request = {"FunctionName": "g", "ReservedConcurrentExecutions": 401}
    assert await node.refusal("PutFunctionConcurrency", **request) == (
        "InvalidParameterValueException",
        (
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [100]."
        ),
    )
    await reserve(node, 400, "g")
    await reserve(node, 499)
    await reserve(node, 0, "g")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_two_at_once_do_not_both_get_what_is_there_once(tmp_path: Path, kind: str) -> None:
    documents = await SqliteDocuments.open(tmp_path / "d.db") if kind == "sqlite" else MemoryDocuments()
    async with management(tmp_path, documents) as node:
        names = ("f", "g", "h")
        for name in names:
            await node.created(name)
        results = await asyncio.gather(*(reserve(node, 450, name) for name in names), return_exceptions=True)
        assert [isinstance(result, InvalidParameterValue) for result in results].count(True) == 1
        assert await unreserved(node) == 100
    await documents.close()


async def test_only_a_whole_function_that_is_there_has_a_reservation(node: Management) -> None:
    request = {"ReservedConcurrentExecutions": 1}
    for qualified in ("f:1", "f:live"):
        assert await node.refusal("PutFunctionConcurrency", FunctionName=qualified, **request) == FUNCTIONS_ONLY
    missing = ("ResourceNotFoundException", f"Function not found: {ARN[:-1]}g")
    assert await node.refusal("PutFunctionConcurrency", FunctionName="g", **request) == missing
    assert await node.refusal("GetFunctionConcurrency", FunctionName="g") == missing
    assert await node.refusal("DeleteFunctionConcurrency", FunctionName="g") == missing


# Asynchronous outcomes...


async def put(node: Management, operation: str = "Put", **more: Any) -> dict[str, Any]:
    return await node.call(f"{operation}FunctionEventInvokeConfig", **{"FunctionName": "f", **more})


async def test_a_configuration_is_answered_whole(node: Management) -> None:
    answer = await put(node, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": QUEUE}})
    assert answer == {
        "LastModified": node.clock.now(),
        "FunctionArn": f"{ARN}:$LATEST",
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}},
    }
    assert await put(node, "Get") == answer
    assert await put(node, "Get", Qualifier="$LATEST") == answer


async def test_put_forgets_what_it_does_not_name_and_update_keeps_it(node: Management) -> None:
    await put(node, MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": QUEUE}})
    updated = await put(node, "Update", MaximumEventAgeInSeconds=60)
    assert updated == {
        "LastModified": node.clock.now(),
        "FunctionArn": f"{ARN}:$LATEST",
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 60,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}},
    }
    assert await put(node, MaximumEventAgeInSeconds=70) == {
        "LastModified": node.clock.now(),
        "FunctionArn": f"{ARN}:$LATEST",
        "MaximumEventAgeInSeconds": 70,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}},
    }


async def test_an_empty_destination_is_taken_away(node: Management) -> None:
    await put(node, DestinationConfig={"OnSuccess": {"Destination": QUEUE}, "OnFailure": {"Destination": QUEUE}})
    updated = await put(node, "Update", DestinationConfig={"OnSuccess": {"Destination": ""}})
    assert updated["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}}


async def test_versions_and_aliases_have_their_own_and_all_are_listed(node: Management) -> None:
    for qualifier in ("live", "1", "$LATEST"):
        await put(node, Qualifier=qualifier, MaximumRetryAttempts=1)
    page = await node.call("ListFunctionEventInvokeConfigs", FunctionName="f", MaxItems=2)
    rest = await node.call("ListFunctionEventInvokeConfigs", FunctionName="f", Marker=page["NextMarker"])
    listed = page["FunctionEventInvokeConfigs"] + rest["FunctionEventInvokeConfigs"]
    assert [config["FunctionArn"] for config in listed] == [f"{ARN}:$LATEST", f"{ARN}:1", f"{ARN}:live"]
    assert "NextMarker" not in rest


async def test_what_is_deleted_is_gone(node: Management) -> None:
    await put(node, Qualifier="live", MaximumRetryAttempts=1)
    assert await put(node, "Delete", Qualifier="live") == {}
    gone = ("ResourceNotFoundException", f"The function {ARN}:live doesn't have an EventInvokeConfig")
    for operation in ("Get", "Delete"):
        request = {"FunctionName": "f", "Qualifier": "live"}
        assert await node.refusal(f"{operation}FunctionEventInvokeConfig", **request) == gone
    update = {"FunctionName": "f:live", "MaximumRetryAttempts": 1}
    assert await node.refusal("UpdateFunctionEventInvokeConfig", **update) == gone


@pytest.mark.parametrize("operation", ["PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig"])
async def test_what_cannot_be_configured_is_told(node: Management, operation: str) -> None:
    assert await node.refusal(operation, FunctionName="f") == NONE_SET
    assert await node.refusal(operation, FunctionName="g", MaximumRetryAttempts=1) == NO_FUNCTION
    assert await node.refusal(operation, FunctionName="f:gone", MaximumRetryAttempts=1) == NO_FUNCTION
    assert await node.refusal(operation, FunctionName="f:7", MaximumRetryAttempts=1) == NO_FUNCTION
    assert await node.refusal("ListFunctionEventInvokeConfigs", FunctionName="g") == NO_FUNCTION


@pytest.mark.parametrize(
    ("success", "failure", "message"),
    [
        (ARN, "", "You can't specify the function as a destination for itself."),
        ("", f"{ARN}x", f"The destination ARN {ARN}x is invalid."),
        (
            "arn:aws:iam:us-east-1:000000000000:function:f",
            "",
            (
                "The provided destination config DestinationConfig(onSuccess=OnSuccess("
                "destination=arn:aws:iam:us-east-1:000000000000:function:f), onFailure=null) is invalid."
            ),
        ),
        (
            "arn:aws:s3:::b",
            QUEUE,
            (
                "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:s3:::b), "
                f"onFailure=OnFailure(destination={QUEUE})) is invalid."
            ),
        ),
    ],
)
async def test_a_destination_that_cannot_be_one_is_refused(
    node: Management, success: str, failure: str, message: str
) -> None:
    config = {"OnSuccess": {"Destination": success}, "OnFailure": {"Destination": failure}}
    request = {"FunctionName": "f", "DestinationConfig": config}
    assert await node.refusal("PutFunctionEventInvokeConfig", **request) == ("InvalidParameterValueException", message)


async def test_an_alias_that_is_made_again_has_no_configuration(node: Management) -> None:
    await put(node, Qualifier="live", MaximumRetryAttempts=1)
    await node.call("DeleteAlias", FunctionName="f", Name="live")
    await node.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    listed = await node.call("ListFunctionEventInvokeConfigs", FunctionName="f")
    assert listed == {"FunctionEventInvokeConfigs": []}


# Recursion and runtime updates...


async def test_recursion_is_ended_unless_it_is_allowed(node: Management) -> None:
    assert await node.call("GetFunctionRecursionConfig", FunctionName="f") == {"RecursiveLoop": "Terminate"}
    allowed = await node.call("PutFunctionRecursionConfig", FunctionName="f", RecursiveLoop="Allow")
    assert allowed == {"RecursiveLoop": "Allow"}
    assert await node.call("GetFunctionRecursionConfig", FunctionName="f") == allowed


async def test_runtime_updates_are_set_for_each_version(node: Management) -> None:
    automatic = {"UpdateRuntimeOn": "Auto", "FunctionArn": ARN}
    assert await node.call("GetRuntimeManagementConfig", FunctionName="f") == automatic
    runtime = f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}"
    manual: dict[str, Any] = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": runtime}
    answer = await node.call("PutRuntimeManagementConfig", FunctionName="f", Qualifier="1", **manual)
    assert answer == {**manual, "FunctionArn": f"{ARN}:1"}
    assert await node.call("GetRuntimeManagementConfig", FunctionName="f:1") == answer
    assert await node.call("GetRuntimeManagementConfig", FunctionName="f") == automatic


async def test_a_runtimes_version_goes_with_manual_updates_only(node: Management) -> None:
    told = (
        "InvalidParameterValueException",
        "RuntimeVersionArn must be given when UpdateRuntimeOn is Manual, and only then.",
    )
    assert await node.refusal("PutRuntimeManagementConfig", FunctionName="f", UpdateRuntimeOn="Manual") == told
    assert await node.refusal("GetRuntimeManagementConfig", FunctionName="f:7") == (
        "ResourceNotFoundException",
        f"Function not found: {ARN}:7",
    )


# Of other accounts...


@pytest.mark.parametrize("operation", ["CreateFunction", "UpdateFunctionConfiguration"])
async def test_nobody_sets_the_role_of_another_accounts_function(node: Management, operation: str) -> None:
    """Who may pass a role is asked in the caller's account, so the answer would mean nothing here."""
    request: dict[str, Any] = {"FunctionName": ARN, "Role": "arn:aws:iam::000000000000:role/admin"}
    with pytest.raises(AccessDenied):
        await node.call(operation, scope=Scope("111122223333"), **request)


async def test_who_is_allowed_configures_another_accounts_function_but_for_its_role(node: Management) -> None:
    answer = await node.call(
        "UpdateFunctionConfiguration", scope=Scope("111122223333"), FunctionName=ARN, Description="theirs"
    )
    assert (answer["FunctionArn"], answer["Description"]) == (ARN, "theirs")
    await node.activation.idle()
    with pytest.raises(AccessDenied, match="Cross-account pass role is not allowed"):
        await node.call(
            "UpdateFunctionConfiguration",
            scope=Scope("111122223333"),
            FunctionName=ARN,
            Role="arn:aws:iam::111122223333:role/mine",
        )


async def test_layers_of_another_accounts_function_are_open_to_it_and_to_who_sets_them(node: Management) -> None:
    other = Scope("111122223333")
    own = await node.layer("own")
    await node.call("PublishLayerVersion", scope=other, LayerName="theirs", Content={"ZipFile": zip_of("x")})
    theirs = "arn:aws:lambda:us-east-1:111122223333:layer:theirs:1"
    update: dict[str, Any] = {"FunctionName": ARN, "scope": other}
    for layer in (own, theirs):
        with pytest.raises(AccessDenied):
            await node.call("UpdateFunctionConfiguration", Layers=[layer], **update)
    permission: dict[str, Any] = {
        "LayerName": "own",
        "VersionNumber": 1,
        "StatementId": "s",
        "Principal": other.account,
    }
    await node.call("AddLayerVersionPermission", Action="lambda:GetLayerVersion", **permission)
    answer = await node.call("UpdateFunctionConfiguration", Layers=[own], **update)
    assert [layer["Arn"] for layer in answer["Layers"]] == [own]
