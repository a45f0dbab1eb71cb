"""Many values as one: how many, their sum, the least, the greatest, and how they are spread. Pure.

The spread is a DDSketch (Masson, Rim, Lee, VLDB 2019): a value counts in the bucket of its logarithm, so that any
percentile is known within `RELATIVE_ERROR` of itself, and samples are merged by adding up their buckets, without
further loss.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Self

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / math.log(_GAMMA)
# What a bucket stands for is as far from its lower as from its upper end.
_MIDDLE = 2 / (1 + _GAMMA)
# Below every bucket that a logarithm of a double can name.
ZERO = -(1 << 20)
# What of a share of the count is its rounding.
_NEARLY = 1 - 1e-9


def bucket_of(value: float) -> int:
    """Of a value that is not negative."""
    return math.ceil(math.log(value) * _PER_LOG) if value > 0 else ZERO


def value_of(bucket: int) -> float:
    return 0.0 if bucket == ZERO else math.exp(bucket / _PER_LOG) * _MIDDLE


class Sample:
    """`buckets` is None when the spread is not known: of a statistic set, or where a value was negative.

    Counts are floats where a client has sent them so.
    """

    __slots__ = ("buckets", "count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.count: float = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.buckets: dict[int, float] | None = {}

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        made = cls()
        for value in values:
            made.add(value)
        return made

    @classmethod
    def of_set(cls, count: float, total: float, minimum: float, maximum: float) -> Self:
        """A statistic set: its spread is known only when all of its values are the same."""
        made = cls()
        made.count, made.total, made.minimum, made.maximum = count, total, minimum, maximum
        alike = minimum == maximum or count == 1
        made.buckets = {bucket_of(minimum): count} if alike and minimum >= 0 else None
        return made

    def __repr__(self) -> str:
        return f"Sample({self.count:g} values, sum {self.total:g}, {self.minimum:g}..{self.maximum:g})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sample) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment] # it changes

    @property
    def _parts(self) -> tuple[float, float, float, float, Mapping[int, float] | None]:
        return self.count, self.total, self.minimum, self.maximum, self.buckets

    def add(self, value: float, count: float = 1) -> None:
        """The invoke path comes through here."""
        self.count += count
        self.total += value * count
        if value < self.minimum:  # noqa: PLR1730 - quicker than min() and max(), here and below
            self.minimum = value
        if value > self.maximum:  # noqa: PLR1730
            self.maximum = value
        buckets = self.buckets
        if buckets is None:
            return
        if value < 0:
            self.buckets = None
            return
        bucket = math.ceil(math.log(value) * _PER_LOG) if value > 0 else ZERO
        buckets[bucket] = buckets.get(bucket, 0) + count

    def merge(self, other: "Sample") -> None:
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        if self.buckets is None or other.buckets is None:
            self.buckets = None
            return
        buckets = self.buckets
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count

    def copy(self) -> "Sample":
        made = Sample()
        made.merge(self)
        return made

    @property
    def average(self) -> float:
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float | None:
        """The least value that so many in a hundred do not exceed, within `RELATIVE_ERROR` of itself.

        None where the spread is not known.
        """
        if self.buckets is None or not self.count:
            return None
        wanted = percent / 100 * self.count
        seen: float = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted * _NEARLY:
                return min(max(value_of(bucket), self.minimum), self.maximum)
        return self.maximum

    def at_most(self, bound: float) -> float:
        """How many values are not above the bound, within the error; 0 where the spread is not known."""
        last = bucket_of(bound)
        return sum(count for bucket, count in (self.buckets or {}).items() if bucket <= last)
