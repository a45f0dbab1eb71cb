"""How many there are of something at the moment, sampled whenever there are more, and what that was within a minute."""

import math
from typing import Protocol

from pasture.metrics.names import Dimensions
from pasture.metrics.sample import Sample


class Sampled(Protocol):
    sampled: list["Level"]
    """Those that have something to tell."""


class Level:
    """How many there are of something at the moment, and what that was within a minute."""

    __slots__ = ("_count", "_least", "_most", "_sampled", "_total", "dimensions", "name", "now", "owner")

    def __init__(self, sampled: "Sampled", owner: tuple[str, str], name: str, dimensions: Dimensions = ()) -> None:
        self._sampled = sampled
        self.owner = owner
        self.name = name
        self.dimensions = dimensions
        self.now: float = 0
        self._reset()

    def _reset(self) -> None:
        self._count = 0
        self._total: float = 0
        self._least = math.inf
        self._most: float = 0

    def rises(self) -> None:
        self.now += 1
        self.sample()

    def falls(self) -> None:
        self.now -= 1

    def sample(self) -> None:
        now = self.now
        if not self._count:
            self._sampled.sampled.append(self)
        self._count += 1
        self._total += now
        if now < self._least:  # noqa: PLR1730 - quicker than min() and max(), here and below
            self._least = now
        if now > self._most:  # noqa: PLR1730
            self._most = now

    def taken(self) -> Sample:
        sample = Sample.of_set(self._count, self._total, self._least, self._most)
        self._reset()
        return sample


class Provisioned:
    """How many run on provisioned environments, and what share of those that is."""

    __slots__ = ("executions", "utilisation")

    def __init__(self, sampled: Sampled, owner: tuple[str, str], dimensions: Dimensions) -> None:
        self.executions = Level(sampled, owner, "ProvisionedConcurrentExecutions", dimensions)
        self.utilisation = Level(sampled, owner, "ProvisionedConcurrencyUtilization", dimensions)

    def rises(self, allocated: int) -> None:
        self.executions.rises()
        self.utilisation.now = self.executions.now / allocated
        self.utilisation.sample()

    def falls(self, allocated: int) -> None:
        self.executions.falls()
        self.utilisation.now = self.executions.now / allocated
