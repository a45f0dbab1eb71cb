"""The Python runtime as functions meet it: real interpreters, the real runtime client, a small Runtime API."""

import fcntl
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parts.small_runtime_api import RESPONSE, RuntimeApi, runtime_api
from pasture.runtimes.in_use import Held, remove_unused
from pasture.runtimes.kinds.python import PythonFamily
from pasture.runtimes.spec import InstalledRuntime


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runtimes") / "python"


@pytest.fixture(scope="module")
def runtime(cache: Path) -> InstalledRuntime:
    family = PythonFamily(cache)
    newest = next(identifier for identifier in family.identifiers() if identifier in family.interpreters())
    return family.install(newest)


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    with runtime_api() as api:
        yield api


def run(runtime: InstalledRuntime, api: RuntimeApi, task: Path, handler: str, event: object = None) -> dict[str, Any]:
    """What the runtime posted, by path, once it asked for a second event or gave up."""
    api.event = event
    packages = runtime.mounts[-1].source
    environment = {
        **runtime.environment,
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "LAMBDA_TASK_ROOT": str(task),
        "LAMBDA_RUNTIME_DIR": str(packages),
        "LD_LIBRARY_PATH": str(runtime.location.parent.parent / "lib"),
        "PYTHONPATH": str(packages),
        "_HANDLER": handler,
    }
    process = subprocess.Popen(
        [runtime.location, packages / "bootstrap.py", handler], env=environment, cwd=task, stdout=subprocess.DEVNULL
    )
    try:
        assert api.done.wait(30)
    finally:
        process.kill()
        process.wait()
    return api.received


