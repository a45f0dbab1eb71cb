"""Which cgroups serve here: version 1, version 2, or none, and then what is not enforced."""

from typing import Any

from . import cgroup_v1, cgroup_v2
from .cgroups import Group, Hierarchy, mounted

_UNLIMITED = (
    "Memory, processor time and the number of processes are not limited, and sandboxes cannot be frozen: no cgroup can "
    "be written here. Run as root, or with `systemd-run --user --scope -p Delegate=yes`."
)
_KINDS: "tuple[type[Group], ...]" = (Group, cgroup_v1.GroupV1, cgroup_v2.GroupV2)


def find(owner: str) -> Hierarchy:
    """The groups of the server with this token, ready for use. `owner` names them: `pasture-<owner>/<box>`.

    For the server alone, which may be moved by it: the launcher is told the outcome.
    """
    places = mounted()
    found = cgroup_v1.find(owner, places) or cgroup_v2.find(owner, places)
    return found or Hierarchy(Group, {}, [_UNLIMITED])


def hierarchy(message: "dict[str, Any]", host: str = "") -> Hierarchy:
    """The same hierarchy, for another process. `host`: where that one has the host's root."""
    roots = {name: host + directory for name, directory in message["directories"].items()}
    return Hierarchy(_KINDS[message["version"]], roots, [])
