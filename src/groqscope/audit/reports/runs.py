"""Runs for every writer: the list as a table, one run as the rows of its waterfall."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from groqscope.audit.formatting import UNKNOWN, DurationUnit, count, duration, moment, money, share, visible
from groqscope.audit.reports.tables import Cell, Column, Row, Table
from groqscope.audit.reports.waterfall import phase_label
from groqscope.audit.rules import missed_prefill_ns
from groqscope.audit.run_causes import RunCause
from groqscope.audit.runs import RunEntry, RunsAudit, ended, run_id
from groqscope.runs import PartKind, Run, Segment, TraceSpan

_MAX_NAME: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One span of a run's waterfall."""

    depth: int
    name: str
    kind: PartKind
    start_ns: int
    """Since the run's start."""
    length_ns: int
    critical: tuple[tuple[int, int], ...]
    """The stretches that the run waited for, [start, end) since its start."""
    failed: bool
    note: str
    phases: tuple[tuple[str, int], ...] = ()
    """Of a request: name and nanoseconds."""
    id: str | None = None
    """Of a request: what `groqscope audit ID` takes."""

    @property
    def waited_ns(self) -> int:
        """How much of it the run waited for."""
        return sum(end - start for start, end in self.critical)


def run_rows(run: Run) -> list[RunRow]:
    """Lay out a run: its spans below each other, in order of start."""
    below: dict[str, list[tuple[int, int]]] = {}
    parents = {span.span_id: span.parent_id for span in run.spans}
    for segment in run.segments:
        stretch = (segment.start_ns - run.start_unix_ns, segment.end_ns - run.start_unix_ns)
        span_id = segment.span_id
        while span_id is not None and span_id in parents:
            stretches = below.setdefault(span_id, [])
            if stretches and stretches[-1][1] == stretch[0]:
                stretches[-1] = (stretches[-1][0], stretch[1])
            else:
                stretches.append(stretch)
            span_id = parents[span_id]
    depths: dict[str, int] = {}
    rows: list[RunRow] = []
    for span in run.spans:
        depth = depths[span.span_id] = depths.get(span.parent_id or "", -1) + 1
        end = span.end_unix_ns if span.end_unix_ns is not None else run.start_unix_ns + run.duration_ns
        rows.append(
            RunRow(
                depth=depth,
                name=visible(_name(span), limit=_MAX_NAME),
                kind="model" if span.record is not None else "tool" if span.tool is not None else _kind(span),
                start_ns=span.start_unix_ns - run.start_unix_ns,
                length_ns=max(0, end - span.start_unix_ns),
                critical=tuple(below.get(span.span_id, ())),
                failed=span.failed,
                note=_note(span),
                phases=tuple(span.record.phases.items()) if span.record is not None else (),
                id=None if span.record is None else span.record.request_id or span.record.span_id,
            )
        )
    return rows


def own_segments(run: Run) -> dict[str | None, list[Segment]]:
    """Return what the run waited for in each span itself, not in one below it."""
    own: dict[str | None, list[Segment]] = {}
    for segment in run.segments:
        own.setdefault(segment.span_id, []).append(segment)
    return own


def _kind(span: TraceSpan) -> PartKind:
    return "io" if span.kind in ("client", "producer") and span.operation is None else "own"


def _name(span: TraceSpan) -> str:
    if span.record is not None:
        return span.record.model or span.name
    return f"tool {span.tool}" if span.tool is not None else span.name


def _note(span: TraceSpan) -> str:
    record = span.record
    if record is None:
        return "failed" if span.failed else ""
    words: list[str] = []
    if record.outcome not in ("completed", None):
        words.append(" ".join(part for part in (record.outcome, record.error_type) if part))
    if record.retries:
        words.append(count(record.retries, "retry", "retries"))
    if record.usage.input_tokens is not None:
        cached = f" ({record.usage.cached_tokens:,} cached)" if record.usage.cached_tokens else ""
        words.append(f"{record.usage.input_tokens:,}{cached} in, {record.usage.output_tokens or 0:,} out")
    if record.tool_calls:
        words.append("calls " + ", ".join(call.name or "?" for call in record.tool_calls))
    return visible(", ".join(words))


def phase_words(row: RunRow, unit: DurationUnit) -> str:
    """Return a request's phases that are worth naming: `queue 15.0, prefill 60.0`."""
    least = row.length_ns / 50
    return ", ".join(f"{phase_label(name)} {unit.text(length)}" for name, length in row.phases if length >= least)


def parts(run: Run, unit: DurationUnit) -> Table:
    """Return what the run's time went into, a row each; they add up to its duration."""
    columns = (
        Column(title="where the time went", right=False, keep=9, shrink=24),
        Column(title="", right=False, keep=8, shrink=16),
        *Column.several({unit.label: 9, "share": 9, "times": 3}),
    )
    rows = tuple(
        Row.of(
            part.kind,
            visible(phase_label(part.name) if part.kind == "model" else part.name, limit=_MAX_NAME),
            unit.text(part.duration_ns),
            share(part.duration_ns, run.duration_ns),
            Cell.number(part.stretches, "faint"),
        )
        for part in run.parts
    )
    return Table(columns=columns, rows=rows, notes=tuple(_overlap_notes(run)))


