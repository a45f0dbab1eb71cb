"""Which system calls the programs of a box may make. Pure; `seccomp` makes a filter of it.

Modelled on Docker's default profile for a container without capabilities, and stricter where no function needs it.
What is not named here is refused: EPERM, or ENOSYS where a program then takes another way.
"""

import errno
from dataclasses import dataclass


@dataclass(frozen=True)
class Test:
    """Whether an argument's low 32 bits, under the mask, are this. All arguments tested here are 32 bits wide."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True)
class Rule:
    """Allowed when all tests of any alternative hold; `or_else` if not: an errno, or 0 for allowed."""

    alternatives: "tuple[tuple[Test, ...], ...]"
    then: int = 0
    or_else: int = errno.EPERM


_FILES = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat close close_range
lseek dup dup2 dup3 fcntl flock stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2
getdents getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat
symlink symlinkat readlink readlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask truncate
ftruncate fallocate fadvise64 readahead sync syncfs fsync fdatasync sync_file_range utime utimes futimesat utimensat
setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr
fremovexattr setxattrat getxattrat listxattrat removexattrat mknod mknodat name_to_handle_at cachestat statmount
listmount copy_file_range sendfile splice tee vmsplice inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
"""
_WAITING = """
select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 pipe pipe2
eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime io_setup io_destroy io_submit
io_cancel io_getevents io_pgetevents
"""
_MEMORY = """
mmap munmap mprotect mremap msync mincore madvise brk mlock mlock2 munlock mlockall munlockall remap_file_pages
memfd_create memfd_secret membarrier pkey_mprotect pkey_alloc pkey_free map_shadow_stack mseal
"""
_PROCESSES = """
fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid setpgid getpgrp getsid setsid
set_tid_address set_robust_list get_robust_list futex futex_waitv futex_wake futex_wait futex_requeue rseq
restart_syscall prctl arch_prctl set_thread_area get_thread_area getrlimit setrlimit prlimit64 getrusage times
sysinfo uname getcpu getpriority setpriority ioprio_get ioprio_set pidfd_open pidfd_send_signal process_mrelease
sched_yield sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_get_priority_max
sched_get_priority_min sched_rr_get_interval sched_setaffinity sched_getaffinity sched_setattr sched_getattr
uretprobe uprobe riscv_hwprobe riscv_flush_icache
"""
# Debuggers, profilers and crash reporters look at processes of their own user. Init is closed to them, see credentials.
_TRACING = "ptrace process_vm_readv process_vm_writev"
_SIGNALS = """
kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo
rt_sigsuspend rt_sigreturn sigaltstack pause alarm
"""
_TIME = """
time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep getitimer setitimer timer_create timer_settime
timer_gettime timer_getoverrun timer_delete adjtimex clock_adjtime getrandom
"""
# The kernel refuses every identity but the program's own; programs that drop privileges ask nevertheless.
_IDENTITY = """
getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid
setgroups setfsuid setfsgid capget capset seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
"""
_SOCKETS = """
connect accept accept4 sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown bind listen getsockname getpeername
socketpair setsockopt getsockopt
"""
# Of the box's own IPC namespace.
_QUEUES = """
shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend
mq_timedreceive mq_notify mq_getsetattr
"""
ALLOWED = frozenset(
    f"{_FILES} {_WAITING} {_MEMORY} {_PROCESSES} {_TRACING} {_SIGNALS} {_TIME} {_IDENTITY} {_SOCKETS} {_QUEUES}".split()
)

# As if the kernel did not have them: the C library then uses clone, whose flags a filter can see, and libnuma does
# not warn about the policies of a machine that is not the program's to arrange.
ABSENT = frozenset({"clone3", "get_mempolicy", "set_mempolicy", "mbind", "set_mempolicy_home_node"})

# CLONE_NEW*: NS, CGROUP, UTS, IPC, USER, PID, NET. NEWTIME shares its bit with clone's exit signal, and is unshare's.
_NAMESPACES = 0x7E020000
_NEWTIME = 0x80
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE = 0
# ioctls: typing into a terminal, which is how a program reaches the shell above it; the console's clipboard.
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# personality(2): Linux, 32-bit and old kernels' names, and the question. Not ADDR_NO_RANDOMIZE or READ_IMPLIES_EXEC.
_PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

RULES = {
    "clone": Rule(((Test(0, 0, _NAMESPACES),),)),
    "unshare": Rule(((Test(0, 0, _NAMESPACES | _NEWTIME),),)),
    "socket": Rule(
        (
            *((Test(0, family),) for family in (_AF_UNIX, _AF_INET, _AF_INET6)),
            (Test(0, _AF_NETLINK), Test(2, _NETLINK_ROUTE)),
        )
    ),
    "ioctl": Rule(((Test(1, _TIOCSTI),), (Test(1, _TIOCLINUX),)), then=errno.EPERM, or_else=0),
    "personality": Rule(tuple((Test(0, value),) for value in _PERSONALITIES)),
}


def rule(name: str) -> Rule:
    """For a call that exists."""
    if name in ALLOWED:
        return _ALLOW
    return RULES.get(name, _ABSENT if name in ABSENT else _REFUSE)


_ALLOW = Rule((), or_else=0)
_ABSENT = Rule((), or_else=errno.ENOSYS)
_REFUSE = Rule(())
