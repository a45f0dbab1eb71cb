"""Functions for arm64 on a machine that is not: real programs, compiled for it, under QEMU, in real sandboxes."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pasture.runtimes import emulation
from pasture.runtimes.registry import machine_architecture
from system.node import ROLE, RUNTIME, Server, processes_with, until
from system.runtime_kinds import PROGRAMS, zipped

OTHER, GNU, GO = ("x86_64", "x86_64-linux-gnu", "amd64") if machine_architecture() == "arm64" else (
    "arm64", "aarch64-linux-gnu", "arm64",
)  # fmt: skip
needs_emulator = pytest.mark.skipif(
    emulation.emulator(OTHER) is None, reason=f"Debian's package {emulation.PACKAGE} is not installed"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("other") / "data").start()
    yield running
    assert running.stop() == 0


def compiled(tmp_path: Path, *options: str) -> bytes:
    """The C program of the tests of runtimes, for the other architecture."""
    compiler = shutil.which(f"{GNU}-gcc")
    if compiler is None:
        pytest.skip(f"Debian's package gcc-{GNU} is not installed")
    made = tmp_path / "bootstrap"
    subprocess.run([compiler, "-O1", *options, "-o", made, PROGRAMS / "c" / "bootstrap.c"], check=True)
    return made.read_bytes()


def compiled_go(tmp_path: Path) -> bytes:
    tool = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if tool is None:
        pytest.skip("there is no Go on this machine")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOARCH": GO, "GOOS": "linux", "GOFLAGS": "-mod=readonly"}
    command = [tool, "build", "-tags", "lambda.norpc", "-o", str(tmp_path / "bootstrap"), "."]
    done = subprocess.run(command, cwd=PROGRAMS / "go", env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"Go cannot build the program: {done.stderr.strip()[-300:]}")
    return (tmp_path / "bootstrap").read_bytes()


def deploy(server: Server, name: str, files: dict[str, bytes], **more: Any) -> str:
    options: dict[str, Any] = {"Runtime": "provided.al2023", "Handler": "app.handler", "Role": ROLE, "Timeout": 30}
    client = server.functions
    created = client.create_function(
        FunctionName=name, Code={"ZipFile": zipped(files)}, **{"Architectures": [OTHER], **options, **more}
    )
    assert created["Architectures"] == [OTHER]
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5000})
    return name


def echoes(server: Server, name: str) -> bool:
    values = [[n, "text"] for n in range(3)]
    return [server.invoke(name, {"do": "echo", "value": value}).payload for value in values] == values


@needs_emulator
@pytest.mark.timeout(180)
@pytest.mark.parametrize("options", [(), ("-static",)], ids=["dynamic", "static"])
def test_a_c_program_for_the_other_architecture_serves(
    server: Server, tmp_path: Path, options: tuple[str, ...]
) -> None:
    name = deploy(server, f"c{''.join(options)}", {"bootstrap": compiled(tmp_path, *options)})
    assert echoes(server, name)


@needs_emulator
@pytest.mark.timeout(240)
def test_a_go_program_for_the_other_architecture_serves(server: Server, tmp_path: Path) -> None:
    name = deploy(server, "go", {"bootstrap": compiled_go(tmp_path)})
    assert echoes(server, name)
    report = next(line for line in server.log_lines("/aws/lambda/go") if line.startswith("REPORT"))
    assert "Init Duration" in report


@needs_emulator
@pytest.mark.timeout(180)
def test_the_emulator_is_the_boxs_process_under_the_filter_of_system_calls(server: Server, tmp_path: Path) -> None:
    name = deploy(server, "filtered", {"bootstrap": compiled(tmp_path, "-static")})
    assert echoes(server, name)
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in until(lambda: processes_with("/proc/self/fd/4"))]
    assert statuses
    for status in statuses:
        told = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE))
        assert (told["Seccomp"], told["NoNewPrivs"], told["CapEff"]) == ("2", "1", "0" * 16)
        assert "0" not in told["Uid"].split()


@needs_emulator
@pytest.mark.timeout(180)
def test_an_extension_for_the_other_architecture_is_started(server: Server, tmp_path: Path) -> None:
    """It ends at once, and is told of by its name: it was executed."""
    source = tmp_path / "extension.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("an extension"); fflush(stdout); return 7; }\n')
    compiler = shutil.which(f"{GNU}-gcc") or pytest.skip(f"Debian's package gcc-{GNU} is not installed")
    subprocess.run([compiler, "-static", "-o", tmp_path / "extension", source], check=True)
    client = server.functions
    content: Any = {"ZipFile": zipped({"extensions/mine": (tmp_path / "extension").read_bytes()})}
    layer = client.publish_layer_version(LayerName="mine", Content=content)
    files = {"bootstrap": compiled(tmp_path, "-static")}
    name = deploy(server, "extended", files, Layers=[layer["LayerVersionArn"]])
    assert server.invoke(name).error == "Unhandled"
    assert until(lambda: any("an extension" in line for line in server.log_lines(f"/aws/lambda/{name}")))


@needs_emulator
@pytest.mark.timeout(180)
def test_a_script_is_run_by_the_machines_own_shell(server: Server) -> None:
    script = (PROGRAMS / "bash" / "bootstrap").read_bytes()
    name = deploy(server, "script", {"bootstrap": script})
    assert echoes(server, name)


@needs_emulator
def test_what_cannot_be_emulated_is_refused_at_creation(server: Server) -> None:
    with pytest.raises(ClientError) as failure:
        deploy(server, "python", {"app.py": b""}, Runtime=RUNTIME)
    assert failure.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert f"Functions of {RUNTIME} for {OTHER} cannot be run here" in str(failure.value)


NODE_CODE = "exports.handler = async (event) => ({ event, arch: process.arch, version: process.versions.node })\n"


@needs_emulator
@pytest.mark.timeout(400)
def test_a_managed_runtime_for_the_other_architecture_serves(server: Server) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm, which has Node.js for other architectures, is not installed")
    client: Any = server.functions
    client.create_function(
        FunctionName="node", Runtime="nodejs22.x", Handler="app.handler", Role=ROLE, Timeout=60, MemorySize=512,
        Architectures=[OTHER], Code={"ZipFile": zipped({"app.js": NODE_CODE.encode()})},
    )  # fmt: skip
    shown = until(lambda: settled(server, "node"), 300)
    if shown.get("StateReasonCode") == "InvalidRuntime":
        pytest.skip(shown["StateReason"])
    answers = [server.invoke("node", n).payload for n in range(3)]
    assert [answer["event"] for answer in answers] == [0, 1, 2]
    assert {answer["arch"] for answer in answers} == {"arm64" if OTHER == "arm64" else "x64"}


def settled(server: Server, name: str) -> Any:
    found = server.functions.get_function_configuration(FunctionName=name)
    return found if found["State"] != "Pending" else None
