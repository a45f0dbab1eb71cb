"""What a server makes of the signature of a package: `Inspection`, for the rules of code signing to judge."""

import io
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pasture.domain.code_signing import TAMPERED, UNSIGNED, CodeSignature, Inspection
from pasture.signing import archive, statement
from pasture.signing.errors import Tampered
from pasture.signing.profiles import Profiles, ProfileVersion
from pasture.signing.statement import Statement


class Reading(NamedTuple):
    """What a signature says of the content that it fits. Without a profile that is known here, anybody may say it."""

    statement: Statement
    profile: ProfileVersion | None


def inspect(package: bytes | Path, profiles: Profiles) -> Inspection:
    """Reads all of it: not for the event loop. A signature of an unknown profile is as good as none."""
    try:
        with io.BytesIO(package) if isinstance(package, bytes) else package.open("rb") as file:
            found = read(file, profiles)
    except Tampered:
        return TAMPERED
    if found is None or found.profile is None:
        return UNSIGNED
    said = found.statement
    revoked = found.profile.has_revoked(said.job, said.signed)
    return Inspection(CodeSignature(said.profile, said.job), expires=said.expires, revoked=revoked)


def read(file: BinaryIO, profiles: Profiles) -> Reading | None:
    """None for an archive without a signature. Raises Tampered for one that its signature does not fit."""
    signed = archive.read_signed(file)
    if signed is None:
        return None
    said, text, signature = statement.opened(signed.envelope)
    profile = profiles.find(said.profile)
    if profile is not None:
        statement.check(text, signature, profile.public_key)
    if archive.digest(file, signed.body) != said.sha256:
        raise Tampered("its content is not what was signed")
    return Reading(said, profile)
