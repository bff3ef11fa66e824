"""The requests of a store in memory, as far back as there is room, and what was added to them.

A thread reads what is there, then polls for more a few times a second. Every view reads its records here by the
interface of the audit's sources, or from the store's files where the memory does not reach back far enough, so that
its figures are those of `groqscope audit`. What an overview of everything needs is counted as requests arrive too,
roughly and in little memory, for a store of which only a part is in memory.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from groqscope.audit import FileSource, Query, ReadReport, Scan, SourceError, StoreSource
from groqscope.audit.table import RecordTable, Some, Table
from groqscope.runs import TraceSpan
from groqscope.store import Follower, SeenIds
from groqscope.timeline import RequestRecord
from groqscope.ui.active import ActiveRequests
from groqscope.ui.columns import Columns
from groqscope.ui.kept import Kept, Opened, Part, in_order
from groqscope.ui.series import Series

KEPT: Final = 100_000
"""Requests in memory at most."""
INTERVAL: Final = 0.25
"""Seconds between two polls."""
NEWEST: Final = 50
"""Requests that the live page lists."""
_PART: Final = 1_000
"""Requests after which views are updated while a store is being read."""
EXACT: Final = 2_000
"""Requests to a model, streamed or not, from which what is usual is computed, later ones by a sample."""
MODELS: Final = 50
"""Models for which that is known."""

Listener = Callable[[], object]


class Collection:
    """The newest requests of a store or a file, kept up to date by a thread of its own."""

    def __init__(self, path: Path | None = None, *, kept: int = KEPT, interval: float = INTERVAL) -> None:
        """Prepare to follow a directory or a file, by default the local store; `start` begins.

        Raises:
            SourceError: there is no place for the local store.
        """
        self._given = path
        self.path = Path(self.stored.names[0]) if path is None else path
        self.version = 0
        """Changes whenever something was added."""
        self.total = 0
        """Requests read so far, including those no longer in memory."""
        self.loading = True
        """Whether what was there before is still being read."""
        self.series = Series()
        self.active = ActiveRequests(self.path)
        self.report = ReadReport()
        self.newest: deque[RequestRecord] = deque(maxlen=NEWEST)
        """The requests that arrived last, the latest at the end."""
        self._limit, self._records = kept, Kept(kept)
        self._begins = 0
        """From when on requests were read; earlier ones lie as Parquet, of which an engine is asked. 0: all were."""
        self._scan = Scan(Query(), listed=0, report=self.report, exact=EXACT)
        self._interval = interval
        self._seen = SeenIds(max(1, kept // 5))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._listeners: list[Listener] = []
        self._thread = threading.Thread(target=self._run, name="groqscope-ui", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call a function, in the reading thread, whenever something was added; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def stored(self) -> FileSource:
        """What lies there now, as a source: files are compacted while the page follows them."""
        return StoreSource() if self._given is None else FileSource([self._given])

    def parts(self, since: int | None = None, until: int | None = None) -> list[Part]:
        """Return what is in memory, without the parts that lie outside a time range."""
        with self._lock:
            parts = self._records.parts()
        return [
            part
            for part in parts
            if (since is None or part.latest >= since) and (until is None or part.earliest < until)
        ]

    @property
    def end(self) -> int:
        """The number that the next request gets."""
        return self._records.end

    def columns(self) -> Columns:
        """Return what is in memory, for lists."""
        return Columns(self.parts())

    @contextmanager
    def counted(self) -> Generator[Scan]:
        """All requests that were read, roughly counted; while it is used, none is added."""
        with self._lock:
            report = self._scan.coverage.report
            report.files, report.records = self.files, self.total
            yield self._scan

    @property
    def counts_all(self) -> bool:
        """Whether all requests are counted: none was too old to be read, or left out because of too many models."""
        return self._scan.coverage.requests == self.total and not self._begins

    @property
    def files(self) -> int:
        """How many files there are; of Parquet, how many there were at the start."""
        return len(self.stored.files()) or self.report.files

    def reaches(self, since: int | None) -> bool:
        """Whether all requests since a moment are in memory, of those that were read."""
        horizon = self._records.horizon
        return horizon == 0 or (since is not None and since >= horizon)

    @property
    def read_share(self) -> float:
        """How much of what was there before has been read."""
        report = self.report
        return min(1.0, report.bytes_read / report.bytes_total) if report.bytes_total else 1.0

    def _run(self) -> None:
        follower = Follower(self.path)  # from here on, nothing is missed
        if self.path.exists():
            self._load()
        self.loading = False
        self._changed()
        while not self._stop.is_set():
            records = follower.poll()
            if self.active.look() or records:
                self._add(records)
                self._changed()
            for warning in follower.report.warnings[len(self.report.warnings) :]:
                self.report.warn(warning.source, warning.line, warning.reason)
            self._stop.wait(self._interval)

    def _load(self) -> None:
        part: list[RequestRecord] = []
        stored = self.stored
        try:
            self._begins = self._records.horizon = stored.newest_begin(self._limit) or 0
        except SourceError as error:
            self.report.warn(str(self.path), None, str(error))
        for record in stored.read(self.report, since=self._begins or None, until=None, timelines=False):
            part.append(record)
            if len(part) == _PART:
                self._add(part)
                self._changed()
                part = []
                if self._stop.is_set():
                    return
        self._add(part)

    def _add(self, records: list[RequestRecord]) -> None:
        fresh = [record for record in records if self._seen.add(record.trace_id, record.span_id)]
        with self._lock:
            self._records.extend(fresh)
            self.total += len(fresh)
            self._count(fresh)
        for record in fresh:
            self.series.add(record)
        self.newest.extend(fresh)

    def _count(self, records: list[RequestRecord]) -> None:
        models = self._scan.models
        more = dict.fromkeys(record.model for record in records if record.model not in models)
        counted = {*models, *islice(more, max(0, MODELS - len(models)))}
        self._scan.extend(RecordTable([record for record in records if record.model in counted]))

    def _changed(self) -> None:
        self.version += 1
        for listener in tuple(self._listeners):
            listener()


class CollectedSource:
    """The source of all views: memory where it reaches back far enough, else the store's files."""

    def __init__(self, collection: Collection, *, files: bool = True) -> None:
        """Read a collection; without `files` only what is in memory, though it may be less than was asked for."""
        self._collection = collection
        self._files = files

    @property
    def _stored(self) -> FileSource:
        return self._collection.stored

    @property
    def names(self) -> tuple[str, ...]:
        """The path of the store."""
        return self._stored.names

    @property
    def when_empty(self) -> str:
        """How the store gets filled."""
        return self._stored.when_empty

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield records in order of start; their arrival times of chunks only from the files."""
        collection = self._collection
        if self._files and (timelines or not collection.reaches(since)):
            return self._stored.read(report, since=since, until=until, timelines=timelines)
        return self._remembered(report, since, until)

    def tables(self, query: Query, report: ReadReport) -> Iterator[Table] | None:
        """Return the selected requests as tables; `None` where memory does not reach back far enough."""
        if query.last is not None or (self._files and not self._collection.reaches(query.since)):
            return None
        self._note(report)
        return self._selected(query, report)

    def _selected(self, query: Query, report: ReadReport) -> Iterator[Table]:
        selector = Selector(query)
        for part in self._collection.parts(query.since, query.until):
            table = part.table()
            places = selector.in_time(part, table)
            report.records += len(places)
            if found := selector.among(table, places):
                yield Some(table, found) if len(found) < part.number else table

    def _note(self, report: ReadReport) -> None:
        known = self._collection.report
        report.files = self._collection.files
        report.lines, report.repeats = known.lines, known.repeats
        report.warnings, report.warnings_dropped = list(known.warnings), known.warnings_dropped

    def _remembered(self, report: ReadReport, since: int | None, until: int | None) -> Iterator[RequestRecord]:
        self._note(report)
        for record in in_order(self._collection.parts(since, until)):
            start = record.start_unix_ns
            if (since is None or start >= since) and (until is None or start < until):
                report.records += 1
                yield record

    def traces(self, report: ReadReport, **asked: Any) -> Iterator[list[TraceSpan]]:
        """Yield the traces of the store's files."""
        return self._stored.traces(report, **asked)


class Selector:
    """Finds the requests that a query selects."""

    def __init__(self, query: Query) -> None:
        self._since = -math.inf if query.since is None else query.since
        self._until = math.inf if query.until is None else query.until
        bare = replace(query, since=None, until=None) == Query(by=query.by)
        self._test = None if bare else query.predicate()

    def in_time(self, part: Part, table: Opened) -> list[int]:
        """Return the places of those that began in its time."""
        since, until = self._since, self._until
        if since <= part.earliest and part.latest < until:
            return list(range(part.number))
        return [place for place, start in enumerate(table.column("start_unix_ns")) if since <= start < until]

    def among(self, table: Opened, places: list[int]) -> list[int]:
        """Return those of some places for which its conditions hold."""
        test = self._test
        return places if test is None else [row.place for row in table.rows(places) if test(row)]
