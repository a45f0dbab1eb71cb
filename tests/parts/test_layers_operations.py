"""Layers: what a client sends, and the whole of what it gets."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import WHEN, Management, management, zip_of
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope

LAYER = "arn:aws:lambda:us-east-1:000000000000:layer:l"
OTHER = Scope("111111111111")
NO_RESOURCE = ("ResourceNotFoundException", "The resource you requested does not exist.")
REVISION = (
    "PreconditionFailedException",
    (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetLayerPolicy API to retrieve the latest Revision Id"
    ),
)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        yield running


# Publishing and reading...


async def test_a_layer_version_is_answered_whole_and_read_back_in_every_way(node: Management) -> None:
    package = zip_of("one")
    answer = await node.call(
        "PublishLayerVersion",
        LayerName="l",
        Content={"ZipFile": package},
        Description="what it brings",
        CompatibleRuntimes=["python3.12", "nodejs22.x"],
        CompatibleArchitectures=["x86_64"],
        LicenseInfo="MIT",
    )
    digest = hashlib.sha256(package)
    assert answer == {
        "Content": {
            "Location": f"http://here:9/{digest.hexdigest()[:8]}/l-1.zip",
            "CodeSha256": base64.b64encode(digest.digest()).decode(),
            "CodeSize": len(package),
        },
        "LayerArn": LAYER,
        "LayerVersionArn": f"{LAYER}:1",
        "Description": "what it brings",
        "CreatedDate": WHEN,
        "Version": 1,
        "CompatibleRuntimes": ["python3.12", "nodejs22.x"],
        "CompatibleArchitectures": ["x86_64"],
        "LicenseInfo": "MIT",
    }
    assert await node.call("GetLayerVersion", LayerName="l", VersionNumber=1) == answer
    assert await node.call("GetLayerVersion", LayerName=LAYER, VersionNumber=1) == answer
    assert await node.call("GetLayerVersionByArn", Arn=f"{LAYER}:1") == answer


async def test_what_was_not_sent_is_left_out(node: Management) -> None:
    answer = await node.call("PublishLayerVersion", LayerName="l", Content={"ZipFile": zip_of("one")})
    assert sorted(answer) == ["Content", "CreatedDate", "Description", "LayerArn", "LayerVersionArn", "Version"]


async def test_every_publication_has_the_next_number_whatever_was_deleted(node: Management) -> None:
    arns = [await node.layer()]
    await node.call("DeleteLayerVersion", LayerName="l", VersionNumber=1)
    arns += [await node.layer(), await node.layer(LAYER)]
    assert arns == [f"{LAYER}:1", f"{LAYER}:2", f"{LAYER}:3"]


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (
            {"ZipFile": b"no zip"},
            (
                "InvalidParameterValueException",
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            ),
        ),
        (
            {"S3Bucket": "bucket", "S3Key": "key"},
            (
                "InvalidParameterValueException",
                (
                    "Error occurred while GetObject. This server has no S3: set s3_endpoint "
                    "(`pasture serve --s3-endpoint`) or a neighbour that serves s3, or send the package as ZipFile."
                ),
            ),
        ),
        ({}, ("InvalidParameterValueException", "Please provide a source for layer content.")),
    ],
)
async def test_a_layer_that_cannot_be_is_refused_and_uses_no_number(
    node: Management, content: dict[str, Any], refusal: tuple[str, str]
) -> None:
    assert await node.refusal("PublishLayerVersion", LayerName="l", Content=content) == refusal
    assert await node.layer() == f"{LAYER}:1"


async def test_layers_count_for_the_accounts_storage(tmp_path: Path) -> None:
    size = len(zip_of("one"))
    async with management(tmp_path, limits=Limits(code_storage_bytes=2 * size)) as node:
        await node.layer()
        await node.layer()
        refused = await node.refusal("PublishLayerVersion", LayerName="l", Content={"ZipFile": zip_of("one")})
        usage = await node.call("GetAccountSettings")
        await node.call("DeleteLayerVersion", LayerName="l", VersionNumber=1)
        assert await node.layer() == f"{LAYER}:3"
    assert refused == ("CodeStorageExceededException", "Code storage limit exceeded.")
    assert usage["AccountUsage"] == {"TotalCodeSize": 2 * size, "FunctionCount": 0}


@pytest.mark.parametrize("number", [0, -1])
async def test_numbers_begin_with_one(node: Management, number: int) -> None:
    for operation in ("GetLayerVersion", "DeleteLayerVersion", "GetLayerVersionPolicy"):
        assert await node.refusal(operation, LayerName="l", VersionNumber=number) == (
            "InvalidParameterValueException",
            "Layer Version Cannot be less than 1",
        )


@pytest.mark.parametrize("number", [2, 10**12])
async def test_what_is_not_there_is_not_found_and_deleting_it_does_no_harm(node: Management, number: int) -> None:
    await node.layer()
    assert await node.refusal("GetLayerVersion", LayerName="l", VersionNumber=number) == NO_RESOURCE
    assert await node.refusal("GetLayerVersionByArn", Arn=f"{LAYER}:{number}") == NO_RESOURCE
    assert await node.call("DeleteLayerVersion", LayerName="l", VersionNumber=number) == {}


# Listing...


async def test_versions_are_listed_newest_first_in_pages_and_by_what_they_suit(node: Management) -> None:
    for runtimes in (["python3.12"], ["nodejs22.x"], ["python3.12", "nodejs22.x"], None):
        more: dict[str, Any] = {"CompatibleRuntimes": runtimes} if runtimes else {}
        await node.layer(**more)
    first = await node.call("ListLayerVersions", LayerName="l", MaxItems=3)
    second = await node.call("ListLayerVersions", LayerName="l", MaxItems=3, Marker=first["NextMarker"])
    suiting = await node.call("ListLayerVersions", LayerName="l", CompatibleRuntime="python3.12")
    numbers = [[version["Version"] for version in page["LayerVersions"]] for page in (first, second, suiting)]
    assert (numbers, "NextMarker" in second) == ([[4, 3, 2], [1], [3, 1]], False)
    assert second["LayerVersions"] == [
        {
            "LayerVersionArn": f"{LAYER}:1",
            "Version": 1,
            "Description": "",
            "CreatedDate": WHEN,
            "CompatibleRuntimes": ["python3.12"],
        }
    ]


async def test_an_unknown_layer_has_no_versions(node: Management) -> None:
    assert await node.call("ListLayerVersions", LayerName="l") == {"LayerVersions": []}


async def test_layers_are_listed_by_name_with_their_newest_version_that_suits(node: Management) -> None:
    for name, architecture in (("b", "arm64"), ("b", "x86_64"), ("a", "x86_64"), ("c", "arm64"), ("gone", "arm64")):
        await node.layer(name, CompatibleArchitectures=[architecture])
    await node.call("DeleteLayerVersion", LayerName="gone", VersionNumber=1)
    first = await node.call("ListLayers", MaxItems=2)
    second = await node.call("ListLayers", MaxItems=2, Marker=first["NextMarker"])
    arm = await node.call("ListLayers", CompatibleArchitecture="arm64")
    listed = [
        [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in page["Layers"]]
        for page in (first, second, arm)
    ]
    assert listed == [[("a", 1), ("b", 2)], [("c", 1)], [("b", 1), ("c", 1)]]
    assert (first["Layers"][0]["LayerArn"], "NextMarker" in second) == (LAYER[:-1] + "a", False)


# With functions...


async def test_a_function_shows_its_layers_in_order(node: Management) -> None:
    arns = [await node.layer("b", "first"), await node.layer("a", "the second")]
    answer = await node.created(Layers=arns)
    assert answer["Layers"] == [
        {"Arn": arns[0], "CodeSize": len(zip_of("first"))},
        {"Arn": arns[1], "CodeSize": len(zip_of("the second"))},
    ]


async def test_an_update_replaces_the_layers_or_leaves_them(node: Management) -> None:
    arns = [await node.layer("a"), await node.layer("b")]
    await node.created(Layers=arns)
    seen = []
    updates: list[dict[str, Any]] = [{"Timeout": 9}, {"Layers": arns[1:]}, {"Layers": []}]
    for changes in updates:
        await node.updated(**changes)
        shown = await node.call("GetFunctionConfiguration", FunctionName="f")
        seen.append([layer["Arn"] for layer in shown.get("Layers", ())])
    assert seen == [arns, arns[1:], []]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([f"{LAYER}{n}:1" for n in range(6)], "Cannot reference more than 5 layers."),
        ([f"{LAYER}:9"], f"Layer version {LAYER}:9 does not exist."),
        (
            ["arn:aws:lambda:::awslayer:AmazonLinux1803"],
            "Layer version arn:aws:lambda:::awslayer:AmazonLinux1803 does not exist.",
        ),
        (
            [f"{LAYER}:1", f"{LAYER}:2"],
            (
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{LAYER}:1 and {LAYER}:2 are versions of the same layer."
            ),
        ),
        (
            [f"{LAYER}:1", f"{LAYER}:1"],
            (
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{LAYER}:1 and {LAYER}:1 are versions of the same layer."
            ),
        ),
        (
            ["arn:aws:lambda:eu-west-1:000000000000:layer:l:1"],
            ("Layers are not in the same region as the function. Layers are expected to be in region us-east-1."),
        ),
    ],
)
async def test_layers_that_cannot_be_are_refused(node: Management, layers: list[str], message: str) -> None:
    await node.layer()
    await node.created()
    answer = await node.refusal("UpdateFunctionConfiguration", FunctionName="f", Layers=layers)
    assert answer == ("InvalidParameterValueException", message)


async def test_a_function_and_its_layers_are_measured_together(tmp_path: Path) -> None:
    async with management(tmp_path, limits=Limits(code_unzipped_bytes=100)) as node:
        arn, other = await node.layer("a", "x" * 60), await node.layer("b", "x" * 40)
        await node.created(code="y" * 40, Layers=[arn])
        refused = await node.refusal("UpdateFunctionConfiguration", FunctionName="f", Layers=[arn, other])
        bigger = await node.refusal("UpdateFunctionCode", FunctionName="f", ZipFile=zip_of("y" * 41))
    words = "Function code combined with layers exceeds the maximum allowed size of 100 bytes. The actual size is"
    assert (refused, bigger) == (
        ("InvalidParameterValueException", f"{words} 140 bytes."),
        ("InvalidParameterValueException", f"{words} 101 bytes."),
    )


async def test_a_function_goes_on_with_a_layer_that_is_deleted(node: Management) -> None:
    arn = await node.layer("l", {"a": "1"})
    await node.created(Layers=[arn])
    await node.call("DeleteLayerVersion", LayerName="l", VersionNumber=1)
    await node.updated(Timeout=9)
    shown = await node.call("GetFunctionConfiguration", FunctionName="f")
    assert (shown["State"], [layer["Arn"] for layer in shown["Layers"]]) == ("Active", [arn])
    refused = await node.refusal("UpdateFunctionConfiguration", FunctionName="f", Layers=[arn])
    assert refused == ("InvalidParameterValueException", f"Layer version {arn} does not exist.")


# Policies...


def permission(**changes: Any) -> dict[str, Any]:
    return {
        "LayerName": "l",
        "VersionNumber": 1,
        "StatementId": "s1",
        "Action": "lambda:GetLayerVersion",
        "Principal": "111111111111",
        **changes,
    }


STATEMENT = {
    "Sid": "s1",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
    "Action": "lambda:GetLayerVersion",
    "Resource": f"{LAYER}:1",
}


async def test_a_statement_is_answered_and_stands_in_the_policy(node: Management) -> None:
    await node.layer()
    added = await node.call("AddLayerVersionPermission", **permission())
    policy = await node.call("GetLayerVersionPolicy", LayerName="l", VersionNumber=1)
    assert json.loads(added["Statement"]) == STATEMENT
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [STATEMENT]}
    assert added["RevisionId"] == policy["RevisionId"]


async def test_everyone_of_an_organization_is_a_condition(node: Management) -> None:
    await node.layer()
    added = await node.call("AddLayerVersionPermission", **permission(Principal="*", OrganizationId="o-0123456789"))
    assert json.loads(added["Statement"]) == {
        **STATEMENT,
        "Principal": "*",
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}},
    }


async def test_statements_are_added_once_and_from_the_latest_revision(node: Management) -> None:
    await node.layer()
    added = await node.call("AddLayerVersionPermission", **permission())
    assert await node.refusal("AddLayerVersionPermission", **permission()) == (
        "ResourceConflictException",
        (
            "The statement id (s1) provided already exists. "
            "Please provide a new statement id, or remove the existing statement."
        ),
    )
    assert await node.refusal("AddLayerVersionPermission", **permission(StatementId="s2", RevisionId="x")) == REVISION
    again = await node.call("AddLayerVersionPermission", **permission(StatementId="s2", RevisionId=added["RevisionId"]))
    assert again["RevisionId"] != added["RevisionId"]


async def test_statements_are_removed(node: Management) -> None:
    await node.layer()
    await node.call("AddLayerVersionPermission", **permission())
    where: dict[str, Any] = {"LayerName": "l", "VersionNumber": 1}
    assert await node.refusal("RemoveLayerVersionPermission", **where, StatementId="s2") == (
        "ResourceNotFoundException",
        "Statement s2 is not found in resource policy.",
    )
    assert await node.refusal("RemoveLayerVersionPermission", **where, StatementId="s1", RevisionId="x") == REVISION
    assert await node.call("RemoveLayerVersionPermission", **where, StatementId="s1") == {}
    assert await node.refusal("GetLayerVersionPolicy", **where) == (
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    )


async def test_a_policy_needs_its_layer_version(node: Management) -> None:
    missing = ("ResourceNotFoundException", f"Layer version {LAYER}:1 does not exist.")
    where: dict[str, Any] = {"LayerName": "l", "VersionNumber": 1}
    assert await node.refusal("AddLayerVersionPermission", **permission()) == missing
    assert await node.refusal("GetLayerVersionPolicy", **where) == missing
    assert await node.refusal("RemoveLayerVersionPermission", **where, StatementId="s1") == missing


@pytest.mark.parametrize(
    ("principal", "is_allowed"),
    [
        ("111111111111", True),
        ("arn:aws:iam::111111111111:root", True),
        ("*", True),
        ("222222222222", False),
        (None, False),
    ],
)
async def test_another_account_reads_and_uses_a_layer_when_its_policy_says_so(
    node: Management, principal: str | None, is_allowed: bool
) -> None:
    await node.layer()
    if principal is not None:
        await node.call("AddLayerVersionPermission", **permission(Principal=principal))
    request = {"Runtime": "python3.12", "Handler": "m.h", "Role": "arn:aws:iam::111111111111:role/r"}
    code = {"ZipFile": zip_of("one")}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("GetLayerVersionByArn", {"Arn": f"{LAYER}:1"}),
        ("GetLayerVersion", {"LayerName": LAYER, "VersionNumber": 1}),
        ("CreateFunction", {"FunctionName": "f", "Code": code, "Layers": [f"{LAYER}:1"], **request}),
    ]
    for operation, arguments in calls:
        if is_allowed:
            await node.call(operation, scope=OTHER, **arguments)
        else:
            assert await node.refusal(operation, scope=OTHER, **arguments) == (
                "AccessDeniedException",
                (
                    "User: arn:aws:iam::111111111111:root is not authorized to perform: lambda:GetLayerVersion on "
                    f"resource: {LAYER}:1 because no resource-based policy allows the lambda:GetLayerVersion action"
                ),
            )


@pytest.mark.parametrize("operation", ["PublishLayerVersion", "DeleteLayerVersion", "ListLayerVersions"])
async def test_another_accounts_layer_is_not_changed_whatever_its_policy_says(node: Management, operation: str) -> None:
    await node.layer()
    await node.call("AddLayerVersionPermission", **permission(Principal="*"))
    more: dict[str, dict[str, Any]] = {
        "PublishLayerVersion": {"Content": {"ZipFile": zip_of("evil")}},
        "DeleteLayerVersion": {"VersionNumber": 1},
    }
    code, message = await node.refusal(operation, scope=OTHER, LayerName=LAYER, **more.get(operation, {}))
    assert (code, f"not authorized to perform: lambda:{operation} on" in message) == ("AccessDeniedException", True)
