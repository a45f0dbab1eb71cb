"""Programs for sandboxes, and running one to its end with what it printed."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pasture.isolation.spec import Exit, Mount, Program, Sandbox, SandboxSpec

MIB = 1024 * 1024


def interpreter() -> tuple[str, tuple[Mount, ...]]:
    """A Python to run inside, and what has to be mounted for it: the host's own where there is one in /usr."""
    host = Path("/usr/bin/python3")
    if host.exists():
        return str(host), ()
    prefix = Path(sys.base_prefix)
    return "/var/lang/bin/python3", (Mount(prefix, "/var/lang"),)


PYTHON, PYTHON_MOUNTS = interpreter()


def box(
    name: str, *mounts: Mount, memory: int = 256 * MIB, tmp: int = 16 * MIB, cpus: float = 1.0, processes: int = 64
) -> SandboxSpec:
    return SandboxSpec(name, (*PYTHON_MOUNTS, *mounts), memory, tmp, cpus, processes=processes)


def program(
    sandbox: Sandbox,
    *command: str,
    stdout: int,
    environment: Mapping[str, str] | None = None,
    directory: str = "/",
    descriptors: Mapping[int, int] | None = None,
) -> Program:
    return Program(
        "test",
        (sandbox.path(command[0]), *command[1:]),
        {"PATH": "/usr/bin:/bin"} if environment is None else environment,
        directory,
        stdout,
        stdout,
        descriptors or {},
    )


async def run(
    sandbox: Sandbox,
    *command: str,
    environment: Mapping[str, str] | None = None,
    directory: str = "/",
    descriptors: Mapping[int, int] | None = None,
) -> tuple[Exit, str]:
    """To its end; standard output and error together."""
    reading, writing = os.pipe()
    try:
        process = await sandbox.start(
            program(
                sandbox, *command, stdout=writing, environment=environment, directory=directory, descriptors=descriptors
            )
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    text = await read_all(reading)
    return await process.wait(), text


async def shell(sandbox: Sandbox, script: str, environment: Mapping[str, str] | None = None) -> tuple[Exit, str]:
    return await run(sandbox, "/bin/sh", "-c", script, environment=environment)


async def python(sandbox: Sandbox, script: str) -> tuple[Exit, str]:
    return await run(sandbox, PYTHON, "-I", "-S", "-c", script)


async def read_all(descriptor: int) -> str:
    def read() -> str:
        with open(descriptor, "rb") as pipe:
            return pipe.read().decode()

    return await asyncio.to_thread(read)


async def read_line(descriptor: int) -> str:
    """The next line, without its end; the descriptor stays open."""

    def read() -> str:
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(descriptor, 1)
            if not byte:
                break
            line += byte
        return line.decode().rstrip("\n")

    return await asyncio.to_thread(read)
