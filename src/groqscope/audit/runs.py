"""Runs in the audit: which are selected and listed, what each one's time went into, and what all slow ones share."""

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from groqscope.audit.budgets import Budgets
from groqscope.audit.distribution import Values
from groqscope.audit.errors import AuditError, NoRequests, NotFound
from groqscope.audit.execution import by_traces
from groqscope.audit.fields import Field
from groqscope.audit.formatting import count, duration, money, percent
from groqscope.audit.groups import PICO, Grouping, pico
from groqscope.audit.ids import ambiguous, checked_id
from groqscope.audit.model import BudgetResult, Distribution, Groups, Provenance
from groqscope.audit.run_causes import ADVICE, Lost, RunCause, RunCauses, RunsWhy, SlowRuns
from groqscope.audit.run_selection import having
from groqscope.audit.scan import Coverage
from groqscope.audit.selection import Query
from groqscope.audit.sources import Source, TraceSource, column_source, trace_source
from groqscope.runs import Finding, FindingKind, NotARun, Run, TraceSpan, findings_of, run_of, runs_of
from groqscope.store import ReadReport

LISTED: Final = 20
"""Runs that a list shows by default."""
ORDERS: Final[dict[str, Callable[[Run], float | None]]] = {
    "newest": lambda run: run.start_unix_ns,
    "slowest": lambda run: run.duration_ns,
    "dearest": lambda run: run.cost,
}
"""By what a list is ordered, the greatest first."""
_SHOWN: Final = 10
_TRACE_ID: Final = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A finding in words."""

    kind: FindingKind
    lost_ns: int
    share: float
    """Of the run's duration."""
    sentence: str
    advice: str
    span_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One run and why it took as long as it did."""

    run: Run
    sentence: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTotal:
    """What one kind of part took of all runs."""

    kind: str
    ns: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsAudit:
    """Several runs: how long they took, where the time went, the newest, slowest or dearest of them."""

    provenance: Provenance
    sentence: str
    runs: int
    requests: int
    failed: int
    interrupted: int
    """Ended early by the caller: their durations are not in `duration`."""
    duration: Distribution
    first_answer: Distribution
    first_audio: Distribution
    input_tokens: int
    output_tokens: int
    cost: float | None
    unpriced: int
    """Requests whose cost is not known."""
    kinds: tuple[KindTotal, ...]
    causes: tuple[RunCause, ...]
    """Over all runs."""
    why: RunsWhy
    """Over the slow ones."""
    order: str
    entries: tuple[RunEntry, ...]
    omitted: int
    budgets: tuple[BudgetResult, ...] = ()
    groups: Groups | None = None
    """By the field that was asked for; `None` when none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAudit:
    """One run."""

    provenance: Provenance
    entry: RunEntry


def list_runs(
    source: TraceSource,
    query: Query,
    *,
    order: str = "newest",
    listed: int | None = LISTED,
    budgets: Budgets | None = None,
    report: ReadReport | None = None,
    workers: int = 1,
) -> RunsAudit:
    """Read all runs, sum them up, and keep some of them.

    A run is selected when it began in the time asked for and one of its requests fits the query.

    Args:
        source: Where traces come from.
        query: Which requests a run has to have.
        order: `newest`, `slowest` or `dearest`.
        listed: How many to keep; `None`: all of them.
        budgets: Limits that the runs, and their requests, are held against.
        report: Where the source notes what it passes over.
        workers: How many processes may be forked for a large store, which is safe in a program with one thread.

    Raises:
        AuditError: nothing can be read, there is no run, or the order is another.
    """
    if order not in ORDERS:
        raise AuditError(f"runs can be ordered by {', '.join(ORDERS)}, not {order!r}")
    report = ReadReport() if report is None else report
    sums, coverage = _Sums(order, listed, query.grouping), Coverage(query, report)

    def read(share: Source) -> tuple[_Sums, Coverage, Budgets | None]:
        found = _Sums(order, listed, query.grouping), Coverage(query), None if budgets is None else budgets.fresh()
        _read(trace_source(share), query, *found)
        return found

    parts = by_traces(source, read, listed=listed, workers=workers)
    for part, covered, measured in parts:
        sums.merge(part)
        coverage.merge(covered, same_files=True)
        if budgets is not None and measured is not None:
            budgets.merge(measured)
    if not parts:
        _read(source, query, sums, coverage, budgets)
    if not sums.counts["runs"]:
        _no_runs(source, report)
    audit = sums.result(coverage.provenance(source))
    return audit if budgets is None else replace(audit, budgets=budgets.results())


