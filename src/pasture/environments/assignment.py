"""Which environment serves which invocation; which to start, which to stop. Pure.

`Assignment` knows every environment of this node and every invocation waiting for
one. Each change is a method that answers with the steps to take; `pool` takes
them, and whatever comes of them is the next change. Nothing here waits, reads a
clock, or does I/O.

Between two changes it is always true that

- an invocation waits only while no environment of its key is idle;
- all environments together fit in the node's memory, those being stopped included;
- while anything waits, some environment is starting, busy or stopping.

A *key* names the environments that may serve an invocation: one generation of one version, for one tenant where a
function keeps its tenants apart. When memory is short, functions take turns: docs/decisions/0016.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pasture.environments.shares import Rules, Shares
from pasture.environments.steps import Linger, Refuse, Serve, Start, Step, Stop, Throttle
from pasture.environments.waiting import Waiting, Want

# Functions whose rate of starts is remembered: beyond so many those that rest are forgotten.
_SCALING_REMEMBERED = 1_000
# The share of the memory that provisioned environments may have.
_PROVISIONABLE = 0.8


_RULES = Rules()


class _Is(StrEnum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"


@dataclass(slots=True)
class _Environment:
    key: str
    memory_mb: int
    state: _Is
    function: str
    idle_since: float = 0.0
    serves_since: float = math.inf
    """When it was ready for the first time."""
    provisioned: bool = False
    """It stays while it is idle, until it is released."""
    released: bool = False


class Assignment:
    def __init__(
        self, memory_mb: int, name: Callable[[], str], rules: Rules = _RULES, keep: Callable[[str], float] | None = None
    ) -> None:
        """`keep`: for how many seconds an environment of that key stays when it is idle; for ever without it."""
        self._memory_mb = memory_mb
        self._name = name
        self._rules = rules
        self._keep = keep or (lambda _key: math.inf)
        self.starts_at_once = 1_000_000
        """So many environments may be starting; whoever watches the processors sets it."""
        self._environments: dict[str, _Environment] = {}
        self._of_key: dict[str, set[str]] = {}
        self._retired: set[str] = set()
        self._used_mb = 0
        self._stopping_mb = 0
        # Idle environments: by key, the most recently used last; and all of them, the longest idle first.
        self._warm: dict[str, list[str]] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        # The provisioned ones apart, by key: those that are idle, and all but those being stopped.
        self._ready: dict[str, list[str]] = {}
        self._provisioned: dict[str, set[str]] = {}
        self._provisioned_mb = 0
        # The keys with idle environments, once each, by when the first of them may have been idle for long enough.
        self._due: list[tuple[float, str]] = []
        self._is_due: set[str] = set()
        # Invocations that wait; for each key how many environments are starting, and which have given their answer
        # and will be ready in a moment.
        self._waiting = Waiting(rules.places, rules.waiting_seconds)
        self._starting: dict[str, int] = {}
        self._starting_in_all = 0
        self._answered: dict[str, set[str]] = {}
        self._shares = Shares(rules)
        self._now = 0.0

    def __repr__(self) -> str:
        return (
            f"<Assignment {len(self._environments)} environments, {len(self._idle)} idle, "
            f"{len(self._waiting)} waiting, {self._used_mb} of {self._memory_mb} MB>"
        )

    # Invocations...

    def arrives(self, want: Want, now: float = 0.0) -> list[Step]:
        if ready := self._ready.get(want.key):
            environment = ready.pop()
            if not ready:
                del self._ready[want.key]
            self._environments[environment].state = _Is.BUSY
            return [Serve(want.id, environment)]
        if warm := self._warm.get(want.key):
            # The most recently used serves, so that the others grow old together.
            environment = warm.pop()
            del self._idle[environment]
            self._environments[environment].state = _Is.BUSY
            return [Serve(want.id, environment)]
        if want.memory_mb > self._memory_mb:
            why = f"the function needs {want.memory_mb} MB and this machine offers {self._memory_mb} MB in all"
            return [Refuse(want.id, why)]
        self._now = now
        crowded = self._waiting.is_crowded(want.whose)
        if self._waiting.count(want.key) >= self._ready_soon(want.key) and not self._shares.may_grow(
            want, self._waiting.short_of(want.whose), now
        ):
            return [Throttle(want.id)]
        self._waiting.add(want, now)
        steps = self._make_progress(want.key)
        if crowded and self._waiting.is_short(want.key, want.whose):
            self._waiting.remove(want)
            self._note(want.key)
            self._forget(want.key)
            return [*steps, Throttle(want.id, "too many invocations wait for this machine's memory and processors")]
        return [*steps, Linger(want.key)] if self._answered.get(want.key) else steps

    def overdue(self, now: float) -> list[Step]:
        """Invocations that have waited too long are told so."""
        self._now = now
        steps: list[Step] = []
        for want in self._waiting.take_overdue(now):
            why = f"this machine had no room for {want.memory_mb} MB in {self._rules.waiting_seconds:g} seconds"
            steps.append(Throttle(want.id, why))
            self._note(want.key)
            self._forget(want.key)
        return [*steps, *self._make_progress(None)]

    def resumes(self) -> list[Step]:
        """`starts_at_once` has changed."""
        return self._make_progress(None)

    @property
    def next_deadline(self) -> float | None:
        """When somebody may have waited too long, if nothing happens."""
        return self._waiting.next_deadline

    # Environments...

    def answers(self, environment: str) -> None:
        """Its invocation has been answered: a caller that comes back at once need not have another one started."""
        known = self._environments[environment]
        if known.state is _Is.BUSY:
            self._answered.setdefault(known.key, set()).add(environment)
            self._note(known.key)

    def impatient(self, key: str) -> list[Step]:
        """Those that had answered took longer than a moment: nobody waits for them alone any more."""
        answered = self._answered.get(key)
        if answered and not self._shares.is_full(self._environments[next(iter(answered))].function):
            del self._answered[key]
        return self._make_progress(key)

    def becomes_ready(self, environment: str, now: float) -> list[Step]:
        """It has started, or the invocation it served is over."""
        known = self._environments[environment]
        self._has_come_free(environment, known)
        known.serves_since = min(known.serves_since, now)
        self._now = now
        if known.key in self._waiting:
            self._note(known.key)
            if self._gives_way(known, now):
                return [*self._stop(environment, "another function's turn"), *self._make_progress(known.key)]
            if (head := self._waiting.head()) is not None and head.whose == known.function:
                self._waiting.has_had_its_turn(known.key, known.function)
            want = self._waiting.pop(known.key)
            assert want is not None
            known.state = _Is.BUSY
            return [Serve(want.id, environment), *self._make_progress(known.key)]
        if known.key in self._retired or known.released:
            return [*self._stop(environment, "replaced"), *self._make_progress(known.key)]
        known.state, known.idle_since = _Is.IDLE, now
        if known.provisioned:
            self._ready.setdefault(known.key, []).append(environment)
            return self._make_progress(known.key)
        self._warm.setdefault(known.key, []).append(environment)
        self._idle[environment] = None
        self._will_be_due(known.key, now + self._keep(known.key))
        return self._make_progress(known.key)

    def fails_to_start(self, environment: str, why: str) -> list[Step]:
        """It could not be made. Who has waited longest for one of its kind is told, so that nobody waits for ever."""
        known = self._environments[environment]
        self._has_come_free(environment, known)
        want = self._waiting.pop(known.key)
        steps: list[Step] = [Refuse(want.id, why)] if want is not None else []
        return [*steps, *self._stop(environment, why), *self._make_progress(known.key)]

    def breaks(self, environment: str, why: str) -> list[Step]:
        """It cannot be used any more; who waits for one of its kind gets another."""
        known = self._environments[environment]
        self._has_come_free(environment, known)
        return [*self._stop(environment, why), *self._make_progress(known.key)]

    def is_gone(self, environment: str) -> list[Step]:
        known = self._environments.pop(environment)
        self._used_mb -= known.memory_mb
        self._stopping_mb -= known.memory_mb
        self._of_key[known.key].discard(environment)
        self._forget(known.key)
        return self._make_progress(None)

    # Provisioned ones...

    def provisions(self, key: str, memory_mb: int, function: str) -> list[Step]:
        """One more that is not waited for, and stays; nothing, or only room for it, when there is none now."""
        if self._starting_in_all >= self.starts_at_once or memory_mb > self.provisionable_left:
            return []
        if self._used_mb + memory_mb > self._memory_mb:
            return self._make_room(memory_mb)
        step = self._start(Want("", key, memory_mb, function))
        known = self._environments[step.environment]
        known.provisioned = True
        self._provisioned.setdefault(key, set()).add(step.environment)
        self._provisioned_mb += memory_mb
        return [step]

    def releases(self, environment: str) -> list[Step]:
        """It is not to stay any more: it stops, when it comes free if it serves."""
        known = self._environments[environment]
        self._is_provisioned_no_more(environment, known)
        known.released = True
        return self._stop(environment, "released") if known.state is _Is.IDLE else []

    def provisioned(self, key: str) -> dict[str, str]:
        """Name → state, of those that are not being stopped."""
        return {name: str(self._environments[name].state) for name in self._provisioned.get(key, ())}

    def is_provisioned(self, environment: str) -> bool:
        known = self._environments.get(environment)
        return known is not None and known.provisioned

    @property
    def provisionable_left(self) -> int:
        """Megabytes that provisioned ones may still have: the others need some to come and go in."""
        return int(self._memory_mb * _PROVISIONABLE) - self._provisioned_mb

    # Policy...

    def retires(self, key: str) -> list[Step]:
        """The key is used no more: its idle environments stop now, the others when they come free."""
        if not self.knows(key):
            return []
        self._retired.add(key)
        steps: list[Step] = []
        for environment in [*self._warm.get(key, ()), *self._ready.get(key, ())]:
            steps += self._stop(environment, "replaced")
        return [*steps, *self._make_progress(None)]

    def expires(self, now: float) -> list[Step]:
        """Environments that have been idle for as long as they are kept stop."""
        steps: list[Step] = []
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            self._is_due.discard(key)
            keep = self._keep(key)
            while (warm := self._warm.get(key)) and self._environments[warm[0]].idle_since + keep <= now:
                steps += self._stop(warm[0], "idle")
            if warm:
                self._will_be_due(key, self._environments[warm[0]].idle_since + keep)
        return [*steps, *self._make_progress(None)]

    def next_expiry(self) -> float | None:
        """When an environment may have been idle for long enough, if nothing happens."""
        return self._due[0][0] if self._due else None

    def _will_be_due(self, key: str, at: float) -> None:
        if key not in self._is_due and at < math.inf:
            self._is_due.add(key)
            heapq.heappush(self._due, (at, key))

    def knows(self, key: str) -> bool:
        """Whether any environment or waiting invocation has this key."""
        return key in self._of_key or key in self._waiting

    def key_of(self, environment: str) -> str:
        return self._environments[environment].key

    # What people are shown...

    def environments(self) -> dict[str, tuple[str, str]]:
        """Name → (key, state)."""
        return {name: (known.key, str(known.state)) for name, known in self._environments.items()}

    def by_function(self) -> dict[str, dict[str, int]]:
        """How many environments each function has, by state."""
        counts: dict[str, dict[str, int]] = {}
        for known in self._environments.values():
            states = counts.setdefault(known.function, dict.fromkeys((str(state) for state in _Is), 0))
            states[known.state] += 1
        return counts

    def memory_of(self, function: str) -> int:
        """Megabytes promised to it, but for what is being stopped."""
        return self._shares.memory_mb(function)

    @property
    def is_held_back(self) -> bool:
        """Whether a start waits for others that are starting."""
        return self._starting_in_all >= self.starts_at_once and self._waiting.short_in_all > 0

    @property
    def starting(self) -> int:
        return self._starting_in_all

    @property
    def waiting(self) -> Waiting:
        return self._waiting

    @property
    def memory(self) -> tuple[int, int]:
        """Megabytes promised, and megabytes there are."""
        return self._used_mb, self._memory_mb

    # The plan...

    def _make_progress(self, key: str | None) -> list[Step]:
        """Start what is short, a turn for each function; a large one at the head is not overtaken by small ones."""
        if key is not None:
            self._note(key)
        steps: list[Step] = []
        while self._starting_in_all < self.starts_at_once and (head := self._waiting.head()) is not None:
            if self._used_mb + head.memory_mb > self._memory_mb:
                steps += self._make_room(head.memory_mb)
                break
            steps.append(self._start(head))
            self._waiting.has_had_its_turn(head.key, head.whose)
            self._note(head.key)
        return steps

    def _ready_soon(self, key: str) -> int:
        return self._starting.get(key, 0) + len(self._answered.get(key, ()))

    def _note(self, key: str) -> None:
        """Keep the key among the short ones exactly while more wait than will be ready in a moment."""
        self._waiting.note(key, self._ready_soon(key))
        if key not in self._waiting and not self._starting.get(key):
            self._starting.pop(key, None)

    def _gives_way(self, known: _Environment, now: float) -> bool:
        """Whether a function that waits for memory gets this environment's, though others wait for this one.

        At once, when it holds so little that it will hold no more than this one's function does then. Otherwise when
        this one has had its turn.
        """
        head = self._waiting.head()
        if head is None or head.key == known.key or known.provisioned:
            return False
        if self._used_mb - self._stopping_mb + head.memory_mb <= self._memory_mb:
            return False
        if now - known.serves_since >= self._rules.turn_seconds:
            return True
        would_hold = self._shares.memory_mb(head.whose) + head.memory_mb
        left = self._shares.memory_mb(known.function) - known.memory_mb
        return head.whose != known.function and would_hold <= left

    def _start(self, want: Want) -> Start:
        environment, key, function = self._name(), want.key, want.whose
        self._environments[environment] = _Environment(key, want.memory_mb, _Is.STARTING, function)
        self._of_key.setdefault(key, set()).add(environment)
        self._used_mb += want.memory_mb
        self._starting[key] = self._starting.get(key, 0) + 1
        self._starting_in_all += 1
        self._shares.takes(want, self._now)
        return Start(environment, key)

    def _has_come_free(self, environment: str, known: _Environment) -> None:
        if known.state is _Is.STARTING:
            self._starting[known.key] -= 1
            self._starting_in_all -= 1
            known.state = _Is.BUSY
        elif answered := self._answered.get(known.key):
            answered.discard(environment)
            if not answered:
                del self._answered[known.key]

    def _make_room(self, need: int) -> list[Step]:
        """The longest idle make room; the start waits until they are gone."""
        steps: list[Step] = []
        while self._idle and self._used_mb - self._stopping_mb + need > self._memory_mb:
            steps += self._stop(next(iter(self._idle)), "making room")
        return steps

    def _stop(self, environment: str, why: str) -> list[Step]:
        known = self._environments[environment]
        if known.state is _Is.STOPPING:
            return []
        if known.state is _Is.IDLE:
            self._idle.pop(environment, None)
            idle = self._ready if environment in self._ready.get(known.key, ()) else self._warm
            idle[known.key].remove(environment)
            if not idle[known.key]:
                del idle[known.key]
        self._is_provisioned_no_more(environment, known)
        known.state = _Is.STOPPING
        self._stopping_mb += known.memory_mb
        self._shares.gives(known.function, known.memory_mb)
        return [Stop(environment, why)]

    def _is_provisioned_no_more(self, environment: str, known: _Environment) -> None:
        if known.provisioned:
            known.provisioned = False
            self._provisioned_mb -= known.memory_mb
            self._provisioned[known.key].discard(environment)
            if not self._provisioned[known.key]:
                del self._provisioned[known.key]

    def _forget(self, key: str) -> None:
        if not self._of_key.get(key) and key not in self._waiting:
            self._of_key.pop(key, None)
            self._retired.discard(key)


__all__ = ["Assignment", "Linger", "Refuse", "Rules", "Serve", "Start", "Step", "Stop", "Throttle", "Want"]
