"""The launcher's loop: takes requests for boxes, clones them, reaps them; when the server is gone it ends them all and itself."""

import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass

from . import cgroups, init, limits, namespaces, protocol
from .failure import StepFailed
from .protocol import BoxRequest, Message
from .template import Template


@dataclass(frozen=True)
class Running:
    pid: int
    group: cgroups.Group
    user: namespaces.User


class Launcher:
    """Mutable state: the boxes whose groups the server has not yet taken back, by their names."""

    def __init__(self, channel: socket.socket, directory: str, owner: str) -> None:
        self._channel = channel
        self._hierarchy = limits.find(owner)
        self._rootless = namespaces.separate()
        self._users = namespaces.Users(owner, rootless=self._rootless)
        self._template = Template(directory)
        self._template.build()
        self._boxes: dict[str, Running] = {}
        self._living: dict[int, Running] = {}
        self._wake, self._woken = socket.socketpair()

    def serve(self) -> None:
        self._listen_for_ends()
        warnings = self._hierarchy.warnings
        protocol.send(self._channel, {"op": "hello", "warnings": warnings, "roots": self._hierarchy.roots})
        # What exists now is shared with every box; the collector would copy it by touching it.
        gc.collect()
        gc.freeze()
        gc.disable()
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            self._reap()
            if self._channel.fileno() in ready:
                received = protocol.receive(self._channel)
                if received is None:
                    return
                self._obey(*received)

    def close(self) -> None:
        """Kill every box and remove its group."""
        for box in self._living.values():
            os.kill(box.pid, signal.SIGKILL)
        for running in self._boxes.values():
            running.group.thaw()
        for box in self._living.values():
            os.waitpid(box.pid, 0)
        for running in self._boxes.values():
            running.group.remove()
        self._hierarchy.remove()

    def _listen_for_ends(self) -> None:
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _obey(self, message: Message, descriptors: "list[int]") -> None:
        if message["op"] == "forget":
            self._boxes.pop(message["id"], None)
            return
        serial = message["serial"]
        try:
            pid, pidfd, group = self._create(BoxRequest(**message["box"]), descriptors[0])
        except StepFailed as error:
            protocol.send(self._channel, {"op": "failed", "serial": serial, "reason": str(error)})
            return
        finally:
            protocol.close_all(descriptors)
        reply = {"op": "created", "serial": serial, "pid": pid, "cgroup": group.to_message()}
        protocol.send(self._channel, reply, (pidfd,))
        os.close(pidfd)

    def _create(self, request: BoxRequest, control: int) -> "tuple[int, int, cgroups.Group]":
        group = self._hierarchy.group(request.id)
        # One more than programs may be: the box's init is in the group as well.
        group.make(cgroups.Limits(request.memory_bytes, request.cpus, request.processes + 1))
        user = self._users.take()
        try:
            pid, pidfd = self._clone(request, control, group, user)
        except StepFailed:
            self._users.give_back(user)
            group.remove()
            raise
        running = Running(pid, group, user)
        self._boxes[request.id] = self._living[pid] = running
        return pid, pidfd, group

    def _clone(
        self, request: BoxRequest, control: int, group: cgroups.Group, user: namespaces.User
    ) -> "tuple[int, int]":
        self._template.identity(user.uid, user.gid)
        directory = group.descriptor()
        try:
            pid, pidfd = namespaces.clone_box(rootless=self._rootless, cgroup=directory)
            if pid == 0:
                box = init.Box(request, self._template, group, user, self._rootless)
                init.run(box, socket.socket(fileno=control))
            return pid, pidfd
        finally:
            if directory is not None:
                os.close(directory)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            while self._wake.recv(4096):
                pass
        while self._living:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._users.give_back(self._living.pop(pid).user)


def main(descriptor: int, directory: str, owner: str) -> None:
    channel = socket.socket(fileno=descriptor)
    channel.set_inheritable(False)
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Everything is imported. From here on nothing is: in a box these paths would be what the box shows there.
    sys.path.clear()
    try:
        launcher = Launcher(channel, directory, owner)
    except StepFailed as error:
        protocol.send(channel, {"op": "failed", "reason": str(error)})
        return
    try:
        launcher.serve()
    finally:
        launcher.close()
