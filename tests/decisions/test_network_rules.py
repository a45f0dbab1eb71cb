"""Where sandboxes' addresses come from, which name servers they get, and what an operator may say about it."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.isolation.launcher.netlink import attribute, attributes
from pasture.isolation.launcher.outbound import Outbound
from pasture.isolation.network import resolvers
from pasture.isolation.network.options import NetworkOptions
from pasture.isolation.network.rules import NEVER
from pasture.isolation.network.slices import candidates, is_free

RANGE = IPv4Network("198.18.0.0/15")


@given(st.text())
def test_every_slice_of_the_range_is_offered_once_whoever_asks(owner: str) -> None:
    offered = list(candidates(RANGE, owner))
    assert sorted(offered) == list(RANGE.subnets(new_prefix=20))


def test_a_slice_is_not_free_where_a_route_leads_into_it_or_to_more_than_it() -> None:
    slice_ = IPv4Network("198.18.16.0/20")
    assert not is_free(slice_, [IPv4Network("198.18.17.0/30")])
    assert not is_free(slice_, [IPv4Network("198.18.0.0/16")])
    assert is_free(slice_, [IPv4Network("198.18.32.0/20"), IPv4Network("10.0.0.0/8")])


def test_a_box_has_the_address_of_its_number() -> None:
    outbound = Outbound("pst0123abcd", "198.18.16.1", 4093)
    assert (outbound.address(1), outbound.address(4093)) == ("198.18.16.2", "198.18.31.254")
    assert outbound.name(4093) == "pst0123abcdffd"
    assert len(outbound.name(4093)) <= 15


def test_the_name_servers_that_resolved_asks_are_taken_where_it_is_the_hosts_own() -> None:
    stub = "nameserver 127.0.0.53\noptions edns0\n"
    upstream = "# comment\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver 192.0.2.54\n"
    assert resolvers.usable([stub, upstream], [], NEVER) == ("192.0.2.53", "192.0.2.54")


def test_a_name_server_that_is_the_host_itself_or_denied_is_of_no_use() -> None:
    text = "nameserver 192.0.2.1\nnameserver 10.0.0.1\nnameserver\n"
    denied = (*NEVER, IPv4Network("10.0.0.0/8"))
    assert resolvers.usable([text], [IPv4Address("192.0.2.1")], denied) == ()


def test_three_name_servers_at_most_are_given() -> None:
    text = "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6))
    assert resolvers.usable([text], [], NEVER) == ("192.0.2.1", "192.0.2.2", "192.0.2.3")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"mode": "bridge"}, "there is no network 'bridge'; there are auto, nat, none"),
        ({"range": "198.18.0.0/24"}, "must be a /20 or larger, not a /24"),
        ({"range": "everything"}, "everything"),
        ({"deny": ("10.0.0.1/8",)}, "host bits set"),
        ({"resolvers": ("dns.example",)}, "dns.example"),
    ],
)
def test_options_that_cannot_be_are_refused_with_the_reason(options: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        NetworkOptions(**options)  # type: ignore[arg-type]  # the types differ by the case


@given(st.dictionaries(st.integers(0, 0x7FFF), st.binary(max_size=40)))
def test_attributes_are_read_as_they_were_written(values: dict[int, bytes]) -> None:
    assert attributes(b"".join(attribute(kind, value) for kind, value in values.items())) == values
