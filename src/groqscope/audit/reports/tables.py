"""The tables of every report, each made once: columns, rows and notes, for any writer to draw.

A cell is text that is ready to be shown, with a tone where it stands out. Durations are in the one unit of the report.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from groqscope.audit.formatting import (
    UNKNOWN,
    DurationUnit,
    count,
    measure,
    moment,
    money,
    rate,
    share,
    size,
    tokens_out,
    visible,
)
from groqscope.audit.groups import UNKNOWN_VALUE, first_of
from groqscope.audit.model import (
    Audit,
    BudgetResult,
    CacheMisses,
    CacheSummary,
    Comparison,
    ComparisonRow,
    Distribution,
    Entry,
    Group,
    GroupCause,
    Groups,
    ModelSummary,
    PhaseTotal,
    PromptCache,
    Provenance,
    ToolSummary,
    Why,
)
from groqscope.audit.reports.details import model_of, record_id
from groqscope.audit.reports.waterfall import phase_label
from groqscope.audit.run_fields import PREFIX
from groqscope.timeline import FAILED, RequestRecord

Tone = Literal["", "faint", "strong", "good", "bad"]
MODEL_UNKNOWN: Final = "(model not known)"
_MAX_SOURCES: Final = 3
_SHORT_ID: Final = 16
_P95_NEEDS: Final = 20
"""Values from which there is a p95 at all, in overviews and comparisons alike."""
_MIN_SHARE: Final = 0.05
"""Of a model's time, from which the overview names a phase."""
_FOLD: Final = 0.01
"""Of a model's time: phases with less are counted together."""


