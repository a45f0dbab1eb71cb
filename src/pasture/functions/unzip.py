"""Unpacks a zip that may mean harm. What it says about itself is not believed; every answer is AWS's.

An archive is refused as a whole when one entry would leave its directory (by name or through a symbolic link), be
anything but a file, a directory or a link, collide with another, or share bytes with another; when it is encrypted or
compressed in an uncommon way; and when what really comes out exceeds the limit. Nothing is written through a link:
links are made last.
"""

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pasture.domain.errors import InvalidParameterValue

ENTRIES_MAX = 100_000
"""Files, directories and links, those directories included that are only implied. AWS names no number."""
LINKS_FOLLOWED_MAX = 40
"""As many as the kernel follows."""
LINK_STEPS_MAX = 1_000_000
"""Parts of names, over all links: an archive of long links to long links would be walked for hours."""

_CHUNK = 256 * 1024
_NAME_MAX = 255
_PATH_MAX = 1_024
_LINK_MAX = 4_095
_UNIX = 3
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# The beginning of what zip can say about time: every tree of a package is the same, whenever it is unpacked.
_TIME = 315_532_800

# What the standard library raises over a broken archive.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, RuntimeError)


class _Refused(Exception):
    """Why, for whoever reads the traceback; the client is told what AWS says."""


@dataclass(slots=True)
class _Plan:
    """What the archive holds, by path in the tree, once all of it has been found harmless."""

    directories: set[tuple[str, ...]] = field(default_factory=set)
    files: dict[tuple[str, ...], zipfile.ZipInfo] = field(default_factory=dict)
    links: dict[tuple[str, ...], str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.directories) + len(self.files) + len(self.links)


def unzip(package: bytes | Path, into: Path, limit: int, entries_max: int = ENTRIES_MAX) -> None:
    """Unpack a zip, or the file with one, into an empty directory; on failure that holds whatever had come so far.

    Raises InvalidParameterValue.
    """
    try:
        with _stream(package) as stream, _opened(stream, entries_max) as archive:
            _write(archive, _planned(archive, entries_max), into, limit)
    except (_Refused, *_BROKEN) as error:
        raise InvalidParameterValue(
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        ) from error


def _stream(package: bytes | Path) -> BinaryIO:
    return io.BytesIO(package) if isinstance(package, bytes) else package.open("rb")


def _opened(stream: BinaryIO, entries_max: int) -> zipfile.ZipFile:
    """Names are UTF-8, flagged as such or not, as most tools write them; otherwise what the format's age says."""
    if _count(stream, b"PK\1\2") > 2 * entries_max:  # before a directory of millions is read into memory
        raise _Refused("too many entries")
    try:
        return zipfile.ZipFile(stream, metadata_encoding="utf-8")
    except UnicodeDecodeError:
        return zipfile.ZipFile(stream)


def _count(stream: BinaryIO, what: bytes) -> int:
    found, rest = 0, b""
    while chunk := stream.read(_CHUNK):
        found += (rest + chunk).count(what)
        rest = (rest + chunk)[-len(what) + 1 :]
    return found


# What is in it...


def _planned(archive: zipfile.ZipFile, entries_max: int) -> _Plan:
    entries = archive.infolist()
    if not entries:
        raise InvalidParameterValue("Uploaded file must be a non-empty zip")
    if len(entries) > entries_max:
        raise _Refused(f"{len(entries)} entries")
    _refuse_overlaps(entries, archive.start_dir)
    plan = _Plan()
    for entry in entries:
        _place(archive, entry, plan)
        if len(plan) > entries_max:
            raise _Refused("too many entries, with the directories they imply")
    _refuse_collisions(plan)
    steps = LINK_STEPS_MAX
    for path in plan.links:
        steps = _walk(path, plan.links, steps)
    return plan


def _refuse_overlaps(entries: list[zipfile.ZipInfo], end: int) -> None:
    """Bytes that several entries share make a small archive unpack to a large tree, many times over."""
    beyond = end
    for entry in sorted(entries, key=lambda entry: entry.header_offset, reverse=True):
        if entry.header_offset + entry.compress_size + _LOCAL_HEADER > beyond:
            raise _Refused(f"{entry.filename!r} shares bytes with another entry")
        beyond = entry.header_offset


