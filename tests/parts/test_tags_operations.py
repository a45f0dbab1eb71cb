"""Tags of functions: what a client sends, and the whole of what it gets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.management import ARN, Management, management

LIMIT = ("InvalidParameterValueException", "Number of tags exceeds resource tag limit.")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        await running.created(Tags={"a": "1"}, Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        yield running


async def tags(node: Management) -> dict[str, str]:
    found: dict[str, str] = (await node.call("ListTags", Resource=ARN))["Tags"]
    return found


async def test_tags_are_added_and_changed_and_shown_with_the_function(node: Management) -> None:
    assert await node.call("TagResource", Resource=ARN, Tags={"a": "2", "b": ""}) == {}
    assert await tags(node) == {"a": "2", "b": ""}
    assert (await node.call("GetFunction", FunctionName="f"))["Tags"] == {"a": "2", "b": ""}


async def test_tags_are_taken_away_and_those_that_are_not_there_are_no_matter(node: Management) -> None:
    assert await node.call("UntagResource", Resource=ARN, TagKeys=["a", "z"]) == {}
    assert await tags(node) == {}
    assert "Tags" not in await node.call("GetFunction", FunctionName="f")


async def test_a_tag_changes_no_revision(node: Management) -> None:
    before = await node.call("GetFunctionConfiguration", FunctionName="f")
    await node.call("TagResource", Resource=ARN, Tags={"b": "2"})
    assert await node.call("GetFunctionConfiguration", FunctionName="f") == before


async def test_fifty_tags_are_the_most_that_a_function_has(node: Management) -> None:
    await node.call("TagResource", Resource=ARN, Tags={f"t{n}": "" for n in range(49)})
    assert await node.refusal("TagResource", Resource=ARN, Tags={"one": "too many"}) == LIMIT
    await node.call("TagResource", Resource=ARN, Tags={"a": "known"})
    assert len(await tags(node)) == 50


@pytest.mark.parametrize("qualifier", ["$LATEST", "1", "live"])
async def test_versions_and_aliases_have_no_tags(node: Management, qualifier: str) -> None:
    told = (
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )
    assert await node.refusal("ListTags", Resource=f"{ARN}:{qualifier}") == told
    assert await node.refusal("TagResource", Resource=f"{ARN}:{qualifier}", Tags={"a": "b"}) == told
    assert await node.refusal("UntagResource", Resource=f"{ARN}:{qualifier}", TagKeys=["a"]) == told


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ("function:g", "Function not found: {}"),
        ("event-source-mapping:01234567-89ab-cdef-0123-456789abcdef", "Event source mapping not found: {}"),
        ("capacity-provider:c", "Capacity provider not found: {}"),
    ],
)
async def test_what_is_not_there_has_no_tags(node: Management, resource: str, message: str) -> None:
    arn = f"arn:aws:lambda:us-east-1:000000000000:{resource}"
    told = ("ResourceNotFoundException", message.format(arn))
    assert await node.refusal("ListTags", Resource=arn) == told
    assert await node.refusal("TagResource", Resource=arn, Tags={"a": "b"}) == told


async def test_a_function_is_not_tagged_while_it_is_updated(node: Management) -> None:
    await node.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=9)
    assert await node.refusal("TagResource", Resource=ARN, Tags={"a": "b"}) == (
        "ResourceConflictException",
        f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}",
    )
