"""Functions that try to see or change what is not theirs: the host's files, other processes, the network, the kernel."""

import os
import socket
import struct
from pathlib import Path

import pytest

from security.prison import Prison
from system.node import Server

# Numbers of x86-64, and the constants beside them; the machine decides whether they can be tried.
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the system call numbers are those of x86-64")

SYSCALLS = {
    "mount a tmpfs": "165, b'x', b'/tmp', b'tmpfs', 0, 0",
    "bind-mount": "165, b'/usr', b'/tmp', 0, 4096, 0",
    "remount the root writable": "165, 0, b'/', 0, 32, 0",
    "unmount /tmp": "166, b'/tmp', 2",
    "unmount what hides a part of /proc": "166, b'/proc/keys', 2",
    "pivot_root": "155, b'/tmp', b'/tmp'",
    "chroot": "161, b'/tmp'",
    "unshare the network": "272, 0x40000000",
    "unshare the mounts": "272, 0x20000",
    "unshare the processes": "272, 0x20000000",
    "setns": "308, os.open('/proc/self/ns/net', os.O_RDONLY), 0",
    "mknod of a disk": "133, b'/tmp/disk', 0o60666, 0x800",
    "mknod of /dev/mem": "133, b'/tmp/mem', 0o20666, 0x101",
    "setuid 0": "105, 0",
    "setgid 0": "106, 0",
    "setresuid 0": "117, 0, 0, 0",
    "setgroups": "116, 0, 0",
    "be the server's user": "105, event",
    "load a kernel module": "175, b'', 0, b''",
    "kexec": "246, 0, 0, 0, 0",
    "reboot": "169, 0xfee1dead, 672274793, 0x1234567, 0",
    "swapon": "167, b'/tmp/swap', 0",
    "iopl": "172, 3",
    "set the clock": "227, 0, ctypes.addressof(ctypes.create_string_buffer(16))",
    "set the host name": "170, b'mine', 4",
    "trace init": "101, 16, 1, 0, 0",
    "kill init": "62, 1, 9",
    "stop init": "62, 1, 19",
    "lower init's priority": "141, 0, 1, 19",
    "open a file by its handle": "304, -100, ctypes.addressof(ctypes.create_string_buffer(64)), 0",
    "read the kernel's log": "103, 3, ctypes.addressof(ctypes.create_string_buffer(64)), 64",
    "account for processes": "163, b'/tmp/x'",
    "watch all files": "300, 0, 0",
    "real-time scheduling": "144, 0, 1, ctypes.addressof(ctypes.c_int(1))",
    "compare with init": "312, os.getpid(), 1, 0, 0, 0",
}  # fmt: skip
# Where the kernel does not have it, or does not get so far as to ask who calls, nothing happened either.
HARMLESS = {"EPERM", "EACCES", "ENOSYS", "EINVAL", "ESRCH"}


@pytest.mark.parametrize("attempt", SYSCALLS)
def test_a_system_call_that_takes_privileges_fails(prison: Prison, attempt: str) -> None:
    assert prison.result(f"result = syscall({SYSCALLS[attempt]})", os.getuid()) in HARMLESS


def test_a_process_of_another_user_cannot_be_read_or_written(prison: Prison) -> None:
    vector = struct.pack("QQ", 0, 8)
    code = f"result = [syscall(n, 1, {vector!r}, 1, {vector!r}, 1, 0) for n in (310, 311)]"
    assert set(prison.result(code)) <= HARMLESS


def test_bpf_and_performance_counters_are_closed(prison: Prison) -> None:
    code = "b = ctypes.create_string_buffer(128)\na = ctypes.addressof(b)\nb[0] = 1\nresult = [syscall(321, 0, a, 72), syscall(298, a, 0, -1, -1, 0)]"
    assert set(prison.result(code)) <= HARMLESS


@pytest.mark.parametrize("kind", ["2, 3, 1", "2, 3, 255", "10, 3, 58", "17, 3, 768", "17, 2, 768"])
def test_a_raw_socket_cannot_be_made(prison: Prison, kind: str) -> None:
    code = f"result = tried(lambda: socket.socket({kind}).close())"
    assert prison.result(code) == "EPERM"


SECRET_FILES = [
    "/etc/shadow", "/etc/sudoers", "/proc/1/environ", "/proc/1/mem", "/proc/1/maps", "/proc/1/cmdline", "/proc/1/fd/3",
    "/proc/kcore", "/proc/kallsyms", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/vmallocinfo",
    "/proc/slabinfo", "/proc/kpageflags", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda",
]  # fmt: skip


@pytest.mark.parametrize("path", SECRET_FILES)
def test_a_file_that_tells_of_the_host_cannot_be_read(prison: Prison, path: str) -> None:
    code = "result = tried(lambda: open(event, 'rb').read(64).hex())"
    assert prison.result(code, path) in {"ENOENT", "EACCES", "EPERM", "ENXIO"}


@pytest.mark.parametrize("path", ["/root", "/home", "/run", "/mnt", "/opt"])
def test_a_directory_of_the_host_is_empty(prison: Prison, path: str) -> None:
    assert prison.result("result = tried(os.listdir, event)", path) == []


def test_the_servers_files_are_not_there(prison: Prison) -> None:
    data = prison.server.data
    (data.parent / "beside-it").write_text("secret")
    paths = [
        str(path)
        for path in (data, data / "keys.json", data / "metadata.db", data.parent / "beside-it", Path(__file__))
    ]
    assert prison.result("result = [tried(os.stat, path) for path in event]", paths) == ["ENOENT"] * len(paths)


def test_other_processes_are_not_seen(prison: Prison) -> None:
    code = "result = sorted(int(name) for name in os.listdir('/proc') if name.isdigit() and int(name) != os.getpid())"
    assert prison.result(code) == []


