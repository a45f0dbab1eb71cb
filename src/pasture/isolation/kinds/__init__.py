"""The kinds of isolation, one file each: a module with `make(run_directory=, owner=, network=)`."""

import importlib
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pasture.isolation.network.options import NetworkOptions
from pasture.isolation.spec import Isolation, SandboxError

_PROBE = "import sys; sys.path.insert(0, sys.argv[1]); from launcher.probe import main; sys.exit(main(sys.argv[2]))"
_PROBE_SECONDS = 30


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_kind(name: str, *, run_directory: Path, owner: str, network: NetworkOptions | None = None) -> Isolation:
    """The kind of that name, still to be opened.

    `owner` is a short stable token of the data directory: letters, digits, hyphens.
    Without `network` no sandbox has a way out.
    """
    if name not in names():
        raise SandboxError(f"there is no isolation {name!r}; there are {', '.join(names())}.")
    module = importlib.import_module(f"{__name__}.{name}")
    isolation: Isolation = module.make(
        run_directory=run_directory, owner=owner, network=network or NetworkOptions(mode="none")
    )
    return isolation


def best_kind() -> tuple[str, str]:
    """The strongest kind that works for this user on this machine, and why no stronger one does. Blocks for 0.1 s."""
    why = why_no_namespaces()
    return ("process", why) if why else ("namespaces", "")


def why_no_namespaces() -> str:
    """Makes a box, in a process of its own, as the launcher would; what prevented it, or nothing."""
    if sys.platform != "linux":
        return "Namespaces are Linux's."
    package = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory(prefix="pasture-probe-") as directory:
        probe = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROBE, str(package), directory],
            capture_output=True, text=True, check=False, timeout=_PROBE_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return "" if probe.returncode == 0 else (probe.stdout or probe.stderr).strip() or "The probe failed without a word."
