"""The filter of system calls: what it says of each, run as the kernel would run it."""

import errno
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.isolation.launcher import seccomp, syscall_rules
from pasture.isolation.launcher.syscall_numbers import numbers

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}
ALLOWED = "allowed"


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> str:
    """What the kernel would do: `allowed`, or the name of the error."""
    architecture = MACHINES[machine] if architecture is None else architecture
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    answer = run(seccomp.compiled(machine), data)
    return ALLOWED if answer == 0x7FFF0000 else errno.errorcode[answer - 0x00050000]


def run(code: list[seccomp.Instruction], data: bytes) -> int:
    """The classic BPF that is used: load a word, and, jump, return."""
    accumulator, place = 0, 0
    while True:
        what, if_true, if_false, operand = code[place]
        place += 1
        match what:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, operand)[0]
            case 0x54:
                accumulator &= operand
            case 0x05:
                place += operand
            case 0x15:
                place += if_true if accumulator == operand else if_false
            case 0x35:
                place += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"no such instruction: {what:#x}")


def of(name: str, *arguments: int, machine: str = "x86_64") -> str:
    return verdict(machine, numbers(machine)[name], *arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_gets_what_its_rule_says(machine: str) -> None:
    known = numbers(machine)
    plain = {name: number for name, number in known.items() if name not in syscall_rules.RULES}
    said = {name: verdict(machine, number) for name, number in plain.items()}
    wanted = dict.fromkeys(plain, "EPERM")
    wanted |= {name: ALLOWED for name in plain if name in syscall_rules.ALLOWED}
    wanted |= {name: "ENOSYS" for name in plain if name in syscall_rules.ABSENT}
    assert said == wanted


@pytest.mark.parametrize("machine", MACHINES)
def test_the_kernel_takes_the_filter(machine: str) -> None:
    code = seccomp.compiled(machine)
    assert len(code) <= 4096
    for place, (what, if_true, if_false, _) in enumerate(code):
        assert 0 <= if_true <= 255
        assert 0 <= if_false <= 255
        if what in {0x15, 0x35}:
            assert place + 1 + max(if_true, if_false) < len(code)
    assert code[-1][0] == 0x06


def test_every_rule_is_of_a_call_that_exists() -> None:
    existing = set().union(*(numbers(machine) for machine in MACHINES))
    named = syscall_rules.ALLOWED | syscall_rules.ABSENT | set(syscall_rules.RULES)
    assert named - existing == set()
    assert not syscall_rules.ALLOWED & (syscall_rules.ABSENT | set(syscall_rules.RULES))


def test_the_numbers_are_the_kernels() -> None:
    some = {
        name: [numbers(machine).get(name) for machine in MACHINES]
        for name in ("read", "ptrace", "bpf", "mseal", "open")
    }
    assert some == {
        "read": [0, 63, 63],
        "ptrace": [101, 117, 117],
        "bpf": [321, 280, 280],
        "mseal": [462, 462, 462],
        "open": [2, None, None],
    }


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name",
    ["mount", "umount2", "pivot_root", "chroot", "setns", "open_tree", "move_mount", "fsopen", "mount_setattr", "bpf",
     "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key",
     "request_key", "kexec_load", "init_module", "finit_module", "delete_module", "open_by_handle_at", "fanotify_init",
     "reboot", "swapon", "acct", "syslog", "quotactl", "clock_settime", "settimeofday", "sethostname", "kcmp",
     "pidfd_getfd", "process_madvise", "migrate_pages", "move_pages", "vhangup", "lookup_dcookie"],
)  # fmt: skip
def test_what_only_the_host_does_is_refused(machine: str, name: str) -> None:
    assert of(name, machine=machine) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name",
    ["rseq", "membarrier", "memfd_create", "statx", "faccessat2", "close_range", "getrandom", "landlock_create_ruleset",
     "sched_setaffinity", "sched_getattr", "epoll_pwait2", "copy_file_range", "futex_waitv", "pidfd_open", "openat2",
     "prlimit64", "pkey_mprotect", "io_setup", "seccomp", "ptrace", "fchmodat2", "mseal", "cachestat"],
)  # fmt: skip
def test_what_libraries_and_runtimes_use_is_allowed(machine: str, name: str) -> None:
    assert of(name, machine=machine) == ALLOWED


@pytest.mark.parametrize(
    "flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000], ids=hex
)
def test_a_new_namespace_of_any_kind_is_refused(flag: int) -> None:
    thread = 0x3D0F00
    assert [of("clone", flag | 17), of("clone", flag | thread), of("unshare", flag)] == ["EPERM"] * 3


def test_threads_and_children_are_cloned_and_files_unshared() -> None:
    assert [of("clone", 0x3D0F00), of("clone", 17), of("unshare", 0x400), of("clone3")] == [*[ALLOWED] * 3, "ENOSYS"]
    assert of("unshare", 0x80) == "EPERM"


def test_the_upper_half_of_an_argument_does_not_get_past_a_test() -> None:
    high = 0xABCD << 32
    assert of("clone", high | 0x10000000) == "EPERM"
    assert of("ioctl", 0, high | 0x5412) == "EPERM"
    assert of("socket", high | 17) == "EPERM"


@given(st.integers(0, 100), st.integers(0, 30))
def test_sockets_are_unix_internet_and_the_route_table(family: int, protocol: int) -> None:
    allowed = family in {1, 2, 10} or (family == 16 and protocol == 0)
    assert of("socket", family, 3, protocol) == (ALLOWED if allowed else "EPERM")


@given(st.integers(0, 0xFFFFFFFF))
def test_a_terminal_cannot_be_typed_into_and_other_ioctls_are_the_drivers(request: int) -> None:
    assert of("ioctl", 0, request) == ("EPERM" if request in {0x5412, 0x541C} else ALLOWED)
    assert [of("ioctl", 0, 0x5412), of("ioctl", 0, 0x541C)] == ["EPERM"] * 2


def test_personality_is_asked_and_set_to_harmless_ones() -> None:
    allowed = [0, 8, 0x20000, 0x20008, 0xFFFFFFFF]
    assert [of("personality", value) for value in allowed] == [ALLOWED] * 5
    assert [of("personality", value) for value in (0x40000, 0x400000, 0x100000, 1)] == ["EPERM"] * 4


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from(sorted(MACHINES)))
def test_a_call_that_is_not_in_the_table_does_not_exist(number: int, machine: str) -> None:
    known = set(numbers(machine).values())
    if number not in known:
        assert verdict(machine, number) == "ENOSYS"


@given(st.integers(0, 500))
def test_calls_of_another_architecture_do_not_exist(number: int) -> None:
    i386, arm = 0x40000003, 0x40000028
    assert verdict("x86_64", number, architecture=i386) == "ENOSYS"
    assert verdict("aarch64", number, architecture=arm) == "ENOSYS"
    x32 = 0x40000000
    assert verdict("x86_64", number | x32) == "ENOSYS"


def test_a_machine_that_is_not_known_has_no_filter() -> None:
    assert seccomp.compiled("s390x") == []


def test_where_the_kernel_has_no_filters_it_is_said() -> None:
    if os.uname().machine not in MACHINES:
        pytest.skip("this machine has no table")
    assert [seccomp.why_not(lambda: True), seccomp.why_not(lambda: False)] == [
        "",
        "System calls are not filtered: this kernel has no seccomp filters.",
    ]
