"""Nothing is left: no process, cgroup, mount or descriptor, whoever was killed."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from contracts.isolation_programs import MIB, box, program, shell
from linux.box_fixtures import OWNER, attached, opened, skip_without_limits, skip_without_namespaces, until
from pasture.isolation import launching, stock
from pasture.isolation.launcher import limits
from pasture.isolation.spec import Exit, Isolation, Process, Sandbox


@pytest.fixture(autouse=True)
def _only_with_namespaces() -> Iterator[None]:
    skip_without_namespaces()
    yield
    limits.find(OWNER).remove()  # `groups` makes it


def groups(owner: str = OWNER) -> set[str]:
    """Names of the boxes that have a cgroup."""
    roots = limits.find(owner).roots.values()
    return {entry.name for root in roots for entry in os.scandir(root) if entry.is_dir()}


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def mounts() -> str:
    return Path("/proc/self/mounts").read_text()


STOCK = 16


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def is_gone(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def launcher_pid() -> int:
    """This process may have other children: servers that other tests have started."""
    (pid,) = (pid for pid in children(os.getpid()) if b"launcher.main" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return pid


async def sleeper(sandbox: Sandbox) -> Process:
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        return await sandbox.start(program(sandbox, "/bin/sleep", "1000", stdout=null))
    finally:
        os.close(null)


async def test_fifty_boxes_leave_no_process_cgroup_mount_or_descriptor(tmp_path: Path) -> None:
    mounted = mounts()
    async with opened(tmp_path) as isolation:
        await (await isolation.create(box("warm-up"))).destroy()
        launcher = launcher_pid()
        before = descriptors(os.getpid()), descriptors(launcher)
        for n in range(50):
            sandbox = await isolation.create(box(f"box-{n}"))
            assert await shell(sandbox, "echo fine") == (Exit(0), "fine\n")
            await sandbox.destroy()
        # Boxes are in stock, each with its cgroup, its pidfd and its socket.
        await until(lambda: len(children(launcher)) <= STOCK)
        await until(lambda: len(groups()) <= STOCK)
        await until(lambda: descriptors(launcher) <= before[1] + 2 * STOCK)
        assert descriptors(os.getpid()) == before[0]
        assert mounts() == mounted
    assert groups() == set()
    assert is_gone(launcher)


async def test_when_the_launcher_is_killed_its_boxes_live_on_and_new_ones_work(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        sandbox = await isolation.create(box("one"))
        process = await sleeper(sandbox)
        os.kill(launcher_pid(), signal.SIGKILL)
        assert await shell(await isolation.create(box("two")), "echo fine") == (Exit(0), "fine\n")
        assert await shell(sandbox, "echo fine as well") == (Exit(0), "fine as well\n")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == Exit(None, signal.SIGTERM)
        pids = sandbox.pids()
        await sandbox.destroy()
        assert [pid for pid in pids if not is_gone(pid)] == []
    assert groups() == set()


async def test_boxes_that_are_being_made_when_the_launcher_is_killed_are_made_by_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        making = [asyncio.create_task(isolation.create(box(f"box-{n}"))) for n in range(20)]
        await asyncio.wait(making, return_when=asyncio.FIRST_COMPLETED)
        os.kill(launcher_pid(), signal.SIGKILL)
        for sandbox in await asyncio.gather(*making):
            assert await shell(sandbox, "echo fine") == (Exit(0), "fine\n")
    assert groups() == set()


async def test_a_box_whose_launcher_is_killed_while_its_tmp_is_prepared_is_made_by_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        for turn in range(3):
            making = asyncio.create_task(isolation.create(box(f"box-{turn}", tmp=(32 + turn) * MIB)))
            await asyncio.sleep(0)  # it has chosen its launcher, and waits for an image of this size
            os.kill(launcher_pid(), signal.SIGKILL)
            assert await shell(await making, "echo fine") == (Exit(0), "fine\n")


async def test_a_launcher_that_has_died_says_so_to_whoever_asks_it_for_a_box(tmp_path: Path) -> None:
    hierarchy = limits.find(OWNER)
    (tmp_path / "boxes").mkdir()
    launcher, _ = await launching.launch(tmp_path / "boxes", OWNER, hierarchy, stock.Numbers(10))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        os.kill(launcher.pid, signal.SIGKILL)
        await until(lambda: not launcher.is_alive)
        with pytest.raises(launching.LauncherGone):
            await launcher.create(box("late"), theirs, "")
    with suppress(ProcessLookupError):
        await launcher.close()
    hierarchy.clear()


async def test_what_was_kept_ready_for_a_burst_is_given_back_when_nobody_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "KEPT_SECONDS", 0.2)
    monkeypatch.setattr(stock, "KEPT_SECONDS", 0.2)
    async with opened(tmp_path) as isolation:
        burst = await asyncio.gather(*(isolation.create(box(f"box-{n}")) for n in range(8)))
        await asyncio.gather(*(sandbox.destroy() for sandbox in burst))
        await until(lambda: len(groups()) == 1)
        assert await shell(await isolation.create(box("one")), "echo fine") == (Exit(0), "fine\n")


async def test_when_the_server_is_killed_launcher_and_boxes_go_and_the_next_start_clears_up(tmp_path: Path) -> None:
    server = _Server(tmp_path)
    pids = server.pids
    server.kill()
    await until(lambda: all(is_gone(pid) for pid in pids))
    await until(lambda: attached(tmp_path) == [])
    async with opened(tmp_path):
        pass
    assert groups() == set()


async def test_when_server_and_launcher_are_killed_the_next_start_clears_up(tmp_path: Path) -> None:
    server = _Server(tmp_path)
    os.kill(server.launcher, signal.SIGKILL)
    server.kill()
    await until(lambda: all(is_gone(pid) for pid in server.pids))
    await until(lambda: attached(tmp_path) == [])
    assert groups() or not limits.find(OWNER).roots
    async with opened(tmp_path) as isolation:
        # The new launcher's own blank box, at most.
        assert len(groups()) <= 1
        assert await shell(await isolation.create(box("one")), "echo fine") == (Exit(0), "fine\n")
    assert groups() == set()


async def test_a_frozen_box_whose_server_and_launcher_are_killed_stays_until_the_next_start_ends_it(
    tmp_path: Path,
) -> None:
    skip_without_limits()
    server = _Server(tmp_path, "frozen")
    os.kill(server.launcher, signal.SIGKILL)
    server.kill()
    await until(lambda: is_gone(server.launcher))
    # Its init would end with the server; but frozen it does not hear of it.
    assert [pid for pid in server.pids if is_gone(pid)] == []
    async with opened(tmp_path):
        assert [pid for pid in server.pids if not is_gone(pid)] == []
    assert attached(tmp_path) == []
    assert groups() == set()


async def test_a_start_leaves_the_boxes_of_another_server_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "first", f"{OWNER}-first") as first:
        process = await sleeper(await first.create(box("one")))
        async with opened(tmp_path / "second", f"{OWNER}-second"):
            pass
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == Exit(None, signal.SIGTERM)


async def test_a_creation_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        for turn in range(20):
            creating = asyncio.create_task(isolation.create(box("cancelled")))
            for _ in range(turn):
                await asyncio.sleep(0)
            creating.cancel()
            await asyncio.gather(creating, return_exceptions=True)
            if not creating.cancelled():
                await creating.result().destroy()
        await until(lambda: len(groups()) <= STOCK)
        await until(lambda: len(children(launcher_pid())) <= STOCK)


async def test_what_daemonised_itself_ends_with_its_box(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        sandbox = await isolation.create(box("one"))
        await shell(sandbox, "setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 &")
        await until(lambda: len(sandbox.pids()) >= 3)
        pids = sandbox.pids()
        await sandbox.destroy()
        assert [pid for pid in pids if not is_gone(pid)] == []


async def test_an_init_that_dies_takes_its_box_with_it_and_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        sandbox = await isolation.create(box("one"))
        process = await sleeper(sandbox)
        os.kill(min(sandbox.pids()), signal.SIGKILL)
        assert await process.wait() == Exit(None, signal.SIGKILL)
        await sandbox.destroy()


async def test_boxes_are_made_while_the_descriptors_of_the_launcher_are_many(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        boxes = [await isolation.create(box(f"box-{n}")) for n in range(40)]
        assert await shell(boxes[-1], "echo fine") == (Exit(0), "fine\n")


class _Server:
    """A server process with one box in which something runs."""

    def __init__(self, directory: Path, *how: str) -> None:
        """`how`: `frozen`, or nothing."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(directory), OWNER, *how], stdout=subprocess.PIPE, env=environment, text=True
        )
        assert self._process.stdout is not None
        self.launcher, *self.pids = json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


async def _serve(directory: Path, owner: str, *how: str) -> None:
    async with opened(directory, owner) as isolation:
        sandbox = await _with_program(isolation)
        if how == ("frozen",):
            await sandbox.freeze()
        print(json.dumps([launcher_pid(), *sandbox.pids()]), flush=True)  # noqa: T201  to the test
        await asyncio.Event().wait()


async def _with_program(isolation: Isolation) -> Sandbox:
    sandbox = await isolation.create(box("one"))
    await sleeper(sandbox)
    return sandbox


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), *sys.argv[2:]))
