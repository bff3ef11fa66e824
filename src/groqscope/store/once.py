"""Each request once, however often its span arrives.

A collector delivers at least once, and a store and the collector's copy of it hold the same requests. A request is
known by its trace id and span id together. Of several copies the first one read counts.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from groqscope.store.report import ReadReport
from groqscope.timeline import RequestRecord

ROOM: Final = 500_000
"""Ids remembered at least; at most twice as many, which take about 100 MB. A copy that comes later than that is not
noticed; those of several files come side by side, because records are merged by their start."""


class SeenIds:
    """The ids that were seen, in bounded memory."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._young: set[int] = set()
        self._old: set[int] = set()

    def add(self, trace_id: str | None, span_id: str | None) -> bool:
        """Note a pair of ids; whether it is new. One that lacks an id cannot be told from others, and is."""
        return trace_id is None or span_id is None or self.add_key(hash((trace_id, span_id)))

    def add_key(self, key: int) -> bool:
        """Note the hash of a pair of ids; whether it is new."""
        if key in self._young or key in self._old:
            return False
        if len(self._young) >= self._room:
            self._old, self._young = self._young, set()
        self._young.add(key)
        return True


def once(records: Iterable[RequestRecord], report: ReadReport) -> Iterator[RequestRecord]:
    """Yield each request once; repeats are counted in the report, and no more among its records."""
    seen = SeenIds()
    for record in records:
        if seen.add(record.trace_id, record.span_id):
            yield record
        else:
            report.records -= 1
            report.repeats += 1
