"""The root of a zygote: what its boxes will show, so that whatever it loads has the paths it has there, and the host's.

It is made by a launcher that then executes the zygote's program and goes on in it.
"""

# Paths are strings here, as the kernel takes them.
# ruff: noqa: PTH102, PTH118

import json
import os
from dataclasses import replace

from . import credentials, root, syscalls
from .failure import step
from .setup import HOST, Setup
from .template import Template

# Tells the script to call `launcher.zygote`. No environment has a variable of this name: it is read and removed.
VARIABLE = "_PASTURE_ZYGOTE"
_PARKING = 200


def execute(template: Template, told: Setup, *, rootless: bool) -> None:
    """Never returns, unless by StepFailed."""
    zygote = told.zygote
    assert zygote is not None
    place = os.path.join(template.directory, "zygote")
    os.mkdir(place)
    _lay(template, zygote.mounts, place)
    if rootless:
        credentials.keep_over_exec()
    # The interpreter makes its standard streams for what it finds at 1 and 2: pipes, as in a box.
    os.dup2(2, _PARKING)
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.set_inheritable(told.channel, True)
    told = replace(
        told, directory=HOST + told.directory, rootless=rootless, system=template.system, links=template.links, trial=""
    )
    variables = {VARIABLE: json.dumps([HOST + zygote.package, told.encode()]), **zygote.environment}
    with step(f"execute {zygote.command[0]} as a zygote"):
        try:
            os.execve(zygote.command[0], zygote.command, variables)  # noqa: S606  no shell is the point
        finally:
            os.dup2(_PARKING, 2)
            os.close(reading)


def settle_streams() -> None:
    """In the zygote: standard output and error are the server's error output again."""
    os.dup2(_PARKING, 1)
    os.dup2(_PARKING, 2)
    os.close(_PARKING)


def _lay(template: Template, mounts: "list[tuple[str, str]]", place: str) -> None:
    with step("mount the root of the zygote"):
        syscalls.mount("zygote", place, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=1m")
    root.show(template, mounts, place)
    with step("mount /proc of the zygote"):
        syscalls.mount("/proc", place + "/proc", flags=syscalls.MS_BIND | syscalls.MS_REC)
    os.mkdir(place + HOST)
    with step("make the zygote's root the root"):
        os.chdir(place)
        syscalls.pivot_root(".", "." + HOST)
        os.chdir("/")