def _read(source: TraceSource, query: Query, sums: "_Sums", coverage: Coverage, budgets: Budgets | None) -> None:
    for run in _selected(source, query, coverage.report):
        sums.add(run)
        for request in run.requests:
            coverage.add(request)
            if budgets is not None:
                budgets.add(request)
        if budgets is not None:
            budgets.add_run(run)


def read_runs(source: TraceSource, coverage: Coverage, add: Callable[[Run], object]) -> Provenance:
    """Hand over each of the selected runs, and return where they come from.

    Raises:
        AuditError: nothing can be read, or there is no run.
    """
    for run in _selected(source, coverage.query, coverage.report):
        add(run)
        for request in run.requests:
            coverage.add(request)
    if not coverage.requests:
        _no_runs(source, coverage.report)
    return coverage.provenance(source)


def measure_runs(source: TraceSource, query: Query, budgets: Budgets) -> None:
    """Hold the selected runs against those budgets that are on runs.

    Raises:
        AuditError: nothing can be read.
    """
    for run in _selected(source, query, ReadReport()):
        budgets.add_run(run)


def one_run(source: TraceSource, query: Query, wanted: str, *, report: ReadReport | None = None) -> RunAudit:
    """Find one run by the beginning of its trace ID, or of the span ID of what it is, and explain it.

    The ID of a trace with several runs, or with requests beside its run, is the whole trace; that of another span is
    what happened below it.

    Raises:
        NotFound: no run has it, several do, or it is too short for an ID.
        AuditError: nothing can be read.
    """
    wanted = checked_id(wanted).lower()
    report = ReadReport() if report is None else report
    found: list[Run] = []
    total = 0
    trace_id = wanted if _TRACE_ID.fullmatch(wanted) else None
    fits = having(query, "" if trace_id else wanted)
    for trace in source.traces(report, since=query.since, until=query.until, trace_id=trace_id, having=fits):
        runs = runs_of(trace)
        total += len(runs)
        found += filter(_selects(query), _with_id(trace, runs, wanted))
    chosen = column_source(source) is not None  # by an engine, which reads only what has the ID
    if not found and not (report.records if chosen else total) and trace_id is None:
        _no_runs(source, report)
    exact = [run for run in found if wanted in (run.trace_id, run.span_id)]
    found = exact if len(exact) == 1 else found
    if not found:
        among = "" if chosen or trace_id is not None else f" among {total:,}"
        raise NotFound(
            f"no run with the ID {wanted!r}{among} in {', '.join(source.names)}: `groqscope audit --runs` "
            "lists the newest; an ID is a trace ID, or the span ID of what the run is, or its beginning"
        )
    if len(found) > 1:
        lines = (f"{run_id(run)}  {run.name}  {duration(run.duration_ns)}" for run in found[:_SHOWN])
        raise ambiguous(wanted, "run", lines, len(found))
    run = _with_arrivals(source, query, found[0])
    coverage = Coverage(query, report)
    for request in run.requests:
        coverage.add(request)
    return RunAudit(provenance=coverage.provenance(source), entry=explain_run(run))


def _with_arrivals(source: TraceSource, query: Query, run: Run) -> Run:
    """Return a run with the arrival times of chunks, which files give of a single trace only.

    What can be read only once, as standard input, has given what it has.
    """
    if all(request.timeline_us or not request.chunks for request in run.requests):
        return run
    again = source.traces(ReadReport(), since=query.since, until=query.until, trace_id=run.trace_id)
    for trace in again:
        if trace[0].trace_id == run.trace_id:
            with suppress(NotARun, KeyError):  # less of it came than before
                return run_of(trace, top=run.span_id)
    return run


