"""The sources of records, with one interface: the local store, files, standard input, Tempo, ClickHouse."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from heapq import merge
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

from groqscope.audit.errors import SourceError
from groqscope.history import (
    Dataset,
    Directory,
    Having,
    HistoryError,
    Select,
    Wanted,
    engine_error,
    every_column,
    has_columns,
    is_address,
    is_columns,
    parts,
    require,
    stored_traces,
)
from groqscope.runs import TraceSpan
from groqscope.store import ReadReport, SeenIds, Share, once, read_records, read_traces, sources, store_directory
from groqscope.timeline import RequestRecord

_JSON_BYTES: Final = 6_000
_PARQUET_BYTES: Final = 200
"""Of a request, to tell about how many there are."""
_DAY_NS: Final = 86_400 * 10**9


class Source(Protocol):
    """A source of records, which come in order of start as far as possible."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the source in reports."""
        ...

    @property
    def when_empty(self) -> str:
        """A sentence that says what to do if it contains nothing."""
        ...

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield records, and note in the report what was skipped.

        Raises:
            SourceError: nothing can be read at all.
        """
        ...


class TraceSource(Source, Protocol):
    """A source that has whole traces too."""

    def traces(
        self,
        report: ReadReport,
        *,
        since: int | None,
        until: int | None,
        trace_id: str | None = None,
        having: Having | None = None,
    ) -> Iterator[list[TraceSpan]]:
        """Yield the spans of each trace with a Groq request, and note in the report what was skipped.

        The times, and what a trace has to have, are hints: other traces may come too. With `trace_id`, 32 hex digits,
        only that trace.

        Raises:
            SourceError: nothing can be read at all.
        """
        ...


class Requests(Protocol):
    """All requests, as an engine has them."""

    @property
    def keeps_tables(self) -> bool:
        """Whether tables can be made, for what is asked several times."""
        ...

    def relation(self, select: Select = every_column) -> str:
        """Return all requests as a query, each once, with the columns that are selected."""
        ...

    def may_have(self, beginning: str, select: Select = every_column) -> str:
        """Return a query for requests, among them each that has an ID with this beginning."""
        ...

    def ask(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        ...

    def ask_together(self, queries: Sequence[str], parameters: dict[str, Any]) -> list[list[tuple[Any, ...]]]:
        """Return all rows of each of several queries."""
        ...

    def define(self, table: str, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Make rows known as a table, in place of an earlier one with its name."""
        ...

    def fetch(
        self, query: str, parameters: dict[str, Any] | None = None, *, timelines: bool = True
    ) -> Iterator[RequestRecord]:
        """Yield the records of a query whose rows are requests."""
        ...

    def understood(self) -> AbstractContextManager[None]:
        """Raise a SourceError, meanwhile, when an answer is none to what was asked."""
        ...

    def leave_out_broken(self) -> bool:
        """Leave out what cannot be read, and return whether there is any."""
        ...


class SharedSource(TraceSource, Protocol):
    """A source whose traces several processes can read."""

    def requests_about(self) -> int:
        """Return about how many requests there are, without reading them; 0 if that cannot be told."""
        ...

    def shares(self, number: int) -> Sequence[TraceSource]:
        """Return so many sources that have its traces between them, each whole, and can be read at the same time."""
        ...


class ColumnSource(Source, Protocol):
    """A source some of whose requests lie as columns, of which an engine can be asked."""

    @property
    def column_addresses(self) -> tuple[str, ...]:
        """Where."""
        ...

    def requests(self, report: ReadReport, since: int | None, until: int | None, *, timelines: bool) -> Requests:
        """Return all requests of a time as columns, those of other files too.

        Raises:
            HistoryError: what reads columns is not installed.
            SourceError: the engine does not answer.
        """
        ...


