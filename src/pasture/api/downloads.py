"""Links to deployment packages, as `GetFunction` and `GetLayerVersion` give them: valid for ten minutes.

A link carries its own permission, an HMAC over what it leads to and until when, and is served
without a signature as S3's presigned links are.
"""

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import quote

from pasture.http.message import Request, Response
from pasture.kit.clock import Clock

PREFIX = "/_pasture/downloads/"
VALID_SECONDS = 600
CHUNK_BYTES = 256 * 1024

_PATH = re.compile(re.escape(PREFIX) + r"([0-9a-f]{64})/([^/]+)")


class Downloads:
    """`open_blob` gives the file of a SHA-256, and raises FileNotFoundError when there is none.

    `secret` lasts as long as links shall: another one makes the links of before invalid.
    """

    def __init__(self, secret: bytes, clock: Clock, open_blob: Callable[[str], Path]) -> None:
        self._secret = secret
        self._clock = clock
        self._open_blob = open_blob

    def link(self, base_url: str, sha256: str, filename: str) -> str:
        path = f"{PREFIX}{sha256}/{quote(filename, safe='')}"
        date = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
        signature = self._sign(path, date, str(VALID_SECONDS))
        return f"{base_url}{path}?X-Amz-Date={date}&X-Amz-Expires={VALID_SECONDS}&X-Amz-Signature={signature}"

    async def __call__(self, request: Request) -> Response:
        """A `PlainHandler` for `PREFIX`."""
        if request.method not in {"GET", "HEAD"}:
            return _error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        match = _PATH.fullmatch(request.raw_path)
        query = dict(request.query)
        date, expires = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
        expected = self._sign(request.raw_path, date, expires)
        given = query.get("X-Amz-Signature", "")
        if match is None or not hmac.compare_digest(expected.encode(), given.encode()):
            return _error(403, "AccessDenied", "Access Denied")
        if self._has_expired(date, expires):
            return _error(403, "AccessDenied", "Request has expired")
        return await self._send(match[1], match[2], head=request.method == "HEAD")

    def _sign(self, path: str, date: str, expires: str) -> str:
        return hmac.digest(self._secret, f"{path}\n{date}\n{expires}".encode(), "sha256").hex()

    def _has_expired(self, date: str, expires: str) -> bool:
        """Only of a link whose signature holds, so that both are ours."""
        made = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        return self._clock.now() > made + int(expires)

    async def _send(self, sha256: str, filename: str, *, head: bool) -> Response:
        try:
            file: IO[bytes] = await asyncio.to_thread(lambda: self._open_blob(sha256).open("rb"))
        except FileNotFoundError:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        headers = {
            "Content-Type": "application/zip",
            "Content-Disposition": f"attachment; filename*=UTF-8''{filename}",
            "ETag": f'"{sha256}"',
        }
        if head:
            await asyncio.to_thread(file.close)
            return Response(200, headers)
        return Response(200, headers, _chunks(file))


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()


def _error(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(status, {"Content-Type": "application/xml"}, body.encode())
