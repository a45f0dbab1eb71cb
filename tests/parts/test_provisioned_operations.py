"""Provisioned concurrency: what may be configured, in AWS's words, and what it takes from an account."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, WHEN, Management, management
from pasture.store.kinds.memory import MemoryDocuments

INVALID = "InvalidParameterValueException"
CONFLICT = "ResourceConflictException"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        await running.created(Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        yield running


def asked(qualifier: str, executions: int = 1) -> dict[str, Any]:
    return {"FunctionName": "f", "Qualifier": qualifier, "ProvisionedConcurrentExecutions": executions}


async def put(node: Management, qualifier: str, executions: int = 1) -> dict[str, Any]:
    return await node.call("PutProvisionedConcurrencyConfig", **asked(qualifier, executions))


async def refused(node: Management, qualifier: str, executions: int = 1) -> tuple[str, str]:
    return await node.refusal("PutProvisionedConcurrencyConfig", **asked(qualifier, executions))


async def unreserved(node: Management) -> int:
    left: int = (await node.call("GetAccountSettings"))["AccountLimit"]["UnreservedConcurrentExecutions"]
    return left


async def test_what_is_put_is_in_progress_and_is_shown_and_listed(node: Management) -> None:
    told = {
        "RequestedProvisionedConcurrentExecutions": 3,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
        "LastModified": WHEN,
    }
    assert await put(node, "live", 3) == told
    assert await node.call("GetProvisionedConcurrencyConfig", FunctionName="f", Qualifier="live") == told
    listed = await node.call("ListProvisionedConcurrencyConfigs", FunctionName="f")
    assert listed == {"ProvisionedConcurrencyConfigs": [{"FunctionArn": f"{ARN}:live", **told}]}


async def test_it_is_taken_from_the_account_until_it_is_deleted(node: Management) -> None:
    await put(node, "live", 3)
    assert await unreserved(node) == 997
    await node.call("DeleteProvisionedConcurrencyConfig", FunctionName="f", Qualifier="live")
    assert await unreserved(node) == 1000
    assert await node.refusal("GetProvisionedConcurrencyConfig", FunctionName="f", Qualifier="live") == (
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
    )


async def test_within_a_reservation_it_takes_nothing_more_and_may_not_exceed_it(node: Management) -> None:
    await node.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=5)
    await put(node, "live", 5)
    assert await unreserved(node) == 995
    assert await refused(node, "live", 6) == (
        INVALID,
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
    )
    assert await node.refusal("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=4) == (
        INVALID,
        " ReservedConcurrentExecutions  4 should not be lower than function's total provisioned concurrency [5].",
    )


async def test_so_many_are_left_to_the_others(node: Management) -> None:
    await put(node, "live", 900)
    await put(node, "live", 900)
    assert await refused(node, "live", 901) == (
        INVALID,
        (
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            "minimum value of [100]."
        ),
    )
    assert await refused(node, "live", 1001) == (
        INVALID,
        "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000].",
    )


async def test_what_is_not_published_has_none(node: Management) -> None:
    words = (INVALID, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
    await node.call("CreateAlias", FunctionName="f", Name="edge", FunctionVersion="$LATEST")
    assert [await refused(node, "$LATEST"), await refused(node, "edge")] == [words, words]
    not_there = [("ResourceNotFoundException", f"Function not found: {ARN}:{q}") for q in ("2", "none")]
    assert [await refused(node, "2"), await refused(node, "none")] == not_there


async def test_an_alias_with_weights_has_none_and_gets_no_weights(node: Management) -> None:
    await node.updated(Description="two")
    await node.published()
    weights: dict[str, Any] = {"RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}}
    await node.call("UpdateAlias", FunctionName="f", Name="live", **weights)
    assert await refused(node, "live") == (
        INVALID,
        "Alias with weights can not be used with Provisioned Concurrency",
    )
    await node.call("UpdateAlias", FunctionName="f", Name="live", RoutingConfig={})
    await put(node, "live")
    assert await node.refusal("UpdateAlias", FunctionName="f", Name="live", **weights) == (
        INVALID,
        "Invalid alias configuration for Provisioned Concurrency",
    )


async def test_a_version_is_provisioned_by_itself_or_through_aliases(node: Management) -> None:
    await put(node, "live")
    assert await refused(node, "1") == (CONFLICT, "Version is pointed by a Provisioned Concurrency alias")
    await node.call("DeleteProvisionedConcurrencyConfig", FunctionName="f", Qualifier="live")
    await put(node, "1")
    assert await refused(node, "live") == (
        CONFLICT,
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )


async def test_it_goes_with_its_alias_and_is_kept_over_a_restart(tmp_path: Path) -> None:
    documents = MemoryDocuments()
    async with management(tmp_path, documents) as running:
        await running.created(Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        await put(running, "live", 3)
    async with management(tmp_path, documents) as running:
        assert await unreserved(running) == 997
        assert [key.name for key in await running.catalog.provisioned.marked()] == ["f"]
        await running.call("DeleteAlias", FunctionName="f", Name="live")
        assert await unreserved(running) == 1000
