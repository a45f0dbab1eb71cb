"""Roles: named policies that a function runs with, or that someone assumes. In one file beside the access keys."""

import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from pasture.domain.scope import DEFAULT_ACCOUNT
from pasture.iam import policy
from pasture.iam.errors import MalformedPolicy
from pasture.iam.policy import Kind, Policy
from pasture.iam.ring import Form, Ring
from pasture.kit.clock import Clock, SystemClock
from pasture.kit.errors import OperatorError

FILE = "roles.json"
DEFAULT_POLICY = "default"
DEFAULT_SESSION_SECONDS = 3_600

_ROLE_ARN = re.compile(
    r"arn:[a-z-]+:iam::(?P<account>[0-9]{12}):role(?P<path>/|/[\x21-\x7e]+/)(?P<name>[\w+=,.@-]+)", re.ASCII
)
_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_PATH = re.compile(r"/|/[\x21-\x7e]{1,510}/")

Document = dict[str, Any]


class Role(msgspec.Struct, frozen=True, dict=True, omit_defaults=True):
    name: str
    account: str = DEFAULT_ACCOUNT
    path: str = "/"
    description: str = ""
    policies: dict[str, Document] = {}
    """Policy documents by name."""
    trust: Document | None = None
    """Who may assume it; None means whoever in its account may call sts:AssumeRole on it."""
    session_seconds: int = DEFAULT_SESSION_SECONDS
    """The longest that a session may last: 3,600 to 43,200."""
    created: float = 0.0
    """Seconds since the epoch."""

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role{self.path}{self.name}"

    @cached_property
    def rights(self) -> tuple[Policy, ...]:
        """Raises OperatorError for a document that was written into the file by hand and is none."""
        return tuple(self._readable(document, Kind.IDENTITY) for document in self.policies.values())

    @cached_property
    def trusts(self) -> Policy:
        return self._readable(self.trust or own_account(self.account), Kind.TRUST)

    def _readable(self, document: Document, kind: Kind) -> Policy:
        try:
            return policy.parse(document, kind)
        except MalformedPolicy as error:
            raise OperatorError(f"cannot read a policy of the role {self.arn}: {error.message}") from error


class Roles:
    """What is given to it has been read by `policy.parse` before."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._ring = Ring(path, _FORM)
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return repr(self._ring)

    def find(self, arn: str) -> Role | None:
        """The role of this ARN, in whatever partition."""
        asked = _ROLE_ARN.fullmatch(arn)
        role = self._ring.get(_key(asked["account"], asked["name"])) if asked else None
        return role if role is not None and asked is not None and role.path == asked["path"] else None

    def get(self, account: str, name: str) -> Role | None:
        return self._ring.get(_key(account, name))

    def list(self) -> "list[Role]":
        return sorted(self._ring.items(), key=lambda role: (role.account, role.name))

    def create(self, role: Role) -> Role:
        _check(role)
        made = msgspec.structs.replace(role, created=self._clock.now())
        with self._ring.changing() as roles:
            if _name(role) in roles:
                raise OperatorError(f"There is a role {role.name} in account {role.account} already.")
            roles[_name(role)] = made
        return made

    def put_policy(self, account: str, name: str, policy_name: str, document: Document) -> Role:
        """Raises OperatorError when there is no such role."""
        return self._change(
            account,
            name,
            lambda role: msgspec.structs.replace(role, policies={**role.policies, policy_name: document}),
        )

    def delete_policy(self, account: str, name: str, policy_name: str) -> Role:
        def without(role: Role) -> Role:
            if policy_name not in role.policies:
                raise OperatorError(f"The role {name} has no policy {policy_name}.")
            return msgspec.structs.replace(
                role, policies={known: document for known, document in role.policies.items() if known != policy_name}
            )

        return self._change(account, name, without)

    def put_trust(self, account: str, name: str, document: Document) -> Role:
        return self._change(account, name, lambda role: msgspec.structs.replace(role, trust=document))

    def delete(self, account: str, name: str) -> bool:
        """Whether there was such a role. Its sessions have no rights from now on."""
        with self._ring.changing() as roles:
            return roles.pop(_key(account, name), None) is not None

    def _change(self, account: str, name: str, change: Callable[[Role], Role]) -> Role:
        with self._ring.changing() as roles:
            role = roles.get(_key(account, name))
            if role is None:
                raise OperatorError(f"There is no role {name} in account {account}.")
            changed = roles[_key(account, name)] = change(role)
            return changed


def own_account(account: str) -> Document:
    """The trust policy of a role that was made without one."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
        ],
    }


def parts_of(role_arn: str) -> tuple[str, str] | None:
    """Account and name; None for what is no role's ARN."""
    found = _ROLE_ARN.fullmatch(role_arn)
    return (found["account"], found["name"]) if found else None


def _check(role: Role) -> None:
    if not re.fullmatch("[0-9]{12}", role.account):
        raise OperatorError(f"'{role.account}' is not an account.", "An account is 12 digits.")
    if not _NAME.fullmatch(role.name):
        raise OperatorError(
            f"'{role.name}' is not a role's name.", "It has 1 to 64 letters, digits and characters of _+=,.@-."
        )
    if not _PATH.fullmatch(role.path):
        raise OperatorError(f"'{role.path}' is not a path.", "It begins and ends with a slash.")
    if not DEFAULT_SESSION_SECONDS <= role.session_seconds <= 43_200:
        raise OperatorError(f"A session of {role.session_seconds} seconds cannot be.", "It lasts 3600 to 43200.")


def _key(account: str, name: str) -> str:
    return f"{account}/{name}"


def _name(role: Role) -> str:
    return _key(role.account, role.name)


_FORM = Form("roles", "roles", msgspec.json.Decoder(dict[str, list[Role]]), _name)
