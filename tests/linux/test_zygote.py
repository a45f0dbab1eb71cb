"""A program that is forked from a zygote is as if it had been executed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.isolation_programs import box, run
from linux.box_fixtures import opened, skip_without_namespaces, until
from pasture.isolation.spec import Exit, Isolation, Mount, Sandbox, Zygote
from pasture.runtimes.kinds.python import PythonFamily

SCRIPT = """
import os, sys
if "_PASTURE_ZYGOTE" in os.environ:
    import json
    package, told = json.loads(os.environ.pop("_PASTURE_ZYGOTE"))
    sys.path.insert(0, package)
    from launcher.zygote import serve
    del sys.path[0]
    was_loaded = True
    serve(told)
sys.path.insert(0, "/var/task")
__import__(sys.argv[1])
"""

ENVIRONMENT = {"LANG": "en_US.UTF-8", "LD_LIBRARY_PATH": "/var/lang/lib", "PATH": "/usr/bin:/bin", "TZ": ":UTC"}

# All that a program can know of itself, but for what is another each time.
EVERYTHING = """
import atexit, gc, json, locale, os, resource, signal, site, sys, threading, time, traceback

def status(*names):
    lines = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    return {name: lines[name].split() for name in names}

frames = [(frame.filename, frame.name) for frame in traceback.extract_stack() if "importlib" not in frame.filename]
stream = lambda s: [s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.write_through, type(s.buffer).__name__]
import __main__
print(json.dumps({
    "argv": [sys.argv, sys.orig_argv, sys.executable, sys.prefix, sys.base_prefix],
    "flags": [str(sys.flags), sys.warnoptions, sys._xoptions, sys.dont_write_bytecode],
    "path": sys.path,
    "environ": dict(os.environ),
    "cmdline": open("/proc/self/cmdline").read().split("\\0"),
    "environ of proc": sorted(open("/proc/self/environ").read().split("\\0")),
    "exe": os.readlink("/proc/self/exe"),
    "comm": open("/proc/self/comm").read(),
    "descriptors": sorted(n for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")),
    "streams": [stream(sys.stdin), stream(sys.stdout), stream(sys.stderr)],
    "signals": {n: [str(signal.getsignal(n)) for _ in [0]] for n in sorted(signal.valid_signals())},
    "wake-up": signal.set_wakeup_fd(-1),
    "kernel": status("SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
                     "Seccomp", "Groups", "Threads", "Umask", "Pid", "PPid", "NSpid"),
    "user is one": len(set(status("Uid")["Uid"]) | set(status("Gid")["Gid"])) == 1,
    "owns itself": os.stat("/proc/self/environ").st_uid == os.getuid(),
    "limits": [resource.getrlimit(n) for n in range(16)],
    "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(), sys.getfilesystemencoding()],
    "time": [time.tzname, time.timezone],
    "site": [site.ENABLE_USER_SITE, site.USER_BASE, site.USER_SITE],
    "collector": [gc.isenabled(), gc.get_threshold(), gc.get_debug()],
    "threads": [t.name for t in threading.enumerate()],
    "main": [__main__.__name__, __main__.__file__, sorted(n for n in vars(__main__) if n.startswith("__"))],
    "directory": os.getcwd(),
    "frames": frames,
    "session": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()],
    "launcher": sorted(n for n in sys.modules if n.partition(".")[0] == "launcher"),
    "importers": sorted(n for n in sys.path_importer_cache if "/.host" in n),
    "mounts": len(open("/proc/self/mounts").readlines()),
    "root": sorted(os.listdir("/")),
    "score": open("/proc/self/oom_score_adj").read(),
}))
"""


@pytest.fixture
async def isolation(tmp_path: Path) -> AsyncIterator[Isolation]:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as kind:
        yield kind


@pytest.fixture
def task(tmp_path: Path) -> Path:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "everything.py").write_text(EVERYTHING)
    return tmp_path / "task"


def interpreters() -> list[str]:
    """Every version of Python on this machine that there are runtimes for; as an ordinary user, this one."""
    if os.geteuid() != 0:
        return [f"python{sys.version_info.major}.{sys.version_info.minor}"]
    return sorted(PythonFamily(Path("/nonexistent")).interpreters())


@pytest.fixture(params=interpreters())
def zygote(tmp_path: Path, request: pytest.FixtureRequest) -> Zygote:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "script.py").write_text(SCRIPT)
    identifier: str = request.param
    found = PythonFamily(Path("/nonexistent")).interpreters().get(identifier)
    prefix = found.resolve().parent.parent if found else Path(sys.base_prefix)
    system = str(prefix) == "/usr"
    mounts = (Mount(tmp_path / "runtime", "/var/runtime"), *(() if system else (Mount(prefix, "/var/lang"),)))
    interpreter = f"/usr/bin/{identifier}" if system else f"/var/lang/bin/{identifier}"
    return Zygote(mounts, (interpreter, "/var/runtime/script.py"), tuple(ENVIRONMENT.items()))


class Functions:
    """Makes boxes with the task; tells what a module of it prints."""

    def __init__(self, isolation: Isolation, zygote: Zygote, task: Path) -> None:
        self._isolation = isolation
        self._zygote = zygote
        self._task = task
        self._number = 0

    async def box(self, *, forked: bool = True) -> Sandbox:
        self._number += 1
        name = f"box-{self._number}"
        if forked:
            await self._isolation.prepare(self._zygote)
        mounts = (Mount(self._task, "/var/task"), *self._zygote.mounts)
        return await self._isolation.create(replace(box(name, *mounts), zygote=self._zygote if forked else None))

    async def prints(
        self, module: str, environment: Mapping[str, str] = ENVIRONMENT, *, forked: bool = True
    ) -> tuple[Exit, str]:
        sandbox = await self.box(forked=forked)
        try:
            return await run(sandbox, *self._zygote.command, module, environment=environment, directory="/var/task")
        finally:
            await sandbox.destroy()

    async def was_forked(self, environment: Mapping[str, str] = ENVIRONMENT) -> bool:
        (self._task / "told.py").write_text("import __main__; print(hasattr(__main__, 'was_loaded'))")
        how, text = await self.prints("told", environment)
        assert how == Exit(0), text
        return text == "True\n"


@pytest.fixture
def functions(isolation: Isolation, zygote: Zygote, task: Path) -> Functions:
    return Functions(isolation, zygote, task)


async def test_a_fork_knows_of_itself_what_an_exec_would(functions: Functions) -> None:
    environment = {**ENVIRONMENT, "NAME": "välue", "TZ": "Asia/Tokyo"}
    _, forked = await functions.prints("everything", environment)
    _, executed = await functions.prints("everything", environment, forked=False)
    assert json.loads(forked) == json.loads(executed)


async def test_it_is_a_fork(functions: Functions) -> None:
    assert await functions.was_forked()


@pytest.mark.parametrize(
    "variable",
    ["PYTHONHASHSEED=1", "PYTHONUTF8=0", "LANG=C", "LC_ALL=C", "LD_PRELOAD=", "MALLOC_ARENA_MAX=1", "HOME=/tmp"],
)
async def test_what_an_interpreter_reads_when_it_starts_makes_it_an_exec(functions: Functions, variable: str) -> None:
    name, _, value = variable.partition("=")
    assert not await functions.was_forked({**ENVIRONMENT, name: value})


@pytest.mark.parametrize("brought", ["json.py", "json/__init__.py", "typing.py"])
async def test_a_module_that_takes_the_place_of_a_loaded_one_makes_it_an_exec(
    functions: Functions, task: Path, brought: str
) -> None:
    (task / brought).parent.mkdir(exist_ok=True)
    (task / brought).write_text("brought = True")
    assert not await functions.was_forked()


async def test_other_programs_are_executed_in_its_boxes(functions: Functions) -> None:
    sandbox = await functions.box()
    assert await run(sandbox, "/bin/echo", "fine") == (Exit(0), "fine\n")


@pytest.mark.parametrize(
    ("end", "how"),
    [
        ("import sys; sys.exit(7)", Exit(7)),
        ("import os; os._exit(8)", Exit(8)),
        ("pass", Exit(0)),
        ("raise ValueError('of the function')", Exit(1)),
        ("import os; os.kill(os.getpid(), 15)", Exit(None, 15)),
        ("import os; os.abort()", Exit(None, 6)),
        ("import ctypes; ctypes.string_at(0)", Exit(None, 11)),
    ],
)
async def test_it_ends_as_it_would_and_its_box_lives_on(functions: Functions, task: Path, end: str, how: Exit) -> None:
    (task / "ends.py").write_text(end)
    for forked in (True, False):
        ended, text = await functions.prints("ends", forked=forked)
        assert (ended, "launcher" in text) == (how, False)


async def test_the_last_words_are_the_same(functions: Functions, task: Path) -> None:
    (task / "ends.py").write_text(
        "import atexit, threading, time\n"
        "atexit.register(lambda: print('at exit'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\n"
        "print('unflushed', end='')\n"
        "raise KeyError('x')\n"
    )
    assert await functions.prints("ends") == await functions.prints("ends", forked=False)


async def test_random_numbers_are_each_its_own(functions: Functions, task: Path) -> None:
    (task / "draws.py").write_text(
        "import random, secrets, ssl, uuid, tempfile\n"
        "print(random.random(), ssl.RAND_bytes(8).hex(), secrets.token_hex(8), uuid.uuid4(), tempfile.mktemp())\n"
    )
    texts = [(await functions.prints("draws"))[1].split() for _ in range(3)]
    assert all(len(set(column)) == 3 for column in zip(*texts, strict=True))


async def test_what_one_does_no_other_sees(functions: Functions, task: Path) -> None:
    (task / "does.py").write_text(
        "import json, os\nprint(hasattr(json, 'mine'), os.listdir('/tmp'))\njson.mine = True\nopen('/tmp/mine', 'w')\n"
    )
    assert [await functions.prints("does") for _ in range(2)] == [(Exit(0), "False []\n")] * 2


async def test_it_starts_again_in_the_same_box(functions: Functions, zygote: Zygote) -> None:
    sandbox = await functions.box()
    for _ in range(3):
        how, text = await run(sandbox, *zygote.command, "everything", environment=ENVIRONMENT, directory="/var/task")
        assert how == Exit(0)
        assert json.loads(text)["argv"][0] == ["/var/runtime/script.py", "everything"]


async def test_it_starts_though_another_program_of_its_box_has_killed_the_process_kept_for_it(
    functions: Functions, zygote: Zygote
) -> None:
    sandbox = await functions.box()
    how, text = await run(sandbox, "/bin/sh", "-c", "kill -9 -1; echo killed")
    assert (how, text) == (Exit(0), "killed\n")
    how, _ = await run(sandbox, *zygote.command, "everything", environment=ENVIRONMENT, directory="/var/task")
    assert how == Exit(0)


async def test_of_a_zygote_that_is_killed_the_boxes_live_on_and_another_takes_its_place(
    functions: Functions, zygote: Zygote
) -> None:
    sandbox = await functions.box()
    (pid,) = zygotes()
    os.kill(pid, signal.SIGKILL)
    how, _ = await run(sandbox, *zygote.command, "everything", environment=ENVIRONMENT, directory="/var/task")
    assert how == Exit(0)
    assert await functions.was_forked()
    assert zygotes() not in ([], [pid])


async def test_a_burst_during_which_it_is_killed_again_and_again_loses_nothing(functions: Functions) -> None:
    async def killing() -> None:
        while True:
            for pid in zygotes():
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.05)

    await functions.box()
    killer = asyncio.create_task(killing())
    try:
        for _ in range(5):
            ended = await asyncio.gather(*(functions.prints("everything") for _ in range(8)))
            assert [how for how, _ in ended] == [Exit(0)] * 8
    finally:
        killer.cancel()


async def test_what_cannot_be_loaded_is_executed_as_it_is(
    isolation: Isolation, zygote: Zygote, task: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Zygote(zygote.mounts, ("/var/lang/bin/nothing", *zygote.command[1:]), zygote.environment)
    await isolation.prepare(broken)
    assert "cannot execute /var/lang/bin/nothing as a zygote" in caplog.text
    sandbox = await isolation.create(replace(box("one", Mount(task, "/var/task"), *zygote.mounts), zygote=broken))
    assert await run(sandbox, "/bin/echo", "fine") == (Exit(0), "fine\n")


async def test_it_ends_with_its_server(tmp_path: Path, zygote: Zygote) -> None:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as isolation:
        await isolation.prepare(zygote)
        assert len(zygotes()) == 1
    await until(lambda: zygotes() == [])


def zygotes() -> list[int]:
    """Of this process."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"pasture zygote: ")]
