"""The root of a box whose system is a tree of its own: a container image's, unpacked, in place of the host's.

The tree is shown read-only as it is. Over it come the devices, /proc, /tmp, and what says who and where the box is: its
mount points are there (`dev`, `proc`, `tmp`, and in `etc` the files here), and none of them is a link.
"""

from . import root, syscalls
from .failure import step
from .template import Template

_ETC = ("hosts", "hostname", "resolv.conf")


def replace(template: Template, tree: str, identity: "tuple[str, str]") -> None:
    """What was laid for any box before goes, its /tmp with it."""
    place = template.box_root
    with step("take away the root that was laid ahead"):
        syscalls.unmount(place, syscalls.MNT_DETACH)
    with step(f"mount {tree} as the root of the box"):
        root.bind(template.host + tree, place)
    with step("mount /dev of the box"):
        syscalls.mount(f"{template.directory}/dev", f"{place}/dev", flags=syscalls.MS_BIND | syscalls.MS_REC)
    for name in _ETC:
        with step(f"mount /etc/{name} of the box"):
            root.bind(f"{template.directory}/etc/{name}", f"{place}/etc/{name}")
    root.complete(template, identity)