class Cell(NamedTuple):
    """One cell."""

    text: str
    tone: Tone = ""
    value: float | None = None
    """The number behind the text, for sorting."""

    @classmethod
    def number(cls, value: int, tone: Tone = "") -> "Cell":
        """Return the cell of a number."""
        return cls(f"{value:,}", tone)

    @classmethod
    def quiet(cls, value: int) -> "Cell":
        """Return the cell of a number that is faint when it is 0."""
        return cls.number(value, "" if value else "faint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column."""

    title: str
    short: str = ""
    """The title where room is scarce."""
    right: bool = True
    keep: int = 5
    """How important it is: columns with the smallest number are left out first."""
    shrink: int = 0
    """Cells to which it may be cut before any column is left out; 0: never cut."""

    @classmethod
    def several(cls, keeps: Mapping[str, int]) -> "list[Column]":
        """Return columns of figures, by their titles and how important each is."""
        return [cls(title=title, keep=keep) for title, keep in keeps.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row."""

    cells: tuple[Cell, ...]
    group: str = ""
    """What this row and its neighbours belong to, such as a model."""
    total: bool = False

    @classmethod
    def of(cls, *cells: Cell | str, group: str = "", total: bool = False) -> "Row":
        """Return a row; text stands for a cell without a tone."""
        return cls(cells=tuple(c if isinstance(c, Cell) else Cell(c) for c in cells), group=group, total=total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table."""

    title: str = ""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def only(self, keep: Callable[[int, Column], bool]) -> "Table":
        """Return the table with fewer columns."""
        kept = [index for index, column in enumerate(self.columns) if keep(index, column)]
        rows = tuple(replace(row, cells=tuple(row.cells[index] for index in kept)) for row in self.rows)
        return replace(self, columns=tuple(self.columns[index] for index in kept), rows=rows)


# -- overview


def models(audit: Audit, unit: DurationUnit) -> Table:
    """Return a row for each model: counts, two quantiles, cost, and where the time went."""
    titles = ("model", "n", "failed", "retries", "first chunk p50", "p95", f"total p50, {unit.label}", "p95")
    columns = [
        Column(title=t, right=bool(i)) for i, t in enumerate((*titles, "tokens out", "cost", "where the time went"))
    ]
    rows = (
        Row.of(
            model_name(model),
            Cell.number(model.requests),
            Cell.number(model.errors, "bad" if model.errors else ""),
            Cell.number(model.retries),
            *map(unit.text, (model.ttfc.p50, model.ttfc.p95, model.duration.p50, model.duration.p95)),
            _tokens(model, model.output_tokens),
            money(model.cost),
            _biggest_phases(model),
        )
        for model in audit.models
    )
    return Table(columns=tuple(columns), rows=tuple(rows))


def _biggest_phases(model: ModelSummary) -> str:
    biggest = sorted((p for p in model.phases if p.share >= _MIN_SHARE), key=lambda phase: -phase.share)
    return ", ".join(phase_share(phase.name, phase.share) for phase in biggest) or UNKNOWN


def phase_share(name: str, part: float) -> str:
    """Return a phase with its share of the time."""
    return f"{phase_label(name)} {share(part, 1)}"


def shown_and_small(phases: Sequence[PhaseTotal]) -> tuple[list[PhaseTotal], str]:
    """Return the phases that have a segment of the bar each, and in words what the others come to."""
    small = [phase.share for phase in phases if phase.share < _FOLD]
    words = f"under 1% each: {count(len(small), 'phase')}, {share(sum(small), 1)}" if small else ""
    return [phase for phase in phases if phase.share >= _FOLD], words


def model_name(model: ModelSummary) -> str:
    """Return the name of a model."""
    return visible(model.model or MODEL_UNKNOWN)


def quantiles(audit: Audit, unit: DurationUnit, most: int | None = None) -> Table:
    """Return first chunk, total and tokens per second of each model."""
    columns = (
        Column(title="", right=False, keep=9, shrink=16),
        *Column.several({"n": 8, "p50": 9, "p90": 5, "p95": 8, "p99": 6, "max": 7}),
    )
    rows = [
        Row.of(name, Cell.number(values.n, "faint"), *_quantile_cells(values, unit), group=model_name(model))
        for model in audit.models[:most]
        for name, values in (("first chunk", model.ttfc), ("total", model.duration), ("tokens/s", model.throughput))
        if values.n
    ]
    refused = any(cell.text == UNKNOWN for row in rows for cell in row.cells)
    note = "-: too few requests for that quantile (p90 needs 10, p95 20, p99 100)"
    return Table(title=f"quantiles, {unit.label}", columns=columns, rows=tuple(rows), notes=(note,) if refused else ())


def _quantile_cells(values: Distribution, unit: DurationUnit) -> Iterable[Cell]:
    for value in (values.p50, values.p90, values.p95, values.p99, values.max):
        text = rate(value) if values.unit == "tokens/s" else unit.text(value)
        yield Cell(text, "faint" if text == UNKNOWN else "")


def totals(audit: Audit, most: int | None = None) -> Table:
    """Return requests, tokens and cost of each model, and over all of them."""
    columns = (
        Column(title="requests", right=False, keep=9, shrink=12),
        *Column.several({"n": 9, "failed": 8, "left early": 6, "retries": 6, "tokens in": 7, "cached": 3}),
        *Column.several({"tokens out": 7, "reasoning": 2, "tool calls": 4, "cost": 8}),
    )
    rows = [_totals(model, model_name(model)) for model in audit.models[:most]]
    if len(audit.models) > 1:
        rows.append(_totals(audit.total, Cell("all", "strong"), total=True))
    notes = _left_out(audit.total)
    if audit.total.error_types:
        types = (f"{visible(name, limit=40)} {number:,}" for name, number in audit.total.error_types[:5])
        notes.append(f"failed: {', '.join(types)}")
    return Table(columns=columns, rows=tuple(rows), notes=tuple(notes))


def _left_out(of: ModelSummary | Group) -> list[str]:
    """Return what the sums leave out, and what may be billed beside the cost."""
    notes: list[str] = []
    if of.usage_unknown:
        notes.append(f"tokens and cost without {count(of.usage_unknown, 'request')} that brought no usage")
    if of.cost_unknown > of.usage_unknown:
        unpriced = count(of.cost_unknown - of.usage_unknown, "request")
        notes.append(f"cost without {unpriced} whose price is not known")
    if of.cost_estimate:
        more = money(of.cost_estimate)
        notes.append(f"about {more} more for what was left, broke off or ran on Groq's side (an estimate)")
    return notes


def _totals(model: ModelSummary, name: Cell | str, *, total: bool = False) -> Row:
    return Row.of(
        name,
        Cell.number(model.requests),
        Cell.number(model.errors, "bad" if model.errors else "faint"),
        Cell.quiet(model.abandoned),
        Cell.quiet(model.retries),
        _tokens(model, model.input_tokens),
        _cached(model),
        _tokens(model, model.output_tokens),
        _tokens(model, model.reasoning_tokens),
        Cell.quiet(model.tool_calls),
        money(model.cost),
        total=total,
    )


def _tokens(of: ModelSummary | Group, number: int) -> str:
    return count(number if of.requests > of.usage_unknown else None)


def _cached(of: ModelSummary | Group) -> str:
    return count(of.cached_tokens if of.cacheable_tokens else None)


def group_names(found: Groups) -> list[str]:
    """Return the fields that are grouped by, each of which has a column."""
    return [name.strip() for name in found.by.split(",")]


def groups(found: Groups, unit: DurationUnit, most: int | None = None) -> Table:
    """Return a row for each group, the rest in one, and the total: how many, tokens, cost, how long."""
    names = group_names(found)
    columns = (
        *(Column(title=name, right=False, keep=10, shrink=12) for name in names),
        *Column.several({"runs": 9} if found.total.runs else {}),
        Column(title="requests", short="req", keep=8),
        *Column.several({"failed": 6, "retries": 2}),
        Column(title="tokens in", short="in", keep=7),
        *Column.several({"cached": 3, "of in": 3}),
        Column(title="tokens out", short="out", keep=7),
        *Column.several({"cost": 9, "share": 6}),
        Column(title="cache saved", short="saved", keep=3),
        Column(title="lost", keep=2),
        Column(title=f"total p50, {unit.label}", short="p50", keep=5),
        Column(title="p95", keep=4),
    )
    shown, rest = first_of(found, most)
    total = found.total
    rows = [
        _group(
            group,
            [visible(value or UNKNOWN_VALUE, limit=80) for value in group.values or [None] * len(names)],
            total,
            unit,
        )
        for group in shown
    ]
    blank = [""] * (len(names) - 1)
    if rest is not None:
        more = len(found.groups) - len(shown)
        name = f"{more:,} more" if found.others is None else f"{more:,} more and what is beyond 10,000 values"
        rows.append(_group(rest, [Cell(name, "faint"), *blank], total, unit))
    rows.append(_group(total, [Cell("all", "strong"), *blank], total, unit))
    return Table(title=f"by {found.by}", columns=columns, rows=tuple(rows), notes=tuple(_left_out(total)))


def _group(group: Group, names: Iterable[Cell | str], whole: Group, unit: DurationUnit) -> Row:
    return Row.of(
        *names,
        *([Cell.number(group.runs)] if whole.runs else []),
        Cell.number(group.requests),
        Cell.number(group.errors, "bad" if group.errors else "faint"),
        Cell.quiet(group.retries),
        _tokens(group, group.input_tokens),
        _cached(group),
        share(group.cached_tokens, group.cacheable_tokens),
        _tokens(group, group.output_tokens),
        money(group.cost),
        UNKNOWN if group.cost is None or not whole.cost else share(group.cost / whole.cost, 1),
        money(group.cache_saved),
        money(group.cache_lost),
        *map(unit.text, (group.duration.p50, group.duration.p95)),
        total=group is whole,
    )


def tools(audit: Audit, unit: DurationUnit, most: int | None = None) -> Table:
    """Return the calls of each tool: how long callers waited, how large the arguments were, whether they were JSON."""
    columns = (
        Column(title="", right=False, keep=9, shrink=14),
        *Column.several({"calls": 9, "requests": 3, "p50": 8, "p95": 7, "max": 7, "size p50": 4, "invalid": 8}),
    )
    shown = audit.tools[:most]
    notes: list[str] = []
    if len(audit.tools) > len(shown):
        notes.append(f"and {count(len(audit.tools) - len(shown), 'tool')} more")
    refused = any(tool.assembly.p95 is None for tool in shown)
    few = "; -: too few (p95 needs 20)" if refused else ""
    notes.append(f"from the chunk before a call to the complete call, streams only{few}")
    rows = tuple(_tool(tool, unit) for tool in shown)
    return Table(title=f"tool calls, {unit.label}", columns=columns, rows=rows, notes=tuple(notes))


def _tool(tool: ToolSummary, unit: DurationUnit) -> Row:
    middle = tool.arguments_size.p50
    of = f" of {tool.calls - tool.unchecked:,}" if tool.unchecked else ""
    return Row.of(
        visible(tool.name or "(no name)", limit=80),
        Cell.number(tool.calls),
        Cell.number(tool.requests),
        *map(unit.text, (tool.assembly.p50, tool.assembly.p95, tool.assembly.max)),
        UNKNOWN if middle is None else size(round(middle)),
        Cell(f"{tool.invalid:,}{of}", "bad" if tool.invalid else "faint"),
    )


_VERDICTS: Final[dict[str, Cell]] = {
    "over": Cell("FAIL", "bad"),
    "inconclusive": Cell("inconclusive", "strong"),
    "ok": Cell("ok", "good"),
    "measured": Cell(""),
}
"""The verdicts on budgets, in the order in which a table lists them."""


def budgets(results: Sequence[BudgetResult], unit: DurationUnit) -> Table:
    """Return budgets with what was measured: those over first."""
    columns = (
        Column(title="", right=False, keep=10),
        Column(title="budget", right=False, keep=9, shrink=14),
        *Column.several({"measured": 9, "limit": 9, "n": 8}),
        Column(title="from", right=False, keep=2),
    )
    order = list(_VERDICTS)
    results = sorted(results, key=lambda result: order.index(result.verdict))
    notes = (f"{visible(result.expression, limit=80)}: {result.note}" for result in results if result.note)
    return Table(columns=columns, rows=tuple(_budget(result, unit) for result in results), notes=tuple(notes))


def _budget(result: BudgetResult, unit: DurationUnit) -> Row:
    limit = "" if result.limit is None else f"{result.operator} {measure(result.limit, result.unit, unit)}"
    return Row.of(
        _VERDICTS[result.verdict] if limit else "",
        visible(result.expression, limit=80),
        measure(result.measured, result.unit, unit),
        limit,
        Cell.number(result.n, "faint"),
        Cell(visible(result.source, limit=40), "faint"),
    )


def causes(why: Why, unit: DurationUnit) -> Table:
    """Return the causes of slow requests, biggest share first."""
    titles = ("share", "cause", unit.label, "requests", "usually", "what to do")
    rows = (
        Row.of(
            share(cause.share, 1),
            cause.title,
            unit.text(cause.ns),
            f"{cause.requests:,}",
            unit.text(cause.usual_ns),
            cause.advice,
        )
        for cause in why.causes
    )
    return Table(columns=tuple(Column(title=t, right=i > 1) for i, t in enumerate(titles)), rows=tuple(rows))


def cause_facts(cause: GroupCause, unit: DurationUnit) -> str:
    """Return how often a cause was found, how long it took, and how long is usual."""
    facts = [count(cause.requests, "request"), f"{unit.full(cause.ns / max(1, cause.requests))} on average"]
    if cause.usual_ns is not None:
        facts.append(f"usually {unit.full(cause.usual_ns)}" if cause.usual_ns else "usually none")
    return ", ".join(facts)


# -- the prompt cache


def prompt_cache(found: PromptCache, unit: DurationUnit, most: int | None = None) -> Table:
    """Return, for each model that caches prompts, what was cached and missed, and what that saved and cost."""
    columns = (
        Column(title="prompt cache", right=False, keep=10, shrink=16),
        Column(title="requests", short="req", keep=7),
        Column(title="hits", keep=6),
        Column(title="tokens in", short="in", keep=4),
        *Column.several({"cached": 10, "saved": 9}),
        Column(title="missed, about", short="missed", keep=8),
        Column(title="lost", keep=8),
        Column(title=f"prefill cached, {unit.label}", short=f"cached, {unit.label}", keep=3),
        Column(title="not cached", keep=3),
    )
    rows = [_cache(model, visible(model.model or MODEL_UNKNOWN), unit) for model in found.models[:most]]
    if len(found.models) > 1:
        rows.append(_cache(found.total, Cell("all", "strong"), unit, total=True))
    compared = any(model.prefill_cached_ns is not None for model in found.models)
    notes = ("prefill: means as Groq reports it, over prompts of the same size (in powers of two)",) if compared else ()
    return Table(columns=columns, rows=tuple(rows), notes=notes)


def _cache(model: CacheSummary, name: Cell | str, unit: DurationUnit, *, total: bool = False) -> Row:
    return Row.of(
        name,
        Cell.number(model.requests),
        Cell.quiet(model.hits),
        Cell.number(model.input_tokens),
        Cell(UNKNOWN if model.share is None else share(model.share, 1), "strong"),
        money(model.saved),
        Cell.quiet(model.missed_tokens),
        money(model.lost),
        *map(unit.text, (model.prefill_cached_ns, model.prefill_uncached_ns)),
        total=total,
    )


def cache_misses(found: PromptCache, unit: DurationUnit) -> Table:
    """Return why prompts were not cached, most tokens first, and what to do."""
    titles = ("not cached by", "what was missed", "what to do")
    rows = (Row.of(visible(m.reason), cache_miss_facts(m, unit), m.advice) for m in found.misses)
    columns = tuple(Column(title=title, right=False, shrink=20 if title == titles[-1] else 0) for title in titles)
    return Table(columns=columns, rows=tuple(rows))


def cache_miss_facts(miss: CacheMisses, unit: DurationUnit) -> str:
    """Return how often a reason was found, and what it cost."""
    facts = [count(miss.requests, "request")]
    if miss.tokens:
        facts.append(f"about {count(miss.tokens, 'token')}")
    if miss.lost:
        facts.append(money(miss.lost))
    if miss.prefill_ns:
        facts.append(f"{unit.full(miss.prefill_ns)} of prefill")
    return ", ".join(facts)


# -- requests


def short_ids(ids: Sequence[str]) -> list[str]:
    """Return the beginning of each ID that tells it from the others, which the command takes as well.

    A request ID of Groq begins with its millisecond in ten characters. Requests that are not shown may have been sent
    in the same one, so that two more are kept.
    """
    length = _SHORT_ID
    known = set(ids)
    while len({name[:length] for name in known}) < len(known):
        length += 1
    return [name[:length] for name in ids]


def requests(
    entries: Sequence[Entry],
    unit: DurationUnit,
    *,
    time: slice = slice(None),
    ids: Sequence[str] | None = None,
    mark: str = "",
) -> Table:
    """Return the list of requests.

    Args:
        entries: The requests.
        unit: Of the durations.
        time: The part of the moment that is shown.
        ids: Shown in place of the IDs in full.
        mark: Put before the reason of a failure.
    """
    columns = (
        Column(title="time, UTC", right=False, keep=7),
        Column(title="model", right=False, keep=8, shrink=14),
        Column(title="outcome", right=False, keep=9, shrink=11),
        Column(title="total", keep=10),
        Column(title="first chunk", short="1st chunk", keep=9),
        *Column.several({"in": 5, "out": 8}),
        Column(title="tokens/s", short="tok/s", keep=6),
        *Column.several({"tools": 3, "retries": 4, "cost": 5}),
        Column(title="id", right=False, keep=9),
    )
    names = ids or [record_id(entry.record) for entry in entries]
    rows = (
        Row.of(*_request(entry, unit, time, mark), Cell(name, "faint"))
        for entry, name in zip(entries, names, strict=True)
    )
    return Table(columns=columns, rows=tuple(rows))


def _tokens_out(record: RequestRecord) -> Cell:
    known, estimate = record.usage.output_tokens, record.output_tokens_estimate
    if known is None and estimate is not None:
        return Cell(tokens_out(record), "faint", estimate)
    return Cell(tokens_out(record), "", known)


def _request(entry: Entry, unit: DurationUnit, time: slice, mark: str) -> tuple[Cell, ...]:
    record = entry.record
    calls, retries = len(record.tool_calls) + record.tool_calls_dropped, record.retries
    return (
        Cell(moment(record.start_unix_ns)[time], "faint", record.start_unix_ns // 1_000_000),
        Cell(model_of(record)),
        Cell(f"{mark}{outcome(record)}", "bad") if record.outcome in FAILED else Cell(outcome(record)),
        Cell(unit.text(record.duration_ns), "strong" if entry.verdict.slow else "", record.duration_ns),
        Cell(unit.text(record.ttfc_ns), "", record.ttfc_ns),
        Cell(count(record.usage.input_tokens), "", record.usage.input_tokens),
        _tokens_out(record),
        Cell(rate(record.output_token_throughput), "", record.output_token_throughput),
        Cell(f"{calls:,}" if calls else "", "", calls),
        Cell(f"{retries:,}" if retries else "", "", retries),
        Cell(money(record.cost), "", record.cost),
    )


def outcome(record: RequestRecord) -> str:
    """Return how a request ended; of a failure, its reason."""
    if record.outcome in FAILED:
        return visible(record.error_type or record.outcome, limit=60)
    return record.outcome or "unfinished"


def listing(audit: Audit, unit: DurationUnit) -> str:
    """Return what the list of requests is: which of them, when, in which unit."""
    selection = audit.provenance.selection
    by = f" by {selection.by}" if selection.listed != "newest" else ""
    found = days(audit.entries)
    day = f" on {next(iter(found))}" if len(found) == 1 else ""
    more = f", {audit.omitted:,} more not listed" if audit.omitted else ""
    return f"{selection.listed} requests{by}{day}, durations in {unit.label}{more}"


def days(entries: Sequence[Entry]) -> set[str]:
    """Return the days, UTC, on which the requests began."""
    return {moment(entry.record.start_unix_ns)[:10] for entry in entries}


# -- comparison

_MEASURES: Final = {"duration": "total", "ttfc": "first chunk", "ttft": "first token", "tpot": "time per token"}
_RUN_MEASURES: Final = {"run.duration": "total", "run.model": "in Groq", "run.tool": "in tools", "run.own": "own code"}
_CERTAINTIES: Final[dict[str, Tone]] = {
    "slower": "bad",
    "faster": "good",
    "more": "bad",
    "less": "good",
    "inconclusive": "faint",
}


def changes(comparison: Comparison, unit: DurationUnit) -> tuple[Table, ...]:
    """Return a table for each model compared: what changed from A to B, with the interval of the change."""
    return tuple(_changes(comparison, model, unit) for model in dict.fromkeys(row.model for row in comparison.rows))


def _changes(comparison: Comparison, model: str | None, unit: DurationUnit) -> Table:
    titles = ((unit.label, 10), ("", 9), ("A", 6), ("B", 5), ("change", 8), ("interval", 2), ("", 10))
    columns = [
        Column(title=title, right=1 < index < len(titles) - 1, keep=keep, shrink=0 if index else 9)
        for index, (title, keep) in enumerate(titles)
    ]
    compared = [row for row in comparison.rows if row.model == model]
    rows: list[Row] = []
    notes: dict[str, None] = {}
    for row in compared:
        for name, change in (("median", row.median), ("p95", row.p95)):
            if name == "p95" and min(row.n_a, row.n_b) < _P95_NEEDS:
                notes[f"no p95: it takes {_P95_NEEDS} completed {comparison.of} in each set"] = None
                continue
            if change.ratio is None:
                note = change.note or "not known"
                notes[note if name in note else f"{name}: {note}"] = None
                continue
            known = change.low is not None and change.high is not None
            interval = f"{signed(change.low)} to {signed(change.high)}" if known else UNKNOWN
            values = (_value(value, row, unit) for value in (change.a, change.b))
            texts = (_measure(row.measure), name, *values, signed(change.ratio))
            certainty = Cell(change.certainty, _CERTAINTIES[change.certainty])
            rows.append(Row.of(*texts, interval, certainty))
    sizes = f"n={max(row.n_a for row in compared):,} and {max(row.n_b for row in compared):,}"
    return Table(title=model or MODEL_UNKNOWN, columns=tuple(columns), rows=tuple(rows), notes=(sizes, *notes))


def _value(value: float | None, row: ComparisonRow, unit: DurationUnit) -> str:
    return unit.text(value) if row.unit == "ns" else measure(value, row.unit, unit)


def _measure(name: str) -> str:
    if name.startswith(PREFIX):
        return _RUN_MEASURES.get(name) or name.removeprefix(PREFIX).replace("_", " ")
    return _MEASURES.get(name) or phase_label(name.removeprefix("phase."))


def signed(ratio: float | None) -> str:
    """Return a ratio B / A as a change: `+12.3%`, or `3.4 times` when it is more than doubled."""
    if ratio is None:
        return UNKNOWN
    if ratio >= 2:  # per cent beyond a doubling read badly
        return f"{ratio:,.1f} times"
    return f"{(ratio - 1) * 100:+.1f}%"


def one_sided(comparison: Comparison) -> list[str]:
    """Return which models only one of the two sets has."""
    return [
        f"only in {name}: {', '.join(map(visible, found))}"
        for name, found in (("A", comparison.only_a), ("B", comparison.only_b))
        if found
    ]


# -- provenance


def provenance_words(provenance: Provenance) -> list[str]:
    """Return where the data comes from: source, number of requests, selection, time, clock, version."""
    words: list[str] = []
    if provenance.sources:
        shown = ", ".join(provenance.sources[:_MAX_SOURCES])
        more = len(provenance.sources) - _MAX_SOURCES
        number = f" ({count(provenance.files, 'file')})" if provenance.files > 1 else ""
        words.append(visible(f"from {shown}") + (f" and {more} more" if more > 0 else "") + number)
    of = f" of {provenance.read:,} read" if provenance.read != provenance.requests else ""
    words.append(f"n={provenance.requests:,}{of}")
    if provenance.repeated:
        words.append(f"{count(provenance.repeated, 'repeat')} left out")
    words.extend(map(visible, provenance.selection.words))
    if provenance.first_unix_ns is not None and provenance.last_unix_ns is not None and provenance.requests > 1:
        words.append(f"{moment(provenance.first_unix_ns)} to {moment(provenance.last_unix_ns)}")
    if provenance.foreign:
        words.append(f"{count(provenance.foreign, 'span')} of other libraries, without phases")
    words.append("durations by the monotonic clock, times in UTC")
    if provenance.version:
        words.append(f"groqscope {provenance.version}")
    return words
