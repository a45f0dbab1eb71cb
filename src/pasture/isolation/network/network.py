"""What a kind of isolation knows of the way out: whether there is one, what it is, and why not."""

import asyncio
import errno
import os
import sys
from collections.abc import Sequence

from pasture.isolation.launcher.outbound import Outbound
from pasture.isolation.network.nat import Nat
from pasture.isolation.network.options import NetworkOptions
from pasture.kit.errors import OperatorError

_NO_RESOLVERS = (
    "sandboxes cannot resolve names: the name servers of this machine are its own, or denied. "
    "Name others in network_resolvers."
)


class Network:
    """Mutable state: the network address translation, while it is open. Netlink is spoken in threads."""

    def __init__(self, owner: str, options: NetworkOptions) -> None:
        self._owner = owner
        self._options = options
        self._nat: Nat | None = None
        self.outbound: Outbound | None = None
        """Where boxes are, or None when none has a way out."""
        self.warnings: Sequence[str] = ()

    async def open(self) -> None:
        """Raises OperatorError when `nat` was asked for by name and cannot be."""
        if self._options.mode == "none":
            return
        why = await self._try()
        if why and self._options.mode == "nat":
            raise OperatorError(f"functions cannot have a way out: {why}.", "Mend that, or choose --network none.")
        if why:
            self.warnings = [f"sandboxes have no way out: {why}."]
        elif self.outbound and not self.outbound.resolvers:
            self.warnings = [_NO_RESOLVERS]

    async def clear_links(self) -> None:
        """Of boxes that died with their launcher."""
        if self._nat is not None:
            await asyncio.to_thread(self._nat.clear_links)

    async def close(self) -> None:
        if self._nat is not None:
            await asyncio.to_thread(self._nat.close)
        self._nat = self.outbound = None

    async def _try(self) -> str:
        """Why there is none."""
        if sys.platform != "linux" or os.geteuid() != 0:
            return "only root can make one, with nf_tables"
        nat = Nat(self._owner, self._options)
        try:
            self.outbound = await asyncio.to_thread(nat.open)
        except OSError as error:
            reason = error.strerror or str(error)
            return reason if error.errno == errno.EADDRINUSE else f"nf_tables, or a link, is refused: {reason}"
        self._nat = nat
        return ""
