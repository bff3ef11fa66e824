"""Every report for a terminal or a pipe."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.cells import cell_len

from groqscope.audit.formatting import DurationUnit, capital, count, percent, share, summed, visible
from groqscope.audit.model import (
    Audit,
    Comparison,
    GroupCause,
    Groups,
    ModelSummary,
    PhaseTotal,
    PromptCache,
    Provenance,
    RequestAudit,
    Why,
)
from groqscope.audit.reports import runs, tables
from groqscope.audit.reports.bars import bar, ruler, split
from groqscope.audit.reports.details import record_id
from groqscope.audit.reports.page import BAD, FAINT, STRONG, Page, Piece, draw_noted, draw_table, pad, weight
from groqscope.audit.reports.palette import PARTS, PHASES, Colour, colour_of
from groqscope.audit.reports.rendering import Look, Report, Section, unit_of
from groqscope.audit.reports.tables import Cell, Row, Table, model_name, phase_share, shown_and_small
from groqscope.audit.reports.terminal_request import draw_request
from groqscope.audit.reports.waterfall import phase_label
from groqscope.audit.run_causes import RunCause, RunsWhy
from groqscope.audit.runs import RunAudit, RunsAudit

MAX_MODELS: Final = 12
_MAX_TOOLS: Final = 12
_MAX_MISSES: Final = 3
_MAX_WARNINGS: Final = 5
_MAX_ROWS: Final = 200
_MAX_CAUSES: Final = 6
_MAX_GROUPS: Final = 40
_ROOMY: Final = 132
"""Columns from which IDs stand in full and times with their milliseconds."""
_INDENT: Final = 8
_MAX_BAR: Final = 60
_LINES: Final = ("█", "░")
_LINES_ASCII: Final = ("#", ".")
_BRIEF: Final = {"inconclusive": Cell("?", "strong")}
"""Verdicts for which a terminal has a shorter mark."""


class TerminalRenderer:
    """Text of a given width, with colour and unicode where the look has them."""

    def __init__(self, look: Look | None = None) -> None:
        """Take the look; without one, 100 columns of unicode without colour."""
        self.look: Look = look or Look()

    def render(self, report: Report, section: Section = "all") -> str:
        """Return a report, or one section of an overview, as text."""
        return self.page(report, section).text()

    def brief(self, audit: Audit) -> str:
        """Return what a first look needs of an overview: where the time went, and the requests."""
        page = Page(self.look)
        page.prose(audit.sentence, style=STRONG)
        page.blank()
        _phases(page, audit.models, small=False)
        page.blank()
        _requests(page, audit, unit_of(audit, self.look.unit))
        return page.text()

    def page(self, report: Report, section: Section = "all") -> Page:
        """Return the page that `render` writes, for a picture."""
        page = Page(self.look)
        match report:
            case Audit():
                _overview(page, report, section)
                _provenance(page, report.provenance)
            case RequestAudit():
                draw_request(page, report.record, report.verdict)
                _provenance(page, report.provenance)
            case Comparison():
                _comparison(page, report)
            case RunsAudit():
                _runs(page, report, section)
                _provenance(page, report.provenance)
            case RunAudit():
                _run(page, report)
                _provenance(page, report.provenance)
            case _:
                draw_request(page, report)
        return page


def _overview(page: Page, audit: Audit, section: Section) -> None:
    unit = unit_of(audit, page.look.unit)
    if section in ("all", "groups"):
        page.prose(audit.sentence, style=STRONG)
        page.blank()
    if section == "budgets" or (section == "all" and audit.budgets):
        _budgets(page, audit, unit)
        page.blank()
    if section in ("all", "groups") and audit.groups is not None:
        _groups(page, audit.groups)
        page.blank()
    if section == "all" and audit.total.requests:
        _phases(page, audit.models)
        page.blank()
        draw_noted(page, tables.quantiles(audit, unit, MAX_MODELS))
        page.blank()
        totals = tables.totals(audit, MAX_MODELS)
        draw_table(page, totals)
        if totals.notes:
            page.flow([(note, FAINT) for note in totals.notes], gap="   ")
        page.blank()
        _requests(page, audit, unit)
        page.blank()
    if section in ("all", "tools"):
        if audit.tools:
            draw_noted(page, tables.tools(audit, unit, _MAX_TOOLS if section == "all" else None))
            page.blank()
        elif section == "tools":
            page.prose("No request made a tool call.", style=STRONG)
    if section in ("all", "why"):
        _reasons(page, audit, unit, section)


def _reasons(page: Page, audit: Audit, unit: DurationUnit, section: Section) -> None:
    if audit.why is not None:
        _why(page, audit.why, unit)
        page.blank()
    if audit.cache is not None and (section == "why" or audit.cache.worth_showing):
        _cache(page, audit.cache, unit, _MAX_MISSES if section == "all" else None)


def _budgets(page: Page, audit: Audit, unit: DurationUnit) -> None:
    table = tables.budgets(audit.budgets, unit)
    rows = (replace(row, cells=(_BRIEF.get(row.cells[0].text, row.cells[0]), *row.cells[1:])) for row in table.rows)
    draw_noted(page, replace(table, rows=tuple(rows)))


def _requests(page: Page, audit: Audit, unit: DurationUnit) -> None:
    page.prose(tables.listing(audit, unit), style=FAINT)
    if not audit.entries:
        return
    roomy = page.look.width >= _ROOMY
    time = slice(11 if len(tables.days(audit.entries)) == 1 else 5, -1 if roomy else -5)
    ids = [record_id(entry.record) for entry in audit.entries]
    table = tables.requests(audit.entries, unit, time=time, ids=tables.short_ids(ids), mark="! ")
    draw_table(page, table)


def _why(page: Page, why: Why, unit: DurationUnit) -> None:
    page.prose(why.sentence, style=STRONG)
    page.prose(why.rule, style=FAINT)
    for cause in why.causes:
        page.blank()
        _cause(page, cause, unit)
    if why.unexplained:
        page.blank()
        page.prose(f"{count(why.unexplained, 'slow request')} in which nothing stands out", style=FAINT)


def _cache(page: Page, cache: PromptCache, unit: DurationUnit, most: int | None = None) -> None:
    page.prose(cache.sentence, style=STRONG)
    draw_noted(page, tables.prompt_cache(cache, unit, MAX_MODELS))
    for miss in cache.misses[:most]:
        facts = tables.cache_miss_facts(miss, unit)
        page.prose(f"{facts}. {miss.advice}", label=f"{visible(miss.reason, limit=40)}  ", indent=2, label_style=STRONG)


def _cause(page: Page, cause: GroupCause, unit: DurationUnit) -> None:
    style, width, blank = weight(cause.share), min(_MAX_BAR, page.look.width - _INDENT), " " * _INDENT
    page.add(
        (pad(share(cause.share, 1), _INDENT - 2, right=True), style),
        "  ",
        (cause.title, STRONG),
        "  ",
        (unit.full(cause.ns), style),
    )
    filled = page.filled(colour_of(cause.code))
    page.add(blank, (bar(0.0, cause.share, width, unicode=page.look.unicode)[1], filled))
    page.prose(tables.cause_facts(cause, unit), indent=_INDENT, label=blank)
    page.prose(cause.advice, indent=_INDENT, label=blank)
    if cause.examples:
        page.flow([(visible(name, limit=60), FAINT) for name in cause.examples[:3]], indent=_INDENT, label=blank)


def _provenance(page: Page, provenance: Provenance) -> None:
    page.blank()
    for warning in provenance.warnings[:_MAX_WARNINGS]:
        page.prose(warning, label="warning  ", indent=9, label_style=STRONG)
    if len(provenance.warnings) > _MAX_WARNINGS:
        page.prose(f"and {count(len(provenance.warnings) - _MAX_WARNINGS, 'warning')} more")
    page.flow([(words, FAINT) for words in tables.provenance_words(provenance)], gap="   ")


def _comparison(page: Page, comparison: Comparison) -> None:
    page.prose(comparison.sentence, style=STRONG)
    changes = tables.changes(comparison, unit_of(comparison, page.look.unit))
    texts = [[cell.text for cell in row.cells] for table in changes for row in table.rows]
    floors = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    for table in changes:
        sizes, *notes = table.notes
        page.blank()
        page.flow([(visible(table.title), STRONG), (sizes, FAINT)])
        if table.rows:
            draw_table(page, _without_repetition(table), floors)
        for note in notes:
            page.prose(note, style=FAINT)
    for models in tables.one_sided(comparison):
        page.blank()
        page.prose(models)
    page.blank()
    page.prose(comparison.method, style=FAINT)
    for name, provenance in (("A", comparison.a), ("B", comparison.b)):
        for warning in provenance.warnings:
            page.prose(warning, label=f"warning, {name}  ", indent=12, label_style=STRONG)
        words = tables.provenance_words(provenance)
        page.flow([(text, FAINT) for text in words], label=f"{name}: ", indent=3, gap="   ")


def _without_repetition(table: Table) -> Table:
    """Return the table with each measure named only in the first of its rows."""
    rows: list[Row] = []
    previous = ""
    for row in table.rows:
        first, *rest = row.cells
        rows.append(replace(row, cells=(Cell("" if first.text == previous else first.text), *rest)))
        previous = first.text
    return replace(table, rows=tuple(rows))


def _phases(page: Page, every: Sequence[ModelSummary], *, small: bool = True) -> None:
    """Draw the phases of each model as one stacked bar: names inside; the `small` ones below it."""
    models = every[:MAX_MODELS]
    names = [page.clean(model_name(model), max(12, page.look.width // 4)) for model in models]
    label = max(map(cell_len, names), default=0)
    totals = [summed(model.duration.total) for model in models]
    figure = max(map(len, totals), default=0)
    width = max(10, page.look.width - label - figure - 6)
    title = "where the time went"
    page.add(
        (pad(title, label + 2), FAINT),
        (_scale(width, max(0, len(title) - label - 1)), FAINT),
        (pad("total", figure + 4, right=True), FAINT),
    )
    for name, model, total in zip(names, models, totals, strict=True):
        bar, folded = _stack(page, model.phases, width)
        if not model.phases:
            bar, folded = [(pad("no phases: spans of another library", width)[:width], FAINT)], ""
        page.add(pad(name, label + 2), *bar, (" | ", FAINT), pad(total, figure, right=True))
        if folded and small:
            page.prose(folded, indent=label + 2, label=" " * (label + 2), style=FAINT)
    if len(every) > MAX_MODELS:
        page.add((f"and {count(len(every) - MAX_MODELS, 'model')} more", FAINT))


def _scale(width: int, skip: int) -> str:
    line = [" "] * width
    for mark in (0, 50, 100) if width < 48 else (0, 25, 50, 75, 100):  # room for five figures
        text = f"{mark}%"
        at = min(width - len(text), max(0, round(width * mark / 100) - (len(text) // 2 if mark else 0)))
        line[at : at + len(text)] = text
    return "".join(line)[skip:]


def _stack(page: Page, phases: Sequence[PhaseTotal], width: int) -> tuple[list[Piece], str]:
    shown, small = shown_and_small(phases)
    cells = split([phase.share for phase in shown], width)
    pieces: list[Piece] = []
    unnamed: list[str] = []
    for phase, room in zip(shown, cells, strict=True):
        text = _segment(phase, room)
        if room and phase_label(phase.name) not in text:
            unnamed.append(phase_share(phase.name, phase.share))
        pieces.append(_filled(page, text, room, PHASES[phase.name]))
    pieces.append(" " * (width - sum(cells)))
    words = [f"also {', '.join(unnamed)}" if unnamed else "", small]
    return pieces, "; ".join(filter(None, words))


def _segment(phase: PhaseTotal, room: int) -> str:
    name = phase_label(phase.name)
    for text in (f"{name} {int(phase.share * 100)}%", name):
        if len(text) + 2 <= room:
            return text
    return ""


def _filled(page: Page, text: str, room: int, colour: Colour) -> Piece:
    """Draw a segment: a block of colour, or, without colour, a box open to the left."""
    if not room:
        return ""
    unicode = page.look.unicode
    if page.look.colour:
        return (text.center(room - 1) + ("▕" if unicode else "|"), page.on(colour))
    line = "─" if unicode else "-"
    return (f" {text} " if text else "").center(room - 1, line) + ("┤" if unicode else "|")


def _run(page: Page, audit: RunAudit) -> None:
    """Draw one run: why it took so long, its waterfall with the critical path, and what its time went into."""
    entry, run = audit.entry, audit.entry.run
    unit = unit_of(audit, page.look.unit)
    page.prose(f"{run.name}: {entry.sentence}", style=BAD if run.failed else STRONG)
    for number, reason in enumerate(entry.reasons):
        if number:
            page.prose(capital(reason.sentence))
        page.prose(reason.advice, style=FAINT)
    page.blank()
    _waterfall(page, audit, unit)
    page.blank()
    draw_noted(page, runs.parts(run, unit))
    page.blank()
    facts = runs.facts(run)
    width = max(len(label) for label, _ in facts) + 2
    for label, value in facts:
        page.prose(value, label=label, indent=width)


def _waterfall(page: Page, audit: RunAudit, unit: DurationUnit) -> None:
    run = audit.entry.run
    rows = runs.run_rows(run)
    label = min(max(cell_len("  " * row.depth + row.name) for row in rows), max(16, page.look.width // 3))
    figure = max(len(unit.label), len(unit.text(run.duration_ns)))
    width = max(10, page.look.width - label - figure - 5)
    page.add(
        (pad("waterfall", label + 2), FAINT),
        (ruler(run.duration_ns, width, unit), FAINT),
        (" | ", FAINT),
        (pad(unit.label, figure, right=True), FAINT),
    )
    for row in rows[:_MAX_ROWS]:
        filled = BAD if row.failed else page.filled(PARTS[row.kind])
        page.add(
            pad(page.clean("  " * row.depth + row.name, label), label + 2),
            (_run_bar(row, run.duration_ns, width, unicode=page.look.unicode), filled),
            (" | ", FAINT),
            (pad(unit.text(row.length_ns), figure, right=True), FAINT),
        )
        words = [words for words in (runs.phase_words(row, unit), row.note) if words]
        if words:
            indent = min(label, 2 * row.depth + 4)
            page.prose("; ".join(words), indent=indent, label=" " * indent, style=FAINT)
    if len(rows) > _MAX_ROWS:
        page.add((f"and {count(len(rows) - _MAX_ROWS, 'span')} more", FAINT))
    solid, light = _LINES if page.look.unicode else _LINES_ASCII
    page.prose(
        f"{solid} the run waited for it (the critical path)   {light} it ran beside something longer", style=FAINT
    )


def _run_bar(row: runs.RunRow, total: int, width: int, *, unicode: bool) -> str:
    solid, light = _LINES if unicode else _LINES_ASCII
    if not total:
        return " " * width
    cells = [" "] * width

    def fill(start: int, end: int, mark: str) -> None:
        first = max(0, min(width - 1, start * width // total))
        for cell in range(first, max(first + 1, min(width, -(-end * width // total)))):
            cells[cell] = mark

    fill(row.start_ns, row.start_ns + row.length_ns, light)
    for start, end in row.critical:
        fill(start, end, solid)
    return "".join(cells)


def _groups(page: Page, groups: Groups) -> None:
    """Draw the groups of requests or runs, the dearest first."""
    draw_noted(page, tables.groups(groups, unit_of(groups, page.look.unit), _MAX_GROUPS))


def _runs(page: Page, audit: RunsAudit, section: Section = "all") -> None:
    """Draw a list of runs: what their time went into, why, and the newest, slowest or dearest."""
    unit = unit_of(audit, page.look.unit)
    page.prose(audit.sentence, style=STRONG)
    page.blank()
    if audit.budgets:
        draw_noted(page, tables.budgets(audit.budgets, unit))
        page.blank()
    if section == "why":
        _why_runs(page, audit.why, unit)
        return
    if audit.groups is not None:
        _groups(page, audit.groups)
        if section == "groups":
            return
        page.blank()
    shares = ", ".join(f"{kind.kind} {percent(kind.share)} ({summed(kind.ns)})" for kind in audit.kinds)
    page.prose(shares, label="time went into", indent=16)
    for title, values in (
        ("a run took", audit.duration),
        ("first answer", audit.first_answer),
        ("first audio", audit.first_audio),
    ):
        quantiles = (("p50", values.p50), ("p90", values.p90), ("p95", values.p95), ("max", values.max))
        known = [f"{name} {unit.full(value)}" for name, value in quantiles if value is not None]
        if known:
            page.prose(", ".join(known), label=title, indent=16)
    _run_causes(page, audit.causes, unit)
    page.blank()
    page.prose(f"the {audit.order} {count(len(audit.entries), 'run')} of {audit.runs:,}", style=FAINT)
    draw_table(page, runs.listing(audit, unit))


def _run_causes(page: Page, causes: Sequence[RunCause], unit: DurationUnit) -> None:
    for cause in causes[:_MAX_CAUSES]:
        page.blank()
        page.add((pad(percent(cause.share), 6), weight(cause.share)), (cause.title, STRONG))
        page.prose(
            f"{count(cause.runs, 'run')}, {unit.full(cause.lost_ns)}; for example {', '.join(cause.examples)}",
            indent=6,
            label=" " * 6,
            style=FAINT,
        )
        page.prose(cause.advice, indent=6, label=" " * 6)


def _why_runs(page: Page, why: RunsWhy, unit: DurationUnit) -> None:
    page.prose(why.sentence, style=STRONG)
    page.prose(why.rule, style=FAINT)
    _run_causes(page, why.causes, unit)
    if why.unexplained:
        page.blank()
        page.prose(f"{count(why.unexplained, 'slow run')} in which nothing stands out", style=FAINT)
