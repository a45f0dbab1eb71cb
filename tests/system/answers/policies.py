"""AddPermission and its kin, and whole resource policies."""

import json
from typing import Any

from system.answers.steps import ACCOUNT, PREFIX, Step, invalid, made, minimal, not_found, ready, typical, wrong

_ARN = f"{PREFIX}function:p"
_GONE = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
_STALE = (
    412,
    "PreconditionFailedException",
    (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetPolicy API to retrieve the latest Revision Id"
    ),
)
_REVISION = "12345678-1234-1234-1234-123456789012"


def _statement(statement: str, principal: Any, **more: Any) -> dict[str, Any]:
    return {
        "Sid": statement,
        "Effect": "Allow",
        "Principal": principal,
        "Action": "lambda:InvokeFunction",
        "Resource": _ARN,
        **more,
    }


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _policy(*statements: Any) -> str:
    return _text({"Version": "2012-10-17", "Id": "default", "Statement": list(statements)})


_S3 = _statement(
    "s3",
    {"Service": "s3.amazonaws.com"},
    Condition={
        "StringEquals": {"AWS:SourceAccount": ACCOUNT},
        "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
    },
)
_EVERYONE = _statement("all", "*")
_WHOLE = _text({"Version": "2012-10-17", "Statement": [_EVERYONE]})

POLICIES: list[Step] = [
    made("p"),
    wrong("GetPolicy", *_GONE, FunctionName="p"),
    typical(
        "AddPermission",
        201,
        {"Statement": _text(_S3)},
        FunctionName="p",
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceAccount=ACCOUNT,
        SourceArn="arn:aws:s3:::bucket",
    ),
    minimal(
        "AddPermission",
        201,
        {"Statement": _text(_EVERYONE)},
        FunctionName="p",
        StatementId="all",
        Action="lambda:InvokeFunction",
        Principal="*",
    ),
    wrong(
        "AddPermission",
        409,
        "ResourceConflictException",
        "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
        FunctionName="p",
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="*",
    ),
    wrong(
        "AddPermission",
        400,
        "InvalidParameterValueException",
        "The provided principal was invalid. Please check the principal and try again.",
        FunctionName="p",
        StatementId="s4",
        Action="lambda:InvokeFunction",
        Principal="nobody",
    ),
    wrong(
        "AddPermission",
        400,
        "InvalidParameterValueException",
        "We currently do not support adding policies for $LATEST.",
        FunctionName="p",
        Qualifier="$LATEST",
        StatementId="s4",
        Action="lambda:InvokeFunction",
        Principal="*",
    ),
    invalid(
        "AddPermission",
        "'example.com'",
        "statementId",
        "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)",
        FunctionName="p",
        StatementId="example.com",
        Action="lambda:InvokeFunction",
        Principal="*",
    ),
    typical("GetPolicy", 200, {"Policy": _policy(_S3, _EVERYONE), "RevisionId": "<uuid>"}, FunctionName=_ARN),
    minimal("GetPolicy", 200, {"Policy": _policy(_S3, _EVERYONE), "RevisionId": "<uuid>"}, FunctionName="p"),
    wrong("RemovePermission", *_STALE, FunctionName="p", StatementId="all", RevisionId=_REVISION),
    typical("RemovePermission", 204, None, FunctionName=_ARN, StatementId="s3"),
    minimal("RemovePermission", 204, None, FunctionName="p", StatementId="all"),
    wrong(
        "RemovePermission",
        404,
        "ResourceNotFoundException",
        f"No policy found for: {PREFIX}function:none",
        FunctionName="none",
        StatementId="doesnotexist",
    ),
    minimal("PutResourcePolicy", 200, {"Policy": _WHOLE, "RevisionId": "<uuid>"}, ResourceArn=_ARN, Policy=_WHOLE),
    typical(
        "PutResourcePolicy",
        200,
        {"Policy": _WHOLE, "RevisionId": "<uuid>"},
        ResourceArn=_ARN,
        Policy=_WHOLE,
        RevisionId="<revision>",
    ),
    wrong("PutResourcePolicy", *_STALE, ResourceArn=_ARN, Policy=_WHOLE, RevisionId=_REVISION),
    wrong("PutResourcePolicy", *not_found("none"), ResourceArn=f"{PREFIX}function:none", Policy=_WHOLE),
    minimal("GetResourcePolicy", 200, {"Policy": _WHOLE, "RevisionId": "<uuid>"}, ResourceArn=_ARN),
    wrong("DeleteResourcePolicy", *_STALE, ResourceArn=_ARN, RevisionId=_REVISION),
    typical("DeleteResourcePolicy", 204, None, ResourceArn=_ARN, RevisionId="<revision>"),
    ready("PutResourcePolicy", 200, {"Policy": _WHOLE, "RevisionId": "<uuid>"}, ResourceArn=_ARN, Policy=_WHOLE),
    minimal("DeleteResourcePolicy", 204, None, ResourceArn=_ARN),
    wrong("GetResourcePolicy", *_GONE, ResourceArn=_ARN),
    ready("DeleteFunction", 204, None, FunctionName="p"),
]
