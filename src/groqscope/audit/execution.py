"""Scans a source in this process or, if it is a large store, in several processes with one file each.

Only counts, samples and the few records to be listed are passed between processes. Children are forked, so that they
have the query and the budgets without pickling. Forking is safe only in a single-threaded program, so it happens only
if the caller asks for it, as the command line does.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from groqscope.audit.errors import SourceError
from groqscope.audit.scan import Scan
from groqscope.audit.selection import Query
from groqscope.audit.sources import FileSource, Source, column_source, shared_source
from groqscope.audit.table import Table
from groqscope.history import HistoryError, engine_error
from groqscope.store import ReadReport, SeenIds
from groqscope.timeline import RequestRecord

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from groqscope.audit.columnar import ColumnScan
    from groqscope.audit.sample import Sample
    from groqscope.audit.sources import Requests

T = TypeVar("T")

WORTH_IT: Final = 48 * 1024 * 1024
"""Size of a store, in bytes, from which several processes read it faster."""
SHARED_FROM: Final = 8_000
"""Requests from which several processes make runs of them faster."""
MAX_WORKERS: Final = 8
_MAX_LISTED: Final = 1000

Watch = Callable[[int], object]
"""Called with the number of records read since the last call, for a progress bar."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What all children need to know."""

    scan: Scan
    timelines: bool


_job: _Job | None = None
"""Set before forking, so that the children have it."""
_reading: tuple[Callable[[Source], Any], Sequence[Source]] | None = None
"""As `_job`: what reads a share, and the shares."""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def execute(
    source: Source, scan: Scan, *, timelines: bool = True, workers: int = 1, watch: Watch | None = None
) -> None:
    """Read the records that the scan's query selects from a source, and add them to the scan."""
    if (
        asked(source, scan, lambda scan, requests: scan.fill(requests, timelines=timelines), timelines=timelines)
        is not None
    ):
        return
    source = plain_of(source)
    if files := files_to_share(source, scan, workers):
        _scan_files(files, scan, timelines=timelines, workers=workers, watch=watch)
    else:
        _scan_here(source, scan, timelines=timelines, watch=watch)


def asked(
    source: Source, scan: Scan, question: "Callable[[ColumnScan, Requests], T]", *, timelines: bool = True
) -> T | None:
    """Let DuckDB answer, where requests are stored as Parquet; `None`: none are, or it is not installed (a warning).

    Raises:
        SourceError: the engine cannot read what lies there.
    """
    columns = column_source(source)
    if columns is None:
        return None
    from groqscope.audit.columnar import ColumnScan  # few stores have columns

    report, query = scan.coverage.report, scan.query
    if not isinstance(scan, ColumnScan):
        raise TypeError("columns are counted by a ColumnScan")
    try:
        requests = columns.requests(report, query.since, query.until, timelines=timelines)
    except HistoryError as error:
        report.warn(", ".join(columns.column_addresses), None, str(error))
        return None
    while True:
        try:
            with requests.understood():
                return question(scan, requests)
        except engine_error() as error:
            if not requests.leave_out_broken():
                raise SourceError(f"{', '.join(source.names)}: {str(error).strip()}") from error


def ask_for(source: Source, scan: Scan, wanted: str, most: int) -> tuple[list[RequestRecord], int] | None:
    """Return the first requests with an ID and how many have it, where an engine can find them."""
    return asked(source, scan, lambda scan, requests: scan.find(requests, wanted, most))


def sample_of(source: Source, scan: Scan) -> "Sample | None":
    """Return what a comparison needs, where an engine can count it."""
    return asked(source, scan, lambda scan, requests: scan.sample(requests), timelines=False)


def plain_of(source: Source) -> Source:
    """Return a source without what is stored as Parquet."""
    return source.without_columns() if isinstance(source, FileSource) and source.column_addresses else source


def files_to_share(source: Source, scan: Scan, workers: int) -> list[Path]:
    """Return the files to be read by several processes; none if one process is as fast."""
    limit = scan.top.limit
    if scan.query.last is not None or limit is None or limit > _MAX_LISTED:
        return []
    files = _large(source, workers)
    return files if len(files) > 1 else []  # nothing to share


