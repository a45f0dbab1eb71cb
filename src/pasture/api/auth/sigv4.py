"""Signature Version 4, the server's side: what was signed, and does it hold? Pure.

Source: "Signature Version 4 signing process" in the IAM guide; the error words are
AWS's. A request is read once into a `Claim`; `is_signed_with` then compares it in constant time.
Repeating a signed request within its window is not refused: AWS does not either.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote_plus

from pasture.api.auth.errors import IncompleteSignature, InvalidSignature
from pasture.api.wire.paths import normalise
from pasture.domain.errors import ApiError
from pasture.http.message import Headers

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
S3 = "s3"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

SKEW_SECONDS = 300
LONGEST_PRESIGNED_SECONDS = 604_800
# What STS grants a presigned request that does not say: "valid for 15 minutes".
DEFAULT_PRESIGNED_SECONDS = 900

_REGION = re.compile(r"[a-z0-9-]{1,64}")
_BASIC_ISO = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_BLANKS = re.compile(r"[ \t]+")

# Their values enter the signature by other ways, or come from proxies after signing.
_MAY_BE_UNSIGNED = {"x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}


# What is read of requests is remembered by its text, and long texts are not.
_SHORT = 1024


class Claim(NamedTuple):
    """What a request says about its own signature."""

    key_id: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    """`20150830T123600Z`."""
    payload_sha256: str | None
    """As the client declares it; None means that of the body as it came."""
    session_token: str | None = None
    presigned_seconds: int | None = None
    """None for a signature in the Authorization header."""

    @property
    def credential_scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def read_claim(target: str, headers: Headers) -> Claim | None:
    """The claim in the Authorization header or in the query; None when there is neither."""
    authorization = headers.get("authorization")
    if authorization is not None:
        return _from_header(authorization, headers)
    if "X-Amz-Algorithm=" in target or "X-Amz-Signature=" in target:
        return _from_query(dict(parse_qsl(target.partition("?")[2], keep_blank_values=True)), headers)
    return None


def _from_header(authorization: str, headers: Headers) -> Claim:
    first = headers.first
    terms, _, signature = authorization.rpartition("Signature=")
    when = first.get("x-amz-date", "")
    known = _terms(terms) if len(terms) < _SHORT else None
    # As it mostly comes; whatever is unusual about it is read, or refused, by the book.
    if known is not None and when.startswith(known.day) and _is_basic_iso(when) and signature.isalnum():
        claim = Claim(
            known.key_id,
            known.day,
            known.region,
            known.service,
            known.signed_headers,
            signature,
            when,
            first.get("x-amz-content-sha256"),
            first.get("x-amz-security-token"),
        )
        _require_signed(claim, headers)
        return claim
    return _by_the_book(authorization, headers)


class _Terms(NamedTuple):
    """What an Authorization header says before its signature: the same in a client's requests of a day."""

    key_id: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]


@lru_cache(maxsize=1024)
def _terms(text: str) -> _Terms | None:
    """None when it is not as it should be, or not as it mostly is."""
    algorithm, fields = _parameters(text)
    if algorithm != ALGORITHM or not text.rstrip(" ").endswith(",") or fields.keys() != {"Credential", "SignedHeaders"}:
        return None
    try:
        claim = _claim(
            fields["Credential"], fields["SignedHeaders"], "", fields["Credential"].split("/")[1], None, None, None
        )
    except (IndexError, ApiError):
        return None
    if len(claim.day) != 8:
        return None
    return _Terms(claim.key_id, claim.day, claim.region, claim.service, claim.signed_headers)


@lru_cache(maxsize=256)
def _is_basic_iso(when: str) -> bool:
    return _BASIC_ISO.fullmatch(when) is not None


def _by_the_book(authorization: str, headers: Headers) -> Claim:
    algorithm, fields = _parameters(authorization)
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm[:64]}' ({_hashed(authorization)}).")
    lacking = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(name)
    ]
    when = headers.get("x-amz-date") or headers.get("date")
    if when is None:
        lacking.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if lacking or when is None:
        raise IncompleteSignature(f"{' '.join(lacking)} ({_hashed(authorization)})")
    claim = _claim(
        fields["Credential"],
        fields["SignedHeaders"],
        fields["Signature"],
        _basic_iso(when),
        headers.get("x-amz-content-sha256"),
        headers.get("x-amz-security-token"),
        None,
    )
    _require_signed(claim, headers)
    return claim


def _parameters(text: str) -> tuple[str, dict[str, str]]:
    """The algorithm, and what follows by name."""
    algorithm, _, rest = text.strip().partition(" ")
    items = (item.partition("=") for item in rest.split(","))
    return algorithm, {name.strip(): value.strip() for name, _, value in items if name}


