"""What each function has of this machine, and how fast it has come to have it. Pure."""

from dataclasses import dataclass

from pasture.environments.waiting import Want
from pasture.kit.bucket import Bucket

# Functions whose rate of starts is remembered: beyond so many those that rest are forgotten.
_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What the machine's owner and AWS's quotas say."""

    places: int = 4_000
    """For invocations that wait until there is room for an environment."""
    waiting_seconds: float = 30.0
    turn_seconds: float = 1.0
    """An environment serves its own for so long before it makes room for a function that waits."""
    scaling_burst: int = 1_000
    """Environments that a function may get at once, and again in every `scaling_seconds`."""
    scaling_seconds: float = 10.0


@dataclass(slots=True)
class _Share:
    """But for what is being stopped."""

    memory_mb: int = 0
    environments: int = 0
    most: int = 0
    """So many it may have; 0: any number."""


class Shares:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._shares: dict[str, _Share] = {}
        self._scaling: dict[str, Bucket] = {}

    def memory_mb(self, function: str) -> int:
        share = self._shares.get(function)
        return share.memory_mb if share is not None else 0

    def may_grow(self, want: Want, short: int, now: float) -> bool:
        """Whether AWS would give its function one environment more, besides those it is `short` of."""
        share = self._shares.get(want.whose)
        if want.environments and (share.environments if share is not None else 0) + short >= want.environments:
            return False
        rules = self._rules
        bucket = self._scaling.get(want.whose)
        if bucket is None:
            return short < rules.scaling_burst
        return bucket.holds(rules.scaling_burst, rules.scaling_burst / rules.scaling_seconds, now) >= short + 1

    def is_full(self, function: str) -> bool:
        share = self._shares.get(function)
        return share is not None and 0 < share.most <= share.environments

    def takes(self, want: Want, now: float) -> None:
        share = self._shares.setdefault(want.whose, _Share())
        share.memory_mb += want.memory_mb
        share.environments += 1
        share.most = want.environments
        self._scaling_of(want.whose, now).must_take()

    def gives(self, function: str, memory_mb: int) -> None:
        share = self._shares[function]
        share.memory_mb -= memory_mb
        share.environments -= 1
        if not share.environments:
            del self._shares[function]

    def _scaling_of(self, function: str, now: float) -> Bucket:
        bucket = self._scaling.get(function)
        if bucket is None:
            if len(self._scaling) >= _REMEMBERED:
                seconds = self._rules.scaling_seconds
                self._scaling = {known: its for known, its in self._scaling.items() if its.age(now) < seconds}
            bucket = self._scaling[function] = Bucket(self._rules.scaling_burst, now)
        return bucket
