"""Programs for another architecture than the machine's: run by QEMU's user-mode emulator, where that is installed.

The emulator is a program of the box like any other: under its limits, its user and its filter of system calls, which
sees the calls that the emulator makes. It is handed to the box as an open file, so the box need not have it; a
registration with the kernel (binfmt_misc) is not needed, and where there is one, what a program starts is emulated too.
"""

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from pasture.runtimes.kinds import node, provided
from pasture.runtimes.registry import machine_architecture
from pasture.runtimes.spec import Emulator, RuntimeFamily

PACKAGE = "qemu-user-static"
"""Debian's, with the emulators."""

_MACHINES = {"arm64": ("aarch64", 183), "x86_64": ("x86_64", 62)}  # QEMU's and GNU's word, and ELF's number
_HEAD = struct.Struct("<16sHH")


def emulator(architecture: str, system: Path = Path("/")) -> Emulator | None:
    """None for the machine's own architecture, and where there is no emulator. Blocks for a moment."""
    if architecture == machine_architecture() or architecture not in _MACHINES:
        return None
    machine, _ = _MACHINES[architecture]
    program = system / "usr" / "bin" / f"qemu-{machine}-static"
    libraries = system / "usr" / f"{machine}-linux-gnu"
    if not os.access(program, os.X_OK):
        return None
    return Emulator(architecture, program, libraries if (libraries / "lib").is_dir() else None)


def is_for(architecture: str, program: Path) -> bool:
    """Whether a file is a program for that architecture. A script is for none. Blocks for a moment."""
    try:
        with program.open("rb") as file:
            head = file.read(_HEAD.size)
        identification, _, machine = _HEAD.unpack(head)
    except (OSError, struct.error):
        return False
    return bool(identification.startswith(b"\x7fELF") and machine == _MACHINES[architecture][1])


def installed_as(runtime: str, architecture: str) -> str:
    """What `Runtimes` knows a function's runtime by: those with an interpreter have one for each architecture."""
    own = architecture == machine_architecture() or runtime in provided.IDENTIFIERS
    return runtime if own else f"{runtime}+{architecture}"


def families(cache: Path) -> Mapping[str, RuntimeFamily]:
    """Of the architecture that this machine is not, by `installed_as`; empty without an emulator."""
    found = emulator(_other(machine_architecture()))
    if found is None:
        return {}
    family = node.emulated_family(cache / f"node-{found.architecture}", found)
    return {installed_as(identifier, found.architecture): family for identifier in family.identifiers()}


def runtimes(machine: str) -> Sequence[str]:
    """The runtimes that can be had for the architecture that a machine is not: those whose functions bring every
    program. None without an emulator. Blocks for a moment.
    """
    return provided.IDENTIFIERS if emulator(_other(machine)) is not None else ()


def _other(machine: str) -> str:
    return "x86_64" if machine == "arm64" else "arm64"
