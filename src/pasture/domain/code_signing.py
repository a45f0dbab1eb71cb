"""Code signing: which publishers a function's code may come from, what a signature says, and how the two are judged.

Pure. The four checks and their order are AWS's ("Using code signing to verify code integrity with Lambda"): integrity,
expiry, mismatch, revocation. Integrity always blocks; for the others the configuration's policy says what follows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pasture.domain.scope import Scope

PROFILE_VERSION_ARN = re.compile(
    r"arn:aws[a-zA-Z-]*:signer:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):"
    r"/signing-profiles/(?P<name>[a-zA-Z0-9_]{2,64})/(?P<version>[a-zA-Z0-9]{10})",
    re.ASCII,
)
JOB_ARN = re.compile(
    r"arn:aws[a-zA-Z-]*:signer:[a-z0-9-]+:\d{12}:/signing-jobs/(?P<id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    re.ASCII,
)
_CONFIG_ARN = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):code-signing-config:(csc-[a-z0-9]{17})", re.ASCII
)


class Untrusted(StrEnum):
    """What follows when code comes from nobody who is allowed: `UntrustedArtifactOnDeployment`."""

    WARN = "Warn"
    ENFORCE = "Enforce"


class ConfigRef(NamedTuple):
    """A code signing configuration of some account and region."""

    scope: Scope
    id: str

    @property
    def arn(self) -> str:
        return self.scope.arn("lambda", f"code-signing-config:{self.id}")


def parse_config_arn(arn: str) -> ConfigRef | None:
    """None for what is no configuration's ARN, or is one of another partition than its region's."""
    form = _CONFIG_ARN.fullmatch(arn)
    ref = ConfigRef(Scope(form[2], form[1]), form[3]) if form is not None else None
    return ref if ref is not None and ref.arn == arn else None


@dataclass(frozen=True, slots=True)
class CodeSigningConfig:
    scope: Scope
    id: str
    publishers: tuple[str, ...]
    """The ARNs of versions of signing profiles."""
    modified: float
    """Seconds since the epoch."""
    untrusted: Untrusted = Untrusted.WARN
    description: str | None = None
    """None when it never was sent."""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def ref(self) -> ConfigRef:
        return ConfigRef(self.scope, self.id)

    @property
    def arn(self) -> str:
        return self.ref.arn


@dataclass(frozen=True, slots=True)
class CodeSignature:
    """Who signed a package, and in which job: what `SigningProfileVersionArn` and `SigningJobArn` show."""

    profile_version_arn: str
    job_arn: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of the signature of one package. `signature` is set only if a known profile has made it and it
    fits the package, to the bit.
    """

    signature: CodeSignature | None = None
    tampered: bool = False
    """There is a signature, and it is not that of this package."""
    expires: float = 0.0
    """Seconds since the epoch."""
    revoked: bool = False


UNSIGNED = Inspection()
TAMPERED = Inspection(tampered=True)


class Finding(StrEnum):
    """Which of the checks a package fails."""

    TAMPERED = "integrity"
    EXPIRED = "expiry"
    MISMATCH = "mismatch"
    REVOKED = "revocation"


def judge(found: Inspection, config: CodeSigningConfig, now: float) -> Finding | None:
    """None for a package that may be deployed. No signature at all is a mismatch, as on AWS."""
    if found.tampered:
        return Finding.TAMPERED
    if found.signature is None:
        return Finding.MISMATCH
    if now >= found.expires:
        return Finding.EXPIRED
    if found.signature.profile_version_arn not in config.publishers:
        return Finding.MISMATCH
    return Finding.REVOKED if found.revoked else None
