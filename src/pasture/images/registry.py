"""A registry, over HTTP: the pull half of the OCI distribution specification 1.1, which Docker's registries speak too.

Nothing is sent to a host without TLS unless it is this machine's loopback or named by a setting, wherever a redirect
or a challenge points. Credentials and tokens go to no other host than they are for.
"""

import asyncio
import importlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from pasture.images import challenge
from pasture.images.challenge import Challenge
from pasture.images.credentials import Login, login
from pasture.images.errors import ImageDenied, ImageError, ImageInvalid, ImageNotFound, ImageUnreachable
from pasture.images.manifest import ACCEPTED, Blob
from pasture.images.options import ImageOptions
from pasture.images.reference import Reference
from pasture.images.source import CHUNK, Write
from pasture.kit.errors import OperatorError

if TYPE_CHECKING:
    import aiohttp

MANIFEST_BYTES = 1 << 20
"""An index may have an entry for every platform there is."""

_REDIRECTS = 5
_TOKEN_BYTES = 1 << 16
_TOKENS_MAX = 1_024
_BLOB_SECONDS = 3_600.0


class Registry:
    """Mutable state: one session, the tokens that registries have given, by registry and repository. aiohttp is
    imported when it is first needed.
    """

    def __init__(self, options: ImageOptions, *, connect_seconds: float = 10.0, silent_seconds: float = 30.0) -> None:
        self._options = options
        self._connect_seconds = connect_seconds
        self._silent_seconds = silent_seconds
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._authorizations: dict[tuple[str, str], str] = {}

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def manifest(self, reference: Reference) -> tuple[bytes, str]:
        async with self._get(reference, f"manifests/{reference.wanted}", {"Accept": ", ".join(ACCEPTED)}) as answer:
            return await _whole(answer, MANIFEST_BYTES), answer.headers.get("Content-Type", "")

    async def fetch(self, reference: Reference, blob: Blob, write: Write) -> None:
        async with self._get(reference, f"blobs/{blob.digest}", {}) as answer, asyncio.timeout(_BLOB_SECONDS):
            async for piece in answer.content.iter_chunked(CHUNK):
                await write(piece)

    # One exchange...

    @asynccontextmanager
    async def _get(
        self, reference: Reference, path: str, headers: Mapping[str, str]
    ) -> AsyncIterator["aiohttp.ClientResponse"]:
        """An answer with a body, or ImageError."""
        session = await self._open()
        base = self._options.url(reference.registry)
        url = f"{base}/v2/{reference.repository}/{path}"
        with _Faults(reference.registry):
            answer = await self._authorised(session, reference, url, headers)
            async with answer:
                _check(answer)
                yield answer

    async def _authorised(
        self, session: "aiohttp.ClientSession", reference: Reference, url: str, headers: Mapping[str, str]
    ) -> "aiohttp.ClientResponse":
        key = reference.registry, reference.repository
        answer = await self._follow(session, url, headers, self._authorizations.get(key, ""))
        if answer.status != 401:
            return answer
        wanted = [c for header in answer.headers.getall("WWW-Authenticate", []) for c in challenge.parse(header)]
        answer.release()
        authorization = await self._answer(session, reference, wanted)
        if len(self._authorizations) >= _TOKENS_MAX:
            self._authorizations.clear()
        self._authorizations[key] = authorization
        return await self._follow(session, url, headers, authorization)

    async def _follow(
        self, session: "aiohttp.ClientSession", url: str, headers: Mapping[str, str], authorization: str
    ) -> "aiohttp.ClientResponse":
        """Blobs are often elsewhere, at an address that is signed: the authorization is the registry's alone."""
        first = urlsplit(url)
        for _ in range(_REDIRECTS):
            self._check_address(url)
            here = urlsplit(url)
            own = (here.scheme, here.netloc) == (first.scheme, first.netloc)
            sent = {**headers, "Authorization": authorization} if own and authorization else dict(headers)
            answer = await session.get(url, headers=sent, allow_redirects=False)
            if answer.status not in {301, 302, 303, 307, 308}:
                return answer
            url = urljoin(url, answer.headers.get("Location", ""))
            answer.release()
        raise ImageUnreachable(f"{first.netloc} redirects more than {_REDIRECTS} times")

    def _check_address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "https" or (parts.scheme == "http" and self._options.may_be_plain(parts.netloc)):
            return
        raise ImageUnreachable(
            f"{parts.netloc} is not spoken to without TLS, unless it is named with its URL in the setting registries"
        )

    # Who we are...

    async def _answer(self, session: "aiohttp.ClientSession", reference: Reference, wanted: list[Challenge]) -> str:
        """The Authorization that the challenges ask for."""
        who = await asyncio.to_thread(login, self._options.credentials, reference.registry)
        for asked in wanted:
            if asked.scheme == "bearer" and "realm" in asked.parameters:
                return f"Bearer {await self._token(session, reference, asked.parameters, who)}"
            if asked.scheme == "basic" and who is not None and who.user:
                return who.basic
        raise ImageDenied(f"{reference.registry} wants credentials that this server does not have")

    async def _token(
        self,
        session: "aiohttp.ClientSession",
        reference: Reference,
        asked: Mapping[str, str],
        who: Login | None,
    ) -> str:
        realm = asked["realm"]
        self._check_address(realm)
        scope = f"repository:{reference.repository}:pull"
        query = {"scope": scope, **({"service": asked["service"]} if "service" in asked else {})}
        if who is not None and who.identity_token:
            form = {**query, "grant_type": "refresh_token", "refresh_token": who.identity_token, "client_id": "pasture"}
            request = session.post(realm, data=form, allow_redirects=False)
        else:
            headers = {"Authorization": who.basic} if who is not None else {}
            request = session.get(realm, params=query, headers=headers, allow_redirects=False)
        async with request as answer:
            if answer.status in {400, 401, 403, 404}:
                raise ImageDenied(f"{urlsplit(realm).netloc} gives this server no token")
            _check(answer)
            return _token_in(await _whole(answer, _TOKEN_BYTES))

    # The way there...

    async def _open(self) -> "aiohttp.ClientSession":
        async with self._opening:
            if self._session is None:
                await asyncio.to_thread(importlib.import_module, "aiohttp")
                self._session = self._made(await asyncio.to_thread(self._believed))
            return self._session

    def _believed(self) -> ssl.SSLContext:
        """Whose certificates count. In a thread. Raises OperatorError."""
        context = ssl.create_default_context()
        file = self._options.certificates
        try:
            if file:
                context.load_verify_locations(file)
        except OSError as error:  # ssl.SSLError is one
            raise OperatorError(
                f"cannot use the certificate authorities of registries in {file}: {error}.",
                "It must be a file of certificates in PEM.",
            ) from error
        return context

    def _made(self, believed: ssl.SSLContext) -> "aiohttp.ClientSession":
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds, sock_read=self._silent_seconds)
        # Layers are compressed themselves, and are checked as they are: nothing is to be unpacked on the way.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=believed),
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "pasture", "Accept-Encoding": "identity"},
        )


