"""A function's resource policy as a document: statements put in and taken out, in the form that AWS writes. Pure.

Words and forms are AWS's as recorded (reference 13); the largest document is AWS's too (reference 1.6).
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pasture.domain.errors import InvalidParameterValue, PolicyLengthExceeded, ResourceConflict, ResourceNotFound
from pasture.domain.scope import Scope

LONGEST = 20_480

_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.(amazonaws\.com(\.cn)?|amazon\.com)")
_IDENTITY = re.compile(
    r"arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/\S+)", re.ASCII
)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)

# (member of the request, operator, key). Reference 8.1 has the two of function URLs.
_CONDITIONS = (
    ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
    ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
    ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
    ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
    ("SourceArn", "ArnLike", "AWS:SourceArn"),
    ("InvokedViaFunctionUrl", "Bool", "lambda:InvokedViaFunctionUrl"),
)


def statement_of(request: Mapping[str, Any], scope: Scope, resource: str) -> dict[str, Any]:
    """What AddPermission asks for, on that ARN. Raises InvalidParameterValue."""
    if "FunctionUrlAuthType" in request and request["Action"] != "lambda:InvokeFunctionUrl":
        raise InvalidParameterValue("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
    statement: dict[str, Any] = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(request["Principal"], scope),
        "Action": request["Action"],
        "Resource": resource,
    }
    conditions: dict[str, dict[str, str]] = {}
    for member, operator, key in _CONDITIONS:
        if request.get(member) not in {None, ""}:
            conditions.setdefault(operator, {})[key] = _text(request[member])
    if conditions:
        statement["Condition"] = conditions
    return statement


def adding(statement: Mapping[str, Any]) -> Callable[[str | None], str]:
    """From the document before, None when there was none. Raises ResourceConflict or PolicyLengthExceeded."""

    def edit(document: str | None) -> str:
        policy = _read(document)
        if any(known.get("Sid") == statement["Sid"] for known in policy["Statement"]):
            raise ResourceConflict(
                f"The statement id ({statement['Sid']}) provided already exists. "
                "Please provide a new statement id, or remove the existing statement."
            )
        return checked({**policy, "Statement": [*policy["Statement"], statement]})

    return edit


def removing(statement_id: str) -> Callable[[str | None], str | None]:
    """To the document after, None when nothing is left. Raises ResourceNotFound."""

    def edit(document: str | None) -> str | None:
        if document is None:
            raise ResourceNotFound("No policy is associated with the given resource.")
        policy = _read(document)
        kept = [statement for statement in policy["Statement"] if statement.get("Sid") != statement_id]
        if len(kept) == len(policy["Statement"]):
            raise ResourceNotFound(f"Statement {statement_id} is not found in resource policy.")
        return checked({**policy, "Statement": kept}) if kept else None

    return edit


def checked(policy: Mapping[str, Any]) -> str:
    text = json.dumps(policy, separators=(",", ":"), ensure_ascii=False)
    if len(text) > LONGEST:
        raise PolicyLengthExceeded(f"The final policy size ({len(text)}) is bigger than the limit ({LONGEST}).")
    return text


def _read(document: str | None) -> dict[str, Any]:
    if document is None:
        return {"Version": "2012-10-17", "Id": "default", "Statement": []}
    policy: dict[str, Any] = json.loads(document)
    statements = policy["Statement"]
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}


def _principal(principal: str, scope: Scope) -> str | dict[str, str]:
    if principal == "*":
        return principal
    if _ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:{scope.partition}:iam::{principal}:root"}
    if _IDENTITY.fullmatch(principal):
        return {"AWS": principal}
    if _SERVICE.fullmatch(principal):
        return {"Service": principal}
    raise InvalidParameterValue("The provided principal was invalid. Please check the principal and try again.")


def _text(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()
