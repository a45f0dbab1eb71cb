"""Which environment serves which invocation; which to start, which to stop."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pasture.environments.assignment import (
    Assignment,
    Initialise,
    Linger,
    Refuse,
    Restore,
    Rules,
    Serve,
    Start,
    Step,
    Stop,
    Throttle,
    Want,
)


def node(memory_mb: int = 1024, **rules: Any) -> Assignment:
    """Its environments are e1, e2, e3 …; an idle one is kept for 60 seconds."""
    numbers = itertools.count(1)
    return Assignment(memory_mb, lambda: f"e{next(numbers)}", Rules(**rules), lambda _key: 60.0)


def wants(id_: str, key: str, memory_mb: int = 128, environments: int = 0) -> Want:
    """Of the function that the key begins with."""
    return Want(id_, key, memory_mb, key.partition(":")[0], environments)


def deadline(n: Assignment) -> float | None:
    return n.next_deadline


def warm(n: Assignment, id_: str, key: str, now: float, memory_mb: int = 128) -> str:
    """The environment that was started for an invocation, once it has served it."""
    (start,) = n.arrives(wants(id_, key, memory_mb))
    assert isinstance(start, Start)
    n.becomes_ready(start.environment, now)
    n.becomes_ready(start.environment, now)
    return start.environment


# Serving...


def test_the_first_invocation_starts_an_environment() -> None:
    assert node().arrives(wants("i1", "f:1")) == [Start("e1", "f:1")]


def test_a_started_environment_serves_who_waits() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    assert n.becomes_ready("e1", now=1) == [Serve("i1", "e1")]


def test_a_warm_environment_serves_at_once() -> None:
    n = node()
    warm(n, "i1", "f:1", now=1)
    assert n.arrives(wants("i2", "f:1")) == [Serve("i2", "e1")]


def test_an_environment_serves_no_other_key() -> None:
    n = node()
    warm(n, "i1", "f:1", now=1)
    assert n.arrives(wants("i2", "f:2")) == [Start("e2", "f:2")]


def test_of_several_idle_environments_the_most_recently_used_serves() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.arrives(wants("i2", "f:1"))
    for environment, now in (("e1", 1), ("e2", 2), ("e2", 3), ("e1", 4)):
        n.becomes_ready(environment, now)
    assert n.arrives(wants("i3", "f:1")) == [Serve("i3", "e1")]


def test_an_environment_that_comes_free_serves_who_waits_before_the_one_that_is_starting_for_him() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    n.arrives(wants("i2", "f:1"))
    assert n.becomes_ready("e1", now=2) == [Serve("i2", "e1")]


def test_an_environment_that_nobody_needs_any_more_when_it_is_ready_becomes_idle() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    n.arrives(wants("i2", "f:1"))
    n.becomes_ready("e1", now=2)
    assert (n.becomes_ready("e2", now=3), n.environments()["e2"]) == ([], ("f:1", "idle"))


def test_invocations_of_a_key_are_served_in_the_order_they_came() -> None:
    n = node(memory_mb=128)
    for id_ in ("i1", "i2", "i3"):
        n.arrives(wants(id_, "f:1"))
    served = [step for _ in range(3) for step in n.becomes_ready("e1", now=1)]
    assert served == [Serve("i1", "e1"), Serve("i2", "e1"), Serve("i3", "e1")]


def test_a_caller_that_comes_back_at_once_waits_for_the_one_that_has_just_answered() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    n.answers("e1")
    assert n.arrives(wants("i2", "f:1")) == [Linger("f:1")]
    assert n.becomes_ready("e1", now=2) == [Serve("i2", "e1")]


def test_when_the_one_that_has_answered_takes_longer_than_a_moment_another_is_started() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    n.answers("e1")
    n.arrives(wants("i2", "f:1"))
    assert n.impatient("f:1") == [Start("e2", "f:1")]


def test_only_as_many_wait_for_those_that_have_answered_as_these_can_serve() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    n.answers("e1")
    n.arrives(wants("i2", "f:1"))
    assert n.arrives(wants("i3", "f:1")) == [Start("e2", "f:1"), Linger("f:1")]


# Memory...


def test_when_memory_is_short_the_longest_idle_makes_room_and_the_start_waits_for_it() -> None:
    n = node(memory_mb=128)
    warm(n, "i1", "f:1", now=2)
    assert n.arrives(wants("i2", "g:1")) == [Stop("e1", "making room")]
    assert n.is_gone("e1") == [Start("e2", "g:1")]


def test_only_as_many_make_room_as_are_needed() -> None:
    n = node(memory_mb=384)
    for key, now in (("f:1", 1), ("g:1", 2), ("h:1", 3)):
        warm(n, key, key, now)
    assert n.arrives(wants("i4", "k:1", 256)) == [Stop("e1", "making room"), Stop("e2", "making room")]


def test_memory_that_is_coming_free_already_is_counted() -> None:
    n = node(memory_mb=256)
    warm(n, "i1", "f:1", now=1)
    warm(n, "i2", "g:1", now=2)
    n.arrives(wants("i3", "h:1"))
    assert n.arrives(wants("i4", "h:1")) == []


def test_a_busy_environment_never_makes_room() -> None:
    n = node(memory_mb=128)
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    assert n.arrives(wants("i2", "g:1")) == []
    assert n.becomes_ready("e1", now=2) == [Stop("e1", "making room")]


def test_a_large_one_at_the_head_is_not_overtaken_by_small_ones() -> None:
    n = node(memory_mb=512)
    n.arrives(wants("i1", "f:1", 256))
    n.becomes_ready("e1", now=1)
    assert n.arrives(wants("i2", "large:1", 512)) == []
    assert n.arrives(wants("i3", "small:1", 128)) == []
    assert n.arrives(wants("i4", "small:2", 128)) == []


def test_functions_take_turns_at_the_memory_that_comes_free() -> None:
    n = node(memory_mb=128, turn_seconds=1)
    for id_, key in (("f1", "f:1"), ("f2", "f:1"), ("g1", "g:1"), ("f3", "f:1")):
        n.arrives(wants(id_, key))
    assert n.becomes_ready("e1", now=0) == [Serve("f1", "e1")]
    assert n.becomes_ready("e1", now=0.9) == [Serve("f2", "e1")], "it is still the turn of f"
    assert n.becomes_ready("e1", now=1.1) == [Stop("e1", "another function's turn")]
    assert n.is_gone("e1") == [Start("e2", "g:1")]


def test_a_function_with_much_gives_way_at_once_to_one_with_nothing() -> None:
    n = node(memory_mb=384)
    for i in range(3):
        n.arrives(wants(f"f{i}", "f:1"))
        n.becomes_ready(f"e{i + 1}", now=0)
    n.arrives(wants("g1", "g:1"))
    n.arrives(wants("f3", "f:1"))
    assert n.becomes_ready("e2", now=0) == [Stop("e2", "another function's turn")]
    assert n.is_gone("e2") == [Start("e4", "g:1")]
    assert n.becomes_ready("e1", now=0) == [Serve("f3", "e1")], "now each has its share"


def test_who_has_waited_too_long_is_told() -> None:
    n = node(memory_mb=128, waiting_seconds=30)
    n.arrives(wants("i1", "f:1"), now=0)
    n.arrives(wants("i2", "g:1"), now=5)
    assert deadline(n) == 30
    n.becomes_ready("e1", now=10)
    assert (n.overdue(now=34), deadline(n)) == ([], 35)
    assert n.overdue(now=35) == [Throttle("i2", "this machine had no room for 128 MB in 30 seconds")]
    assert (deadline(n), n.knows("g:1")) == (None, False)


def test_who_waits_for_an_environment_that_is_starting_is_not_told_to_go() -> None:
    n = node(waiting_seconds=30)
    n.arrives(wants("i1", "f:1"), now=0)
    assert n.overdue(now=40) == []
    assert n.becomes_ready("e1", now=41) == [Serve("i1", "e1")]


def test_no_function_takes_every_place_in_the_queue() -> None:
    n = node(memory_mb=128, places=8)
    n.arrives(wants("i0", "x:1"))
    refused = [step for i in range(20) for step in n.arrives(wants(f"f{i}", "f:1"))]
    assert len(refused) == 16, "it leaves as many places as it takes"
    assert refused[0] == Throttle("f4", "too many invocations wait for this machine's memory and processors")
    assert n.arrives(wants("g1", "g:1")) == []


def test_a_function_grows_no_faster_than_aws_lets_it() -> None:
    n = node(scaling_burst=2, scaling_seconds=10)
    assert [n.arrives(wants(f"i{i}", "f:1"), now=0)[0] for i in range(3)] == [
        Start("e1", "f:1"), Start("e2", "f:1"), Throttle("i2"),
    ]  # fmt: skip
    assert n.arrives(wants("g1", "g:1"), now=0) == [Start("e3", "g:1")], "each on its own"
    assert n.arrives(wants("i3", "f:1"), now=5) == [Start("e4", "f:1")]


def test_a_warm_environment_serves_however_fast_its_function_has_grown() -> None:
    n = node(scaling_burst=1)
    warm(n, "i1", "f:1", now=0)
    assert n.arrives(wants("i2", "f:1"), now=0) == [Serve("i2", "e1")]


def test_a_function_has_no_more_environments_for_its_tenants_than_it_may() -> None:
    n = node()
    assert n.arrives(wants("i1", "f:1/a", environments=1)) == [Start("e1", "f:1/a")]
    assert n.arrives(wants("i2", "f:1/b", environments=1)) == [Throttle("i2")]
    n.becomes_ready("e1", now=0)
    n.becomes_ready("e1", now=1)
    assert n.arrives(wants("i3", "f:1/a", environments=1)) == [Serve("i3", "e1")]


def test_only_so_many_start_at_once_and_functions_take_turns() -> None:
    n = node(memory_mb=10_240)
    n.starts_at_once = 2
    steps = [step for i in range(3) for key in ("f:1", "g:1") for step in n.arrives(wants(f"{key}{i}", key))]
    assert (steps, n.is_held_back) == ([Start("e1", "f:1"), Start("e2", "g:1")], True)
    assert n.becomes_ready("e2", now=1) == [Serve("g:10", "e2"), Start("e3", "f:1")]
    assert n.becomes_ready("e1", now=1) == [Serve("f:10", "e1"), Start("e4", "g:1")]
    n.starts_at_once = 8
    assert n.resumes() == [Start("e5", "f:1"), Start("e6", "g:1")]


class Flood:
    """Functions of which three invocations always wait, and what becomes of them in time."""

    def __init__(self, memory_mb: int, sizes: list[int], busy_seconds: float) -> None:
        self.assignment = node(memory_mb, waiting_seconds=1e9, scaling_burst=10**9)
        self.sizes = {f"f{i}": size for i, size in enumerate(sizes)}
        self.busy_seconds = busy_seconds
        self.now = 0.0
        self.ids = itertools.count()
        self.coming: list[tuple[float, int, Callable[[], list[Step]]]] = []
        self.served: dict[str, list[float]] = {function: [0.0] for function in self.sizes}

    def run(self, seconds: float) -> None:
        for function in sorted([*self.sizes] * 3):
            self.take(self.arrive(function))
        while self.now < seconds:
            self.now, _, happens = heapq.heappop(self.coming)
            self.take(happens())

    def arrive(self, function: str) -> list[Step]:
        return self.assignment.arrives(Want(f"i{next(self.ids)}", function, self.sizes[function], function), self.now)

    def take(self, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case Start(environment, _):
                    self.after(0.1, self.ready, environment)
                case Stop(environment, _):
                    self.after(0.05, self.assignment.is_gone, environment)
                case Serve(_, environment):
                    function = self.assignment.key_of(environment)
                    self.served[function].append(self.now)
                    self.after(self.busy_seconds, self.ready, environment)
                    self.after(0, self.arrive, function)

    def after(self, seconds: float, happens: Callable[[str], list[Step]], which: str) -> None:
        coming: tuple[float, int, Callable[[], list[Step]]] = (
            self.now + seconds,
            next(self.ids),
            lambda: happens(which),
        )
        heapq.heappush(self.coming, coming)

    def ready(self, environment: str) -> list[Step]:
        return self.assignment.becomes_ready(environment, self.now)


@given(
    memory_mb=st.sampled_from([512, 1024, 2048]),
    sizes=st.lists(st.sampled_from([128, 128, 256, 512]), min_size=2, max_size=12),
    busy_seconds=st.sampled_from([0.05, 0.5, 2.0]),
)
@settings(max_examples=60, deadline=None)
def test_functions_that_all_flood_all_get_their_turns(memory_mb: int, sizes: list[int], busy_seconds: float) -> None:
    """Nobody waits for much more than a turn of each of the others."""
    flood = Flood(memory_mb, sizes, busy_seconds)
    flood.run(120)
    longest = max(b - a for times in flood.served.values() for a, b in itertools.pairwise([*times, flood.now]))
    assert longest <= (len(sizes) + 1) * 2 * (1.0 + 2 * busy_seconds + 0.2)


def test_what_can_never_fit_is_refused_at_once() -> None:
    why = "the function needs 2048 MB and this machine offers 1024 MB in all"
    assert node(memory_mb=1024).arrives(wants("i1", "f:1", 2048)) == [Refuse("i1", why)]


# Failing...


def test_when_an_environment_cannot_be_made_who_waited_longest_is_told() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.arrives(wants("i2", "f:1"))
    assert n.fails_to_start("e2", "no room on disk") == [Refuse("i1", "no room on disk"), Stop("e2", "no room on disk")]


def test_an_environment_that_cannot_be_made_is_replaced_while_others_wait() -> None:
    n = node()
    for id_ in ("i1", "i2"):
        n.arrives(wants(id_, "f:1"))
    n.fails_to_start("e1", "broken")
    assert n.becomes_ready("e2", now=1) == [Serve("i2", "e2")]


def test_an_environment_that_breaks_is_stopped_and_its_memory_comes_free_when_it_is_gone() -> None:
    n = node(memory_mb=128)
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    n.arrives(wants("i2", "f:1"))
    assert n.breaks("e1", "failed") == [Stop("e1", "failed")]
    assert n.is_gone("e1") == [Start("e2", "f:1")]


def test_an_environment_that_goes_before_it_has_started_is_replaced_while_somebody_waits_for_it() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    assert n.breaks("e1", "gone") == [Stop("e1", "gone"), Start("e2", "f:1")]


# Idling...


def test_an_environment_that_has_been_idle_for_long_enough_stops() -> None:
    n = node()
    warm(n, "i1", "f:1", now=10)
    warm(n, "i2", "g:1", now=20)
    assert n.expires(now=70) == [Stop("e1", "idle")]


def test_the_next_expiry_is_that_of_the_longest_idle() -> None:
    n = node()
    assert n.next_expiry() is None
    warm(n, "i1", "f:1", now=10)
    warm(n, "i2", "g:1", now=20)
    assert n.next_expiry() == 70


def test_to_serve_again_is_to_be_young_again() -> None:
    n = node()
    warm(n, "i1", "f:1", now=10)
    n.arrives(wants("i2", "f:1"))
    n.becomes_ready("e1", now=60)
    assert n.expires(now=70) == []


# Retiring...


def test_the_idle_environments_of_a_retired_key_stop_at_once() -> None:
    n = node()
    warm(n, "i1", "f:1", now=1)
    assert n.retires("f:1") == [Stop("e1", "replaced")]


def test_a_busy_environment_of_a_retired_key_stops_when_it_comes_free() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    assert n.retires("f:1") == []
    assert n.becomes_ready("e1", now=2) == [Stop("e1", "replaced")]


def test_who_waits_for_a_retired_key_is_still_served() -> None:
    n = node()
    n.arrives(wants("i1", "f:1"))
    n.retires("f:1")
    assert n.becomes_ready("e1", now=1) == [Serve("i1", "e1")]


def test_a_key_may_be_retired_while_it_has_invocations_and_no_environment_yet() -> None:
    n = node(memory_mb=128)
    n.arrives(wants("i1", "f:1"))
    n.becomes_ready("e1", now=1)
    n.arrives(wants("i2", "g:1"))
    n.retires("g:1")
    n.becomes_ready("e1", now=2)
    assert n.is_gone("e1") == [Start("e2", "g:1")]
    n.becomes_ready("e2", now=3)
    assert n.becomes_ready("e2", now=4) == [Stop("e2", "replaced")]


def test_retiring_what_is_not_known_does_nothing() -> None:
    n = node()
    assert (n.retires("f:1"), n.knows("f:1")) == ([], False)


def test_a_key_is_forgotten_with_its_last_environment() -> None:
    n = node()
    warm(n, "i1", "f:1", now=1)
    n.retires("f:1")
    n.is_gone("e1")
    assert (n.knows("f:1"), n.environments(), n.memory) == (False, {}, (0, 1024))


def test_its_repr_says_how_it_stands() -> None:
    n = node(memory_mb=256)
    warm(n, "i1", "f:1", now=1)
    n.arrives(wants("i2", "g:1"))
    n.arrives(wants("i3", "g:1"))
    assert repr(n) == "<Assignment 2 environments, 0 idle, 2 waiting, 256 of 256 MB>"


# Whatever happens...

KEYS = {"small:1": 128, "small:2": 128, "middle:1": 320, "large:1": 1024, "huge:1": 2048}
MEMORY = 1024
RULES = Rules(places=6, waiting_seconds=50, turn_seconds=3, scaling_burst=12, scaling_seconds=60)
MOST = {"small": 5}


def function_of(key: str) -> str:
    return key.partition(":")[0]


class Node(RuleBasedStateMachine):
    """Takes the steps as the pool does, in any order that time may bring, and keeps its own books."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.ids = itertools.count(1)
        self.assignment = Assignment(MEMORY, lambda: f"e{next(self.ids)}", RULES, lambda _key: 60.0)
        self.waiting: dict[str, list[str]] = {}
        self.arrived: list[str] = []
        self.ended: set[str] = set()
        self.serving: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.key: dict[str, str] = {}
        self.retired_since: set[str] = set()
        # Whose turn it was before, with how many of that function waited.
        self.turn: tuple[str, int] | None = None
        self.started: list[float] = []
        # Those that have given their answer, while someone may wait for them.
        self.answered: set[str] = set()

    @initialize()
    def _begin(self) -> None:
        assert self.assignment.environments() == {}

    def waits(self, function: str) -> int:
        return sum(len(waiting) for key, waiting in self.waiting.items() if function_of(key) == function)

    def take(self, steps: list[Step], *, arrived: str = "") -> None:
        starts = [step for step in steps if isinstance(step, Start)]
        gone = {key for step in steps if isinstance(step, Serve | Refuse | Throttle) for key in self._whose(step)}
        if starts and self.turn and self.turn[0] not in gone and self.turn[0] != arrived:
            assert function_of(starts[0].key) == self.turn[0], "whose turn it is gets the next one"
        for step in steps:
            match step:
                case Serve(invocation, environment):
                    key = self.key[environment]
                    assert self.waiting[key].pop(0) == invocation, "in the order they came"
                    assert environment not in self.serving
                    self.serving[environment] = invocation
                    self.state[environment] = "busy"
                case Refuse(invocation, _) | Throttle(invocation, _):
                    (waited,) = (waiting for waiting in self.waiting.values() if invocation in waiting)
                    waited.remove(invocation)
                    self.ended.add(invocation)
                case Start(environment, key) | Restore(environment, key):
                    assert self.state.get(environment) == ("resting" if isinstance(step, Restore) else None)
                    self.key[environment], self.state[environment] = key, "starting"
                    self.started.append(self.now)
                    assert self.waiting[key], "nothing is started that nobody waits for"
                case Initialise(environment, key):
                    self.key[environment], self.state[environment] = key, "initialising"
                case Linger(key):
                    assert [e for e in self.answered if self.key[e] == key], "for those only that have answered"
                case Stop(environment, _):
                    assert self.state[environment] != "stopping", "stopped once"
                    assert environment not in self.serving
                    self.state[environment] = "stopping"
        for key in [key for key in self.retired_since if not self.assignment.knows(key)]:
            self.retired_since.discard(key)
        head = self.assignment.waiting.head()
        self.turn = (head.whose, self.waits(head.whose)) if head else None

    def _whose(self, step: Serve | Refuse | Throttle) -> list[str]:
        return [function_of(key) for key, waiting in self.waiting.items() if step.invocation in waiting]

    def having(self, state: str) -> list[str]:
        return sorted(environment for environment, its in self.state.items() if its == state)

    @rule(key=st.sampled_from(sorted(KEYS)))
    def an_invocation_arrives(self, key: str) -> None:
        function = function_of(key)
        want = Want(f"i{next(self.ids)}", key, KEYS[key], function, MOST.get(function, 0))
        self.arrived.append(want.id)
        self.waiting.setdefault(key, []).append(want.id)
        self.take(self.assignment.arrives(want, self.now))

    @precondition(lambda self: self.having("starting"))
    @rule(data=st.data())
    def one_has_started(self, data: st.DataObject) -> None:
        environment = data.draw(st.sampled_from(self.having("starting")))
        self.state[environment] = "idle"
        self.take(self.assignment.becomes_ready(environment, self.now))

    @precondition(lambda self: self.having("starting"))
    @rule(data=st.data())
    def one_cannot_start(self, data: st.DataObject) -> None:
        environment = data.draw(st.sampled_from(self.having("starting")))
        self.take(self.assignment.fails_to_start(environment, "no luck"))

    @precondition(lambda self: self.serving)
    @rule(data=st.data())
    def one_has_answered(self, data: st.DataObject) -> None:
        environment = data.draw(st.sampled_from(sorted(self.serving)))
        self.answered.add(environment)
        self.assignment.answers(environment)

    @rule(key=st.sampled_from(sorted(KEYS)))
    def a_moment_passes(self, key: str) -> None:
        self.answered = {e for e in self.answered if self.key[e] != key}
        self.take(self.assignment.impatient(key))

    @precondition(lambda self: self.serving)
    @rule(data=st.data())
    def one_has_served(self, data: st.DataObject) -> None:
        environment = data.draw(st.sampled_from(sorted(self.serving)))
        self.answered.discard(environment)
        self.ended.add(self.serving.pop(environment))
        self.state[environment] = "idle"
        self.take(self.assignment.becomes_ready(environment, self.now))

    @precondition(lambda self: self.serving)
    @rule(data=st.data())
    def one_breaks(self, data: st.DataObject) -> None:
        environment = data.draw(st.sampled_from(sorted(self.serving)))
        self.answered.discard(environment)
        self.ended.add(self.serving.pop(environment))
        self.take(self.assignment.breaks(environment, "broken"))

    @precondition(lambda self: self.having("starting"))
    @rule(data=st.data())
    def one_goes_before_it_has_started(self, data: st.DataObject) -> None:
        self.take(self.assignment.breaks(data.draw(st.sampled_from(self.having("starting"))), "gone"))

    @precondition(lambda self: self.having("stopping"))
    @rule(data=st.data())
    def one_is_gone(self, data: st.DataObject) -> None:
        environment = data.draw(st.sampled_from(self.having("stopping")))
        del self.state[environment]
        steps = self.assignment.is_gone(environment)
        del self.key[environment]
        self.take(steps)

    @rule(key=st.sampled_from(sorted(KEYS)), urgently=st.booleans())
    def a_snapshot_is_wanted(self, key: str, urgently: bool) -> None:
        if not self.assignment.has_snapshot(key):
            want = Want("", key, KEYS[key], function_of(key))
            steps = self.assignment.initialises(want, urgently=urgently)
            assert not (steps and self.assignment.waiting.short_in_all), "those that wait for room come first"
            self.take(steps)

    @precondition(lambda self: self.having("initialising"))
    @rule(data=st.data())
    def a_snapshot_is_initialised(self, data: st.DataObject) -> None:
        environment = data.draw(st.sampled_from(self.having("initialising")))
        self.state[environment] = "resting"
        self.take(self.assignment.rests(environment, self.now))

    @precondition(lambda self: self.having("initialising"))
    @rule(data=st.data())
    def a_snapshot_cannot_be_initialised(self, data: st.DataObject) -> None:
        self.take(self.assignment.breaks(data.draw(st.sampled_from(self.having("initialising"))), "no luck"))

    @precondition(lambda self: self.having("resting"))
    @rule(data=st.data(), at_last=st.booleans())
    def a_snapshot_has_grown_old(self, data: st.DataObject, at_last: bool) -> None:
        environment = data.draw(st.sampled_from(self.having("resting")))
        self.take(self.assignment.renews(environment, at_last=at_last))

    @rule(key=st.sampled_from(sorted(KEYS)))
    def a_key_is_retired(self, key: str) -> None:
        if self.assignment.knows(key):
            self.retired_since.add(key)
        self.take(self.assignment.retires(key))

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.assignment.expires(self.now))
        self.take(self.assignment.overdue(self.now))

    @rule(number=st.integers(1, 4))
    def the_processors_are_looked_at(self, number: int) -> None:
        self.assignment.starts_at_once = number
        self.take(self.assignment.resumes())

    @invariant()
    def no_function_has_more_environments_than_it_may(self) -> None:
        for function, most in MOST.items():
            theirs = [state for environment, state in self.state.items() if self.of(environment) == function]
            assert len([state for state in theirs if state in {"starting", "idle", "busy"}]) <= most

    def starting(self, key: str) -> int:
        return len([e for e in self.having("starting") if self.key[e] == key])

    @invariant()
    def those_that_are_short_are_counted(self) -> None:
        short = {
            key: len(waiting) - self.starting(key) - len([e for e in self.answered if self.key[e] == key])
            for key, waiting in self.waiting.items()
        }
        assert self.assignment.waiting.short_in_all == sum(max(0, number) for number in short.values())

    @invariant()
    def an_invocation_waits_only_while_no_environment_of_its_key_is_idle(self) -> None:
        for key, waiting in self.waiting.items():
            assert not waiting or not [e for e in self.having("idle") if self.key[e] == key]

    @invariant()
    def all_environments_fit_in_memory_those_being_stopped_included(self) -> None:
        used = sum(KEYS[self.key[environment]] for environment in self.state)
        assert self.assignment.memory == (used, MEMORY)
        assert used <= MEMORY

    @invariant()
    def while_anything_waits_something_is_on_its_way(self) -> None:
        if any(self.waiting.values()):
            on_their_way = ("starting", "busy", "stopping", "initialising")
            assert [environment for state in on_their_way for environment in self.having(state)]

    @invariant()
    def nobody_lacks_an_environment_while_a_snapshot_of_his_key_rests(self) -> None:
        for environment in self.having("resting"):
            key = self.key[environment]
            assert not self.assignment.waiting.is_short(key, function_of(key))

    @invariant()
    def snapshots_have_a_quarter_of_the_memory_at_most(self) -> None:
        snapshots = [*self.having("resting"), *self.having("initialising")]
        assert self.assignment.snapshots_promised_mb == sum(KEYS[self.key[e]] for e in snapshots) <= MEMORY / 4

    @invariant()
    def no_key_has_more_than_one_snapshot_at_rest(self) -> None:
        at_rest = [self.key[environment] for environment in self.having("resting")]
        assert len(at_rest) == len(set(at_rest))

    def of(self, environment: str) -> str:
        return function_of(self.key[environment])

    @invariant()
    def a_retired_key_has_no_idle_environment(self) -> None:
        unused = [*self.having("idle"), *self.having("resting")]
        assert not [environment for environment in unused if self.key[environment] in self.retired_since]

    @invariant()
    def nothing_idles_past_its_time_when_it_has_been_looked_at(self) -> None:
        assert self.assignment.next_expiry() is not None or not self.having("idle")

    @invariant()
    def no_invocation_is_lost_or_served_twice(self) -> None:
        places = [*self.ended, *self.serving.values(), *itertools.chain(*self.waiting.values())]
        assert sorted(places) == sorted(self.arrived)

    @invariant()
    def both_books_say_the_same(self) -> None:
        assert self.assignment.environments() == {e: (self.key[e], state) for e, state in self.state.items()}

    def teardown(self) -> None:
        """When everything that is under way comes to its end, every invocation has, and nothing is left."""
        while self.state:
            for environment in self.having("resting"):
                self.take(self.assignment.retires(self.key[environment]))
            moving = [environment for environment, state in sorted(self.state.items()) if state != "idle"]
            for environment in moving:
                self._end(environment)
            if not moving:
                self.now += 60
                self.take(self.assignment.expires(self.now))
        assert not any(self.waiting.values())
        assert [key for key in KEYS if self.assignment.knows(key)] == []
        assert repr(self.assignment) == "<Assignment 0 environments, 0 idle, 0 waiting, 0 of 1024 MB>"

    def _end(self, environment: str) -> None:
        """What it is about, comes to an end."""
        state = self.state[environment]
        if state == "stopping":
            del self.state[environment]
            steps = self.assignment.is_gone(environment)
            del self.key[environment]
        elif state == "initialising":
            self.state[environment] = "resting"
            steps = self.assignment.rests(environment, self.now)
        else:
            if state == "busy":
                self.answered.discard(environment)
                self.ended.add(self.serving.pop(environment))
            self.state[environment] = "idle"
            steps = self.assignment.becomes_ready(environment, self.now)
        self.take(steps)


TestWhateverHappens = pytest.mark.timeout(600)(Node.TestCase)
TestWhateverHappens.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
