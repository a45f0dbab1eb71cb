"""The runtimes of the contract, each with a program that does what the contract asks for, in its own language.

The programs are in `runtime_programs`. What has to be compiled is compiled once, into the user's cache.
"""

import functools
import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pasture.runtimes.registry import Runtimes, families
from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable
from pasture.settings import default_runtimes_dir

PROGRAMS = Path(__file__).parent / "runtime_programs"
BUILD_SECONDS = 110

ALL = frozenset({"context", "environment", "layer", "levels"})


@dataclass(frozen=True)
class Kind:
    name: str
    runtimes: tuple[str, ...]
    """The first of these that this machine can have."""
    handler: str
    files: Callable[[InstalledRuntime], Mapping[str, bytes]]
    """What is in the package. May skip the test, with the reason."""
    error_type: str
    init_error_type: str
    init_error: str = "no init"
    layer: Callable[[InstalledRuntime], Mapping[str, bytes]] = field(default=lambda _runtime: {})
    can: frozenset[str] = frozenset()
    memory_mb: int = 256

    def __str__(self) -> str:
        return self.name

    def runtime(self) -> InstalledRuntime:
        """Made ready; the test is skipped where it cannot be had."""
        registry = _registry()
        wanted = next((identifier for identifier in self.runtimes if identifier in registry.available()), None)
        if wanted is None:
            pytest.skip(f"none of {', '.join(self.runtimes)} can be had on this machine")
        try:
            return registry.install(wanted)
        except RuntimeUnavailable as unavailable:
            pytest.skip(f"{wanted} cannot be made ready: {unavailable}")


@functools.cache
def _registry() -> Runtimes:
    return Runtimes(families(default_runtimes_dir()))


