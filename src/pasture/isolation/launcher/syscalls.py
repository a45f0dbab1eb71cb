"""The system calls that Python does not offer, each raising OSError with the errno."""

import ctypes
import errno
import os
import platform
import signal
import struct

_libc = ctypes.CDLL(None, use_errno=True)
# Keeps the interpreter lock: a clone must come back with it held on both sides.
_locked = ctypes.PyDLL(None, use_errno=True)

CLONE_PIDFD = 0x1000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MOUNT_ATTR_NOEXEC = 8

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_NR_MOUNT_SETATTR = 442
_NR_CLONE3 = 435
_NR_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_NR_CAPSET = {"x86_64": 126, "aarch64": 91, "riscv64": 91}
_NR_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
_NR_RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134}
_KEYCTL_JOIN_SESSION_KEYRING = 1
_CAPABILITY_VERSION_3 = 0x20080522
_SECCOMP_MODE_FILTER = 2


def _number(table: "dict[str, int]") -> int:
    # An unknown machine gets ENOSYS from the kernel.
    return table.get(platform.machine(), -1)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)))


def clone(flags: int, cgroup: "int | None" = None) -> "tuple[int, int]":
    """Fork into new namespaces, and into a cgroup (version 2, a descriptor): (pid, pidfd), and (0, -1) in the child.

    Python's and libc's fork handlers do not run; with one thread there is nothing for
    them to mend. Saves the second fork that unshare(CLONE_NEWPID) would need.
    """
    pidfd = ctypes.c_int(-1)
    flags |= CLONE_PIDFD | (CLONE_INTO_CGROUP if cgroup is not None else 0)
    # flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
    arguments = struct.pack("11Q", flags, ctypes.addressof(pidfd), 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, cgroup or 0)
    pid = _check(_locked.syscall(ctypes.c_long(_NR_CLONE3), arguments, ctypes.c_size_t(len(arguments))))
    return pid, pidfd.value if pid else -1


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            options.encode() or None,
        )
    )


def mount_attributes(target: str, attributes: int, *, recursive: bool = False) -> None:
    """Add attributes (MOUNT_ATTR_*) to a mount. Takes none away, so it works also on what a user namespace locks."""
    wanted = struct.pack("4Q", attributes, 0, 0, 0)
    _check(
        _libc.syscall(
            ctypes.c_long(_NR_MOUNT_SETATTR),
            ctypes.c_int(_AT_FDCWD),
            os.fsencode(target),
            ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
            wanted,
            ctypes.c_size_t(len(wanted)),
        )
    )


def unmount(target: str, flags: int = 0) -> None:
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)))


def pivot_root(new_root: str, put_old: str) -> None:
    _check(_libc.syscall(ctypes.c_long(_number(_NR_PIVOT_ROOT)), os.fsencode(new_root), os.fsencode(put_old)))


def prctl(option: int, *arguments: int) -> None:
    four = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    _check(_libc.prctl(ctypes.c_int(option), *four))


def has_seccomp() -> bool:
    """Whether this kernel takes filters: it then looks for one where none is given."""
    none = ctypes.c_ulong(0)
    _libc.prctl(ctypes.c_int(PR_SET_SECCOMP), ctypes.c_ulong(_SECCOMP_MODE_FILTER), none, none, none)
    return ctypes.get_errno() == errno.EFAULT


def set_seccomp_filter(code: bytes) -> None:
    """`code`: the instructions, 8 bytes each."""
    instructions = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(instructions))
    none = ctypes.c_ulong(0)
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    _check(_libc.prctl(ctypes.c_int(PR_SET_SECCOMP), mode, program, none, none))


def capset(effective: int, permitted: int, inheritable: int) -> None:
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    sets = (effective, permitted, inheritable)
    data = struct.pack("6I", *(s & 0xFFFFFFFF for s in sets), *(s >> 32 for s in sets))
    _check(_libc.syscall(ctypes.c_long(_number(_NR_CAPSET)), header, data))


def join_new_session_keyring() -> None:
    """Leave the server's keys behind: a session keyring passes to children, whoever they become."""
    try:
        _check(_libc.syscall(ctypes.c_long(_number(_NR_KEYCTL)), ctypes.c_int(_KEYCTL_JOIN_SESSION_KEYRING), None))
    except OSError as error:
        # Neither a kernel without keys nor a container that forbids the call has any to leave behind.
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise


def default_signal(number: int) -> None:
    """As signal(number, SIG_DFL), for signals that the C library keeps to itself too."""
    action = bytes(64)  # SIG_DFL, no flags, an empty mask: zero on every machine
    _check(
        _libc.syscall(ctypes.c_long(_number(_NR_RT_SIGACTION)), ctypes.c_int(number), action, None, ctypes.c_size_t(8))
    )
