"""Published versions: what a client sends, and the whole of what it gets."""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, Management, management, zip_of
from pasture.domain.limits import Limits


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        yield running


async def shown(node: Management, **request: Any) -> dict[str, Any]:
    return await node.call("GetFunctionConfiguration", FunctionName="f", **request)


# Publishing...


async def test_a_version_is_answered_pending_and_is_otherwise_what_latest_is(node: Management) -> None:
    await node.created()
    latest = await shown(node)
    answer = await node.call("PublishVersion", FunctionName="f")
    assert answer["RevisionId"] != latest["RevisionId"]
    del latest["LastUpdateStatus"]
    assert answer == {
        **latest,
        "FunctionArn": f"{ARN}:1",
        "Version": "1",
        "RevisionId": answer["RevisionId"],
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
    }


async def test_a_version_becomes_active_and_keeps_its_revision(node: Management) -> None:
    await node.created()
    pending = await node.call("PublishVersion", FunctionName="f")
    await node.activation.idle()
    active = {name: value for name, value in pending.items() if not name.startswith("StateReason")}
    assert await shown(node, Qualifier="1") == {**active, "State": "Active", "LastUpdateStatus": "Successful"}


async def test_publishing_gives_latest_a_new_revision_and_changes_nothing_else_of_it(node: Management) -> None:
    await node.created()
    before = await shown(node)
    await node.published()
    after = await shown(node)
    assert after["RevisionId"] != before["RevisionId"]
    assert after == {**before, "RevisionId": after["RevisionId"]}


async def test_publishing_what_has_not_changed_answers_the_last_version(node: Management) -> None:
    await node.created()
    first = await node.published()
    again = await node.call("PublishVersion", FunctionName="f", Description="other")
    assert (first, again) == ("1", await shown(node, Qualifier="1"))


async def test_what_changes_and_changes_back_is_not_published_again(node: Management) -> None:
    await node.created()
    await node.published()
    await node.updated(Timeout=9)
    await node.updated(Timeout=3)
    assert await node.published() == "1"


@pytest.mark.parametrize(
    "change",
    [
        {"Timeout": 9},
        {"Description": "new"},
        {"Environment": {"Variables": {"A1": "b"}}},
        {"LoggingConfig": {"LogFormat": "JSON"}},
        {"MemorySize": 256},
    ],
)
async def test_every_change_of_the_configuration_makes_a_version(node: Management, change: dict[str, Any]) -> None:
    await node.created()
    await node.published()
    await node.updated(**change)
    assert await node.published() == "2"


async def test_a_description_is_the_versions_own(node: Management) -> None:
    await node.created(Description="the function")
    answer = await node.call("PublishVersion", FunctionName="f", Description="the version")
    assert (answer["Description"], (await shown(node))["Description"]) == ("the version", "the function")


async def test_another_code_sha256_is_refused(node: Management) -> None:
    await node.created()
    current = base64.b64encode(hashlib.sha256(zip_of("one")).digest()).decode()
    assert await node.refusal("PublishVersion", FunctionName="f", CodeSha256="other") == (
        "InvalidParameterValueException",
        (
            f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({current}). "
            "Please try again with the CodeSHA256 in $LATEST."
        ),
    )
    assert await node.published(CodeSha256=current) == "1"


async def test_another_revision_is_refused(node: Management) -> None:
    await node.created()
    assert await node.refusal("PublishVersion", FunctionName="f", RevisionId="other") == (
        "PreconditionFailedException",
        (
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        ),
    )
    assert await node.published(RevisionId=(await shown(node))["RevisionId"]) == "1"


async def test_what_is_being_updated_is_not_published(node: Management) -> None:
    await node.created()
    await node.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=9)
    assert await node.refusal("PublishVersion", FunctionName="f") == (
        "ResourceConflictException",
        f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}",
    )


async def test_a_version_is_not_published_from_a_version(node: Management) -> None:
    await node.created()
    code, message = await node.refusal("PublishVersion", FunctionName="f:1")
    assert (code, message[:58]) == (
        "InvalidParameterValueException",
        "This operation is permitted on Lambda functions only. Alia",
    )


async def test_an_account_has_room_for_so_many_versions(tmp_path: Path) -> None:
    size = len(zip_of("one"))
    async with management(tmp_path, limits=Limits(code_storage_bytes=2 * size)) as node:
        await node.created()
        await node.published()
        await node.updated(Timeout=9)
        refused = await node.refusal("PublishVersion", FunctionName="f")
        usage = (await node.call("GetAccountSettings"))["AccountUsage"]
    assert refused == ("CodeStorageExceededException", "Code storage limit exceeded.")
    assert usage == {"TotalCodeSize": 2 * size, "FunctionCount": 1}


# With a write...


async def test_create_with_publish_answers_version_one(node: Management) -> None:
    answer = await node.created(Publish=True)
    assert (answer["Version"], answer["FunctionArn"], answer["State"]) == ("1", f"{ARN}:1", "Pending")
    states = [(await shown(node, Qualifier=q))["State"] for q in ("$LATEST", "1")]
    assert (states, await node.published()) == (["Active", "Active"], "1")


