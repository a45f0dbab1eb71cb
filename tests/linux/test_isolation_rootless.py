"""The whole contract, and what is seen from inside, as an ordinary user. From root, as nobody in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from linux.box_fixtures import skip_without_namespaces

TESTS = Path(__file__).parent.parent
NOBODY = 65_534


def interpreter_for_everyone() -> str:
    """A Python of this version that nobody may execute: ours may lie in root's home."""
    host = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (os.path.realpath(sys.executable), host):
        check = (
            subprocess.run(
                [candidate, "-c", "pass"],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                check=False,
                stderr=subprocess.DEVNULL,
            )
            if _may_be_run(candidate)
            else None
        )
        if check is not None and check.returncode == 0:
            return candidate
    pytest.skip(f"no Python {host} that the user nobody may execute")


def _may_be_run(program: str) -> bool:
    """By everyone: all directories above are open to them."""
    path = Path(program)
    return (
        path.exists()
        and all(parent.stat().st_mode & 0o1 for parent in path.parents)
        and bool(path.stat().st_mode & 0o1)
    )


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path("/tmp") / f"pasture-rootless-{os.getpid()}"
    path.mkdir()
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize(
    "suite",
    [
        "contracts/test_isolation.py",
        "linux/test_isolation_inside.py",
        "linux/test_isolation_syscalls.py",
        "linux/test_image_root.py",
    ],
)
def test_as_an_ordinary_user_the_suite_passes(suite: str, directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("these suites run as an ordinary user already")
    skip_without_namespaces()
    python = interpreter_for_everyone()
    why = "from pasture.isolation.kinds import why_no_namespaces as why; print(why())"
    if reason := _as_nobody([python, "-c", why], directory).stdout.strip():
        pytest.skip(reason)
    pytest_there = [python, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(TESTS.parent / "pyproject.toml")]
    ran = _as_nobody([*pytest_there, "-rs", "--basetemp", str(directory / "tmp"), str(TESTS / suite)], directory)
    assert ran.returncode == 0, ran.stdout
    assert "skipped" not in ran.stdout, ran.stdout


def _as_nobody(command: list[str], directory: Path) -> "subprocess.CompletedProcess[str]":
    environment = {
        "HOME": str(directory),
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path or path.endswith("/src")),
    }
    return subprocess.run(
        command, user=NOBODY, group=NOBODY, extra_groups=[], env=environment, cwd=directory, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
