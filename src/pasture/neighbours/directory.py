"""Where a service is for an account and region: its address, and how calls to it are signed."""

import asyncio
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from pasture.domain.scope import Scope
from pasture.neighbours.caller import NoNeighbour
from pasture.neighbours.keys import KeyCupboard
from pasture.neighbours.options import Neighbour, NeighbourOptions
from pasture.neighbours.signing import signed, unchecked

# The embedded server is reached by its socket; links in its answers are made from the name.
_EMBEDDED = "http://localhost"
_REMEMBERED = 1024


class Target(NamedTuple):
    """One service for one account and region; `sign` gives a call's headers."""

    url: str
    """Scheme and host, without a slash at the end."""
    service: str
    """As signatures have it."""
    region: str
    account: str
    neighbour: Neighbour | None
    """None: the embedded server."""
    cupboard: KeyCupboard

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def is_embedded(self) -> bool:
        return self.neighbour is None

    async def sign(
        self, method: str, target: str, headers: Mapping[str, str], *, body: bytes = b"", payload: str | None = None
    ) -> dict[str, str]:
        """`target` is path and query, encoded."""
        if self.neighbour is None:
            account = {"Authorization": unchecked(self.account, self.service, self.region)}
            return {**headers, **account, "x-moto-account-id": self.account}
        keys = await self.cupboard.keys(self.neighbour, self.account)
        if not self.neighbour.is_amazon and not self.neighbour.has_keys:
            headers = {**headers, "x-moto-account-id": self.account}
        return signed(method, self.url + target, headers, keys, self.service, self.region, body=body, payload=payload)


class Directory:
    """`socket` is that of the embedded server, if there is one."""

    def __init__(self, options: NeighbourOptions, socket: Path | None = None) -> None:
        self._options = options
        self.socket = socket
        self._cupboard = KeyCupboard()
        self._amazons: dict[tuple[str, str], tuple[str, str]] = {}

    def has(self, service: str) -> bool:
        return self._options.has(service)

    def is_embedded(self, service: str) -> bool:
        return self._options.embedded and self._options.of(service) is None

    async def find(self, service: str, scope: Scope, endpoint: str = "") -> Target:
        """`service` as signatures and settings have it, `endpoint` as Amazon's hosts do. Raises NoNeighbour."""
        neighbour = self._options.of(service)
        if neighbour is None:
            if not self._options.embedded:
                raise no_neighbour(service)
            return Target(_EMBEDDED, service, scope.region, scope.account, None, self._cupboard)
        region = neighbour.region or scope.region
        url = neighbour.endpoint.rstrip("/")
        if neighbour.is_amazon:
            url, region = await self._amazon(endpoint or service, region)
        return Target(url, service, region, scope.account, neighbour, self._cupboard)

    async def _amazon(self, endpoint: str, region: str) -> tuple[str, str]:
        """URL, and the region that signatures name: a service may be one for the whole world."""
        place = (endpoint, region)
        if place not in self._amazons:
            if len(self._amazons) >= _REMEMBERED:
                self._amazons.clear()
            self._amazons[place] = await asyncio.to_thread(_look_up, endpoint, region)
        return self._amazons[place]


def no_neighbour(service: str) -> NoNeighbour:
    return NoNeighbour(
        f"This Pasture has no neighbour that serves {service[:64]}: name one under [neighbours] in the configuration "
        f'(`{service[:64]} = "URL"`) or with --neighbour, or start it with --with-aws.'
    )


def _look_up(endpoint: str, region: str) -> tuple[str, str]:
    found: Mapping[str, Any] = _endpoints().construct_endpoint(endpoint, region) or {}
    host = found.get("hostname") or f"{endpoint}.{region}.amazonaws.com"
    return f"https://{host}", str(found.get("credentialScope", {}).get("region", region))


@cache
def _endpoints() -> EndpointResolver:
    return EndpointResolver(Loader().load_data("endpoints"))
