"""One server's part of the machine's network: a bridge that holds its addresses, a table of rules, its boxes' links.

Everything is named after the owner, so that what a crash leaves is found and removed by
the next session. Blocks: netlink answers in a fraction of a millisecond, removing links
takes some.
"""

import errno
import hashlib
import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

from pasture.isolation.launcher import links
from pasture.isolation.launcher.netlink import NETFILTER, Message, Netlink
from pasture.isolation.launcher.outbound import Outbound
from pasture.isolation.network import forwarding, resolvers
from pasture.isolation.network import nftables as nft
from pasture.isolation.network.options import NetworkOptions
from pasture.isolation.network.rules import FAMILY, NEVER, rule_set
from pasture.isolation.network.slices import candidates, is_free

_HOLDER = re.compile(FAMILY + "[0-9a-f]{8}")
_LAST_OF_SLICE = 2  # the gateway is the first, the broadcast address the last


class Nat:
    """Mutable state: the sockets, of which the rules' one owns the table. `open` first, `close` at the end."""

    def __init__(self, owner: str, options: NetworkOptions) -> None:
        token = hashlib.sha256(owner.encode()).hexdigest()[:8]
        self._name = FAMILY + token
        self._table = f"pasture_{token}"
        self._options = options

    def open(self) -> Outbound:
        """Raises OSError where the machine does not allow it, having left nothing."""
        self._route = links.open_here()
        self._rules = Netlink(NETFILTER)
        try:
            return self._open()
        except BaseException:
            with suppress(OSError):  # of the two, the first error says more
                self._remove()
            self._route.close()
            self._rules.close()
            raise

    def close(self) -> None:
        self._remove()
        self._route.close()
        self._rules.close()

    def clear_links(self) -> None:
        """Of boxes that are gone: their links follow them in the kernel's own time."""
        for link in links.links(self._route):
            if link.name.startswith(self._name) and link.name != self._name:
                self._remove_link(link.index)

    def _open(self) -> Outbound:
        self._remove()
        alias = forwarding.WAS_ON if forwarding.is_on() else forwarding.WAS_OFF
        self._route.request(links.bridge(self._name))
        index = links.link(self._route, self._name).index
        self._route.request(links.note(index, alias))
        slice_ = self._claim(index)
        self._make_rules(slice_)
        forwarding.turn_on()
        return Outbound(
            prefix=self._name,
            gateway=str(slice_[1]),
            count=slice_.num_addresses - 1 - _LAST_OF_SLICE,
            resolvers=self._options.resolvers or self._resolvers(),
        )

    def _claim(self, index: int) -> IPv4Network:
        """A slice that nothing uses. Whoever finds that another took the same at the same time goes on to the next."""
        self._route.request(links.up(index))
        for slice_ in candidates(self._options.network, self._name):
            if not is_free(slice_, self._used_but_by(index)):
                continue
            self._route.request(links.address(index, str(slice_[1]), bits=slice_.prefixlen))
            if is_free(slice_, self._used_but_by(index)):
                return slice_
            self._route.request(links.no_address(index, str(slice_[1]), bits=slice_.prefixlen))
        raise OSError(errno.EADDRINUSE, f"everything in {self._options.range} is in use; set network_range")

    def _used_but_by(self, index: int) -> list[IPv4Network]:
        used = [*links.addresses(self._route), *links.routes(self._route)]
        return [IPv4Network((text, bits), strict=False) for link, text, bits in used if link != index]

    def _make_rules(self, slice_: IPv4Network) -> None:
        rules = rule_set(self._table, self._name, slice_, self._options)
        try:
            # So that `nft flush ruleset`, as a firewall's reload does it, does not open what is closed here.
            self._transact(nft.table(self._table, nft.OWNED | nft.KEPT), *rules)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
            self._transact(nft.table(self._table), *rules)  # before Linux 6.9

    def _resolvers(self) -> tuple[str, ...]:
        own = [] if self._options.allow_host else [IPv4Address(text) for _, text, _ in links.addresses(self._route)]
        return resolvers.usable(resolvers.read(), own, (*NEVER, *self._options.denied()))

    def _remove(self) -> None:
        """Links first: while there is one, there are rules."""
        self.clear_links()
        holders = [link for link in links.links(self._route) if _HOLDER.fullmatch(link.name)]
        for link in holders:
            if link.name == self._name:
                forwarding.give_back(self._route, link.alias, [other for other in holders if other != link])
                self._remove_link(link.index)
        try:
            self._transact(nft.no_table(self._table))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _remove_link(self, index: int) -> None:
        try:
            self._route.request(links.remove(index))
        except OSError as error:
            if error.errno != errno.ENODEV:  # it went by itself
                raise

    def _transact(self, *messages: Message) -> None:
        self._rules.transact(*nft.transaction(*messages))