def test_a_handler_gets_its_event_and_its_answer_goes_back(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("def handler(event, context): return {'got': event, 'by': __name__}")
    assert run(runtime, api, tmp_path, "main.handler", {"a": 1}) == {RESPONSE: {"got": {"a": 1}, "by": "main"}}


def test_code_that_cannot_be_imported_is_reported_as_an_init_error(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("import nowhere_to_be_found")
    received = run(runtime, api, tmp_path, "main.handler")
    assert list(received) == ["/init/error"]
    assert received["/init/error"]["errorType"] == "Runtime.ImportModuleError"
    assert received["/init/error"]["errorMessage"] == (
        "Unable to import module 'main': No module named 'nowhere_to_be_found'"
    )


def test_modules_are_looked_for_in_the_code_then_in_layers_then_in_the_runtime_then_in_python(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("import sys\ndef handler(event, context): return sys.path")
    path = run(runtime, api, tmp_path, "main.handler")[RESPONSE]
    version = runtime.identifier.removeprefix("python")
    assert path[:4] == [
        str(tmp_path),
        f"/opt/python/lib/python{version}/site-packages",
        "/opt/python",
        str(runtime.mounts[-1].source),
    ]
    assert [Path(entry).name for entry in path[4:]] == [
        f"python{version.replace('.', '')}.zip",
        f"python{version}",
        "lib-dynload",
    ]


def test_the_runtime_brings_boto3(runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import boto3\ndef handler(event, context): return boto3.__file__")
    boto3 = run(runtime, api, tmp_path, "main.handler")[RESPONSE]
    assert boto3 == str(runtime.mounts[-1].source / "boto3" / "__init__.py")


def test_a_package_that_the_function_brings_wins_over_the_runtimes(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "boto3.py").write_text("mine = 'my own boto3'")
    (tmp_path / "main.py").write_text("import boto3\ndef handler(event, context): return boto3.mine")
    assert run(runtime, api, tmp_path, "main.handler") == {RESPONSE: "my own boto3"}


def test_what_the_host_has_installed_for_the_interpreter_is_not_there(
    runtime: InstalledRuntime, api: RuntimeApi, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(
        "import importlib.util\ndef handler(event, context): return importlib.util.find_spec('pip') is None"
    )
    assert run(runtime, api, tmp_path, "main.handler") == {RESPONSE: True}


def test_the_runtime_is_compiled_when_it_is_installed(runtime: InstalledRuntime) -> None:
    packages = runtime.mounts[-1].source
    tag = "cpython-" + runtime.identifier.removeprefix("python").replace(".", "")
    assert (packages / "awslambdaric" / "__pycache__" / f"bootstrap.{tag}.pyc").is_file()
    assert (packages / "__pycache__" / f"bootstrap.{tag}.pyc").is_file()


def test_everyone_may_read_what_is_installed(runtime: InstalledRuntime) -> None:
    for folder, _, files in os.walk(runtime.mounts[-1].source):
        assert Path(folder).stat().st_mode & 0o777 == 0o755
        for file in files:
            assert Path(folder, file).stat().st_mode & 0o777 in {0o644, 0o755}


def test_an_installation_that_was_killed_leaves_nothing_behind_after_the_next(tmp_path: Path) -> None:
    family = PythonFamily(tmp_path)
    identifier = next(iter(family.interpreters()))
    (tmp_path / identifier / ".making-abandoned" / "half").mkdir(parents=True)
    installed = family.install(identifier)
    assert list((tmp_path / identifier).iterdir()) == [installed.mounts[-1].source]


def test_a_runtime_that_is_installed_is_found_by_the_next_process_without_installing(
    runtime: InstalledRuntime, cache: Path
) -> None:
    no_pip = PythonFamily(cache, pip=Path("/nowhere/python"))
    assert no_pip.find(runtime.identifier) == runtime


# What nobody uses any more...


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """What two releases have installed."""
    for name in ("former", "current"):
        (tmp_path / "python3.12" / name / "boto3").mkdir(parents=True)
    return tmp_path / "python3.12" / "former", tmp_path / "python3.12" / "current"


def test_an_installation_removes_what_former_releases_installed_for_that_interpreter(
    runtime: InstalledRuntime, cache: Path
) -> None:
    packages = runtime.mounts[-1].source
    former, of_another, half_removed = (
        packages.parent / "former",
        cache / "python3.0" / "former",
        packages.parent / ".removing-old",
    )
    for directory in (former, of_another, half_removed):
        (directory / "boto3").mkdir(parents=True)
    PythonFamily(cache, pip=Path("/nowhere/python")).install(runtime.identifier)
    assert former.exists(), "it was installed already"
    away = packages.rename(packages.with_name(".making-again"))
    PythonFamily(cache).install(runtime.identifier)
    assert not away.exists()
    assert list(packages.parent.iterdir()) == [packages]
    assert of_another.exists()


def test_what_another_server_uses_stays_until_it_ends_however_it_does(two: tuple[Path, Path]) -> None:
    former, current = two
    program = "import sys; from pathlib import Path; from pasture.runtimes.in_use import Held\n"
    program += "held = Held(); print(held.hold(Path(sys.argv[1])), flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", program, former], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"True\n"
        remove_unused(former.parent, keep=current)
        assert former.exists()
        server.kill()
        server.wait()
    remove_unused(former.parent, keep=current)
    assert list(former.parent.iterdir()) == [current]


def test_who_comes_while_it_is_removed_does_not_find_it(two: tuple[Path, Path]) -> None:
    former, _ = two
    descriptor = os.open(former, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert not Held().hold(former)
    finally:
        os.close(descriptor)
    assert Held().hold(former)


def test_what_was_held_and_has_gone_all_the_same_is_not_there(two: tuple[Path, Path]) -> None:
    former, _ = two
    held = Held()
    assert held.hold(former)
    shutil.rmtree(former)
    assert not held.hold(former)


def test_one_that_has_come_back_under_its_name_is_held_anew(two: tuple[Path, Path]) -> None:
    former, current = two
    held = Held()
    assert held.hold(former)
    shutil.rmtree(former)
    (former / "boto3").mkdir(parents=True)
    assert held.hold(former)
    remove_unused(former.parent, keep=current)
    assert former.exists()


def test_a_hold_ends_with_its_holder(two: tuple[Path, Path]) -> None:
    former, current = two
    held = Held()
    assert held.hold(former)
    del held
    gc.collect()
    remove_unused(former.parent, keep=current)
    assert not former.exists()
