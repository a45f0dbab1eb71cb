"""Statements of AddPermission, and documents that have them put in and taken out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.errors import InvalidParameterValue
from pasture.domain.scope import Scope
from pasture.functions.permissions_document import adding, removing, statement_of
from pasture.iam.policy import Kind, parse

HERE = Scope("111122223333", "eu-west-1")
F = HERE.function_arn("f")


def statement(**asked: Any) -> dict[str, Any]:
    request = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*", **asked}
    return statement_of(request, HERE, F)


@pytest.mark.parametrize(
    ("principal", "written"),
    [
        ("*", "*"),
        ("444455556666", {"AWS": "arn:aws:iam::444455556666:root"}),
        ("arn:aws:iam::444455556666:root", {"AWS": "arn:aws:iam::444455556666:root"}),
        ("arn:aws:iam::444455556666:role/r", {"AWS": "arn:aws:iam::444455556666:role/r"}),
        ("s3.amazonaws.com", {"Service": "s3.amazonaws.com"}),
        ("alexa-appkit.amazon.com", {"Service": "alexa-appkit.amazon.com"}),
    ],
)
def test_a_principal_is_written_as_its_kind(principal: str, written: Any) -> None:
    assert statement(Principal=principal)["Principal"] == written


@pytest.mark.parametrize(
    "principal", ["", "ann", "invalid.nonaws.com", "12345", "arn:aws:s3:::bucket", "amazonaws.com"]
)
def test_what_is_no_principal_is_refused(principal: str) -> None:
    with pytest.raises(InvalidParameterValue, match=r"^The provided principal was invalid\."):
        statement(Principal=principal)


def test_every_restriction_is_a_condition() -> None:
    asked = {
        "SourceArn": "arn:aws:s3:::b",
        "SourceAccount": "444455556666",
        "PrincipalOrgID": "o-0123456789",
        "EventSourceToken": "amzn1.ask.skill",
        "FunctionUrlAuthType": "NONE",
        "InvokedViaFunctionUrl": True,
        "Action": "lambda:InvokeFunctionUrl",
    }
    assert statement(**asked) == {
        "Sid": "s",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:InvokeFunctionUrl",
        "Resource": F,
        "Condition": {
            "StringEquals": {
                "aws:PrincipalOrgID": "o-0123456789",
                "AWS:SourceAccount": "444455556666",
                "lambda:EventSourceToken": "amzn1.ask.skill",
                "lambda:FunctionUrlAuthType": "NONE",
            },
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
            "Bool": {"lambda:InvokedViaFunctionUrl": "true"},
        },
    }


def test_the_way_to_authenticate_belongs_to_the_url() -> None:
    with pytest.raises(InvalidParameterValue) as refusal:
        statement(FunctionUrlAuthType="NONE")
    assert refusal.value.message == "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"


@given(st.lists(st.from_regex(r"\A[a-zA-Z0-9_-]{1,10}\Z"), min_size=1, max_size=8, unique=True), st.randoms())
def test_what_is_added_is_a_policy_and_taking_all_of_it_out_leaves_none(ids: list[str], random: Any) -> None:
    document: str | None = None
    for one in ids:
        document = adding(statement(StatementId=one, SourceArn="arn:aws:s3:::b"))(document)
        parse(document, Kind.RESOURCE)
    random.shuffle(ids)
    for left, one in zip(range(len(ids) - 1, -1, -1), ids, strict=True):
        document = removing(one)(document)
        assert (document is None) == (left == 0)
        assert document is None or len(json.loads(document)["Statement"]) == left
