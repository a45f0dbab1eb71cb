"""Ruby: any CRuby that the machine has, with a runtime client of ours: AWS's is a gem with a client for every version,
and this one needs nothing but Ruby (docs/decisions/0020-runtimes.md).
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from pasture.isolation.spec import Mount
from pasture.runtimes import programs
from pasture.runtimes.language import RUNTIME, Interpreter, LanguageFamily, environment
from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable

VERSIONS = ("4.0", "3.4", "3.3", "3.2")
_BOOTSTRAP = Path(__file__).parent.parent / "ruby" / "bootstrap.rb"
_ASK = 'print [RUBY_ENGINE, RUBY_VERSION, RbConfig.ruby, RbConfig::CONFIG["host_cpu"]].join("\\n")'
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


class RubyFamily(LanguageFamily):
    """`versions`: those that AWS has; others are for tests of the client on a machine that has only them."""

    def __init__(self, cache: Path, *, versions: Sequence[str] = VERSIONS, home: Path | None = None) -> None:
        super().__init__(cache, home)
        self._versions = versions

    @property
    def name(self) -> str:
        return "ruby"

    def identifiers(self) -> Sequence[str]:
        return tuple(f"ruby{version}" for version in self._versions)

    def _candidates(self) -> Iterable[Path]:
        home = self._home
        managed = programs.below(
            home / ".rbenv" / "versions", home / ".asdf" / "installs" / "ruby", home / ".rubies",
            home / ".local" / "share" / "mise" / "installs" / "ruby", home / ".rvm" / "rubies", Path("/opt"),
        )  # fmt: skip
        for version in ("", *self._versions):
            yield from programs.named(f"ruby{version}", os.environ, () if version else managed)

    def _ask(self, candidate: Path) -> Interpreter | None:
        said = (programs.ask([candidate, "--disable-gems", "-rrbconfig", "-e", _ASK]) or "").splitlines()
        if len(said) != 4 or said[0] != "ruby":
            return None
        _, version, executable, machine = said
        if _ARCHITECTURES.get(machine, machine) != os.uname().machine:
            return None
        return Interpreter(version, Path(executable))

    def _identifiers_of(self, interpreter: Interpreter) -> Iterable[str]:
        identifier = f"ruby{'.'.join(interpreter.version.split('.')[:2])}"
        return (identifier,) if identifier in self.identifiers() else ()

    def _fetch(self, identifier: str) -> Interpreter:
        raise RuntimeUnavailable(
            f"no {identifier} on this machine: install Ruby {identifier.removeprefix('ruby')} (from the distribution, "
            "rbenv or asdf) and start Pasture again"
        )

    def _made_from(self, identifier: str, found: Interpreter) -> Sequence[str]:  # noqa: ARG002  one client for all
        return [_BOOTSTRAP.read_text()]

    def _make(self, identifier: str, found: Interpreter, directory: Path) -> None:  # noqa: ARG002
        shutil.copyfile(_BOOTSTRAP, directory / _BOOTSTRAP.name)

    def _installed(self, identifier: str, found: Interpreter, packages: Path) -> InstalledRuntime:
        # Ruby looks for its library where it was installed, and nowhere else.
        prefix = found.executable.parents[1]
        own = () if found.is_system else (Mount(prefix, str(prefix)),)
        library = f"{'.'.join(found.version.split('.')[:2])}.0"
        return InstalledRuntime(
            identifier=identifier,
            version=found.version,
            location=found.executable,
            mounts=(*own, Mount(packages, RUNTIME)),
            command=(str(found.executable), f"{RUNTIME}/{_BOOTSTRAP.name}"),
            handler_argument=False,
            environment={
                **environment(identifier),
                "GEM_PATH": f"/var/task/vendor/bundle/ruby/{library}:/opt/ruby/gems/{library}",
                "RUBYLIB": f"{RUNTIME}/lib:/opt/ruby/lib",
            },
        )


def family(cache: Path) -> RubyFamily:
    return RubyFamily(cache)
