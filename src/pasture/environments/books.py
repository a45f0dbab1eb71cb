"""Every environment of this node: what it does, what it has been promised, and which of them make room. Pure.

Whatever holds memory is in these books: what starts, serves, is idle, provisioned, a snapshot or being stopped.
`Assignment` decides by them, and changes them.
"""

from collections.abc import Callable

from pasture.environments.idle import Idle
from pasture.environments.known import SNAPSHOT, Is, Known
from pasture.environments.memory import Memory
from pasture.environments.provisions import Provisions
from pasture.environments.resting import Resting
from pasture.environments.shares import Rules, Shares
from pasture.environments.steps import Initialise, Restore, Start, Step, Stop
from pasture.environments.waiting import Want

# The shares of the memory that provisioned environments and snapshots may have: others need some to come and go in.
_PROVISIONABLE = 0.8
_SNAPSHOTS = 0.25


class Books:
    def __init__(self, memory_mb: int, name: Callable[[], str], rules: Rules, keep: Callable[[str], float]) -> None:
        self._name = name
        self._environments: dict[str, Known] = {}
        self._of_key: dict[str, set[str]] = {}
        self.memory = Memory(memory_mb)
        self.shares = Shares(rules)
        self.idle = Idle(keep)
        self.provisions = Provisions(int(memory_mb * _PROVISIONABLE))
        self.resting = Resting(int(memory_mb * _SNAPSHOTS))
        self.starting: dict[str, int] = {}
        self.starting_in_all = 0
        """What is initialised to rest included: it takes as much of the processors."""

    def __len__(self) -> int:
        return len(self._environments)

    def __getitem__(self, environment: str) -> Known:
        return self._environments[environment]

    def __contains__(self, environment: str) -> bool:
        return environment in self._environments

    def has(self, key: str) -> bool:
        return key in self._of_key

    # Their lives...

    def start(self, want: Want, now: float) -> Start:
        environment = self._open(want, Is.STARTING)
        self._starts(want, now)
        return Start(environment, want.key)

    def initialise(self, want: Want) -> Initialise:
        environment = self._open(want, Is.INITIALISING)
        self.resting.comes(want.key, want.memory_mb)
        self.starting_in_all += 1
        return Initialise(environment, want.key)

    def rest(self, environment: str, known: Known, now: float) -> list[Step]:
        """A snapshot is initialised; the one that it takes the place of goes."""
        known.state = Is.RESTING
        before = self.resting.rests(environment, known.key, now)
        return self.stop(before, "renewed") if before is not None else []

    def restore(self, want: Want, now: float) -> Restore:
        """The key's snapshot, which rests."""
        environment = self.resting.take(want.key, want.memory_mb)
        self._environments[environment].state = Is.STARTING
        self._starts(want, now)
        return Restore(environment, want.key)

    def take_idle(self, key: str) -> str | None:
        """One that serves from now on: a provisioned one first."""
        environment = self.provisions.take(key) or self.idle.take(key)
        if environment is not None:
            self._environments[environment].state = Is.BUSY
        return environment

    def becomes_idle(self, environment: str, known: Known, now: float) -> None:
        known.state = Is.IDLE
        if known.provisioned:
            self.provisions.becomes_idle(environment, known.key)
        else:
            self.idle.add(environment, known.key, now)

    def has_started(self, known: Known) -> bool:
        """Whether it was starting until now; it serves, or ends."""
        if known.state is Is.INITIALISING:
            self.starting_in_all -= 1
        if known.state is not Is.STARTING:
            return False
        self.starting[known.key] -= 1
        self.starting_in_all -= 1
        known.state = Is.BUSY
        return True

    def stop(self, environment: str, why: str) -> list[Step]:
        known = self._environments[environment]
        if known.state is Is.STOPPING:
            return []
        if known.state is Is.IDLE:
            self.idle.remove(environment, known.key)
        self.release(environment, known)
        if known.state in SNAPSHOT:
            comes = known.state is Is.INITIALISING
            self.resting.remove(environment, known.key, known.memory_mb, comes=comes)
        else:
            self.shares.gives(known.function, known.memory_mb)
        known.state = Is.STOPPING
        self.memory.leaves(known.memory_mb)
        return [Stop(environment, why)]

    def close(self, environment: str) -> Known:
        """It is gone."""
        known = self._environments.pop(environment)
        self.memory.comes_back(known.memory_mb)
        self._of_key[known.key].discard(environment)
        if not self._of_key[known.key]:
            del self._of_key[known.key]
        return known

    def _open(self, want: Want, state: Is) -> str:
        environment = self._name()
        self._environments[environment] = Known(want.key, want.memory_mb, state, want.whose)
        self._of_key.setdefault(want.key, set()).add(environment)
        self.memory.promise(want.memory_mb)
        return environment

    def _starts(self, want: Want, now: float) -> None:
        self.starting[want.key] = self.starting.get(want.key, 0) + 1
        self.starting_in_all += 1
        self.shares.takes(want, now)

    # Provisioned ones...

    def provision(self, environment: str) -> None:
        known = self._environments[environment]
        known.provisioned = True
        self.provisions.add(environment, known.key, known.memory_mb)

    def release(self, environment: str, known: Known) -> None:
        if known.provisioned:
            known.provisioned = False
            self.provisions.remove(environment, known.key, known.memory_mb)

    # Room...

    def make_room(self, need_mb: int) -> list[Step]:
        """The longest unused go, idle ones and snapshots alike; a start waits until they have gone."""
        steps: list[Step] = []
        while not self.memory.will_fit(need_mb) and (longest := self._longest_unused()) is not None:
            steps += self.stop(longest, "making room")
        return steps

    def _longest_unused(self) -> str | None:
        found = [each for each in (self.idle.longest, self.resting.longest) if each is not None]
        return min(found)[1] if found else None

    def make_room_among_snapshots(self, need_mb: int) -> list[Step]:
        steps: list[Step] = []
        while self.resting.mb + need_mb > self.resting.most_mb and (longest := self.resting.longest) is not None:
            steps += self.stop(longest[1], "making room")
        return steps

    # What people are shown...

    def states(self) -> dict[str, tuple[str, str]]:
        """Name → (key, state)."""
        return {name: (known.key, str(known.state)) for name, known in self._environments.items()}

    def by_function(self) -> dict[str, dict[str, int]]:
        """How many each function has, by state."""
        counts: dict[str, dict[str, int]] = {}
        for known in self._environments.values():
            states = counts.setdefault(known.function, dict.fromkeys((str(state) for state in Is), 0))
            states[known.state] += 1
        return counts
