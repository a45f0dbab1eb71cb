"""What a program in a sandbox sees and may do, seen from inside."""

import os
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.isolation_programs import MIB, box, python, shell
from linux.box_fixtures import opened, skip_without_namespaces
from pasture.isolation.spec import Exit, Mount, Sandbox


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    skip_without_namespaces()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "handler.py").write_text("x = 1\n")
    async with opened(tmp_path / "run") as isolation:
        yield await isolation.create(box("inside", Mount(tmp_path / "code", "/var/task")))


def _names(directory: str) -> set[str]:
    return {path.name for path in Path(directory).iterdir()}


async def output(sandbox: Sandbox, script: str) -> str:
    how, text = await shell(sandbox, script)
    assert how == Exit(0), text
    return text


async def test_the_root_holds_what_was_put_there_and_nothing_of_the_host(sandbox: Sandbox) -> None:
    seen = set((await output(sandbox, "ls /")).split())
    system = _names("/") & {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}
    assert seen == {"dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "tmp", "usr", "var"} | system
    assert await output(sandbox, "ls /var /var/task /home /root /mnt /run") == (
        "/home:\n\n/mnt:\n\n/root:\n\n/run:\n\n/var:\nlang\nruntime\ntask\n\n/var/task:\nhandler.py\n"
    )


async def test_what_was_installed_by_hand_on_the_host_is_not_there(sandbox: Sandbox) -> None:
    assert (
        await output(
            sandbox, "for d in /usr/local /usr/src /usr/lib/python3/dist-packages; do ls -A $d 2>/dev/null; done; true"
        )
        == ""
    )


async def test_etc_is_made_up(sandbox: Sandbox) -> None:
    assert await output(sandbox, "cut -d: -f1 /etc/passwd /etc/group") == "root\nsbx_user1051\nnobody\n" * 2
    assert await output(sandbox, "cat /etc/hosts /etc/resolv.conf") == (
        "127.0.0.1 localhost\n169.254.100.1 sandbox.localdomain sandbox\n"
    )
    assert (
        await output(
            sandbox,
            "ls -A /etc | grep -E 'shadow|sudoers|ssh|machine-id|private' || true; ls /etc/ssl | grep private || true",
        )
        == ""
    )


async def test_devices_are_five_and_streams(sandbox: Sandbox) -> None:
    assert await output(sandbox, "ls -A /dev") == "fd\nfull\nnull\nrandom\nstderr\nstdin\nstdout\nurandom\nzero\n"
    assert (
        await output(sandbox, "echo x > /dev/null && head -c4 /dev/zero | wc -c && head -c3 /dev/urandom | wc -c")
        == "4\n3\n"
    )


async def test_it_runs_as_the_sandbox_user_without_other_groups(sandbox: Sandbox) -> None:
    user, group = (await output(sandbox, "id -un; id -gn")).split()
    assert (user, group) == ("sbx_user1051", "sbx_user1051")
    assert (await output(sandbox, "id -u")).strip() != "0"


async def test_it_has_no_capability_and_can_gain_none(sandbox: Sandbox) -> None:
    text = await output(sandbox, "grep -E '^(Cap|NoNewPrivs)' /proc/self/status")
    assert dict(line.split(":\t") for line in text.splitlines()) == {
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
        "NoNewPrivs": "1",
    }


async def test_a_setuid_program_gains_nothing(sandbox: Sandbox) -> None:
    assert (
        await output(sandbox, "su -c id 2>/dev/null </dev/null || mount -t tmpfs x /tmp 2>&1 | grep -c . || true")
    ) != ""
    assert "nosuid" in await output(sandbox, "grep ' /usr ' /proc/mounts || grep ' / ' /proc/mounts")


async def test_every_mount_but_tmp_and_proc_is_read_only_and_none_gives_privileges(sandbox: Sandbox) -> None:
    mounts = [
        line.split()[1:4:2] + line.split()[2:3] for line in (await output(sandbox, "cat /proc/mounts")).splitlines()
    ]
    writable = {target for target, options, _ in mounts if "ro" not in options.split(",")}
    with_suid = {target for target, options, _ in mounts if "nosuid" not in options.split(",")}
    with_devices = {t for t, options, _ in mounts if "nodev" not in options.split(",") and not t.startswith("/dev/")}
    assert (writable, with_suid, with_devices) == ({"/tmp", "/proc"}, set(), set())


@pytest.mark.parametrize(
    "where", ["/", "/var", "/var/task", "/etc", "/usr", "/dev", "/opt", "/run", "/home", "/proc", "/proc/sys/kernel"]
)
async def test_nothing_can_be_written_but_tmp(sandbox: Sandbox, where: str) -> None:
    how, text = await shell(sandbox, f"echo x > {where}/new")
    assert how.code != 0
    assert re.search("Read-only file system|Permission denied|No such file|nonexistent", text)


async def test_code_cannot_be_changed(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "code" / "handler.py").chmod(0o666)
    how, _ = await shell(sandbox, "echo bad > /var/task/handler.py")
    assert (how.code, (tmp_path / "code" / "handler.py").read_text()) == (2, "x = 1\n")


async def test_tmp_takes_its_size_and_no_more(sandbox: Sandbox) -> None:
    script = (
        "head -c 12M /dev/zero > /tmp/a && echo first; head -c 12M /dev/zero > /tmp/b || echo full; rm /tmp/a /tmp/b"
    )
    assert (await output(sandbox, script)).replace("head: ", "").splitlines()[0] == "first"
    assert "full" in await output(sandbox, script)


async def test_tmp_is_on_disk_or_it_was_said_that_it_is_memory(tmp_path: Path) -> None:
    skip_without_namespaces()
    async with opened(tmp_path / "run") as isolation:
        sandbox = await isolation.create(box("tmp"))
        said = [warning for warning in isolation.warnings if "/tmp" in warning]
        assert await output(sandbox, "stat -f -c %T /tmp") == ("tmpfs\n" if said else "ext2/ext3\n")


async def test_only_its_own_processes_are_seen_and_its_init_cannot_be_touched(sandbox: Sandbox) -> None:
    pids = {int(pid) for pid in (await output(sandbox, "ls /proc | grep -E '^[0-9]+$'")).split()}
    assert len(pids - {1}) <= 4
    assert os.getpid() not in pids
    for attempt in (
        "kill -KILL 1",
        "kill -INT 1",
        "kill -TERM 1",
        "cat /proc/1/environ",
        "ls /proc/1/root/",
        "ls /proc/1/fd/",
    ):
        await shell(sandbox, attempt)
    _, text = await shell(sandbox, "cat /proc/1/mem | head -c1; ls /proc/1/root/ /proc/1/fd/ /proc/1/cwd/")
    assert re.search("Permission denied|No such file", text)
    assert await output(sandbox, "echo alive") == "alive\n"


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t tmpfs none /tmp",
        "umount /usr/local",
        "umount -l /proc/sys",
        "mount -o remount,rw /",
        "mount -o remount,bind,rw /var/task",
        "hostname other",
        "mknod /tmp/device b 8 0",
        "chroot /usr /bin/true",
        "nsenter -t 1 -a true",
        "ip link add dummy0 type dummy",
        "dmesg",
        "nice -n -5 true 2>&1 | grep -q 'Permission denied' && exit 1",
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo b > /proc/sysrq-trigger",
        "echo -1000 > /proc/self/oom_score_adj",
    ],
)
async def test_what_takes_privileges_fails(sandbox: Sandbox, attempt: str) -> None:
    how, _ = await shell(sandbox, attempt)
    assert how.code != 0


