"""Which name servers sandboxes can use: the host's, as far as they can be reached from elsewhere than the host."""

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path

# systemd-resolved answers at 127.0.0.53, and keeps the name servers that it asks itself in the other file.
FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
# What resolv.conf(5) holds at most.
_MOST = 3


def parse(text: str) -> list[IPv4Address]:
    """The IPv4 name servers of a resolv.conf, in order."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with suppress(AddressValueError):
                found.append(IPv4Address(words[1]))
    return found


def usable(texts: Iterable[str], hosts_own: Iterable[IPv4Address], denied: Iterable[IPv4Network]) -> tuple[str, ...]:
    """Those of the first file that has any that are neither the host's own nor denied."""
    own, closed = set(hosts_own), list(denied)
    for text in texts:
        open_ = [a for a in parse(text) if a not in own and not any(a in network for network in closed)]
        if open_:
            return tuple(str(address) for address in open_[:_MOST])
    return ()


def read() -> list[str]:
    return [path.read_text(errors="replace") for path in FILES if path.is_file()]
