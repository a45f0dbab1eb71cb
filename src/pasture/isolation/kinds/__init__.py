"""The kinds of isolation, one file each: a module with `make(run_directory=, owner=)`."""

import importlib
import pkgutil
from pathlib import Path

from pasture.isolation.spec import Isolation, SandboxError


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_kind(name: str, *, run_directory: Path, owner: str) -> Isolation:
    """The kind of that name, still to be opened. `owner`: a short stable token of the data directory; letters, digits, hyphens."""
    if name not in names():
        raise SandboxError(f"there is no isolation {name!r}; there are {', '.join(names())}.")
    module = importlib.import_module(f"{__name__}.{name}")
    isolation: Isolation = module.make(run_directory=run_directory, owner=owner)
    return isolation
