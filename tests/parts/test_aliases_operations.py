"""Aliases: what a client sends, and the whole of what it gets."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, Management, management
from pasture.domain.errors import ResourceNotFound
from pasture.domain.identifiers import FunctionRef
from pasture.domain.scope import Scope
from pasture.invoke.resolving import Resolver
from pasture.store.documents import Document
from pasture.store.kinds.memory import MemoryDocuments

ALIAS = f"{ARN}:live"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    """With two versions of `f`."""
    async with management(tmp_path) as running:
        await running.created(Publish=True)
        await running.updated(Timeout=9)
        await running.published()
        yield running


async def alias(node: Management, **changes: Any) -> dict[str, Any]:
    return await node.call("CreateAlias", **{"FunctionName": "f", "Name": "live", "FunctionVersion": "1", **changes})


def weights(**shares: float) -> dict[str, Any]:
    return {"AdditionalVersionWeights": {number.removeprefix("v"): share for number, share in shares.items()}}


async def test_an_alias_is_answered_whole(node: Management) -> None:
    answer = await alias(node, Description="what is live", RoutingConfig=weights(v2=0.25))
    assert answer == {
        "AliasArn": ALIAS,
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "what is live",
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.25}},
        "RevisionId": answer["RevisionId"],
    }
    assert await node.call("GetAlias", FunctionName="f", Name="live") == answer


async def test_an_alias_changes_no_revision_but_its_own(node: Management) -> None:
    before = [await node.call("GetFunctionConfiguration", FunctionName="f", Qualifier=q) for q in ("$LATEST", "1")]
    await alias(node)
    after = [await node.call("GetFunctionConfiguration", FunctionName="f", Qualifier=q) for q in ("$LATEST", "1")]
    assert before == after


async def test_an_update_changes_what_it_names_and_the_revision(node: Management) -> None:
    created = await alias(node, Description="first", RoutingConfig=weights(v2=0.25))
    updated = await node.call("UpdateAlias", FunctionName="f", Name="live", Description="second")
    assert updated["RevisionId"] != created["RevisionId"]
    assert updated == {**created, "Description": "second", "RevisionId": updated["RevisionId"]}


async def test_an_empty_routing_takes_the_second_version_away(node: Management) -> None:
    await alias(node, RoutingConfig=weights(v2=0.25))
    updated = await node.call("UpdateAlias", FunctionName="f", Name="live", FunctionVersion="2", RoutingConfig={})
    assert (updated["FunctionVersion"], "RoutingConfig" in updated) == ("2", False)


async def test_a_function_is_read_through_its_alias_under_the_aliass_arn(node: Management) -> None:
    await alias(node)
    through = await node.call("GetFunctionConfiguration", FunctionName="f:live")
    assert through == {
        **await node.call("GetFunctionConfiguration", FunctionName="f", Qualifier="1"),
        "FunctionArn": ALIAS,
    }


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"FunctionVersion": "7"}, ("ResourceNotFoundException", f"Function not found: {ARN}:7")),
        ({"RoutingConfig": weights(v7=0.1)}, ("ResourceNotFoundException", f"Function not found: {ARN}:7")),
        (
            {"RoutingConfig": weights(v2=0.1, v3=0.1)},
            (
                "InvalidParameterValueException",
                "Number of items in AdditionalVersionWeights cannot be greater than 1",
            ),
        ),
        (
            {"RoutingConfig": weights(v1=0.1)},
            (
                "InvalidParameterValueException",
                "Invalid function version 1. Function version 1 is already included in routing configuration.",
            ),
        ),
        (
            {"FunctionVersion": "$LATEST", "RoutingConfig": weights(v1=0.1)},
            (
                "InvalidParameterValueException",
                "$LATEST is not supported for an alias pointing to more than 1 version",
            ),
        ),
        (
            {"FunctionName": "f:1"},
            (
                "InvalidParameterValueException",
                (
                    "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
                    "operation. Please specify either a function name or an unqualified function ARN."
                ),
            ),
        ),
        (
            {"FunctionName": "g"},
            ("ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:g"),
        ),
    ],
)
async def test_an_alias_that_cannot_be_is_refused(
    node: Management, changes: dict[str, Any], refusal: tuple[str, str]
) -> None:
    request = {"FunctionName": "f", "Name": "live", "FunctionVersion": "1", **changes}
    assert await node.refusal("CreateAlias", **request) == refusal
    assert (await node.call("ListAliases", FunctionName="f"))["Aliases"] == []


async def test_versions_of_different_roles_do_not_share_an_alias(node: Management) -> None:
    await node.updated(Role="arn:aws:iam::000000000000:role/other")
    await node.published()
    code, message = await node.refusal(
        "CreateAlias", FunctionName="f", Name="live", FunctionVersion="1", RoutingConfig=weights(v3=0.5)
    )
    assert (code, "same execution role" in message) == ("InvalidParameterValueException", True)


async def test_a_name_can_be_taken_once(node: Management) -> None:
    await alias(node)
    assert await node.refusal("CreateAlias", FunctionName="f", Name="live", FunctionVersion="2") == (
        "ResourceConflictException",
        f"Alias already exists: {ALIAS}",
    )


async def test_an_update_from_another_revision_is_refused(node: Management) -> None:
    await alias(node)
    assert await node.refusal("UpdateAlias", FunctionName="f", Name="live", RevisionId="other") == (
        "PreconditionFailedException",
        (
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        ),
    )


async def test_an_alias_that_is_not_there_is_not_found(node: Management) -> None:
    assert await node.refusal("GetAlias", FunctionName="f", Name="live") == (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {ALIAS}",
    )
    assert await node.refusal("UpdateAlias", FunctionName="f", Name="live") == (
        "ResourceNotFoundException",
        f"Alias not found: {ALIAS}",
    )


async def test_deleting_an_alias_twice_does_no_harm(node: Management) -> None:
    await alias(node)
    answers = [await node.call("DeleteAlias", FunctionName="f", Name="live") for _ in range(2)]
    assert (answers, (await node.call("ListAliases", FunctionName="f"))) == ([{}, {}], {"Aliases": []})


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_version_with_an_alias_is_not_deleted(node: Management, version: str) -> None:
    await alias(node, RoutingConfig=weights(v2=0.0))
    await alias(node, Name="beta", FunctionVersion="2", RoutingConfig=weights(v1=0.0))
    assert await node.refusal("DeleteFunction", FunctionName="f", Qualifier=version) == (
        "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [beta, live]",
    )


async def test_an_alias_is_not_deleted_as_a_version(node: Management) -> None:
    await alias(node)
    code, message = await node.refusal("DeleteFunction", FunctionName="f", Qualifier="live")
    assert (code, "DeleteAlias" in message) == ("InvalidParameterValueException", True)


async def test_aliases_are_listed_by_name_in_pages_and_by_version(node: Management) -> None:
    for name, version in (("c", "1"), ("a", "2"), ("b", "1"), ("d", "$LATEST")):
        await alias(node, Name=name, FunctionVersion=version)
    await node.call("UpdateAlias", FunctionName="f", Name="a", RoutingConfig=weights(v1=0.5))
    first = await node.call("ListAliases", FunctionName="f", MaxItems=3)
    second = await node.call("ListAliases", FunctionName="f", MaxItems=3, Marker=first["NextMarker"])
    of_one = await node.call("ListAliases", FunctionName="f", FunctionVersion="1")
    names = [[entry["Name"] for entry in answer["Aliases"]] for answer in (first, second, of_one)]
    assert (names, "NextMarker" in second) == ([["a", "b", "c"], ["d"], ["a", "b", "c"]], False)


class CountingDocuments(MemoryDocuments):
    reads = 0

    async def get(self, key: str) -> Document | None:
        self.reads += 1
        return await super().get(key)


async def test_an_alias_resolves_by_chance_and_without_reading(tmp_path: Path) -> None:
    documents = CountingDocuments()
    async with management(tmp_path, documents) as node:
        await node.created(Publish=True)
        await node.updated(Timeout=9)
        await node.published()
        await alias(node, RoutingConfig=weights(v2=0.25))
        draws = iter((0.3, 0.2, 0.3))
        resolve = Resolver(node.catalog.find, node.catalog.versions.find, draw=lambda: next(draws))
        reads = documents.reads
        versions = [(await resolve(Scope(), FunctionRef("f", "live"))).version for _ in range(3)]
        assert (versions, documents.reads - reads) == (["1", "2", "1"], 0)


async def test_a_number_that_is_not_there_is_not_found_when_it_is_invoked(node: Management) -> None:
    resolve = Resolver(node.catalog.find, node.catalog.versions.find)
    with pytest.raises(ResourceNotFound) as caught:
        await resolve(Scope(), FunctionRef("f", "7"))
    assert caught.value.message == f"Function not found: {ARN}:7"
