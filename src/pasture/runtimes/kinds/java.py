"""Java: any OpenJDK that the machine has, with AWS's own runtime client, which Maven fetches, beside it."""

import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pasture.isolation.spec import Mount
from pasture.runtimes import installing, java_archive, programs
from pasture.runtimes.language import LANG, RUNTIME, Interpreter, LanguageFamily, environment
from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable

# What AWS calls a version of Java: on Amazon Linux 2, or on 2023.
_IDENTIFIERS = {
    25: ("java25",),
    21: ("java21",),
    17: ("java17.al2023", "java17"),
    11: ("java11.al2023", "java11"),
    8: ("java8.al2023", "java8.al2"),
}
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_CLIENT = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
_POM = Path(__file__).parent.parent / "java" / "pom.xml"
# Of what a distribution keeps in /etc, which is not the host's in a sandbox. Relative to the JDK.
_SETTINGS = ("conf", "lib/security", "lib/jfr", "lib/jvm.cfg")
# What every sandbox has of /etc.
_SHOWN = Path("/etc/ssl/certs")
_JAR = "runtime.jar"
# What the client may do without being told so on the command line, which would keep the JVM from sharing its classes:
# it opens the descriptor that it is to log to, and has a native part.
_MANIFEST = f"""\
Manifest-Version: 1.0
Main-Class: {_CLIENT}
Class-Path: {{}}
Add-Opens: java.base/java.io
Enable-Native-Access: ALL-UNNAMED
"""
# As AWS starts it: small functions gain nothing by more than one thread of garbage collection, nor by the second
# compiler.
_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_HEAP = (("-Xmx{}m", 0.85),)


class JavaFamily(LanguageFamily):
    def __init__(self, cache: Path, *, maven: str | None = None, home: Path | None = None) -> None:
        super().__init__(cache, home)
        self._maven = maven or shutil.which("mvn")

    @property
    def name(self) -> str:
        return "java"

    def identifiers(self) -> Sequence[str]:
        return tuple(identifier for identifiers in _IDENTIFIERS.values() for identifier in identifiers)

    # What is on the machine...

    def _candidates(self) -> Iterable[Path]:
        named = os.environ.get("JAVA_HOME")
        homes = programs.below(
            Path("/usr/lib/jvm"), self._home / ".sdkman" / "candidates" / "java", self._home / ".jdks", Path("/opt")
        )
        return programs.named("java", os.environ, [*([Path(named) / "bin"] if named else []), *homes])

    def _ask(self, candidate: Path) -> Interpreter | None:
        """Every OpenJDK says what it is in a file, for nothing."""
        executable = candidate.resolve()
        home = executable.parents[1]
        if home.name == "jre":  # of Java 8
            home = home.parent
        try:
            said = dict(line.split("=", 1) for line in (home / "release").read_text().splitlines() if "=" in line)
        except (OSError, ValueError):
            return None
        machine = said.get("OS_ARCH", "").strip('"')
        if {"amd64": "x86_64"}.get(machine, machine) != os.uname().machine:
            return None
        version = said.get("JAVA_VERSION", "").strip('"')
        return Interpreter(version, home / "bin" / "java") if version else None

    def _identifiers_of(self, interpreter: Interpreter) -> Iterable[str]:
        return _IDENTIFIERS.get(_major(interpreter), ())

    def _fetch(self, identifier: str) -> Interpreter:
        number = identifier.removeprefix("java").partition(".")[0]
        raise RuntimeUnavailable(
            f"no {identifier} on this machine: install OpenJDK {number} (from the distribution or SDKMAN!), "
            "or set JAVA_HOME, and start Pasture again"
        )

    # Making it ready...

    def _made_from(self, identifier: str, found: Interpreter) -> Sequence[str]:  # noqa: ARG002  one client for all
        release = found.executable.parents[1] / "release"
        sources = (_POM, Path(java_archive.__file__))
        return [*(source.read_text() for source in sources), _MANIFEST, str(found.executable), release.read_text()]

    def _make(self, identifier: str, found: Interpreter, directory: Path) -> None:  # noqa: ARG002  one serves two
        self._fetch_client(directory)
        home = found.executable.parents[1]
        for name in _settings(home):
            _copy(home / name, directory / "lang" / name)
        _write_starter(directory / "lib")
        java_archive.make_archive(self._mounts(found, directory), _command(directory), directory)

    def _fetch_client(self, directory: Path) -> None:
        if self._maven is None:
            raise RuntimeUnavailable(
                "the runtime client for Java is fetched by Maven, and there is no mvn on this machine: install it"
            )
        shutil.copyfile(_POM, directory / "pom.xml")
        done = installing.run(
            self._maven, "-q", "-B", _COPY, "-DincludeScope=runtime", f"-DoutputDirectory={directory / 'lib'}",
            directory=directory,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeUnavailable(
                f"cannot fetch the runtime client for Java: {installing.last_lines(done.stdout)} "
                "Check that mvn reaches a repository and try again"
            )

    def _mounts(self, found: Interpreter, packages: Path) -> tuple[Mount, ...]:
        home = found.executable.parents[1]
        own = [Mount(packages / "lang" / name, f"{LANG}/{name}") for name in _settings(home)]
        return (Mount(home, LANG), *own, Mount(packages, RUNTIME))

    def _installed(self, identifier: str, found: Interpreter, packages: Path) -> InstalledRuntime:
        return InstalledRuntime(
            identifier=identifier,
            version=found.version,
            location=found.executable,
            mounts=self._mounts(found, packages),
            command=_command(packages),
            memory_arguments=_HEAP,
            environment=environment(identifier),
        )


def family(cache: Path) -> JavaFamily:
    return JavaFamily(cache)


def _major(interpreter: Interpreter) -> int:
    first, second = (*programs.numbers(interpreter.version.replace("_", ".")), 0, 0)[:2]
    return second if first == 1 else first


def _command(packages: Path) -> tuple[str, ...]:
    archive = java_archive.OPTIONS if (packages / java_archive.ARCHIVE).is_file() else ()
    return (f"{LANG}/bin/java", *_OPTIONS, *archive, "-jar", f"{RUNTIME}/lib/{_JAR}")


def _write_starter(lib: Path) -> None:
    """A jar that names the others, and holds nothing itself."""
    jars = " ".join(sorted(path.name for path in lib.glob("*.jar")))
    lines = [line for text in _MANIFEST.format(jars).splitlines() for line in _folded(text)]
    with zipfile.ZipFile(lib / _JAR, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "\n".join(lines) + "\n")


def _folded(line: str) -> Iterator[str]:
    """As the format of manifests wants it: at most 72 bytes a line."""
    yield line[:70]
    for start in range(70, len(line), 69):
        yield " " + line[start : start + 69]


def _settings(home: Path) -> list[str]:
    """Those that lead out of the JDK."""
    return [name for name in _SETTINGS if any(_leads_to_etc(path) for path in (home / name, *(home / name).rglob("*")))]


def _leads_to_etc(path: Path) -> bool:
    return path.is_symlink() and path.readlink().is_relative_to("/etc")


def _copy(source: Path, target: Path) -> None:
    """What is linked to, unless it is in every sandbox and kept up to date there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() and source.readlink().is_relative_to(_SHOWN):
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir()
        for child in source.iterdir():
            _copy(child, target / child.name)
    elif source.exists():
        shutil.copyfile(source, target)
