"""Links, addresses and routes of the network namespace that a netlink socket belongs to (rtnetlink(7))."""

import socket
import struct
from dataclasses import dataclass

from .netlink import ACK, CREATE, EXCL, REQUEST, ROUTE, Message, Netlink, attribute, attributes, nested, text

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _GETROUTE = 24, 26
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_PID, _IFLA_IFALIAS = 1, 3, 18, 19, 20
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_IFF_UP = 1
_NEW = REQUEST | ACK | CREATE | EXCL
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_GLOBAL, _UNICAST = 254, 4, 0, 1


@dataclass(frozen=True)
class Link:
    index: int
    name: str
    alias: str


def veth(name: str, peer: str, peer_pid: int) -> Message:
    """A pair: `name` here, and up; `peer` in the network namespace of a process, and down."""
    other = _ifinfo() + text(_IFLA_IFNAME, peer) + attribute(_IFLA_NET_NS_PID, struct.pack("=I", peer_pid))
    kind = nested(_IFLA_LINKINFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, attribute(_VETH_INFO_PEER, other)))
    return Message(_NEWLINK, _NEW, _ifinfo(flags=_IFF_UP) + text(_IFLA_IFNAME, name) + kind)


def bridge(name: str) -> Message:
    kind = nested(_IFLA_LINKINFO, text(_INFO_KIND, "bridge"))
    return Message(_NEWLINK, _NEW, _ifinfo() + text(_IFLA_IFNAME, name) + kind)


def up(index: int) -> Message:
    return Message(_NEWLINK, REQUEST | ACK, _ifinfo(index, _IFF_UP))


def note(index: int, alias: str) -> Message:
    """Let a link say something to whoever lists the links later."""
    return Message(_NEWLINK, REQUEST | ACK, _ifinfo(index) + text(_IFLA_IFALIAS, alias))


def remove(index: int) -> Message:
    return Message(_DELLINK, REQUEST | ACK, _ifinfo(index))


def address(index: int, local: str, peer: str = "", bits: int = 32) -> Message:
    """With its route: to `peer`, or to the network of `bits`."""
    return Message(_NEWADDR, _NEW, _ifaddr(index, local, peer, bits))


def no_address(index: int, local: str, peer: str = "", bits: int = 32) -> Message:
    return Message(_DELADDR, REQUEST | ACK, _ifaddr(index, local, peer, bits))


def _ifaddr(index: int, local: str, peer: str, bits: int) -> bytes:
    head = struct.pack("=BBBBI", socket.AF_INET, bits, 0, _SCOPE_GLOBAL, index)
    ends = attribute(_IFA_LOCAL, socket.inet_aton(local)) + attribute(_IFA_ADDRESS, socket.inet_aton(peer or local))
    return head + ends


def default_route(index: int, gateway: str) -> Message:
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_GLOBAL, _UNICAST, 0)
    way = attribute(_RTA_GATEWAY, socket.inet_aton(gateway)) + attribute(_RTA_OIF, struct.pack("=I", index))
    return Message(_NEWROUTE, _NEW, head + way)


def links(netlink: Netlink) -> "list[Link]":
    return [_link(body) for body in netlink.dump(_GETLINK, _ifinfo())]


def link(netlink: Netlink, name: str) -> Link:
    """Raises OSError ENODEV where there is none of that name."""
    return _link(netlink.ask(_GETLINK, _ifinfo() + text(_IFLA_IFNAME, name)))


def addresses(netlink: Netlink) -> "list[tuple[int, str, int]]":
    """(link, address, bits) of every IPv4 address."""
    found = []
    for body in netlink.dump(_GETADDR, struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0)):
        _, bits, _, _, index = struct.unpack_from("=BBBBI", body)
        values = attributes(body[8:])
        found.append((index, socket.inet_ntoa(values.get(_IFA_LOCAL, values[_IFA_ADDRESS])), bits))
    return found


def routes(netlink: Netlink) -> "list[tuple[int, str, int]]":
    """(link, network, bits) of every IPv4 route but default ones, in whatever table; link 0: it has none of its own."""
    found = []
    for body in netlink.dump(_GETROUTE, struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
        bits = body[1]
        values = attributes(body[12:])
        if bits and _RTA_DST in values:
            (index,) = struct.unpack("=I", values.get(_RTA_OIF, b"\0\0\0\0"))
            found.append((index, socket.inet_ntoa(values[_RTA_DST]), bits))
    return found


def open_here() -> Netlink:
    """For links of the network namespace that the caller is in now."""
    return Netlink(ROUTE)


def _link(body: bytes) -> Link:
    values = attributes(body[16:])
    (index,) = struct.unpack_from("=i", body, 4)
    return Link(index, _string(values, _IFLA_IFNAME), _string(values, _IFLA_IFALIAS))


def _ifinfo(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _string(values: "dict[int, bytes]", kind: int) -> str:
    return values.get(kind, b"").rstrip(b"\0").decode()
