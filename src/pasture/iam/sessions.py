"""Temporary credentials of a role: nothing is kept of them, so thousands cost nothing and a restart changes nothing.

The session token is the statement of who this is and until when, with an HMAC-SHA256 by the server's secret; the
secret access key is derived from the token's statement by the same secret. So whoever holds a token but not its secret
key can sign nothing, and the server needs only the token to check a signature.
"""

import hashlib
import hmac
import secrets
from base64 import b32encode, b64decode, b64encode
from dataclasses import dataclass

import msgspec

from pasture.iam.errors import ExpiredToken, InvalidToken
from pasture.iam.roles import parts_of
from pasture.kit.clock import Clock

_VERSION = b"\x01"
_MAC_BYTES = 32
# A session policy has at most 2,048 characters; no token of ours is longer than this.
_LONGEST_TOKEN = 16_384


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key_id: str
    secret_access_key: str
    session_token: str
    expires: int
    """Seconds since the epoch."""

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id}, expires={self.expires})"


class _Statement(msgspec.Struct, frozen=True, array_like=True):
    key_id: str
    role_arn: str
    name: str
    issued: int
    expires: int
    policy: str = ""
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """What a good token says."""

    key_id: str
    secret: str
    role_arn: str
    account: str
    role_name: str
    name: str
    issued: int
    expires: int
    policy: str
    """The session policy's JSON; empty when there is none."""
    holder: str
    """The account whose function holds the credentials; empty for who assumed the role."""

    def __repr__(self) -> str:
        return f"Session({self.arn}, {self.key_id}, expires={self.expires})"

    @property
    def arn(self) -> str:
        return session_arn(self.account, self.role_name, self.name)

    @property
    def user_id(self) -> str:
        return f"{role_id(self.role_arn)}:{self.name}"

    @property
    def is_foreign(self) -> bool:
        """A function was given another account's role: AWS refuses to pass it on, so it gives no rights."""
        return self.holder not in {"", self.account}


class Sessions:
    """`secret` is the server's own: 32 random bytes, kept with its data."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._mac_key = hmac.digest(secret, b"session tokens", "sha256")
        self._secret_key = hmac.digest(secret, b"secret access keys", "sha256")
        self._clock = clock

    def issue(
        self, role_arn: str, session_name: str, seconds: int, *, policy: str = "", holder: str = ""
    ) -> Credentials:
        """Credentials for a session of the role, whether or not it is known: what it may do is asked at every call.

        `holder` is the account of the function that they are for. Raises ValueError for what is no role's ARN.
        """
        if parts_of(role_arn) is None:
            raise ValueError(f"not a role's ARN: {role_arn}")
        now = int(self._clock.now())
        key_id = "ASIA" + b32encode(secrets.token_bytes(10)).decode()
        statement = _Statement(key_id, role_arn, session_name, now, now + seconds, policy, holder)
        content = msgspec.msgpack.encode(statement)
        token = b64encode(_VERSION + self._mac(content) + content).decode()
        return Credentials(key_id, self._secret(content), token, statement.expires)

    def read(self, token: str, key_id: str) -> Session:
        """The session whose token and key id these are. Raises InvalidToken or ExpiredToken."""
        content = self._content(token)
        statement = msgspec.msgpack.decode(content, type=_Statement)
        parts = parts_of(statement.role_arn)
        if parts is None or not hmac.compare_digest(statement.key_id.encode(), key_id.encode()):
            raise InvalidToken
        if self._clock.now() >= statement.expires:
            raise ExpiredToken
        return Session(
            key_id=statement.key_id,
            secret=self._secret(content),
            role_arn=statement.role_arn,
            account=parts[0],
            role_name=parts[1],
            name=statement.name,
            issued=statement.issued,
            expires=statement.expires,
            policy=statement.policy,
            holder=statement.holder,
        )

    def _content(self, token: str) -> bytes:
        """The token's statement, once it is sure that it is ours."""
        if len(token) > _LONGEST_TOKEN:
            raise InvalidToken
        try:
            raw = b64decode(token, validate=True)
        except ValueError as error:
            raise InvalidToken from error
        mac, content = raw[1 : 1 + _MAC_BYTES], raw[1 + _MAC_BYTES :]
        if raw[:1] != _VERSION or not hmac.compare_digest(mac, self._mac(content)):
            raise InvalidToken
        return content

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._mac_key, content, "sha256")

    def _secret(self, content: bytes) -> str:
        """40 characters, as AWS's have."""
        return b64encode(hmac.digest(self._secret_key, content, "sha256")[:30]).decode()


def session_arn(account: str, role_name: str, session_name: str) -> str:
    return f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}"


def role_id(role_arn: str) -> str:
    """`AROA…`, always the same for one ARN."""
    return "AROA" + b32encode(hashlib.sha256(role_arn.encode()).digest()).decode()[:17]
