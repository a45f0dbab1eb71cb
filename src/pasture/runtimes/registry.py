"""The managed runtimes of this machine: every family in `kinds/`, and what each has found or made ready."""

import importlib
import os
import pkgutil
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pasture.runtimes import kinds
from pasture.runtimes.spec import InstalledRuntime, RuntimeFamily, RuntimeUnavailable


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """One line of `overview`: where there is no interpreter, `interpreter` is None and `version` empty."""

    identifier: str
    family: str
    interpreter: Path | None
    version: str
    ready: bool
    available: bool
    """Whether it is ready or can be made so here."""


class Runtimes:
    """Finds and installs. Its methods may block and may be called from any thread; `ready` and `identifiers` answer
    from memory.
    """

    def __init__(self, families: Sequence[RuntimeFamily], emulated: Mapping[str, RuntimeFamily] | None = None) -> None:
        """`emulated`: of the architecture that this machine is not, by the names of `emulation.installed_as`."""
        self._families = {identifier: family for family in families for identifier in family.identifiers()}
        self._emulated = emulated or {}
        self._ready: dict[str, InstalledRuntime] = {}
        self._installing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def __repr__(self) -> str:
        return f"<Runtimes {', '.join(self._families)}; ready: {', '.join(self._ready) or 'none yet'}>"

    def identifiers(self) -> Sequence[str]:
        """Every identifier that a family here can serve, given an interpreter."""
        return tuple(self._families)

    def available(self) -> Sequence[str]:
        """The identifiers that functions can be created with: those that are ready, or can be made so."""
        return tuple(i for i, family in self._families.items() if i in family.available())

    def emulated(self) -> Sequence[str]:
        """The identifiers of interpreters that can be had for the other architecture."""
        named = ((name.partition("+")[0], family) for name, family in self._emulated.items())
        return tuple(identifier for identifier, family in named if identifier in family.available())

    def found(self) -> Sequence[str]:
        """The identifiers whose interpreter is on this machine."""
        return tuple(i for i in self._families if i in self._interpreters(i))

    def version(self, identifier: str) -> str:
        """The interpreter's own version; empty when there is none for it here."""
        if (known := self._ready.get(identifier)) is not None:
            return known.version
        family, plain = self._family(identifier)
        return family.version(plain) if family is not None else ""

    def ready(self, identifier: str) -> InstalledRuntime | None:
        """The runtime, if `find` or `install` has already answered it in this process."""
        return self._ready.get(identifier)

    def find(self, identifier: str) -> InstalledRuntime | None:
        """The runtime ready for use, or None when it needs `install` first or cannot be had."""
        if (known := self._ready.get(identifier)) is not None and known.location.exists():
            return known
        family, plain = self._family(identifier)
        found = family.find(plain) if family is not None else None
        if found is not None:
            self._ready[identifier] = found
        return found

    def install(self, identifier: str) -> InstalledRuntime:
        """Make it ready, once however many ask. Raises RuntimeUnavailable."""
        family, plain = self._family(identifier)
        if family is None:
            raise RuntimeUnavailable(
                f"the runtime {identifier} cannot be run here; these can: {', '.join(self.available()) or 'none'}"
            )
        with self._installing[identifier]:
            installed = self.find(identifier) or family.install(plain)
            self._ready[identifier] = installed
            return installed

    def overview(self) -> Sequence[RuntimeStatus]:
        """Every identifier and how it stands, for people."""
        return tuple(self._status(identifier, family) for identifier, family in self._families.items())

    def _family(self, identifier: str) -> tuple[RuntimeFamily | None, str]:
        """And what that calls it."""
        return self._families.get(identifier) or self._emulated.get(identifier), identifier.partition("+")[0]

    def _interpreters(self, identifier: str) -> Mapping[str, Path]:
        return self._families[identifier].interpreters()

    def _status(self, identifier: str, family: RuntimeFamily) -> RuntimeStatus:
        return RuntimeStatus(
            identifier,
            family.name,
            interpreter=self._interpreters(identifier).get(identifier),
            version=family.version(identifier),
            ready=self.find(identifier) is not None,
            available=identifier in family.available(),
        )


def families(cache: Path) -> Sequence[RuntimeFamily]:
    """One of every kind: each module in `kinds/` has a `family(cache)`, `cache` being a directory it may fill."""
    names = sorted(module.name for module in pkgutil.iter_modules(kinds.__path__))
    return tuple(importlib.import_module(f"{kinds.__name__}.{name}").family(cache / name) for name in names)


def machine_architecture() -> str:
    """This machine's, in AWS's word."""
    machine = os.uname().machine
    return {"aarch64": "arm64"}.get(machine, machine)