class FileSource:
    """Files, directories, and standard input (`-`)."""

    def __init__(
        self, paths: Sequence[Path | str], *, elsewhere: SeenIds | None = None, share: Share | None = None
    ) -> None:
        """Name what is read.

        Args:
            paths: What to read.
            elsewhere: Requests that were counted elsewhere, and are repeats here.
            share: Of traces, only those of this share.
        """
        self._paths = tuple(paths)
        self._elsewhere = elsewhere
        self._share = share
        self.column_addresses = tuple(str(path) for path in self._paths if has_columns(path))
        """Those of them where requests are stored as Parquet."""
        self._plain = tuple(path for path in self._paths if not is_columns(path))

    @property
    def names(self) -> tuple[str, ...]:
        """The paths as given."""
        return tuple("standard input" if str(path) == "-" else str(path) for path in self._paths)

    def files(self) -> list[Path]:
        """Return the files; none if standard input is among them, or if one of them cannot be read."""
        report = ReadReport()
        if self.column_addresses:
            return []
        paths = [path for source in sources(self._paths, report) for path in source.paths]
        return [] if report.warnings else [path for path in paths if path is not None and path.is_file()]

    @property
    def when_empty(self) -> str:
        """Which files can be read."""
        return (
            f"no Groq request in {', '.join(self.names)}: expected OTLP JSON, one TracesData per line, as groqscope's "
            "store and the collector's file exporter write it"
        )

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield records in order of start."""
        records = read_records(
            self._plain, report=report, since=since, until=until, timelines=timelines, elsewhere=self._elsewhere
        )
        if not self.column_addresses:
            return records
        return once(self._with_columns(records, report, since, until, timelines=timelines), report)

    def _with_columns(
        self,
        records: Iterator[RequestRecord],
        report: ReadReport,
        since: int | None,
        until: int | None,
        *,
        timelines: bool,
    ) -> Iterator[RequestRecord]:
        first = next(records, None)  # files are listed before columns: what is compacted meanwhile is among these
        dataset = self._dataset(report, since, until)
        plain = chain([] if first is None else [first], records)
        if dataset is None:
            yield from plain
            return
        stored = dataset.records(since, until, timelines=timelines)
        yield from merge(plain, _counted(stored, report), key=attrgetter("start_unix_ns"))

    def _dataset(self, report: ReadReport, since: int | None, until: int | None) -> Dataset | None:
        """Return what is stored as Parquet; if DuckDB is not installed, nothing, with a warning."""
        try:
            return Dataset(self.column_addresses, report, Wanted(since, until))
        except HistoryError as error:
            report.warn(", ".join(self.column_addresses), None, str(error))
            return None

    def requests(self, report: ReadReport, since: int | None, until: int | None, *, timelines: bool) -> Dataset:
        """Return all requests as columns, those of other files too.

        Raises:
            HistoryError: what reads columns is not installed.
        """
        require()
        # Before the columns are looked for: what is compacted meanwhile is among these.
        plain = read_records(self._plain, report=report, since=since, until=until, timelines=timelines)
        first = next(plain, None)
        dataset = Dataset(self.column_addresses, report, Wanted(since, until))
        if first is not None:
            dataset.include(chain([first], plain))
        return dataset

    def newest_begin(self, number: int) -> int | None:
        """Return from when on so many of the newest requests are among those stored as Parquet; `None`: all are fewer.

        Raises:
            SourceError: the engine cannot read what lies there.
        """
        dataset = self._dataset(ReadReport(), None, None) if self.column_addresses else None
        if dataset is None:
            return None
        starts = dataset.relation(lambda requests: f"SELECT start_unix_ns AS start FROM ({requests})")  # noqa: S608 - ours
        try:
            found = dataset.ask(f"FROM ({starts}) ORDER BY start DESC LIMIT 1 OFFSET {number}")
        except engine_error() as error:
            raise SourceError(f"{', '.join(self.names)}: {str(error).strip()}") from error
        return int(found[0][0]) + 1 if found else None

    def requests_about(self) -> int:
        """Return about how many requests there are; 0 if standard input is among them, or object storage."""
        if any(is_address(path) or str(path) == "-" for path in self._paths):
            return 0
        stored = (size for path in self.column_addresses for _, size in parts(Directory(Path(path)), Wanted()))
        files = FileSource(self._plain).without_columns().files()
        return sum(file.stat().st_size for file in files) // _JSON_BYTES + sum(stored) // _PARQUET_BYTES

    def shares(self, number: int) -> list[Self]:
        """Return so many sources that have its traces between them, each whole, and can be read at the same time."""
        return [self._share_of(Share(one, number)) for one in range(number)]

    def _share_of(self, share: Share) -> Self:
        one = copy(self)
        one._share = share  # noqa: SLF001 - a copy of this
        return one

    def without_columns(self) -> "FileSource":
        """Return the other files alone."""
        files = FileSource(self._plain, elsewhere=self._elsewhere)
        files.column_addresses = ()
        return files

    def traces(
        self,
        report: ReadReport,
        *,
        since: int | None,
        until: int | None,
        trace_id: str | None = None,
        having: Having | None = None,
    ) -> Iterator[list[TraceSpan]]:
        """Yield traces in the order of their IDs."""
        if not self.column_addresses:
            return read_traces(self._plain, report, trace_id=trace_id, share=self._share)

        def stored(elsewhere: Collection[str]) -> Iterator[list[TraceSpan]]:
            dataset = self._dataset(report, *a_day_around(since, until))
            if dataset is None:
                return iter(())
            return stored_traces(
                dataset,
                since=since,
                until=until,
                trace_id=trace_id,
                having=having,
                share=self._share,
                elsewhere=elsewhere,
            )

        return read_traces(self._plain, report, trace_id=trace_id, share=self._share, more=stored)


class StoreSource(FileSource):
    """The local store of this user."""

    def __init__(self) -> None:
        self._directory = _store()
        super().__init__([self._directory])

    @property
    def when_empty(self) -> str:
        """How requests get into the store."""
        if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
            return (
                f"the local store ({self._directory}) is empty: OTEL_EXPORTER_OTLP_ENDPOINT is set, requests go there; "
                "`groqscope audit --tempo http://127.0.0.1:3200` reads them from a Tempo"
            )
        return (
            f"the local store ({self._directory}) is empty: call groqscope.configure() and groqscope.instrument() in a "
            "program that uses Groq, or try `groqscope demo`"
        )

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield records in order of start; none if the store does not exist yet."""
        if not self._directory.exists():
            return iter(())
        return super().read(report, since=since, until=until, timelines=timelines)

    def traces(
        self,
        report: ReadReport,
        *,
        since: int | None,
        until: int | None,
        trace_id: str | None = None,
        having: Having | None = None,
    ) -> Iterator[list[TraceSpan]]:
        """Yield traces in the order of their IDs; none if the store does not exist yet."""
        if not self._directory.exists():
            return iter(())
        return super().traces(report, since=since, until=until, trace_id=trace_id, having=having)