def _from_query(query: dict[str, str], headers: Headers) -> Claim:
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise IncompleteSignature(f"AWS query-string parameters must have 'X-Amz-Algorithm' of {ALGORITHM}.")
    names = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    lacking = [f"AWS query-string parameters must include '{name}'." for name in names if not query.get(name)]
    if lacking:
        raise IncompleteSignature(f"{' '.join(lacking)} Re-examine the query-string parameters.")
    expires = query.get("X-Amz-Expires", str(DEFAULT_PRESIGNED_SECONDS))
    if not (
        expires.isascii() and expires.isdigit() and len(expires) <= 6 and 1 <= int(expires) <= LONGEST_PRESIGNED_SECONDS
    ):
        raise IncompleteSignature(f"X-Amz-Expires must be between 1 and {LONGEST_PRESIGNED_SECONDS} seconds.")
    claim = _claim(
        query["X-Amz-Credential"],
        query["X-Amz-SignedHeaders"],
        query["X-Amz-Signature"],
        _basic_iso(query["X-Amz-Date"]),
        query.get("X-Amz-Content-Sha256") or headers.get("x-amz-content-sha256"),
        query.get("X-Amz-Security-Token"),
        int(expires),
    )
    _require_signed(claim, headers)
    return claim


def _claim(
    credential: str,
    signed_headers: str,
    signature: str,
    timestamp: str,
    payload_sha256: str | None,
    session_token: str | None,
    presigned_seconds: int | None,
) -> Claim:
    parts = credential.split("/")
    if len(parts) != 5:
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential[:256]}'"
        )
    key_id, day, region, service, term = parts
    if term != "aws4_request":
        raise InvalidSignature("Credential should be scoped with a valid terminator: 'aws4_request'.")
    if day != timestamp[:8]:
        raise InvalidSignature(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{day[:16]}' != '{timestamp[:8]}', from '{timestamp}'."
        )
    # Both become parts of ARNs and of keys in the store.
    if not _REGION.fullmatch(region):
        raise InvalidSignature("Credential should be scoped to a valid region.")
    if not _REGION.fullmatch(service):
        raise InvalidSignature("Credential should be scoped to correct service.")
    if not signed_headers.isascii():
        raise IncompleteSignature("'SignedHeaders' must be names of headers.")
    names = tuple(signed_headers.lower().split(";"))
    return Claim(
        key_id, day, region, service, names, signature, timestamp, payload_sha256, session_token, presigned_seconds
    )


def _require_signed(claim: Claim, headers: Headers) -> None:
    # "The CanonicalHeaders list must include the host header … and any x-amz-* headers in the request."
    if "host" not in claim.signed_headers:
        raise InvalidSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header.")
    for name in headers.first:
        if name.startswith("x-amz-") and name not in claim.signed_headers and name not in _MAY_BE_UNSIGNED:
            raise InvalidSignature(f"'{name}' must be a 'SignedHeader' in the AWS Authorization header.")


def _hashed(authorization: str) -> str:
    digest = b64encode(hashlib.sha256(authorization.encode("latin-1", "replace")).digest()).decode()
    return f"Hashed with SHA-256 and encoded with Base64 Authorization={digest}"


