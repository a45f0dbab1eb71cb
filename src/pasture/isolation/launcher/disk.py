"""A /tmp on disk: a file system in a file without a name, so that it vanishes with the last process that sees it.

The file is a sparse copy of an image that the server has made, attached to a loop device which detaches itself.
Nothing has to be cleared up, whatever is killed: not the file, not the device, not the mount.
"""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH120

import errno
import fcntl
import os
import struct

from . import syscalls
from .failure import StepFailed, step

# linux/loop.h
_LOOP_CONTROL = "/dev/loop-control"
_CTL_GET_FREE = 0x4C82
_CONFIGURE = 0x4C0A
_AUTOCLEAR = 4
_CONFIG_BYTES = 304
_FLAGS_AT = 8 + 5 * 8 + 3 * 4
_SECTOR = 4096
_TRIES = 20

# What is in there outlives no crash: nothing waits for the disk, and what is deleted is given back to it.
_OPTIONS = "nobarrier,noinit_itable,discard"
# Left to the host, whatever functions are promised.
_RESERVE = 256 << 20


def mount(image: str, target: str, host: str = "") -> None:
    """A new file system like the image's at `target`. `host`: where the host's root is."""
    with step(f"copy {image}"):
        file = _copied(image)
    try:
        device = _attached(file, image, host)
    finally:
        os.close(file)
    try:
        with step(f"mount a copy of {image}"):
            flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
            syscalls.mount(f"/proc/self/fd/{device}", target, "ext4", flags, _OPTIONS)
    finally:
        os.close(device)


def try_out(image: str, target: str, host: str) -> str:
    """Why it does not work here, for people; empty when it does."""
    try:
        mount(image, target, host)
        syscalls.unmount(target, syscalls.MNT_DETACH)
    except (StepFailed, OSError) as error:
        return str(error)
    return ""


def _copied(image: str) -> int:
    """Of a sparse file, what is not sparse."""
    source = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(source).st_size
        there = os.fstatvfs(source)
        if there.f_bavail * there.f_frsize < size + _RESERVE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copy = os.open(os.path.dirname(image), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.ftruncate(copy, size)
        for start, end in _pieces(source):
            os.pwrite(copy, os.pread(source, end - start, start), start)
        return copy
    finally:
        os.close(source)


def _pieces(file: int) -> "list[tuple[int, int]]":
    pieces: list[tuple[int, int]] = []
    end = 0
    while True:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no more
                return pieces
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        pieces.append((start, end))


def _attached(file: int, image: str, host: str) -> int:
    with step(f"open {_LOOP_CONTROL}"):
        control = os.open(host + _LOOP_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    # struct loop_config: the file, the size of a sector, and of struct loop_info64 the flags alone.
    config = bytearray(_CONFIG_BYTES)
    struct.pack_into("=II", config, 0, file, _SECTOR)
    struct.pack_into("=I", config, _FLAGS_AT, _AUTOCLEAR)
    # In turns with other boxes of this server: the kernel names the same free device to all who ask at once.
    turn = os.open(os.path.dirname(image), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for _ in range(_TRIES):
            with step(f"attach a copy of {image} to a loop device"):
                if (device := _try_to_attach(control, config, host)) is not None:
                    return device
        raise StepFailed(f"attach a copy of {image} to a loop device", os.strerror(errno.EBUSY), errno.EBUSY)
    finally:
        os.close(turn)
        os.close(control)


def _try_to_attach(control: int, config: bytearray, host: str) -> "int | None":
    """None when somebody else was quicker."""
    number = fcntl.ioctl(control, _CTL_GET_FREE)
    device = os.open(f"{host}/dev/loop{number}", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, _CONFIGURE, bytes(config))
    except OSError as error:
        os.close(device)
        if error.errno == errno.EBUSY:
            return None
        raise
    return device
