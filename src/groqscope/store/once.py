"""Yields each request once, however often its span was stored.

A collector delivers at least once, and a store and the collector's copy of it contain the same requests. Trace id and
span id together identify a request. Of several copies the first one read is kept.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from groqscope.timeline import RequestRecord

if TYPE_CHECKING:
    from groqscope.store.report import ReadReport

ROOM: Final = 500_000
"""Least number of ids remembered; the most is twice that, about 100 MB. A copy that comes later is not recognised;
copies in several files come close together, because records are merged by their start."""


class SeenIds:
    """The ids that were seen, in bounded memory."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self.young: set[int] = set()
        self.old: set[int] = set()

    def add(self, trace_id: str | None, span_id: str | None) -> bool:
        """Add a pair of ids; return whether it is new. A pair with a missing id always counts as new."""
        return trace_id is None or span_id is None or self._add(hash((trace_id, span_id)))

    def _add(self, key: int) -> bool:
        if key in self.young or key in self.old:
            return False
        if len(self.young) >= self._room:
            self.old, self.young = self.young, set()
        self.young.add(key)
        return True

    def common(self, other: "SeenIds") -> "SeenIds":
        """Return the ids that are in both, which must come from this process or from processes forked from it."""
        both = SeenIds(self._room)
        both.young = (self.young | self.old) & (other.young | other.old)
        return both

    def update(self, other: "SeenIds") -> None:
        """Add the ids of another one."""
        for key in (*other.old, *other.young):
            self._add(key)

    def __contains__(self, ids: tuple[str | None, str | None]) -> bool:
        key = hash(ids)
        return key in self.young or key in self.old

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


def once(
    records: Iterable[RequestRecord], report: "ReadReport", *, elsewhere: SeenIds | None = None
) -> Iterator[RequestRecord]:
    """Yield each request once; the report counts copies as repeats, not as records.

    Args:
        records: The records as read.
        report: Its counts are updated.
        elsewhere: Requests that were counted elsewhere, and are repeats here.
    """
    seen = report.seen = SeenIds()
    for record in records:
        counts_elsewhere = elsewhere is not None and (record.trace_id, record.span_id) in elsewhere
        if seen.add(record.trace_id, record.span_id) and not counts_elsewhere:
            yield record
        else:
            report.records -= 1
            report.repeats += 1
