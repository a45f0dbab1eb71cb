"""What every kind of isolation promises."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.isolation_programs import PYTHON, box, program, python, read_line, run, shell
from pasture.isolation.kinds import names, open_kind, why_no_namespaces
from pasture.isolation.spec import Exit, Isolation, Mount, Process, Sandbox, SandboxError


@pytest.fixture(scope="session")
def unavailable() -> dict[str, str]:
    """Kinds that do not work on this machine, and why."""
    why = why_no_namespaces()
    return {"namespaces": why} if why else {}


@pytest.fixture(params=names())
async def isolation(
    request: pytest.FixtureRequest, unavailable: dict[str, str], tmp_path: Path
) -> AsyncIterator[Isolation]:
    if request.param in unavailable:
        pytest.skip(unavailable[request.param])
    kind = open_kind(request.param, run_directory=tmp_path / "run", owner=f"contract-{os.getpid()}")
    await kind.open()
    yield kind
    await kind.close()


@pytest.fixture
async def sandbox(isolation: Isolation) -> Sandbox:
    return await isolation.create(box("one"))


async def test_a_program_runs_and_its_output_and_exit_code_come_back(sandbox: Sandbox) -> None:
    assert await shell(sandbox, "echo out; echo err >&2; exit 3") == (Exit(3), "out\nerr\n")


async def test_the_environment_is_what_was_given_and_nothing_else(isolation: Isolation, sandbox: Sandbox) -> None:
    _, text = await run(sandbox, "/usr/bin/env", environment={"A": "1", "B": "two words ü"})
    given = {"A=1", "B=two words ü"}
    extra = {line for line in text.splitlines() if line not in given}
    assert given <= set(text.splitlines())
    assert {line.split("=")[0] for line in extra} == ({"TMPDIR"} if isolation.name == "process" else set())


async def test_a_program_starts_in_its_directory(sandbox: Sandbox) -> None:
    assert await run(sandbox, "/bin/pwd", directory="/usr") == (Exit(0), "/usr\n")


async def test_standard_input_is_empty(sandbox: Sandbox) -> None:
    assert await shell(sandbox, "cat; echo end") == (Exit(0), "end\n")


async def test_descriptors_come_at_the_numbers_asked_for_and_no_other_is_open(sandbox: Sandbox) -> None:
    (r1, w1), (r2, w2) = os.pipe(), os.pipe()
    script = (
        "import os\n"
        "def is_open(n):\n"
        "    try: return bool(os.fstat(n))\n"
        "    except OSError: return False\n"
        "print([n for n in range(1024) if is_open(n)])\n"
        "os.write(5, b'five\\n'); os.write(3, b'three\\n')"
    )
    try:
        # One of them may well be 3 or 5 on this side too: the order must not matter.
        how, text = await run(sandbox, PYTHON, "-I", "-S", "-c", script, descriptors={5: w1, 3: w2})
        assert (how, text) == (Exit(0), "[0, 1, 2, 3, 5]\n")
        assert [await read_line(r1), await read_line(r2)] == ["five", "three"]
    finally:
        for descriptor in (r1, w1, r2, w2):
            os.close(descriptor)


async def test_a_program_that_is_not_there_is_refused_by_name(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"test: cannot execute /no/such: No such file or directory"):
        await run(sandbox, "/no/such")


async def test_a_directory_that_is_not_there_is_refused_by_name(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"test: cannot change to the directory /no/such: No such file or directory"):
        await run(sandbox, "/bin/pwd", directory="/no/such")


async def test_after_a_refused_program_another_runs(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError):
        await run(sandbox, "/no/such")
    assert await shell(sandbox, "echo fine") == (Exit(0), "fine\n")


async def test_a_program_that_kills_itself_is_reported_with_the_signal(sandbox: Sandbox) -> None:
    assert (await shell(sandbox, "kill -KILL $$"))[0] == Exit(None, signal.SIGKILL)
    assert (await python(sandbox, "import os; os.abort()"))[0] == Exit(None, signal.SIGABRT)


async def test_a_signal_reaches_the_program_and_may_be_sent_after_its_end(sandbox: Sandbox) -> None:
    reading, writing = os.pipe()
    script = 'trap "echo got it; exit 7" TERM; echo ready; while :; do sleep 0.01; done'
    process = await sandbox.start(program(sandbox, "/bin/sh", "-c", script, stdout=writing))
    os.close(writing)
    assert await read_line(reading) == "ready"
    process.send_signal(signal.SIGTERM)
    assert (await process.wait(), await read_line(reading)) == (Exit(7), "got it")
    process.send_signal(signal.SIGTERM)
    os.close(reading)


async def test_signals_are_at_their_defaults_in_a_program(sandbox: Sandbox) -> None:
    how, text = await shell(sandbox, "grep -E 'Sig(Ign|Blk)' /proc/self/status")
    blocked, ignored = (int(word, 16) for word in text.split()[1::2])
    # glibc's own two, 32 and 33, are inherited ignored from posix_spawn, and only the kernel itself can change that.
    assert (how, blocked, ignored & ~(0b11 << 31)) == (Exit(0), 0, 0)


async def test_many_may_wait_for_one_program_any_number_of_times(sandbox: Sandbox) -> None:
    process = await _sleeper(sandbox, "5")
    waiting = [asyncio.create_task(process.wait()) for _ in range(3)]
    cancelled = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    cancelled.cancel()
    process.send_signal(signal.SIGKILL)
    assert [*await asyncio.gather(*waiting), await process.wait()] == [Exit(None, signal.SIGKILL)] * 4


async def _sleeper(sandbox: Sandbox, seconds: str = "1000") -> Process:
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        return await sandbox.start(program(sandbox, "/bin/sleep", seconds, stdout=null))
    finally:
        os.close(null)


async def test_two_programs_run_side_by_side(sandbox: Sandbox) -> None:
    first, second = await _sleeper(sandbox), await _sleeper(sandbox)
    first.send_signal(signal.SIGTERM)
    assert await first.wait() == Exit(None, signal.SIGTERM)
    second.send_signal(signal.SIGINT)
    assert await second.wait() == Exit(None, signal.SIGINT)


async def test_kill_all_ends_every_program_and_the_box_and_its_tmp_stay(sandbox: Sandbox) -> None:
    tmp = sandbox.path("/tmp")
    await shell(sandbox, f"echo kept > {tmp}/file")
    programs = [await _sleeper(sandbox) for _ in range(3)]
    await sandbox.kill_all()
    assert [await p.wait() for p in programs] == [Exit(None, signal.SIGKILL)] * 3
    assert await shell(sandbox, f"cat {tmp}/file") == (Exit(0), "kept\n")


async def test_kill_all_in_an_empty_box_does_nothing(sandbox: Sandbox) -> None:
    await sandbox.kill_all()
    assert await shell(sandbox, "echo fine") == (Exit(0), "fine\n")


async def test_kill_all_ends_what_a_program_left_behind(sandbox: Sandbox) -> None:
    await shell(sandbox, "sleep 1000 >/dev/null 2>&1 & sleep 1000 >/dev/null 2>&1 &")
    await sandbox.kill_all()
    _, text = await shell(sandbox, "ps ax -o pid,ppid,command | grep 'sleep 100[0]' | grep -c TMPDIR || true")
    assert text == "0\n"


async def test_the_listener_is_reached_at_its_address_from_inside(sandbox: Sandbox) -> None:
    host, port = sandbox.address.rsplit(":", 1)
    script = f"import socket; s = socket.create_connection(('{host}', {port})); s.sendall(b'hello'); print(s.recv(9).decode())"
    talking = asyncio.create_task(python(sandbox, script))
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(sandbox.listener)
    with connection:
        assert await loop.sock_recv(connection, 100) == b"hello"
        await loop.sock_sendall(connection, b"world")
        assert await talking == (Exit(0), "world\n")


async def test_mounts_are_found_where_path_says(isolation: Isolation, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "file").write_text("outer\n")
    (tmp_path / "code" / "inner").mkdir()
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "file").write_text("inner\n")
    mounts = (Mount(tmp_path / "layer", "/var/task/inner"), Mount(tmp_path / "code", "/var/task"))
    sandbox = await isolation.create(box("mounts", *mounts))
    outer, inner = sandbox.path("/var/task/file"), sandbox.path("/var/task/inner/file")
    assert await shell(sandbox, f"cat {outer} {inner}") == (Exit(0), "outer\ninner\n")


async def test_a_mount_of_what_is_not_there_is_refused_by_name(isolation: Isolation, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"missing at /var/task.*: No such file or directory"):
        await isolation.create(box("broken", Mount(tmp_path / "missing", "/var/task")))
    assert await shell(await isolation.create(box("broken")), "echo fine") == (Exit(0), "fine\n")


async def test_destroying_ends_programs_and_may_be_done_twice_and_at_once(sandbox: Sandbox) -> None:
    process = await _sleeper(sandbox)
    pids = sandbox.pids()
    cancelled = asyncio.create_task(sandbox.destroy())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(sandbox.destroy(), sandbox.destroy())
    await sandbox.destroy()
    assert await process.wait() == Exit(None, signal.SIGKILL)
    assert [pid for pid in pids if _runs(pid)] == []
    assert sandbox.pids() == []


def _runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_a_destroyed_box_starts_nothing_and_can_be_told_so(sandbox: Sandbox) -> None:
    await sandbox.destroy()
    with pytest.raises(SandboxError, match="the sandbox is gone"):
        await shell(sandbox, "true")
    await sandbox.kill_all()
    await sandbox.freeze()
    await sandbox.thaw()


async def test_a_box_with_the_name_of_a_destroyed_one_is_a_new_one(isolation: Isolation) -> None:
    first = await isolation.create(box("again"))
    await shell(first, f"touch {first.path('/tmp')}/left")
    await first.destroy()
    second = await isolation.create(box("again"))
    assert await shell(second, f"ls {second.path('/tmp')}") == (Exit(0), "")


async def test_a_frozen_box_goes_on_when_thawed_and_can_be_killed_frozen(sandbox: Sandbox) -> None:
    process = await _sleeper(sandbox)
    await sandbox.freeze()
    await sandbox.thaw()
    assert await shell(sandbox, "echo on") == (Exit(0), "on\n")
    await sandbox.freeze()
    await sandbox.destroy()
    assert await process.wait() == Exit(None, signal.SIGKILL)


async def test_the_share_of_the_processor_can_be_changed_at_any_time(sandbox: Sandbox) -> None:
    sandbox.limit_cpus(0.5)
    assert await shell(sandbox, "echo on") == (Exit(0), "on\n")
    await sandbox.destroy()
    sandbox.limit_cpus(1.0)


async def test_close_destroys_the_boxes_that_are_left(tmp_path: Path, isolation: Isolation) -> None:
    process = await _sleeper(await isolation.create(box("left")))
    await isolation.close()
    assert await process.wait() == Exit(None, signal.SIGKILL)


async def test_many_boxes_are_made_at_once(isolation: Isolation) -> None:
    boxes = await asyncio.gather(*(isolation.create(box(f"many-{n}")) for n in range(8)))
    answers = await asyncio.gather(*(shell(sandbox, f"echo {n}") for n, sandbox in enumerate(boxes)))
    assert answers == [(Exit(0), f"{n}\n") for n in range(8)]
