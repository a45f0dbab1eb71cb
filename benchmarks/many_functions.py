"""What a full store costs: the same calls on a server with a hundred functions and on one with ten thousand."""

import random
from functools import partial

from client import Connection, drive
from harness import Goal, Row, Run, Samples, alone, at_most, beside, in_turns
from packages import ECHO, zipped
from server import Server

FEW = 100
# The rest is the spread of two medians of calls that wait for a disk.
_DOES_NOT_GROW = Goal("does not grow (≤ 1.25)", at_most=1.25)
_CREATORS = 4


def ready(run: Run) -> list[Row]:
    """From the start of the process to the line that says it is ready; the floor is a store without functions."""
    many = _count(run)
    full, empty = _filled(run, "many", many), run.server("empty")
    times, least = Samples(), Samples()

    def again(server: Server, samples: Samples) -> None:
        server.stop()
        server.start()
        samples.values.append(server.ready_seconds * 1000)

    in_turns(run.times(7, 2), lambda: again(full, times), lambda: again(empty, least))
    run.stop("empty")
    note = f"{least.median:.0f} ms without any"
    return [alone(f"`pasture serve` to ready, {many:,} functions", at_most(1000, "ms"), times, note=note)]


def operations(run: Run) -> list[Row]:
    many = _count(run)
    big, small = _Side(_filled(run, "many", many), many), _Side(_filled(run, "few", FEW), FEW)
    rounds = run.times(40, 5)
    rows = []
    for what in ("CreateFunction", "GetFunction", "ListFunctions", "Invoke a random one, cold"):
        in_turns(rounds, partial(big.take, what), partial(small.take, what))
        title = f"{what}, {many:,} functions beside {FEW}"
        rows.append(beside(title, _DOES_NOT_GROW, big.of(what), small.of(what), paired=True))
    run.stop("many")
    run.stop("few")
    return rows


class _Side:
    """One of the two servers, and the times of its calls."""

    def __init__(self, server: Server, count: int) -> None:
        self._server = server
        self._connection: Connection = server.connect()
        self._names = [_name(number) for number in range(count)]
        random.shuffle(self._names)
        self._samples: dict[str, Samples] = {}
        self._created = 0

    def of(self, what: str) -> Samples:
        return self._samples.setdefault(what, Samples())

    def take(self, what: str) -> None:
        request = self._request(what)
        self.of(what).take(lambda: self._connection.send(request))

    def _request(self, what: str) -> bytes:
        if what == "CreateFunction":
            self._created += 1
            return self._server.creation(f"new-{self._created:04}", zipped(ECHO))
        if what == "ListFunctions":
            return self._server.reading()
        name = self._names.pop()  # each once: nothing has been read into memory, no environment is there
        return self._server.reading(name) if what == "GetFunction" else self._server.invocation(name)


def _filled(run: Run, name: str, count: int) -> Server:
    server = run.server(name)
    if name not in server.deployed:
        package = zipped(ECHO)
        drive(server.url, (server.creation(_name(number), package) for number in range(count)), _CREATORS)
        for number in range(count - _CREATORS, count):
            server.wait(_name(number))
        server.deployed.add(name)
        # What was read or written is in memory until the server starts anew.
        server.stop()
        server.start()
    return server


def _count(run: Run) -> int:
    return run.times(10_000, 300)


def _name(number: int) -> str:
    return f"function-{number:05}"
