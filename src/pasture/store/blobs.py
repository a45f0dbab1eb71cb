"""Code packages and layers: files named by their SHA-256.

A blob is written under a temporary name, made durable, and renamed into place: under its
own name it is whole or not there. Two writers of the same bytes do no harm.
"""

import asyncio
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = "temporary"


class Blobs:
    """`<directory>/ab/cd/abcd…`. A blob is never changed, so its path may be opened, mounted or served."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._temporary = directory / _TEMPORARY

    def __repr__(self) -> str:
        return f"Blobs({self._directory})"

    async def put(self, data: bytes) -> str:
        """Returns the hex SHA-256 once the bytes are durable. Putting what is there already writes nothing."""
        return await asyncio.to_thread(self._put, data)

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[Path]:
        """An empty file to write what comes bit by bit into; it goes at the end, unless it was kept."""
        path = self._temporary / secrets.token_hex(16)
        try:
            await asyncio.to_thread(self._make_empty, path)
            yield path
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def keep(self, path: Path, sha256: str) -> None:
        """As `put`, of a file that was received whole; `sha256` is its own."""
        await asyncio.to_thread(self._keep, path, self.path(sha256))

    async def delete(self, sha256: str) -> bool:
        """False when there was none."""
        return await asyncio.to_thread(self._delete, self.path(sha256))

    async def exists(self, sha256: str) -> bool:
        return await asyncio.to_thread(self.path(sha256).is_file)

    async def sizes(self) -> Mapping[str, int]:
        """Bytes of every blob."""
        return await asyncio.to_thread(self._sizes)

    async def clear_temporary(self) -> int:
        """Remove what a crash left half written; call it before the first `put`. Returns how many."""
        return await asyncio.to_thread(self._clear_temporary)

    def path(self, sha256: str) -> Path:
        """Where the blob is or would be. Raises ValueError on anything but a hex SHA-256: a name is never a path."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"not a SHA-256 in lower-case hex: {sha256!r}")
        return self._directory / sha256[:2] / sha256[2:4] / sha256

    def _put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        if not path.is_file():
            self._write(data, path)
        self._sync_above(path)
        return sha256

    @staticmethod
    def _make_empty(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600, exist_ok=False)

    def _keep(self, received: Path, path: Path) -> None:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            received.chmod(0o444)
            _sync(received)
            received.rename(path)
        self._sync_above(path)

    def _sync_above(self, path: Path) -> None:
        """Also when it was there: whoever wrote it may have been killed before this."""
        for directory in (path.parent, path.parent.parent, self._directory):
            _sync(directory, os.O_DIRECTORY)

    def _write(self, data: bytes, path: Path) -> None:
        self._temporary.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._temporary, delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
                Path(file.name).rename(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    @staticmethod
    def _delete(path: Path) -> bool:
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        _sync(path.parent, os.O_DIRECTORY)
        return True

    def _sizes(self) -> dict[str, int]:
        return {
            path.name: path.stat().st_size for path in self._directory.glob("??/??/*") if _SHA256.fullmatch(path.name)
        }

    def _clear_temporary(self) -> int:
        leftovers = list(self._temporary.glob("*"))
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)


def _sync(path: Path, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
