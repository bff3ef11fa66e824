"""Samples of bounded size: of times and gaps while a request runs, and of arrival times as text.

A `StrideSample` has no randomness, so that equal observations give equal samples: it keeps every 2^k-th value; when it
is full, every second one is dropped and k grows.

Arrival times are packed into a short string of digits, `stride;first,gap,gap,…` in whole microseconds. Only digits, `;`
and `,` occur, so that no scrubber mistakes the string for a secret.
"""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

_PACKED: Final = re.compile(r"\d+;(?:\d+(?:,\d+)*)?")
_BEGUN: Final = re.compile(r"(?:\d+(?:;(?:\d+(?:,\d+)*,?)?)?)?")

MAX_PACKED = 1024
"""Characters; well below the 2,048 bytes at which Tempo cuts an attribute."""


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


def pack(times_us: tuple[int, ...], stride: int) -> str:
    """Return non-decreasing times as text."""
    previous = 0
    gaps: list[str] = []
    for time in times_us:
        gaps.append(str(time - previous))
        previous = time
    return f"{stride};{','.join(gaps)}"


def unpack(text: str) -> tuple[tuple[int, ...], int]:
    """Return the times and the stride in a text that `pack` made.

    Raises:
        ValueError: the text is not one of `pack`'s.
    """
    stride, _, gaps = text.partition(";")
    if not _PACKED.fullmatch(text) or not int(stride):
        raise ValueError("no packed times")
    return tuple(accumulate(map(int, gaps.split(",")))) if gaps else (), int(stride)


def is_cut(text: str) -> bool:
    """Return whether a limit on the length of strings can have truncated packed times to this."""
    return _BEGUN.fullmatch(text) is not None


def fit(times_us: tuple[int, ...], stride: int) -> tuple[tuple[int, ...], int]:
    """Return the times and the stride, with every second time dropped until the text fits into `MAX_PACKED`."""
    while len(pack(times_us, stride)) > MAX_PACKED:
        times_us, stride = times_us[::2], stride * 2
    return times_us, stride
