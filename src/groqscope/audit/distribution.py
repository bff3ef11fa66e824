"""Quantiles of values: exact up to `EXACT_LIMIT` values, then from a sketch with logarithmic buckets.

An exact quantile is interpolated between the two nearest ranks. The sketch counts values by bucket; a bucket is from
`x` to `x * GAMMA`, so that a quantile is within `RELATIVE_ERROR` of the true value, whatever the distribution. Count,
sum, minimum and maximum stay exact.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add, itemgetter
from typing import Final, Protocol

from groqscope.audit.model import Distribution, Unit

EXACT_LIMIT: Final = 100_000
RELATIVE_ERROR: Final = 0.01
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA: Final = math.log(GAMMA)
QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)


def needed(quantile: float) -> int:
    """Return how many values a quantile needs, so that one of them is expected beyond it."""
    return max(1, math.ceil(round(1 / (1 - quantile), 6))) if quantile > 0.5 else 1  # the median


class Sorted(Protocol):
    """Values in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, rank: int, /) -> float:
        """Return the value of a rank, counted from 0."""
        ...


def ranks_of(n: int, quantile: float) -> tuple[int, int]:
    """Return the two nearest ranks of a quantile of `n` values."""
    below = math.floor((n - 1) * quantile)
    return below, min(below + 1, n - 1)


def range_of(rank: int, n: int) -> tuple[float, float]:
    """Return from which to which share of `n` values an engine finds the one of a rank: no rounding leads out of it."""
    return (rank + 0.25) / n, (rank + 0.75) / n


def shares_of(ranks: Iterable[tuple[int, int]]) -> list[float]:
    """Return few shares, in order, of which one is in the range of each rank among so many values.

    Groups of any size ask for the same quantiles, so that about as many shares do for all of them as for one.
    """
    shares: list[float] = []
    for low, high in sorted({range_of(rank, n) for rank, n in ranks}, key=itemgetter(1)):
        if not shares or shares[-1] < low:
            shares.append(high)
    return shares


def quantile_of_sorted(values: Sorted, quantile: float) -> float:
    """Return a quantile of sorted values, interpolated between the two nearest ranks."""
    position = (len(values) - 1) * quantile
    below, above = ranks_of(len(values), quantile)
    return values[below] + (values[above] - values[below]) * (position - below)


class Values:
    """Non-negative numbers, added one by one."""

    __slots__ = ("_buckets", "_sorted", "_values", "_zeros", "limit", "max", "min", "n", "total")

    def __init__(self, limit: int = EXACT_LIMIT) -> None:
        self.limit = limit
        self.n = 0
        self.total = 0.0
        self.min = math.inf
        self.max = -math.inf
        self._values: array[float] | None = array("d")
        self._sorted = True
        self._buckets: dict[int, int] = {}
        self._zeros = 0

    @property
    def exact(self) -> bool:
        """Whether every value is still known."""
        return self._values is not None

    def add(self, value: float) -> None:
        """Add one value."""
        self.n += 1
        self.total += value
        if value < self.min:  # noqa: PLR1730 - a comparison is half the time of a call, and this runs for every value
            self.min = value
        if value > self.max:  # noqa: PLR1730 - as above
            self.max = value
        if self._values is None:
            self._count(value, 1)
            return
        self._values.append(value)
        self._sorted = False
        if self.n > self.limit:
            self._to_sketch()

    def extend(self, values: Sequence[float]) -> None:
        """Add several values, one after the other."""
        if not values:
            return
        self.n += len(values)
        self.total = reduce(add, values, self.total)
        least, greatest = min(values), max(values)
        self.min, self.max = min(self.min, least), max(self.max, greatest)
        if self._values is None:
            for value in values:
                self._count(value, 1)
            return
        self._values.extend(values)
        self._sorted = False
        if self.n > self.limit:
            self._to_sketch()

    def merge(self, other: "Values") -> None:
        """Add the values of another."""
        self.n += other.n
        self.total += other.total
        self.min, self.max = min(self.min, other.min), max(self.max, other.max)
        if self._values is not None and other.exact and self.n <= self.limit:
            self._values.extend(other.ordered())
            self._sorted = False
            return
        self._to_sketch()
        if other.exact:
            for value in other.ordered():
                self._count(value, 1)
            return
        buckets, zeros = other.sketch
        self._zeros += zeros
        for bucket, count in buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    @property
    def sketch(self) -> tuple[dict[int, int], int]:
        """Counts by bucket, and how many values are 0."""
        return self._buckets, self._zeros

    def quantile(self, quantile: float) -> float | None:
        """Return a quantile, or `None` when there are too few values for it."""
        if self.n < needed(quantile):
            return None
        if self._values is None:
            return self._from_sketch(quantile)
        return quantile_of_sorted(self.sorted(), quantile)

    def sorted(self) -> Sorted:
        """Return all values in order, while they are still exact."""
        return self.ordered()

    def ordered(self) -> "array[float]":
        """Return the same as an array."""
        if self._values is None:
            raise ValueError("there are too many values: only a sketch of them is kept")
        if not self._sorted:
            self._values = array("d", sorted(self._values))
            self._sorted = True
        return self._values

    def distribution(self, unit: Unit) -> Distribution:
        """Return what reports show."""
        if not self.n:
            return Distribution(unit=unit, n=0)
        p50, p90, p95, p99 = map(self.quantile, QUANTILES)
        return Distribution(
            unit=unit,
            n=self.n,
            total=self.total,
            min=self.min,
            p50=p50,
            p90=p90,
            p95=p95,
            p99=p99,
            max=self.max,
            exact=self.exact,
        )

    def _to_sketch(self) -> None:
        values, self._values = self._values, None
        for value in values or ():
            self._count(value, 1)

    def _count(self, value: float, count: int) -> None:
        if value <= 0:
            self._zeros += count
            return
        bucket = math.ceil(math.log(value) / _LOG_GAMMA)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def _from_sketch(self, quantile: float) -> float:
        rank = (self.n - 1) * quantile
        seen = self._zeros
        if rank < seen:
            return 0.0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if rank < seen:
                # The point whose relative distance to both ends of the bucket is the same.
                middle = 2 * math.exp(bucket * _LOG_GAMMA) / (GAMMA + 1)
                return min(max(middle, self.min), self.max)
        return self.max


class Ranked(Values):
    """Values that DuckDB has counted; of their order, only the ranks that were queried are known."""

    __slots__ = ("by_rank", "wanted")

    def __init__(self, n: int, total: float, least: float, greatest: float) -> None:
        super().__init__()
        self.n, self.total, self.min, self.max = n, total, least, greatest
        self.by_rank: dict[int, float] = {}
        self.wanted: set[int] = set()
        """Ranks that are to be asked for."""

    def quantile(self, quantile: float) -> float | None:
        """Return a quantile, or `None` when there are too few values for it."""
        return None if self.n < needed(quantile) else quantile_of_sorted(self, quantile)

    def sorted(self) -> Sorted:
        """Return the values in order, as far as they are known."""
        return self

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rank: int) -> float:
        return self.by_rank[rank]
