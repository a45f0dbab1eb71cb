"""Access keys, kept in one JSON file that every process of this server may change."""

import secrets
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from pasture.domain.scope import DEFAULT_ACCOUNT
from pasture.iam import policy
from pasture.iam.errors import MalformedPolicy
from pasture.iam.policy import Policy
from pasture.iam.ring import Form, Ring
from pasture.kit.clock import Clock, SystemClock
from pasture.kit.errors import OperatorError

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class AccessKey(msgspec.Struct, frozen=True, dict=True):
    id: str
    secret: str
    account: str = DEFAULT_ACCOUNT
    description: str = ""
    created: float = 0.0
    """Seconds since the epoch."""
    policy: dict[str, Any] | None = None
    """A policy document; a key without one may do everything in its account."""

    def __repr__(self) -> str:
        return f"AccessKey({self.id}, account={self.account}, description={self.description!r})"

    @cached_property
    def rights(self) -> tuple[Policy, ...] | None:
        """Raises OperatorError for a document that was written into the file by hand and is none."""
        if self.policy is None:
            return None
        try:
            return (policy.parse(self.policy),)
        except MalformedPolicy as error:
            raise OperatorError(f"cannot read the policy of the access key {self.id}: {error.message}") from error


class KeyRing:
    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._ring = Ring(path, _FORM)
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return repr(self._ring)

    def find(self, key_id: str) -> AccessKey | None:
        return self._ring.get(key_id)

    def list(self) -> "list[AccessKey]":
        return self._ring.items()

    def create(
        self, account: str = DEFAULT_ACCOUNT, description: str = "", policy: dict[str, Any] | None = None
    ) -> AccessKey:
        """`policy` has been read by `iam.policy.parse` before."""
        if not (len(account) == 12 and account.isascii() and account.isdigit()):
            raise OperatorError(f"'{account}' is not an account.", "An account is 12 digits.")
        now = self._clock.now()
        key = AccessKey("AKIA" + _random(_BASE32, 16), _random(_BASE64, 40), account, description, now, policy)
        with self._ring.changing() as keys:
            keys[key.id] = key
        return key

    def delete(self, key_id: str) -> bool:
        """Whether there was such a key."""
        with self._ring.changing() as keys:
            return keys.pop(key_id, None) is not None


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


_FORM = Form("keys", "access keys", msgspec.json.Decoder(dict[str, list[AccessKey]]), lambda key: key.id)
