"""Pasture with full isolation beside what else runs Lambda functions on one's own machine.

The same function, the same client, in turns.
The others are installed into an environment of their own, which is gone afterwards; nothing else needs them. One that
cannot be had on this machine says so in its place.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from harness import NOTHING, Goal, Run, Samples, at_most, in_turns
from packages import NoPackage
from peer_kinds import Emulator, MiniStack, Pasture, Peer, PeerUnavailable, Relay
from processes import CpuMeter
from running import machine, running
from stalls import Stalls, watching

HEADER = (
    "| who | isolation | warm p50 | 5 %-95 % | cold start | 5 %-95 % | CPU per warm invocation | 5 %-95 % |\n"
    "|---|---|---|---|---|---|---|---|"
)


# Invocations of each batch that do not count.
_WARMING = 10


class Measured:
    """One of them, and its figures in milliseconds: each sample of `warm` and `cpu` is a batch's.

    One that fails is measured no further, and the others go on.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.warm, self.cold, self.cpu = Samples(), Samples(), Samples()
        self.failure = ""

    def attempt(self, work: Callable[[], None]) -> None:
        if self.failure:
            return
        try:
            work()
        except (RuntimeError, OSError) as error:
            self.failure = str(error)

    def __str__(self) -> str:
        if self.failure:
            return _absent(self.peer.name, f"it failed, {self.failure}")
        figures = (self.warm, self.cold, self.cpu)
        cells = [
            f"{s.median:.2f} ms | {s.spread[0]:.2f}-{s.spread[1]:.2f}" if s.values else f"{NOTHING} | {NOTHING}"
            for s in figures
        ]
        return f"| {self.peer.name} | {self.peer.isolation} | {' | '.join(cells)} |"

    def take_warm(self, batch: int) -> None:
        """The median of one caller's latencies, one request after another, and what each cost in processor time.

        Each batch has a connection of its own, since not every server keeps one for long.
        """
        request, times = self.peer.invocation(), Samples()
        with contextlib.closing(self.peer.connect()) as connection:
            for _ in range(_WARMING):
                connection.send(request)
            meter = CpuMeter(self.peer.pids)
            for _ in range(batch):
                times.take(lambda: connection.send(request))
            self.cpu.values.append(meter.lap() / batch * 1000)
        self.warm.values.append(times.median)

    def take_cold(self) -> None:
        if (seconds := self.peer.cold()) is not None:
            self.cold.values.append(seconds * 1000)


def main() -> None:
    options = _options()
    stalls = Stalls()
    with running(quick=options.quick) as run:
        others, absent = _prepared(run)
        with watching(stalls):
            measured = _measured(run, others)
    text = f"{machine()}; {stalls}. One caller, an echo in Python:\n\n{HEADER}\n"
    text += "".join(f"{one}\n" for one in measured)
    text += "".join(f"{_absent(name, why)}\n" for name, why in absent)
    text += "\n| goal | ratio | |\n|---|---|---|\n" + "".join(f"{line}\n" for line in _goals(measured))
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(_json(measured, stalls))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="whether everything runs; its figures say little")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args()


def _absent(name: str, why: str) -> str:
    return f"| {name} | not measured: {' '.join(why.split())} {f'| {NOTHING} ' * 6}|"


def _prepared(run: Run) -> tuple[list[Peer], list[tuple[str, str]]]:
    """Those that run now, and those that cannot, with the reason."""
    print("installing into a throw-away environment ...", file=sys.stderr, flush=True)
    home = run.directory / "peers"
    venv.create(home, with_pip=True)
    peers: list[Peer] = []
    absent = []
    kinds: tuple[Callable[[Run, Path], Peer], ...] = (Pasture, Relay, Emulator, MiniStack)
    for kind in kinds:
        peer = kind(run, home)
        try:
            run.stack.callback(peer.close)
            peer.start()
        except (NoPackage, PeerUnavailable, OSError, subprocess.SubprocessError) as error:
            absent.append((peer.name, str(error)))
        else:
            peers.append(peer)
    return peers, absent


def _measured(run: Run, peers: Sequence[Peer]) -> list[Measured]:
    print("measuring ...", file=sys.stderr, flush=True)
    all_of_them = [Measured(peer) for peer in peers]
    in_turns(run.times(12, 2), *(partial(one.attempt, one.take_cold) for one in all_of_them))
    batch = run.times(100, 50)
    in_turns(run.times(16, 3), *(partial(one.attempt, partial(one.take_warm, batch)) for one in all_of_them))
    return all_of_them


def _goals(measured: Sequence[Measured]) -> list[str]:
    by = {one.peer.name: one for one in measured}

    def beside(what: str, goal: Goal, other: type[Peer], pick: Callable[[Measured], Samples]) -> str:
        ours, theirs = by.get(Pasture.name), by.get(other.name)
        if ours is None or theirs is None or ours.failure or theirs.failure:
            return f"| {what} {goal.words} | {NOTHING} | not measured |"
        return _goal(what, goal, pick(ours), pick(theirs))

    return [
        beside("warm p50 beside the emulator's", at_most(1), Emulator, lambda one: one.warm),
        beside("cold start beside MiniStack's", at_most(0.1), MiniStack, lambda one: one.cold),
        beside("CPU per warm invocation beside the emulator's", at_most(1), Emulator, lambda one: one.cpu),
        beside("CPU per warm invocation beside the relay's", at_most(1.2), Relay, lambda one: one.cpu),
    ]


def _goal(what: str, goal: Goal, ours: Samples, theirs: Samples) -> str:
    """The median of the ratios of the turns: a slow moment of the machine falls on both."""
    ratio = statistics.median(a / b for a, b in zip(ours.values, theirs.values, strict=True))
    return f"| {what} {goal.words} | {ratio:.2f} | {'met' if goal.is_met(ratio) else 'missed'} |"


def _json(measured: Sequence[Measured], stalls: Stalls) -> str:
    figures = {
        one.peer.name: {
            "isolation": one.peer.isolation,
            **{
                name: {"median": samples.median, "spread": samples.spread} if samples.values else None
                for name, samples in (("warm_ms", one.warm), ("cold_ms", one.cold), ("cpu_ms", one.cpu))
            },
        }
        for one in measured
    }
    return json.dumps({"machine": machine(), "stalled": stalls.share, "peers": figures}, indent=2) + "\n"


if __name__ == "__main__":
    main()
