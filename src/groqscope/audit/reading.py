"""One reading of a source: which records were selected, what has to be said about them."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Final

from groqscope._version import __version__
from groqscope.audit.errors import NoRequests, SourceError
from groqscope.audit.fields import numeric
from groqscope.audit.model import Provenance
from groqscope.audit.selection import Query
from groqscope.audit.sources import ReadReport, Source
from groqscope.timeline import Phases, RequestRecord

_NO_PHASES: Final = Phases()
_MAX_SERVICES: Final = 20


class Reading:
    """Reads a source once and keeps count."""

    def __init__(self, source: Source, query: Query, report: ReadReport | None = None) -> None:
        self.source = source
        self.query = query
        self.report: ReadReport = ReadReport() if report is None else report
        self.requests: int = 0
        self.foreign: int = 0
        self.first: int | None = None
        self.last: int | None = None
        self.services: set[str] = set()

    def records(self, *, timelines: bool = True) -> Iterator[RequestRecord]:
        """Yield the selected records.

        Raises:
            SourceError: nothing can be read at all.
            ExpressionError: the query's expression cannot be understood.
        """
        query = self.query
        found = self.source.read(self.report, since=query.since, until=query.until, timelines=timelines)
        selected = query.apply(found)
        if query.last is not None:
            selected = iter(newest(selected, query.last)[::-1])
        for record in selected:
            self._note(record)
            yield record

    def _note(self, record: RequestRecord) -> None:
        self.requests += 1
        self._note_time(record.start_unix_ns)
        if record.phases == _NO_PHASES:
            self.foreign += 1
        if record.service is not None and len(self.services) < _MAX_SERVICES:
            self.services.add(record.service)

    def merge(self, other: "Reading") -> None:
        """Add what another reading of the same source counted."""
        self.requests += other.requests
        self.foreign += other.foreign
        self.services |= other.services
        for moment in (other.first, other.last):
            if moment is not None:
                self._note_time(moment)
        mine, theirs = self.report, other.report
        mine.files += theirs.files
        mine.lines += theirs.lines
        mine.records += theirs.records
        mine.bytes_read += theirs.bytes_read
        for warning in theirs.warnings:
            mine.warn(warning.source, warning.line, warning.reason)
        mine.warnings_dropped += theirs.warnings_dropped

    def _note_time(self, start: int) -> None:
        if self.first is None or start < self.first:
            self.first = start
        if self.last is None or start > self.last:
            self.last = start

    def require_requests(self) -> None:
        """Say what to do when nothing was selected.

        Raises:
            NoRequests: nothing was.
            SourceError: nothing could be read.
        """
        if self.requests:
            return
        if self.report.records:
            words = self.query.selection().words
            raise NoRequests(f"none of {self.report.records:,} requests fits ({', '.join(words)}): widen the selection")
        warnings = [str(warning) for warning in self.report.warnings[:3]]
        if warnings and not self.report.lines:
            raise SourceError("\n".join(warnings))
        raise NoRequests("\n".join([self._nothing(), *warnings]))

    def _nothing(self) -> str:
        if self.report.lines and not (self.query.since is None and self.query.until is None):
            return f"no request in that time in {', '.join(self.source.names)}: take another --since or --until"
        return self.source.when_empty

    def provenance(self) -> Provenance:
        """Say where the records came from."""
        warnings = [str(warning) for warning in self.report.warnings]
        if self.report.warnings_dropped:
            warnings.append(f"{self.report.warnings_dropped:,} more of the kind")
        return Provenance(
            sources=self.source.names,
            files=self.report.files,
            requests=self.requests,
            read=self.report.records,
            foreign=self.foreign,
            first_unix_ns=self.first,
            last_unix_ns=self.last,
            services=tuple(sorted(self.services)),
            selection=self.query.selection(),
            warnings=tuple(warnings),
            version=__version__,
        )


class Top:
    """Keeps the records with the greatest value of something."""

    def __init__(self, limit: int | None, by: str | None = None) -> None:
        self.limit = limit
        self.by = by
        self._get = None if by is None else numeric(by).get
        self._heap: list[tuple[float, int, RequestRecord]] = []
        self._order = count()

    def add(self, record: RequestRecord) -> None:
        """Keep the record if it belongs to the greatest; one whose value is not known does not."""
        value = record.start_unix_ns if self._get is None else self._get(record)
        if not isinstance(value, int | float):
            return
        item = (value, next(self._order), record)
        if self.limit is None or len(self._heap) < self.limit:
            heapq.heappush(self._heap, item)
        elif self.limit:
            heapq.heappushpop(self._heap, item)

    def records(self) -> list[RequestRecord]:
        """Give what was kept, greatest first."""
        return [record for _, _, record in sorted(self._heap, key=lambda item: item[:2], reverse=True)]


def newest(records: Iterable[RequestRecord], limit: int) -> list[RequestRecord]:
    """Give the newest records, newest first."""
    top = Top(limit)
    for record in records:
        top.add(record)
    return top.records()
