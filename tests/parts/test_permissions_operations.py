"""Resource policies: what a client sends, and the whole of what it gets."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, HERE, Management, management

NO_POLICY = ("ResourceNotFoundException", "The resource you requested does not exist.")
STALE = (
    "PreconditionFailedException",
    (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetPolicy API to retrieve the latest Revision Id"
    ),
)
EVERYONE = {"Sid": "s", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": ARN}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Management]:
    async with management(tmp_path) as running:
        await running.created(Publish=True)
        await running.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
        yield running


async def allow(node: Management, statement: str = "s", **more: Any) -> dict[str, Any]:
    request = {"FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "*", **more}
    answer = await node.call("AddPermission", StatementId=statement, **request)
    told: dict[str, Any] = json.loads(answer["Statement"])
    return told


async def policy(node: Management, qualifier: str = "$LATEST") -> dict[str, Any]:
    answer = await node.call("GetPolicy", FunctionName=f"f:{qualifier}" if qualifier != "$LATEST" else "f")
    told: dict[str, Any] = json.loads(answer["Policy"])
    return told


async def revision(node: Management, qualifier: str) -> str:
    if qualifier == "live":
        found = await node.call("GetAlias", FunctionName="f", Name="live")
    else:
        found = await node.call("GetFunctionConfiguration", FunctionName="f", Qualifier=qualifier)
    told: str = found["RevisionId"]
    return told


async def test_a_statement_is_answered_and_kept_as_it_was_written(node: Management) -> None:
    assert await allow(node) == EVERYONE
    await allow(node, "t", Principal="sqs.amazonaws.com")
    second = {**EVERYONE, "Sid": "t", "Principal": {"Service": "sqs.amazonaws.com"}}
    assert await policy(node) == {"Version": "2012-10-17", "Id": "default", "Statement": [EVERYONE, second]}


@pytest.mark.parametrize("qualifier", ["1", "live"])
async def test_a_version_and_an_alias_have_policies_of_their_own(node: Management, qualifier: str) -> None:
    statement = {**EVERYONE, "Resource": f"{ARN}:{qualifier}"}
    assert await allow(node, Qualifier=qualifier) == statement
    assert await policy(node, qualifier) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert await node.refusal("GetPolicy", FunctionName="f") == NO_POLICY


@pytest.mark.parametrize("qualifier", ["$LATEST", "1", "live"])
async def test_the_policys_revision_is_that_of_what_it_belongs_to(node: Management, qualifier: str) -> None:
    named: dict[str, Any] = {} if qualifier == "$LATEST" else {"Qualifier": qualifier}
    before = {one: await revision(node, one) for one in ("$LATEST", "1", "live")}
    await allow(node, RevisionId=before[qualifier], **named)
    after = {one: await revision(node, one) for one in before}
    assert [one for one in before if before[one] != after[one]] == [qualifier]
    assert (await node.call("GetPolicy", FunctionName="f", **named))["RevisionId"] == after[qualifier]


@pytest.mark.parametrize("qualifier", [None, "1", "live"])
async def test_from_another_revision_nothing_is_added_and_nothing_is_removed(
    node: Management, qualifier: str | None
) -> None:
    request = {"FunctionName": "f", "StatementId": "s", "RevisionId": "old"}
    if qualifier:
        request["Qualifier"] = qualifier
    added = {"Action": "lambda:InvokeFunction", "Principal": "*"}
    assert await node.refusal("AddPermission", **request, **added) == STALE
    await allow(node, **({"Qualifier": qualifier} if qualifier else {}))
    assert await node.refusal("RemovePermission", **request) == STALE


async def test_a_statements_id_is_used_once(node: Management) -> None:
    await allow(node)
    request = {"FunctionName": "f", "StatementId": "s", "Action": "lambda:GetFunction", "Principal": "*"}
    assert await node.refusal("AddPermission", **request) == (
        "ResourceConflictException",
        (
            "The statement id (s) provided already exists. "
            "Please provide a new statement id, or remove the existing statement."
        ),
    )
    await allow(node, Qualifier="live")


async def test_the_last_statement_takes_the_policy_with_it(node: Management) -> None:
    await allow(node)
    await allow(node, "t")
    assert await node.call("RemovePermission", FunctionName="f", StatementId="s") == {}
    assert [statement["Sid"] for statement in (await policy(node))["Statement"]] == ["t"]
    await node.call("RemovePermission", FunctionName="f", StatementId="t")
    assert await node.refusal("GetPolicy", FunctionName="f") == NO_POLICY


async def test_what_is_not_there_is_not_removed(node: Management) -> None:
    assert await node.refusal("RemovePermission", FunctionName="f", StatementId="s") == (
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    )
    await allow(node)
    assert await node.refusal("RemovePermission", FunctionName="f", StatementId="t") == (
        "ResourceNotFoundException",
        "Statement t is not found in resource policy.",
    )
    assert await node.refusal("RemovePermission", FunctionName="g", StatementId="t") == (
        "ResourceNotFoundException",
        f"No policy found for: {ARN[:-1]}g",
    )


@pytest.mark.parametrize(
    ("named", "code", "message"),
    [
        ({"FunctionName": "g"}, "ResourceNotFoundException", f"Function not found: {ARN[:-1]}g"),
        ({"Qualifier": "7"}, "ResourceNotFoundException", f"Function not found: {ARN}:7"),
        ({"Qualifier": "gone"}, "ResourceNotFoundException", f"Cannot find alias arn: {ARN}:gone"),
        (
            {"Qualifier": "$LATEST"},
            "InvalidParameterValueException",
            "We currently do not support adding policies for $LATEST.",
        ),
        (
            {"Principal": "invalid.nonaws.com"},
            "InvalidParameterValueException",
            "The provided principal was invalid. Please check the principal and try again.",
        ),
    ],
)
async def test_what_cannot_be_allowed_is_told(node: Management, named: dict[str, str], code: str, message: str) -> None:
    request = {"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*", **named}
    assert await node.refusal("AddPermission", **request) == (code, message)


async def test_a_policy_grows_to_twenty_kilobytes_and_no_further(node: Management) -> None:
    source = "arn:aws:s3:::" + "b" * 9_900
    await allow(node, SourceArn=source)
    await allow(node, "t", SourceArn=source)
    request = {"FunctionName": "f", "StatementId": "u", "Action": "lambda:InvokeFunction", "Principal": "*"}
    code, message = await node.refusal("AddPermission", SourceArn=source[:600], **request)
    third = {**EVERYONE, "Sid": "u", "Condition": {"ArnLike": {"AWS:SourceArn": source[:600]}}}
    known = (await node.call("GetPolicy", FunctionName="f"))["Policy"]
    size = len(known) + 1 + len(json.dumps(third, separators=(",", ":")))
    assert (code, message) == (
        "PolicyLengthExceededException",
        f"The final policy size ({size}) is bigger than the limit (20480).",
    )
    assert len((await policy(node))["Statement"]) == 2


async def test_an_alias_that_is_made_again_has_no_policy(node: Management) -> None:
    await allow(node, Qualifier="live")
    await node.call("DeleteAlias", FunctionName="f", Name="live")
    await node.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    assert await node.refusal("GetPolicy", FunctionName="f", Qualifier="live") == NO_POLICY


async def test_a_version_takes_its_policy_with_it(node: Management) -> None:
    await node.call("DeleteAlias", FunctionName="f", Name="live")
    await allow(node, Qualifier="1")
    await node.call("DeleteFunction", FunctionName="f", Qualifier="1")
    function = await node.catalog.get(HERE, "f")
    assert function.settings.policies == {}
    assert await node.refusal("GetPolicy", FunctionName="f", Qualifier="1") == (
        "ResourceNotFoundException",
        f"Function not found: {ARN}:1",
    )


async def test_a_policy_survives_an_update_and_a_publication_does_not_copy_it(node: Management) -> None:
    await allow(node)
    await node.updated(Timeout=9)
    number = await node.published()
    assert len((await policy(node))["Statement"]) == 1
    assert await node.refusal("GetPolicy", FunctionName="f", Qualifier=number) == NO_POLICY


async def test_a_permission_makes_no_new_version(node: Management) -> None:
    await allow(node)
    assert await node.published() == "1"


# Whole policies...


def document(**changes: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{**EVERYONE, **changes}]}, separators=(",", ":"))


async def test_a_policy_is_put_read_and_deleted_whole(node: Management) -> None:
    put = await node.call("PutResourcePolicy", ResourceArn=ARN, Policy=document(Effect="Deny"))
    assert put == {"Policy": document(Effect="Deny"), "RevisionId": await revision(node, "$LATEST")}
    assert await node.call("GetResourcePolicy", ResourceArn=ARN) == put
    assert await node.call("GetPolicy", FunctionName="f") == put
    assert await node.call("DeleteResourcePolicy", ResourceArn=ARN, RevisionId=put["RevisionId"]) == {}
    assert await node.refusal("GetResourcePolicy", ResourceArn=ARN) == NO_POLICY
    assert await node.refusal("DeleteResourcePolicy", ResourceArn=ARN) == NO_POLICY


async def test_a_statement_is_added_to_a_policy_that_was_put_whole(node: Management) -> None:
    single = json.dumps({"Version": "2012-10-17", "Statement": EVERYONE})
    await node.call("PutResourcePolicy", ResourceArn=f"{ARN}:live", Policy=single)
    added = await allow(node, "t", Qualifier="live")
    assert (await policy(node, "live"))["Statement"] == [EVERYONE, added]


async def test_a_policy_is_put_from_the_revision_that_there_is(node: Management) -> None:
    revision_id = "00000000-0000-4000-8000-000000000999"
    assert await node.refusal("PutResourcePolicy", ResourceArn=ARN, Policy=document(), RevisionId=revision_id) == STALE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "Syntax errors in policy."),
        (document(Principal={"AWS": "nobody"}), 'Invalid principal in policy: "AWS":"nobody"'),
        (document(Effect="Perhaps"), "Syntax errors in policy."),
    ],
)
async def test_what_is_no_policy_is_refused(node: Management, text: str, message: str) -> None:
    assert await node.refusal("PutResourcePolicy", ResourceArn=ARN, Policy=text) == (
        "InvalidParameterValueException",
        message,
    )


async def test_there_are_no_runtimes_of_ones_own_to_have_policies(node: Management) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:runtime/mine"
    assert await node.refusal("GetResourcePolicy", ResourceArn=arn) == NO_POLICY
