"""Python: any CPython on the machine, with AWS's own runtime client installed beside it.

A runtime is ready when `<cache>/python3.X/<digest>` exists: the runtime client, boto3 and the bootstrap, compiled for
that interpreter. The digest covers everything the directory is made from, so a new release of Pasture makes a new one,
and removes those that no process uses any more.
"""

import functools
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pasture.isolation.spec import Mount, Zygote
from pasture.runtimes import in_use, installing, interpreters, python_bootstrap
from pasture.runtimes.interpreters import Interpreter
from pasture.runtimes.spec import InstalledRuntime, RuntimeUnavailable

PINS = ("awslambdaric==4.2.2", "boto3==1.44.5")
"""What AWS puts beside the interpreter: its runtime client and its SDK."""

MINORS = (10, 11, 12, 13, 14)
"""The versions that have wheels of this runtime client."""

LANG = "/var/lang"
RUNTIME = "/var/runtime"
PIP_SECONDS = 300
# Where a sandbox has the Runtime API, unless its kernel is unusual.
_USUAL_API = "169.254.100.1:9001"


class PythonFamily:
    """`cache` is a directory this family may fill; `pip` is the interpreter whose pip installs (Pasture's own)."""

    def __init__(self, cache: Path, *, pip: Path | None = None, home: Path | None = None) -> None:
        self._cache = cache
        self._empty = cache / "empty"
        self._pip = pip or Path(sys.executable)
        self._home = home or Path.home()
        self._found: dict[str, Interpreter] | None = None
        self._looking = threading.Lock()
        self._in_use = in_use.Held()

    @property
    def name(self) -> str:
        return "python"

    def identifiers(self) -> Sequence[str]:
        return tuple(f"python3.{minor}" for minor in reversed(MINORS))

    def available(self) -> Sequence[str]:
        return tuple(self.interpreters())

    def interpreters(self) -> Mapping[str, Path]:
        return {identifier: found.executable for identifier, found in self._interpreters().items()}

    def version(self, identifier: str) -> str:
        found = self._interpreters().get(identifier)
        return found.version if found is not None else ""

    def find(self, identifier: str) -> InstalledRuntime | None:
        found = self._interpreters().get(identifier)
        if found is None or not self._empty.is_dir() or not self._in_use.hold(self._packages(found)):
            return None
        return self._installed(identifier, found)

    def install(self, identifier: str) -> InstalledRuntime:
        found = self._interpreters().get(identifier)
        if found is None:
            raise RuntimeUnavailable(
                f"no {identifier} interpreter on this machine: install CPython {identifier.removeprefix('python')} "
                "(from the distribution, pyenv or uv) and start Pasture again"
            )
        self._empty.mkdir(mode=0o755, parents=True, exist_ok=True)
        packages = self._packages(found)
        if not self._in_use.hold(packages):
            installing.fill_and_hold(packages, lambda making: self._make(found, making), self._in_use)
        return self._installed(identifier, found)

    # What is on the machine...

    def _interpreters(self) -> dict[str, Interpreter]:
        with self._looking:
            if self._found is None:
                paths = list(interpreters.candidates(MINORS, os.environ, self._home))
                with ThreadPoolExecutor(max_workers=4) as pool:
                    chosen = interpreters.best(pool.map(interpreters.ask, paths))
                self._found = {f"python3.{minor}": chosen[minor] for minor in MINORS if minor in chosen}
            return self._found

    def _packages(self, interpreter: Interpreter) -> Path:
        return self._cache / f"python3.{interpreter.minor}" / _digest()

    def _installed(self, identifier: str, interpreter: Interpreter) -> InstalledRuntime:
        prefix = "/usr" if interpreter.is_system else LANG
        mounts = self._mounts(interpreter)
        command = (f"{prefix}/bin/{identifier}", f"{RUNTIME}/bootstrap.py")
        environment = _environment(identifier)
        loaded_with = {**environment, "AWS_LAMBDA_RUNTIME_API": _USUAL_API}
        return InstalledRuntime(
            identifier=identifier,
            version=interpreter.version,
            location=interpreter.executable,
            mounts=mounts,
            command=command,
            environment=environment,
            zygote=Zygote(mounts, command, tuple(loaded_with.items())),
        )

    def _mounts(self, interpreter: Interpreter) -> tuple[Mount, ...]:
        """The interpreter (unless it is the system's, which is there anyway), the runtime client, and an empty
        directory over what the host has installed for the interpreter: its `.pth` files would run before the bootstrap.
        """
        lib = f"lib/python3.{interpreter.minor}/site-packages"
        if interpreter.is_system:
            paths = [path.format(f"python3.{interpreter.minor}") for path in _SYSTEM_PACKAGES]
            masked = [path for path in paths if Path(path).is_dir()]
            lang = []
        else:
            masked = [f"{LANG}/{lib}"] if (interpreter.prefix / lib).is_dir() else []
            lang = [Mount(interpreter.prefix, LANG)]
        masks = [Mount(self._empty, path) for path in masked]
        return (*lang, *masks, Mount(self._packages(interpreter), RUNTIME))

    # Making it ready...

    def _make(self, interpreter: Interpreter, making: Path) -> None:
        self._run_pip(interpreter, making)
        shutil.copyfile(python_bootstrap.__file__, making / "bootstrap.py")
        _compile(interpreter, making)

    def _run_pip(self, interpreter: Interpreter, target: Path) -> None:
        machine = os.uname().machine
        platforms = [f"--platform=manylinux{tag}_{machine}" for tag in ("2014", "_2_17", "_2_28")]
        done = installing.run(
            self._pip, "-m", "pip", "install", "--target", str(target), "--only-binary=:all:",
            "--python-version", f"3.{interpreter.minor}", "--implementation", "cp", *platforms, "--no-compile",
            "--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--quiet", *PINS,
            seconds=PIP_SECONDS,
        )  # fmt: skip
        if done.returncode != 0:
            said = installing.last_lines(done.stdout)
            raise RuntimeUnavailable(
                f"cannot install {' and '.join(PINS)} for python3.{interpreter.minor}: {said} "
                "Check that pip reaches a package index (PIP_INDEX_URL) and try again"
            )


_LIBRARIES = (
    "/var/lang/lib", "/lib64", "/usr/lib64", RUNTIME, f"{RUNTIME}/lib", "/var/task", "/var/task/lib", "/opt/lib",
)  # fmt: skip

# Where distributions install for the system's interpreter (Debian's, Fedora's). No sandbox shows /usr/local.
_SYSTEM_PACKAGES = (
    "/usr/lib/python3/dist-packages",
    "/usr/lib/{}/site-packages",
    "/usr/lib64/{}/site-packages",
)


def family(cache: Path) -> PythonFamily:
    return PythonFamily(cache)


def _environment(identifier: str) -> dict[str, str]:
    """AWS's real values (recorded), for the variables that a function may override."""
    return {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{identifier}",
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": ":".join(_LIBRARIES),
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "PYTHONPATH": RUNTIME,
        "TZ": ":UTC",
    }


@functools.cache
def _digest() -> str:
    made_from = [*PINS, os.uname().machine, Path(python_bootstrap.__file__).read_text()]
    return hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]


def _compile(interpreter: Interpreter, directory: Path) -> None:
    """The directory is read-only later. Files of a package that do not compile are the package's own affair."""
    installing.run(
        interpreter.executable, "-I", "-S", "-m", "compileall", "-q", "-s", str(directory), "-p", RUNTIME,
        "--invalidation-mode", "unchecked-hash", str(directory),
    )  # fmt: skip
