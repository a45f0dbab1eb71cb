"""What making a runtime ready has in common, whatever its language: a directory that is whole or not there."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pasture.runtimes import in_use
from pasture.runtimes.spec import RuntimeUnavailable

INSTALL_SECONDS = 600


def fill(final: Path, make: Callable[[Path], None]) -> None:
    """Have `make` fill a directory that gets this name when it is whole, even after a power cut; once, whoever asks."""
    with locked(final.parent.parent / f"{final.parent.name}.lock"):
        if final.is_dir():
            return
        final.parent.mkdir(parents=True, exist_ok=True)
        for leftover in final.parent.glob(".making-*"):  # of an installation that was killed; the lock is ours
            shutil.rmtree(leftover)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=final.parent))
        try:
            make(making)
            let_everyone_read(making)
            os.sync()
            making.rename(final)
        finally:
            shutil.rmtree(making, ignore_errors=True)


def fill_and_hold(final: Path, make: Callable[[Path], None], held: in_use.Held) -> None:
    """Until it is held, another release that is installed at the same time may remove it again."""
    while not held.hold(final):
        fill(final, make)
    with locked(final.parent.parent / f"{final.parent.name}.lock"):
        in_use.remove_unused(final.parent, keep=final)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among the processes of this machine; the kernel gives the lock back when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def let_everyone_read(directory: Path) -> None:
    """Environments run as users of their own, and this process may have a narrow umask."""
    for folder, _, files in os.walk(directory):
        Path(folder).chmod(0o755)
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def run(
    *command: str | Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    seconds: float = INSTALL_SECONDS,
) -> "subprocess.CompletedProcess[str]":
    """To its end, its two outputs as one text. Raises RuntimeUnavailable when it cannot be started, or hangs."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory,
            env={**os.environ, **(environment or {})}, text=True, errors="replace", timeout=seconds, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeUnavailable(f"cannot run {command[0]}: {error}") from error


def last_lines(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "it said nothing."
