"""From a request to the one who sent it: by a signature that holds, or through the open door."""

import asyncio
import hashlib
from typing import Protocol

from pasture.api.auth import sigv4
from pasture.api.auth.errors import (
    MISMATCH,
    NO_TOKEN,
    UNKNOWN_KEY,
    InvalidSignature,
    MissingAuthenticationToken,
    UnrecognizedClient,
)
from pasture.api.auth.keys import AccessKey, KeyRing
from pasture.api.call import Authenticated, Principal
from pasture.domain.errors import ApiError
from pasture.domain.scope import Scope
from pasture.http.message import Request
from pasture.kit.clock import Clock

# Below this, hashing on the event loop is quicker than asking a thread to.
_HASH_ELSEWHERE_BYTES = 256 * 1024


class Authenticates(Protocol):
    async def authenticate(self, request: Request) -> Authenticated: ...


class Authenticator:
    """Believes signatures made with a key of the ring."""

    def __init__(self, keyring: KeyRing, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock

    async def authenticate(self, request: Request) -> Authenticated:
        claim = sigv4.read_claim(request.target, request.headers)
        if claim is None:
            raise MissingAuthenticationToken(NO_TOKEN)
        # The ring's keys are long-lived: none of them has a session token, and AWS refuses such a pair too.
        key = None if claim.session_token else self._keyring.find(claim.key_id)
        if key is None:
            raise UnrecognizedClient(UNKNOWN_KEY)
        sigv4.check_time(claim, self._clock.now())
        digest = await _sha256(request.body)
        if not sigv4.is_signed_with(key.secret, claim, request.method, request.target, request.headers, digest):
            raise InvalidSignature(MISMATCH)
        return Authenticated(_principal(key), Scope(key.account, claim.region), claim.service)


class OpenDoor:
    """Believes everyone (`--no-auth`). A signature still says which region and service are meant.

    An access key id of 12 digits names the account, as other local AWS servers have it.
    """

    def __init__(self, default: Scope | None = None) -> None:
        self._default = default or Scope()

    async def authenticate(self, request: Request) -> Authenticated:
        try:
            claim = sigv4.read_claim(request.target, request.headers)
        except ApiError:
            claim = None  # a signature that makes no sense is no worse than none, here
        key_id = claim.key_id if claim else ""
        account = key_id if len(key_id) == 12 and key_id.isascii() and key_id.isdigit() else self._default.account
        scope = Scope(account, (claim and claim.region) or self._default.region)
        principal = Principal(key_id, account, f"arn:{scope.partition}:iam::{account}:root", account)
        return Authenticated(principal, scope, claim.service if claim else None)


def _principal(key: AccessKey) -> Principal:
    user = key.description or "pasture"
    return Principal(key.id, key.account, f"arn:aws:iam::{key.account}:user/{user}", "AIDA" + key.id[4:])


async def _sha256(body: bytes) -> str:
    if not body:
        return sigv4.EMPTY_SHA256
    if len(body) < _HASH_ELSEWHERE_BYTES:
        return hashlib.sha256(body).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()
