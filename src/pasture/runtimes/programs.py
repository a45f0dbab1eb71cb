"""Finds the programs of this machine that may be a runtime's interpreter: where they may be, and what each answers."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path


def named(name: str, environ: Mapping[str, str], folders: Iterable[Path] = ()) -> Iterator[Path]:
    """Executable files of this name: on the PATH, in the system's directories, in `folders`; each file once."""
    found = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    found += [Path("/usr/bin"), Path("/usr/local/bin"), *folders]
    seen = set()
    for folder in found:
        path = folder / name
        if is_program(path) and (real := path.resolve()) not in seen:
            seen.add(real)
            yield path


def below(*parents: Path, tail: str = "bin") -> list[Path]:
    """`tail` of every directory in these: version managers keep one a version."""
    return [child / tail for parent in parents if parent.is_dir() for child in sorted(parent.iterdir())]


def ask(command: Sequence[str | Path], seconds: float = 20.0) -> str | None:
    """What it prints; None when it cannot run, fails or does not answer in time."""
    try:
        answer = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, errors="replace", timeout=seconds, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        # A shim without a version behind it, another machine's program, a broken link: none of our business.
        return None
    return answer.stdout


def is_program(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.X_OK)
    except OSError:
        return False


def numbers(version: str) -> tuple[int, ...]:
    """`22.23.3` as it is ordered."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
