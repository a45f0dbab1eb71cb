"""What a signature says, and the Ed25519 signature under it.

`cryptography` is imported when something is signed or verified: no other command waits for it.
"""

from typing import TYPE_CHECKING

import msgspec

from pasture.signing.errors import Tampered

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PURPOSE = b"pasture-signer/1\0"
"""In front of what is signed: a signature that was made for something else is none here."""


class Statement(msgspec.Struct, frozen=True):
    profile: str
    """The ARN of the version of the signing profile."""
    job: str
    """The ARN of the signing job."""
    signed: int
    """Seconds since the epoch."""
    expires: int
    """Likewise."""
    sha256: str
    """Of everything else in the archive: `archive.digest`."""


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    statement: bytes
    signature: bytes


_encoder = msgspec.json.Encoder()
_envelopes = msgspec.json.Decoder(_Envelope)
_statements = msgspec.json.Decoder(Statement)


def seal(statement: Statement, key: "Ed25519PrivateKey") -> bytes:
    text = _encoder.encode(statement)
    return _encoder.encode(_Envelope(text, key.sign(_PURPOSE + text)))


def opened(envelope: bytes) -> tuple[Statement, bytes, bytes]:
    """The statement, not believed yet, its text and the signature. Raises Tampered for any other form than `seal`'s."""
    try:
        content = _envelopes.decode(envelope)
        statement = _statements.decode(content.statement)
    except msgspec.MsgspecError as error:
        raise Tampered(f"the signature cannot be read: {error}") from error
    if _encoder.encode(content) != envelope:
        raise Tampered("the signature is written in another way")
    return statement, content.statement, content.signature


def check(text: bytes, signature: bytes, public_key: bytes) -> None:
    """Raises Tampered."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _PURPOSE + text)
    except (InvalidSignature, ValueError) as error:
        raise Tampered("the profile's key has not made this signature") from error
