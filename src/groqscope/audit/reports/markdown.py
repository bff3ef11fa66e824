"""Reports as Markdown for a pull request: the verdict open, the rest folded away."""

from collections.abc import Iterator, Sequence
from typing import Final

from groqscope.audit.formatting import UNKNOWN, Unit, UnitName, count, moment, money, share, size, visible
from groqscope.audit.model import Audit, Comparison, ModelSummary, Provenance, RequestAudit
from groqscope.audit.reports.changes import TITLES, change_lines, models_of, sizes
from groqscope.audit.reports.facts import ending, model_of, record_id
from groqscope.audit.reports.html_data import outcome_text
from groqscope.audit.reports.kinds import Report, Section
from groqscope.audit.reports.look import Look
from groqscope.audit.reports.measures import measure, ordered, quantiles_of
from groqscope.audit.reports.provenance import provenance_words
from groqscope.audit.reports.terminal import TerminalRenderer
from groqscope.audit.reports.units import comparison_unit, overview_unit
from groqscope.audit.reports.waterfall import phase_label
from groqscope.timeline import RequestRecord

_WIDTH: Final = 100
_SHARE: Final = 0.05
_MARKS: Final = {"over": "❌ **over**", "cannot tell": "❔ cannot tell", "ok": "✅ ok"}
_CHANGES: Final = {"slower": "🔺 **slower**", "faster": "🔽 faster", "cannot tell": "cannot tell"}
_SPECIAL: Final = str.maketrans(
    {char: f"\\{char}" for char in "\\`*_[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"}
)


class MarkdownRenderer:
    """GitHub's Markdown."""

    def __init__(self, *, unit: UnitName | None = None) -> None:
        """Take the unit of durations; `None`: the one that fits the largest."""
        self.unit: UnitName | None = unit

    def render(self, report: Report, section: Section = "all") -> str:
        """Write a report, or one section of an overview."""
        match report:
            case Audit():
                blocks = _overview(report, overview_unit(report, self.unit), section)
            case Comparison():
                blocks = _comparison(report, comparison_unit(report, self.unit))
            case RequestAudit():
                blocks = self._request(report.record, report.verdict.sentence, report.provenance)
            case _:
                blocks = self._request(report, ending(report), None)
        return "\n\n".join(block for block in blocks if block) + "\n"

    def _request(self, record: RequestRecord, sentence: str, provenance: Provenance | None) -> Iterator[str]:
        yield f"**{literal(sentence)}**" if sentence else ""
        drawn = TerminalRenderer(Look(width=_WIDTH, unit=self.unit)).render(record)
        yield fenced(drawn)
        if provenance is not None:
            yield _footer(provenance)


def literal(text: str) -> str:
    """Escape text so that Markdown shows it as it is and nobody is mentioned."""
    return visible(text).translate(_SPECIAL)


def fenced(text: str) -> str:
    """Put text into a code block that it cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text.rstrip()}\n{fence}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Make a table; the first `left` columns are aligned left, the others right."""
    if not rows:
        return ""
    rule = ["---" if index < left else "---:" for index in range(len(titles))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (titles, rule, *rows))


