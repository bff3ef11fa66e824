"""What each view shows, as data: the audit's own results and tables, computed once for each state of the store."""

import json
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from groqscope import semconv
from groqscope.audit import (
    Audit,
    AuditError,
    Comparison,
    Entry,
    NotFound,
    Query,
    ReadReport,
    Records,
    RequestAudit,
    RunAudit,
    RunsAudit,
    Verdict,
    compare,
    list_runs,
    one_request,
    one_run,
    overview,
)
from groqscope.audit.baseline import Key, key_of
from groqscope.audit.execution import execute, tables_of
from groqscope.audit.fields import FIELDS
from groqscope.audit.formatting import DurationUnit, count, moment, money, percent, rate, share
from groqscope.audit.groups import Grouping
from groqscope.audit.ids import checked_id, ids_of
from groqscope.audit.model import Groups
from groqscope.audit.prompt_cache import PromptCacheTally
from groqscope.audit.reports import CsvRenderer, HtmlRenderer, JsonRenderer, Report, unit_of
from groqscope.audit.reports.details import record_id
from groqscope.audit.reports.html_data import LEGEND, detail_data, list_data
from groqscope.audit.reports.tables import provenance_words
from groqscope.audit.reports.waterfall import GROUPS
from groqscope.audit.scan import NEAREST
from groqscope.audit.sources import column_source
from groqscope.audit.table import Some
from groqscope.audit.verdict import found_in, is_slow, judge
from groqscope.runs import NotARun
from groqscope.store import read_span
from groqscope.timeline import RequestRecord
from groqscope.ui.collection import CollectedSource, Collection, Selector
from groqscope.ui.columns import TIME
from groqscope.ui.kept import Opened, pick
from groqscope.ui.parameters import Asked, Page, command
from groqscope.ui.series import WINDOWS, Bucket

T = TypeVar("T")

RENDERERS: Final[dict[str, tuple[str, Callable[[Report], str]]]] = {
    "html": ("text/html", lambda report: HtmlRenderer().render(report)),
    "json": ("application/json", lambda report: JsonRenderer().render(report)),
    "csv": ("text/csv", lambda report: CsvRenderer().render(report)),
}
"""What can be exported: content type, and what writes it."""
_LISTED: Final = {"html": 10_000, "json": 1_000, "csv": None}
"""Requests that an export lists, as `groqscope audit` does."""
_REMEMBERED: Final = 12
"""Results kept for each state of the store."""
_TOGETHER: Final = 1_000
"""Requests that are looked at together when an ID is looked for."""
_SHOWN: Final = 3
_VALUES: Final = 200
"""Models and services of which one can be chosen."""
_LATE: Final = 1.0
"""Seconds by which a request may end after the report that counts it."""
_FRESH: Final = 5_000
"""Requests up to which what is usual is computed anew for each state of the store."""
_STALE: Final = 10.0
"""Seconds for which it is kept in a larger one."""
_CONTENT: Final = (
    semconv.INPUT_MESSAGES,
    semconv.OUTPUT_MESSAGES,
    semconv.SYSTEM_INSTRUCTIONS,
    semconv.TOOL_DEFINITIONS,
)
"""Attributes that hold what was said; they are there only if it was recorded."""
_MS: Final = DurationUnit.of("ms")


@dataclass(frozen=True, slots=True)
class _Usual:
    """What is usual for requests of each kind."""

    medians: dict[Key, dict[str, float]]
    cache: PromptCacheTally
    version: int
    at: float

    def verdict(self, record: RequestRecord) -> Verdict:
        """Return why a request took as long as it did, compared with what is usual."""
        return judge(record, self.medians.get(key_of(record), {}), self.cache.prefill_uncached_ns(record))

    def slow_by(self, table: Opened, place: int) -> list[str]:
        """Return what a request was slow by; nothing, if it was not."""
        key = table.column("model")[place], table.column("stream")[place]
        usual, row = self.medians.get(key, {}), table.measured()[place]
        if not is_slow(row[0], usual):
            return []
        return [code for code, _ in found_in(row, table.column("cache_missed_tokens")[place], usual)]


