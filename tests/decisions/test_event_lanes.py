"""Which function's events run next, and how many at once."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pasture.domain.events import Event
from pasture.domain.scope import Scope
from pasture.invoke.lanes import Begin, Key, Lanes


def key(name: str) -> Key:
    return (Scope(), name)


class Desk:
    """Lanes, a queue beside them, and what runs."""

    def __init__(self, places: int = 100, bytes_: int = 1_000_000, room: int = 1_000_000) -> None:
        self.lanes = Lanes(places, bytes_)
        self.room = room
        self.now = 0.0
        self.queue: dict[str, deque[Event]] = defaultdict(deque)
        self.running: list[Event] = []
        self.begun: list[str] = []
        self._numbers = iter(range(10_000_000))

    def put(self, name: str, count: int = 1, size: int = 2) -> None:
        for _ in range(count):
            event = Event(str(next(self._numbers)), Scope(), name, "", b"x" * size, self.now)
            self.queue[name].append(event)
            self.lanes.queued(key(name), self.now)

    def work(self) -> None:
        """Take steps until there are none."""
        for step in self.lanes.plan(self.now, self._has_room):
            if isinstance(step, Begin):
                self.running.append(step.event)
                self.begun.append(step.event.name)
                continue
            left, size = self.queue[step.key[1]], 0
            taken: list[Event] = []
            while left and len(taken) < step.limit and (not taken or size + len(left[0].payload) <= step.most_bytes):
                taken.append(left.popleft())
                size += len(taken[-1].payload)
            self.lanes.claimed(step.key, taken, left[0].accepted if left else None)

    def _has_room(self, _key: Key, _running: int) -> bool:
        return len(self.running) < self.room

    def end(self, event: Event, *, set_back: bool = False) -> None:
        self.running.remove(event)
        self.lanes.ran(key(event.name), self.now, set_back=set_back)
        if set_back:
            self.queue[event.name].append(event)
            self.lanes.queued(key(event.name), self.now)
        self.lanes.ended(key(event.name), event)

    def counts(self) -> dict[str, int]:
        return dict(Counter(event.name for event in self.running))

    def drain(self, chosen: Callable[[list[Event]], Event] = lambda running: running[0]) -> None:
        self.work()
        while self.running:
            self.end(chosen(self.running))
            self.work()


def test_one_event_runs_and_nothing_is_left_of_it() -> None:
    desk = Desk()
    desk.put("f")
    desk.work()
    assert (desk.begun, desk.lanes.running_of(key("f")), key("f") in desk.lanes) == (["f"], 1, True)
    desk.end(desk.running[0])
    desk.work()
    assert (key("f") in desk.lanes, desk.lanes.wake_at()) == (False, None)


def test_a_hundred_thousand_events_of_one_do_not_delay_the_one_of_another() -> None:
    desk = Desk()
    desk.put("flood", 100_000)
    desk.work()
    desk.put("g")
    desk.work()
    assert desk.begun[-1] == "g"


def test_no_lane_takes_all_places_and_the_next_leaves_some_too() -> None:
    desk = Desk(places=100)
    for name in ("f", "g", "h"):
        desk.put(name, 1_000)
        desk.work()
    counts = desk.counts()
    assert 0 < counts["h"] < counts["g"] < counts["f"] <= 50
    assert sum(counts.values()) < 100


def test_large_payloads_are_bounded_by_their_bytes_and_the_first_of_a_lane_comes_in_any_case() -> None:
    desk = Desk(places=100, bytes_=1_000)
    desk.put("large", 50, size=100)
    desk.work()
    assert 2 <= desk.counts()["large"] <= 6
    desk.put("huge", 2, size=990)
    desk.put("huger", 2, size=5_000)
    desk.work()
    assert (desk.counts()["huge"], desk.counts()["huger"]) == (1, 1)


def test_lanes_take_turns_where_there_is_room_for_one() -> None:
    desk = Desk(room=1)
    for name in ("f", "g"):
        desk.put(name, 3)
    desk.drain()
    assert Counter(desk.begun) == {"f": 3, "g": 3}
    assert desk.begun == ["f", "g"] * 3


def test_without_room_for_more_nothing_is_begun_and_it_is_looked_at_again_soon() -> None:
    desk = Desk(room=3)
    desk.put("f", 10)
    desk.work()
    assert desk.counts() == {"f": 3}
    wake = desk.lanes.wake_at()
    assert wake is not None
    assert 0 < wake <= 1
    desk.room, desk.now = 5, wake
    desk.work()
    assert desk.counts() == {"f": 5}


def test_a_lane_that_has_had_no_room_for_long_tries_one() -> None:
    desk = Desk(room=0)
    desk.put("f", 2)
    looks = 0
    while not desk.running:
        wake = desk.lanes.wake_at()
        desk.now = wake if wake is not None else desk.now
        desk.work()
        looks += 1
    assert 30 <= desk.now < 32
    assert looks < 100


def test_one_that_is_set_back_halves_what_runs_and_nothing_is_tried_for_a_moment() -> None:
    desk = Desk()
    desk.put("f", 1_000)
    desk.work()
    before = len(desk.running)
    desk.end(desk.running[0], set_back=True)
    desk.end(desk.running[0], set_back=True)  # of the same moment: it counts once
    desk.work()
    assert len(desk.running) == before - 2
    assert desk.lanes.wake_at() == 1.0
    desk.now = 1.0
    desk.work()
    assert len(desk.running) == before - 2
    while len(desk.running) > before / 4:
        desk.end(desk.running[0])
    desk.work()
    assert len(desk.running) > before / 4


def test_pauses_grow_while_nothing_succeeds_and_are_forgotten_when_something_does() -> None:
    desk = Desk()
    desk.put("f", 5)
    pauses = []
    for _ in range(8):
        desk.work()
        began = desk.now
        while desk.running:
            desk.end(desk.running[0], set_back=True)
        desk.work()
        wake = desk.lanes.wake_at()
        assert wake is not None
        pauses.append(wake - began)
        desk.now = wake
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    desk.work()
    desk.end(desk.running[0])
    desk.work()
    desk.end(desk.running[0], set_back=True)
    desk.work()
    assert desk.lanes.wake_at() == desk.now + 1.0


def test_one_that_is_due_later_wakes_the_lane_then() -> None:
    desk = Desk()
    desk.queue["f"].append(Event("1", Scope(), "f", "", b"{}", 60.0))
    desk.lanes.queued(key("f"), 60.0)
    desk.work()
    assert (desk.running, desk.lanes.wake_at()) == ([], 60.0)
    desk.now = 60.0
    desk.work()
    assert len(desk.running) == 1


def test_what_is_queued_while_a_claim_reads_is_not_forgotten() -> None:
    lanes = Lanes()
    lanes.queued(key("f"), 0.0)
    (claim,) = lanes.plan(0.0, lambda *_: True)
    lanes.queued(key("f"), 0.0)
    lanes.claimed(key("f"), [], None)  # it has seen neither
    assert [type(step) for step in lanes.plan(0.0, lambda *_: True)] == [type(claim)]


def test_a_claim_that_failed_is_repeated_after_a_pause() -> None:
    lanes = Lanes()
    lanes.queued(key("f"), 0.0)
    (claim,) = lanes.plan(0.0, lambda *_: True)
    lanes.claim_failed(key("f"), 0.0)
    assert (list(lanes.plan(0.0, lambda *_: True)), lanes.wake_at()) == ([], 1.0)
    assert list(lanes.plan(1.0, lambda *_: True)) == [claim]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 30), st.sampled_from([2, 300, 5_000])), max_size=12),
    st.integers(1, 40),
    st.integers(1, 50),
    st.randoms(use_true_random=False),
)
def test_every_event_runs_once_whatever_comes_in_whatever_order(
    puts: list[tuple[str, int, int]], places: int, room: int, random: Any
) -> None:
    desk = Desk(places, bytes_=2_000, room=room)
    expected: Counter[str] = Counter()
    for name, count, size in puts:
        desk.put(name, count, size)
        expected[name] += count
        desk.work()
        if desk.running and random.random() < 0.5:
            desk.end(random.choice(desk.running))
    while desk.running or desk.lanes.wake_at() is not None:
        if desk.running:
            desk.end(random.choice(desk.running))
        else:
            desk.now = max(desk.now, desk.lanes.wake_at() or 0.0)
        desk.work()
        assert len(desk.running) <= 2 * places + 4
    assert Counter(desk.begun) == expected
    assert not any(key(name) in desk.lanes for name in "abcd")
