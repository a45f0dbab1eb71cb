"""IP forwarding of this network namespace: turned on when it is off, and off again by the last server that needs it.

That it was off is written where it outlives every process and goes with what it is about:
in the alias of the server's own link.
"""

from pathlib import Path

from pasture.isolation.launcher import links
from pasture.isolation.launcher.links import Link
from pasture.isolation.launcher.netlink import Netlink

WAS_OFF = "pasture; ip_forward was 0"
WAS_ON = "pasture"

_SWITCH = Path("/proc/sys/net/ipv4/ip_forward")


def is_on() -> bool:
    return _SWITCH.read_text().strip() == "1"


def turn_on() -> None:
    if not is_on():
        _SWITCH.write_text("1")


def give_back(route: Netlink, alias: str, others: list[Link]) -> None:
    """`alias`: of the link that goes; `others`: the links of other servers that stay."""
    if alias != WAS_OFF:
        return
    if others:
        route.request(links.note(others[0].index, WAS_OFF))
    else:
        _SWITCH.write_text("0")