class _Faults:
    """What the network does becomes ImageUnreachable."""

    def __init__(self, registry: str) -> None:
        self._registry = registry

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import aiohttp

        if isinstance(error, ImageError | asyncio.CancelledError):
            return
        # aiohttp's InvalidURL is a ValueError; so is a certificate that nobody vouches for.
        if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientSSLError):
            raise ImageUnreachable(f"{self._registry} points to an address that is none") from error
        if isinstance(error, TimeoutError):
            raise ImageUnreachable(f"{self._registry} does not answer in time") from error
        if isinstance(error, aiohttp.ClientError):
            raise ImageUnreachable(f"{self._registry} cannot be reached: {error}") from error


def _check(answer: "aiohttp.ClientResponse") -> None:
    host = answer.url.host
    if answer.status in {401, 403}:
        raise ImageDenied(f"{host} does not give it to this server")
    if answer.status == 404:
        raise ImageNotFound(f"{host} does not have it")
    if answer.status == 429 or answer.status >= 500:
        raise ImageUnreachable(f"{host} answers {answer.status}")
    if answer.status != 200:
        raise ImageInvalid(f"{host} answers {answer.status}")


async def _whole(answer: "aiohttp.ClientResponse", most: int) -> bytes:
    content = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        content.extend(piece)
        if len(content) > most:
            raise ImageInvalid(f"{answer.url.host} answers with more than {most} bytes")
    return bytes(content)


def _token_in(content: bytes) -> str:
    try:
        told: Any = json.loads(content)
        token = told.get("token") or told.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ImageDenied("what the registry's token server answers is no token")
    return token
