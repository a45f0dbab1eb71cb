"""The directory that holds all state: one server at a time, and a note of where it can be reached."""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import msgspec

from pasture.kit.errors import OperatorError
from pasture.store.documents import Documents


class DataDirectory:
    """Locked from `__init__` to `close`. The kernel gives the lock back when its holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperatorError(
                f"cannot use the data directory {self.path}: {error.strerror}.", "Choose another with --data-dir."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._lock)
            raise OperatorError(
                f"another Pasture (process {holder}) serves the data directory {self.path}.",
                "Stop it first, or choose another directory with --data-dir.",
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        self._clear_session()

    @property
    def owner(self) -> str:
        """A short token of this directory, the same in every session: names what a session leaves in the kernel."""
        return hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:12]

    @property
    def session(self) -> Path:
        """What lives no longer than the server: emptied at every start."""
        return self.path / "run"

    def announce(self, url: str, *, auth: bool, region: str) -> None:
        """Let the command line find this server."""
        note: dict[str, Any] = {"url": url, "auth": auth, "pid": os.getpid(), "region": region}
        temporary = self.path / "endpoint.json.new"
        temporary.write_bytes(msgspec.json.encode(note))
        temporary.replace(self.path / "endpoint.json")

    def close(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / "endpoint.json").unlink()
        os.close(self._lock)

    def _clear_session(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / "endpoint.json").unlink()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.session)
        self.session.mkdir(mode=0o700)


async def secret(documents: Documents, name: str) -> bytes:
    """Made once for a data directory, so that the links and the tokens it signs outlive a restart."""
    known = await documents.get(f"server/{name}")
    if known is None:
        known = await documents.put(f"server/{name}", secrets.token_bytes(32), expect=0)
    return known.value
