"""Whose a function URL is, by its identifier: found without looking at every function.

An entry is on disk before the function that has the URL, and goes after it; what the function says counts.
"""

from collections.abc import Awaitable, Callable

from pasture.domain.errors import ApiError
from pasture.domain.function import Function
from pasture.domain.function_settings import FunctionUrl
from pasture.domain.scope import Scope
from pasture.functions.ledger import Ledger
from pasture.functions.records import URLS, FunctionKey, UrlKey, key_of

Edit = Callable[[Function], Function]

# So many are remembered.
_KNOWN = 10_000


class UrlIndex:
    def __init__(self, ledger: Ledger, change: Callable[[FunctionKey, Edit], Awaitable[Function]]) -> None:
        """`change`: how a function is changed by who holds its lock."""
        self._ledger = ledger
        self._change = change
        self._known: dict[str, tuple[FunctionKey, str]] = {}

    async def attach(self, scope: Scope, name: str, qualifier: str, url_id: str, edit: Edit) -> Function:
        """`edit` gives the function the URL; what it raises leaves nothing."""
        key = FunctionKey(scope, name)
        async with self._ledger.writing.alone(key.function):
            await self._ledger.documents.put(UrlKey(url_id).url, f"{key.function}?{qualifier}".encode())
            try:
                return await self._change(key, edit)
            except ApiError:
                await self.drop(url_id)
                raise

    async def find(self, url_id: str) -> tuple[Function, str, FunctionUrl] | None:
        """The function, the qualifier that the URL is of, and the URL; from memory once it has been asked for."""
        place = self._known.get(url_id) or await self._read(url_id)
        if place is None:
            return None
        key, qualifier = place
        function = await self._ledger.functions.find(key.function)
        url = function.settings.urls.get(qualifier) if function is not None else None
        if function is None or url is None or url.id != url_id:
            self._known.pop(url_id, None)
            return None
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[url_id] = place
        return function, qualifier, url

    async def drop(self, *url_ids: str) -> None:
        """After the function no longer has these URLs."""
        for url_id in url_ids:
            self._known.pop(url_id, None)
            await self._ledger.documents.delete(UrlKey(url_id).url)

    async def drop_stale(self) -> None:
        """What a crash between two writes has left."""
        after = ""
        while page := await self._ledger.documents.list(URLS, after=after):
            after = page[-1].key
            for document in page:
                await self._drop_if_stale(document.key.removeprefix(URLS), document.value)

    async def _drop_if_stale(self, url_id: str, value: bytes) -> None:
        key, _ = _place(value)
        async with self._ledger.writing.alone(key.function):
            if await self.find(url_id) is None:
                await self.drop(url_id)

    async def _read(self, url_id: str) -> tuple[FunctionKey, str] | None:
        document = await self._ledger.documents.get(UrlKey(url_id).url)
        return _place(document.value) if document is not None else None


def _place(value: bytes) -> tuple[FunctionKey, str]:
    function, _, qualifier = value.decode().partition("?")
    return key_of(function), qualifier
