"""Configurations of function URLs: what a client sends, and the whole of what it gets."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, Management, management

NO_FUNCTION = ("ResourceNotFoundException", "Function does not exist")
NO_URL = ("ResourceNotFoundException", "The resource you requested does not exist.")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        await running.created(Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        yield running


async def create(node: Management, **more: Any) -> dict[str, Any]:
    return await node.call("CreateFunctionUrlConfig", **{"FunctionName": "f", "AuthType": "NONE", **more})


async def test_a_url_is_answered_whole_and_shown_the_same(node: Management) -> None:
    cors = {"AllowOrigins": ["*"], "MaxAge": 60}
    answer = await create(node, Cors=cors)
    assert re.fullmatch(r"http://here:9/_pasture/url/[a-z2-7]{32}/", answer["FunctionUrl"])
    assert answer == {
        "FunctionUrl": answer["FunctionUrl"],
        "FunctionArn": ARN,
        "AuthType": "NONE",
        "Cors": cors,
        "CreationTime": "2023-11-14T22:13:20.000000Z",
        "InvokeMode": "BUFFERED",
    }
    shown = {**answer, "LastModifiedTime": "2023-11-14T22:13:20.000000Z"}
    assert await node.call("GetFunctionUrlConfig", FunctionName="f") == shown
    assert await node.call("ListFunctionUrlConfigs", FunctionName="f") == {"FunctionUrlConfigs": [shown]}


async def test_a_function_and_each_alias_has_one_url(node: Management) -> None:
    own, alias = await create(node), await create(node, Qualifier="live")
    assert (own["FunctionArn"], alias["FunctionArn"]) == (ARN, f"{ARN}:live")
    assert own["FunctionUrl"] != alias["FunctionUrl"]
    assert await node.refusal("CreateFunctionUrlConfig", FunctionName="f:live", AuthType="NONE") == (
        "ResourceConflictException",
        (
            f"Failed to create function url config for [functionArn = {ARN}:live]. "
            "Error message:  FunctionUrlConfig exists for this Lambda function"
        ),
    )


async def test_urls_are_listed_in_pages(node: Management) -> None:
    await create(node)
    await create(node, Qualifier="live")
    page = await node.call("ListFunctionUrlConfigs", FunctionName="f", MaxItems=1)
    rest = await node.call("ListFunctionUrlConfigs", FunctionName="f", Marker=page["NextMarker"])
    listed = page["FunctionUrlConfigs"] + rest["FunctionUrlConfigs"]
    assert [url["FunctionArn"] for url in listed] == [ARN, f"{ARN}:live"]
    assert "NextMarker" not in rest


async def test_an_update_changes_what_it_names_and_never_the_url(node: Management) -> None:
    created = await create(node, Cors={"MaxAge": 60})
    node.clock.advance(1.5)
    updated = await node.call(
        "UpdateFunctionUrlConfig", FunctionName="f", AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM"
    )
    assert updated == {
        **created,
        "AuthType": "AWS_IAM",
        "InvokeMode": "RESPONSE_STREAM",
        "LastModifiedTime": "2023-11-14T22:13:21.500000Z",
    }


async def test_a_url_that_is_deleted_is_gone(node: Management) -> None:
    await create(node)
    assert await node.call("DeleteFunctionUrlConfig", FunctionName="f") == {}
    for operation in ("Get", "Update", "Delete"):
        assert await node.refusal(f"{operation}FunctionUrlConfig", FunctionName="f") == NO_URL
        assert await node.refusal(f"{operation}FunctionUrlConfig", FunctionName="f:live") == NO_URL
    assert await node.call("ListFunctionUrlConfigs", FunctionName="f") == {"FunctionUrlConfigs": []}


async def test_without_its_function_there_is_no_url(node: Management) -> None:
    assert await node.refusal("CreateFunctionUrlConfig", FunctionName="g", AuthType="NONE") == NO_FUNCTION
    assert await node.refusal("CreateFunctionUrlConfig", FunctionName="f:gone", AuthType="NONE") == NO_FUNCTION
    assert await node.refusal("ListFunctionUrlConfigs", FunctionName="g") == NO_FUNCTION
    assert await node.refusal("GetFunctionUrlConfig", FunctionName="g") == NO_URL


@pytest.mark.parametrize("qualifier", ["1", "$LATEST"])
async def test_versions_have_no_urls(node: Management, qualifier: str) -> None:
    assert await node.refusal("CreateFunctionUrlConfig", FunctionName=f"f:{qualifier}", AuthType="NONE") == (
        "ValidationException",
        (
            f"1 validation error detected: Value '{qualifier}' at 'qualifier' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)"
        ),
    )


async def test_an_alias_takes_its_url_with_it(node: Management) -> None:
    await create(node, Qualifier="live")
    await node.call("DeleteAlias", FunctionName="f", Name="live")
    await node.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    assert await node.refusal("GetFunctionUrlConfig", FunctionName="f:live") == NO_URL
