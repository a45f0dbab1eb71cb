"""Which part of the range is this server's: one that nothing on the machine uses. Pure."""

import zlib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

from pasture.isolation.network.options import SLICE_BITS


def candidates(network: IPv4Network, owner: str) -> Iterator[IPv4Network]:
    """Every slice of the range once, in an order of the owner's own: two that begin at one time part soon."""
    slices = list(network.subnets(new_prefix=SLICE_BITS))
    first = zlib.crc32(owner.encode())
    # An odd step visits all, since there are 2**n.
    step = (first >> 15) | 1
    for turn in range(len(slices)):
        yield slices[(first + turn * step) % len(slices)]


def is_free(slice_: IPv4Network, used: Iterable[IPv4Network]) -> bool:
    return not any(slice_.overlaps(other) for other in used)
