"""The file system of one box: a small tmpfs with the shared parts, the box's own mounts, /tmp and /proc."""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH120, PTH211

import os
from pathlib import Path

from . import disk, syscalls
from .failure import StepFailed, step
from .plan import BadMount, Bind, plan
from .template import Template

_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
_TMP = "/tmp"  # noqa: S108  the box's own
# As ext4 has it where files are small: a full /tmp costs the kernel no more than its pages again.
_BYTES_PER_INODE = 4096
_DIRECTORIES = ("proc", "tmp", "var", "var/task", "var/runtime", "var/lang", "opt", "mnt", "run", "home", "root")
# As runc masks them. What only root may open needs no mask: no program is root.
_PROC_FILES = (
    "interrupts", "kcore", "keys", "kallsyms", "kmsg", "latency_stats", "sched_debug", "timer_list", "timer_stats",
)  # fmt: skip
_PROC_DIRECTORIES = ("acpi", "asound", "scsi")
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")


def lay(template: Template, identity: "tuple[str, str]") -> None:
    """What every box has, whatever it is for: the shared parts, the names of its user, /proc."""
    root = template.box_root
    with step("mount the root of the box"):
        syscalls.mount("root", root, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=1m")
    _shared(template, root)
    complete(template, identity)


def complete(template: Template, identity: "tuple[str, str]") -> None:
    """The names of its user, and /proc."""
    for source, name in zip(identity, ("passwd", "group"), strict=True):
        with step(f"mount /etc/{name} of the box"):
            bind(source, f"{template.box_root}/etc/{name}")
    _proc(template, template.box_root)


def furnish(template: Template, mounts: "list[tuple[str, str]]") -> None:
    """What this box has: its mounts."""
    _own([(template.host + source, target) for source, target in mounts], template, template.box_root)


def show(template: Template, mounts: "list[tuple[str, str]]", place: str) -> None:
    """What a box with these mounts would show, at another place; without /proc and /tmp."""
    _shared(template, place)
    _own(mounts, template, place)


def mount_tmp(template: Template, size: int, image: str) -> None:
    """On disk when there is an image, which has that size; else memory."""
    target = template.box_root + _TMP
    with step(f"mount /tmp of the box with {size} bytes"):
        if image:
            disk.mount(template.host + image, target, template.host)
        else:
            _mount_memory(target, size)


def unmount_tmp(template: Template) -> None:
    """One that was mounted in the hope of another order."""
    with step("unmount /tmp of the box"):
        syscalls.unmount(template.box_root + _TMP, syscalls.MNT_DETACH)


def enter(template: Template) -> None:
    """Make it the root, for good."""
    root = template.box_root
    with step("make the root of the box read-only"):
        syscalls.mount_attributes(root, _READ_ONLY)
    _pivot(root)
    with step("separate the box's mounts from the host's"):
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)


def _shared(template: Template, root: str) -> None:
    for name in _DIRECTORIES:
        os.mkdir(f"{root}/{name}")
    for name, target in template.links.items():
        os.symlink(target, f"{root}/{name}")
    for name in template.system:
        target = f"{root}/{name}"
        os.mkdir(target)
        with step(f"mount /{name} of the box"):
            syscalls.mount(f"{template.directory}/{name}", target, flags=syscalls.MS_BIND | syscalls.MS_REC)


def _own(mounts: "list[tuple[str, str]]", template: Template, root: str) -> None:
    try:
        binds = plan(mounts, tuple("/" + name for name in (*template.system, *template.links)))
    except BadMount as error:
        raise StepFailed("mount what the box is to show", str(error)) from error
    for each in binds:
        with step(f"mount {each.source} at {each.target} of the box"):
            _point(each, root + each.target)
            bind(each.source, root + each.target)


def _point(bind: Bind, target: str) -> None:
    directory = os.path.isdir(bind.source)
    if not bind.make:
        if not os.path.exists(target) and os.path.exists(bind.source):
            what = f"mount {bind.source} at {bind.target} of the box"
            raise StepFailed(what, f"{bind.target} lies in another mount, and is not there")
    elif directory:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(target).touch()


def bind(source: str, target: str) -> None:
    """Read-only."""
    # Recursive, because a user namespace may not show a part of the host without what is mounted on it.
    syscalls.mount(source, target, flags=syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.mount_attributes(target, _READ_ONLY, recursive=True)


def _mount_memory(target: str, size: int) -> None:
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    options = f"mode=1777,size={size},nr_inodes={size // _BYTES_PER_INODE + 1024}"
    syscalls.mount("tmp", target, "tmpfs", flags, options)


def _proc(template: Template, root: str) -> None:
    proc = f"{root}/proc"
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    with step("mount /proc of the box", {1: "A container that hides parts of /proc forbids this to user namespaces."}):
        syscalls.mount("proc", proc, "proc", flags, "hidepid=2")
    masks = [(name, f"{root}/dev/null") for name in _PROC_FILES]
    masks += [(name, template.empty) for name in _PROC_DIRECTORIES]
    masks += [(name, f"{proc}/{name}") for name in _PROC_READ_ONLY]
    for name, source in masks:
        target = f"{proc}/{name}"
        if os.path.exists(target):
            with step(f"close /proc/{name} of the box"):
                syscalls.mount(source, target, flags=syscalls.MS_BIND)
                syscalls.mount_attributes(target, syscalls.MOUNT_ATTR_RDONLY | flags)


def _pivot(root: str) -> None:
    with step("make the box's root the root"):
        os.chdir(root)
        # Both names are the same directory: the old root comes to lie on top of the new one, and is taken off.
        syscalls.pivot_root(".", ".")
        syscalls.unmount(".", syscalls.MNT_DETACH)
        os.chdir("/")
