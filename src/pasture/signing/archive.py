"""Where a signature is in a zip archive, and which bytes it is for: all the others.

A signed archive is, in this order,

    entries                     as they were before, byte for byte
    the signature's entry       stored, at META_INF/, under one possible header
    directory                   as it was before, byte for byte
    the signature's record      one possible form
    end of the directory        one possible form, without a comment

so any zip tool opens it. Nothing in it is free: what is signed is covered by the digest, and the rest is built again
from the signature and compared. So no bit can be changed, and no entry added, removed, renamed, doubled or moved,
without the signature failing. (AWS Signer's own form joins names and contents without saying where they part, and
covers neither modes nor links; see docs/decisions/0011-code-signing.md.)
"""

import hashlib
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from pasture.signing.errors import Tampered, Unsignable

NAME = "META_INF/pasture_signer_signature_v1.json"
"""Of the signature's entry."""

_NAME = NAME.encode()
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_RECORD = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_LOCAL_MAGIC, _RECORD_MAGIC, _END_MAGIC = 0x04034B50, 0x02014B50, 0x06054B50

_ENVELOPE_MAX = 64 * 1024
_DIRECTORY_MAX = 64 * 1024 * 1024
_COMMENT_MAX = 0xFFFF
_ENTRIES_MAX = 0xFFFE
"""What the plain form of the format can count, and one for the signature."""
_OFFSET_MAX = 0xFFFF_FFFE
_CHUNK = 1024 * 1024
_DATE = 0x21  # 1 January 1980: what is signed has no date beside the one in the signature
_MADE_BY = 3 << 8 | 20
_MODE = 0o100644 << 16

# What the standard library raises over a broken archive.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Body:
    """What a signature is for: the first `size` bytes of a file, and its directory without the signature's record."""

    size: int
    directory: bytes
    count: int
    """Of the entries in the directory."""


@dataclass(frozen=True, slots=True)
class Signed:
    body: Body
    envelope: bytes
    """What the signature's entry holds."""


def read_unsigned(file: BinaryIO) -> Body:
    """Raises Unsignable."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            end = _find_end(file)
    except _BROKEN as error:
        raise Unsignable("it is no zip archive, or a broken one") from error
    if NAME in names:
        raise Unsignable("it has a signature already")
    if not names:
        raise Unsignable("it is empty")
    count, size, offset = end[4], end[5], end[6]
    if count > _ENTRIES_MAX or offset + size > _OFFSET_MAX or size > _DIRECTORY_MAX:
        raise Unsignable("it is larger than the plain form of the format holds")
    directory = _read(file, offset, size)
    if _count(directory) != count or count != len(names):
        raise Unsignable("something stands before its first entry, or its directory is damaged")
    return Body(offset, directory, count)


def read_signed(file: BinaryIO) -> Signed | None:
    """None for an archive without a signature's entry. Raises Tampered."""
    try:
        with zipfile.ZipFile(file) as archive:
            times = archive.namelist().count(NAME)
    except _BROKEN:
        return None  # no tool finds a signature in it, and nothing unpacks it
    if not times:
        return None
    if times > 1:
        raise Tampered("two signatures")
    try:
        return _read_signed(file)
    except (struct.error, EOFError) as error:
        raise Tampered("it ends too early") from error


def tail(envelope: bytes, body: Body) -> bytes:
    """All that follows the first `body.size` bytes of the signed archive."""
    checksum = zlib.crc32(envelope)
    sizes = (checksum, len(envelope), len(envelope), len(_NAME), 0)
    local = _LOCAL.pack(_LOCAL_MAGIC, 10, 0, 0, 0, _DATE, *sizes) + _NAME
    record = _RECORD.pack(_RECORD_MAGIC, _MADE_BY, 10, 0, 0, 0, _DATE, *sizes, 0, 0, 0, _MODE, body.size) + _NAME
    count, size = body.count + 1, len(body.directory) + len(record)
    end = _END.pack(_END_MAGIC, 0, 0, count, count, size, body.size + len(local) + len(envelope), 0)
    return b"".join((local, envelope, body.directory, record, end))


def digest(file: BinaryIO, body: Body) -> str:
    """The hex SHA-256 of all that a signature is for, with where its parts part."""
    sha256 = hashlib.sha256(struct.pack(">QQQ", body.size, len(body.directory), body.count))
    file.seek(0)
    left = body.size
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise Tampered("it ends too early")
        sha256.update(chunk)
        left -= len(chunk)
    sha256.update(body.directory)
    return sha256.hexdigest()


def _read_signed(file: BinaryIO) -> Signed:
    length = file.seek(0, os.SEEK_END)
    end = _END.unpack(_read(file, length - _END.size, _END.size))
    size, offset = end[5], end[6]
    record_size = _RECORD.size + len(_NAME)
    if end[0] != _END_MAGIC or offset + size + _END.size != length or not record_size <= size <= _DIRECTORY_MAX:
        raise Tampered("its directory is not where a signed archive has it")
    directory = _read(file, offset, size)
    record = _RECORD.unpack_from(directory, size - record_size)
    body_size, envelope_size = record[16], record[9]
    if envelope_size > _ENVELOPE_MAX or body_size + _LOCAL.size + len(_NAME) + envelope_size != offset:
        raise Tampered("its last entry is not the signature")
    signed = Signed(
        Body(body_size, directory[:-record_size], end[4] - 1), _read(file, offset - envelope_size, envelope_size)
    )
    if _read(file, body_size, length - body_size) != tail(signed.envelope, signed.body):
        raise Tampered("what is around the signature was changed")
    return signed


def _find_end(file: BinaryIO) -> tuple[int, ...]:
    """The end record, behind which there may be a comment. Raises EOFError, struct.error."""
    length = file.seek(0, os.SEEK_END)
    start = max(0, length - _END.size - _COMMENT_MAX)
    last = _read(file, start, length - start)
    at = last.rfind(struct.pack("<I", _END_MAGIC))
    if at < 0:
        raise EOFError
    return _END.unpack_from(last, at)


def _count(directory: bytes) -> int:
    """How many records fill a directory; -1 when they do not."""
    at = count = 0
    while at < len(directory):
        if at + _RECORD.size > len(directory):
            return -1
        record = _RECORD.unpack_from(directory, at)
        if record[0] != _RECORD_MAGIC:
            return -1
        at += _RECORD.size + record[10] + record[11] + record[12]
        count += 1
    return count if at == len(directory) else -1


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    """Raises EOFError."""
    if offset < 0:
        raise EOFError
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data