def zipped(files: Mapping[str, bytes], mode: int = 0o755) -> bytes:
    """Every file with the same rights: those of an executable one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100000 | mode) << 16
            package.writestr(entry, content)
    return out.getvalue()


def _source(*names: str) -> Callable[[InstalledRuntime], Mapping[str, bytes]]:
    paths = [PROGRAMS / name for name in names]
    return lambda _runtime: {path.name: path.read_bytes() for path in paths}


def _always(files: Mapping[str, bytes]) -> Callable[[InstalledRuntime], Mapping[str, bytes]]:
    return lambda _runtime: files


# What is compiled...


def _built(language: str, tool: str, command: Callable[[Path, Path], list[str]], **environment: str) -> Path:
    """The directory with what the command has made of this language's program, made when it is not there."""
    found = shutil.which(tool) or shutil.which(tool, path=f"{Path.home()}/.cargo/bin:/usr/local/go/bin")
    if found is None:
        pytest.skip(f"there is no {tool} on this machine")
    sources = sorted(path for path in (PROGRAMS / language).rglob("*") if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    final = default_runtimes_dir().parent / "test-programs" / f"{language}-{digest}"
    if final.is_dir():
        return final
    work = final.parent / f"{language}-work-{os.getpid()}"
    shutil.copytree(PROGRAMS / language, work / "source", dirs_exist_ok=True)
    (work / "made").mkdir(exist_ok=True)
    words = command(work / "source", work / "made")
    try:
        done = subprocess.run(
            [found, *words], cwd=work / "source", env={**os.environ, **environment},
            capture_output=True, text=True, timeout=BUILD_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip(f"{tool} takes more than {BUILD_SECONDS} s on this machine")
    if done.returncode != 0:
        pytest.skip(f"{tool} cannot build the program: {done.stderr.strip()[-300:]}")
    (work / "made").replace(final)
    shutil.rmtree(work)
    return final


def _bootstrap(directory: Path) -> Mapping[str, bytes]:
    return {"bootstrap": (directory / "bootstrap").read_bytes()}


def _c(_runtime: InstalledRuntime) -> Mapping[str, bytes]:
    return _bootstrap(
        _built("c", "cc", lambda source, made: ["-O1", "-o", f"{made}/bootstrap", f"{source}/bootstrap.c"])
    )


def _go(_runtime: InstalledRuntime) -> Mapping[str, bytes]:
    def command(_source: Path, made: Path) -> list[str]:
        return ["build", "-tags", "lambda.norpc", "-o", f"{made}/bootstrap", "."]

    return _bootstrap(_built("go", "go", command, CGO_ENABLED="0", GOFLAGS="-mod=readonly"))


def _rust(_runtime: InstalledRuntime) -> Mapping[str, bytes]:
    def command(_source: Path, made: Path) -> list[str]:
        return ["build", "--release", "--quiet", "--target-dir", f"{made}/target"]

    made = _built("rust", "cargo", command)
    return _bootstrap(made / "target" / "release")


def _java(name: str, package: str = "") -> Callable[[InstalledRuntime], Mapping[str, bytes]]:
    def files(runtime: InstalledRuntime) -> Mapping[str, bytes]:
        lib = runtime.mounts[-1].source / "lib"

        def command(source: Path, made: Path) -> list[str]:
            return ["--release", "11", "-cp", f"{lib}/*", "-d", str(made), *map(str, source.glob("*.java"))]

        made = _built("java", "javac", command)
        classes = {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*.class")}
        return {path: content for path, content in classes.items() if path.startswith(name)}

    if not package:
        return files
    return lambda runtime: {package: zipped(files(runtime))}


PYTHON = Kind(
    "python",
    (f"python3.{sys.version_info.minor}",),
    "app.handler",
    _source("python/app.py"),
    "LookupError",
    "TypeError",
    layer=_always({"python/from_a_layer.py": b"VALUE = 'from a layer'"}),
    can=ALL,
)
NODE = Kind(
    "node",
    ("nodejs20.x", "nodejs22.x", "nodejs18.x"),
    "app.handler",
    _source("node/app.mjs"),
    "RangeError",
    "TypeError",
    layer=_always({"nodejs/node_modules/from-a-layer/index.js": b"module.exports = 'from a layer'"}),
    can=ALL,
)
NODE_24 = Kind(
    "node24",
    ("nodejs24.x", "nodejs26.x"),
    NODE.handler,
    NODE.files,
    "RangeError",
    "TypeError",
    layer=NODE.layer,
    can=ALL,
)
JAVA = Kind(
    "java",
    ("java17", "java21", "java25", "java11"),
    "example.App",
    _java("example/"),
    "java.lang.IllegalArgumentException",
    "java.lang.ExceptionInInitializerError",
    "Error loading class example.App",
    layer=_java("layered/", "java/lib/layered.jar"),
    can=ALL,
    memory_mb=512,
)
RUBY = Kind(
    "ruby",
    ("ruby3.3", "ruby3.2", "ruby3.4", "ruby4.0"),
    "app.handler",
    _source("ruby/app.rb"),
    "Function<KeyError>",
    "Init<TypeError>",
    layer=_always({"ruby/lib/from_a_layer.rb": b"FROM_A_LAYER = 'from a layer'"}),
    can=ALL,
)
BASH = Kind(
    "bash", ("provided.al2023",), "any", _source("bash/bootstrap"), "Function.Boom", "Runtime.NoInit", can=frozenset()
)
C = Kind("c", ("provided.al2",), "any", _c, "Function.Boom", "Runtime.NoInit")
GO = Kind(
    "go", ("provided.al2023",), "any", _go, "errorString", "Runtime.ExitError", "exit status 1",
    can=frozenset({"context", "environment"}),
)  # fmt: skip
RUST = Kind(
    "rust", ("provided.al2023",), "any", _rust, "", "Runtime.ExitError", "exit status 1",
    can=frozenset({"context", "environment"}),
)  # fmt: skip

KINDS = (PYTHON, NODE, NODE_24, JAVA, RUBY, BASH, C, GO, RUST)
