"""Messages for nf_tables: tables, chains, and rules made of expressions (linux/netfilter/nf_tables.h). Pure."""

import struct
from ipaddress import IPv4Network

from pasture.isolation.launcher.netlink import (
    ACK,
    APPEND,
    CREATE,
    REQUEST,
    Message,
    Netlink,
    attribute,
    attributes,
    nested,
    text,
)

Expression = bytes

_SUBSYSTEM = 10
_BEGIN, _END = 0x10, 0x11
_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 1, 2, 3, 6
_INET = 1
_REGISTER, _VERDICT_REGISTER = 1, 0
_META_IIFNAME, _META_OIFNAME, _META_NFPROTO = 6, 7, 15
_FIB_RESULT_TYPE, _FIB_DESTINATION = 3, 2
_CT_STATE, _ESTABLISHED_RELATED = 0, 2 | 4
_NETWORK_HEADER = 1
_SOURCE, _DESTINATION = 12, 16
_ICMPX_UNREACHABLE, _ADMIN_PROHIBITED = 2, 3
_EQUAL, _NOT_EQUAL = 0, 1
_NFPROTO_IPV4 = 2

# Address types of fib(7): rtnetlink's.
UNICAST, LOCAL = 1, 2
PREROUTING, INPUT, FORWARD, POSTROUTING = 0, 1, 2, 4
# Of a table: only the socket that made it may change it; it stays when that socket goes, until somebody takes it.
OWNED, KEPT = 2, 4


# Things...


def table(name: str, flags: int = 0) -> Message:
    return _message(_NEWTABLE, CREATE, text(1, name), _number(2, flags))


def no_table(name: str) -> Message:
    return _message(_DELTABLE, 0, text(1, name))


def no_tables() -> Message:
    """All that are nobody's own, as `nft flush ruleset` does."""
    return _message(_DELTABLE, 0)


def tables(netfilter: Netlink) -> list[str]:
    """The names of all of this family."""
    bodies = netfilter.dump(_SUBSYSTEM << 8 | _GETTABLE, struct.pack("!BBH", _INET, 0, 0))
    return [attributes(body[4:])[1].rstrip(b"\0").decode() for body in bodies]


def chain(table: str, name: str, hook: int, priority: int, kind: str = "filter") -> Message:
    """One that accepts what no rule decides."""
    place = nested(4, _number(1, hook), attribute(2, struct.pack("!i", priority)))
    return _message(_NEWCHAIN, CREATE, text(1, table), text(3, name), place, text(7, kind))


def rule(table: str, chain: str, *parts: "Expression") -> Message:
    """`parts`: conditions, all of which must hold, and what is done then."""
    return _message(_NEWRULE, CREATE | APPEND, text(1, table), text(2, chain), nested(4, *parts))


def transaction(*messages: Message) -> list[Message]:
    mark = struct.pack("!BBH", 0, 0, _SUBSYSTEM)
    return [Message(_BEGIN, REQUEST, mark), *messages, Message(_END, REQUEST, mark)]


# Conditions...


def came_in_by(prefix: str) -> Expression:
    """An interface whose name begins so."""
    return _meta(_META_IIFNAME) + _compare(prefix.encode())


def goes_out_by(prefix: str) -> Expression:
    return _meta(_META_OIFNAME) + _compare(prefix.encode())


def does_not_go_out_by(prefix: str) -> Expression:
    return _meta(_META_OIFNAME) + _compare(prefix.encode(), _NOT_EQUAL)


def is_not_ipv4() -> Expression:
    return _meta(_META_NFPROTO) + _compare(bytes([_NFPROTO_IPV4]), _NOT_EQUAL)


def from_network(network: IPv4Network) -> Expression:
    return _is_ipv4() + _address(_SOURCE, network, _EQUAL)


def not_from_network(network: IPv4Network) -> Expression:
    return _is_ipv4() + _address(_SOURCE, network, _NOT_EQUAL)


def to_network(network: IPv4Network) -> Expression:
    return _is_ipv4() + _address(_DESTINATION, network, _EQUAL)


def destination_is(kind: int) -> Expression:
    return _fib() + _compare(struct.pack("=I", kind))


def destination_is_not(kind: int) -> Expression:
    return _fib() + _compare(struct.pack("=I", kind), _NOT_EQUAL)


def is_answer() -> Expression:
    """Of a connection that was let through, or about one."""
    state = _expression("ct", _number(1, _REGISTER), _number(2, _CT_STATE))
    return state + _masked(struct.pack("=I", _ESTABLISHED_RELATED)) + _compare(bytes(4), _NOT_EQUAL)


# What is done...


def accept() -> Expression:
    return _verdict(1)


def drop() -> Expression:
    return _verdict(0)


def reject() -> Expression:
    """Answered with ICMP's "administratively prohibited", so that nobody waits for nothing."""
    return _expression("reject", _number(1, _ICMPX_UNREACHABLE), attribute(2, bytes([_ADMIN_PROHIBITED])))


def masquerade() -> Expression:
    return _expression("masq")


# How it is written...


def _message(kind: int, flags: int, *attributes: bytes) -> Message:
    head = struct.pack("!BBH", _INET, 0, 0)
    return Message(_SUBSYSTEM << 8 | kind, REQUEST | ACK | flags, head + b"".join(attributes))


def _expression(name: str, *attributes: bytes) -> Expression:
    return nested(1, text(1, name), nested(2, *attributes))


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))


def _data(kind: int, value: bytes) -> bytes:
    return nested(kind, attribute(1, value))


def _meta(key: int) -> Expression:
    return _expression("meta", _number(1, _REGISTER), _number(2, key))


def _fib() -> Expression:
    return _expression("fib", _number(1, _REGISTER), _number(2, _FIB_RESULT_TYPE), _number(3, _FIB_DESTINATION))


def _compare(value: bytes, operator: int = _EQUAL) -> Expression:
    return _expression("cmp", _number(1, _REGISTER), _number(2, operator), _data(3, value))


def _masked(mask: bytes) -> Expression:
    size = len(mask)
    registers = _number(1, _REGISTER), _number(2, _REGISTER)
    return _expression("bitwise", *registers, _number(3, size), _data(4, mask), _data(5, bytes(size)))


def _is_ipv4() -> Expression:
    return _meta(_META_NFPROTO) + _compare(bytes([_NFPROTO_IPV4]))


def _address(offset: int, network: IPv4Network, operator: int) -> Expression:
    where = _number(2, _NETWORK_HEADER), _number(3, offset), _number(4, 4)
    loaded = _expression("payload", _number(1, _REGISTER), *where)
    return loaded + _masked(network.netmask.packed) + _compare(network.network_address.packed, operator)


def _verdict(code: int) -> Expression:
    verdict = nested(2, attribute(1, struct.pack("!i", code)))
    return _expression("immediate", _number(1, _VERDICT_REGISTER), nested(2, verdict))
