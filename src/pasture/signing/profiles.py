"""Signing profiles, in the data directory: who may sign, until when, and what has been taken back.

`signer/profiles.json` holds what a server needs to verify, the public keys among it; it is a `Ring`, so what another
process changes counts at once. The private key of a version is a file of its own, `signer/keys/VERSION.pem`, which
only its owner may read and which an imported profile does not have. The key is on disk before the profile that needs
it; a crash leaves a key too many, which the next new profile removes.
"""

import os
import re
import secrets
import string
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pasture.domain.code_signing import PROFILE_VERSION_ARN
from pasture.domain.scope import Scope
from pasture.iam.ring import Form, Ring
from pasture.kit.clock import Clock, SystemClock
from pasture.kit.errors import OperatorError
from pasture.signing import validity as periods

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DIRECTORY = "signer"

_NAME = re.compile(r"\w{2,64}", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d", re.ASCII)
_LETTERS = string.ascii_letters + string.digits


class Revocation(msgspec.Struct, frozen=True):
    made: float
    """Seconds since the epoch."""
    reason: str
    since: float = 0.0
    """Of a profile: signatures that say they were made at this time or later are not trusted; 0 means none is."""


class ProfileVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    version: str
    account: str
    region: str
    public_key: bytes
    """Of Ed25519, 32 bytes."""
    validity: str = periods.DEFAULT
    created: float = 0.0
    """Seconds since the epoch."""
    canceled: float | None = None
    revoked: Revocation | None = None
    revoked_jobs: dict[str, Revocation] = {}
    """By the ARN of the signing job."""

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)

    @property
    def arn(self) -> str:
        return self.scope.arn("signer", f"/signing-profiles/{self.name}/{self.version}")

    @property
    def status(self) -> str:
        """AWS Signer's word."""
        if self.revoked is not None:
            return "Revoked"
        return "Active" if self.canceled is None else "Canceled"

    def has_revoked(self, job: str, signed: float) -> bool:
        """Whether a signature of that job, made at that time, is taken back."""
        return job in self.revoked_jobs or (self.revoked is not None and signed >= self.revoked.since)


