"""Which function's events run next, and how many of them at once. Pure; time is an argument.

Each function has a lane. Lanes take turns. What may be in flight is bounded, in events and in bytes of their payloads,
and no lane takes all of it: of the places that are free each may have as many as it leaves to the others (dynamic
thresholds, as in `environments/waiting`), and a lane with nothing in flight may have one from a reserve. So one
function's million events do not keep another's one waiting.

A lane has a window: it is as wide as may be until one of its events is set back; then it is half of what was in flight,
nothing is tried for a moment that grows, and every success widens it again. While there is no room for one more
invocation of its function, nothing is begun: there is, for a first one, while concurrency is left, as it may wait its
turn for memory; and for others only while none waits. So those who call the function and wait for the answer find one
event before them at most.

In flight is what was claimed and has not ended. Some of it waits here, claimed in advance, so that it need not be read
when a place comes free.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf

from pasture.domain.events import Event
from pasture.domain.scope import Scope

PLACES = 900
BYTES = 64 * 1024 * 1024
# Claimed with one reading, at most.
_CLAIM = 64
# How soon a lane that is held back is looked at again, while it is held back for long.
_LOOKS = (0.05, 1.0)
_PAUSES = (1.0, 60.0)
# A lane that has had no room for so long tries one all the same: it may be too old by now.
_PATIENCE = 30.0

Key = tuple[Scope, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim so many events of the function that are due, with so many bytes of payload."""

    key: Key
    limit: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Begin:
    key: Key
    event: Event


Step = Claim | Begin


@dataclass(slots=True, eq=False)
class Lane:
    key: Key
    next_due: float = inf
    """Of what is not claimed."""
    noticed: float = inf
    """The same, of what was queued while a claim reads."""
    claiming: int = 0
    """So many places are taken for what is being claimed."""
    ready: deque[Event] = field(default_factory=deque)
    running: int = 0
    ending: int = 0
    """Those that have run, and of which the queue is yet to know."""
    bytes_: int = 0
    """Of what is ready, runs or ends."""
    window: float = inf
    setbacks: int = 0
    """In a row."""
    paused: float = -inf
    """Until then nothing is tried."""
    look: float = _LOOKS[0]
    roomless: float = -inf
    """Since when it has no room; -inf while it has."""
    wake: float = inf
    """When it is looked at next, if nothing happens before."""

    @property
    def held(self) -> int:
        return self.running + self.ending + len(self.ready) + self.claiming

    @property
    def is_empty(self) -> bool:
        return not self.held and self.next_due == inf


