"""What a tree on disk consists of, written down when it was whole: how large it is, whether it is still what it was.

A listing is a file beside its tree. It is written after the tree has its final name and goes before the tree does, so
a tree without one is to be made again. Its own time is when the tree was last used. In threads.
"""

import json
import os
import secrets
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 20
_BLOCK = 4_096
Line = list[str | int]


class OpenMark:
    """A file that is there while something is in use: who finds it at the start was not closed the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self) -> bool:
        """Whether it was there."""
        try:
            self._path.touch(exist_ok=False)
        except FileExistsError:
            return True
        return False

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def write(tree: Path, listing: Path, *, contents: bool) -> int:
    """List a whole tree, with a checksum of each file's `contents` if wanted; answers its bytes on disk."""
    lines = list(_lines(tree, contents=contents))
    size = sum(-(-int(line[2]) // _BLOCK) * _BLOCK + _BLOCK for line in lines)
    body = "\n".join(json.dumps(line) for line in lines).encode()
    head = {"bytes": size, "contents": contents, "check": zlib.crc32(body)}
    temporary = listing.with_name(f"{listing.name}.{secrets.token_hex(8)}")
    temporary.write_bytes(json.dumps(head).encode() + b"\n" + body)
    temporary.replace(listing)
    return size


def size(listing: Path) -> int | None:
    """The bytes on disk of the tree that is listed; None without a listing that can be read."""
    try:
        with listing.open("rb") as file:
            return int(json.loads(file.readline())["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_whole(tree: Path, listing: Path, *, contents: bool) -> bool:
    """Whether everything is as it was listed: names, kinds, rights, sizes and times; if wanted, `contents` too, as far
    as they were listed.
    """
    try:
        head, _, body = listing.read_bytes().partition(b"\n")
        told = json.loads(head)
        if zlib.crc32(body) != told["check"]:
            return False
        listed = [json.loads(line) for line in body.split(b"\n")] if body else []
        deep = contents and bool(told["contents"])
        found = list(_lines(tree, contents=deep))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if not deep:
        listed = [line[:5] for line in listed]
        found = [line[:5] for line in found]
    return listed == found


def _lines(tree: Path, *, contents: bool) -> Iterator[Line]:
    """Path, mode, size, time, where a link leads, and the checksum of a file's content (0 where it is not wanted)."""
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(tree / folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            told = entry.stat(follow_symlinks=False)
            is_file = stat.S_ISREG(told.st_mode)
            if stat.S_ISDIR(told.st_mode):
                folders.append(path)
            yield [
                path,
                told.st_mode,
                told.st_size if is_file else 0,
                told.st_mtime_ns if is_file else 0,
                str(Path(entry.path).readlink()) if entry.is_symlink() else "",
                _checksum(entry.path) if contents and is_file else 0,
            ]


def _checksum(path: str) -> int:
    value = 0
    with Path(path).open("rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            value = zlib.crc32(piece, value)
    return value
