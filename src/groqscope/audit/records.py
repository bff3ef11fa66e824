"""The records of a source: an iterable with the audit's questions as methods."""

import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from groqscope.audit.budgets import Budgets, parse_budgets
from groqscope.audit.errors import AuditError, NoRequests, NotFound
from groqscope.audit.execution import Watch, ask_for, execute, plain_of
from groqscope.audit.formatting import duration
from groqscope.audit.ids import ambiguous, checked_id, id_of, ids_of
from groqscope.audit.model import Audit, BudgetResult, RequestAudit, Why
from groqscope.audit.runs import RunAudit, measure_runs, one_run
from groqscope.audit.scan import LISTED, NEAREST, Coverage, Scan
from groqscope.audit.selection import Query, parse_moment
from groqscope.audit.sources import Source, StoreSource, column_source, file_source, trace_source
from groqscope.runs import Run
from groqscope.store import ReadReport
from groqscope.timeline import RequestRecord

_KEPT: Final = 6
_SHOWN: Final = 5


class Records:
    """The selected records of a source; each iteration and each method reads the source again."""

    def __init__(self, source: Source, query: Query) -> None:
        self.source = source
        self.query = query
        self.report: ReadReport = ReadReport()
        """What the latest reading skipped; a new object for each reading."""

    def __repr__(self) -> str:
        """Name the source and the selection, without reading anything."""
        return f"<Records of {', '.join([*self.source.names, *self.query.selection().words])}>"

    def __iter__(self) -> Iterator[RequestRecord]:
        self.report = ReadReport()
        return self.query.select(self.source, self.report)

    def coverage(self) -> Coverage:
        """Begin a new reading, and return the object that counts what is selected."""
        self.report = ReadReport()
        return Coverage(self.query, self.report)

    def scan(self, budgets: Budgets | None = None, *, listed: int | None = LISTED) -> Scan:
        """Begin a new reading, and return the scan for it."""
        self.report = ReadReport()
        if column_source(self.source) is not None:
            from groqscope.audit.columnar import ColumnScan

            return ColumnScan(self.query, budgets, listed=listed, report=self.report)
        return Scan(self.query, budgets, listed=listed, report=self.report)

    def overview(self, *, listed: int | None = LISTED, budgets: Iterable[str] = (), goodput: Iterable[str] = (),
                 why: bool = True) -> Audit:  # fmt: skip
        """Return what `groqscope audit` shows.

        Raises:
            AuditError: nothing can be read, nothing is selected, or a budget cannot be understood.
        """
        return overview(self, listed=listed, budgets=parse_budgets(budgets, goodput), why=why)

    def request(self, wanted: str) -> RequestAudit:
        """Return one request as `groqscope audit ID` shows it.

        Raises:
            NotFound: no request has the ID, or several do.
        """
        return one_request(self, wanted)

    def budgets(self, *budgets: str, goodput: Iterable[str] = ()) -> tuple[BudgetResult, ...]:
        """Return the verdicts on budgets such as `ttfc.p95 < 400ms`.

        Raises:
            AuditError: a budget cannot be understood, or nothing is selected.
        """
        return self.overview(listed=0, budgets=budgets, goodput=goodput, why=False).budgets

    def why(self) -> Why:
        """Return the causes of the slow requests.

        Raises:
            AuditError: nothing can be read, or nothing is selected.
        """
        why = self.overview(listed=0).why
        if why is None:
            raise AssertionError
        return why

    def to_polars(self) -> Any:
        """Return a polars.DataFrame: a row per request, a column per field of the vocabulary.

        Raises:
            ImportError: polars is not installed.
        """
        from groqscope.audit.dataframes import to_polars

        return to_polars(self)

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame: a row per request, a column per field of the vocabulary.

        Raises:
            ImportError: pandas is not installed.
        """
        from groqscope.audit.dataframes import to_pandas

        return to_pandas(self)


def overview(
    records: Records,
    *,
    listed: int | None = LISTED,
    budgets: Budgets | None = None,
    why: bool = False,
    timelines: bool = True,
    workers: int = 1,
    watch: Watch | None = None,
) -> Audit:
    """Read all records and return the overview.

    Args:
        records: The source, and what to select from it.
        listed: How many requests to keep and list; `None`: all of them.
        budgets: Limits that the requests are checked against.
        why: Explain the slow requests.
        timelines: Read the arrival times of chunks of the requests listed.
        workers: Processes that share a large store (Linux; only in a program with a single thread, which is forked).
        watch: Called with the number of records read since the last call, for a progress bar.

    Raises:
        AuditError: nothing can be read, or nothing is selected.
    """
    scan = records.scan(budgets, listed=listed)
    execute(records.source, scan, timelines=timelines, workers=workers, watch=watch)
    if budgets is not None and budgets.measure_runs:
        measure_runs(trace_source(records.source), records.query, budgets)
    return scan.result(records.source, why=why)


def one_request(records: Records, wanted: str, *, watch: Watch | None = None) -> RequestAudit:
    """Find one request by the beginning of its trace, span, request or response ID, and compare it with the others.

    Raises:
        NotFound: no request has it, several do, or it is too short for an ID.
        AuditError: nothing can be read.
    """
    wanted = checked_id(wanted)
    scan = records.scan(listed=0)
    found, number, scan = _found(records, scan, wanted, watch)
    scan.coverage.require_requests(records.source)
    record = _only(found, wanted, number, scan.coverage.requests, records.source)
    return RequestAudit(
        provenance=scan.coverage.provenance(records.source),
        record=record,
        verdict=scan.verdict(record),
        usual=scan.model_summary(record.model, scan.causes()),
    )


def _found(records: Records, scan: Scan, wanted: str, watch: Watch | None) -> tuple[list[RequestRecord], int, Scan]:
    """Return the first requests with an ID, how many have it, and the scan of those that they are compared with."""
    if (answer := ask_for(records.source, scan, wanted, _KEPT)) is not None:
        return *answer, scan
    exact: list[RequestRecord] = []
    begun: list[RequestRecord] = []
    more = 0
    starts = array("q")
    for record in records.query.select(plain_of(records.source), records.report):
        scan.add(record)
        starts.append(record.start_unix_ns)
        ids = ids_of(record)
        if wanted in ids:
            exact.append(record)
        elif any(one.startswith(wanted) for one in ids):
            more += 1
            if len(begun) < _KEPT:
                begun.append(record)
        if watch is not None:
            watch(1)
    found = exact or begun
    number = len(exact) or more
    if number == 1 and len(starts) > NEAREST:
        scan = _nearest(records, scan, found[0].start_unix_ns, starts)
    return found, number, scan


def _nearest(records: Records, scan: Scan, moment: int, starts: "array[int]") -> Scan:
    """Return a scan of only the requests that are nearest to a moment: a second reading."""
    distance = sorted(abs(start - moment) for start in starts)[NEAREST - 1]
    near = replace(records.query, since=moment - distance, until=moment + distance + 1)
    nearest = scan.fresh()
    for record in (records.query if records.query.last else near).select(plain_of(records.source), ReadReport()):
        if near.in_time(record):
            nearest.add(record)
    nearest.coverage.report = scan.coverage.report
    return nearest if nearest.coverage.requests else scan  # standard input is read only once


def _only(found: list[RequestRecord], wanted: str, number: int, among: int, source: Source) -> RequestRecord:
    if not found:
        raise NotFound(
            f"no request with the ID {wanted!r} among {among:,} in {', '.join(source.names)}: `groqscope audit` lists "
            "the newest; an ID is a trace, span, req_… or chatcmpl-… ID, or its beginning"
        )
    if number > 1:
        raise ambiguous(wanted, "request", map(_line, found[:_SHOWN]), number)
    return found[0]


def _line(record: RequestRecord) -> str:
    one = record.span_id or id_of(record)
    return f"{one}  {record.request_id or '-'}  {record.model or '-'}  {record.outcome}  {duration(record.duration_ns)}"


def find(records: Records, wanted: str, *, watch: Watch | None = None) -> RequestAudit | RunAudit:
    """Find what has an ID: one request; else the run whose requests have it, or one of whose spans has it.

    Raises:
        NotFound: nothing has it, several requests or runs do, or it is too short for an ID.
        AuditError: nothing can be read.
    """
    try:
        return one_request(records, wanted, watch=watch)
    except (NotFound, NoRequests) as error:
        found = error.found if isinstance(error, NotFound) else 0
        try:
            audit = one_run(trace_source(records.source), records.query, wanted)
        except AuditError:
            audit = None
        if audit is None or (found and found != _having(audit.entry.run, wanted)):
            raise
        return audit


def _having(run: Run, wanted: str) -> int:
    """Count the requests of a run that have an ID which begins so."""
    return sum(any(one.startswith(wanted) for one in ids_of(request)) for request in run.requests)


def load(
    *paths: Path | str,
    tempo: str | None = None,
    clickhouse: str | None = None,
    since: str | None = None,
    until: str | None = None,
    model: str | Sequence[str] = (),
    service: str | Sequence[str] = (),
    outcome: str | Sequence[str] = (),
    where: str | None = None,
    last: int | None = None,
) -> Records:
    """Return the records of files, directories, a Tempo or a ClickHouse; of the local store if none is given.

    Args:
        paths: Files and directories of OTLP JSON; `-` is standard input.
        tempo: Address of a Tempo, for example `http://127.0.0.1:3200`.
        clickhouse: Address of a ClickHouse, for example `http://127.0.0.1:8123/otel`.
        since: How long ago (`1h`, `30m`, `2d`), or a moment in ISO form.
        until: The same.
        model: A part of the model's name, or several, one of which has to be in it.
        service: A service's name, or several.
        outcome: One or several of `completed`, `closed`, `abandoned`, `cancelled`, `error`, `truncated`.
        where: An expression such as `ttfc > 1s and retries > 0`.
        last: Only this many of the newest.

    Raises:
        AuditError: a path that does not exist, or a condition that cannot be understood.
    """
    now = time.time_ns()
    query = Query(
        since=None if since is None else parse_moment(since, "since", now),
        until=None if until is None else parse_moment(until, "until", now),
        models=_several(model),
        services=_several(service),
        outcomes=_several(outcome),
        where=where,
        last=last,
    )
    query.predicate()
    return Records(source_of(paths, tempo, clickhouse), query)


def source_of(paths: Sequence[Path | str], tempo: str | None = None, clickhouse: str | None = None) -> Source:
    """Return the source of the paths or the address.

    Raises:
        SourceError: a path does not exist, or an address is not one.
    """
    if tempo is not None:
        from groqscope.audit.tempo import TempoSource

        return TempoSource(tempo)
    if clickhouse is not None:
        from groqscope.audit.clickhouse import ClickHouseSource

        return ClickHouseSource(clickhouse)
    return file_source(paths) if paths else StoreSource()


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
