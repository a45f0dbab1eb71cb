"""Which environment serves which invocation; which to start, which to stop. Pure.

`Assignment` knows every environment of this node and every invocation waiting for
one. Each change is a method that answers with the steps to take; `pool` takes
them, and whatever comes of them is the next change. Nothing here waits, reads a
clock, or does I/O.

Between two changes it is always true that

- an invocation waits only while no environment of its key is idle;
- all environments together fit in the node's memory, those being stopped included;
- while anything waits, some environment is starting, busy or stopping.

A *key* names the environments that may serve an invocation: one generation of one version.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Want:
    """An invocation that needs an environment."""

    id: str
    key: str
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Serve:
    invocation: str
    environment: str


@dataclass(frozen=True, slots=True)
class Start:
    environment: str
    key: str


@dataclass(frozen=True, slots=True)
class Stop:
    environment: str
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    invocation: str
    why: str


@dataclass(frozen=True, slots=True)
class Linger:
    """Someone waits for an environment that has answered and is about to ask for more: be `impatient` in a moment."""

    key: str


Step = Serve | Start | Stop | Refuse | Linger


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
    idle_since: float = 0.0


class Assignment:
    def __init__(self, memory_mb: int, name: Callable[[], str]) -> None:
        self._memory_mb = memory_mb
        self._name = name
        self._environments: dict[str, _Environment] = {}
        self._of_key: dict[str, set[str]] = {}
        self._retired: set[str] = set()
        self._used_mb = 0
        self._stopping_mb = 0
        # Idle environments: by key, the most recently used last; and all of them, the longest idle first.
        self._warm: dict[str, list[str]] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        # Invocations that wait, by key; for each key how many environments are starting, and which have given
        # their answer and will be ready in a moment; and the keys that need more environments than that, the
        # longest waiting first.
        self._waiting: dict[str, deque[Want]] = {}
        self._starting: dict[str, int] = {}
        self._answered: dict[str, set[str]] = {}
        self._short: OrderedDict[str, None] = OrderedDict()

    def __repr__(self) -> str:
        waiting = sum(len(wants) for wants in self._waiting.values())
        return (
            f"<Assignment {len(self._environments)} environments, {len(self._idle)} idle, {waiting} waiting, "
            f"{self._used_mb} of {self._memory_mb} MB>"
        )

    # Invocations...

    def arrives(self, want: Want) -> list[Step]:
        if warm := self._warm.get(want.key):
            # The most recently used serves, so that the others grow old together.
            environment = warm.pop()
            del self._idle[environment]
            self._environments[environment].state = _Is.BUSY
            return [Serve(want.id, environment)]
        if want.memory_mb > self._memory_mb:
            why = f"the function needs {want.memory_mb} MB and this machine offers {self._memory_mb} MB in all"
            return [Refuse(want.id, why)]
        self._waiting.setdefault(want.key, deque()).append(want)
        steps = self._make_progress(want.key)
        return [*steps, Linger(want.key)] if self._answered.get(want.key) else steps

    # Environments...

    def answers(self, environment: str) -> None:
        """Its invocation has been answered: a caller that comes back at once need not have another one started."""
        known = self._environments[environment]
        if known.state is _Is.BUSY:
            self._answered.setdefault(known.key, set()).add(environment)
            self._note(known.key)

    def impatient(self, key: str) -> list[Step]:
        """Those that had answered took longer than a moment: nobody waits for them alone any more."""
        self._answered.pop(key, None)
        return self._make_progress(key)

    def becomes_ready(self, environment: str, now: float) -> list[Step]:
        """It has started, or the invocation it served is over."""
        known = self._environments[environment]
        self._has_come_free(environment, known)
        if want := self._next_waiting(known.key):
            known.state = _Is.BUSY
            return [Serve(want.id, environment), *self._make_progress(known.key)]
        if known.key in self._retired:
            return [*self._stop(environment, "replaced"), *self._make_progress(known.key)]
        known.state, known.idle_since = _Is.IDLE, now
        self._warm.setdefault(known.key, []).append(environment)
        self._idle[environment] = None
        return self._make_progress(known.key)

    def fails_to_start(self, environment: str, why: str) -> list[Step]:
        """It could not be made. Who has waited longest for one of its kind is told, so that nobody waits for ever."""
        known = self._environments[environment]
        self._has_come_free(environment, known)
        want = self._next_waiting(known.key)
        steps: list[Step] = [Refuse(want.id, why)] if want else []
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

    # Policy...

    def retires(self, key: str) -> list[Step]:
        """The key is used no more: its idle environments stop now, the others when they come free."""
        if not self.knows(key):
            return []
        self._retired.add(key)
        steps: list[Step] = []
        for environment in list(self._warm.get(key, ())):
            steps += self._stop(environment, "replaced")
        return [*steps, *self._make_progress(None)]

    def expires(self, now: float, idle_seconds: float) -> list[Step]:
        """Environments that have been idle for so long stop."""
        steps: list[Step] = []
        while (expiry := self.next_expiry(idle_seconds)) is not None and expiry <= now:
            steps += self._stop(next(iter(self._idle)), "idle")
        return [*steps, *self._make_progress(None)]

    def next_expiry(self, idle_seconds: float) -> float | None:
        """When the next environment will have been idle for so long, if nothing happens."""
        longest = next(iter(self._idle), None)
        return None if longest is None else self._environments[longest].idle_since + idle_seconds

    def knows(self, key: str) -> bool:
        """Whether any environment or waiting invocation has this key."""
        return key in self._of_key or key in self._waiting

    def key_of(self, environment: str) -> str:
        return self._environments[environment].key

    # What people are shown...

    def environments(self) -> dict[str, tuple[str, str]]:
        """Name → (key, state)."""
        return {name: (known.key, str(known.state)) for name, known in self._environments.items()}

    @property
    def memory(self) -> tuple[int, int]:
        """Megabytes promised, and megabytes there are."""
        return self._used_mb, self._memory_mb

    # The plan...

    def _make_progress(self, key: str | None) -> list[Step]:
        """Start what is short, the longest waiting first; a large one at the head is not overtaken by small ones."""
        if key is not None:
            self._note(key)
        steps: list[Step] = []
        while self._short:
            head = next(iter(self._short))
            need = self._waiting[head][0].memory_mb
            if self._used_mb + need > self._memory_mb:
                steps += self._make_room(need)
                break
            steps.append(self._start(head, need))
            self._note(head)
        return steps

    def _note(self, key: str) -> None:
        """Keep the key among the short ones exactly while more wait than will be ready in a moment."""
        waiting = len(self._waiting.get(key, ()))
        if waiting > self._starting.get(key, 0) + len(self._answered.get(key, ())):
            self._short[key] = None
            return
        self._short.pop(key, None)
        if not waiting and not self._starting.get(key):
            self._starting.pop(key, None)

    def _start(self, key: str, memory_mb: int) -> Start:
        environment = self._name()
        self._environments[environment] = _Environment(key, memory_mb, _Is.STARTING)
        self._of_key.setdefault(key, set()).add(environment)
        self._used_mb += memory_mb
        self._starting[key] = self._starting.get(key, 0) + 1
        return Start(environment, key)

    def _has_come_free(self, environment: str, known: _Environment) -> None:
        if known.state is _Is.STARTING:
            self._starting[known.key] -= 1
            known.state = _Is.BUSY
        elif answered := self._answered.get(known.key):
            answered.discard(environment)
            if not answered:
                del self._answered[known.key]

    def _next_waiting(self, key: str) -> Want | None:
        waiting = self._waiting.get(key)
        if not waiting:
            return None
        want = waiting.popleft()
        if not waiting:
            del self._waiting[key]
        return want

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
            del self._idle[environment]
            self._warm[known.key].remove(environment)
            if not self._warm[known.key]:
                del self._warm[known.key]
        known.state = _Is.STOPPING
        self._stopping_mb += known.memory_mb
        return [Stop(environment, why)]

    def _forget(self, key: str) -> None:
        if not self._of_key.get(key) and key not in self._waiting:
            self._of_key.pop(key, None)
            self._retired.discard(key)
