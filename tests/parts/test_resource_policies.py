"""Calls that a resource's own policy has a say in: of the account, of other accounts, through an open door."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, Management, management
from pasture.api.auth.authorisation import Authorizer
from pasture.api.auth.resource_policies import ResourcePolicies
from pasture.api.call import Call
from pasture.domain.errors import AccessDenied
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request
from pasture.iam.policy import Policy, parse
from pasture.iam.principal import Principal
from pasture.kit.clock import ManualClock

OWNER, OTHER = "000000000000", "111122223333"
USER = f"arn:aws:iam::{OTHER}:user/ann"
INVOKE = ("Invoke", {"FunctionName": ARN})


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        await running.created(Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        yield running


def rights(*actions: str, resource: str = "*") -> Policy:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return parse({"Version": "2012-10-17", "Statement": [statement]})


def root(account: str = OTHER) -> Principal:
    return Principal(account=account, arn=f"arn:aws:iam::{account}:root")


def user(*policies: Policy, account: str = OTHER) -> Principal:
    return Principal(account=account, arn=f"arn:aws:iam::{account}:user/ann", policies=policies)


async def answer(
    node: Management, who: Principal, operation: str, asked: dict[str, Any], *, open_door: bool = False
) -> str:
    """Empty when it may; else why not."""
    policies = ResourcePolicies(node.catalog.find, node.catalog.layers.find)
    authorizer = Authorizer(ManualClock(), policies, open_door=open_door)
    request = Request("POST", "/", Headers(), peer="10.0.0.7:4711")
    try:
        await authorizer.authorise(
            "lambda", Call("r", operation, Scope(who.account), who, request, "http://here:9"), asked
        )
    except AccessDenied as denial:
        return denial.message or "denied without a word"
    return ""


async def allow(node: Management, principal: str, **more: Any) -> None:
    request = {"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", **more}
    await node.call("AddPermission", Principal=principal, **request)


async def deny(node: Management, *actions: str) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": list(actions), "Resource": ARN}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await node.call("PutResourcePolicy", ResourceArn=ARN, Policy=policy)


@pytest.mark.parametrize("open_door", [False, True])
async def test_without_a_policy_a_function_is_closed_to_other_accounts(node: Management, open_door: bool) -> None:
    for who in (root(), user(rights("*"))):
        assert await answer(node, who, *INVOKE, open_door=open_door) == "denied without a word"
        unknown = {"FunctionName": f"{ARN}-unknown"}
        assert await answer(node, who, "GetFunction", unknown, open_door=open_door) == "denied without a word"


@pytest.mark.parametrize("open_door", [False, True])
async def test_an_account_that_is_allowed_may_call_and_do_nothing_else(node: Management, open_door: bool) -> None:
    await allow(node, OTHER)
    assert await answer(node, root(), *INVOKE, open_door=open_door) == ""
    refused = await answer(node, root(), "DeleteFunction", {"FunctionName": ARN}, open_door=open_door)
    assert refused == "denied without a word"


async def test_of_an_account_that_is_allowed_a_user_needs_to_be_allowed_too(node: Management) -> None:
    await allow(node, OTHER)
    assert await answer(node, user(), *INVOKE) == "denied without a word"
    assert await answer(node, user(rights("lambda:InvokeFunction", resource=ARN)), *INVOKE) == ""


async def test_a_user_that_is_named_is_not_the_whole_account(node: Management) -> None:
    await allow(node, USER)
    assert await answer(node, user(rights("lambda:*")), *INVOKE) == ""
    assert await answer(node, root(), *INVOKE) == "denied without a word"


async def test_a_condition_of_a_permission_must_hold(node: Management) -> None:
    await allow(node, OTHER, SourceArn="arn:aws:s3:::b")
    assert await answer(node, root(), *INVOKE) == "denied without a word"


async def test_a_policy_counts_for_the_qualifier_it_belongs_to(node: Management) -> None:
    await allow(node, OTHER, Qualifier="live")
    answers = {
        qualifier: await answer(node, root(), "Invoke", {"FunctionName": ARN, "Qualifier": qualifier})
        for qualifier in ("live", "1", "$LATEST", None)
    }
    denied = "denied without a word"
    assert answers == {"live": "", "1": denied, "$LATEST": denied, None: denied}


async def test_the_account_of_the_resource_is_the_functions(node: Management) -> None:
    await allow(node, OTHER)
    there = {"StringEquals": {"aws:ResourceAccount": OWNER}}
    statement = {"Effect": "Allow", "Action": "lambda:*", "Resource": "*", "Condition": there}
    who = user(parse({"Version": "2012-10-17", "Statement": [statement]}))
    assert await answer(node, who, *INVOKE) == ""


async def test_within_the_account_a_policy_of_the_function_is_enough(node: Management) -> None:
    nobody = user(account=OWNER)
    assert "no identity-based policy" in await answer(node, nobody, *INVOKE)
    await allow(node, f"arn:aws:iam::{OWNER}:user/ann")
    assert await answer(node, nobody, *INVOKE) == ""


async def test_a_deny_binds_whoever_may_do_everything_but_not_an_open_door(node: Management) -> None:
    await deny(node, "lambda:*")
    told = "with an explicit deny in a resource-based policy"
    assert (await answer(node, root(OWNER), *INVOKE)).endswith(told)
    assert await answer(node, root(OWNER), *INVOKE, open_door=True) == ""


async def test_nobody_locks_an_account_out_of_its_own_function(node: Management) -> None:
    await deny(node, "lambda:*")
    assert await answer(node, root(OWNER), "DeleteResourcePolicy", {"ResourceArn": ARN}) == ""
    told = await answer(node, user(rights("*"), account=OWNER), "DeleteResourcePolicy", {"ResourceArn": ARN})
    assert told.endswith("with an explicit deny in a resource-based policy")


async def test_who_may_do_everything_passes_roles_of_any_account(node: Management) -> None:
    request = {"FunctionName": "f", "Role": f"arn:aws:iam::{OTHER}:role/r"}
    assert await answer(node, root(OWNER), "UpdateFunctionConfiguration", request) == ""


async def test_a_layers_policy_opens_it_in_the_same_way(node: Management) -> None:
    arn = await node.layer()
    asked: dict[str, Any] = {"LayerName": arn.rpartition(":")[0], "VersionNumber": 1}
    told = (
        f"User: arn:aws:iam::{OTHER}:root is not authorized to perform: lambda:GetLayerVersion on resource: {arn} "
        "because no resource-based policy allows the lambda:GetLayerVersion action"
    )
    assert await answer(node, root(), "GetLayerVersion", asked) == told
    permission: dict[str, Any] = {"StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": OTHER}
    await node.call("AddLayerVersionPermission", **asked, **permission)
    assert await answer(node, root(), "GetLayerVersion", asked) == ""
    assert "no identity-based policy" in await answer(node, user(), "GetLayerVersionByArn", {"Arn": arn})
    assert (await answer(node, root(), "DeleteLayerVersion", asked)).startswith("User: ")
