"""Who is told of a change. Shared by every kind of document store."""

import asyncio
from collections.abc import Callable

from pasture.store.documents import Change, Watcher


class Watchers:
    def __init__(self) -> None:
        self._watching: dict[int, tuple[str, Watcher]] = {}
        self._numbers = 0

    def add(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        self._numbers += 1
        number = self._numbers
        self._watching[number] = (prefix, watcher)
        return lambda: self._stop(number)

    def tell(self, change: Change) -> None:
        """Call on the event loop. A watcher that fails is reported there; the others are told all the same."""
        for prefix, watcher in tuple(self._watching.values()):
            if not change.key.startswith(prefix):
                continue
            try:
                watcher(change)
            except Exception as error:  # noqa: BLE001 - reported, and no concern of whoever wrote
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"a watcher of {prefix!r} failed at {change.key!r}", "exception": error}
                )

    def _stop(self, number: int) -> None:
        self._watching.pop(number, None)
