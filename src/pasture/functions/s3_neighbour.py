"""Objects of the S3 that is a neighbour, fetched into files: what `s3` does for an S3 of its own settings."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pasture.domain.errors import ApiError, InvalidParameterValue
from pasture.domain.scope import Scope
from pasture.functions.s3 import S3Object, out_of_reach, refusal
from pasture.neighbours.caller import NeighbourUnreachable, NoNeighbour
from pasture.neighbours.client import Neighbours
from pasture.neighbours.connections import failures, send

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_PIECE = 256 * 1024
_ERROR_BYTES = 64 * 1024


class NeighbourS3:
    """As `s3.S3`: an object larger than `bytes_max` is refused, one that takes longer than `seconds_max` given up."""

    def __init__(self, neighbours: Neighbours, bytes_max: int, *, seconds_max: float = 120.0) -> None:
        self._neighbours = neighbours
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max

    async def fetch(self, wanted: S3Object, scope: Scope, into: Path) -> None:
        """Write the object into this empty file. Raises ApiError; OSError when the file cannot be written."""
        directory, connections = self._neighbours.directory, self._neighbours.connections
        where = f"/{wanted.bucket}/{quote(wanted.key, safe='/~')}"
        if wanted.version is not None:
            where += f"?versionId={quote(wanted.version, safe='')}"
        try:
            target = await directory.find("s3", scope)
            session = await connections.open(directory.socket if target.is_embedded else None)
            headers = await target.sign("GET", where, {})
            async with (
                asyncio.timeout(self._seconds_max),
                send(session, "GET", target.url + where, headers, None) as answer,
            ):
                if answer.status != 200:
                    raise await self._refusal(answer, wanted)
                await self._write(answer, into)
        except TimeoutError as error:
            raise out_of_reach(f"it takes longer than {self._seconds_max:g} seconds") from error
        except (NoNeighbour, NeighbourUnreachable) as error:
            raise out_of_reach(str(error)) from error
        except failures() as error:
            raise out_of_reach("it cannot be reached") from error

    async def _write(self, answer: "ClientResponse", into: Path) -> None:
        self._check_size(int(answer.headers.get("Content-Length") or 0))
        size = 0
        with into.open("r+b") as file:
            async for piece in answer.content.iter_chunked(_PIECE):
                size += len(piece)
                self._check_size(size)
                await asyncio.to_thread(file.write, piece)

    async def _refusal(self, answer: "ClientResponse", wanted: S3Object) -> ApiError:
        body = await answer.content.read(_ERROR_BYTES)
        wire = await self._neighbours.models.wire("s3")
        headers: Mapping[str, str] = {name.lower(): value for name, value in answer.headers.items()}
        told = wire.read("GetObject", answer.status, headers, body).get("Error", {})
        return refusal(told, answer.status, headers, wanted)

    def _check_size(self, size: int) -> None:
        if size > self._bytes_max:
            raise InvalidParameterValue(f"Unzipped size must be smaller than {self._bytes_max} bytes")
