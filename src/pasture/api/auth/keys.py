"""Access keys, kept in one JSON file that every process of this server may change.

A change takes the lock, reads, writes a temporary file beside, fsyncs it and renames it:
a reader sees the old file or the new one. A look-up asks the file system whether the file is
another one than before; so a running server knows a key made by another process at once.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pasture.domain.scope import DEFAULT_ACCOUNT
from pasture.kit.clock import Clock, SystemClock
from pasture.kit.errors import OperatorError

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class AccessKey(msgspec.Struct, frozen=True):
    id: str
    secret: str
    account: str = DEFAULT_ACCOUNT
    description: str = ""
    created: float = 0.0
    """Seconds since the epoch."""

    def __repr__(self) -> str:
        return f"AccessKey({self.id}, account={self.account}, description={self.description!r})"


class _File(msgspec.Struct):
    keys: list[AccessKey]


class KeyRing:
    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, AccessKey] = {}

    def __repr__(self) -> str:
        return f"KeyRing({self._path}, {len(self.list())} keys)"

    def find(self, key_id: str) -> AccessKey | None:
        self._refresh()
        return self._keys.get(key_id)

    def list(self) -> "list[AccessKey]":
        self._refresh()
        return list(self._keys.values())

    def create(self, account: str = DEFAULT_ACCOUNT, description: str = "") -> AccessKey:
        if not (len(account) == 12 and account.isascii() and account.isdigit()):
            raise OperatorError(f"'{account}' is not an account.", "An account is 12 digits.")
        key = AccessKey("AKIA" + _random(_BASE32, 16), _random(_BASE64, 40), account, description, self._clock.now())
        with self._changing() as keys:
            keys[key.id] = key
        return key

    def delete(self, key_id: str) -> bool:
        """Whether there was such a key."""
        with self._changing() as keys:
            return keys.pop(key_id, None) is not None

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen, self._keys = None, {}
            return
        identity = (status.st_ino, status.st_mtime_ns, status.st_size)
        if identity != self._seen:
            self._keys = self._read()
            self._seen = identity

    def _read(self) -> dict[str, AccessKey]:
        try:
            content = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except msgspec.MsgspecError as error:
            raise OperatorError(
                f"cannot read the access keys in {self._path}: {error}.", "Mend the file or move it away."
            ) from error
        return {key.id: key for key in content.keys}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, AccessKey]]:
        """The keys as they are, to be changed in place; written when the block ends well."""
        with self._locked():
            keys = self._read() if self._path.exists() else {}
            yield keys
            self._write(_File(list(keys.values())))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The lock is a file of its own: the file of the keys is replaced, and a lock goes with its inode.
        lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, content: _File) -> None:
        temporary = self._path.with_name(self._path.name + ".new")
        temporary.unlink(missing_ok=True)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))
