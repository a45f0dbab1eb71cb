"""The way out of a box: a pair of links, one end in the box and closed until it is known that the box may use it."""

import errno
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from . import links
from .failure import step
from .netlink import Netlink

_INSIDE = "eth0"
_HINTS = {errno.EEXIST: "Links of an earlier session are still there.", errno.EPERM: "It takes CAP_NET_ADMIN."}


@dataclass(frozen=True)
class Outbound:
    """Where boxes are in the server's network: box number n of 1 … `count` is at `gateway` + n, on link `prefix`n."""

    prefix: str
    gateway: str
    count: int
    resolvers: "tuple[str, ...]" = ()

    def name(self, number: int) -> str:
        return f"{self.prefix}{number:x}"

    def address(self, number: int) -> str:
        (first,) = struct.unpack("!I", socket.inet_aton(self.gateway))
        return socket.inet_ntoa(struct.pack("!I", first + number))


@dataclass(frozen=True)
class Way:
    """One that is laid, and closed: its end in the box is down, and there is no route."""

    inside: Netlink
    index: int
    gateway: str

    def open(self) -> None:
        with step("open the box's way out"):
            self.inside.request(links.up(self.index), links.default_route(self.index, self.gateway))

    def close(self) -> None:
        """No more can be done to it by this process."""
        self.inside.close()


def lay(outbound: Outbound, number: int, outside: Netlink) -> Way:
    """In a box's first process, its pid 1. `outside`: a socket of the server's network namespace."""
    name, address = outbound.name(number), outbound.address(number)
    with step(f"make the link {name} of the box", _HINTS):
        _make(outside, name)
    with step(f"give the link {name} its addresses"):
        outside.request(links.address(links.link(outside, name).index, outbound.gateway, address))
        # IPv4 only: with no address of the other kind inside, programs do not try it.
        _disable_ipv6()
        inside = links.open_here()
        index = socket.if_nametoindex(_INSIDE)
        inside.request(links.address(index, address, outbound.gateway))
    return Way(inside, index, outbound.gateway)


def _make(outside: Netlink, name: str) -> None:
    try:
        outside.request(links.veth(name, _INSIDE, 1))
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
        # Of an earlier box with the number, which is gone: links go a little after their box.
        outside.request(links.remove(links.link(outside, name).index))
        outside.request(links.veth(name, _INSIDE, 1))


def _disable_ipv6() -> None:
    switch = Path(f"/proc/sys/net/ipv6/conf/{_INSIDE}/disable_ipv6")
    if switch.exists():  # not where the kernel has no IPv6
        switch.write_text("1")