def _with_id(trace: list[TraceSpan], runs: list[Run], wanted: str) -> list[Run]:
    """Return the runs that are meant by an ID or its beginning."""
    if trace[0].trace_id.startswith(wanted):
        requests = sum(span.record is not None for span in trace)
        return runs if len(runs) == 1 and len(runs[0].requests) == requests else [run_of(trace)]
    named = [run for run in runs if run.span_id is not None and run.span_id.startswith(wanted)]
    if named:
        return named
    found: list[Run] = []
    for span in trace:
        if span.span_id.startswith(wanted) and span.record is None:
            with suppress(NotARun):
                found.append(run_of(trace, top=span.span_id))
    return found


def explain_run(run: Run) -> RunEntry:
    """Return a run with the reasons for its length in words."""
    reasons = tuple(_reason(run, finding) for finding in findings_of(run))
    return RunEntry(run=run, sentence=_sentence(run, reasons), reasons=reasons)


def run_id(run: Run) -> str:
    """Return the ID by which a run is asked for."""
    return run.span_id or run.trace_id


def _selected(source: TraceSource, query: Query, report: ReadReport) -> Iterator[Run]:
    selects = _selects(query)
    for trace in source.traces(report, since=query.since, until=query.until, having=having(query)):
        yield from filter(selects, runs_of(trace))


def _selects(query: Query) -> Callable[[Run], bool]:
    """Return the test of a run: begun in the time asked for, with a request that fits."""
    fits = query.predicate_of_runs()
    return lambda run: query.in_time(run) and fits(run)


def _no_runs(source: TraceSource, report: ReadReport) -> None:
    if report.records:
        raise NoRequests(
            f"no run among {count(report.records, 'request')} in {', '.join(source.names)}: a run is an agent, a "
            'server\'s span or `with groqscope.run("name"):` around requests'
        )
    raise NoRequests("\n".join([source.when_empty, *(str(warning) for warning in report.warnings[:3])]))


class _Sums:
    """What is counted of all runs, in memory that does not grow with their number, but for those listed."""

    def __init__(self, order: str, listed: int | None, by: Field | None) -> None:
        self.order = order
        self.groups = None if by is None else Grouping(by)
        self.counts: Counter[str] = Counter()
        self._listed = listed
        self.heap: list[tuple[float, str, str, Run]] = []
        self.duration, self.first, self.audio = Values(), Values(), Values()
        self.kinds: Counter[str] = Counter()
        self.causes, self.slow = RunCauses(), SlowRuns()

    def add(self, run: Run) -> None:
        interrupted = run.interrupted
        cost, counts = run.cost, self.counts
        counts["runs"] += 1
        counts["requests"] += len(run.requests)
        counts["failed"] += run.failed
        counts["interrupted"] += interrupted
        counts["input_tokens"] += run.input_tokens or 0
        counts["output_tokens"] += run.output_tokens or 0
        counts["unpriced"] += run.unpriced
        counts["ns"] += run.duration_ns
        if cost is not None:
            counts["pico_usd"] += pico(cost)
        for values, value in (
            (self.duration, None if interrupted else run.duration_ns),
            (self.first, run.first_answer_ns),
            (self.audio, run.first_audio_ns),
        ):
            if value is not None:
                values.add(value)
        for segment in run.segments:
            self.kinds[segment.kind] += segment.length_ns
        lost: Lost = tuple((finding.kind, finding.lost_ns) for finding in findings_of(run))
        self.causes.add(lost, run_id(run))
        self.slow.add(run.name, run_id(run), run.duration_ns, lost, completed=not run.failed, interrupted=interrupted)
        if self.groups is not None:
            self.groups.add_run(run)
        self._keep(run)

    def _keep(self, run: Run) -> None:
        value = ORDERS[self.order](run)
        if value is None:
            return
        item = (value, run.trace_id, run.span_id or "", run)
        if self._listed is None or len(self.heap) < self._listed:
            heapq.heappush(self.heap, item)
        elif self._listed:
            heapq.heappushpop(self.heap, item)

    def merge(self, other: "_Sums") -> None:
        """Add what was counted of other traces."""
        self.counts.update(other.counts)
        self.duration.merge(other.duration)
        self.first.merge(other.first)
        self.audio.merge(other.audio)
        self.kinds.update(other.kinds)
        self.causes.merge(other.causes)
        self.slow.merge(other.slow)
        if self.groups is not None and other.groups is not None:
            self.groups.merge(other.groups)
        for *_, run in other.heap:
            self._keep(run)

    def result(self, provenance: Provenance) -> RunsAudit:
        counts, total = self.counts, self.counts["ns"]
        entries = tuple(explain_run(item[-1]) for item in sorted(self.heap, key=lambda item: item[:-1], reverse=True))
        causes = self.causes.result(total)
        return RunsAudit(
            provenance=provenance,
            sentence=self._sentence(causes),
            runs=counts["runs"],
            requests=counts["requests"],
            failed=counts["failed"],
            interrupted=counts["interrupted"],
            duration=self.duration.distribution("ns"),
            first_answer=self.first.distribution("ns"),
            first_audio=self.audio.distribution("ns"),
            input_tokens=counts["input_tokens"],
            output_tokens=counts["output_tokens"],
            cost=counts["pico_usd"] / PICO if "pico_usd" in counts else None,
            unpriced=counts["unpriced"],
            kinds=tuple(
                KindTotal(kind=kind, ns=ns, share=ns / total if total else 0.0)
                for kind, ns in sorted(self.kinds.items(), key=lambda item: -item[1])
            ),
            causes=causes,
            why=self.slow.result(),
            order=self.order,
            entries=entries,
            omitted=counts["runs"] - len(entries),
            groups=None if self.groups is None else self.groups.result(),
        )

    def _sentence(self, causes: tuple[RunCause, ...]) -> str:
        counts = self.counts
        head = f"{count(counts['runs'], 'run')} of {count(counts['requests'], 'request')}"
        for how in ("failed", "interrupted"):
            if counts[how]:
                head += f", {counts[how]:,} {how}"
        if not causes:
            return f"{head}. Nothing stands out in their time."
        first = causes[0]
        return f"{head}. {percent(first.share)} of their time: {first.title} ({count(first.runs, 'run')})."


