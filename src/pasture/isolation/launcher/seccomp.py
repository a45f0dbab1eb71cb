"""The filter of system calls that every program of a box is under: compiled from the rules, then given to the kernel.

The kernel runs it for each call (seccomp(2)); what it always allows costs nothing from Linux 5.11 on.
"""

import errno
import functools
import platform
import struct
from collections.abc import Callable

from . import syscalls
from .failure import step
from .syscall_numbers import numbers
from .syscall_rules import Rule, Test, rule

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand

# linux/audit.h: what a call says it was made for. 32-bit calls of the same machine say something else.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}
# linux/filter.h
_LOAD = 0x20
_AND = 0x54
_JUMP = 0x05
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_NOT_LESS = 0x35
_RETURN = 0x06
_FARTHEST = 255
# linux/seccomp.h
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
# Offsets in seccomp_data. The machines here are little-endian: an argument's low half comes first.
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16


def compiled(machine: str) -> "list[Instruction]":
    """The filter for a machine; empty for one that is not known."""
    known = numbers(machine)
    if not known:
        return []
    # What another architecture, or a newer kernel, has is not there: libraries fall back.
    absent = _verdict(errno.ENOSYS)
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        absent,
        (_LOAD, 0, 0, _NUMBER),
        *_search(_ranges({number: rule(name) for name, number in known.items()})),
    ]


def _ranges(rules: "dict[int, Rule]") -> "list[tuple[int, Rule]]":
    """From each number on, this rule, up to the next. What has no rule, in between and above, is absent."""
    absent = Rule((), or_else=errno.ENOSYS)
    ranges: list[tuple[int, Rule]] = []
    for number in range(max(rules) + 2):
        wanted = rules.get(number, absent)
        if not ranges or ranges[-1][1] != wanted:
            ranges.append((number, wanted))
    return ranges


def _search(ranges: "list[tuple[int, Rule]]") -> "list[Instruction]":
    """A binary search, so that no call waits for hundreds of comparisons."""
    if len(ranges) == 1:
        return _decide(ranges[0][1])
    middle = len(ranges) // 2
    lower, upper = _search(ranges[:middle]), _search(ranges[middle:])
    if len(lower) <= _FARTHEST:
        return [(_JUMP_IF_NOT_LESS, len(lower), 0, ranges[middle][0]), *lower, *upper]
    return [(_JUMP_IF_NOT_LESS, 0, 1, ranges[middle][0]), (_JUMP, 0, 0, len(lower)), *lower, *upper]


def _decide(rule: Rule) -> "list[Instruction]":
    alternatives = [instruction for tests in rule.alternatives for instruction in _alternative(tests, rule.then)]
    return [*alternatives, _verdict(rule.or_else)]


def _alternative(tests: "tuple[Test, ...]", then: int) -> "list[Instruction]":
    """Falls through to what comes next when one test fails."""
    made = [_verdict(then)]
    for test in reversed(tests):
        made[:0] = [
            (_LOAD, 0, 0, _ARGUMENTS + 8 * test.argument),
            (_AND, 0, 0, test.mask),
            (_JUMP_IF_EQUAL, 0, len(made), test.value),
        ]
    return made


def _verdict(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number if number else _ALLOW)


@functools.cache
def _code() -> bytes:
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in compiled(platform.machine()))


def prepare() -> None:
    """Compile it, so that it is there in every process that is cloned from this one."""
    _code()


def why_not(probe: "Callable[[], bool]" = syscalls.has_seccomp) -> str:
    """Why system calls are not filtered here, for people; empty where they are."""
    if not numbers(platform.machine()):
        return f"System calls are not filtered: their numbers on {platform.machine()} are not known."
    return "" if probe() else "System calls are not filtered: this kernel has no seccomp filters."


def install() -> None:
    """For this process and all that come from it, for good. It takes no_new_privs."""
    code = _code()
    if code and syscalls.has_seccomp():
        with step("filter the system calls"):
            syscalls.set_seccomp_filter(code)
