"""A family of runtimes that needs nothing of the machine, for tests; it keeps the contract of the real ones."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable


@dataclass(slots=True)
class FakeFamily:
    known: tuple[str, ...] = ("python3.12", "python3.13")
    present: tuple[str, ...] = ("python3.12", "python3.13")
    broken: str = ""
    """Why nothing can be installed, if so."""
    installed: list[str] = field(default_factory=list)
    """Every installation that was really made, in order."""

    @property
    def name(self) -> str:
        return "fake"

    def identifiers(self) -> Sequence[str]:
        return self.known

    def available(self) -> Sequence[str]:
        return self.present

    def interpreters(self) -> Mapping[str, Path]:
        return {identifier: Path(sys.executable) for identifier in self.present}

    def version(self, identifier: str) -> str:
        return f"{identifier.removeprefix('python')}.0" if identifier in self.present else ""

    def find(self, identifier: str) -> InstalledRuntime | None:
        return self._made(identifier) if identifier in self.installed else None

    def install(self, identifier: str) -> InstalledRuntime:
        if self.broken or identifier not in self.present:
            raise RuntimeUnavailable(self.broken or f"no {identifier} interpreter on this machine")
        if identifier not in self.installed:
            self.installed.append(identifier)
        return self._made(identifier)

    def _made(self, identifier: str) -> InstalledRuntime:
        return InstalledRuntime(
            identifier, self.version(identifier), Path(sys.executable), mounts=(), command=("/bin/true",)
        )
