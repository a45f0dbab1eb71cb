"""The Principal element: whom a resource's policy speaks of. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pasture.iam.errors import MalformedPolicy

_KINDS = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
_ACCOUNT = re.compile(r"[0-9]{12}")
_ARN = re.compile(r"arn:[a-z-]+:(?:iam|sts)::([0-9]{12}):(root|(?:user|role|assumed-role|federated-user)/.+)")


class Named(Enum):
    """How a policy names a caller."""

    NOT = 0
    BY_ACCOUNT = 1
    """Its whole account: what in there may be done is for the account's own policies to say."""
    ITSELF = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """What policies know a caller by. An anonymous one has nothing."""

    arn: str = ""
    account: str = ""
    role_arn: str = ""
    """Of a session of that role."""
    service: str = ""
    """`s3.amazonaws.com`, when it is a service."""


@dataclass(frozen=True, slots=True)
class Principals:
    everyone: bool
    accounts: frozenset[str]
    others: frozenset[str]
    """ARNs and names of services."""

    def names(self, caller: Caller) -> Named:
        if self.everyone:
            return Named.ITSELF
        if not self.others.isdisjoint({caller.arn, caller.role_arn, caller.service} - {""}):
            return Named.ITSELF
        return Named.BY_ACCOUNT if caller.account in self.accounts else Named.NOT


def parse(element: Any) -> Principals:
    """Raises MalformedPolicy."""
    if element == "*":
        return Principals(True, frozenset(), frozenset())
    if not isinstance(element, Mapping) or not element or not _KINDS.issuperset(element):
        raise MalformedPolicy(f"Invalid principal in policy: {_shown(element)}")
    everyone, accounts, others = False, set(), set()
    for kind, values in element.items():
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not value:
                raise MalformedPolicy(f'Invalid principal in policy: "{kind}":{_shown(value)}')
            if kind != "AWS":
                others.add(value)
            elif value == "*":
                everyone = True
            elif account := _account(value):
                accounts.add(account)
            elif _ARN.fullmatch(value):
                others.add(value)
            else:
                raise MalformedPolicy(f'Invalid principal in policy: "{kind}":{_shown(value)}')
    return Principals(everyone, frozenset(accounts), frozenset(others))


def _account(text: str) -> str | None:
    """Of an account's number, or the ARN of its root."""
    if _ACCOUNT.fullmatch(text):
        return text
    found = _ARN.fullmatch(text)
    return found[1] if found and found[2] == "root" else None


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)[:256]
