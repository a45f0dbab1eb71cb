"""Which environment serves which invocation; which to start, which to stop. Pure.

`Assignment` knows every environment of this node and every invocation waiting for
one. Each change is a method that answers with the steps to take; `pool` takes
them, and whatever comes of them is the next change. Nothing here waits, reads a
clock, or does I/O.

Between two changes it is always true that

- an invocation waits only while no environment of its key is idle;
- an invocation lacks an environment only while no snapshot of its key rests;
- all environments together fit in the node's memory, snapshots and those being stopped included;
- while anything waits, some environment is starting, busy, being initialised or stopped.

A *key* names the environments that may serve an invocation: one generation of one version, for one tenant where a
function keeps its tenants apart. When memory is short, functions take turns: docs/decisions/0016.
"""

import math
from collections.abc import Callable

from pasture.environments.books import Books
from pasture.environments.known import Is, Known
from pasture.environments.shares import Rules
from pasture.environments.steps import (
    Initialise,
    Linger,
    Refuse,
    Restore,
    Serve,
    Start,
    Step,
    Stop,
    Throttle,
)
from pasture.environments.waiting import Waiting, Want

_RULES = Rules()


class Assignment:
    def __init__(
        self, memory_mb: int, name: Callable[[], str], rules: Rules = _RULES, keep: Callable[[str], float] | None = None
    ) -> None:
        """`keep`: for how many seconds an environment of that key stays when it is idle; for ever without it."""
        self._memory_mb = memory_mb
        self._rules = rules
        self.starts_at_once = 1_000_000
        """So many environments may be starting; whoever watches the processors sets it."""
        self._books = Books(memory_mb, name, rules, keep or (lambda _key: math.inf))
        # Invocations that wait; for each key which environments have given their answer and will be ready in a moment.
        self._waiting = Waiting(rules.places, rules.waiting_seconds)
        self._answered: dict[str, set[str]] = {}
        self._retired: set[str] = set()
        self._now = 0.0

    def __repr__(self) -> str:
        return (
            f"<Assignment {len(self._books)} environments, {len(self._books.idle)} idle, "
            f"{len(self._waiting)} waiting, {self._books.memory.promised_mb} of {self._memory_mb} MB>"
        )

    # Invocations...

    def arrives(self, want: Want, now: float = 0.0) -> list[Step]:
        if (environment := self._books.take_idle(want.key)) is not None:
            return [Serve(want.id, environment)]
        if want.memory_mb > self._memory_mb:
            why = f"the function needs {want.memory_mb} MB and this machine offers {self._memory_mb} MB in all"
            return [Refuse(want.id, why)]
        self._now = now
        crowded = self._waiting.is_crowded(want.whose)
        if self._waiting.count(want.key) >= self._ready_soon(want.key) and not self._books.shares.may_grow(
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
        known = self._books[environment]
        if known.state is Is.BUSY:
            self._answered.setdefault(known.key, set()).add(environment)
            self._note(known.key)

    def impatient(self, key: str) -> list[Step]:
        """Those that had answered took longer than a moment: nobody waits for them alone any more."""
        answered = self._answered.get(key)
        if answered and not self._books.shares.is_full(self._books[next(iter(answered))].function):
            del self._answered[key]
        return self._make_progress(key)

    def becomes_ready(self, environment: str, now: float) -> list[Step]:
        """It has started, or the invocation it served is over."""
        known = self._books[environment]
        self._has_come_free(environment, known)
        known.serves_since = min(known.serves_since, now)
        self._now = now
        if known.key in self._waiting:
            self._note(known.key)
            if self._gives_way(known, now):
                return [*self._books.stop(environment, "another function's turn"), *self._make_progress(known.key)]
            if (head := self._waiting.head()) is not None and head.whose == known.function:
                self._waiting.has_had_its_turn(known.key, known.function)
            want = self._waiting.pop(known.key)
            assert want is not None
            known.state = Is.BUSY
            return [Serve(want.id, environment), *self._make_progress(known.key)]
        if known.key in self._retired or known.released:
            return [*self._books.stop(environment, "replaced"), *self._make_progress(known.key)]
        self._books.becomes_idle(environment, known, now)
        return self._make_progress(known.key)

    def fails_to_start(self, environment: str, why: str) -> list[Step]:
        """It could not be made. Who has waited longest for one of its kind is told, so that nobody waits for ever."""
        known = self._books[environment]
        self._has_come_free(environment, known)
        want = self._waiting.pop(known.key)
        steps: list[Step] = [Refuse(want.id, why)] if want is not None else []
        return [*steps, *self._books.stop(environment, why), *self._make_progress(known.key)]

    def breaks(self, environment: str, why: str) -> list[Step]:
        """It cannot be used any more; who waits for one of its kind gets another."""
        known = self._books[environment]
        self._has_come_free(environment, known)
        return [*self._books.stop(environment, why), *self._make_progress(known.key)]

    def is_gone(self, environment: str) -> list[Step]:
        known = self._books.close(environment)
        self._forget(known.key)
        return self._make_progress(None)

    # Provisioned ones...

    def provisions(self, key: str, memory_mb: int, function: str) -> list[Step]:
        """One more that is not waited for, and stays; nothing, or only room for it, when there is none now."""
        books = self._books
        if books.starting_in_all >= self.starts_at_once or memory_mb > self.provisionable_left:
            return []
        if not books.memory.fits(memory_mb):
            return self._books.make_room(memory_mb)
        start = books.start(Want("", key, memory_mb, function), self._now)
        books.provision(start.environment)
        return [start]

    def releases(self, environment: str) -> list[Step]:
        """It is not to stay any more: it stops, when it comes free if it serves."""
        known = self._books[environment]
        known.released = True
        if known.state is Is.IDLE:
            return self._books.stop(environment, "released")
        self._books.release(environment, known)
        return []

    def provisioned(self, key: str) -> dict[str, str]:
        """Name → state, of those that are not being stopped."""
        return {name: str(self._books[name].state) for name in self._books.provisions.of(key)}

    def is_provisioned(self, environment: str) -> bool:
        return environment in self._books and self._books[environment].provisioned

    @property
    def provisionable_left(self) -> int:
        """Megabytes that provisioned ones may still have: the others need some to come and go in."""
        return self._books.provisions.left_mb

    # Snapshots...

    def initialises(self, want: Want, *, urgently: bool = False) -> list[Step]:
        """A snapshot of the key; nothing, or only room for it, when there is none now.

        Of snapshots those that were used longest ago make room for it, of idle environments only when it is urgent. It
        waits for every invocation, since none needs it.
        """
        books = self._books
        if want.memory_mb > self.snapshots_mb or want.key in self._retired or not self._has_processors_to_spare():
            return []
        room = books.make_room_among_snapshots(want.memory_mb)
        if books.memory.fits(want.memory_mb):
            return [*room, books.initialise(want)]
        return [*room, *self._books.make_room(want.memory_mb)] if urgently else room

    def rests(self, environment: str, now: float) -> list[Step]:
        """A snapshot is initialised."""
        known = self._books[environment]
        self._has_come_free(environment, known)
        self._now = now
        if known.key in self._retired:
            return [*self._books.stop(environment, "replaced"), *self._make_progress(None)]
        return [*self._books.rest(environment, known, now), *self._make_progress(known.key)]

    def renews(self, environment: str, *, at_last: bool) -> list[Step]:
        """It has rested for long: another is initialised, which takes its place when it rests; nothing when there is
        no room for both now. It goes before the other comes if it must `at_last`.
        """
        if environment not in self._books or self._books[environment].state is not Is.RESTING:
            return []
        books, known = self._books, self._books[environment]
        room_for_both = books.resting.mb + known.memory_mb <= self.snapshots_mb and books.memory.fits(known.memory_mb)
        if room_for_both and self._has_processors_to_spare():
            return [books.initialise(Want("", known.key, known.memory_mb, known.function))]
        return books.stop(environment, "renewed") if at_last else []

    def has_snapshot(self, key: str) -> bool:
        """At rest, or being initialised."""
        return key in self._books.resting

    def is_at_rest(self, key: str) -> bool:
        return self._books.resting.of(key) is not None

    @property
    def snapshots_mb(self) -> int:
        """What all of them may have."""
        return self._books.resting.most_mb

    def _has_processors_to_spare(self) -> bool:
        return self._books.starting_in_all < self.starts_at_once and not self._waiting.short_in_all

    # Policy...

    def retires(self, key: str) -> list[Step]:
        """The key is used no more: its idle environments stop now, the others when they come free."""
        if not self.knows(key):
            return []
        self._retired.add(key)
        steps: list[Step] = []
        books = self._books
        at_rest = books.resting.of(key)
        for environment in [*books.idle.of(key), *books.provisions.idle(key), *([at_rest] if at_rest else ())]:
            steps += books.stop(environment, "replaced")
        return [*steps, *self._make_progress(None)]

    def expires(self, now: float) -> list[Step]:
        """Environments that have been idle for as long as they are kept stop."""
        steps: list[Step] = []
        for environment in self._books.idle.take_overdue(now):
            steps += self._books.stop(environment, "idle")
        return [*steps, *self._make_progress(None)]

    def next_expiry(self) -> float | None:
        """When an environment may have been idle for long enough, if nothing happens."""
        return self._books.idle.next_due

    def knows(self, key: str) -> bool:
        """Whether any environment or waiting invocation has this key."""
        return self._books.has(key) or key in self._waiting

    def key_of(self, environment: str) -> str:
        return self._books[environment].key

    # What people are shown...

    def environments(self) -> dict[str, tuple[str, str]]:
        """Name → (key, state)."""
        return self._books.states()

    def by_function(self) -> dict[str, dict[str, int]]:
        """How many environments each function has, by state, and how many snapshots."""
        return self._books.by_function()

    def memory_of(self, function: str) -> int:
        """Megabytes promised to it, but for its snapshots and for what is being stopped."""
        return self._books.shares.memory_mb(function)

    @property
    def is_held_back(self) -> bool:
        """Whether a start waits for others that are starting."""
        return self._books.starting_in_all >= self.starts_at_once and self._waiting.short_in_all > 0

    @property
    def starting(self) -> int:
        return self._books.starting_in_all

    @property
    def waiting(self) -> Waiting:
        return self._waiting

    @property
    def memory(self) -> tuple[int, int]:
        """Megabytes promised, and megabytes there are."""
        return self._books.memory.promised_mb, self._memory_mb

    @property
    def snapshots_promised_mb(self) -> int:
        """The part of it that is promised to snapshots."""
        return self._books.resting.mb

    # The plan...

    def _make_progress(self, key: str | None) -> list[Step]:
        """Start what is short, a turn for each function; a large one at the head is not overtaken by small ones."""
        books, steps = self._books, list[Step]()
        if key is not None:
            self._note(key)
            if self._waiting.short_in_all:
                steps += self._restore(key)
        while books.starting_in_all < self.starts_at_once and (head := self._waiting.head()) is not None:
            if not books.memory.fits(head.memory_mb):
                steps += books.make_room(head.memory_mb)
                break
            steps.append(books.start(head, self._now))
            self._waiting.has_had_its_turn(head.key, head.whose)
            self._note(head.key)
        return steps

    def _restore(self, key: str) -> list[Step]:
        """A snapshot has its memory: it is used at once, whoever waits for some."""
        at_rest = self._books.resting.of(key)
        if at_rest is None or not self._waiting.is_short(key, self._books[at_rest].function):
            return []
        restore = self._books.restore(self._waiting.first(key), self._now)
        self._note(key)
        return [restore]

    def _ready_soon(self, key: str) -> int:
        return self._books.starting.get(key, 0) + len(self._answered.get(key, ()))

    def _note(self, key: str) -> None:
        """Keep the key among the short ones exactly while more wait than will be ready in a moment."""
        self._waiting.note(key, self._ready_soon(key))
        if key not in self._waiting and not self._books.starting.get(key):
            self._books.starting.pop(key, None)

    def _gives_way(self, known: Known, now: float) -> bool:
        """Whether a function that waits for memory gets this environment's, though others wait for this one.

        At once, when it holds so little that it will hold no more than this one's function does then. Otherwise when
        this one has had its turn.
        """
        head = self._waiting.head()
        if head is None or head.key == known.key or known.provisioned:
            return False
        if self._books.memory.will_fit(head.memory_mb):
            return False
        if now - known.serves_since >= self._rules.turn_seconds:
            return True
        would_hold = self._books.shares.memory_mb(head.whose) + head.memory_mb
        left = self._books.shares.memory_mb(known.function) - known.memory_mb
        return head.whose != known.function and would_hold <= left

    def _has_come_free(self, environment: str, known: Known) -> None:
        if not self._books.has_started(known) and (answered := self._answered.get(known.key)):
            answered.discard(environment)
            if not answered:
                del self._answered[known.key]

    def _forget(self, key: str) -> None:
        if not self.knows(key):
            self._retired.discard(key)


__all__ = [
    "Assignment",
    "Initialise",
    "Linger",
    "Refuse",
    "Restore",
    "Rules",
    "Serve",
    "Start",
    "Step",
    "Stop",
    "Throttle",
    "Want",
]
