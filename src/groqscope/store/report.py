"""Counts and warnings of reading, in which each request counts once, however often its span was stored.

A collector delivers at least once, and a store and the collector's copy of it contain the same requests. Trace id and
span id together identify a request. Of several copies the first one read is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from groqscope.timeline import RequestRecord

ROOM: Final = 500_000
"""Least number of ids remembered; the most is twice that, about 100 MB. A copy that comes later is not recognised;
copies in several files come close together, because records are merged by their start."""
MAX_WARNINGS: Final = 100
"""Number of warnings that are kept; later ones are only counted."""
TORN: Final = "torn: its writer was cut off here"
"""Start of the reason for a line that is still being written, or whose writer was killed; that is not damage."""


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
        for keys in (other.old, other.young):
            if len(self.young) + len(keys) <= self._room:
                self.young |= keys - self.old
            else:
                for key in keys:
                    self._add(key)

    def __contains__(self, ids: tuple[str | None, str | None]) -> bool:
        key = hash(ids)
        return key in self.young or key in self.old

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


@dataclass(frozen=True, slots=True)
class ReadWarning:
    """Something that was skipped."""

    source: str
    """The file, or `-` for standard input."""
    line: int | None
    """Counted from 1; `None` if it concerns the whole file."""
    reason: str
    damage: bool = True
    """Whether it is damage; a line that is still being written and the effects of attribute limits are not."""

    def __str__(self) -> str:
        """Return it as compilers write warnings: file, line, reason."""
        return f"{self.source}{f':{self.line}' if self.line else ''}: {self.reason}"


@dataclass(slots=True)
class ReadReport:
    """Counts and warnings of one read, updated while it runs, for a progress bar for example."""

    files: int = 0
    lines: int = 0
    records: int = 0
    repeats: int = 0
    """Copies of requests that were read before; not counted in `records`."""
    seen: SeenIds | None = None
    """The ids of the requests that were read."""
    bytes_total: int = 0
    """Size of the files on disk; standard input counts as 0."""
    bytes_read: int = 0
    """How many of these bytes have been read."""
    warnings: list[ReadWarning] = field(default_factory=list[ReadWarning])
    warnings_dropped: int = 0
    """Number of warnings that were not kept."""
    damaged: bool = False
    """Whether any warning, kept or not, reports damage."""

    def warn(self, source: str, line: int | None, reason: str, *, damage: bool = True) -> None:
        """Record that something was skipped."""
        damage = damage and not reason.startswith(TORN)
        self.damaged = self.damaged or damage
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(ReadWarning(source, line, reason, damage))
        else:
            self.warnings_dropped += 1


def once(
    records: Iterable[RequestRecord], report: ReadReport, *, elsewhere: SeenIds | None = None
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
