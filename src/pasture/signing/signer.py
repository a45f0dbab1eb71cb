"""Signs archives with a profile's key: a signing job, done at once and on this machine."""

import os
import stat
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pasture.domain.code_signing import CodeSignature
from pasture.domain.scope import Scope
from pasture.kit.clock import Clock, SystemClock
from pasture.kit.errors import OperatorError
from pasture.signing import archive, statement, validity
from pasture.signing.errors import Unsignable
from pasture.signing.profiles import Profiles, sync_directory
from pasture.signing.statement import Statement

_CHUNK = 1024 * 1024


class Signer:
    def __init__(
        self, profiles: Profiles, clock: Clock | None = None, new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    ) -> None:
        self._profiles = profiles
        self._clock = clock or SystemClock()
        self._new_id = new_id

    def sign(self, scope: Scope, name: str, source: Path, target: Path) -> CodeSignature:
        """`target` is there whole, and on disk, or as it was before. Raises OperatorError."""
        profile = self._profiles.newest(scope, name)
        if profile.status != "Active":
            raise OperatorError(
                f"cannot sign with {profile.arn}: it is {profile.status.lower()}.", "Make a new version of the profile."
            )
        key = self._profiles.private_key(profile)
        now = self._clock.now()
        job = profile.scope.arn("signer", f"/signing-jobs/{self._new_id()}")
        try:
            with source.open("rb") as file:
                body = archive.read_unsigned(file)
                expires = validity.expiry(profile.validity, now)
                said = Statement(profile.arn, job, int(now), expires, archive.digest(file, body))
                _write(target, file, body.size, archive.tail(statement.seal(said, key), body))
        except Unsignable as error:
            raise OperatorError(f"cannot sign {source}: {error}.") from error
        return CodeSignature(profile.arn, job)


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    source.seek(0)
    while size:
        chunk = source.read(min(size, _CHUNK))
        if not chunk:
            raise Unsignable("it became shorter meanwhile")
        size -= target.write(chunk)


def _write(target: Path, source: BinaryIO, size: int, tail: bytes) -> None:
    """The first `size` bytes of the source, and the tail: under another name first, and readable to the same people."""
    made, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(made, "wb") as file:
            _copy(source, file, size)
            file.write(tail)
            file.flush()
            os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(source.fileno()).st_mode))
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(target.parent)