class Lanes:
    """Mutable state: the lanes, their order, and what is in flight."""

    def __init__(self, places: int = PLACES, bytes_: int = BYTES, *, scale: float = 1.0) -> None:
        self._places = places
        self._bytes = bytes_
        self._scale = scale
        self._lanes: dict[Key, Lane] = {}
        self._turns: OrderedDict[Key, Lane] = OrderedDict()
        """Those that may have something to do now, whose turn it is first."""
        self._roomless: OrderedDict[Key, Lane] = OrderedDict()
        """Those for which there was no room, longest ago first."""
        self._alarms: list[tuple[float, int, Lane]] = []
        self._alarm_count = 0
        self._taken = 0
        self._taken_bytes = 0
        self.running = 0

    def __repr__(self) -> str:
        return f"<Lanes {len(self._lanes)}, {self.running} events run, {self._taken} of {self._places} places taken>"

    def __contains__(self, key: Key) -> bool:
        return key in self._lanes

    def running_of(self, key: Key) -> int:
        lane = self._lanes.get(key)
        return lane.running if lane is not None else 0

    # What happens...

    def queued(self, key: Key, due: float) -> None:
        """An event of the function is to run, at `due`."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        lane.noticed = min(lane.noticed, due)
        if due < lane.next_due:
            lane.next_due = due
            self._turns.setdefault(key, lane)

    def claimed(self, key: Key, events: list[Event], next_due: float | None) -> None:
        lane = self._lanes[key]
        self._taken += len(events) - lane.claiming
        lane.claiming = 0
        lane.ready.extend(events)
        size = sum(len(event.payload) for event in events)
        lane.bytes_ += size
        self._taken_bytes += size
        lane.next_due = min(inf if next_due is None else next_due, lane.noticed)
        self._turns.setdefault(key, lane)
        self._forget_empty(lane)

    def claim_failed(self, key: Key, now: float) -> None:
        """The queue could not be read: again in a moment."""
        lane = self._lanes[key]
        self._taken -= lane.claiming
        lane.claiming = 0
        lane.next_due = min(lane.next_due, lane.noticed)
        self._pause(lane, now)

    def ran(self, key: Key, now: float, *, set_back: bool) -> None:
        """An attempt is over: there is room for another."""
        lane = self._lanes[key]
        lane.running -= 1
        lane.ending += 1
        self.running -= 1
        if not set_back:
            lane.setbacks = 0
            lane.window += 1.0
        elif now >= lane.paused:  # others of the same moment say the same
            self._pause(lane, now)
            lane.window = max(1.0, (lane.running + 1) / 2)
        if self._roomless:
            # Before it: what has come free may be theirs.
            first, waiting = self._roomless.popitem(last=False)
            self._turns.setdefault(first, waiting)
        self._turns.setdefault(key, lane)

    def ended(self, key: Key, event: Event) -> None:
        """The queue knows what came of it: there is a place for another."""
        lane = self._lanes[key]
        lane.ending -= 1
        self._taken -= 1
        lane.bytes_ -= len(event.payload)
        self._taken_bytes -= len(event.payload)
        self._turns.setdefault(key, lane)
        self._forget_empty(lane)

    def _forget_empty(self, lane: Lane) -> None:
        if lane.is_empty:
            lane.wake = inf
            del self._lanes[lane.key]
            self._turns.pop(lane.key, None)
            self._roomless.pop(lane.key, None)

    def _pause(self, lane: Lane, now: float) -> None:
        lane.paused = now + min(_PAUSES[1], _PAUSES[0] * 2.0**lane.setbacks) * self._scale
        lane.setbacks = min(lane.setbacks + 1, 10)
        self._wake_at(lane, lane.paused)

    # What to do...

    def plan(self, now: float, has_room: Callable[[Key, int], bool]) -> Iterator[Step]:
        """Steps, to be taken as they come. `has_room`: whether one more may run, where so many run already."""
        self._ring(now)
        while self._turns:
            key, lane = self._turns.popitem(last=False)
            step = self._next(lane, now, has_room)
            if step is not None:
                self._turns[key] = lane
                yield step

    def wake_at(self) -> float | None:
        """When there may be something to do, if nothing happens before."""
        while self._alarms and self._alarms[0][2].wake != self._alarms[0][0]:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def _next(self, lane: Lane, now: float, has_room: Callable[[Key, int], bool]) -> Step | None:
        """None when it has nothing to do until something happens to it, or its alarm rings."""
        self._roomless.pop(lane.key, None)
        if now < lane.paused:
            self._wake_at(lane, lane.paused)
            return None
        if not lane.ready and lane.next_due > now:
            if lane.next_due < inf and not lane.claiming:
                self._wake_at(lane, lane.next_due)
            return None
        if lane.running >= lane.window:
            return None
        if not has_room(lane.key, lane.running) and not self._is_impatient(lane, now):
            self._hold(lane, now)
            return None
        if lane.ready:
            lane.look = _LOOKS[0]
            lane.roomless = -inf
            lane.running += 1
            self.running += 1
            return Begin(lane.key, lane.ready.popleft())
        return None if lane.claiming else self._claim(lane, now)

    def _claim(self, lane: Lane, now: float) -> Step | None:
        free, free_bytes = self._places - self._taken, self._bytes - self._taken_bytes
        # Half of what it may have more than it leaves: then it has no more than is left.
        limit = int(min((free - lane.held) // 2, lane.window - lane.running + 1, _CLAIM))
        most_bytes = (free_bytes - lane.bytes_) // 2
        if limit < 1 or most_bytes < 1:
            if lane.held or free < -self._places or free_bytes < -self._bytes:
                self._hold(lane, now)
                return None
            # From the reserve, which is as large again.
            limit, most_bytes = 1, 1
        lane.claiming = limit
        lane.noticed = inf
        self._taken += limit
        return Claim(lane.key, limit, most_bytes)

    def _is_impatient(self, lane: Lane, now: float) -> bool:
        if lane.roomless == -inf:
            lane.roomless = now
        return not lane.running and now - lane.roomless >= _PATIENCE * self._scale

    def _hold(self, lane: Lane, now: float) -> None:
        self._roomless[lane.key] = lane
        self._wake_at(lane, now + lane.look)
        lane.look = min(2 * lane.look, _LOOKS[1])

    def _wake_at(self, lane: Lane, time: float) -> None:
        if time == lane.wake:
            return
        lane.wake = time
        self._alarm_count += 1
        heapq.heappush(self._alarms, (time, self._alarm_count, lane))

    def _ring(self, now: float) -> None:
        while (time := self.wake_at()) is not None and time <= now:
            _, _, lane = heapq.heappop(self._alarms)
            lane.wake = inf
            if self._lanes.get(lane.key) is lane:
                self._turns.setdefault(lane.key, lane)