def _large(source: Source, workers: int) -> list[Path]:
    """Return the files of a source that is worth several processes; none if it is not, or if there can be only one."""
    if workers < 2 or sys.platform != "linux" or not isinstance(source, FileSource):  # one is none
        return []
    files = source.files()
    return files if sum(file.stat().st_size for file in files) >= WORTH_IT else []


def by_traces(source: Source, read: Callable[[Source], T], *, listed: int | None, workers: int) -> list[T]:
    """Let several processes read a share of the traces each, and return what they read; nothing if one is as fast.

    Of lines of JSON every process goes through all files, because a trace may be in several, and decodes the spans of
    its traces; an engine is asked for its traces only.
    """
    shared = shared_source(source)
    if listed is None or listed > _MAX_LISTED or workers < 2 or sys.platform != "linux" or shared is None:
        return []
    if shared.requests_about() < SHARED_FROM:
        return []
    import multiprocessing  # few stores are that large
    from concurrent.futures import ProcessPoolExecutor

    global _reading  # noqa: PLW0603 - inherited by the children
    number = min(workers, MAX_WORKERS)
    _reading = read, shared.shares(number)
    pool = ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("fork"), initializer=_prepare)
    try:
        return list(pool.map(_read_share, range(number)))
    finally:
        _reading = None
        pool.shutdown(cancel_futures=True)


def _read_share(number: int) -> Any:
    if _reading is None:
        raise AssertionError
    read, shares = _reading
    return read(shares[number])


def _scan_files(files: list[Path], scan: Scan, *, timelines: bool, workers: int, watch: Watch | None) -> None:
    """Read files in several processes, and merge their scans into `scan`."""
    import multiprocessing  # few stores are that large
    from concurrent.futures import ProcessPoolExecutor

    global _job  # noqa: PLW0603 - inherited by the children
    _job = _Job(scan, timelines)
    scan.coverage.report.bytes_total = sum(file.stat().st_size for file in files)
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(min(workers, MAX_WORKERS, len(files)), mp_context=context, initializer=_prepare)
    try:
        for part in _each_once(pool, files):
            scan.merge(part)
            if watch is not None:
                watch(part.coverage.requests)
    finally:
        _job = None
        pool.shutdown(cancel_futures=True)


def _each_once(pool: "ProcessPoolExecutor", files: list[Path]) -> Iterator[Scan]:
    """Yield a scan per file. If a file repeats requests of an earlier one, it is scanned again without them."""
    seen = SeenIds()
    again: list[Future[Scan]] = []
    for file, part in zip(files, pool.map(_scan_file, files), strict=True):
        ids = part.coverage.report.seen or SeenIds()
        repeats = seen.common(ids)
        seen.update(ids)
        if repeats:
            again.append(pool.submit(_scan_file, file, repeats))
        else:
            yield part
    for future in again:
        yield future.result()


def _scan_here(source: Source, scan: Scan, *, timelines: bool, watch: Watch | None) -> None:
    """Read a source in this process."""
    counted_only = scan.top.limit == 0 and scan.budgets is None
    tables = tables_of(source, scan.query, scan.coverage.report) if counted_only else None
    if tables is not None:
        for table in tables:
            scan.extend(table)
        return
    for record in scan.query.select(source, scan.coverage.report, timelines=timelines):
        scan.add(record)
        if watch is not None:
            watch(1)


def tables_of(source: Source, query: Query, report: ReadReport) -> Iterator[Table] | None:
    """Return the selected requests as tables, where the source has such; `None`: it has records."""
    tables: Callable[[Query, ReadReport], Iterator[Table] | None] | None = getattr(source, "tables", None)
    return None if tables is None else tables(query, report)


def _prepare() -> None:
    # Ctrl-C is sent to every process of the terminal; the parent handles it for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A child exits before garbage cycles could matter, and looking for them takes time.
    gc.disable()


def _scan_file(file: Path, elsewhere: SeenIds | None = None) -> Scan:
    if _job is None:
        raise AssertionError
    scan = _job.scan.fresh()
    _scan_here(FileSource([file], elsewhere=elsewhere), scan, timelines=_job.timelines, watch=None)
    scan.settle()
    for tally in scan.models.values():
        tally.settle()
    return scan
