"""The filter of system calls, from inside: what is refused and how, and that programs run as ever."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.isolation_programs import MIB, box, python, run, shell
from linux.box_fixtures import opened, skip_without_namespaces
from pasture.isolation.launcher import seccomp
from pasture.isolation.launcher.syscall_numbers import numbers
from pasture.isolation.spec import Exit, Isolation, Sandbox

NUMBERS = numbers(os.uname().machine)
_CALL = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    words = [word if isinstance(word, bytes) else ctypes.c_long(word) for word in arguments]
    if libc.syscall(ctypes.c_long(number), *words) != -1:
        return "done"
    return errno.errorcode[ctypes.get_errno()]
"""


@pytest.fixture
async def isolation(tmp_path: Path) -> AsyncIterator[Isolation]:
    skip_without_namespaces()
    if why := seccomp.why_not():
        pytest.skip(why)
    async with opened(tmp_path / "run") as kind:
        yield kind


@pytest.fixture
async def sandbox(isolation: Isolation) -> Sandbox:
    return await isolation.create(box("filtered", memory=1024 * MIB, processes=256))


async def said(sandbox: Sandbox, *calls: str) -> list[str]:
    """What each call answered; written as its name, a comma, and arguments."""
    numbered = [
        f"call({NUMBERS[name]}{', ' if rest else ''}{rest})" for name, _, rest in (c.partition(",") for c in calls)
    ]
    how, text = await python(sandbox, f"{_CALL}print(*[{', '.join(numbered)}])")
    assert how == Exit(0), text
    return text.split()


async def test_every_program_is_filtered(sandbox: Sandbox) -> None:
    assert await shell(sandbox, "grep -E '^Seccomp:' /proc/self/status") == (Exit(0), "Seccomp:\t2\n")


async def test_what_only_the_host_does_is_refused(sandbox: Sandbox) -> None:
    calls = [
        "mount,b'x',b'/tmp',b'tmpfs',0,0", "umount2,b'/tmp',2", "pivot_root,b'/tmp',b'/tmp'", "chroot,b'/tmp'",
        "setns,0,0", "keyctl,0,0", "add_key,b'user',b'x',b'y',1,-3", "request_key,b'user',b'x',0,0", "bpf,0,0,0",
        "perf_event_open,0,0,-1,-1,0", "userfaultfd,0", "io_uring_setup,1,0", "open_by_handle_at,-100,0,0",
        "init_module,0,0,b''", "finit_module,0,b'',0", "kexec_load,0,0,0,0", "syslog,3,0,0", "kcmp,1,1,0,0,0",
        "open_tree,-100,b'/tmp',1", "fsopen,b'tmpfs',0", "pidfd_getfd,0,0,0", "personality,0x40000",
    ]  # fmt: skip
    assert await said(sandbox, *calls) == ["EPERM"] * len(calls)


async def test_a_new_namespace_cannot_be_made(sandbox: Sandbox) -> None:
    flags = ["0x20000", "0x2000000", "0x4000000", "0x8000000", "0x10000000", "0x20000000", "0x40000000"]
    assert await said(sandbox, *(f"unshare,{flag}" for flag in flags)) == ["EPERM"] * 7
    assert await said(sandbox, *(f"clone,{flag}|17,0,0,0,0" for flag in flags)) == ["EPERM"] * 7
    assert await said(sandbox, "clone3,0,0") == ["ENOSYS"]


async def test_sockets_that_lead_nowhere_are_refused(sandbox: Sandbox) -> None:
    families = {
        "UNIX": (1, 0),
        "INET": (2, 0),
        "INET6": (10, 0),
        "route": (16, 0),
        "audit": (16, 9),
        "netfilter": (16, 12),
    }
    others = {"packet": (17, 0), "vsock": (40, 0), "key": (15, 2), "alg": (38, 0), "bluetooth": (31, 0), "xdp": (44, 0)}
    calls = [
        f"socket,{family},3 if {family} > 15 else 1,{protocol}" for family, protocol in (families | others).values()
    ]
    assert await said(sandbox, *calls) == ["done"] * 4 + ["EPERM"] * 8


async def test_a_terminal_cannot_be_typed_into(sandbox: Sandbox) -> None:
    assert await said(sandbox, "ioctl,0,0x5412,b'x'", "ioctl,0,0x541C,b'x'", "ioctl,0,0x541B,b'x'*8") == [
        "EPERM",
        "EPERM",
        "ENOTTY",
    ]


