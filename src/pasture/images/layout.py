"""Images on this machine's disk: an OCI image layout, as a directory or in a tar. `docker save` writes the second, or
what `saved` reads.

Only below the directories that the operator's settings allow: who calls the API is not to read the server's files.
"""

import asyncio
import io
import json
import tarfile
from pathlib import Path
from typing import IO, Any

from pasture.images import saved
from pasture.images.errors import ImageDenied, ImageInvalid, ImageNotFound
from pasture.images.manifest import OCI_INDEX, Blob
from pasture.images.options import ImageOptions
from pasture.images.reference import Reference
from pasture.images.registry import MANIFEST_BYTES
from pasture.images.source import CHUNK, Write

_NAME = "org.opencontainers.image.ref.name"


class Layouts:
    def __init__(self, options: ImageOptions) -> None:
        self._directories = options.directories

    async def manifest(self, reference: Reference) -> tuple[bytes, str]:
        return await asyncio.to_thread(self._manifest, reference)

    async def fetch(self, reference: Reference, blob: Blob, write: Write) -> None:
        with await asyncio.to_thread(self._open, reference, _path(blob.digest)) as file:
            while piece := await asyncio.to_thread(file.read, CHUNK):
                await write(piece)

    # In threads...

    def _manifest(self, reference: Reference) -> tuple[bytes, str]:
        if reference.digest:
            return self._read(reference, _path(reference.digest)), ""
        index = self._read(reference, "index.json")
        named = [entry for entry in _entries(index) if not reference.tag or _is_named(entry, reference.tag)]
        if not named:
            raise ImageNotFound("the layout has nothing of that name")
        if len(named) > 1:
            return index, OCI_INDEX  # of several platforms: the index says which is for whom
        return self._read(reference, _path(str(named[0].get("digest")))), str(named[0].get("mediaType") or "")

    def _read(self, reference: Reference, name: str) -> bytes:
        with self._open(reference, name) as file:
            content = file.read(MANIFEST_BYTES + 1)
        if len(content) > MANIFEST_BYTES:
            raise ImageInvalid(f"{name} has more than {MANIFEST_BYTES} bytes")
        return content

    def _open(self, reference: Reference, name: str) -> "_Opened":
        path = self._allowed(reference.repository)
        try:
            if reference.transport == "oci":
                file = (path / name).open("rb")
                return _Opened(file, file)
            return _in_archive(path, name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, KeyError) as error:
            raise ImageNotFound(f"{name} is not there") from error
        except PermissionError as error:
            raise ImageDenied("the server may not read it") from error
        except (tarfile.TarError, EOFError) as error:
            raise ImageInvalid("it is no tar") from error

    def _allowed(self, path: str) -> Path:
        real = Path(path).resolve()
        if not any(real.is_relative_to(Path(directory).resolve()) for directory in self._directories):
            raise ImageDenied("it is outside of the directories that the setting image_directories names")
        return real


class _Opened:
    """A file, and what is to be closed with it."""

    def __init__(self, file: IO[bytes], owner: "IO[bytes] | tarfile.TarFile") -> None:
        self._file = file
        self._owner = owner

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *_error: object) -> None:
        self._owner.close()


def _in_archive(path: Path, name: str) -> _Opened:
    archive = tarfile.open(path, "r:")  # noqa: SIM115  closed with the file in it
    try:
        found: bytes | tarfile.TarInfo
        try:
            found = archive.getmember(name)
        except KeyError:
            found = saved.content(archive, name, MANIFEST_BYTES)
    except BaseException:
        archive.close()
        raise
    if isinstance(found, bytes):
        return _Opened(io.BytesIO(found), archive)
    file = archive.extractfile(found) if found.isreg() else None
    return _Opened(file or io.BytesIO(), archive)


def _entries(index: bytes) -> list[dict[str, Any]]:
    try:
        entries = json.loads(index)["manifests"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ImageInvalid("its index.json has no list of manifests") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ImageInvalid("its index.json has no list of manifests")
    return entries


def _is_named(entry: dict[str, Any], tag: str) -> bool:
    annotations = entry.get("annotations")
    return isinstance(annotations, dict) and annotations.get(_NAME) == tag


def _path(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or not value.isalnum():
        raise ImageInvalid(f"{digest!r} is no digest")
    return f"blobs/{algorithm}/{value}"
