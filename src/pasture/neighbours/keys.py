"""With whose keys a neighbour is called: looked for once, off the event loop, and renewed when they run out."""

import asyncio
from typing import NamedTuple

import botocore.session
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError

from pasture.neighbours.caller import NoNeighbour
from pasture.neighbours.options import Neighbour


class Keys(NamedTuple):
    access_key_id: str
    secret_access_key: str
    session_token: str = ""


class KeyCupboard:
    """Mutable state: what botocore has found, by profile; renewing is botocore's."""

    def __init__(self) -> None:
        self._found: dict[str, Credentials] = {}
        self._looking = asyncio.Lock()

    async def keys(self, neighbour: Neighbour, account: str) -> Keys:
        """Raises NoNeighbour when there are none to be had."""
        if neighbour.access_key_id:
            return Keys(neighbour.access_key_id, neighbour.secret_access_key, neighbour.session_token)
        if not neighbour.has_keys and not neighbour.is_amazon:
            return Keys(account, "none")
        found = self._found.get(neighbour.profile) or await self._find(neighbour.profile)
        if isinstance(found, RefreshableCredentials) and found.refresh_needed():
            return await asyncio.to_thread(_frozen, found)
        return _frozen(found)

    async def _find(self, profile: str) -> Credentials:
        async with self._looking:
            found = self._found.get(profile)
            if found is None:
                found = await asyncio.to_thread(_look, profile)
                self._found[profile] = found
            return found


def _look(profile: str) -> Credentials:
    whose = f"the profile {profile!r}" if profile else "this process (variables, AWS's files, the instance's role)"
    try:
        found = botocore.session.Session(profile=profile or None).get_credentials()
    except BotoCoreError as error:
        raise NoNeighbour(f"The neighbour cannot be called with the keys of {whose}: {error}.") from error
    if found is None:
        raise NoNeighbour(f"There are no keys of {whose} to call the neighbour with.")
    return found


def _frozen(found: Credentials) -> Keys:
    try:
        frozen = found.get_frozen_credentials()
    except BotoCoreError as error:
        raise NoNeighbour(f"The keys to call the neighbour with cannot be renewed: {error}.") from error
    return Keys(frozen.access_key or "", frozen.secret_key or "", frozen.token or "")
