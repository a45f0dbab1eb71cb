"""A deployment package from a folder of source: what it needs is installed for the platform that is meant.

The same source, with versions pinned, gives the same bytes: dates, permissions, byte code and the paths of this
machine stay out.
"""

import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pasture.cli.zipping import pack
from pasture.kit.errors import OperatorError

UNZIPPED_BYTES = 250 * 1024 * 1024
"""The most that a function's code may be, with its layers."""

# Oldest first: a wheel for any of them runs on every system that these runtimes are found on.
_GLIBC = ("2014", "_2_17", "_2_24", "_2_26", "_2_27", "_2_28")
_WHEEL_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
_NODE_MACHINES = {"x86_64": "x64", "arm64": "arm64"}
_NEVER = frozenset(
    {".git", ".hg", ".svn", "__pycache__", ".venv", "venv", ".tox", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)


@dataclass(frozen=True, slots=True)
class Recipe:
    source: Path
    runtime: str
    """`python3.12`, `nodejs22.x`, …"""
    architecture: str
    """`x86_64` or `arm64`."""
    exclude: Sequence[str] = ()
    """Patterns of names or of paths in the source that stay out."""
    interpreter: Path | None = None
    """The runtime's, where this machine has it."""
    from_source: bool = False
    """Whether packages without a wheel may be built, by this machine's interpreter and for this machine."""


def build(recipe: Recipe) -> bytes:
    """The zip. Raises OperatorError, in words about the folder."""
    if not recipe.source.is_dir():
        raise OperatorError(f"There is no directory {recipe.source}.", "Name the folder with the function's source.")
    with tempfile.TemporaryDirectory(prefix="pasture-build-") as made:
        stage = Path(made) / "package"
        _copy(recipe, stage)
        if recipe.runtime.startswith("python"):
            _install_wheels(recipe, stage)
        elif recipe.runtime.startswith("nodejs"):
            _install_modules(recipe, stage)
        size = _tidy(stage)
        if size > UNZIPPED_BYTES:
            raise OperatorError(
                f"The package would be {size} bytes unzipped; functions may have {UNZIPPED_BYTES}.",
                "Leave out what is not needed with --exclude, or move dependencies to a layer.",
            )
        return pack(stage)


def _copy(recipe: Recipe, stage: Path) -> None:
    def left_out(directory: str, names: list[str]) -> set[str]:
        at = Path(directory).relative_to(recipe.source)
        return {name for name in names if _is_left_out(recipe, at / name)}

    shutil.copytree(recipe.source, stage, symlinks=True, ignore=left_out)


def _is_left_out(recipe: Recipe, path: Path) -> bool:
    if path.name in _NEVER or (path == Path("node_modules") and recipe.runtime.startswith("nodejs")):
        return True
    return any(fnmatch(path.name, pattern) or fnmatch(str(path), pattern) for pattern in recipe.exclude)


# Python...


def _install_wheels(recipe: Recipe, stage: Path) -> None:
    requirements = stage / "requirements.txt"
    if not requirements.is_file():
        return
    pip = [sys.executable, "-m", "pip"]
    if recipe.interpreter is not None:
        # The conditions behind `;` in requirements are those of the interpreter that pip runs in.
        pip += ["--python", str(recipe.interpreter)]
    elif recipe.from_source:
        raise OperatorError(
            f"Packages cannot be built from source: there is no {recipe.runtime} on this machine.",
            "Leave --from-source away, or install that interpreter.",
        )
    _run(
        [
            *pip, "install", "--requirement", requirements.name, "--target", str(stage),
            *_wheels_for(recipe), "--no-compile", "--no-input", "--upgrade",
            "--disable-pip-version-check", "--no-warn-script-location", "--root-user-action=ignore", "--quiet",
        ],
        stage,
        "Pin versions that have wheels for it, or build them here with --from-source.",
    )  # fmt: skip
    _forget_this_machine(stage)


def _wheels_for(recipe: Recipe) -> list[str]:
    if recipe.from_source:
        return ["--prefer-binary"]
    machine = _WHEEL_MACHINES[recipe.architecture]
    version = recipe.runtime.removeprefix("python")
    platforms = [f"--platform=manylinux{glibc}_{machine}" for glibc in _GLIBC]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}", *platforms]


def _forget_this_machine(stage: Path) -> None:
    """Scripts name the interpreter that installed them, and packages from a path name the path."""
    for script in (stage / "bin").glob("*") if (stage / "bin").is_dir() else ():
        content = script.read_bytes()
        first, newline, rest = content.partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            script.write_bytes(b"#!/usr/bin/env python3" + newline + rest)
    for record in stage.glob("*.dist-info/direct_url.json"):
        record.unlink()
    for record in stage.glob("*.dist-info/RECORD"):
        lines = [line for line in record.read_text().splitlines() if not _is_of_this_machine(line)]
        record.write_text("".join(f"{line}\n" for line in sorted(lines)))


def _is_of_this_machine(line: str) -> bool:
    path = line.partition(",")[0]
    return path.endswith(("direct_url.json", ".pyc")) or "/bin/" in f"/{path}"


# Node.js...


def _install_modules(recipe: Recipe, stage: Path) -> None:
    if not (stage / "package.json").is_file():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise OperatorError("There is no npm on the PATH.", "Install Node.js's package manager and try again.")
    locked = (stage / "package-lock.json").is_file() or (stage / "npm-shrinkwrap.json").is_file()
    _run(
        [
            npm, "ci" if locked else "install", "--omit=dev", "--no-audit", "--no-fund", "--install-links",
            "--os=linux", f"--cpu={_NODE_MACHINES[recipe.architecture]}", "--libc=glibc", "--loglevel=error",
        ],
        stage,
        "See what npm says above; what is built by scripts is built for this machine.",
    )  # fmt: skip
    (stage / "node_modules" / ".package-lock.json").unlink(missing_ok=True)


# Both...


def _run(command: Sequence[str], directory: Path, advice: str) -> None:
    """What the tool says goes to standard error as it comes."""
    done = subprocess.run(command, cwd=directory, stdout=2, check=False)
    if done.returncode != 0:
        tool = Path(command[0]).name if Path(command[0]).name == "npm" else "pip"
        raise OperatorError(f"{tool} could not install what the function needs.", advice)


def _tidy(stage: Path) -> int:
    """Bytes of everything, after byte code is gone and permissions say only whether a file is a program."""
    size = 0
    for path in _everything(stage):
        if path.is_symlink():
            continue
        if path.is_dir():
            if path.name == "__pycache__":
                shutil.rmtree(path)
            continue
        status = path.stat()
        path.chmod(0o755 if status.st_mode & stat.S_IXUSR else 0o644)
        size += status.st_size
    return size


def _everything(directory: Path) -> list[Path]:
    return [
        path for path in sorted(directory.rglob("*")) if "__pycache__" not in path.relative_to(directory).parts[:-1]
    ]