async def test_update_code_with_publish_answers_the_new_version(node: Management) -> None:
    await node.created()
    answer = await node.call("UpdateFunctionCode", FunctionName="f", ZipFile=zip_of("two"), Publish=True)
    await node.activation.idle()
    latest = await shown(node)
    assert (answer["Version"], answer["CodeSha256"]) == ("1", latest["CodeSha256"])
    assert (await shown(node, Qualifier="1"))["State"] == "Active"


# Reading...


async def test_a_version_keeps_what_it_was_when_latest_changes(node: Management) -> None:
    await node.created()
    await node.published()
    before = await node.call("GetFunction", FunctionName="f", Qualifier="1")
    await node.call("UpdateFunctionCode", FunctionName="f", ZipFile=zip_of("two"))
    await node.activation.idle()
    assert await node.call("GetFunction", FunctionName="f:1") == before
    assert before["Code"]["Location"] == f"http://here:9/{hashlib.sha256(zip_of('one')).hexdigest()[:8]}/f.zip"


@pytest.mark.parametrize("operation", ["GetFunction", "GetFunctionConfiguration", "DeleteFunction"])
@pytest.mark.parametrize("qualifier", ["2", "01", "other"])
async def test_what_is_neither_version_nor_alias_is_not_found(node: Management, operation: str, qualifier: str) -> None:
    await node.created(Publish=True)
    assert await node.refusal(operation, FunctionName="f", Qualifier=qualifier) == (
        "ResourceNotFoundException",
        f"Function not found: {ARN}:{qualifier}",
    )


async def test_versions_are_listed_in_order_with_latest_first(node: Management) -> None:
    await node.created()
    for timeout in range(4, 15):
        await node.updated(Timeout=timeout)
        await node.published()
    pages, marker = [], None
    while True:
        more: dict[str, Any] = {"Marker": marker} if marker else {}
        page = await node.call("ListVersionsByFunction", FunctionName="f", MaxItems=5, **more)
        pages.append([(v["Version"], v["Timeout"], v["FunctionArn"]) for v in page["Versions"]])
        marker = page.get("NextMarker")
        if marker is None:
            break
    assert [len(page) for page in pages] == [5, 5, 2]
    assert [entry for page in pages for entry in page] == [
        ("$LATEST", 14, f"{ARN}:$LATEST"),
        *((str(n), n + 3, f"{ARN}:{n}") for n in range(1, 12)),
    ]


async def test_lists_leave_out_states(node: Management) -> None:
    await node.created(Publish=True)
    answer = await node.call("ListVersionsByFunction", FunctionName="f")
    assert all("State" not in version and "LastUpdateStatus" not in version for version in answer["Versions"])


async def test_every_version_of_every_function_can_be_listed_in_pages(node: Management) -> None:
    for name, versions in (("a", 2), ("b", 0), ("f", 1)):
        await node.created(name)
        for timeout in range(versions):
            await node.updated(name, Timeout=10 + timeout)
            await node.published(name)
    found, marker = [], None
    while True:
        more: dict[str, Any] = {"Marker": marker} if marker else {}
        page = await node.call("ListFunctions", FunctionVersion="ALL", MaxItems=2, **more)
        assert len(page["Functions"]) <= 2
        found += [(f["FunctionName"], f["Version"]) for f in page["Functions"]]
        marker = page.get("NextMarker")
        if marker is None:
            break
    assert found == [("a", "$LATEST"), ("a", "1"), ("a", "2"), ("b", "$LATEST"), ("f", "$LATEST"), ("f", "1")]


@pytest.mark.parametrize("marker", ["?", "Zg==", "Zi94"])
@pytest.mark.parametrize(
    ("operation", "request_"),
    [("ListVersionsByFunction", {"FunctionName": "f"}), ("ListFunctions", {"FunctionVersion": "ALL"})],
)
async def test_a_marker_that_was_not_given_out_is_refused(
    node: Management, operation: str, request_: dict[str, Any], marker: str
) -> None:
    await node.created()
    code, _ = await node.refusal(operation, Marker=marker, **request_)
    assert code == "InvalidParameterValueException"


# Deleting...


async def test_a_version_is_deleted_and_its_number_stays_used(node: Management) -> None:
    await node.created(Publish=True)
    await node.call("DeleteFunction", FunctionName="f", Qualifier="1")
    assert (await node.refusal("GetFunction", FunctionName="f:1"))[0] == "ResourceNotFoundException"
    assert await node.published() == "2"


async def test_latest_is_not_deleted_alone(node: Management) -> None:
    await node.created()
    assert await node.refusal("DeleteFunction", FunctionName="f:$LATEST") == (
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    )


async def test_a_function_that_comes_back_has_no_old_version_and_no_old_number(node: Management) -> None:
    await node.created(Publish=True)
    await node.call("DeleteFunction", FunctionName="f")
    await node.created()
    listed = await node.call("ListVersionsByFunction", FunctionName="f")
    assert ([v["Version"] for v in listed["Versions"]], await node.published()) == (["$LATEST"], "2")