class MemorySource:
    """Records in memory."""

    names: tuple[str, ...] = ("memory",)
    when_empty = "no request was made"

    def __init__(self, records: Iterable[RequestRecord]) -> None:
        self._records = records

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield the records."""
        del since, until, timelines  # the query asks again
        yield from once(_counted(self._records, report), report)


def a_day_around(since: int | None, until: int | None) -> tuple[int | None, int | None]:
    """Return when the spans of a trace are looked for: it may have begun a day before, and last a day longer."""
    return None if since is None else max(0, since - _DAY_NS), None if until is None else until + _DAY_NS


def _counted(records: Iterable[RequestRecord], report: ReadReport) -> Iterator[RequestRecord]:
    for record in records:
        report.records += 1
        yield record


def file_source(paths: Sequence[Path | str]) -> FileSource:
    """Return a source of files that exist.

    Raises:
        SourceError: one of them does not exist.
    """
    for path in paths:
        if str(path) != "-" and not is_address(path) and not Path(path).exists():
            raise SourceError(f"there is no file or directory {str(path)!r}")
    return FileSource(paths)


def column_source(source: Source) -> ColumnSource | None:
    """Return a source of which an engine can be asked; `None` for another one."""
    return cast("ColumnSource", source) if getattr(source, "column_addresses", ()) else None


def shared_source(source: Source) -> SharedSource | None:
    """Return a source whose traces several processes can read; `None` for another one."""
    return cast("SharedSource", source) if hasattr(source, "shares") else None


def trace_source(source: Source) -> TraceSource:
    """Return a source that has whole traces.

    Raises:
        SourceError: it has records only.
    """
    if not hasattr(source, "traces"):
        raise SourceError(f"{', '.join(source.names)}: there are no traces, so there are no runs")
    return cast("TraceSource", source)


def _store() -> Path:
    try:
        return store_directory()
    except OSError as error:
        raise SourceError(f"the local store has no directory: {error}; set GROQSCOPE_HOME to a directory") from error
