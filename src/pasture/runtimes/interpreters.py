"""Finds the CPython interpreters of this machine: where they may be, what each says it is, which one is best."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Asked of every candidate. A shim (pyenv's, asdf's) or a virtual environment answers with what is behind it.
_QUESTION = """
import json, os, platform, sys
program = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
json.dump({
    "version": platform.python_version(), "implementation": sys.implementation.name,
    "final": sys.version_info.releaselevel == "final", "free_threaded": bool(getattr(sys, "abiflags", "")),
    "prefix": os.path.realpath(sys.base_prefix), "executable": program,
    "machine": platform.machine(),
}, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    version: str
    """`3.12.1`"""
    prefix: Path
    executable: Path

    @property
    def minor(self) -> int:
        return int(self.version.split(".")[1])

    @property
    def is_system(self) -> bool:
        """Lives in /usr, among everything else of the distribution."""
        return self.prefix == Path("/usr")

    @property
    def rank(self) -> tuple[bool, bool, tuple[int, ...]]:
        """The greatest is used: one with a prefix of its own before the system's, and then the newest."""
        return (not self.is_system, self.prefix != Path("/usr/local"), tuple(map(int, self.version.split("."))))


def candidates(minors: Sequence[int], environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Files that may be an interpreter of one of `minors`: they exist and are executable; some are the same."""
    own = getattr(sys, "_base_executable", None) or sys.executable
    folders = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    folders += [Path("/usr/bin"), Path("/usr/local/bin")]
    folders += _bin_folders(home / ".pyenv" / "versions", home / ".local" / "share" / "uv" / "python", Path("/opt"))
    found = (folder / f"python3.{minor}" for folder in folders for minor in minors)
    return (path for path in dict.fromkeys([Path(own), *found]) if _is_program(path))


def ask(candidate: Path, seconds: float = 10.0) -> Interpreter | None:
    """Run it once. None when it is no usable CPython of this machine's kind, or does not answer in time."""
    try:
        answer = subprocess.run(
            [str(candidate), "-I", "-S", "-c", _QUESTION],
            capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, check=True,
        )  # fmt: skip
        said = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        # A shim without a version behind it, another machine's program, a broken link: none of our business.
        return None
    if said["implementation"] != "cpython" or said["free_threaded"] or not said["final"]:
        return None
    interpreter = Interpreter(said["version"], Path(said["prefix"]), Path(said["executable"]))
    if said["machine"] != os.uname().machine or not _is_program(interpreter.executable):
        return None
    return interpreter


def best(found: Iterable[Interpreter | None]) -> dict[int, Interpreter]:
    """For each minor version the one to use."""
    chosen: dict[int, Interpreter] = {}
    for interpreter in found:
        if interpreter is None:
            continue
        rival = chosen.get(interpreter.minor)
        if rival is None or interpreter.rank > rival.rank:
            chosen[interpreter.minor] = interpreter
    return chosen


def _bin_folders(*parents: Path) -> list[Path]:
    return [child / "bin" for parent in parents if parent.is_dir() for child in sorted(parent.iterdir())]


def _is_program(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.X_OK)
    except OSError:
        return False
