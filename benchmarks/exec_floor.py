"""How long an interpreter takes from `exec` in a sandbox that is there already to its first `GET` of an invocation.

Arguments: how often, and a directory of its own. Prints the milliseconds of each round. The sandbox is Pasture's, with
the mounts and the shares of an environment; around it there is no server.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from floors import runtime
from packages import ECHO

from pasture.isolation.kinds import best_kind, open_kind
from pasture.isolation.spec import Isolation, Mount, Program, SandboxSpec
from pasture.runtimes.spec import InstalledRuntime

_MIB = 1 << 20
_SECONDS = 30.0


async def main(rounds: int, directory: Path) -> None:
    code = directory / "code"
    found = runtime()
    kind, _ = best_kind()
    isolation = open_kind(kind, run_directory=directory / "run", owner=f"floor{os.getpid()}")
    await isolation.open()
    try:
        for number in range(rounds):
            print(await _one(isolation, f"floor-{number}", found, code) * 1000, flush=True)
    finally:
        await isolation.close()


async def _one(isolation: Isolation, name: str, found: InstalledRuntime, code: Path) -> float:
    mounts = (Mount(code, "/var/task"), *found.mounts)
    sandbox = await isolation.create(SandboxSpec(name, mounts, 128 * _MIB, 512 * _MIB, 2.0))
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        variables = {
            **found.environment,
            "AWS_LAMBDA_RUNTIME_API": sandbox.address,
            "LAMBDA_TASK_ROOT": sandbox.path("/var/task"),
            "LAMBDA_RUNTIME_DIR": sandbox.path("/var/runtime"),
            "PYTHONPATH": sandbox.path("/var/runtime"),
        }
        command = (*(sandbox.path(word) for word in found.command), "app.handler")
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        await sandbox.start(Program("floor", command, variables, sandbox.path("/var/task"), null, null))
        async with asyncio.timeout(_SECONDS):
            connection, _ = await loop.sock_accept(sandbox.listener)
            with connection:
                asked = await loop.sock_recv(connection, 1 << 16)
        taken = time.perf_counter() - began
        if not asked.startswith(b"GET /2018-06-01/runtime/invocation/next"):
            sys.exit(f"the runtime did not ask for an invocation but: {asked!r}")
        return taken
    finally:
        os.close(null)
        await sandbox.destroy()


if __name__ == "__main__":
    import uvloop

    own = Path(sys.argv[2])
    for name in ("code", "run"):
        (own / name).mkdir(parents=True, exist_ok=True)
    (own / "code" / "app.py").write_text(ECHO)
    uvloop.run(main(int(sys.argv[1]), own))