class Profiles:
    """Of one data directory. May be used by several threads."""

    def __init__(self, directory: Path, clock: Clock | None = None) -> None:
        self._directory = directory
        self._keys = directory / "keys"
        self._ring = Ring(directory / "profiles.json", _FORM)
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return repr(self._ring)

    # Reading...

    def items(self) -> list[ProfileVersion]:
        with self._lock:
            profiles = self._ring.items()
        return sorted(profiles, key=lambda p: (p.account, p.region, p.name, p.created))

    def find(self, arn: str) -> ProfileVersion | None:
        """The version of this ARN, in whatever partition."""
        form = PROFILE_VERSION_ARN.fullmatch(arn)
        if form is None:
            return None
        with self._lock:
            return self._ring.get(f"{form['account']}/{form['region']}/{form['name']}/{form['version']}")

    def versions(self, scope: Scope, name: str) -> list[ProfileVersion]:
        """The newest last."""
        return [p for p in self.items() if p.scope == scope and p.name == name]

    def newest(self, scope: Scope, name: str, version: str | None = None) -> ProfileVersion:
        """Or the version that is asked for. Raises OperatorError."""
        found = [p for p in self.versions(scope, name) if version in {None, p.version}]
        if not found:
            what = name if version is None else f"{name}/{version}"
            raise OperatorError(
                f"There is no signing profile {what} in account {scope.account}, region {scope.region}.",
                "`pasture signer profiles` shows those there are.",
            )
        return found[-1]

    def private_key(self, profile: ProfileVersion) -> "Ed25519PrivateKey":
        """Raises OperatorError."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        path = self._key_path(profile.version)
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except FileNotFoundError as error:
            raise OperatorError(
                f"cannot sign with {profile.arn}: its private key is not here.", "Sign where it was made."
            ) from error
        except ValueError as error:
            raise OperatorError(f"cannot read the private key {path}.", "Restore it from a backup.") from error
        if not isinstance(key, Ed25519PrivateKey) or key.public_key().public_bytes_raw() != profile.public_key:
            raise OperatorError(f"{path} is not the private key of {profile.arn}.", "Restore it from a backup.")
        return key

    # Writing...

    def create(self, scope: Scope, name: str, validity: str = periods.DEFAULT) -> ProfileVersion:
        """A version of its own key. Raises OperatorError while another version of that name may sign."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        _check(scope, name)
        periods.check(validity)
        with self._changing() as profiles:
            if any(p.scope == scope and p.name == name and p.status == "Active" for p in profiles.values()):
                raise OperatorError(
                    f"There is a signing profile {name} already.", "Cancel or revoke it to make a new version of it."
                )
            self._remove_keys_but({p.version for p in profiles.values()})
            key = Ed25519PrivateKey.generate()
            made = ProfileVersion(
                name,
                "".join(secrets.choice(_LETTERS) for _ in range(10)),
                scope.account,
                scope.region,
                key.public_key().public_bytes_raw(),
                validity,
                self._clock.now(),
            )
            self._write_key(made.version, key)
            profiles[_name(made)] = made
        return made

    def cancel(self, scope: Scope, name: str, version: str | None = None) -> ProfileVersion:
        """It signs no more; what it has signed stays good."""
        now = self._clock.now()

        def change(profile: ProfileVersion) -> ProfileVersion:
            if profile.status != "Active":
                raise OperatorError(f"{profile.arn} is {profile.status.lower()} already.")
            return msgspec.structs.replace(profile, canceled=now)

        return self._change(self.newest(scope, name, version), change)

    def revoke(
        self, scope: Scope, name: str, reason: str, *, version: str | None = None, since: float = 0.0
    ) -> ProfileVersion:
        """It signs no more, and what it has signed from then on is not trusted. Later revocations can only widen it."""
        now = self._clock.now()

        def change(profile: ProfileVersion) -> ProfileVersion:
            known = profile.revoked
            if known is not None and known.since <= since:
                return profile
            return msgspec.structs.replace(profile, revoked=Revocation(now, reason, since))

        return self._change(self.newest(scope, name, version), change)

    def revoke_job(self, profile_arn: str, job_arn: str, reason: str) -> ProfileVersion:
        """One signature."""
        profile = self.find(profile_arn)
        if profile is None:
            raise OperatorError(f"The signing profile {profile_arn} is not known here.")
        revocation = Revocation(self._clock.now(), reason)

        def change(profile: ProfileVersion) -> ProfileVersion:
            jobs = {**profile.revoked_jobs, job_arn: profile.revoked_jobs.get(job_arn, revocation)}
            return msgspec.structs.replace(profile, revoked_jobs=jobs)

        return self._change(profile, change)

    def take_in(self, theirs: ProfileVersion) -> ProfileVersion:
        """A profile made elsewhere, to verify with; of one that is known, what was canceled or revoked since."""
        _check(theirs.scope, theirs.name)
        periods.check(theirs.validity)
        if PROFILE_VERSION_ARN.fullmatch(theirs.arn) is None or len(theirs.public_key) != 32:
            raise OperatorError("This is no signing profile.", "`pasture signer export-profile` writes one.")
        with self._changing() as profiles:
            ours = profiles.get(_name(theirs))
            if ours is not None and ours.public_key != theirs.public_key:
                raise OperatorError(f"{theirs.arn} is known here with another key.")
            merged = profiles[_name(theirs)] = theirs if ours is None else _merged(ours, theirs)
        return merged

    def _change(self, profile: ProfileVersion, change: Callable[[ProfileVersion], ProfileVersion]) -> ProfileVersion:
        with self._changing() as profiles:
            changed = profiles[_name(profile)] = change(profiles[_name(profile)])
        return changed

    @contextmanager
    def _changing(self) -> Iterator[dict[str, ProfileVersion]]:
        for directory in (self._directory.parent, self._directory):  # nobody else's to look into, whoever makes it
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock, self._ring.changing() as profiles:
            yield profiles

    # Private keys...

    def _key_path(self, version: str) -> Path:
        return self._keys / f"{version}.pem"

    def _write_key(self, version: str, key: "Ed25519PrivateKey") -> None:
        from cryptography.hazmat.primitives import serialization

        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(self._key_path(version), flags, 0o600), "wb") as file:
            pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            file.write(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
            file.flush()
            os.fsync(file.fileno())
        for directory in (self._keys, self._keys.parent):
            sync_directory(directory)

    def _remove_keys_but(self, versions: set[str]) -> None:
        """Those that a crash has left without a profile."""
        for path in self._keys.glob("*.pem"):
            if path.stem not in versions:
                path.unlink()


def _merged(ours: ProfileVersion, theirs: ProfileVersion) -> ProfileVersion:
    """What either side has taken back stays so."""
    revocations = [r for r in (ours.revoked, theirs.revoked) if r is not None]
    return msgspec.structs.replace(
        ours,
        canceled=ours.canceled if ours.canceled is not None else theirs.canceled,
        revoked=min(revocations, key=lambda r: r.since, default=None),
        revoked_jobs={**theirs.revoked_jobs, **ours.revoked_jobs},
    )


def _check(scope: Scope, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise OperatorError(
            f"'{name}' is not a signing profile's name.", "It has 2 to 64 letters, digits and underscores."
        )
    if not re.fullmatch("[0-9]{12}", scope.account):
        raise OperatorError(f"'{scope.account}' is not an account.", "An account is 12 digits.")
    if not _REGION.fullmatch(scope.region):
        raise OperatorError(f"'{scope.region}' is not a region.", "A region is written like us-east-1.")


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(profile: ProfileVersion) -> str:
    return f"{profile.account}/{profile.region}/{profile.name}/{profile.version}"


_FORM = Form("profiles", "signing profiles", msgspec.json.Decoder(dict[str, list[ProfileVersion]]), _name)