def test_the_hosts_processes_have_no_number_here(prison: Prison) -> None:
    code = """
def answers(pid):
    return tried(os.kill, pid, 0) != "ESRCH"
result = [pid for pid in range(3, 100_000) if pid != os.getpid() and answers(pid)]
"""
    assert prison.result(code) == []


def test_kill_all_reaches_nobody_else(prison: Prison) -> None:
    # A program's own kill(-1) spares itself, init is above it, and there is nobody else.
    assert prison.result("result = tried(os.kill, -1, 9)") in {"ESRCH", "EPERM"}
    assert prison.result("result = 'still here'") == "still here"


WRITES = [
    "/x", "/usr/x", "/usr/bin/x", "/etc/x", "/etc/passwd", "/etc/ld.so.preload", "/dev/x", "/dev/shm/x", "/run/x", "/var/x",
    "/var/task/x", "/var/task/app.py", "/var/runtime/x", "/var/runtime/bootstrap.py", "/var/lang/x", "/opt/x",
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger",
    "/proc/1/oom_score_adj", "/sys/x", "/sys/fs/cgroup/x",
]  # fmt: skip


@pytest.mark.parametrize("path", WRITES)
def test_nothing_outside_tmp_can_be_written(prison: Prison, path: str) -> None:
    code = "result = tried(lambda: open(event, 'w').close())"
    assert prison.result(code, path) in {"EROFS", "ENOENT", "EACCES", "EPERM"}


def test_it_cannot_hide_from_the_out_of_memory_killer(prison: Prison) -> None:
    code = """
def write(value):
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(value)
result = [tried(write, "-1000"), tried(write, "-1")]
"""
    assert prison.result(code) == ["EACCES", "EACCES"]


def test_it_cannot_raise_its_own_limits(prison: Prison) -> None:
    code = """
import resource
def raised(kind):
    try:
        resource.setrlimit(kind, (1 << 20, 1 << 20))
    except (ValueError, OSError):
        return False
    return True
result = [raised(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_MEMLOCK)]
"""
    assert prison.result(code) == [False, False, False]


def test_neither_the_host_nor_anything_outside_can_be_reached(prison: Prison) -> None:
    port = int(prison.server.url.rpartition(":")[2])
    host = socket.gethostbyname(socket.gethostname())
    places = [["127.0.0.1", port], [host, port], ["1.1.1.1", 53], ["169.254.169.254", 80], ["10.0.0.1", 80]]
    code = """
def connect(place):
    with socket.create_connection(tuple(place), timeout=2):
        return "connected"
result = [tried(connect, place) for place in event]
"""
    assert set(prison.result(code, places)) <= {"ENETUNREACH", "ECONNREFUSED"}


def test_no_address_can_be_looked_up_or_sent_to(prison: Prison) -> None:
    code = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
    sent = tried(datagrams.sendto, b"x", ("8.8.8.8", 53))
try:
    found = socket.getaddrinfo("example.com", 80)
except socket.gaierror:
    found = "unknown"
result = [sent, found]
"""
    assert prison.result(code) == ["ENETUNREACH", "unknown"]


def test_an_abstract_socket_of_the_host_cannot_be_reached(prison: Prison) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0pasture-test")
        listener.listen()
        code = "s = socket.socket(socket.AF_UNIX)\nresult = tried(s.connect, '\\0pasture-test')\ns.close()"
        assert prison.result(code) == "ECONNREFUSED"


def test_a_setuid_program_gains_nothing(prison: Prison) -> None:
    code = """
import subprocess
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
programs = [f"/usr/bin/{name}" for name in ("su", "mount", "passwd", "newgrp", "chsh") if os.path.exists(f"/usr/bin/{name}")]
for program in programs:
    subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, timeout=5)
copy = subprocess.run(["/bin/sh", "-c", "cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id && /tmp/id -u; rm -f /tmp/id"], capture_output=True)
result = [copy.stdout.decode().strip() == str(os.getuid()), status["NoNewPrivs"].strip(), int(status["CapBnd"], 16)]
"""
    assert prison.result(code) == [True, "1", 0]


def test_two_functions_do_not_share_tmp_or_processes(prison: Prison, server: Server) -> None:
    server.deploy(
        "other-prisoner",
        "import os, time, subprocess\ndef handler(event, context):\n    open('/tmp/mine', 'w').write('x')\n    subprocess.Popen(['/bin/sleep', '60'])\n    return os.getuid()\n",
    )
    other = server.invoke("other-prisoner").payload
    code = "result = [os.path.exists('/tmp/mine'), [n for n in os.listdir('/proc') if n.isdigit() and int(n) != os.getpid()], os.getuid()]"
    seen, processes, own = prison.result(code)
    assert (seen, processes) == (False, [])
    assert own != other or os.getuid() != 0


def test_a_signal_to_its_own_group_does_not_reach_the_server(prison: Prison) -> None:
    code = (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.killpg(0, signal.SIGTERM)\nresult = 'ignored'"
    )
    assert prison.result(code) == "ignored"


def test_the_descriptors_it_was_born_with_are_its_streams_and_no_more(prison: Prison) -> None:
    code = "result = sorted({os.readlink(f'/proc/self/fd/{fd}').partition(':')[0] for fd in range(4)})"
    assert prison.result(code) == ["/dev/null", "pipe"]


def test_the_servers_keys_and_variables_are_not_in_its_environment(prison: Prison) -> None:
    code = "result = sorted(os.environ)"
    names = prison.result(code)
    assert [name for name in names if name in {"HOME", "USER", "AWS_PROFILE", "VIRTUAL_ENV"} or "PASTURE" in name] == []
    assert prison.server.key()["aws_secret_access_key"] not in str(prison.result("result = dict(os.environ)"))
