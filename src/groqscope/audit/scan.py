"""One pass over the selected requests: everything an overview shows, in memory that hardly grows with their number.

What is counted of one part of the data merges with what is counted of another, so that several processes can share a
store. However the counts came about, `Scan.result` turns them into the same `Audit`.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from groqscope._version import __version__
from groqscope.audit.baseline import Baseline
from groqscope.audit.budgets import Budgets
from groqscope.audit.distribution import EXACT_LIMIT
from groqscope.audit.errors import NoRequests, SourceError
from groqscope.audit.formatting import count, percent
from groqscope.audit.groups import Grouping
from groqscope.audit.model import Audit, Entry, ModelSummary, Provenance, ToolSummary, Verdict
from groqscope.audit.prompt_cache import PromptCacheTally
from groqscope.audit.selection import Query, Top
from groqscope.audit.sources import Source
from groqscope.audit.table import RecordTable, Table, known, split
from groqscope.audit.tally import ModelTally, ToolTally
from groqscope.audit.verdict import judge
from groqscope.audit.why import Causes, explain
from groqscope.store import ReadReport
from groqscope.timeline import PHASE_NAMES, RequestRecord, ToolCall

LISTED: Final = 20
"""Requests that an overview lists by default."""
NEAREST: Final = 20_000
"""Number of requests, the nearest in time, with which one request is compared."""
_PHASES: Final = tuple(f"phases.{name}" for name in PHASE_NAMES)
_LENGTHS: Final = attrgetter(*_PHASES)
_NO_PHASES: Final = (None,) * len(PHASE_NAMES)
_TOGETHER: Final = 256
"""Requests that are counted together."""
MAX_SERVICES: Final = 20


class Coverage:
    """What was read, and what of it was selected: how many requests, from when to when, of which services."""

    def __init__(self, query: Query, report: ReadReport | None = None) -> None:
        self.query = query
        self.report: ReadReport = ReadReport() if report is None else report
        self.requests = self.foreign = 0
        self.first: int | None = None
        self.last: int | None = None
        self.services: set[str] = set()

    def add(self, record: RequestRecord) -> None:
        """Count one selected record."""
        self.requests += 1
        self._extend(record.start_unix_ns)
        if _LENGTHS(record) == _NO_PHASES:
            self.foreign += 1
        if record.service is not None and len(self.services) < MAX_SERVICES:
            self.services.add(record.service)

    def extend(self, table: Table) -> None:
        """Count selected requests."""
        if not len(table):
            return
        self.requests += len(table)
        starts = table.column("start_unix_ns")
        self._extend(min(starts))
        self._extend(max(starts))
        lengths = zip(*map(table.column, _PHASES), strict=True)
        self.foreign += sum(one == _NO_PHASES for one in lengths)
        for service in dict.fromkeys(known(table.column("service"))):
            if len(self.services) < MAX_SERVICES:
                self.services.add(service)

    def _extend(self, start: int) -> None:
        if self.first is None or start < self.first:
            self.first = start
        if self.last is None or start > self.last:
            self.last = start

    def merge(self, other: "Coverage", *, same_files: bool = False) -> None:
        """Add what was covered elsewhere, or in other traces of the same files."""
        self.requests += other.requests
        self.foreign += other.foreign
        self.services |= other.services
        for start in (other.first, other.last):
            if start is not None:
                self._extend(start)
        mine, theirs = self.report, other.report
        if same_files:
            mine.files, mine.lines, mine.bytes_read = theirs.files, theirs.lines, theirs.bytes_read
        else:
            mine.files += theirs.files
            mine.lines += theirs.lines
            mine.bytes_read += theirs.bytes_read
        mine.records += theirs.records
        mine.repeats += theirs.repeats
        known = set(mine.warnings) if same_files else ()
        for warning in theirs.warnings:
            if warning not in known:
                mine.warn(warning.source, warning.line, warning.reason, damage=warning.damage)
        mine.warnings_dropped += theirs.warnings_dropped
        mine.damaged |= theirs.damaged

    def require_requests(self, source: Source) -> None:
        """Raise unless something was selected, and say what to do.

        Raises:
            NoRequests: nothing was selected.
            SourceError: nothing could be read.
        """
        report = self.report
        if self.requests:
            return
        if report.records:
            words = self.query.selection().words
            raise NoRequests(f"none of {report.records:,} requests fits ({', '.join(words)}): widen the selection")
        warnings = [str(warning) for warning in report.warnings[:3]]
        if warnings and not report.lines:
            raise SourceError("\n".join(warnings))
        timed = not (self.query.since is None and self.query.until is None)
        outside = f"no request in that time in {', '.join(source.names)}: take another --since or --until"
        raise NoRequests("\n".join([outside if report.lines and timed else source.when_empty, *warnings]))

    def provenance(self, source: Source) -> Provenance:
        """Return where the requests come from."""
        warnings = [str(warning) for warning in self.report.warnings]
        if self.report.warnings_dropped:
            warnings.append(f"{self.report.warnings_dropped:,} more of the kind")
        return Provenance(
            sources=source.names,
            files=self.report.files,
            requests=self.requests,
            read=self.report.records,
            repeated=self.report.repeats,
            foreign=self.foreign,
            first_unix_ns=self.first,
            last_unix_ns=self.last,
            services=tuple(sorted(self.services)),
            selection=self.query.selection(),
            warnings=tuple(warnings),
            version=__version__,
        )


class Scan:
    """Everything that is counted: records are added, counts from elsewhere merged, then the result is taken."""

    def __init__(
        self,
        query: Query,
        budgets: Budgets | None = None,
        *,
        listed: int | None = LISTED,
        report: ReadReport | None = None,
        exact: int = EXACT_LIMIT,
    ) -> None:
        """Begin with nothing counted.

        Args:
            query: What is selected, and whether the newest or the slowest requests are listed.
            budgets: Limits that the requests are held against.
            listed: How many requests to keep for the list; `None`: all of them.
            report: Where the source notes what it passes over.
            exact: Number of requests to a model up to which medians are exact and every cause is counted.
        """
        self._exact = exact
        self._waiting: list[RequestRecord] = []
        self.query = query
        self.budgets = budgets
        self.coverage = Coverage(query, report)
        self.models: dict[str | None, ModelTally] = {}
        self.tools: dict[str | None, ToolTally] = {}
        self.baseline = Baseline(exact)
        self.cache = PromptCacheTally()
        self.top = Top(query.slowest or listed, query.sorting if query.slowest else None)
        self.groups = None if query.grouping is None else Grouping(query.grouping)

    def add(self, record: RequestRecord) -> None:
        """Count one record."""
        self.coverage.add(record)
        self.top.add(record)
        if self.budgets is not None:
            self.budgets.add(record)
        self._waiting.append(record)
        if len(self._waiting) == _TOGETHER:
            self.settle()

    def extend(self, table: Table) -> None:
        """Count requests that are neither listed nor held against budgets."""
        self.coverage.extend(table)
        self._count(table)

    def settle(self) -> None:
        """Count what waits to be counted together with others."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._count(RecordTable(waiting))

    def _count(self, table: Table) -> None:
        for model, these in split(table, table.column("model")):
            tally = self.models.get(model)
            if tally is None:
                tally = self.models[model] = ModelTally(self._exact)
            tally.add(these)
        self.baseline.extend(table)
        self.cache.add(table)
        for calls in filter(None, table.column("tool_calls")):
            self._add_tools(calls)
        if self.groups is not None:
            self.groups.add(table)

    def _add_tools(self, calls: Sequence[ToolCall]) -> None:
        for name in {call.name for call in calls}:
            if name not in self.tools:
                self.tools[name] = ToolTally(self._exact)
            self.tools[name].requests += 1
        for call in calls:
            self.tools[call.name].add(call)

    def merge(self, other: "Scan") -> None:
        """Add what was counted of another part of the data."""
        self.settle()
        other.settle()
        self.coverage.merge(other.coverage)
        for model, tally in other.models.items():
            self.models.setdefault(model, ModelTally()).merge(tally)
        for name, tool in other.tools.items():
            self.tools.setdefault(name, ToolTally()).merge(tool)
        self.baseline.merge(other.baseline)
        self.cache.merge(other.cache)
        self.top.merge(other.top)
        if self.budgets is not None and other.budgets is not None:
            self.budgets.merge(other.budgets)
        if self.groups is not None and other.groups is not None:
            self.groups.merge(other.groups)

    def fresh(self) -> "Scan":
        """Return a scan for another part of the same data, with nothing counted."""
        budgets = None if self.budgets is None else self.budgets.fresh()
        return Scan(self.query, budgets, listed=self.top.limit)

    def result(self, source: Source, *, why: bool = False) -> Audit:
        """Return the overview, with an explanation of the slow requests if `why`.

        Raises:
            AuditError: nothing could be read, or nothing was selected.
        """
        self.settle()
        self.coverage.require_requests(source)
        causes = self.causes()
        total = self.total(causes)
        entries = tuple(Entry(record=record, verdict=self.verdict(record)) for record in self.top.records())
        return Audit(
            provenance=self.coverage.provenance(source),
            sentence=_sentence(total),
            total=total,
            models=self.model_summaries(causes),
            tools=self.tool_summaries(),
            entries=entries,
            omitted=total.requests - len(entries),
            cache=self.cache.result(),
            why=explain(list(self.baseline.rows.values()), causes) if why else None,
            budgets=() if self.budgets is None else self.budgets.results(),
            groups=None if self.groups is None else self.groups.result(),
        )

    def verdict(self, record: RequestRecord) -> Verdict:
        """Return why a request took as long as it did, compared with all that was counted."""
        self.settle()
        return judge(record, self.baseline.of(record), self.cache.prefill_uncached_ns(record))

    def causes(self) -> Causes:
        """Return what looks for the causes of slowness."""
        return Causes()

    def total(self, causes: Causes) -> ModelSummary:
        """Return the summary of all requests."""
        whole = ModelTally()
        for tally in self.models.values():
            whole.merge(tally)
        return whole.summary(None, list(self.baseline.rows.values()), causes)

    def model_summaries(self, causes: Causes) -> tuple[ModelSummary, ...]:
        """Return a summary for each model, the one that took the most time first."""
        ordered = sorted(self.models, key=lambda model: (-self.models[model].measures["duration"].total, model or ""))
        return tuple(self.model_summary(model, causes) for model in ordered)

    def model_summary(self, model: str | None, causes: Causes) -> ModelSummary:
        """Return the summary of one model that has requests."""
        rows = [rows for (name, _), rows in self.baseline.rows.items() if name == model]
        return self.models[model].summary(model, rows, causes)

    def tool_summaries(self) -> tuple[ToolSummary, ...]:
        """Return a summary for each tool, the one called most often first."""
        ordered = sorted(self.tools.items(), key=lambda item: (-item[1].calls, item[0] or "", item[0] is None))
        return tuple(tool.summary(name) for name, tool in ordered)


def _sentence(total: ModelSummary) -> str:
    head = count(total.requests, "request")
    if total.errors:
        kind, number = total.error_types[0]
        words = kind if number == total.errors else f"most often {kind}"
        head += f", {total.errors:,} failed ({percent(total.errors / total.requests)}; {words})"
    return f"{head}. {total.verdict}"
