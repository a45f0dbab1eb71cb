"""From a layer's tar to a tree of its own, and to what it takes away from the layers below.

Nothing that a layer says leads out of its tree: names that are absolute or climb are refused, links are followed inside
the tree only, and nothing is written through one. Owners, extended attributes, devices and the bits for another's
rights (setuid, setgid, sticky) are left out: in an environment everything belongs to root, who is not there.
"""

import errno
import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pasture.images import inside, tar_stream
from pasture.images.errors import ImageInvalid

WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
# AUFS's own, of no meaning to others.
_RESERVED = ".wh..wh."
_CHUNK = 1 << 18
_ENTRIES_MAX = 1_000_000
_NAME_MAX = 2_048
_DEPTH_MAX = 256
OF_THE_NAME = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ, errno.EINVAL})
_SPECIAL = {tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}


@dataclass(slots=True)
class LayerTree:
    """What a layer is beside its tree. Paths are relative, in the form of `a/b`."""

    removed: list[str] = field(default_factory=list)
    """What the layers below may have there goes."""
    opaque: list[str] = field(default_factory=list)
    """What the layers below have inside this directory goes."""
    implied: list[str] = field(default_factory=list)
    """Directories that the layer only has something in: where a layer below has a link to one, that is meant."""
    size: int = 0
    """Of its tar, in bytes."""


class Allowance:
    """How much may yet be unpacked, of all layers of an image together."""

    def __init__(self, bytes_max: int) -> None:
        self._max = bytes_max
        self._left = bytes_max

    def close(self) -> None:
        """There is no more: whoever goes on is to end."""
        self._left = 0

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ImageInvalid(f"unpacked it has more than {self._max} bytes")


def unpack(blob: Path, compression: str, into: Path, allowance: Allowance) -> tuple[str, LayerTree]:
    """Into an empty directory; answers the diff ID of what came. Blocks. Raises ImageInvalid, or the disk's OSError."""
    with tar_stream.opened(blob, compression, allowance.take) as stream:
        unpacking = _Unpacking(into)
        for number, (member, content) in enumerate(tar_stream.members(stream)):
            if number >= _ENTRIES_MAX:
                raise ImageInvalid(f"a layer has more than {_ENTRIES_MAX} entries")
            unpacking.take(member, content)
        digest = stream.finish()
        unpacking.layer.size = stream.tell()
    unpacking.finish()
    return digest, unpacking.layer


class _Unpacking:
    """Mutable state: the tree on disk, `layer`, and the modes and times that directories get when all is in them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directories: dict[Path, tuple[int, float]] = {}
        self._implied: set[Path] = set()
        self.layer = LayerTree()

    def take(self, member: tarfile.TarInfo, content: Callable[[], IO[bytes]]) -> None:
        parts = _parts(member.name, "name")
        if not parts:
            if member.isdir():
                self._directories[self._root] = _mode(member.mode, directory=True), member.mtime
            return
        name = parts[-1]
        if name.startswith(_RESERVED) and name != _OPAQUE:
            return
        try:
            parent = self._parent(parts[:-1])
            if name.startswith(WHITEOUT):
                self._white_out(parent, name)
            else:
                self._make(parent / name, member, content)
        except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
            raise ImageInvalid(f"its entry {member.name!r} does not go with those before it") from error
        except OSError as error:
            if error.errno in OF_THE_NAME:
                raise ImageInvalid(f"its entry {member.name!r} cannot be made: {error.strerror}") from error
            raise

    def finish(self) -> None:
        """Modes last, times after them: what goes into a directory needs the one and changes the other."""
        self.layer.implied = sorted(self._relative(path) for path in self._implied)
        for path, (mode, time) in sorted(self._directories.items(), key=lambda item: len(item[0].parts), reverse=True):
            if inside.is_directory(path):
                path.chmod(mode)
                _set_time(path, time)

    def _parent(self, parts: list[str]) -> Path:
        """Where this directory is; made, where it was not said."""
        parent = inside.located(self._root, parts)
        if len(parent.relative_to(self._root).parts) > _DEPTH_MAX:
            raise ImageInvalid(f"it has directories more than {_DEPTH_MAX} deep")
        missing: list[Path] = []
        here = parent
        while inside.kind(here) is None:
            missing.append(here)
            here = here.parent
        for path in reversed(missing):
            path.mkdir(mode=0o755)
            self._implied.add(path)
        return parent

    def _white_out(self, parent: Path, name: str) -> None:
        if name == _OPAQUE:
            self.layer.opaque.append(self._relative(parent))
            return
        gone = name.removeprefix(WHITEOUT)
        if gone in {"", ".", ".."}:
            raise ImageInvalid(f"its whiteout {name!r} names nothing")
        self.layer.removed.append(self._relative(parent / gone))

    def _make(self, path: Path, member: tarfile.TarInfo, content: Callable[[], IO[bytes]]) -> None:
        if member.isdir():
            self._directory(path, member)
            return
        if member.type in _SPECIAL:
            return
        inside.clear(path)
        self._implied.discard(path)
        if member.issym():
            if not member.linkname or "\0" in member.linkname:
                raise ImageInvalid(f"its link {member.name!r} leads nowhere")
            path.symlink_to(member.linkname)
            _set_time(path, member.mtime)
        elif member.islnk():
            self._link(path, member)
        elif member.isreg() and not member.issparse():
            self._file(path, member, content)
        else:
            raise ImageInvalid(f"its entry {member.name!r} is of the kind {member.type!r}")

    def _directory(self, path: Path, member: tarfile.TarInfo) -> None:
        if not inside.is_directory(path):
            inside.clear(path)
            path.mkdir(mode=0o755)
        self._implied.discard(path)
        self._directories[path] = _mode(member.mode, directory=True), member.mtime

    def _link(self, path: Path, member: tarfile.TarInfo) -> None:
        parts = _parts(member.linkname, "hard link")
        target = inside.located(self._root, parts[:-1]) / parts[-1] if parts else self._root
        mode = inside.kind(target)
        if mode is None or stat.S_ISDIR(mode):
            raise ImageInvalid(f"its hard link {member.name!r} is to {member.linkname!r}, which it does not have")
        os.link(target, path, follow_symlinks=False)

    def _file(self, path: Path, member: tarfile.TarInfo, content: Callable[[], IO[bytes]]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with content() as source:
                shutil.copyfileobj(source, file, _CHUNK)
            if file.tell() != member.size:
                raise ImageInvalid(f"its file {member.name!r} is cut off")
            os.fchmod(file.fileno(), _mode(member.mode))
        _set_time(path, member.mtime)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _parts(name: str, what: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/") or ".." in parts or "\0" in name or len(name) > _NAME_MAX:
        raise ImageInvalid(f"its {what} {name[:200]!r} leads out of it, or is too long")
    return parts


def _mode(mode: int, *, directory: bool = False) -> int:
    """The server itself must be able to read and to remove what it has unpacked."""
    return mode & 0o777 | (0o700 if directory else 0o400)


def _set_time(path: Path, time: float) -> None:
    try:
        os.utime(path, (time, time), follow_symlinks=False)
    except (OverflowError, ValueError):
        return
