"""A run, and a list of runs, in the terminal."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from groqscope.audit.formatting import DurationUnit, capital, count, percent, summed
from groqscope.audit.model import Groups
from groqscope.audit.reports import runs, tables
from groqscope.audit.reports.bars import ruler
from groqscope.audit.reports.page import BAD, FAINT, STRONG, Page, draw_noted, draw_table, pad, weight
from groqscope.audit.reports.palette import PARTS
from groqscope.audit.reports.rendering import Section, unit_of
from groqscope.audit.run_causes import RunCause, RunsWhy
from groqscope.audit.runs import RunAudit, RunsAudit

_MAX_ROWS: Final = 200
_MAX_CAUSES: Final = 6
_MAX_GROUPS: Final = 40
_LINES: Final = ("█", "░")
_LINES_ASCII: Final = ("#", ".")


def draw_run(page: Page, audit: RunAudit) -> None:
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
    table = runs.parts(run, unit)
    draw_table(page, table)
    for note in table.notes:
        page.prose(note, style=FAINT)
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
            (_bar(row, run.duration_ns, width, unicode=page.look.unicode), filled),
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


def _bar(row: runs.RunRow, total: int, width: int, *, unicode: bool) -> str:
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


def draw_groups(page: Page, groups: Groups) -> None:
    """Draw the groups of requests or runs, the dearest first."""
    draw_noted(page, tables.groups(groups, unit_of(groups, page.look.unit), _MAX_GROUPS))


def draw_runs(page: Page, audit: RunsAudit, section: Section = "all") -> None:
    """Draw a list of runs: what their time went into, why, and the newest, slowest or dearest."""
    unit = unit_of(audit, page.look.unit)
    page.prose(audit.sentence, style=STRONG)
    page.blank()
    if audit.budgets:
        draw_noted(page, tables.budgets(audit.budgets, unit))
        page.blank()
    if section == "why":
        _why(page, audit.why, unit)
        return
    if audit.groups is not None:
        draw_groups(page, audit.groups)
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
    _causes(page, audit.causes, unit)
    page.blank()
    page.prose(f"the {audit.order} {count(len(audit.entries), 'run')} of {audit.runs:,}", style=FAINT)
    draw_table(page, runs.listing(audit, unit))


def _causes(page: Page, causes: Sequence[RunCause], unit: DurationUnit) -> None:
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


def _why(page: Page, why: RunsWhy, unit: DurationUnit) -> None:
    page.prose(why.sentence, style=STRONG)
    page.prose(why.rule, style=FAINT)
    _causes(page, why.causes, unit)
    if why.unexplained:
        page.blank()
        page.prose(f"{count(why.unexplained, 'slow run')} in which nothing stands out", style=FAINT)
