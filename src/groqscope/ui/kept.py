"""Requests in memory: the newest as they are, older ones packed to a tenth of their size, the oldest not at all."""

import zlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from groqscope.timeline import RequestRecord

_BLOCK: Final = 1_000
"""Requests that are packed together."""
_LEVEL: Final = 1
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[RequestRecord]).decode


@dataclass(frozen=True, slots=True)
class _Packed:
    data: bytes
    number: int
    latest: int
    """Start of the latest of them."""

    @classmethod
    def of(cls, records: list[RequestRecord]) -> "_Packed | None":
        """Pack requests; `None` when one has a text that is no UTF-8."""
        try:
            data = zlib.compress(_encode(records), _LEVEL)
        except (UnicodeEncodeError, OverflowError):
            return None
        return cls(data, len(records), max(record.start_unix_ns for record in records))

    def records(self) -> list[RequestRecord]:
        """Return the requests."""
        return _decode(zlib.decompress(self.data))


class Kept:
    """The requests that arrived last, at most so many."""

    def __init__(self, limit: int) -> None:
        self.horizon = 0
        """Start of the latest request that was given up, and 1: later ones are all there."""
        self._limit = limit
        self._block = max(1, min(_BLOCK, limit // 10))
        self._packed: deque[_Packed] = deque()
        self._plain: deque[RequestRecord] = deque()
        self._number = 0

    def extend(self, records: Iterable[RequestRecord]) -> None:
        """Add requests, and make room for them."""
        for record in records:
            self._plain.append(record)
            self._number += 1
            if len(self._plain) > 3 * self._block:
                self._pack()
            while self._number > self._limit:
                self._give_up()

    def all(self) -> list[RequestRecord]:
        """Return all of them, in the order in which they arrived."""
        records = [record for packed in self._packed for record in packed.records()]
        records.extend(self._plain)
        return records

    def _pack(self) -> None:
        records = [self._plain.popleft() for _ in range(self._block)]
        packed = _Packed.of(records)
        if packed is not None:
            self._packed.append(packed)
            return
        # What has no UTF-8 form is given up here and read from the files.
        self._number -= len(records)
        self.horizon = max(self.horizon, *(record.start_unix_ns + 1 for record in records))

    def _give_up(self) -> None:
        if self._packed:
            packed = self._packed.popleft()
            self._number -= packed.number
            self.horizon = max(self.horizon, packed.latest + 1)
        else:
            self._number -= 1
            self.horizon = max(self.horizon, self._plain.popleft().start_unix_ns + 1)
