"""The whole server on other grounds: without root, and where nothing can be isolated."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.node import Server

LOOK = """
import os
def handler(event, context):
    capabilities = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Cap")]
    return {"capabilities": set(capabilities) == {"0" * 16}, "root": sorted(os.listdir("/")), "pid": os.getpid()}
"""


def as_an_ordinary_user() -> tuple[str, ...]:
    """A user namespace in which this process is user 1000: no privilege outside of it is left."""
    command = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("util-linux's unshare, or user namespaces, cannot be had here")
    return command


@pytest.fixture
def rootless(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", "--isolation", "namespaces", under=as_an_ordinary_user()).start()
    yield server
    assert server.stop() == 0


def test_functions_are_isolated_without_root(rootless: Server) -> None:
    name = rootless.deploy("rootless", LOOK)
    seen = rootless.invoke(name).payload
    assert (seen["capabilities"], seen["pid"] > 1, "proc" in seen["root"]) == (True, True, True)
    assert not {"work", "srv", "boot"} & set(seen["root"])


def test_without_root_a_time_out_resets_and_the_next_invocation_works(rootless: Server) -> None:
    name = rootless.deploy(
        "rootless-hangs",
        "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'ok'\n",
        Timeout=1,
    )
    assert rootless.invoke(name, 30).payload["errorType"] == "Sandbox.Timedout"
    assert rootless.invoke(name, 0).payload == "ok"


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", "--isolation", "process").start()
    yield server
    assert server.stop() == 0


def test_process_mode_serves_and_says_plainly_that_nothing_is_isolated(bare: Server) -> None:
    name = bare.deploy(
        "bare", "import os\ndef handler(event, context):\n    return [event, os.environ['LAMBDA_TASK_ROOT']]\n"
    )
    event, root = bare.invoke(name, {"a": 1}).payload
    assert (event, Path(root).is_dir()) == ({"a": 1}, True)
    assert "WARNING" in bare.log.read_text()
    assert "isolation process" in bare.log.read_text()


def test_process_mode_resets_after_a_time_out(bare: Server) -> None:
    name = bare.deploy(
        "bare-hangs", "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'ok'\n", Timeout=1
    )
    assert bare.invoke(name, 30).payload["errorType"] == "Sandbox.Timedout"
    assert bare.invoke(name, 0).payload == "ok"