def _overlap_notes(run: Run) -> Iterator[str]:
    for overlap in run.overlaps[:3]:
        names = ", ".join(visible(name, limit=40) for name in overlap.names[:4])
        more = len(overlap.names) - 4
        also = f" and {more:,} more" if more > 0 else ""
        yield f"{len(overlap.names):,} at once ({names}{also}) saved {duration(overlap.saved_ns)}"
    yield from run.missing


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what is known of a run besides its time."""
    known = (
        ("agent", run.agent),
        ("conversation", run.conversation),
        ("user", run.user),
        ("tags", ", ".join(f"{name}={value}" for name, value in run.tags.items()) or None),
        ("service", run.service),
        ("began", moment(run.start_unix_ns)),
        ("requests", f"{len(run.requests):,}" + (f", {count(run.retries, 'retry', 'retries')}" if run.retries else "")),
        ("tokens", None if run.input_tokens is None else f"{run.input_tokens:,} in, {run.output_tokens or 0:,} out"),
        ("prompt cache", _cached(run)),
        ("cost", _cost(run)),
        ("first answer token", None if run.first_answer_ns is None else duration(run.first_answer_ns)),
        ("first audio byte", None if run.first_audio_ns is None else duration(run.first_audio_ns)),
        ("ended", "interrupted: its duration counts in no statistic" if run.interrupted else None),
        ("trace", run.trace_id),
    )
    return [(label, visible(value)) for label, value in known if value]


def _cached(run: Run) -> str | None:
    if run.cached_share is None:
        return None
    words = [f"{share(run.cached_share, 1)} of the tokens in"]
    words += [f"saved {money(run.cache_saved)}"] if run.cache_saved else []
    lost = [money(run.cache_lost)] if run.cache_lost else []
    if missed_ns := missed_prefill(run):
        lost.append(f"about {duration(missed_ns)} of prefill")
    words += [f"lost {' and '.join(lost)}"] if lost else []
    return ", ".join(words)


def missed_prefill(run: Run) -> int | None:
    """Return the prefill of tokens that would have been cached, of all requests; `None` if no model caches prompts."""
    return None if run.cached_share is None else sum(map(missed_prefill_ns, run.requests))


def _cost(run: Run) -> str | None:
    if run.cost is None:
        return None
    unknown = f" without {count(run.unpriced, 'request')} whose cost is not known" if run.unpriced else ""
    return money(run.cost) + unknown


def causes(found: Sequence[RunCause], unit: DurationUnit) -> Table:
    """Return the causes, the largest first: what they took, in how many runs, and what to do."""
    columns = (
        Column(title="share", right=False, keep=9),
        Column(title="cause", right=False, keep=9, shrink=20),
        *Column.several({unit.label: 8, "runs": 7}),
        Column(title="for example", right=False, keep=5),
        Column(title="what to do", right=False, keep=3),
    )
    rows = tuple(
        Row.of(
            share(cause.share, 1),
            cause.title,
            unit.text(cause.lost_ns),
            f"{cause.runs:,}",
            Cell(visible(", ".join(cause.examples[:1])), "faint"),
            cause.advice,
        )
        for cause in found
    )
    return Table(columns=columns, rows=rows)


def listing(audit: RunsAudit, unit: DurationUnit) -> Table:
    """Return the list of runs; with the prefill of missed prompt caches where one of them has some."""
    missed = any(missed_prefill(entry.run) for entry in audit.entries)
    columns = (
        Column(title="time, UTC", right=False, keep=6),
        Column(title="run", right=False, keep=9, shrink=14),
        Column(title=f"total, {unit.label}", short=unit.label, keep=10),
        Column(title="first answer", keep=5),
        Column(title="requests", short="req", keep=8),
        *Column.several({"tools": 7, "retries": 4, "in": 3, "out": 3, "cached": 2}),
        *([Column(title=f"missed prefill, {unit.label}", short="missed prefill", keep=2)] if missed else []),
        Column(title="cost", keep=7),
        Column(title="why", right=False, keep=8, shrink=20),
        Column(title="id", right=False, keep=8),
    )
    return Table(columns=columns, rows=tuple(_listed(entry, unit, missed=missed) for entry in audit.entries))


def _listed(entry: RunEntry, unit: DurationUnit, *, missed: bool) -> Row:
    run = entry.run
    why = "; ".join([*ended(run), *(reason.sentence for reason in entry.reasons[:1])])
    return Row.of(
        moment(run.start_unix_ns)[5:19],
        Cell(visible(run.name, limit=_MAX_NAME), "bad" if run.failed else ""),
        Cell(unit.text(run.duration_ns), value=run.duration_ns),
        unit.text(run.first_answer_ns),
        f"{len(run.requests):,}",
        Cell.quiet(len(run.tools)),
        Cell.quiet(run.retries),
        count(run.input_tokens),
        count(run.output_tokens),
        UNKNOWN if run.cached_share is None else share(run.cached_share, 1),
        *([unit.text(missed_prefill(run) or None)] if missed else []),
        money(run.cost),
        Cell(visible(why), "faint"),
        run_id(run),
    )