def _place(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, plan: _Plan) -> None:
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _COMPRESSIONS:
        raise _Refused(f"{entry.filename!r} is encrypted or compressed by method {entry.compress_type}")
    path = _safe_path(entry.orig_filename)
    kind = stat.S_IFMT(_mode(entry))
    _add_directories(path[:-1], plan)
    if entry.orig_filename.endswith("/"):
        if kind not in {0, stat.S_IFDIR}:
            raise _Refused(f"{entry.filename!r} is a directory by name and none by its mode")
        _add_directories(path, plan)
    elif not path or path in plan.files or path in plan.links:
        raise _Refused(f"{entry.filename!r} is there twice")
    elif kind == stat.S_IFLNK:
        plan.links[path] = _link_target(archive, entry)
    elif kind in {0, stat.S_IFREG}:
        plan.files[path] = entry
    else:
        raise _Refused(f"{entry.filename!r} is neither file, directory nor link")


def _add_directories(path: tuple[str, ...], plan: _Plan) -> None:
    """With its parents, which are all there when it is."""
    while path and path not in plan.directories:
        plan.directories.add(path)
        path = path[:-1]


def _safe_path(name: str) -> tuple[str, ...]:
    """The parts of a name; `./` and doubled slashes, which some tools write, mean nothing."""
    if name.startswith("/") or "\\" in name or "\0" in name or len(name.encode()) > _PATH_MAX:
        raise _Refused(f"bad name {name!r}")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts or any(len(part.encode()) > _NAME_MAX for part in parts):
        raise _Refused(f"bad name {name!r}")
    return parts


def _mode(entry: zipfile.ZipInfo) -> int:
    return entry.external_attr >> 16 if entry.create_system == _UNIX else 0


def _link_target(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    with archive.open(entry) as content:
        target = content.read(_LINK_MAX + 1)
        if not target or len(target) > _LINK_MAX or b"\0" in target or target.startswith(b"/"):
            raise _Refused(f"{entry.filename!r} links to {target[:80]!r}")
    return target.decode()


def _refuse_collisions(plan: _Plan) -> None:
    for path in plan.directories:
        if path in plan.files or path in plan.links:
            raise _Refused(f"{'/'.join(path)!r} is a directory and something else")


def _walk(link: tuple[str, ...], links: Mapping[tuple[str, ...], str], steps: int) -> int:
    """Go where a link leads as the kernel would, through other links, and never above the top.

    Answers how many of the `steps` for all links are left.
    """
    at = list(link[:-1])
    ahead = links[link].split("/")[::-1]
    followed = 0
    while ahead:
        part = ahead.pop()
        steps -= 1
        if steps < 0:
            raise _Refused("the links lead too far altogether")
        if part in {"", "."}:
            continue
        if part == "..":
            if not at:
                raise _Refused(f"{'/'.join(link)!r} leads out of the package")
            at.pop()
            continue
        at.append(part)
        if len(at) > _PATH_MAX:
            raise _Refused(f"{'/'.join(link)!r} leads too deep")
        if (target := links.get(tuple(at))) is not None:
            followed += 1
            if followed > LINKS_FOLLOWED_MAX:
                raise _Refused(f"{'/'.join(link)!r} leads in a circle")
            at.pop()
            ahead.extend(target.split("/")[::-1])
    return steps


# Onto the disk...


def _write(archive: zipfile.ZipFile, plan: _Plan, into: Path, limit: int) -> None:
    """Parents before children, links last, and directory times when nothing more goes into them."""
    for path in sorted(plan.directories):
        into.joinpath(*path).mkdir()
    left = limit
    for path, entry in plan.files.items():
        left -= _write_file(archive, entry, into.joinpath(*path), left)
        if left < 0:
            raise InvalidParameterValue(f"Unzipped size must be smaller than {limit} bytes")
    for path, target in plan.links.items():
        link = into.joinpath(*path)
        link.symlink_to(target)
        os.utime(link, (_TIME, _TIME), follow_symlinks=False)
    for path in sorted(plan.directories, reverse=True):
        _settle(into.joinpath(*path), 0o755)
    _settle(into, 0o755)


def _write_file(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path, limit: int) -> int:
    """Answers how many bytes really came, having stopped soon after `limit`."""
    size = 0
    with archive.open(entry) as content, to.open("xb") as file:
        while size <= limit and (chunk := content.read(_CHUNK)):
            size += file.write(chunk)
    _settle(to, 0o755 if _mode(entry) & 0o111 else 0o644)
    return size


def _settle(path: Path, mode: int) -> None:
    """Readable by everyone, writable by the owner alone: environments run as other users."""
    path.chmod(mode)
    os.utime(path, (_TIME, _TIME))
