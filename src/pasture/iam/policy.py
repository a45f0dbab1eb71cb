"""Policy documents: read once, then asked whether they let a call pass. Pure.

An explicit deny wins over every allow; what nothing allows is denied by the absence of an allow. Source: "IAM JSON
policy elements" and "Policy evaluation logic" in the IAM guide. The words for a document that is none are IAM's own.
"""

import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from pasture.iam import conditions, principals
from pasture.iam.conditions import Condition, Presence
from pasture.iam.errors import MalformedPolicy
from pasture.iam.principals import Caller, Named, Principals
from pasture.iam.wildcards import Context, Style, Texts

# The largest policy that any document of Lambda's may be.
LONGEST = 20_480
_SYNTAX = "Syntax errors in policy."
_VARIABLES_FROM = "2012-10-17"
_VERSIONS = frozenset({"2008-10-17", _VARIABLES_FROM})
_ELEMENTS = frozenset({
    "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition",
})  # fmt: skip
_VENDOR = re.compile(r"[a-zA-Z0-9*?-]+")


class Kind(Enum):
    """What a policy is attached to decides which elements it has."""

    IDENTITY = "identity"
    RESOURCE = "resource"
    TRUST = "trust"
    """Of a role: who may assume it. The resource is the role."""


class Effect(Enum):
    DENY = "Deny"
    ALLOW = "Allow"
    LEFT_TO_THE_ACCOUNT = "LeftToTheAccount"
    """A resource's policy allows the caller's account: the account's own policies decide."""


class Statement:
    __slots__ = ("_actions", "_conditions", "_inverted", "_principals", "_resources", "denies", "sid")

    def __init__(self, element: Mapping[str, Any], kind: Kind, *, variables: bool) -> None:
        _check_elements(element, kind)
        self.sid = str(element.get("Sid", ""))
        self.denies = element["Effect"] == "Deny"
        self._inverted = tuple(name in element for name in ("NotAction", "NotResource", "NotPrincipal"))
        self._actions = _actions(_listed(element.get("Action", element.get("NotAction"))))
        resources = element.get("Resource", element.get("NotResource"))
        self._resources = None if resources is None else _resources(_listed(resources), variables=variables)
        named = element.get("Principal", element.get("NotPrincipal"))
        self._principals: Principals | None = None if named is None else principals.parse(named)
        self._conditions: tuple[Condition | Presence, ...] = tuple(
            conditions.parse(element.get("Condition", {}), variables=variables)
        )

    def applies(self, action: str, resource: str, context: Context, caller: Caller | None) -> Named:
        """Whether it speaks of this call, and how it names the caller."""
        not_action, not_resource, not_principal = self._inverted
        if self._actions.match(action, context) == not_action:
            return Named.NOT
        if self._resources is not None and self._resources.match(resource, context) == not_resource:
            return Named.NOT
        named = Named.ITSELF
        if self._principals is not None:
            named = self._principals.names(caller or Caller())
            if not_principal:
                named = Named.ITSELF if named is Named.NOT else Named.NOT
        if named is Named.NOT or not all(condition.holds(context) for condition in self._conditions):
            return Named.NOT
        return named


class Policy:
    __slots__ = ("_allows", "_denies")

    def __init__(self, statements: Sequence[Statement]) -> None:
        self._denies = tuple(statement for statement in statements if statement.denies)
        self._allows = tuple(statement for statement in statements if not statement.denies)

    def __repr__(self) -> str:
        return f"Policy({len(self._allows)} allow, {len(self._denies)} deny)"

    def decide(self, action: str, resource: str, context: Context, caller: Caller | None = None) -> Effect | None:
        """None when it says nothing of this call: an implicit deny, unless another policy allows."""
        for statement in self._denies:
            if statement.applies(action, resource, context, caller) is not Named.NOT:
                return Effect.DENY
        found = None
        for statement in self._allows:
            named = statement.applies(action, resource, context, caller)
            if named is Named.ITSELF:
                return Effect.ALLOW
            if named is Named.BY_ACCOUNT:
                found = Effect.LEFT_TO_THE_ACCOUNT
        return found