async def test_calls_of_other_architectures_do_not_exist(sandbox: Sandbox) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("x32 is x86-64's")
    x32_getpid = 0x40000000 | 39
    how, text = await python(sandbox, f"{_CALL}print(call({x32_getpid}), call(5000))")
    assert (how, text) == (Exit(0), "ENOSYS ENOSYS\n")


async def test_a_program_may_look_at_its_own_children_and_not_at_init(sandbox: Sandbox) -> None:
    attach = 16
    script = (
        f"{_CALL}import os, signal\n"
        "pid = os.fork()\n"
        "if pid == 0: signal.pause()\n"
        f"seen = call({NUMBERS['ptrace']}, {attach}, pid, 0, 0)\n"
        "os.waitpid(pid, 0)\n"
        f"print(seen, call({NUMBERS['ptrace']}, {attach}, 1, 0, 0))\n"
        "os.kill(pid, signal.SIGKILL)"
    )
    assert await python(sandbox, script) == (Exit(0), "done EPERM\n")


@pytest.mark.parametrize(
    "script",
    [
        "import threading\nt = [threading.Thread(target=print, args=('x',)) for _ in range(8)]\n[i.start() for i in t]; [i.join() for i in t]",
        "import subprocess\nfor close in (True, False): subprocess.run(['/bin/echo', 'x'], check=True, close_fds=close)",
        "import asyncio\nasync def main():\n p = await asyncio.create_subprocess_exec('/bin/echo', 'x'); await p.wait(); await asyncio.to_thread(print, 'x')\nasyncio.run(main())",
        "import multiprocessing as m\nr, w = m.Pipe()\np = m.get_context('fork').Process(target=lambda: w.send(1))\np.start(); assert r.recv() == 1; p.join()",
        "import concurrent.futures as f\nwith f.ThreadPoolExecutor(4) as e: assert list(e.map(abs, [-1, -2])) == [1, 2]",
        "import os, tempfile, mmap, fcntl\nf = tempfile.TemporaryFile(); f.write(b'x' * 8192); f.flush(); mmap.mmap(f.fileno(), 0); fcntl.flock(f, 2)\nos.sched_getaffinity(0); os.getrandom(8); os.memfd_create('x'); os.posix_fallocate(f.fileno(), 0, 9999)",
        "import socket, select, ssl\na, b = socket.socketpair(); a.send(b'x'); select.epoll().register(b)\nsocket.socket(socket.AF_INET6); ssl.create_default_context()",
        "import os\nos.nice(1); os.sched_yield(); os.getloadavg(); os.cpu_count(); os.mkfifo('/tmp/fifo'); os.statvfs('/tmp')",
        "import ctypes, sqlite3, decimal, zlib, hashlib\nsqlite3.connect('/tmp/db').execute('create table t (x)')",
    ],
    ids=["threads", "subprocess", "asyncio", "multiprocessing", "pool", "files", "sockets", "system", "libraries"],
)
async def test_python_works_as_ever(sandbox: Sandbox, script: str) -> None:
    how, text = await python(sandbox, script)
    assert how == Exit(0), text


async def test_a_shell_works_as_ever(sandbox: Sandbox) -> None:
    script = "set -e; cd /tmp; (sleep 0.01; echo a > f) & wait; cat f | tr a b; seq 9 | sort -r | tail -1; cp -a f g; mv g h; rm f h"
    assert await shell(sandbox, script) == (Exit(0), "b\n1\n")


async def test_node_works_as_ever(sandbox: Sandbox) -> None:
    if not is_file("/usr/bin/node"):
        pytest.skip("there is no /usr/bin/node")
    script = (
        "const {Worker} = require('worker_threads'), fs = require('fs'), net = require('net');"
        "fs.promises.writeFile('/tmp/x', 'x').then(() => {"
        "const w = new Worker('process.exit(0)', {eval: true});"
        "w.on('exit', () => { require('child_process').execFileSync('/bin/true');"
        "const s = net.createServer().listen(0, '127.0.0.1', () => { s.close(); console.log('fine'); }); }); });"
    )
    assert await run(sandbox, "/usr/bin/node", "-e", script) == (Exit(0), "fine\n")


def is_file(path: str) -> bool:
    return Path(path).is_file()
