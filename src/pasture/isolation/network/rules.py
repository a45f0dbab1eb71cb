"""What sandboxes may reach: the rule set of one server. Pure.

Rules look at packets by the interface that they come in by, which a sandbox cannot
choose. What is forbidden is forbidden twice: before the host's own rules may have
redirected a packet, and after.
"""

from ipaddress import IPv4Network

from pasture.isolation.launcher.netlink import Message
from pasture.isolation.network import nftables as nft
from pasture.isolation.network.options import NetworkOptions

# What begins the names of all links of all Pastures of a machine.
FAMILY = "pst"

# Where no sandbox ever has business: "this" network, loopback, link-local (RFC 3927: the metadata services of clouds),
# multicast, reserved and broadcast.
NEVER = tuple(
    IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
)

# Between connection tracking (-200) and the host's redirections (-100).
_BEFORE_REDIRECTION = -150
_FILTER, _SOURCE_NAT = 0, 100


def rule_set(table: str, links: str, network: IPv4Network, options: NetworkOptions) -> list[Message]:
    """The chains and rules of `table`. `links`: how the names of the sandboxes' links begin; `network`: theirs."""
    denied = (*NEVER, *options.denied())
    return [
        nft.chain(table, "arriving", nft.PREROUTING, _BEFORE_REDIRECTION),
        *(nft.rule(table, "arriving", nft.came_in_by(links), *parts) for parts in _arriving(network, denied, options)),
        nft.chain(table, "to-host", nft.INPUT, _FILTER),
        nft.rule(table, "to-host", nft.came_in_by(links), nft.accept() if options.allow_host else nft.reject()),
        nft.chain(table, "passing", nft.FORWARD, _FILTER),
        *(nft.rule(table, "passing", *parts) for parts in _passing(links, denied)),
        nft.chain(table, "leaving", nft.POSTROUTING, _SOURCE_NAT, "nat"),
        nft.rule(table, "leaving", nft.from_network(network), nft.does_not_go_out_by(FAMILY), nft.masquerade()),
    ]


def _arriving(
    network: IPv4Network, denied: tuple[IPv4Network, ...], options: NetworkOptions
) -> list[tuple[nft.Expression, ...]]:
    host = (nft.destination_is(nft.LOCAL), nft.reject())
    return [
        (nft.is_not_ipv4(), nft.drop()),
        (nft.not_from_network(network), nft.drop()),
        *((nft.to_network(there), nft.reject()) for there in denied),
        *([] if options.allow_host else [host]),
    ]


def _passing(links: str, denied: tuple[IPv4Network, ...]) -> list[tuple[nft.Expression, ...]]:
    outwards = nft.came_in_by(links)
    return [
        (outwards, nft.goes_out_by(FAMILY), nft.reject()),
        *((outwards, nft.to_network(there), nft.reject()) for there in denied),
        (outwards, nft.accept()),
        (nft.goes_out_by(links), nft.is_answer(), nft.accept()),
        (nft.goes_out_by(links), nft.drop()),
    ]