def folded(title: str, text: str) -> str:
    """Fold a block away under its title."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>" if text else ""


def _overview(audit: Audit, unit: Unit, section: Section) -> Iterator[str]:
    if section == "all":
        yield f"**{literal(audit.sentence)}**"
    if section in ("all", "budgets"):
        yield _budgets(audit, unit)
    if section == "all":
        yield _models(audit.models, unit)
        yield folded(f"Quantiles, {unit.label}", _quantiles(audit.models, unit))
    if section in ("all", "why"):
        why = _why(audit, unit)
        yield folded("Why slow requests were slow", why) if section == "all" else why
    if section in ("all", "tools"):
        tools = _tools(audit, unit)
        yield folded(f"Tool calls, {unit.label}", tools) if section == "all" else tools
    if section == "all":
        listed = audit.provenance.selection.listed.capitalize()
        yield folded(f"{listed} requests, {unit.label}", _requests(audit, unit))
    yield _footer(audit.provenance)


def _budgets(audit: Audit, unit: Unit) -> str:
    rows = [
        [
            _MARKS[result.verdict] if result.limit is not None else "",
            literal(result.expression),
            measure(result.measured, result.unit, unit),
            f"{literal(result.operator)} {measure(result.limit, result.unit, unit)}"
            if result.limit is not None
            else "",
            f"{result.n:,}",
            literal(result.note),
        ]
        for result in ordered(audit.budgets)
    ]
    return table(["", "budget", "measured", "limit", "n", ""], rows, left=2)


def _models(models: Sequence[ModelSummary], unit: Unit) -> str:
    rows = [
        [
            literal(model.model or "(model not known)"),
            f"{model.requests:,}",
            f"**{model.errors:,}**" if model.errors else "0",
            f"{model.retries:,}",
            unit.text(model.ttfc.p50),
            unit.text(model.ttfc.p95),
            unit.text(model.duration.p50),
            unit.text(model.duration.p95),
            f"{model.output_tokens:,}" if model.requests > model.usage_unknown else UNKNOWN,
            money(model.cost),
            _phases(model),
        ]
        for model in models
    ]
    titles = [
        "model",
        "n",
        "failed",
        "retries",
        "first chunk p50",
        "p95",
        f"total p50, {unit.label}",
        "p95",
        "tokens out",
        "cost",
        "where the time went",
    ]
    return table(titles, rows)


def _phases(model: ModelSummary) -> str:
    biggest = sorted((phase for phase in model.phases if phase.share >= _SHARE), key=lambda phase: -phase.share)
    return ", ".join(f"{phase_label(phase.name)} {share(phase.share, 1)}" for phase in biggest) or UNKNOWN


def _quantiles(models: Sequence[ModelSummary], unit: Unit) -> str:
    rows = [
        [literal(model.model or "(model not known)"), name, f"{values.n:,}", *quantiles_of(values, unit)]
        for model in models
        for name, values in (("first chunk", model.ttfc), ("total", model.duration), ("tokens/s", model.throughput))
        if values.n
    ]
    return table(["model", "", "n", "p50", "p90", "p95", "p99", "max"], rows, left=2)


def _why(audit: Audit, unit: Unit) -> str:
    why = audit.why
    if why is None:
        return ""
    rows = [
        [
            share(cause.share, 1),
            literal(cause.title),
            unit.text(cause.ns),
            f"{cause.requests:,}",
            unit.text(cause.usual_ns),
            literal(cause.advice),
        ]
        for cause in why.causes
    ]
    causes = table(["share", "cause", unit.label, "requests", "usually", "what to do"], rows, left=2)
    return "\n\n".join(part for part in (literal(why.sentence), causes, literal(why.rule)) if part)


def _tools(audit: Audit, unit: Unit) -> str:
    rows = [
        [
            literal(tool.name or "(no name)"),
            f"{tool.calls:,}",
            *map(unit.text, (tool.assembly.p50, tool.assembly.p95, tool.assembly.max)),
            UNKNOWN if tool.arguments_size.p50 is None else size(round(tool.arguments_size.p50)),
            f"**{tool.invalid:,}**" if tool.invalid else "0",
        ]
        for tool in audit.tools
    ]
    return table(["tool", "calls", "p50", "p95", "max", "size p50", "invalid JSON"], rows)


def _requests(audit: Audit, unit: Unit) -> str:
    rows = [
        [
            moment(entry.record.start_unix_ns),
            literal(model_of(entry.record)),
            literal(outcome_text(entry.record)),
            unit.text(entry.record.duration_ns),
            unit.text(entry.record.ttfc_ns),
            count(entry.record.usage.output_tokens),
            money(entry.record.cost),
            literal(record_id(entry.record)),
        ]
        for entry in audit.entries
    ]
    text = table(["time", "model", "outcome", "total", "first chunk", "out", "cost", "id"], rows, left=3)
    return f"{text}\n\n{audit.omitted:,} more are not listed." if audit.omitted else text


def _comparison(comparison: Comparison, unit: Unit) -> Iterator[str]:
    yield f"**{literal(comparison.sentence)}**"
    for model in models_of(comparison):
        lines, notes = change_lines(comparison, model, unit)
        rows = [[one.measure, one.statistic, *one.cells, _CHANGES[one.certainty]] for one in lines]
        yield f"**{literal(model or '(model not known)')}**, {sizes(comparison, model)}"
        yield table([unit.label, "", *TITLES], rows, left=2)
        yield literal("; ".join(notes))
    for name, models in (("A", comparison.only_a), ("B", comparison.only_b)):
        if models:
            yield f"Only in {name}: {', '.join(map(literal, models))}"
    yield literal(comparison.method)
    for name, provenance in (("A", comparison.a), ("B", comparison.b)):
        yield f"{name}: {_footer(provenance)}"


def _footer(provenance: Provenance) -> str:
    warnings = "".join(f"⚠️ {literal(warning)}<br>\n" for warning in provenance.warnings)
    return f"{warnings}<sub>{literal(' · '.join(provenance_words(provenance)))}</sub>"
