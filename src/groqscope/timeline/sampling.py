"""A sample of bounded size without randomness: equal observations give equal samples.

It keeps every 2^k-th value; when it is full, every second one is dropped and k grows.
"""

from collections.abc import Sequence


class StrideSample:
    """Every `stride`-th of the values added, at most `room` (an even number) of them."""

    __slots__ = ("_room", "skip", "stride", "values")

    def __init__(self, room: int) -> None:
        self._room = room
        self.skip = 0
        """How many of the next values are skipped; a caller in a hot path may count it down itself, without a call."""
        self.stride = 1
        self.values: list[int] = []

    def add(self, value: int) -> None:
        """Add a value, or skip it."""
        if self.skip:
            self.skip -= 1
            return
        if len(self.values) >= self._room:
            del self.values[1::2]
            self.stride *= 2
        self.values.append(value)
        self.skip = self.stride - 1


def quantile(values: Sequence[int], q: float) -> int:
    """Nearest-rank quantile of a non-empty sequence."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(q * 1000) * len(ordered) // 1000) - 1))]
