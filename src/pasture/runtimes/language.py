"""What families of interpreted languages have in common: an interpreter of this machine, and a directory made for it.

A runtime is ready when `<cache>/<identifier>/<digest>` exists: the runtime client and what goes with it, shown at
/var/runtime. The digest covers all that it is made from, so a new release of Pasture makes a new one, and removes those
that no process uses any more.
"""

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pasture.isolation.spec import Mount
from pasture.runtimes import in_use, installing, programs
from pasture.runtimes.spec import InstalledRuntime

LANG = "/var/lang"
RUNTIME = "/var/runtime"

_LIBRARIES = (
    f"{LANG}/lib", "/lib64", "/usr/lib64", RUNTIME, f"{RUNTIME}/lib", "/var/task", "/var/task/lib", "/opt/lib",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interpreter:
    version: str
    """`22.11.0`"""
    executable: Path
    """The program itself, behind shims and links."""

    @property
    def is_system(self) -> bool:
        """Every sandbox shows it where it is."""
        return self.executable.is_relative_to("/usr") and not self.executable.is_relative_to("/usr/local")


class LanguageFamily(ABC):
    """`cache` is a directory this family may fill."""

    def __init__(self, cache: Path, home: Path | None = None) -> None:
        self._cache = cache
        self._home = home or Path.home()
        self._found: Mapping[str, Interpreter] | None = None
        self._looking = threading.Lock()
        self._in_use = in_use.Held()

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def identifiers(self) -> Sequence[str]: ...

    def available(self) -> Sequence[str]:
        return tuple(self.interpreters())

    def interpreters(self) -> Mapping[str, Path]:
        return {identifier: found.executable for identifier, found in self._interpreters().items()}

    def version(self, identifier: str) -> str:
        found = self._interpreters().get(identifier)
        return found.version if found is not None else ""

    def find(self, identifier: str) -> InstalledRuntime | None:
        found = self._interpreters().get(identifier)
        if found is None or not self._in_use.hold(self._packages(identifier, found)):
            return None
        return self._installed(identifier, found, self._packages(identifier, found))

    def install(self, identifier: str) -> InstalledRuntime:
        found = self._interpreters().get(identifier) or self._fetch(identifier)
        packages = self._packages(identifier, found)
        if not self._in_use.hold(packages):
            installing.fill_and_hold(packages, lambda directory: self._make(identifier, found, directory), self._in_use)
        return self._installed(identifier, found, packages)

    # What a language says of itself...

    @abstractmethod
    def _candidates(self) -> Iterable[Path]:
        """Programs that may be an interpreter of this family."""

    @abstractmethod
    def _ask(self, candidate: Path) -> Interpreter | None:
        """What it says it is."""

    @abstractmethod
    def _identifiers_of(self, interpreter: Interpreter) -> Iterable[str]:
        """Which runtimes it can be."""

    @abstractmethod
    def _made_from(self, identifier: str, found: Interpreter) -> Sequence[str]:
        """All that decides what `_make` makes."""

    @abstractmethod
    def _make(self, identifier: str, found: Interpreter, directory: Path) -> None:
        """Fill the directory that will be /var/runtime. Raises RuntimeUnavailable."""

    @abstractmethod
    def _installed(self, identifier: str, found: Interpreter, packages: Path) -> InstalledRuntime: ...

    @abstractmethod
    def _fetch(self, identifier: str) -> Interpreter:
        """An interpreter that the machine does not have. Raises RuntimeUnavailable, saying what would help."""

    # Details...

    def _interpreters(self) -> Mapping[str, Interpreter]:
        with self._looking:
            if self._found is None:
                self._found = self._look()
            return self._found

    def _look(self) -> Mapping[str, Interpreter]:
        """For each identifier the newest."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            answers = [found for found in pool.map(self._ask, self._candidates()) if found is not None]
        chosen: dict[str, Interpreter] = {}
        for found in sorted(answers, key=lambda found: programs.numbers(found.version)):
            for identifier in self._identifiers_of(found):
                chosen[identifier] = found
        return {identifier: chosen[identifier] for identifier in self.identifiers() if identifier in chosen}

    def _packages(self, identifier: str, found: Interpreter) -> Path:
        made_from = "\0".join(self._made_from(identifier, found))
        return self._cache / identifier / hashlib.sha256(made_from.encode()).hexdigest()[:16]


def environment(identifier: str) -> dict[str, str]:
    """AWS's real values (recorded) of what all managed runtimes set, and a function may override."""
    return {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{identifier}",
        "LD_LIBRARY_PATH": ":".join(_LIBRARIES),
        "PATH": f"{LANG}/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    }


def mounts_of(found: Interpreter, packages: Path, name: str) -> tuple[tuple[Mount, ...], str]:
    """For an interpreter that is one file: what is to be shown, and where the interpreter is then."""
    shown = (Mount(packages, RUNTIME),)
    if found.is_system:
        return shown, str(found.executable)
    return (Mount(found.executable, f"{LANG}/bin/{name}"), *shown), f"{LANG}/bin/{name}"
