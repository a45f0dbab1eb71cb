"""HTTP to neighbours, over connections that are kept: as many as are needed at once."""

import asyncio
import importlib
from collections.abc import AsyncIterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pasture.neighbours.caller import NeighbourUnreachable

if TYPE_CHECKING:
    import aiohttp

_CONNECT_SECONDS = 5.0
# Below what servers commonly keep a connection that nobody uses.
_KEEP_SECONDS = 15.0
# What aiohttp would add by itself, of which none is signed.
_NOTHING_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """Mutable state: one session by way: TCP, and the embedded server's socket. aiohttp is imported when first needed:
    a server without neighbours does without it.
    """

    def __init__(self) -> None:
        self._sessions: dict[Path | None, aiohttp.ClientSession] = {}
        self._opening = asyncio.Lock()

    async def open(self, socket: Path | None = None) -> "aiohttp.ClientSession":
        """To any address; or to whoever listens on that Unix socket."""
        known = self._sessions.get(socket)
        if known is not None:
            return known
        async with self._opening:
            if socket not in self._sessions:
                await asyncio.to_thread(importlib.import_module, "aiohttp")
                self._sessions[socket] = _session(socket)
            return self._sessions[socket]

    async def close(self) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, seconds: float, socket: Path | None
    ) -> Answer:
        """A whole answer. Raises NeighbourUnreachable when there is none within `seconds`."""
        session = await self.open(socket)
        try:
            async with asyncio.timeout(seconds), send(session, method, url, headers, body) as answer:
                return Answer(answer.status, answer.headers, await answer.read())
        except TimeoutError as error:
            raise NeighbourUnreachable(f"{_host(url)} has not answered within {seconds:g} seconds.") from error
        except failures() as error:
            raise unreachable(url, error) from error


def send(
    session: "aiohttp.ClientSession",
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | AsyncIterable[bytes] | None,
) -> "aiohttp.client._RequestContextManager":
    """What is signed is sent: nothing is encoded anew, added or followed."""
    from yarl import URL

    return session.request(
        method, URL(url, encoded=True), headers=headers, data=body or None, allow_redirects=False, compress=False
    )


def failures() -> tuple[type[Exception], ...]:
    """What goes wrong on the way."""
    import aiohttp

    return (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, ValueError)


def unreachable(url: str, error: Exception) -> NeighbourUnreachable:
    why = str(error) or type(error).__name__
    return NeighbourUnreachable(f"{_host(url)} cannot be reached, or has not answered: {why}.")


def _host(url: str) -> str:
    host = url.split("/", 3)[2]
    return "The embedded services" if host == "localhost" else host


def _session(socket: Path | None) -> "aiohttp.ClientSession":
    import aiohttp

    connector: aiohttp.BaseConnector
    if socket is not None:
        connector = aiohttp.UnixConnector(str(socket), limit=0, keepalive_timeout=_KEEP_SECONDS)
    else:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_SECONDS, ttl_dns_cache=30)
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_NOTHING_ADDED,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=None),
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
    )
