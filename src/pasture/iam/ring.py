"""Named things in one JSON file that every process of this server may change.

A change takes the lock, reads, writes a temporary file beside, fsyncs it and renames it:
a reader sees the old file or the new one. A look-up asks the file system whether the file is
another one than before; so a running server knows what another process made at once.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from pasture.kit.errors import OperatorError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Form(Generic[Item]):
    """What the file holds: `{member: [item, …]}`."""

    member: str
    what: str
    """In an operator's words: "access keys"."""
    decoder: msgspec.json.Decoder[dict[str, list[Item]]]
    name: Callable[[Item], str]
    """Tells the items apart."""


class Ring(Generic[Item]):
    def __init__(self, path: Path, form: Form[Item]) -> None:
        self._path = path
        self._form = form
        self._seen: tuple[int, int, int] | None = None
        self._items: dict[str, Item] = {}

    def __repr__(self) -> str:
        return f"Ring({self._path}, {len(self.items())} {self._form.what})"

    def get(self, name: str) -> Item | None:
        self._refresh()
        return self._items.get(name)

    def items(self) -> list[Item]:
        self._refresh()
        return list(self._items.values())

    @contextmanager
    def changing(self) -> Iterator[dict[str, Item]]:
        """The items as they are, by name, to be changed in place; written when the block ends well."""
        with self._locked():
            items = self._read() if self._path.exists() else {}
            yield items
            self._write(items)

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen, self._items = None, {}
            return
        identity = (status.st_ino, status.st_mtime_ns, status.st_size)
        if identity != self._seen:
            self._items = self._read()
            self._seen = identity

    def _read(self) -> dict[str, Item]:
        form = self._form
        try:
            content = form.decoder.decode(self._path.read_bytes())
            return {form.name(item): item for item in content[form.member]}
        except (msgspec.MsgspecError, KeyError) as error:
            reason = f"it has no '{form.member}'" if isinstance(error, KeyError) else str(error)
            raise OperatorError(
                f"cannot read the {form.what} in {self._path}: {reason}.", "Mend the file or move it away."
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The lock is a file of its own: the file of the items is replaced, and a lock goes with its inode.
        lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, items: dict[str, Item]) -> None:
        temporary = self._path.with_name(self._path.name + ".new")
        temporary.unlink(missing_ok=True)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            content = msgspec.json.encode({self._form.member: list(items.values())})
            stream.write(msgspec.json.format(content) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
