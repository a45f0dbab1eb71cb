"""Cold starts in a row and at once, and while what they are forked from is killed: all answered, nothing left behind.

`PASTURE_COLD_STARTS` says how many in a row; the suite's number is small.
"""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.test_storm import AT_REST, Belongings, descendants
from pasture.isolation.kinds import why_no_namespaces
from system.node import Server, until

IN_A_ROW = int(os.environ.get("PASTURE_COLD_STARTS", "60"))
AT_ONCE = 100

CODE = "import os, time\ndef handler(event, context):\n    time.sleep(event)\n    return os.getpid()\n"


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    if why := why_no_namespaces():
        pytest.skip(why)


@pytest.mark.timeout(1800)
def test_cold_starts_in_a_row_and_a_hundred_at_once_leave_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--idle-seconds", "0").start()
    try:
        name = server.deploy("cold", CODE, Timeout=60, MemorySize=128)
        assert server.invoke(name, 0).error is None
        until(lambda: len(descendants(server.process.pid)) <= AT_REST)
        before = Belongings(server)
        for _ in range(IN_A_ROW):
            assert server.invoke(name, 0).error is None
        with ThreadPoolExecutor(AT_ONCE) as callers:
            answers = [answer.error for answer in callers.map(lambda _: server.invoke(name, 1), range(AT_ONCE))]
        assert answers == [None] * AT_ONCE
        # What was kept ready for more of them is given back after a minute.
        until(lambda: len(descendants(server.process.pid)) <= before.processes, 150)
        until(lambda: repr(Belongings(server)) == repr(before))
    finally:
        assert server.stop() == 0


def test_a_zygote_that_is_killed_again_and_again_during_a_burst_costs_no_invocation(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--idle-seconds", "0").start()
    try:
        name = server.deploy("burst", CODE, Timeout=60, MemorySize=128)
        over = threading.Event()

        def killing() -> None:
            while not over.wait(0.2):
                for pid in zygotes(server):
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=killing)
        killer.start()
        try:
            with ThreadPoolExecutor(10) as callers:
                answers = [answer.error for answer in callers.map(lambda _: server.invoke(name, 0.05), range(150))]
        finally:
            over.set()
            killer.join()
        assert answers == [None] * 150
        until(lambda: server.invoke(name, 0) and zygotes(server))
    finally:
        assert server.stop() == 0


def zygotes(server: Server) -> list[int]:
    children = Path(f"/proc/{server.process.pid}").glob("task/*/children")
    pids = [int(pid) for task in children for pid in task.read_text().split()]
    return [pid for pid in pids if _command(pid).startswith(b"pasture zygote: ")]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
