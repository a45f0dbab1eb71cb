"""Links to packages: good for ten minutes, for one file, and for nothing else."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pasture.api.downloads import PREFIX, VALID_SECONDS, Downloads
from pasture.http.message import Headers, Request, Response
from pasture.kit.clock import ManualClock

BASE = "http://localhost:3000"
CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Shelf:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.downloads = Downloads(b"secret", self.clock, lambda sha256: folder / sha256)
        (folder / SHA256).write_bytes(CONTENT)

    async def get(self, link: str, method: str = "GET") -> tuple[int, bytes, Response]:
        response = await self.downloads(Request(method, link.removeprefix(BASE), Headers()))
        body = response.body
        whole = body if isinstance(body, bytes) else await _read(body)
        return response.status, whole, response


async def _read(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


async def test_a_link_leads_to_its_file(shelf: Shelf) -> None:
    link = shelf.downloads.link(BASE, SHA256, "f ü.zip")
    status, body, response = await shelf.get(link)
    assert link.startswith(BASE + PREFIX)
    assert (status, body, dict(response.headers)) == (
        200,
        CONTENT,
        {
            "Content-Type": "application/zip",
            "Content-Disposition": "attachment; filename*=UTF-8''f%20%C3%BC.zip",
            "ETag": f'"{SHA256}"',
        },
    )


async def test_head_has_no_body(shelf: Shelf) -> None:
    assert (await shelf.get(shelf.downloads.link(BASE, SHA256, "f.zip"), "HEAD"))[:2] == (200, b"")


async def test_a_link_expires(shelf: Shelf) -> None:
    link = shelf.downloads.link(BASE, SHA256, "f.zip")
    shelf.clock.advance(VALID_SECONDS)
    assert (await shelf.get(link))[0] == 200
    shelf.clock.advance(1.0)
    status, body, _ = await shelf.get(link)
    assert (status, b"<Message>Request has expired</Message>" in body) == (403, True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SHA256, "0" * 64),
        ("f.zip", "g.zip"),
        ("Expires=600", "Expires=999999"),
        ("Signature=", "Signature=é"),
        ("?", "?x"),
    ],
)
async def test_a_changed_link_is_refused(shelf: Shelf, old: str, new: str) -> None:
    link = shelf.downloads.link(BASE, SHA256, "f.zip").replace(old, new)
    status, body, _ = await shelf.get(link)
    assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True)


@pytest.mark.parametrize("path", ["", "x", "../../etc/passwd", f"{SHA256}/", f"{SHA256}/a/b"])
async def test_a_path_that_is_no_link_is_refused(shelf: Shelf, path: str) -> None:
    assert (await shelf.get(PREFIX + path))[0] == 403


async def test_a_file_that_is_gone_is_not_found(shelf: Shelf) -> None:
    status, body, _ = await shelf.get(shelf.downloads.link(BASE, "0" * 64, "f.zip"))
    assert (status, b"<Code>NoSuchKey</Code>" in body) == (404, True)


async def test_only_reading_is_allowed(shelf: Shelf) -> None:
    assert (await shelf.get(shelf.downloads.link(BASE, SHA256, "f.zip"), "PUT"))[0] == 405
