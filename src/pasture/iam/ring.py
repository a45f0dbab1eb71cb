"""Named things in one JSON file that every process of this server may change.

A change takes the lock, reads, writes a temporary file beside, fsyncs it and renames it:
a reader sees the old file or the new one. A look-up asks whether the file that was read, which stays open, is
still what it was; one that was replaced has lost its name. So a running server knows what another process made
at once.
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
        self._file = -1
        self._seen: tuple[int, int, int, int] | None = None
        """What the open file was like when it was read; None when it is to be read again."""
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
            items = self._decode(self._path.read_bytes()) if self._path.exists() else {}
            yield items
            self._write(items)

    def _refresh(self) -> None:
        if self._seen is not None and _look(self._file) == self._seen:
            return
        self._forget()
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._items = {}
            return
        seen = _look(self._file)
        with os.fdopen(os.dup(self._file), "rb") as stream:
            self._items = self._decode(stream.read())
        self._seen = seen

    def _forget(self) -> None:
        self._seen = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self._forget()

    def _decode(self, text: bytes) -> dict[str, Item]:
        form = self._form
        try:
            content = form.decoder.decode(text)
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


def _look(file: int) -> tuple[int, int, int, int]:
    """Changes when the file is written to, replaced, renamed or removed."""
    status = os.fstat(file)
    return status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns
