"""The page's summary: what stands above the list, readable without a script."""

from collections.abc import Sequence
from typing import Final

from groqscope.audit.formatting import UNKNOWN, Unit, count, money, share, size, summed, visible
from groqscope.audit.model import (
    Audit,
    BudgetResult,
    Comparison,
    ModelSummary,
    Provenance,
    ToolSummary,
    Why,
)
from groqscope.audit.reports.changes import TITLES, change_lines, models_of, sizes
from groqscope.audit.reports.html_data import tone
from groqscope.audit.reports.markup import Markup, join, line, section, table, tag
from groqscope.audit.reports.measures import measure, ordered, quantiles_of
from groqscope.audit.reports.provenance import provenance_words
from groqscope.audit.reports.waterfall import phase_label

_FOLD: Final = 0.01
_CERTAIN: Final = {"slower": "bad", "faster": "good", "cannot tell": "faint"}
_MAX_TOOLS: Final = 20
_ALWAYS: Final = 3
"""Columns of the totals that stand there even without a value."""
_NAMED: Final = 0.09
"""Share from which a segment has room for its name."""
_MODEL: Final = "(model not known)"


def overview_sections(audit: Audit, unit: Unit) -> Markup:
    """Give verdict, budgets, picture and tables of an overview."""
    parts = [tag("h1", audit.sentence)]
    if audit.budgets:
        parts.append(section("Budgets", budget_table(audit.budgets, unit)))
    if audit.total.requests:
        parts.append(section("Where the time went", *(_stack(model) for model in audit.models)))
        beside = [section("Requests, tokens, cost", _totals(audit))]
        if audit.tools:
            beside.append(section(f"Tool calls, {unit.label}", _tools(audit.tools, unit)))
        quantiles = section(f"Quantiles, {unit.label}", _quantiles(audit.models, unit))
        parts.append(tag("div", quantiles, tag("div", *beside), class_="pair"))
    if audit.why is not None:
        parts.append(section("Why slow requests were slow", _why(audit.why, unit)))
    return join(*parts)


def _stack(model: ModelSummary) -> Markup:
    shown = [phase for phase in model.phases if phase.share >= _FOLD]
    folded = [phase for phase in model.phases if phase.share < _FOLD]
    segments: list[Markup] = []
    unnamed: list[str] = []
    for phase in shown:
        text = f"{phase_label(phase.name)} {share(phase.share, 1)}"
        wide = phase.share >= _NAMED
        segments.append(
            tag(
                "span",
                text if wide else "",
                class_=tone(phase.share),
                style=f"width:{phase.share * 100:.3f}%",
                title=text,
            )
        )
        if not wide:
            unnamed.append(text)
    words = [f"also {', '.join(unnamed)}"] if unnamed else []
    if folded:
        words.append(f"under 1% each: {count(len(folded), 'phase')}, {share(sum(phase.share for phase in folded), 1)}")
    label = ", ".join(f"{phase_label(phase.name)} {share(phase.share, 1)}" for phase in model.phases)
    name = model.model or _MODEL
    return tag(
        "div",
        tag("span", name, class_="name", title=name),
        tag("div", *segments, class_="stack", role="img", aria_label=f"{name}: {label or 'no phases known'}"),
        tag("span", summed(model.duration.total), class_="r"),
        tag("p", "; ".join(words) or ("" if shown else "no phases: spans of another library"), class_="stack-note"),
        class_="stack-row",
    )


def _quantiles(models: Sequence[ModelSummary], unit: Unit) -> Markup:
    rows: list[Markup] = []
    for model in models:
        rows.append(tag("tr", tag("th", model.model or _MODEL, colspan=7, scope="rowgroup"), class_="group"))
        for name, values in (("first chunk", model.ttfc), ("total", model.duration), ("tokens/s", model.throughput)):
            if values.n:
                rows.append(line([name, f"{values.n:,}", *quantiles_of(values, unit)], marks=("indent", "faint")))
    note = tag("p", "-: too few requests for that quantile (p90 needs 10, p95 20, p99 100)", class_="faint small")
    refused = any(UNKNOWN in quantiles_of(d, unit) for m in models for d in (m.ttfc, m.duration, m.throughput) if d.n)
    return join(table(["", "n", "p50", "p90", "p95", "p99", "max"], rows), note if refused else "")


def _totals(audit: Audit) -> Markup:
    rows = [_total(model, model.model or _MODEL) for model in audit.models]
    if len(audit.models) > 1:
        rows.append(_total(audit.total, "all"))
    whole = audit.total
    notes: list[str] = []
    if whole.usage_unknown:
        notes.append(f"tokens without {count(whole.usage_unknown, 'request')} that brought no usage")
    if whole.cost_unknown:
        notes.append(f"cost without {count(whole.cost_unknown, 'request')} whose price is not known")
    if whole.error_types:
        notes.append("failed: " + ", ".join(f"{name} {number:,}" for name, number in whole.error_types[:5]))
    titles = ["", "n", "failed", "dropped", "retries", "in", "cached", "out", "reasoning", "tools", "cost"]
    said = [i for i, cells in enumerate(zip(*rows, strict=True)) if i < _ALWAYS or set(cells) - {"0", UNKNOWN}]
    lines = [
        line(
            [row[i] for i in said],
            class_="sum" if len(rows) > 1 and row is rows[-1] else None,
            marks=["cut", None, "bad" if row[2] != "0" else None],
        )
        for row in rows
    ]
    return join(
        table([titles[i] for i in said], lines), tag("p", "; ".join(notes), class_="faint small") if notes else ""
    )


