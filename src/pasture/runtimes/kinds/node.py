"""Node.js: any that the machine has, or one from npm, with AWS's own runtime client beside it.

The client's JavaScript is AWS's, unchanged; its native part, which would need a C++ compiler and cmake to install, is
replaced by `rapid_client.mjs` (docs/decisions/0020-runtimes.md). The AWS SDK is not installed: see docs/differences.md.
"""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from pasture.runtimes import installing, programs
from pasture.runtimes.language import RUNTIME, Interpreter, LanguageFamily, environment, mounts_of
from pasture.runtimes.spec import Emulator, InstalledRuntime, RuntimeUnavailable

MAJORS = (26, 24, 22, 20, 18, 16)
# The last client whose handlers may take a callback, which AWS's runtimes have refused since nodejs24.x.
_WITH_CALLBACKS, _WITHOUT_CALLBACKS = "aws-lambda-ric@3.3.0", "aws-lambda-ric@4.0.2"
_FIRST_WITHOUT_CALLBACKS = 24

_SOURCES = Path(__file__).parent.parent / "node"
_ASK = "process.stdout.write(JSON.stringify([process.versions.node, process.execPath, process.arch]))"
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
# AWS's bootstrap gives nine tenths of the memory to the old space, half a tenth to each half of the new one.
_HEAP = (("--max-semi-space-size={}", 0.05), ("--max-old-space-size={}", 0.9))