def _reason(run: Run, finding: Finding) -> Reason:
    share = finding.lost_ns / run.duration_ns if run.duration_ns else 0.0
    return Reason(
        kind=finding.kind,
        lost_ns=finding.lost_ns,
        share=share,
        sentence=_words(finding, percent(share), duration(finding.lost_ns)),
        advice=ADVICE[finding.kind],
        span_ids=finding.span_ids,
    )


def _words(finding: Finding, share: str, length: str) -> str:  # noqa: PLR0911 - one sentence for each kind
    match finding.kind:
        case "tool":
            return f"{share} in tool {finding.name} ({length}, {count(finding.count, 'execution')})"
        case "sequential_requests":
            requests = count(finding.count, "request")
            return f"{requests} one after the other that did not need each other's answers: {length} less if at once"
        case "repeated_tool":
            return f"tool {finding.name} {count(finding.count, 'time')} with the same arguments ({length} more)"
        case "growing_context":
            return f"the context grew from {finding.before:,} to {finding.after:,} tokens: {length} more prefill"
        case "own_code":
            return f"{share} in the program's own code between steps ({length}, most of it in {finding.name})"
        case "late_end":
            answered, ended = duration(finding.before or 0), duration(finding.after or 0)
            return f"the answer was complete at {answered}, the run ended at {ended}"
        case "retry":
            return f"{share} in failed attempts and their back-off ({length})"
        case "queue":
            return f"{share} in Groq's queue ({length})"
        case "idle":
            return f"{share} in which nothing was running ({length})"


def ended(run: Run) -> list[str]:
    """Return how a run ended, unless it was completed."""
    return [word for word, holds in (("failed", run.failed), ("interrupted", run.interrupted)) if holds]


def _sentence(run: Run, reasons: tuple[Reason, ...]) -> str:
    head = ", ".join([*ended(run), duration(run.duration_ns), count(len(run.requests), "request")])
    if run.tools:
        head += f", {count(len(run.tools), 'tool execution')}"
    if run.cost is not None:
        head += f", {money(run.cost)}"
    if reasons:
        return f"{head}: {reasons[0].sentence}"
    return f"{head}: nothing stands out"