async def test_secrets_of_the_kernel_are_closed(sandbox: Sandbox) -> None:
    script = "for f in interrupts kcore keys kallsyms kmsg timer_list sched_debug; do cat /proc/$f 2>/dev/null | head -c 100; done; true"
    assert await output(sandbox, script) == ""


async def test_there_is_no_network_but_its_own_loopback(sandbox: Sandbox) -> None:
    assert await output(sandbox, "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '") == "lo\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        how, text = await python(sandbox, script)
    assert (how.code, "ConnectionRefusedError" in text) == (1, True)
    how, text = await python(sandbox, "import socket; socket.create_connection(('192.0.2.1', 80), 2)")
    assert (how.code, "Network is unreachable" in text) == (1, True)


async def test_it_does_not_see_its_place_in_the_cgroups_of_the_host(sandbox: Sandbox) -> None:
    places = {line.rsplit(":", 1)[1] for line in (await output(sandbox, "cat /proc/self/cgroup")).splitlines()}
    assert places == {"/"}


async def test_sysv_and_posix_queues_are_its_own(sandbox: Sandbox) -> None:
    assert (
        await output(
            sandbox, "tail -n +2 /proc/sysvipc/shm /proc/sysvipc/msg /proc/sysvipc/sem | grep -c '^ *[0-9]' || true"
        )
        == "0\n"
    )


async def test_limits_of_a_program_are_lambdas(sandbox: Sandbox) -> None:
    script = (
        "import resource as r\n"
        "print([r.getrlimit(getattr(r, 'RLIMIT_' + n)) for n in ('NOFILE', 'NPROC', 'CORE', 'MEMLOCK', 'STACK')])"
    )
    _, text = await python(sandbox, script)
    assert text == f"{[(n, n) for n in (1024, 64, 1, 65536, 8 * MIB)]}\n"


async def test_the_host_name_is_the_specs(sandbox: Sandbox) -> None:
    assert await output(sandbox, "uname -n") == "localhost\n"


async def test_the_address_is_the_one_on_aws(sandbox: Sandbox) -> None:
    assert sandbox.address == "169.254.100.1:9001"


async def test_the_servers_session_keyring_is_not_its_own(sandbox: Sandbox) -> None:
    _, text = await python(
        sandbox,
        "import ctypes\n"
        "keyctl = lambda *a: ctypes.CDLL(None, use_errno=True).syscall(250, *a)\n"
        "buffer = ctypes.create_string_buffer(4096)\n"
        "print(keyctl(6, ctypes.c_int(-3), buffer, 4096) >= 0 and b'_uid_ses.0' in buffer.raw)\n",
    )
    assert text == "False\n"


async def test_programs_find_signals_and_mask_as_a_shell_would_give_them(sandbox: Sandbox) -> None:
    text = await output(sandbox, "grep -E '^Sig(Blk|Ign|Cgt)' /proc/$$/status | head -2")
    assert text.split()[1::2] == ["0" * 16, "0" * 16]