def _basic_iso(when: str) -> str:
    """`20150830T123600Z` from that, or from the date of a Date header."""
    if _BASIC_ISO.fullmatch(when):
        return when
    try:
        moment = parsedate_to_datetime(when)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, OverflowError):
        raise IncompleteSignature(
            f"Date must be in ISO-8601 'basic format'. Got '{when[:64]}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None


# Time...


def check_time(claim: Claim, now: float) -> None:
    """Raises unless the claim holds at `now`."""
    try:
        signed_at = _epoch(claim.timestamp)
    except ValueError:
        raise IncompleteSignature(
            f"Date must be in ISO-8601 'basic format'. Got '{claim.timestamp}'. "
            "See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None
    lifetime = SKEW_SECONDS if claim.presigned_seconds is None else claim.presigned_seconds
    if signed_at < now - lifetime:
        span = "5 min." if claim.presigned_seconds is None else f"{lifetime} s."
        raise InvalidSignature(
            f"Signature expired: {claim.timestamp} is now earlier than "
            f"{_stamp(now - lifetime)} ({_stamp(now)} - {span})"
        )
    if signed_at > now + SKEW_SECONDS:
        raise InvalidSignature(
            f"Signature not yet current: {claim.timestamp} is still later than "
            f"{_stamp(now + SKEW_SECONDS)} ({_stamp(now)} + 5 min.)"
        )


@lru_cache(maxsize=256)
def _epoch(stamp: str) -> float:
    """Of `20150830T123600Z`; eight times as fast as strptime. Raises ValueError when there is no such time."""
    day, clock = stamp[:8], stamp[9:15]
    year, month, date = int(day[:4]), int(day[4:6]), int(day[6:])
    return datetime(year, month, date, int(clock[:2]), int(clock[2:4]), int(clock[4:]), tzinfo=UTC).timestamp()


def _stamp(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%dT%H%M%SZ")


# The signature...


def is_signed_with(secret: str, claim: Claim, method: str, target: str, headers: Headers, body_sha256: str) -> bool:
    """Whether `secret` makes the claim's signature for this request."""
    if claim.payload_sha256 not in {None, UNSIGNED, body_sha256}:
        return False
    payload = claim.payload_sha256 or (UNSIGNED if _is_link_of_s3(claim) else body_sha256)
    signer = _signer(secret, claim.day, claim.region, claim.service)
    given = claim.signature.encode("latin-1", "replace")
    for request in canonical_requests(claim, method, target, headers, payload):
        digest = sha256_hex(request.encode("latin-1"))
        to_sign = f"{ALGORITHM}\n{claim.timestamp}\n{claim.credential_scope}\n{digest}"
        if hmac.compare_digest(signer.sign(to_sign.encode("latin-1")), given):
            return True
    return False


def _is_link_of_s3(claim: Claim) -> bool:
    """Whoever makes a link to S3 does not know what will be sent: "Authenticating requests: using query parameters"."""
    return claim.service == S3 and claim.presigned_seconds is not None


# To copy it is less work for OpenSSL than to begin anew.
_SHA256 = hashlib.sha256()


def sha256_hex(data: bytes) -> str:
    digest = _SHA256.copy()
    digest.update(data)
    return digest.hexdigest()


class _Signer:
    """HMAC-SHA256 (RFC 2104) with one key of 32 bytes, which SHA-256 takes in once and not for every signature."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, message: bytes) -> bytes:
        """In hexadecimal digits."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest().encode()


@lru_cache(maxsize=1024)
def _signer(secret: str, day: str, region: str, service: str) -> _Signer:
    return _Signer(signing_key(secret, day, region, service))


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return key


def canonical_requests(claim: Claim, method: str, target: str, headers: Headers, payload: str) -> Iterator[str]:
    """The canonical form of the request, and then the other forms that clients sign in its stead.

    The path is normalised before it is encoded; the Go SDK leaves dots and double slashes as they
    are. The query is decoded and encoded anew; botocore signs the pairs as they stand in the URL.
    Requests that share a form mean the same: routes are found by the normalised path, and the query is
    decoded alike. So accepting each of them opens nothing.
    """
    path, _, query = target.partition("?")
    if headers.has_repeats:
        values = [(name, ",".join(map(_folded, headers.all(name)))) for name in claim.signed_headers]
    else:
        values = [(name, _folded(headers.first.get(name, ""))) for name in claim.signed_headers]
    head = "".join([f"{name}:{value}\n" for name, value in values])
    tail = f"{head}\n{';'.join(claim.signed_headers)}\n{payload}"
    queries = _queries(query, presigned=claim.presigned_seconds is not None) if query else ("",)
    if claim.service == S3:
        paths: tuple[str, ...] = (path or "/",)  # keys may hold what is normalised elsewhere
    else:
        paths = _known_paths(path) if len(path) < _SHORT else _paths(path)
    for its_path in paths:
        for its_query in queries:
            yield f"{method}\n{its_path}\n{its_query}\n{tail}"


def _paths(path: str) -> tuple[str, ...]:
    return _distinct(_encode_path(normalise(path)), _encode_path(path or "/"))


_known_paths = lru_cache(maxsize=1024)(_paths)


def _queries(query: str, *, presigned: bool) -> tuple[str, ...]:
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    if presigned:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    return _distinct(_join(_encode_pairs(pairs)), _join(pairs))


def _distinct(first: str, second: str) -> tuple[str, ...]:
    return (first,) if first == second else (first, second)


def _encode_path(path: str) -> str:
    """Every service but S3 encodes the path as it was sent once more."""
    return quote(path, safe="/-_.~", encoding="latin-1")


def _encode_pairs(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(_encode_again(name), _encode_again(value)) for name, value in pairs]


def _encode_again(text: str) -> str:
    if text.isalnum() and text.isascii():
        return text
    return quote(unquote_plus(text, encoding="latin-1"), safe="-_.~", encoding="latin-1")


def _join(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _folded(value: str) -> str:
    # Only blanks are folded: bytes of UTF-8 that look like Latin-1 spaces are not blanks.
    value = value.strip(" \t")
    return _BLANKS.sub(" ", value) if "  " in value or "\t" in value else value
