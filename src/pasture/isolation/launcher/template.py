"""What all boxes share of their root: the host's /usr without what was installed by hand, a made-up /etc, five devices.

Built once by the launcher, on a tmpfs in its own mount namespace, where boxes copy it
from. The host never sees these mounts, and they end with the last process that does.
"""

# Paths are strings here, as the kernel takes them: in a box's making, pathlib would cost more than the calls.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH114, PTH115, PTH118, PTH211

import os
import shutil
from pathlib import Path

from . import syscalls
from .failure import step

DEVICES = ("null", "zero", "full", "random", "urandom")
_STREAMS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_LOCKED = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID
_NO_DEVICES = _LOCKED | syscalls.MOUNT_ATTR_NODEV

_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Installed by hand on this host, not part of it: a function sees such things only as a mount of its own.
_MASKED = ("usr/local", "usr/src", "usr/lib/python3/dist-packages")
_ETC_COPIED = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl/openssl.cnf", "mime.types", "protocols", "services")
_ETC_BOUND = ("ssl/certs", "pki/tls", "pki/ca-trust", "ca-certificates", "alternatives")
_ETC = {
    "hosts": "127.0.0.1 localhost\n169.254.100.1 sandbox.localdomain sandbox\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "hostname": "localhost\n",
    "passwd": "",
    "group": "",
}


class Template:
    """`system`: what a box's root has at its top of `directory`; `links`: the symbolic links there.

    `host`: where the host's root is, for a zygote that has another.
    """

    def __init__(self, directory: str, resolvers: "tuple[str, ...]" = (), host: str = "") -> None:
        self.directory = directory
        self.host = host
        self._resolvers = resolvers
        self.box_root = os.path.join(directory, "box")
        self.empty = os.path.join(directory, "empty")
        self.system = ["etc", "dev"]
        self.links: dict[str, str] = {}

    def build(self) -> None:
        """In a mount namespace of one's own. What the host mounts and unmounts later is followed; nothing goes back."""
        with step("separate the launcher's mounts from the host's"):
            syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
        with step(f"mount a tmpfs at {self.directory}"):
            syscalls.mount(
                "pasture", self.directory, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=64m"
            )
        for name in ("box", "empty", "identities"):
            os.mkdir(os.path.join(self.directory, name))
        self._system()
        self._etc()
        self._dev()

    def identity(self, uid: int, gid: int) -> "tuple[str, str]":
        """Files for /etc/passwd and /etc/group that give the user of a box the name it has on AWS."""
        base = os.path.join(self.directory, "identities", str(uid))
        passwd, group = base + ".passwd", base + ".group"
        if not os.path.exists(group):
            Path(passwd).write_text(
                "root:x:0:0:root:/root:/sbin/nologin\n"
                f"sbx_user1051:x:{uid}:{gid}::/home/sbx_user1051:/sbin/nologin\n"
                "nobody:x:65534:65534:nobody:/:/sbin/nologin\n"
            )
            Path(group).write_text(f"root:x:0:\nsbx_user1051:x:{gid}:\nnobody:x:65534:\n")
        return passwd, group

    def _system(self) -> None:
        for name in _SYSTEM:
            host = "/" + name
            if os.path.islink(host):
                self.links[name] = os.readlink(host)
            elif os.path.isdir(host):
                self._bind(host, name, _NO_DEVICES)
                self.system.append(name)
        for name in _MASKED:
            if os.path.isdir(os.path.join(self.directory, name)):
                self._bind(self.empty, name, _NO_DEVICES)

    def _etc(self) -> None:
        etc = os.path.join(self.directory, "etc")
        os.makedirs(os.path.join(etc, "ssl"))
        for name, text in _ETC.items():
            Path(etc, name).write_text(text)
        Path(etc, "resolv.conf").write_text("".join(f"nameserver {address}\n" for address in self._resolvers))
        for name in _ETC_COPIED:
            _copy(os.path.join("/etc", name), os.path.join(etc, name))
        os.symlink("/usr/share/zoneinfo/UTC", os.path.join(etc, "localtime"))
        for name in _ETC_BOUND:
            if os.path.isdir(os.path.join("/etc", name)):
                os.makedirs(os.path.join(etc, name))
                self._bind(os.path.join("/etc", name), os.path.join("etc", name), _NO_DEVICES)
        self._close("etc", _NO_DEVICES)

    def _dev(self) -> None:
        dev = os.path.join(self.directory, "dev")
        os.mkdir(dev)
        for name, link in _STREAMS.items():
            os.symlink("/proc/self/fd" + link, os.path.join(dev, name))
        for name in DEVICES:
            Path(dev, name).touch()
            self._bind(f"/dev/{name}", f"dev/{name}", _LOCKED | syscalls.MOUNT_ATTR_NOEXEC)
        self._close("dev", _LOCKED | syscalls.MOUNT_ATTR_NOEXEC)

    def _bind(self, source: str, name: str, attributes: int) -> None:
        target = os.path.join(self.directory, name)
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        with step(f"mount {source} at /{name} of the boxes' root"):
            syscalls.mount(source, target, flags=syscalls.MS_BIND | syscalls.MS_REC)
            syscalls.mount_attributes(target, attributes, recursive=True)

    def _close(self, name: str, attributes: int) -> None:
        target = os.path.join(self.directory, name)
        with step(f"make /{name} of the boxes' root read-only"):
            syscalls.mount(target, target, flags=syscalls.MS_BIND | syscalls.MS_REC)
            syscalls.mount_attributes(target, attributes, recursive=True)


def _copy(source: str, target: str) -> None:
    if os.path.isdir(source):
        shutil.copytree(source, target, ignore_dangling_symlinks=True)
    elif os.path.exists(source):
        shutil.copyfile(source, target)
