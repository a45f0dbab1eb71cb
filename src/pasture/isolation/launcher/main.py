"""The launcher's loop: takes orders for boxes, clones them, reaps them; without a server it ends them and itself."""

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

from . import cgroups, disk, init, limits, links, namespaces, outbound, protocol, seccomp, signals
from .descriptors import close_all_but
from .failure import StepFailed, step
from .protocol import BoxRequest, Message
from .template import Template

# Long enough for whoever asked for a box to have the processor to himself first.
_IDLE_MILLISECONDS = 10


@dataclass(frozen=True)
class Running:
    """A box, or the blank one that waits for its order at the other end of `orders`."""

    pid: int
    pidfd: int
    group: cgroups.Group
    user: namespaces.User
    orders: socket.socket

    def close(self) -> None:
        os.close(self.pidfd)
        self.orders.close()


class Launcher:
    """Mutable state: one blank box in stock, the boxes that live, the groups that the server has not yet removed."""

    def __init__(
        self,
        channel: socket.socket,
        directory: str,
        owner: str,
        hierarchy: cgroups.Hierarchy,
        trial: str,
        network: "outbound.Outbound | None",
    ) -> None:
        self._channel = channel
        self._hierarchy = hierarchy
        self._network = network
        self._numbers = outbound.Numbers(network.count if network else 0)
        self._rootless = namespaces.separate()
        self._users = namespaces.Users(owner, rootless=self._rootless)
        self._template = Template(directory, network.resolvers if network else ())
        self._template.build()
        seccomp.prepare()
        self._number = 0
        self._tmp = (0, "")
        self._trial = disk.try_out(trial, self._template.box_root) if trial else ""
        self._blank: Running | None = None
        self._living: dict[int, tuple[namespaces.User, int]] = {}
        self._groups: dict[int, cgroups.Group] = {}
        self._ends = signals.ChildrenEnd()

    def serve(self) -> None:
        protocol.send(self._channel, {"op": "hello", "trial": self._trial})
        # What exists now is shared with every box; the collector would copy it by touching it.
        gc.collect()
        gc.freeze()
        gc.disable()
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._ends, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(_IDLE_MILLISECONDS if self._blank is None else None)}
            if not ready:
                self._stock()
            self._reap()
            if self._channel.fileno() in ready:
                received = protocol.receive(self._channel)
                if received is None:
                    return
                self._obey(*received)

    def close(self) -> None:
        """Kill every box and remove its group."""
        for pid in self._living:
            os.kill(pid, signal.SIGKILL)
        for group in self._groups.values():
            group.limit_cpus(None)
            group.thaw()
        for pid in self._living:
            os.waitpid(pid, 0)
        for group in self._groups.values():
            group.remove()

    def _obey(self, message: Message, descriptors: "list[int]") -> None:
        try:
            if message["op"] == "forget":
                self._groups.pop(message["pid"], None)
            else:
                self._create(message["serial"], BoxRequest(**message["box"]), descriptors[0])
        finally:
            protocol.close_all(descriptors)

    def _create(self, serial: int, request: BoxRequest, control: int) -> None:
        try:
            self._tmp = (request.tmp_bytes, request.tmp_image)
            box, self._blank = self._blank or self._clone(), None
            # One more than programs may be: the box's init is in the group as well.
            box.group.limit(cgroups.Limits(request.memory_bytes, request.cpus, request.processes + 1))
        except StepFailed as error:
            protocol.send(self._channel, {"op": "failed", "serial": serial, "reason": str(error)})
            return
        with suppress(BrokenPipeError):  # it has died: the server sees it at the control socket
            protocol.send(box.orders, asdict(request), (control,))
        reply = {"op": "created", "serial": serial, "pid": box.pid, "cgroup": box.group.to_message()}
        protocol.send(self._channel, reply, (box.pidfd,))
        box.close()

    def _stock(self) -> None:
        with suppress(StepFailed):  # it is tried again, and reported, when a box is asked for
            self._blank = self._clone()

    def _clone(self) -> Running:
        self._number += 1
        group = self._hierarchy.group(f"{os.getpid()}-{self._number}")
        group.make()
        user = self._users.take()
        self._template.identity(user.uid, user.gid)
        orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        directory = group.descriptor()
        way = None
        try:
            way = self._way(self._network) if self._network else None
            pid, pidfd = namespaces.clone_box(rootless=self._rootless, cgroup=directory)
            if pid == 0:
                init.run(init.Blank(self._template, group, user, self._rootless, self._tmp, way), theirs)
        except StepFailed:
            orders.close()
            self._users.give_back(user)
            self._numbers.give_back(way.number if way else 0)
            group.remove()
            raise
        finally:
            theirs.close()
            if way is not None:
                way.outside.close()
            if directory is not None:
                os.close(directory)
        self._living[pid] = user, way.number if way else 0
        self._groups[pid] = group
        return Running(pid, pidfd, group, user, orders)

    def _way(self, network: outbound.Outbound) -> init.Way:
        number = self._numbers.take()
        try:
            with step("open a netlink socket"):
                # Made here it is a socket of the server's network for good, in the box's init too.
                return init.Way(network, number, links.open_here())
        except StepFailed:
            self._numbers.give_back(number)
            raise

    def _reap(self) -> None:
        self._ends.clear()
        while self._living:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            user, number = self._living.pop(pid)
            self._users.give_back(user)
            self._numbers.give_back(number)
            if self._blank is not None and self._blank.pid == pid:
                self._blank.close()
                self._groups.pop(pid).remove()
                self._blank = None


def main(descriptor: int, directory: str, owner: str, groups: str, trial: str, network: str) -> None:
    """`descriptor`: the channel to the server; `directory`: one to mount on; `groups`: a hierarchy's message.

    `trial`: an image to find out with whether a /tmp can be on disk here; none, when nobody wants to know.
    `network`: the members of an `Outbound`, or null.
    """
    close_all_but({0, 1, 2, descriptor})
    channel = socket.socket(fileno=descriptor)
    channel.set_inheritable(False)
    os.umask(0o022)
    signals.reset()
    # Everything is imported. From here on nothing is: in a box these paths would be what the box shows there.
    sys.path.clear()
    try:
        way = outbound.Outbound(**members) if (members := json.loads(network)) else None
        launcher = Launcher(channel, directory, owner, limits.hierarchy(json.loads(groups)), trial, way)
    except StepFailed as error:
        protocol.send(channel, {"op": "failed", "reason": str(error)})
        return
    try:
        launcher.serve()
    finally:
        launcher.close()
