"""The boxes of one launcher: those in stock, which do not know yet what they are for, and those that live."""

import os
import select
import signal
import socket
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass

from . import cgroups, disk, init, limits, links, namespaces, outbound, protocol, seccomp, signals
from .failure import StepFailed, step
from .protocol import BoxRequest, Message
from .setup import Setup
from .template import Template

# Milliseconds: long enough for whoever asked for a box to have the processor to himself first.
_PAUSE = 10
_LONGEST_PAUSE = 1_000


@dataclass(frozen=True)
class Running:
    """A box in stock: it waits for its order at the other end of `orders`."""

    pid: int
    pidfd: int
    number: int
    group: cgroups.Group
    orders: socket.socket

    def close(self) -> None:
        os.close(self.pidfd)
        self.orders.close()


@dataclass(frozen=True)
class Order:
    serial: int
    request: BoxRequest
    control: int


@dataclass(frozen=True)
class Clone:
    """In the cloned process: what it is to be, and where it hears the rest."""

    blank: init.Blank
    orders: socket.socket


class Boxes:
    """Mutable state: numbers that no box has yet, boxes in stock, orders without a box, boxes that live, and the groups
    that the server has not yet removed.

    The server gives the numbers, one a box: no two boxes of a server have the same, whichever launcher makes them.
    """

    def __init__(self, channel: socket.socket, template: Template, told: Setup, *, rootless: bool) -> None:
        self._channel = channel
        self._template = template
        self._owner = told.owner
        self._rootless = rootless
        self._hierarchy = limits.hierarchy(told.groups, template.host)
        self._network = outbound.Outbound(**told.network) if told.network else None
        seccomp.prepare()
        self._numbers: deque[int] = deque()
        self._stock: deque[Running] = deque()
        self._withdrawn: set[int] = set()
        self._pause = _PAUSE
        self._orders: deque[Order] = deque()
        self._living: dict[int, int] = {}
        self._groups: dict[int, cgroups.Group] = {}
        self._tmp = (0, "")
        self._trial = disk.try_out(told.trial, template.box_root, template.host) if told.trial else ""
        self._ends = signals.ChildrenEnd()
        self.are_here = True
        """False in a clone, which is to leave alone what belongs to the launcher."""

    def serve(self) -> "Clone | None":
        """Until the server is gone: None. In every cloned process: what that is to be."""
        protocol.send(self._channel, {"op": "hello", "trial": self._trial})
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._ends, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._pause if self._numbers else None)}
            self._reap()
            if self._channel.fileno() in ready:
                received = protocol.receive(self._channel)
                if received is None:
                    return None
                self._hear(*received)
            while self._orders:
                if self._stock:
                    self._hand_over(self._stock.popleft(), self._orders.popleft())
                elif clone := self._clone():
                    return clone
            # For the stock, boxes are made when nobody waits.
            if not ready and self._numbers and (clone := self._clone()):
                return clone

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

    def let_go(self) -> None:
        """In a clone: the descriptors' numbers are closed there, and may come to mean something else."""
        self.are_here = False
        self._channel.detach()
        self._ends.detach()
        for box in self._stock:
            box.orders.detach()

    # What the server says...

    def _hear(self, message: Message, descriptors: "list[int]") -> None:
        if message["op"] == "create":
            self._orders.append(Order(message["serial"], BoxRequest(**message["box"]), descriptors[0]))
            return
        protocol.close_all(descriptors)
        if message["op"] == "stock":
            self._numbers.extend(message["numbers"])
        elif message["op"] == "withdraw":
            self._withdraw(message["count"])
        else:
            self._groups.pop(message["pid"], None)

    def _withdraw(self, count: int) -> None:
        """Numbers come back as soon as nothing has them: at once, or when the box in stock has ended."""
        free = [self._numbers.pop() for _ in range(min(count, len(self._numbers)))]
        ending = min(count - len(free), len(self._stock))
        for _ in range(ending):
            box = self._stock.pop()
            self._withdrawn.add(box.pid)
            box.close()  # without orders to wait for, it ends
        self._returned(free, short=count - len(free) - ending)

    def _returned(self, numbers: "list[int]", short: int = 0) -> None:
        """`short`: what was to be withdrawn, and has been asked for meanwhile."""
        protocol.send(self._channel, {"op": "returned", "numbers": numbers, "short": short})

    def _hand_over(self, box: Running, order: Order) -> None:
        request = order.request
        try:
            # One more than programs may be: the box's init is in the group as well.
            box.group.limit(cgroups.Limits(request.memory_bytes, request.cpus, request.processes + 1))
            self._tmp = (request.tmp_bytes, request.tmp_image)
            with suppress(BrokenPipeError):  # it has died: the server sees it at the control socket
                protocol.send(box.orders, asdict(request), (order.control,))
            made = {"pid": box.pid, "number": box.number, "group": box.group.name}
            protocol.send(self._channel, {"op": "created", "serial": order.serial, **made}, (box.pidfd,))
        except StepFailed as error:
            self._refuse(order, str(error))
        finally:
            box.close()
            os.close(order.control)

    def _refuse(self, order: Order, reason: str) -> None:
        protocol.send(self._channel, {"op": "failed", "serial": order.serial, "reason": reason})

    # Making and ending...

    def _clone(self) -> "Clone | None":
        """One more in stock, and None; in its process, what it is to be. When it fails, the first order hears why."""
        try:
            clone = self._try_to_clone()
        except StepFailed as error:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            if self._orders:
                order = self._orders.popleft()
                os.close(order.control)
                self._refuse(order, str(error))
            return None
        self._pause = _PAUSE
        return clone

    def _try_to_clone(self) -> "Clone | None":
        if not self._numbers:
            raise StepFailed("make a box", "the server has given no number for it")
        number = self._numbers[0]
        group = self._hierarchy.group(f"{os.getpid()}-{number}")
        group.make()
        user = namespaces.user(self._owner, number, rootless=self._rootless)
        self._template.identity(user.uid, user.gid)
        orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        directory = group.descriptor()
        way = None
        try:
            way = self._way(number)
            pid, pidfd = namespaces.clone_box(rootless=self._rootless, cgroup=directory)
        except StepFailed:
            orders.close()
            theirs.close()
            group.remove()
            raise
        finally:
            if directory is not None:
                os.close(directory)
        if pid == 0:
            self.let_go()
            orders.detach()
            return Clone(init.Blank(self._template, group, user, self._rootless, self._tmp, way), theirs)
        theirs.close()
        if way is not None:
            way.outside.close()
        self._numbers.popleft()
        self._living[pid] = number
        self._groups[pid] = group
        self._stock.append(Running(pid, pidfd, number, group, orders))
        return None

    def _way(self, number: int) -> "init.Way | None":
        if self._network is None:
            return None
        with step("open a netlink socket"):
            # Made here it is a socket of the server's network for good, in the box's init too.
            return init.Way(self._network, number, links.open_here())

    def _reap(self) -> None:
        self._ends.clear()
        while self._living:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._ended(pid, self._living.pop(pid))

    def _ended(self, pid: int, number: int) -> None:
        """One that was handed over is the server's affair, and so is its number."""
        for box in self._stock:
            if box.pid == pid:
                self._stock.remove(box)
                box.close()
                self._groups.pop(pid).remove()
                self._numbers.append(number)
                return
        if pid in self._withdrawn:
            self._withdrawn.discard(pid)
            self._groups.pop(pid).remove()
            self._returned([number])
