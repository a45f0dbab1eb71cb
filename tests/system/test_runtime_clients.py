"""Runtime interface clients that a function brings itself, as AWS published them over the years."""

import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from system.node import RUNTIME, Server

ECHO = """
import awslambdaric, logging, threading, subprocess
def handler(event, context):
    logging.getLogger().warning("said by %s", awslambdaric.__version__)
    words = []
    thread = threading.Thread(target=lambda: words.append(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout))
    thread.start()
    thread.join()
    return [event, awslambdaric.__version__, words]
"""


def package_with(client: str, directory: Path) -> bytes:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    installed = subprocess.run([*pip, "--target", str(directory), client], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"{client} cannot be had for this interpreter: {installed.stderr[-200:]}")
    (directory / "app.py").write_text(ECHO)
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                zipped.write(path, path.relative_to(directory))
    return out.getvalue()


@pytest.mark.parametrize("version", ["2.2.1", "3.1.1", "4.0.4"])
def test_a_client_that_the_function_brings_is_the_one_that_runs(server: Server, tmp_path: Path, version: str) -> None:
    name = "client-" + version.replace(".", "-")
    code = package_with(f"awslambdaric=={version}", tmp_path / "package")
    server.functions.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": code},
    )
    server.functions.get_waiter("function_active_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000}
    )
    assert server.invoke(name, {"a": 1}).payload == [{"a": 1}, version, ["child\n"]]
    assert any(f"said by {version}" in line for line in server.log_lines(f"/aws/lambda/{name}"))
