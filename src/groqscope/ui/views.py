"""What each view shows, as data: the audit's own results and tables, computed once for each state of the store."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, TypeVar

from groqscope import semconv
from groqscope.audit import (
    Audit,
    AuditError,
    Comparison,
    Entry,
    NotFound,
    Query,
    Records,
    RequestAudit,
    RunAudit,
    RunsAudit,
    Scan,
    compare,
    list_runs,
    one_run,
    overview,
)
from groqscope.audit.execution import execute
from groqscope.audit.fields import FIELDS, find
from groqscope.audit.formatting import DurationUnit, count, moment, money, percent, rate, share
from groqscope.audit.records import checked_id, ids_of
from groqscope.audit.reports import CsvRenderer, HtmlRenderer, JsonRenderer, Report, unit_of
from groqscope.audit.reports.details import record_id
from groqscope.audit.reports.html_data import LEGEND, detail_data, list_data
from groqscope.audit.reports.tables import days, provenance_words
from groqscope.audit.reports.waterfall import GROUPS
from groqscope.audit.verdict import judge
from groqscope.audit.why import Causes
from groqscope.runs import NotARun
from groqscope.store import read_span
from groqscope.timeline import RequestRecord
from groqscope.ui.collection import CollectedSource, Collection
from groqscope.ui.parameters import Asked, Page, command
from groqscope.ui.series import WINDOWS, Stretch

T = TypeVar("T")

RENDERERS: Final[dict[str, tuple[str, Callable[[Report], str]]]] = {
    "html": ("text/html", lambda report: HtmlRenderer().render(report)),
    "json": ("application/json", lambda report: JsonRenderer().render(report)),
    "csv": ("text/csv", lambda report: CsvRenderer().render(report)),
}
"""What can be exported: content type, and what writes it."""
_LISTED: Final = {"html": 10_000, "json": 1_000, "csv": None}
"""Requests that an export lists, as `groqscope audit` does."""
_REMEMBERED: Final = 24
"""Results kept for each state of the store."""
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
_SORTS: Final = {
    "time": "start",
    "total": "duration",
    "first-chunk": "ttfc",
    "in": "input_tokens",
    "out": "output_tokens",
    "tokens/s": "throughput",
    "tools": "tool_calls",
}
"""Columns of the list whose field has another name."""
_MS: Final = DurationUnit.of("ms")


@dataclass(frozen=True, slots=True)
class _Everything:
    """All requests counted, for what is usual."""

    scan: Scan
    version: int
    at: float


class Views:
    """Every view of a collection."""

    def __init__(self, collection: Collection, clock: Callable[[], float] = time.monotonic) -> None:
        self.collection = collection
        self._source = CollectedSource(collection)
        self._clock = clock
        self._known: OrderedDict[Any, tuple[int, Any]] = OrderedDict()
        self._everything: _Everything | None = None
        self._lock = threading.RLock()

    # -- live

    def live(self, window: str, since: int = 0) -> dict[str, Any]:
        """Return the last minutes: headline figures, the stretches since a moment, the newest requests.

        Raises:
            AuditError: there is no such window.
        """
        if window not in WINDOWS:
            raise AuditError(f"there is no window {window!r}: take one of {', '.join(WINDOWS)}")
        collection, now = self.collection, int(time.time())
        length, width = WINDOWS[window]
        newest = list(collection.newest)[::-1]
        entries = [Entry(record=record, verdict=judge(record, collection.recent.of(record))) for record in newest]
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
            "stretches": collection.series.rows(window, now, since),
            "list": list_data(entries, _MS),
        }

    def _tiles(self, whole: Stretch, length: int, now: int) -> list[list[Any]]:
        ttfc, duration = whole.ttfc.distribution("ns"), whole.duration.distribution("ns")
        active = self.collection.active.now()
        flying = ["in flight", "-", "no program says", ""]
        if active is not None:
            number, at = active
            flying = ["in flight", f"{number:,}", f"said {max(0, round(now - at))} s ago", ""]
        failed = whole.failed / whole.requests if whole.requests else None
        return [
            ["requests/s", rate(whole.requests / length), count(whole.requests, "request"), ""],
            flying,
            ["failed", "-" if failed is None else percent(failed), f"{whole.failed:,}", "bad" if whole.failed else ""],
            ["first chunk p50", _MS.text(ttfc.p50), f"p95 {_MS.text(ttfc.p95)} ms", ""],
            ["total p50", _MS.text(duration.p50), f"p95 {_MS.text(duration.p95)} ms", ""],
            ["tokens out/s", rate(whole.output_tokens / length), f"{whole.input_tokens:,} in", ""],
            ["cost", money(whole.cost) if whole.requests else "-", f"{money(whole.cost * 3600 / length)} an hour", ""],
        ]

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
        return rows

    # -- requests

    def requests(self, asked: Asked, page: Page) -> dict[str, Any]:
        """Return a part of the list of requests.

        Raises:
            AuditError: the selection cannot be understood.
        """
        records, unit = self._listed(asked, page)
        shown = records[page.offset : page.offset + page.limit]
        baseline = self._usual().baseline if shown else None
        entries = [
            Entry(record=record, verdict=judge(record, baseline.of(record))) for record in shown if baseline is not None
        ]
        return {
            **list_data(entries, unit),
            "version": self.collection.version,
            "total": len(records),
            "offset": page.offset,
            "unit": unit.label,
            "days": sorted(days(entries)),
            "command": command(asked),
            **self._state(),
        }

    def _listed(self, asked: Asked, page: Page) -> tuple[list[RequestRecord], DurationUnit]:
        def make() -> tuple[list[RequestRecord], DurationUnit]:
            records = self._matching(asked.query(), page)
            get = find(_SORTS.get(page.sort, page.sort)).get
            known = [(value, record) for record in records if (value := get(record)) is not None]
            unknown = [record for record in records if get(record) is None]
            # What is not known comes last, whichever way the list is sorted.
            known.sort(key=lambda pair: pair[0], reverse=page.descending)  # pyright: ignore[reportArgumentType]
            unit = DurationUnit.fitting([max((record.duration_ns for record in records), default=None)])
            return [record for _, record in known] + unknown, unit

        return self._once(("list", asked, page.search, page.cause, page.sort, page.descending), make, asked)

    def _matching(self, query: Query, page: Page) -> list[RequestRecord]:
        # From memory alone: a list of a whole store would take as much memory as there are requests.
        found = list(query.apply(self.collection.records()))
        terms = page.search.lower().split()
        if terms:
            found = [record for record in found if all(term in _words(record) for term in terms)]
        if page.cause:
            usual = self._usual().baseline
            verdicts = ((record, judge(record, usual.of(record))) for record in found)
            found = [r for r, verdict in verdicts if verdict.slow and page.cause in {c.code for c in verdict.causes}]
        return found

    def density(self, asked: Asked, page: Page, bins: int = 120) -> dict[str, Any]:
        """Return how many requests of a list began in each part of its time, and how many of them failed."""
        records, _ = self._listed(asked, page)
        if not records:
            return {"all": [], "failed": [], "from": "", "to": ""}
        starts = [record.start_unix_ns for record in records]
        first, last = min(starts), max(starts)
        width = max(1, last - first)
        every, failed = [0] * bins, [0] * bins
        for record in records:
            place = min(bins - 1, (record.start_unix_ns - first) * bins // width)
            every[place] += 1
            failed[place] += record.outcome in ("error", "truncated")
        return {"all": every, "failed": failed, "from": moment(first), "to": moment(last)}

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
        record = self._find(checked_id(wanted))
        found = None
        if record.span_id is not None:
            found = read_span(self._source.names, record.trace_id, record.span_id)
        attributes: dict[str, Any] = {}
        if found is not None:
            record, attributes = found
        scan = self._usual()
        return RequestAudit(
            provenance=scan.coverage.provenance(self._source),
            record=record,
            verdict=scan.verdict(record),
            usual=scan.model_summary(record.model, Causes()) if record.model in scan.models else None,
        ), attributes

    def _find(self, wanted: str) -> RequestRecord:
        exact: list[RequestRecord] = []
        begun: list[RequestRecord] = []
        for record in self.collection.records():
            ids = ids_of(record)
            if wanted in ids:
                exact.append(record)
            elif any(one.startswith(wanted) for one in ids):
                begun.append(record)
        found = exact or begun
        if not found:
            raise NotFound(f"no request with the ID {wanted!r} among the {self.collection.total:,} known")
        if len(found) > 1:
            some = ", ".join(record_id(record) for record in found[:3])
            raise NotFound(f"{len(found):,} requests have the ID {wanted!r}: {some}", len(found))
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
        return {"html": HtmlRenderer().fragment(self._audit(asked), "groups"), **self._state()}

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
            return overview(Records(self._source, asked.query()), listed=0, why=True, timelines=False)

        return self._once(("audit", asked), make, asked)

    def compare(self, a: Asked, b: Asked) -> dict[str, Any]:
        """Return what changed between two selections, as markup.

        Raises:
            AuditError: nothing is selected by one of them, or it cannot be understood.
        """
        comparison = self._comparison(a, b)
        sides = [provenance_words(side) for side in (comparison.a, comparison.b)]
        return {"html": HtmlRenderer().fragment(comparison), "sides": sides, **self._state()}

    def _comparison(self, a: Asked, b: Asked) -> Comparison:
        def make() -> Comparison:
            return compare(Records(self._source, a.query()), Records(self._source, b.query()))

        return self._once(("compare", a, b), make, a, b)

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

        return self._once(("runs", asked, order, listed), make, asked)

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
            case "requests" | "overview" | "why":
                records = Records(self._source, given["asked"].query())
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

    # -- what all of them need

    def fields(self) -> list[list[str]]:
        """Return the vocabulary of `where`: name, kind, what it is, other names."""
        return [[field.name, field.kind, field.brief, " ".join(field.aliases)] for field in FIELDS]

    def values(self) -> dict[str, list[str]]:
        """Return the models and services that are there, for a choice."""
        records = self.collection.records()
        return {
            name: sorted({value for record in records if (value := get(record)) is not None})[:200]
            for name, get in (("model", attrgetter("model")), ("service", attrgetter("service")))
        }

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

    def _usual(self) -> Scan:
        """Return all requests counted, for what is usual: of a large store a few seconds old."""
        with self._lock:
            known, version = self._everything, self.collection.version
            if known is not None and known.version != version:
                young = self._clock() - known.at < _STALE
                if not (young and known.scan.coverage.requests > _FRESH):
                    known = None
            if known is None:
                source = CollectedSource(self.collection, files=self.collection.reaches(None))
                scan = Records(source, Query()).scan(listed=0)
                execute(source, scan, timelines=False)
                known = self._everything = _Everything(scan, version, self._clock())
            return known.scan

    def _once(self, key: Any, make: Callable[[], T], *selections: Asked) -> T:
        """Return a result that was computed for this state of the store, or compute it."""
        if any(selection.since or selection.until for selection in selections):
            key = (key, int(self._clock()) // 5)  # `15m` ago moves on
        version = self.collection.version
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0] == version:
                self._known.move_to_end(key)
                return known[1]
            made = make()
            self._known[key] = (version, made)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            return made


def _words(record: RequestRecord) -> str:
    """Return what a search looks at."""
    words = [record.model, record.outcome, record.error_type, record.service, record.region, *ids_of(record)]
    words += [record.run, record.agent, record.user, record.conversation]
    words += [call.name for call in record.tool_calls] + [tool.type for tool in record.executed_tools]
    return " ".join(word for word in words if word).lower()


def _usual_words(audit: RequestAudit) -> str:
    usual = audit.usual
    if usual is None or usual.duration.p50 is None:
        return ""
    return f"{count(usual.requests, 'request')} for this model, {_MS.full(usual.duration.p50)} in the middle"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _pretty(value: Any) -> str:
    """Return recorded content, which is JSON in a text, so that people can read it."""
    text = _text(value)
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
