"""The tar in a layer: decompressed, hashed and counted as it is read, once, from the beginning to the end.

It is what somebody else has made: neither what it says of its sizes nor what it unpacks to is believed.
"""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

from pasture.images.errors import ImageInvalid

# Of what tarfile reads as a whole: headers that are extended, and names that are long.
_HEADER_BYTES = 1 << 20
_STEP = 1 << 18
# zstd's own default for what a stream may ask for is less; "long" archives ask for this.
_ZSTD_WINDOW = 1 << 27


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class TarStream:
    """What tarfile needs of a file, forward only. `take` is told of every piece, and may raise."""

    def __init__(self, source: Readable, take: Callable[[int], None]) -> None:
        self._source = source
        self._take = take
        self._digest = hashlib.sha256()
        self._position = 0

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise ImageInvalid("one of its headers is too large")
        pieces = bytearray()
        while len(pieces) < size and (piece := self._source.read(size - len(pieces))):
            pieces += piece
        self._position += len(pieces)
        self._digest.update(pieces)
        self._take(len(pieces))
        return bytes(pieces)

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise ImageInvalid("it cannot be read from the beginning to the end")
        while self._position < position and self.read(min(_STEP, position - self._position)):
            pass

    def finish(self) -> str:
        """The digest of everything, what comes behind the end of the archive included."""
        while self.read(_STEP):
            pass
        return f"sha256:{self._digest.hexdigest()}"


@contextmanager
def opened(blob: Path, compression: str, take: Callable[[int], None]) -> Iterator[TarStream]:
    """Raises ImageInvalid for what is not compressed as it should be, in here and from within."""
    with blob.open("rb") as file:
        try:
            yield TarStream(_decompressed(file, compression), take)
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError, ValueError) as error:
            raise ImageInvalid(f"it is no {compression or 'plain'} tar: {error}") from error


def members(stream: TarStream) -> Iterator[tuple[tarfile.TarInfo, Callable[[], IO[bytes]]]]:
    """Every member, and how its content is read, which must be done before the next."""
    archive = tarfile.TarFile(fileobj=cast("IO[bytes]", stream), encoding="utf-8", errors="surrogateescape")
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # a layer may have hundreds of thousands

        def content(member: tarfile.TarInfo = member) -> IO[bytes]:
            file = archive.extractfile(member)
            assert file is not None
            return file

        yield member, content


def _decompressed(file: IO[bytes], compression: str) -> Readable:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file)
    if compression == "zstd":
        return _zstd(file)
    return file


def _zstd(file: IO[bytes]) -> Readable:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(file, read_across_frames=True)

    class Reader:
        def read(self, size: int, /) -> bytes:
            try:
                return reader.read(size)
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from error

    return Reader()
