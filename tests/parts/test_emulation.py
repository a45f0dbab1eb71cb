"""Which programs an emulator is for, where it is found, and what a program is started with under one."""

import dataclasses
from pathlib import Path

import pytest

from fakes.functions import a_plan, a_runtime, a_version
from pasture.domain.limits import Limits
from pasture.environments.plan import command, make_plan
from pasture.isolation.spec import Zygote
from pasture.runtimes import emulation
from pasture.runtimes.registry import Runtimes, machine_architecture
from pasture.runtimes.spec import Emulator

OTHER, MACHINE, NUMBER = ("x86_64", "x86_64", 62) if machine_architecture() == "arm64" else ("arm64", "aarch64", 183)
QEMU = Emulator(OTHER, Path("/usr/bin/qemu"), Path("/usr/libraries"))


def elf(number: int) -> bytes:
    return b"\x7fELF".ljust(16, b"\0") + (2).to_bytes(2, "little") + number.to_bytes(2, "little") + bytes(40)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(elf(NUMBER), True), (elf(3), False), (b"#!/bin/sh\n" + bytes(40), False), (b"\x7fELF", False), (b"", False)],
)
def test_a_program_of_that_architecture_is_known_by_its_header(tmp_path: Path, content: bytes, expected: bool) -> None:
    (tmp_path / "bootstrap").write_bytes(content)
    assert emulation.is_for(OTHER, tmp_path / "bootstrap") is expected


def test_what_is_not_there_or_no_file_is_for_no_architecture(tmp_path: Path) -> None:
    assert not emulation.is_for(OTHER, tmp_path / "nothing")
    assert not emulation.is_for(OTHER, tmp_path)


def test_the_emulator_is_debians_and_the_libraries_too(tmp_path: Path) -> None:
    assert emulation.emulator(OTHER, tmp_path) is None
    program = tmp_path / "usr" / "bin" / f"qemu-{MACHINE}-static"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    assert emulation.emulator(OTHER, tmp_path) == Emulator(OTHER, program, None)
    libraries = tmp_path / "usr" / f"{MACHINE}-linux-gnu"
    (libraries / "lib").mkdir(parents=True)
    assert emulation.emulator(OTHER, tmp_path) == Emulator(OTHER, program, libraries)
    assert emulation.emulator(machine_architecture(), tmp_path) is None


def test_a_runtime_with_an_interpreter_is_another_for_another_architecture() -> None:
    assert emulation.installed_as("nodejs22.x", machine_architecture()) == "nodejs22.x"
    assert emulation.installed_as("nodejs22.x", OTHER) == f"nodejs22.x+{OTHER}"
    assert emulation.installed_as("provided.al2023", OTHER) == "provided.al2023"
    assert Runtimes([]).emulated() == ()


def test_only_programs_of_the_other_architecture_are_started_by_the_emulator() -> None:
    own = dataclasses.replace(a_plan(), runtime=a_runtime(command=(), entrypoints=("/var/task/bootstrap",)))
    own = dataclasses.replace(own, entrypoint="/var/task/bootstrap", emulator=QEMU)
    assert command(own, str) == ("/var/task/bootstrap",)
    foreign = dataclasses.replace(own, emulated=frozenset({"/var/task/bootstrap"}))
    assert command(foreign, str) == ("/proc/self/fd/4", "-L", "/usr/libraries", "/var/task/bootstrap")


def test_what_is_emulated_is_not_forked() -> None:
    runtime = a_runtime(zygote=Zygote((), ("python",), ()))
    arguments = ("e1", a_version(), runtime, Path("/code"), "stream", Limits())
    assert make_plan(*arguments, zygote=True).sandbox.zygote is runtime.zygote
    assert make_plan(*arguments, zygote=True, emulator=QEMU).sandbox.zygote is None