class NodeFamily(LanguageFamily):
    """With an `emulator`, that of another architecture: all its interpreters are from npm."""

    def __init__(
        self, cache: Path, *, npm: str | None = None, home: Path | None = None, emulator: Emulator | None = None
    ) -> None:
        super().__init__(cache, home)
        self._npm = npm or shutil.which("npm")
        self._emulator = emulator

    @property
    def name(self) -> str:
        return "nodejs"

    def identifiers(self) -> Sequence[str]:
        return tuple(f"nodejs{major}.x" for major in MAJORS)

    def available(self) -> Sequence[str]:
        """With npm, every one."""
        return self.identifiers() if self._npm and self._architecture else super().available()

    # What is on the machine...

    @property
    def _architecture(self) -> str:
        return _ARCHITECTURES.get(self._emulator.architecture if self._emulator else os.uname().machine, "")

    def _candidates(self) -> Iterable[Path]:
        fetched = sorted(self._cache.glob("interpreter-*/*/bin"))
        if self._emulator is not None:
            return [directory / "node" for directory in fetched]
        managed = programs.below(
            self._home / ".nvm" / "versions" / "node", self._home / ".volta" / "tools" / "image" / "node",
            self._home / ".asdf" / "installs" / "nodejs", self._home / ".nodenv" / "versions",
            self._home / ".local" / "share" / "mise" / "installs" / "node", Path("/opt"), Path("/usr/local/lib/nodejs"),
        )  # fmt: skip
        fnm = programs.below(self._home / ".local" / "share" / "fnm" / "node-versions", tail="installation/bin")
        return programs.named("node", os.environ, [*managed, *fnm, *fetched])

    def _ask(self, candidate: Path) -> Interpreter | None:
        try:
            emulated = [str(self._emulator.program), *self._emulator.arguments] if self._emulator else []
            said = programs.ask([*emulated, str(candidate), "-e", _ASK])
            version, executable, architecture = json.loads(said or "[]")
        except ValueError:
            return None
        if architecture != self._architecture:
            return None
        return Interpreter(version, Path(executable).resolve())

    def _identifiers_of(self, interpreter: Interpreter) -> Iterable[str]:
        return (f"nodejs{interpreter.version.partition('.')[0]}.x",)

    def _fetch(self, identifier: str) -> Interpreter:
        """From npm, which checks that the package is whole."""
        major = _major(identifier)
        if identifier not in self.available():
            what = f"install Node.js {major}, or npm" if major in MAJORS else "there is none"
            raise RuntimeUnavailable(f"no {identifier} interpreter on this machine: {what} and start Pasture again")
        final = self._cache / f"interpreter-{major}" / "node"
        installing.fill(final, lambda directory: self._fetch_into(major, directory))
        found = self._ask(final / "bin" / "node")
        if found is None:
            raise RuntimeUnavailable(f"the Node.js {major} that npm has installed does not run on this machine")
        with self._looking:
            self._found = {**(self._found or {}), identifier: found}
        return found

    def _fetch_into(self, major: int, directory: Path) -> None:
        package = f"node-linux-{self._architecture}"
        # npm refuses packages that are not for this machine, unless it is forced.
        forced = ("--force",) if self._emulator is not None else ()
        self._install(f"{package}@{major}", directory / "npm", *forced)
        (directory / "bin").mkdir()
        (directory / "npm" / "node_modules" / package / "bin" / "node").rename(directory / "bin" / "node")
        shutil.rmtree(directory / "npm")

    # Making it ready...

    def _made_from(self, identifier: str, found: Interpreter) -> Sequence[str]:  # noqa: ARG002  a change of interpreter changes nothing
        return [_client(identifier), *(path.read_text() for path in sorted(_SOURCES.iterdir()))]

    def _make(self, identifier: str, found: Interpreter, directory: Path) -> None:  # noqa: ARG002
        self._install(_client(identifier), directory)
        client = directory / "node_modules" / "aws-lambda-ric"
        for unused in ("deps", "src", "scripts"):
            shutil.rmtree(client / unused, ignore_errors=True)
        for name in ("package.json", "package-lock.json", "node_modules/.package-lock.json"):
            (directory / name).unlink(missing_ok=True)
        client.rename(directory / "client")
        # Functions that bring node_modules/aws-lambda-ric of their own must not find this one; what it depends on is
        # within its own file.
        shutil.rmtree(directory / "node_modules")
        for folder in (directory / "client", directory / "client" / "dist"):
            if folder.is_dir():
                (folder / "rapid-client.node").touch()
        for source in _SOURCES.iterdir():
            shutil.copyfile(source, directory / source.name)

    def _install(self, package: str, directory: Path, *more: str) -> None:
        if self._npm is None:
            raise RuntimeUnavailable(f"{package} has to be installed, and there is no npm on this machine")
        directory.mkdir(exist_ok=True)
        done = installing.run(
            self._npm, "install", "--prefix", directory, "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund",
            "--no-update-notifier", "--loglevel=error", *more, package,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeUnavailable(
                f"cannot install {package}: {installing.last_lines(done.stdout)} "
                "Check that npm reaches a registry and try again"
            )

    def _installed(self, identifier: str, found: Interpreter, packages: Path) -> InstalledRuntime:
        mounts, node = mounts_of(found, packages, "node")
        return InstalledRuntime(
            identifier=identifier,
            version=found.version,
            location=found.executable,
            mounts=mounts,
            command=(node, "--expose-gc", f"{RUNTIME}/index.mjs"),
            memory_arguments=_HEAP,
            handler_argument=False,
            environment={
                **environment(identifier),
                "NODE_PATH": f"/opt/nodejs/node{_major(identifier)}/node_modules:/opt/nodejs/node_modules:"
                f"{RUNTIME}/node_modules:{RUNTIME}:/var/task",
            },
        )


def family(cache: Path) -> NodeFamily:
    return NodeFamily(cache)


def emulated_family(cache: Path, emulator: Emulator) -> NodeFamily:
    return NodeFamily(cache, emulator=emulator)


def _major(identifier: str) -> int:
    digits = identifier.removeprefix("nodejs").removesuffix(".x")
    return int(digits) if digits.isdigit() else 0


def _client(identifier: str) -> str:
    return _WITH_CALLBACKS if _major(identifier) < _FIRST_WITHOUT_CALLBACKS else _WITHOUT_CALLBACKS
