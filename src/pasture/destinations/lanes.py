"""Which targets take deliveries now? One that does not answer rests, ever longer, and no other waits for it. Pure.

Every target has a lane of its own for one delivery, and for more as far as the lanes together have room: so a target
that is slow takes nothing from the others. After a failure that was the target's its lane rests, and is then tried with
a single delivery until one gets through. A lane without anything to remember is forgotten.
"""

from dataclasses import dataclass

WIDTH = 8
"""Deliveries to one target at once."""
SHARED = 32
"""Deliveries at once, to all targets; a target that has none may begin one all the same."""
FIRST_REST = 1.0
LONGEST_REST = 300.0


@dataclass(slots=True)
class _Lane:
    running: int = 0
    failures: int = 0
    """Rests in a row."""
    rests_until: float = 0.0


class Lanes:
    def __init__(self, scale: float = 1.0) -> None:
        """`scale`: of all times."""
        self._scale = scale
        self._lanes: dict[str, _Lane] = {}
        self._running = 0

    def __repr__(self) -> str:
        return f"Lanes({self._lanes})"

    def __len__(self) -> int:
        return len(self._lanes)

    def takes(self, target: str, now: float) -> bool:
        lane = self._lanes.get(target)
        if lane is None:
            return True
        if now < lane.rests_until:
            return False
        return not lane.running or (not lane.failures and lane.running < WIDTH and self._running < SHARED)

    def closed(self, now: float) -> frozenset[str]:
        """Those that take nothing now. What failed once and has nothing to take any more is forgotten."""
        forgotten = now - LONGEST_REST * self._scale
        for target in [t for t, lane in self._lanes.items() if not lane.running and lane.rests_until < forgotten]:
            del self._lanes[target]
        return frozenset(target for target in self._lanes if not self.takes(target, now))

    def is_failing(self, target: str) -> bool:
        """Whether the last that was heard of it was that it does not answer."""
        lane = self._lanes.get(target)
        return lane is not None and lane.failures > 0

    def next_opening(self, now: float) -> float | None:
        """When the first of those that rest takes deliveries again."""
        rests = [lane.rests_until for lane in self._lanes.values() if lane.rests_until > now]
        return min(rests) if rests else None

    def begins(self, target: str) -> None:
        self._lanes.setdefault(target, _Lane()).running += 1
        self._running += 1

    def ends(self, target: str) -> None:
        """Without a word about the target: nothing was heard of it."""
        lane = self._lanes[target]
        lane.running -= 1
        self._running -= 1
        if not lane.running and not lane.failures:
            del self._lanes[target]

    def answers(self, target: str) -> None:
        """It has answered, be it with a refusal of that one delivery."""
        lane = self._lanes[target]
        lane.failures = 0
        lane.rests_until = 0.0

    def fails(self, target: str, now: float) -> float:
        """It did not answer, or has no time: when it is tried again. Those that run beside it fail with it, as one."""
        lane = self._lanes[target]
        if now >= lane.rests_until:
            lane.failures += 1
            lane.rests_until = now + pause(lane.failures, self._scale)
        return lane.rests_until


def pause(failures: int, scale: float = 1.0) -> float:
    """Seconds after so many failures in a row."""
    return min(FIRST_REST * 2.0 ** min(failures - 1, 20), LONGEST_REST) * scale
