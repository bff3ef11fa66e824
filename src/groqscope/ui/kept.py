"""Requests in memory: the newest as they are, older ones packed to a tenth of their size, the oldest not at all.

Each request has a number, in the order in which they arrived. There are two limits: the number of requests, and the
bytes of those that are packed.
"""

import heapq
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from groqscope.timeline import RequestRecord

ROOM: Final = 128 * 1024 * 1024
"""Bytes of packed requests at most."""
_TOGETHER: Final = 50
"""Requests that are packed together: to look at one, all of them are unpacked."""
_PLAIN: Final = 4096
"""Bytes for which a request counts that cannot be packed."""
_LEVEL: Final = 1
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[RequestRecord]).decode


@dataclass(frozen=True, slots=True)
class Part:
    """Requests that arrived one after the other."""

    first: int
    """Number of the first of them."""
    number: int
    earliest: int
    """Start of the earliest of them, Unix nanoseconds."""
    latest: int
    content: bytes | tuple[RequestRecord, ...]

    @classmethod
    def of(cls, records: Sequence[RequestRecord], first: int, *, pack: bool = True) -> "Part":
        """Put requests together."""
        starts = [record.start_unix_ns for record in records]
        content: bytes | tuple[RequestRecord, ...] = tuple(records)
        if pack:
            # A text that is no UTF-8, or a number of more than 64 bits, cannot be packed.
            with suppress(UnicodeEncodeError, OverflowError):
                content = zlib.compress(_encode(records), _LEVEL)
        return cls(first, len(records), min(starts), max(starts), content)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.content) if isinstance(self.content, bytes) else _PLAIN * self.number

    def records(self) -> Sequence[RequestRecord]:
        """Return the requests."""
        return _decode(zlib.decompress(self.content)) if isinstance(self.content, bytes) else self.content


class Kept:
    """The requests that arrived last, at most so many."""

    def __init__(self, limit: int, *, room: int = ROOM) -> None:
        self.first = 0
        """Number of the first request in memory."""
        self.horizon = 0
        """Start of the latest request that was given up, plus 1: later ones are all there."""
        self._limit, self._room = limit, room
        self._together = max(1, min(_TOGETHER, limit // 10))
        self._packed: deque[Part] = deque()
        self._plain: list[RequestRecord] = []
        self._number = self._size = 0

    def __len__(self) -> int:
        return self._number

    def extend(self, records: Iterable[RequestRecord]) -> None:
        """Add requests, and make room for them."""
        for record in records:
            self._plain.append(record)
            self._number += 1
            if len(self._plain) >= 2 * self._together:
                self._pack()
        while self._packed and (self._number > self._limit or self._size > self._room):
            self._give_up()

    def parts(self) -> list[Part]:
        """Return all of them, in the order in which they arrived; what is added later is not among them."""
        plain = self._plain
        first = self.first + self._number - len(plain)
        return [*self._packed, *([Part.of(plain, first, pack=False)] if plain else [])]

    def _pack(self) -> None:
        part = Part.of(self._plain[: self._together], self.first + self._number - len(self._plain))
        del self._plain[: self._together]
        self._packed.append(part)
        self._size += part.size

    def _give_up(self) -> None:
        part = self._packed.popleft()
        self.first += part.number
        self._number -= part.number
        self._size -= part.size
        self.horizon = max(self.horizon, part.latest + 1)


def pick(parts: Sequence[Part], numbers: Iterable[int]) -> list[RequestRecord | None]:
    """Return requests by their numbers; `None` in the place of one that is no longer there."""
    firsts = [part.first for part in parts]
    opened: dict[int, Sequence[RequestRecord]] = {}
    found: list[RequestRecord | None] = []
    for number in numbers:
        place = bisect_right(firsts, number) - 1
        if place < 0 or number >= firsts[place] + parts[place].number:
            found.append(None)
            continue
        if place not in opened:
            opened[place] = parts[place].records()
        found.append(opened[place][number - firsts[place]])
    return found


def in_order(parts: Sequence[Part]) -> Iterator[RequestRecord]:
    """Yield all requests, earliest start first; only parts that overlap in time are unpacked at once."""
    bounds: list[float] = [float("inf")]
    for part in reversed(parts[1:]):
        bounds.append(min(bounds[-1], part.earliest))
    waiting: list[tuple[int, int, RequestRecord]] = []
    for part, bound in zip(parts, reversed(bounds), strict=False):
        for number, record in enumerate(part.records(), part.first):
            heapq.heappush(waiting, (record.start_unix_ns, number, record))
        while waiting and waiting[0][0] <= bound:
            yield heapq.heappop(waiting)[2]
