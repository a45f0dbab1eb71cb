"""A directory as a deployment package: the same files always give the same bytes, and so the same CodeSha256."""

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pasture.kit.errors import OperatorError

# The oldest date that the format knows: what is packed has no date of its own.
_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_SKIPPED = frozenset({"__pycache__", ".git"})


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    mode: int
    """As `st_mode`: kind and permissions."""
    source: Path


def read_package(code: Path) -> bytes:
    """The zip that `--code` means: a directory is packed, a zip file is taken as it is. Raises OperatorError."""
    if code.is_dir():
        return pack(code)
    if not code.exists():
        raise OperatorError(f"There is no {code}.", "--code names a directory or a zip file.")
    if not zipfile.is_zipfile(code):
        raise OperatorError(f"{code} is no zip file.", "--code names a directory, all of which is packed, or a zip.")
    return code.read_bytes()


def pack(directory: Path) -> bytes:
    """Everything in the directory but byte code and git's own files, with its permissions. Raises OperatorError."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for entry in sorted(_entries(directory), key=lambda entry: entry.name):
            archive.writestr(_info(entry), _content(entry))
        if not archive.namelist():
            raise OperatorError(f"{directory} is empty.", "--code names the directory with the function's code.")
    return packed.getvalue()


def _entries(root: Path) -> Iterator[_Entry]:
    yield from _below(root, root, PurePosixPath(), frozenset({root.resolve()}))


def _below(root: Path, directory: Path, at: PurePosixPath, above: frozenset[Path]) -> Iterator[_Entry]:
    """What is in one directory, at any depth; `above` are the real directories on the way, so that no link loops."""
    for path in directory.iterdir():
        if path.name in _SKIPPED:
            continue
        name = at / path.name
        if path.is_symlink() and _leads_inside(root, path, name):
            yield _Entry(str(name), stat.S_IFLNK | 0o777, path)
        elif path.is_dir():
            real = path.resolve()
            if real in above:
                raise OperatorError(f"{path} links to a directory that it is in.", "Remove the link.")
            yield from _below(root, path, name, above | {real})
        elif path.is_file():
            yield _Entry(str(name), path.stat().st_mode, path)
        elif path.is_symlink():
            raise OperatorError(f"{path} links to {path.readlink()}, which is not there.", "Mend or remove the link.")
        # Sockets, pipes and devices are no code.


def _leads_inside(root: Path, link: Path, name: PurePosixPath) -> bool:
    """Whether a link can stay a link: any other is packed as what it leads to."""
    target = str(link.readlink())
    if target.startswith("/") or os.path.normpath(name.parent / target).startswith(".."):
        return False
    return link.exists() and link.resolve().is_relative_to(root.resolve())


def _info(entry: _Entry) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(entry.name, _DATE)
    info.create_system = _UNIX
    info.external_attr = entry.mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _content(entry: _Entry) -> bytes:
    return os.fsencode(entry.source.readlink()) if stat.S_ISLNK(entry.mode) else entry.source.read_bytes()
