"""Whether sandboxes have a way out, and to what; said by the operator, checked before anything is done with it."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

MODES = ("auto", "nat", "none")
# RFC 2544, for tests of devices in closed networks: neither routed in the Internet nor common in private ones.
DEFAULT_RANGE = "198.18.0.0/15"
# Each server takes a slice of the range: 4,093 boxes at a time.
SLICE_BITS = 20


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """`auto`: `nat` where the machine allows it. Raises ValueError for what is no network, address or mode."""

    mode: str = "auto"
    range: str = DEFAULT_RANGE
    """Addresses that are this machine's to use, and nobody's else."""
    deny: tuple[str, ...] = ()
    """Networks that no sandbox may reach, besides those that none ever may."""
    allow_host: bool = False
    """Whether sandboxes may reach this machine's own addresses; its loopback they never do."""
    resolvers: tuple[str, ...] = ()
    """Name servers for sandboxes; the machine's own when there are none."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"there is no network {self.mode!r}; there are {', '.join(MODES)}.")
        if (size := self.network.prefixlen) > SLICE_BITS:
            raise ValueError(f"the range of sandboxes' addresses must be a /{SLICE_BITS} or larger, not a /{size}.")
        self.denied()
        for address in self.resolvers:
            IPv4Address(address)

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(self.range)

    def denied(self) -> Iterable[IPv4Network]:
        return [IPv4Network(text) for text in self.deny]