def parse(document: str | Mapping[str, Any], kind: Kind = Kind.IDENTITY) -> Policy:
    """From its JSON, or from what that holds. Raises MalformedPolicy."""
    content = read(document) if isinstance(document, str) else document
    if not isinstance(content, Mapping) or not {"Version", "Id", "Statement"}.issuperset(content):
        raise MalformedPolicy(_SYNTAX)
    version = content.get("Version", "2008-10-17")
    if not isinstance(version, str) or version not in _VERSIONS:
        raise MalformedPolicy("Policy document must be version 2012-10-17 or greater.")
    elements = content.get("Statement")
    elements = elements if isinstance(elements, list) else [elements]
    if not elements or not all(isinstance(element, Mapping) for element in elements):
        raise MalformedPolicy(_SYNTAX)
    statements = [Statement(element, kind, variables=version == _VARIABLES_FROM) for element in elements]
    named = [statement.sid for statement in statements if statement.sid]
    if len(named) != len(set(named)):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    return Policy(statements)


@lru_cache(maxsize=256)
def parsed(document: str, kind: Kind = Kind.IDENTITY) -> Policy:
    """`parse`, once for each of the documents that come again and again."""
    return parse(document, kind)


def read(text: str) -> Any:
    """The JSON of a policy. A name that comes twice is refused: one of its two values would be lost."""
    if len(text) > LONGEST:
        raise MalformedPolicy(f"Maximum policy size of {LONGEST} bytes exceeded.")
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise MalformedPolicy(_SYNTAX) from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError
    return content


# Elements...


def _check_elements(element: Mapping[str, Any], kind: Kind) -> None:
    texts = all(isinstance(element.get(name, ""), str) for name in ("Sid", "Effect"))
    if not texts or not _ELEMENTS.issuperset(element) or element.get("Effect") not in {"Allow", "Deny"}:
        raise MalformedPolicy(_SYNTAX)
    for name in ("Action", "Resource", "Principal"):
        if name in element and f"Not{name}" in element:
            raise MalformedPolicy(_SYNTAX)
    if not _has(element, "Action"):
        raise MalformedPolicy("Policy statement must contain actions.")
    if kind is Kind.TRUST and _has(element, "Resource"):
        raise MalformedPolicy("Has prohibited field Resource.")
    if kind is not Kind.TRUST and not _has(element, "Resource"):
        raise MalformedPolicy("Policy statement must contain resources.")
    if kind is Kind.IDENTITY and _has(element, "Principal"):
        raise MalformedPolicy("Policy document should not specify a principal.")
    if kind is not Kind.IDENTITY and not _has(element, "Principal"):
        raise MalformedPolicy("Missing required field Principal.")


def _has(element: Mapping[str, Any], name: str) -> bool:
    return name in element or f"Not{name}" in element


def _listed(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise MalformedPolicy(_SYNTAX)
    return values


def _actions(names: list[str]) -> Texts:
    if not names:
        raise MalformedPolicy("Policy statement must contain actions.")
    for name in names:
        vendor, _, action = name.partition(":")
        if name == "*":
            continue
        if not action:
            raise MalformedPolicy("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if ":" in action:
            raise MalformedPolicy("Actions/Condition can contain only one colon.")
        if not _VENDOR.fullmatch(vendor):
            raise MalformedPolicy(f"Vendor {vendor} is not valid")
    return Texts(names, Style(variables=False, ignore_case=True))


def _resources(arns: list[str], *, variables: bool) -> Texts:
    if not arns:
        raise MalformedPolicy("Policy statement must contain resources.")
    for arn in arns:
        if arn != "*" and not arn.startswith("arn:"):
            raise MalformedPolicy(f'Resource {arn} must be in ARN format or "*".')
    return Texts(arns, Style(variables=variables))
