"""What the kernel alone needs for a sandbox: fork, five namespaces, the same mounts, pivot_root, a second fork, setuid.

Run as root or in a user namespace; prints the milliseconds of each round. Everything is done by one small process that
has loaded nothing else, as the launcher has.
"""

import os
import sys
import time
from pathlib import Path

from pasture.isolation.launcher import syscalls

FLAGS = (
    syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWNET
)


def one(root: str, binds: list[tuple[str, str]]) -> None:
    child = os.fork()
    if child == 0:
        syscalls.unshare(FLAGS)
        init = os.fork()
        if init == 0:
            for source, target in binds:
                syscalls.mount(source, root + target, flags=syscalls.MS_BIND)
                syscalls.mount_attributes(root + target, syscalls.MOUNT_ATTR_RDONLY)
            syscalls.mount("tmpfs", f"{root}/tmp", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=512m")
            syscalls.mount("proc", f"{root}/proc", "proc")
            os.chdir(root)
            syscalls.pivot_root(".", ".")
            syscalls.unmount(".", syscalls.MNT_DETACH)
            program = os.fork()
            if program == 0:
                os.setgid(1_000_000)
                os.setuid(1_000_000)
                os._exit(0)
            os.waitpid(program, 0)
            os._exit(0)
        os.waitpid(init, 0)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit("the floor could not be measured")


def main(rounds: int, root: str, *sources: str) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", root, "tmpfs", options="size=1m")
    targets = ["/var/task", "/var/lang", "/var/runtime", "/usr"][: len(sources)]
    for directory in [*targets, "/tmp", "/proc"]:
        Path(root + directory).mkdir(parents=True)
    for _ in range(rounds):
        began = time.perf_counter()
        one(root, list(zip(sources, targets, strict=True)))
        print((time.perf_counter() - began) * 1000)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