def _total(model: ModelSummary, name: str) -> list[str]:
    known = model.requests > model.usage_unknown
    tokens = (model.input_tokens, model.cached_tokens, model.output_tokens, model.reasoning_tokens)
    return [
        name,
        f"{model.requests:,}",
        f"{model.errors:,}",
        f"{model.abandoned:,}",
        f"{model.retries:,}",
        *(f"{value:,}" if known else UNKNOWN for value in tokens),
        f"{model.tool_calls:,}",
        money(model.cost),
    ]


def _tools(tools: Sequence[ToolSummary], unit: Unit) -> Markup:
    rows: list[Markup] = []
    for tool in tools[:_MAX_TOOLS]:
        middle = tool.arguments_size.p50
        of = f" of {tool.calls - tool.unchecked:,}" if tool.unchecked else ""
        times = (tool.assembly.p50, tool.assembly.p95, tool.assembly.max)
        cells = [
            visible(tool.name or "(no name)", limit=80),
            f"{tool.calls:,}",
            f"{tool.requests:,}",
            *map(unit.text, times),
        ]
        cells += [UNKNOWN if middle is None else size(round(middle)), f"{tool.invalid:,}{of}"]
        rows.append(line(cells, marks=("cut", *[None] * 6, "bad" if tool.invalid else "faint")))
    more = f"{count(len(tools) - _MAX_TOOLS, 'tool')} more are not shown. " if len(tools) > _MAX_TOOLS else ""
    note = f"{more}Assembly: from the last thing the caller saw to the complete call, streams only; p95 needs 20 calls."
    return join(
        table(["", "calls", "requests", "p50", "p95", "max", "size p50", "invalid"], rows),
        tag("p", note, class_="faint small"),
    )


def _why(why: Why, unit: Unit) -> Markup:
    parts = [tag("p", why.sentence), tag("p", why.rule, class_="faint small")]
    causes: list[Markup] = []
    for cause in why.causes:
        usual = "" if cause.usual_ns is None else f", usually {unit.full(cause.usual_ns) if cause.usual_ns else 'none'}"
        mean = unit.full(cause.ns / max(1, cause.requests))
        meter = tag("i", class_=tone(cause.share), style=f"width:{min(1.0, cause.share) * 100:.2f}%")
        causes.append(
            tag(
                "div",
                tag("span", share(cause.share, 1), class_="share"),
                tag("div", tag("strong", cause.title), f", {unit.full(cause.ns)}"),
                tag("div", meter, class_="meter"),
                tag("div", f"{count(cause.requests, 'request')}, {mean} on average{usual}", class_="faint"),
                tag("div", cause.advice),
                class_="cause",
            )
        )
    parts.append(tag("div", *causes, class_="causes"))
    if why.unexplained:
        parts.append(tag("p", f"{count(why.unexplained, 'slow request')} in which nothing stands out", class_="faint"))
    return join(*parts)


def budget_table(budgets: Sequence[BudgetResult], unit: Unit) -> Markup:
    """Give a table of budgets, those over first."""
    rows: list[Markup] = []
    for result in ordered(budgets):
        mark = {"over": ("FAIL", "bad"), "ok": ("ok", "good")}.get(result.verdict, ("cannot tell", "faint"))
        limited = result.limit is not None
        limit = f"{result.operator} {measure(result.limit, result.unit, unit)}" if limited else ""
        cells = [
            mark[0] if limited else "",
            result.expression,
            measure(result.measured, result.unit, unit),
            limit,
            f"{result.n:,}",
            result.source,
            result.note,
        ]
        rows.append(line(cells, left=2, marks=(mark[1], None, None, None, "faint", "faint", "faint")))
    return table(["", "budget", "measured", "limit", "n", "from", ""], rows, left=2)


def comparison_sections(comparison: Comparison, unit: Unit) -> Markup:
    """Give a comparison, model by model."""
    parts = [tag("h1", comparison.sentence)]
    for model in models_of(comparison):
        lines, notes = change_lines(comparison, model, unit)
        rows = [
            line(
                [one.measure, one.statistic, *one.cells, one.certainty],
                left=2,
                marks=(None, "faint", None, None, None, "faint", _CERTAIN[one.certainty]),
            )
            for one in lines
        ]
        said = [tag("p", note, class_="faint small") for note in (sizes(comparison, model), *notes)]
        parts.append(section(model or _MODEL, table([unit.label, "", *TITLES], rows, left=2), *said))
    for name, models in (("A", comparison.only_a), ("B", comparison.only_b)):
        if models:
            parts.append(tag("p", f"only in {name}: {', '.join(models)}"))
    parts.append(tag("p", comparison.method, class_="faint"))
    return join(*parts)


def footer(provenance: Provenance, label: str = "") -> Markup:
    """Say where the data comes from."""
    warnings = [tag("p", f"warning: {warning}", class_="bad") for warning in provenance.warnings]
    spans = [tag("span", f"{label}{words}" if not i else words) for i, words in enumerate(provenance_words(provenance))]
    return tag("footer", *warnings, *spans)
