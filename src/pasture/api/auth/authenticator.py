"""From a request to the one who sent it: by a signature that holds, or through the open door."""

import asyncio
import dataclasses
from typing import Protocol

from pasture.api.auth import s3_links, sigv4
from pasture.api.auth.errors import (
    EXPIRED_TOKEN,
    MISMATCH,
    NO_TOKEN,
    UNKNOWN_KEY,
    ExpiredToken,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)
from pasture.api.auth.keys import AccessKey, KeyRing
from pasture.api.call import Authenticated, Principal
from pasture.api.passing.addresses import path_style
from pasture.domain.errors import ApiError
from pasture.domain.scope import DEFAULT_REGION, Scope
from pasture.http.message import Request
from pasture.iam import errors as iam
from pasture.iam import policy
from pasture.iam.roles import Roles
from pasture.iam.sessions import Session, Sessions
from pasture.kit.clock import Clock

# Below this, hashing on the event loop is quicker than asking a thread to.
_HASH_ELSEWHERE_BYTES = 256 * 1024
# So many callers are remembered.
_KNOWN = 1024


class Authenticates(Protocol):
    async def authenticate(self, request: Request) -> Authenticated: ...


class Authenticator:
    """Believes signatures made with a key of the ring, or with temporary credentials of a role."""

    def __init__(
        self, keyring: KeyRing, clock: Clock, sessions: Sessions | None = None, roles: Roles | None = None
    ) -> None:
        self._keyring = keyring
        self._clock = clock
        self._sessions = sessions
        self._roles = roles
        self._known: dict[tuple[str, str, str], tuple[AccessKey, Authenticated]] = {}
        """What keys of the ring are by key, region and service: good as long as the ring has this very key."""

    async def authenticate(self, request: Request) -> Authenticated:
        claim = sigv4.read_claim(request.target, request.headers)
        if claim is None:
            link = s3_links.read_link(request.target)
            if link is None:
                raise MissingAuthenticationToken(NO_TOKEN)
            return self._linked(request, link)
        holder = self._holder(claim)
        sigv4.check_time(claim, self._clock.now())
        digest = await _digest(request, claim)
        if not sigv4.is_signed_with(holder.secret, claim, request.method, request.target, request.headers, digest):
            raise InvalidSignature(MISMATCH)
        if isinstance(holder, Session):
            return Authenticated(_assumed(holder, self._roles), Scope(holder.account, claim.region), claim.service)
        return self._user(holder, claim)

    def _linked(self, request: Request, link: s3_links.Link) -> Authenticated:
        holder = self._holder(link)
        s3_links.check_time(link, self._clock.now())
        path = path_style(request.raw_path, request.headers.get("host", ""))
        if not s3_links.is_signed_with(holder.secret, link, request, path):
            raise InvalidSignature(MISMATCH)
        who = _assumed(holder, self._roles) if isinstance(holder, Session) else _user(holder)
        return Authenticated(who, Scope(holder.account), sigv4.S3)

    def _holder(self, claim: sigv4.Claim | s3_links.Link) -> AccessKey | Session:
        return self._key(claim.key_id) if claim.session_token is None else self._session(claim)

    def _user(self, key: AccessKey, claim: sigv4.Claim) -> Authenticated:
        place = (key.id, claim.region, claim.service)
        known = self._known.get(place)
        if known is not None and known[0] is key:
            return known[1]
        if len(self._known) >= _KNOWN:
            self._known.clear()
        found = Authenticated(_user(key), Scope(key.account, claim.region), claim.service)
        self._known[place] = (key, found)
        return found

    def _key(self, key_id: str) -> AccessKey:
        key = self._keyring.find(key_id)
        if key is None:
            raise UnrecognizedClient(UNKNOWN_KEY)
        return key

    def _session(self, claim: sigv4.Claim | s3_links.Link) -> Session:
        """Access keys of the ring have no session token: AWS refuses such a pair too."""
        if self._sessions is None or not claim.session_token:
            raise UnrecognizedClient(UNKNOWN_KEY)
        try:
            return self._sessions.read(claim.session_token, claim.key_id)
        except iam.InvalidToken as error:
            raise UnrecognizedClient(UNKNOWN_KEY) from error
        except iam.ExpiredToken as error:
            raise ExpiredToken(EXPIRED_TOKEN) from error


class OpenDoor:
    """Believes everyone (`--no-auth`). A signature still says which region and service are meant.

    An access key id of 12 digits names the account, as other local AWS servers have it. Temporary credentials of this
    server say whose they are; what they may do is not asked. With `names_accounts` off, who has none of those belongs
    to the default account, whatever its key id.
    """

    def __init__(
        self, default: Scope | None = None, sessions: Sessions | None = None, *, names_accounts: bool = True
    ) -> None:
        self._default = default or Scope()
        self._sessions = sessions
        self._names_accounts = names_accounts

    async def authenticate(self, request: Request) -> Authenticated:
        try:
            claim = sigv4.read_claim(request.target, request.headers)
        except ApiError:
            claim = None  # a signature that makes no sense is no worse than none, here
        if claim is None and (link := s3_links.read_link(request.target)) is not None:
            claim = _as_claim(link)
        session = self._session(claim)
        if claim is not None and session is not None:
            principal = dataclasses.replace(_assumed(session, None), policies=None, session_policy=None)
            return Authenticated(principal, Scope(session.account, claim.region), claim.service)
        key_id = claim.key_id if claim else ""
        is_number = len(key_id) == 12 and key_id.isascii() and key_id.isdigit()
        account = key_id if is_number and self._names_accounts else self._default.account
        scope = Scope(account, (claim and claim.region) or self._default.region)
        principal = Principal(key_id, account, f"arn:{scope.partition}:iam::{account}:root", account)
        return Authenticated(principal, scope, claim.service if claim else None)

    def _session(self, claim: sigv4.Claim | None) -> Session | None:
        if claim is None or not claim.session_token or self._sessions is None:
            return None
        try:
            return self._sessions.read(claim.session_token, claim.key_id)
        except (iam.InvalidToken, iam.ExpiredToken):
            return None  # left over from elsewhere, or from yesterday: whoever comes is let in


def _as_claim(link: s3_links.Link) -> sigv4.Claim:
    return sigv4.Claim(link.key_id, "", DEFAULT_REGION, sigv4.S3, (), link.signature, "", None, link.session_token)


def _user(key: AccessKey) -> Principal:
    user = key.description or "pasture"
    arn = f"arn:aws:iam::{key.account}:user/{user}"
    return Principal(key.id, key.account, arn, "AIDA" + key.id[4:], policies=key.rights)


def _assumed(session: Session, roles: Roles | None) -> Principal:
    """A role that is not known has no rights, and so have its sessions."""
    role = None if roles is None or session.is_foreign else roles.find(session.role_arn)
    return Principal(
        access_key_id=session.key_id,
        account=session.account,
        arn=session.arn,
        user_id=session.user_id,
        policies=role.rights if role else (),
        session_policy=policy.parsed(session.policy) if session.policy else None,
        role_arn=session.role_arn,
        token_issued=session.issued,
    )


async def _digest(request: Request, claim: sigv4.Claim) -> str:
    """Of a body that is still on its way what is declared: whoever reads it compares."""
    if request.stream is not None:
        return claim.payload_sha256 or sigv4.UNSIGNED
    body = request.body
    return _sha256(body) if len(body) < _HASH_ELSEWHERE_BYTES else await asyncio.to_thread(_sha256, body)


def _sha256(body: bytes) -> str:
    return sigv4.sha256_hex(body) if body else sigv4.EMPTY_SHA256