@dataclass(frozen=True, slots=True)
class _List:
    """The requests of a list, in its order, by their numbers."""

    numbers: "array[int]"
    unit: DurationUnit
    day: str | None
    """The day on which all of them began."""
    dated: bool
    """Whether the times need their date."""


@dataclass(slots=True)
class _Known:
    """A result that was computed, and for which state of the store."""

    version: int | None = None
    made: Any = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Views:
    """Every view of a collection."""

    def __init__(self, collection: Collection, clock: Callable[[], float] = time.monotonic) -> None:
        self.collection = collection
        self._source = CollectedSource(collection)
        self._memory = CollectedSource(collection, files=False)
        self._clock = clock
        self._known: OrderedDict[Any, _Known] = OrderedDict()
        self._latest_usual: _Usual | None = None
        self._lock = threading.Lock()

    # -- live

    def live(self, window: str, since: int = 0) -> dict[str, Any]:
        """Return the last minutes: headline figures, the buckets since a moment, the newest requests.

        Raises:
            AuditError: there is no such window.
        """
        if window not in WINDOWS:
            raise AuditError(f"there is no window {window!r}: take one of {', '.join(WINDOWS)}")
        collection, now = self.collection, int(time.time())
        length, width = WINDOWS[window]
        entries = self._entries(list(collection.newest)[::-1])
        return {
            "version": collection.version,
            "now": now,
            "window": window,
            "length": length,
            "width": width,
            "total": collection.total,
            "loading": round(collection.read_share, 3) if collection.loading else None,
            "tiles": self._tiles(collection.series.whole(window, now), min(length, 60 * 60 * 6), now),
            "limits": self._limits(now),
            "buckets": collection.series.rows(window, now, since),
            "list": list_data(entries, _MS),
        }

    def _tiles(self, whole: Bucket, length: int, now: int) -> list[list[Any]]:
        ttfc, duration = whole.ttfc.distribution("ns"), whole.duration.distribution("ns")
        in_flight = self.in_flight(now)
        failed = whole.failed / whole.requests if whole.requests else None
        return [
            ["requests/s", rate(whole.requests / length), count(whole.requests, "request"), ""],
            ["in flight", *in_flight, ""],
            ["failed", "-" if failed is None else percent(failed), f"{whole.failed:,}", "bad" if whole.failed else ""],
            ["first chunk p50, ms", _MS.text(ttfc.p50), f"p95 {_MS.text(ttfc.p95)}", ""],
            ["total p50, ms", _MS.text(duration.p50), f"p95 {_MS.text(duration.p95)}", ""],
            ["tokens out/s", rate(whole.output_tokens / length), f"{whole.input_tokens:,} in", ""],
            ["cost", money(whole.cost) if whole.requests else "-", f"{money(whole.cost * 3600 / length)} an hour", ""],
        ]

    def in_flight(self, now: int) -> tuple[str, str]:
        """Return how many requests are in flight, and since when that is known."""
        reported = self.collection.active.now()
        if reported is None:
            return "-", "not reported"
        number, at = reported
        age = f"{max(0, round(now - at))} s ago"
        newest = max((r.start_unix_ns + r.duration_ns for r in self.collection.newest), default=0)
        if not number and newest > (at + _LATE) * 1e9:
            return "-", f"0 reported {age}"  # which no longer holds: requests have ended since
        return f"{number:,}", f"reported {age}"

    def _limits(self, now: int) -> list[list[Any]]:
        rows: list[list[Any]] = []
        for model, at, limits in self.collection.series.limits()[:8]:
            for left, of, what in (
                (limits.requests_remaining, limits.requests_limit, "requests a day"),
                (limits.tokens_remaining, limits.tokens_limit, "tokens a minute"),
            ):
                if left is not None and of:
                    part = max(0.0, min(1.0, left / of))
                    rows.append([model or "-", what, f"{left:,} of {of:,}", share(left, of), part, max(0, now - at)])
        return sorted(rows, key=lambda row: row[4])  # the least left first

    # -- requests

    def requests(self, asked: Asked, page: Page) -> dict[str, Any]:
        """Return a part of the list of requests.

        A list stays what it was when its first part was asked for: later parts give back its `upto` and `at`.

        Raises:
            AuditError: the selection cannot be understood.
        """
        page = self._begun(page)
        listed = self._listed(asked, page)
        found = pick(self.collection.parts(), listed.numbers[page.offset : page.offset + page.limit])
        entries = self._entries(record for record in found if record is not None)
        data = list_data(entries, listed.unit, dated=listed.dated)
        rows = iter(data["requests"])
        data["requests"] = [None if record is None else next(rows) for record in found]
        return {
            **data,
            "total": len(listed.numbers),
            "offset": page.offset,
            "upto": page.upto,
            "at": page.at,
            "unit": listed.unit.label,
            "day": listed.day,
            "command": command(asked),
            **self._state(),
        }

    def _begun(self, page: Page) -> Page:
        """Return which requests a list is of: those that are there now, unless it was begun before."""
        return replace(page, upto=page.upto or self.collection.end, at=page.at or time.time_ns())

    def _listed(self, asked: Asked, page: Page) -> "_List":
        def make() -> _List:
            matching, columns = self._matching(asked, page), self.collection.columns()
            numbers = columns.sort(matching, page.sort, descending=page.descending)
            days = [moment(start)[:10] for start in columns.span(numbers) or ()]
            day = days[0] if len(set(days)) == 1 else None
            unit = DurationUnit.fitting([columns.longest(numbers)])
            return _List(numbers=numbers, unit=unit, day=day, dated=day is None)

        return self._once(("list", asked, replace(page, offset=0, limit=0)), 0, make)

    def _matching(self, asked: Asked, page: Page) -> Iterable[int]:
        """Return the numbers of the requests of a list, those in memory alone."""
        query = replace(asked.query(page.at), by=Query().by)

        def make() -> Iterable[int]:
            columns = self.collection.columns()
            found: Iterable[int] = range(columns.numbers.start, min(columns.numbers.stop, page.upto))
            if query != Query() or page.cause:
                found = array("q", self._selected(query, page))
            return columns.search(found, page.search) if page.search else found

        return self._once(("matching", query, page.cause, page.search, page.upto), 0, make)

    def _selected(self, query: Query, page: Page) -> Iterator[int]:
        selector, usual = Selector(query), self._usual()
        for part in self.collection.parts(query.since, query.until):
            table = part.table()
            places = selector.among(table, selector.in_time(part, table))
            if page.cause:
                places = [place for place in places if page.cause in usual.slow_by(table, place)]
            yield from (part.first + place for place in places if part.first + place < page.upto)

    def _entries(self, records: Iterable[RequestRecord]) -> list[Entry]:
        usual = self._usual()
        return [Entry(record=record, verdict=usual.verdict(record)) for record in records]

    def density(self, asked: Asked, page: Page, bins: int = 120) -> dict[str, Any]:
        """Return how many requests of a list began in each part of its time, and how many of them failed."""
        numbers = self._listed(asked, self._begun(page)).numbers
        every, failed, span = self.collection.columns().density(numbers, bins)
        if span is None:
            return {"all": [], "failed": [], "from": "", "to": ""}
        return {"all": every, "failed": failed, "from": moment(span[0]), "to": moment(span[1]), "span": span}

    # -- one request

    def request(self, wanted: str) -> dict[str, Any]:
        """Return one request, by the beginning of an ID.

        Raises:
            NotFound: no request has it, or several do.
        """
        audit, attributes = self._request(wanted)
        record, unit = audit.record, unit_of(audit)
        content = {name: attributes[name] for name in _CONTENT if name in attributes}
        return {
            **detail_data(record, audit.verdict, unit),
            "id": record_id(record),
            "words": {"unit": unit.label, "groups": GROUPS, "legend": LEGEND},
            "usual": _usual_words(audit),
            "attributes": [[name, _text(attributes[name])] for name in sorted(attributes) if name not in content],
            "content": [[name, _pretty(value)] for name, value in content.items()],
            "run": record.trace_id,
            "command": f"groqscope audit {record_id(record)}",
        }

    def _request(self, wanted: str) -> tuple[RequestAudit, dict[str, Any]]:
        wanted = checked_id(wanted)
        if not self.collection.reaches(None) and not self.collection.columns().with_id(wanted):
            audit = one_request(Records(self.collection.stored, Query()), wanted)
            found = read_span(self._source.names, audit.record.trace_id, audit.record.span_id or "")
            return audit, {} if found is None else found[1]
        record = self._find(wanted)
        found = None
        if record.span_id is not None:
            found = read_span(self._source.names, record.trace_id, record.span_id)
        attributes: dict[str, Any] = {}
        if found is not None:
            record, attributes = found
        elif column_source(self.collection.stored) is not None:  # compacted: its chunks are there, its attributes not
            record = one_request(Records(self.collection.stored, Query()), record_id(record)).record
        return self._among(record), attributes

    def _among(self, record: RequestRecord) -> RequestAudit:
        """Return a request beside those that it is compared with: of many, the nearest in time."""
        columns, moment, query = self.collection.columns(), record.start_unix_ns, Query()
        if len(columns.numbers) > NEAREST:
            distance = columns.nearest(moment, NEAREST)
            query = Query(since=moment - distance, until=moment + distance + 1)
        scan = Records(self._memory, query).scan(listed=0)
        execute(self._memory, scan, timelines=False)
        return RequestAudit(
            provenance=scan.coverage.provenance(self._source),
            record=record,
            verdict=scan.verdict(record),
            usual=scan.model_summary(record.model, scan.causes()),
        )

    def _find(self, wanted: str) -> RequestRecord:
        collection = self.collection
        columns = collection.columns()
        candidates, parts = columns.with_id(wanted), columns.parts
        exact: list[RequestRecord] = []
        begun: list[RequestRecord] = []
        number = 0
        for start in range(0, len(candidates), _TOGETHER):
            for record in pick(parts, candidates[start : start + _TOGETHER]):
                ids = () if record is None else ids_of(record)
                if record is not None and wanted in ids:
                    exact.append(record)
                elif record is not None and any(one.startswith(wanted) for one in ids):
                    number += 1
                    begun = [*begun, record][:_SHOWN]
        found = exact or begun
        if not found:
            raise NotFound(f"no request with the ID {wanted!r} among the {collection.total:,} known")
        if len(found) > 1:
            some = ", ".join(record_id(record) for record in found[:_SHOWN])
            raise NotFound(f"{len(exact) or number:,} requests have the ID {wanted!r}: {some}", len(exact) or number)
        return found[0]

    # -- overviews

    def overview(self, asked: Asked) -> dict[str, Any]:
        """Return everything that `groqscope audit` says of a selection, as markup.

        Raises:
            AuditError: nothing is selected, or the selection cannot be understood.
        """
        audit = self._audit(asked)
        return {"html": HtmlRenderer().fragment(audit), **self._about(audit), "command": command(asked)}

    def groups(self, asked: Asked) -> dict[str, Any]:
        """Return the groups of a selection, as markup.

        Raises:
            AuditError: nothing is selected, or the selection cannot be understood.
        """
        found = self._groups(asked)
        return {"html": "" if found is None else HtmlRenderer().fragment(found), **self._state()}

    def _groups(self, asked: Asked) -> Groups | None:
        def make() -> Groups | None:
            records = self._records(asked)
            query, coverage = records.query, records.coverage()
            tables = tables_of(records.source, query, coverage.report)
            if tables is None or query.grouping is None:
                return self._audit(asked).groups
            grouping = Grouping(query.grouping)
            for table in tables:
                coverage.extend(table)
                grouping.add(table)
            coverage.require_requests(self._source)
            return grouping.result()

        return self._once(("groups", asked, self._moved(asked)), self.collection.version, make)

    def why(self, asked: Asked) -> dict[str, Any]:
        """Return the causes over all slow requests, as markup.

        Raises:
            AuditError: nothing is selected, or the selection cannot be understood.
        """
        audit = self._audit(asked)
        examples = {cause.code: cause.examples[:3] for cause in audit.why.causes} if audit.why is not None else {}
        return {
            "html": HtmlRenderer().fragment(audit, "why"),
            "causes": examples,
            **self._about(audit),
            "command": f"{command(asked)} --why",
        }

    def _audit(self, asked: Asked) -> Audit:
        def make() -> Audit:
            if asked == Asked() and not self.collection.reaches(None) and self.collection.counts_all:
                with self.collection.counted() as scan:  # sooner than all files are read
                    return scan.result(self._source, why=True)
            return overview(self._records(asked), listed=0, why=True, timelines=False)

        return self._once(("audit", asked, self._moved(asked)), self.collection.version, make)

    def compare(self, a: Asked, b: Asked) -> dict[str, Any]:
        """Return what changed between two selections, as markup.

        Raises:
            AuditError: nothing is selected by one of them, or it cannot be understood.
        """
        comparison = self._comparison(a, b)
        sides = [provenance_words(side) for side in (comparison.a, comparison.b)]
        return {"html": HtmlRenderer().fragment(comparison), "sides": sides, **self._state()}

    def _records(self, asked: Asked) -> Records:
        """Return what is selected: of what is at hand, or of all that lies there, of which an engine may be asked."""
        query = asked.query()
        return Records(self._source if self.collection.reaches(query.since) else self.collection.stored, query)

    def _comparison(self, a: Asked, b: Asked) -> Comparison:
        def make() -> Comparison:
            return compare(self._records(a), self._records(b))

        return self._once(("compare", a, b, self._moved(a, b)), self.collection.version, make)

    def runs(self, asked: Asked, order: str) -> dict[str, Any]:
        """Return the list of runs, as markup.

        Raises:
            AuditError: there is no run, or the selection cannot be understood.
        """
        audit = self._runs(asked, order)
        ids = [entry.run.span_id or entry.run.trace_id for entry in audit.entries]
        said = f"{command(asked)} --runs --order {order}"
        return {"html": HtmlRenderer().fragment(audit), "ids": ids, "command": said, **self._about(audit)}

    def _runs(self, asked: Asked, order: str, listed: int | None = 100) -> RunsAudit:
        def make() -> RunsAudit:
            return list_runs(self._source, asked.query(), order=order, listed=listed)

        return self._once(("runs", asked, order, listed, self._moved(asked)), self.collection.version, make)

    def run(self, wanted: str) -> dict[str, Any]:
        """Return one run, as markup.

        Raises:
            NotFound: no run has the ID, or several do.
        """
        audit = self._run(wanted)
        ids = [record_id(request) for request in audit.entry.run.requests]
        said = f"groqscope audit --runs {wanted}"
        return {"html": HtmlRenderer().fragment(audit), "ids": ids, "command": said, **self._about(audit)}

    def _run(self, wanted: str) -> RunAudit:
        try:
            return one_run(self._source, Query(), wanted)
        except NotARun as error:
            raise NotFound(str(error)) from error

    # -- exports

    def export(self, kind: str, written: str, given: dict[str, Any]) -> str:
        """Return a report as `groqscope audit` writes it.

        Raises:
            AuditError: there is no such report, or nothing to report.
        """
        _, render = RENDERERS[written]
        return render(self._report(kind, written, given))

    def _report(self, kind: str, written: str, given: dict[str, Any]) -> Report:
        match kind:
            case "requests":
                return self._list_report(given["asked"], given["page"], _LISTED[written], timelines=written != "csv")
            case "overview" | "why":
                records = self._records(given["asked"])
                return overview(records, listed=_LISTED[written], why=True, timelines=written != "csv")
            case "request":
                return self._request(given["id"])[0]
            case "compare":
                return self._comparison(given["a"], given["b"])
            case "runs":
                return self._runs(given["asked"], given["order"], _LISTED[written])
            case "run":
                return self._run(given["id"])
            case _:
                raise NotFound(f"there is no report {kind!r}")

    def _list_report(self, asked: Asked, page: Page, most: int | None, *, timelines: bool) -> Audit:
        """Return the overview of the requests of a list, with them in its order."""
        page = self._begun(page)
        numbers, parts = self._listed(asked, page).numbers, self.collection.parts()
        query = asked.query(page.at)
        scan = Records(self._source, query).scan(listed=0)
        wanted = set(numbers)
        for part in parts:
            places = [place for place, number in enumerate(part.numbers) if number in wanted]
            scan.coverage.report.records += len(places)
            scan.extend(Some(part.table(), places))
        audit = scan.result(self._source, why=True)
        listed = [record for record in pick(parts, numbers[:most]) if record is not None]
        if timelines:
            listed = self._with_timelines(listed)
        provenance = audit.provenance
        words = list(provenance.selection.words)
        words += [f"search {page.search}"] if page.search else []
        words += [f"slow by {page.cause.replace('_', ' ')}"] if page.cause else []
        selection = replace(provenance.selection, words=tuple(words))
        if (page.sort, page.descending) != (TIME, True):
            way = "descending" if page.descending else "ascending"
            selection = replace(selection, listed="sorted", by=f"{page.sort.replace('-', ' ')}, {way}")
        return replace(
            audit,
            provenance=replace(provenance, files=self.collection.files, selection=selection),
            entries=tuple(Entry(record=record, verdict=scan.verdict(record)) for record in listed),
            omitted=audit.total.requests - len(listed),
        )

    def _with_timelines(self, records: list[RequestRecord]) -> list[RequestRecord]:
        """Return the same requests with the arrival times of their chunks, which are only in the files."""
        starts = [record.start_unix_ns for record in records]
        if not starts:
            return records
        places = {(record.trace_id, record.span_id): place for place, record in enumerate(records)}
        full = list(records)
        since, until = min(starts), max(starts) + 1
        for record in self._source.read(ReadReport(), since=since, until=until, timelines=True):
            place = places.get((record.trace_id, record.span_id))
            if place is not None:
                full[place] = record
        return full

    # -- what all of them need

    def fields(self) -> list[list[str]]:
        """Return the vocabulary of `where`: name, kind, what it is, other names."""
        return [[field.name, field.kind, field.brief, " ".join(field.aliases)] for field in FIELDS]

    def values(self) -> dict[str, list[str]]:
        """Return the models and services that are there, for a choice."""
        columns = self.collection.columns()
        return {name: columns.texts(name)[:_VALUES] for name in ("model", "service")}

    def _about(self, audit: Audit | RunsAudit | RunAudit) -> dict[str, Any]:
        return {"provenance": provenance_words(audit.provenance), **self._state()}

    def _state(self) -> dict[str, Any]:
        collection = self.collection
        return {
            "version": collection.version,
            "known": collection.total,
            "complete": collection.reaches(None),
            "loading": round(collection.read_share, 3) if collection.loading else None,
        }

    def _usual(self) -> _Usual:
        """Return what is usual: in a large store it may be a few seconds old."""
        with self._lock:
            known, version, now = self._latest_usual, self.collection.version, self._clock()
            if known is not None and known.version != version:
                young = now - known.at < _STALE
                if not (young and self.collection.total > _FRESH):
                    known = None
            if known is None:
                with self.collection.counted() as scan:
                    medians = {kind: rows.medians for kind, rows in scan.baseline.rows.items()}
                    known = self._latest_usual = _Usual(medians, scan.cache, version, now)
            return known

    def _once(self, key: Any, version: int, make: Callable[[], T]) -> T:
        """Return a result that was computed for this state of the store, or compute it; others do not wait."""
        with self._lock:
            known = self._known.setdefault(key, _Known())
            self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        with known.lock:
            if known.version != version:
                known.made, known.version = make(), version
            return known.made

    def _moved(self, *selections: Asked) -> int:
        """Return what changes every few seconds where a selection moves on with the time, such as `15m` ago."""
        return int(self._clock()) // 5 if any(one.since or one.until for one in selections) else 0


def _usual_words(audit: RequestAudit) -> str:
    usual = audit.usual
    if usual is None or usual.duration.p50 is None:
        return ""
    return f"{count(usual.requests, 'request')} to this model, median {_MS.full(usual.duration.p50)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _pretty(value: Any) -> str:
    """Return recorded content, which is JSON in a text, so that people can read it."""
    text = _text(value)
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
