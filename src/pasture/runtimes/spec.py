"""What a managed runtime is, and what every family of runtimes promises."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pasture.isolation.spec import Mount, Zygote
from pasture.runtimes.identifiers import runtime_version_arn


class RuntimeUnavailable(Exception):
    """The runtime is known and not on this machine, or cannot be made ready; the message says what would help.

    Without a full stop at its end.
    """


@dataclass(frozen=True, slots=True)
class InstalledRuntime:
    """A runtime that functions can use on this machine. Paths in `command` and `environment` are as seen inside."""

    identifier: str
    """As in CreateFunction: `python3.12`."""
    version: str
    """The interpreter's own, as INIT_START names it: `3.12.1`."""
    location: Path
    """The interpreter on the host."""
    mounts: tuple[Mount, ...]
    command: tuple[str, ...]
    """What is started; the handler is in `_HANDLER` and, where the client wants it, appended by `handler_argument`."""
    memory_arguments: tuple[tuple[str, float], ...] = ()
    """Behind the command's first word: each text with so much of the function's memory, in whole MB, for `{}`."""
    handler_argument: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the family sets (PATH, LD_LIBRARY_PATH, PYTHONPATH …); a function may override them."""
    entrypoints: tuple[str, ...] = ()
    """Where the function's own program is looked for, in this order, when there is no `command`."""
    zygote: Zygote | None = None
    """What its environments can be forked from."""

    @property
    def family_version(self) -> str:
        """As INIT_START names it: `python:3.12.1`."""
        if not self.identifier:
            return ""  # a container image's own
        name = re.match("[a-z]+", self.identifier)
        return f"{name[0] if name else self.identifier}:{self.version}"

    def arn(self, region: str) -> str:
        """The runtime version ARN, as INIT_START and `RuntimeVersionConfig` show it."""
        return runtime_version_arn(region, self.identifier, self.version)


@dataclass(frozen=True, slots=True)
class Emulator:
    """What runs programs of an architecture that is not the machine's."""

    architecture: str
    """In AWS's word."""
    program: Path
    libraries: Path | None
    """Where this machine has C libraries of that architecture, for programs that do not bring theirs."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """QEMU's, before the program and its own."""
        return ("-L", str(self.libraries)) if self.libraries is not None else ()


class RuntimeFamily(Protocol):
    """`python`, `nodejs` … Discovery runs off the event loop: these methods may block."""

    @property
    def name(self) -> str: ...

    def identifiers(self) -> Sequence[str]:
        """Every identifier of the family that AWS still accepts for new functions."""
        ...

    def find(self, identifier: str) -> InstalledRuntime | None:
        """The runtime ready for use, or None when it needs `install` first or cannot be had."""
        ...

    def install(self, identifier: str) -> InstalledRuntime:
        """Make it ready: idempotent, safe against a crash and against another process doing the same.

        Raises RuntimeUnavailable.
        """
        ...

    def available(self) -> Sequence[str]:
        """The identifiers that `install` can make ready here, those of `interpreters` and perhaps more."""
        ...

    def version(self, identifier: str) -> str:
        """The version of its interpreter on this machine, ready or not; empty when there is none."""
        ...

    def interpreters(self) -> Mapping[str, Path]:
        """Identifier → interpreter, for those whose interpreter is on this machine, ready or not."""
        ...
