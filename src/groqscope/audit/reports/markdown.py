"""Reports as Markdown for a pull request: the verdict open, the rest folded away."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from groqscope.audit.formatting import DurationUnit, UnitName, capital, visible
from groqscope.audit.model import Audit, Comparison, Provenance, RequestAudit
from groqscope.audit.reports import runs, tables
from groqscope.audit.reports.details import ending
from groqscope.audit.reports.rendering import Look, Report, Section, unit_of
from groqscope.audit.reports.tables import Cell, Table
from groqscope.audit.reports.terminal import TerminalRenderer
from groqscope.audit.runs import RunAudit, RunsAudit
from groqscope.timeline import RequestRecord

_WIDTH: Final = 100
_MAX_GROUPS: Final = 40
_ICONS: Final = {"FAIL": "❌ ", "ok": "✅ ", "slower": "🔺 ", "faster": "🔽 ", "more": "🔺 ", "less": "🔽 "}
_LISTED: Final = ("time, UTC", "model", "outcome", "total", "first chunk", "out", "cost", "id")
"""The columns of the list that are worth their room in a pull request."""
_SPECIAL: Final = str.maketrans(
    {char: f"\\{char}" for char in "\\`*_[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"}
)


class MarkdownRenderer:
    """GitHub's Markdown."""

    def __init__(self, *, unit: UnitName | None = None) -> None:
        """Take the unit of durations; `None`: the one that fits the largest."""
        self.unit: UnitName | None = unit

    def render(self, report: Report, section: Section = "all") -> str:
        """Return a report, or one section of an overview."""
        unit = unit_of(report, self.unit)
        match report:
            case Audit():
                blocks = _overview(report, unit, section)
            case Comparison():
                blocks = _comparison(report, unit)
            case RunsAudit():
                blocks = _runs(report, unit, unit_of(report.groups or report, self.unit))
            case RunAudit():
                blocks = self._run(report, unit)
            case RequestAudit():
                blocks = self._request(report.record, report.verdict.sentence, report.provenance)
            case _:
                blocks = self._request(report, ending(report), None)
        return "\n\n".join(block for block in blocks if block) + "\n"

    def _run(self, audit: RunAudit, unit: DurationUnit) -> Iterator[str]:
        yield f"**{literal(audit.entry.run.name)}: {literal(audit.entry.sentence)}**"
        for reason in audit.entry.reasons:
            yield f"- {literal(capital(reason.sentence))}. {literal(reason.advice)}"
        yield folded("Waterfall", self._drawn(audit))
        yield table(runs.parts(audit.entry.run, unit), left=2)
        yield _footer(audit.provenance)

    def _request(self, record: RequestRecord, sentence: str, provenance: Provenance | None) -> Iterator[str]:
        yield f"**{literal(sentence)}**" if sentence else ""
        yield self._drawn(record)
        if provenance is not None:
            yield _footer(provenance)

    def _drawn(self, report: Report) -> str:
        return fenced(TerminalRenderer(Look(width=_WIDTH, unit=self.unit)).render(report))


def literal(text: str) -> str:
    """Escape text so that Markdown shows it as it is and nobody is mentioned."""
    return visible(text).translate(_SPECIAL)


def fenced(text: str) -> str:
    """Put text into a code block that it cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text.rstrip()}\n{fence}"


def table(given: Table, *, left: int = 1, group: str = "") -> str:
    """Return a table with its notes; the first `left` columns are aligned left, the others right.

    A table whose rows have a group gets a column for it, titled `group`.
    """
    if not given.rows:
        return ""
    left += bool(group)
    titles = [*([group] if group else []), *(column.title for column in given.columns)]
    rule = ["---" if index < left else "---:" for index in range(len(titles))]
    rows = ([*([literal(row.group)] if group else []), *map(_cell, row.cells)] for row in given.rows)
    lines = ("| " + " | ".join(cells) + " |" for cells in (titles, rule, *rows))
    return "\n\n".join(("\n".join(lines), *map(literal, given.notes)))


def _cell(cell: Cell) -> str:
    text = literal(cell.text)
    return _ICONS.get(cell.text, "") + (f"**{text}**" if cell.tone in ("bad", "strong") else text)


def folded(title: str, text: str) -> str:
    """Fold a block away under its title."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>" if text else ""


def _overview(audit: Audit, unit: DurationUnit, section: Section) -> Iterator[str]:
    whole = section == "all"
    if whole:
        yield f"**{literal(audit.sentence)}**"
    if section in ("all", "budgets"):
        yield table(tables.budgets(audit.budgets, unit), left=2)
    if section in ("all", "groups") and audit.groups is not None:
        yield table(tables.groups(audit.groups, unit, _MAX_GROUPS))
    if whole:
        yield table(tables.models(audit, unit))
        yield _titled(tables.quantiles(audit, unit), group="model")
    if section in ("all", "why") and audit.why is not None:
        why = audit.why
        parts = (literal(why.sentence), table(tables.causes(why, unit), left=2), literal(why.rule))
        text = "\n\n".join(part for part in parts if part)
        yield folded("Why slow requests were slow", text) if whole else text
    if audit.cache is not None and (audit.cache.worth_showing if whole else section == "why" and audit.cache.misses):
        cache = audit.cache
        parts = (
            literal(cache.sentence),
            table(tables.prompt_cache(cache, unit)),
            table(tables.cache_misses(cache, unit), left=3),
        )
        text = "\n\n".join(part for part in parts if part)
        yield folded("Groq's prompt cache", text) if whole else text
    if section in ("all", "tools"):
        calls = tables.tools(audit, unit)
        yield _titled(calls) if whole else table(calls)
    if whole:
        chosen = tables.requests(audit.entries, unit).only(lambda _, column: column.title in _LISTED)
        text = table(chosen, left=3)
        more = f"\n\n{audit.omitted:,} more are not listed." if audit.omitted else ""
        listed = audit.provenance.selection.listed.capitalize()
        yield folded(f"{listed} requests, {unit.label}", f"{text}{more}" if text else more.strip())
    yield _footer(audit.provenance)


def _runs(audit: RunsAudit, unit: DurationUnit, unit_of_groups: DurationUnit) -> Iterator[str]:
    yield f"**{literal(audit.sentence)}**"
    yield table(tables.budgets(audit.budgets, unit), left=2)
    if audit.groups is not None:
        yield table(tables.groups(audit.groups, unit_of_groups, _MAX_GROUPS))
    slow = f"{literal(audit.why.sentence)}\n\n{table(runs.causes(audit.why.causes, unit))}"
    yield folded("Why slow runs were slow", slow)
    yield table(runs.listing(audit, unit), left=2)
    yield f"{audit.omitted:,} more are not listed." if audit.omitted else ""
    yield _footer(audit.provenance)


def _titled(given: Table, *, group: str = "") -> str:
    return folded(given.title.capitalize(), table(given, group=group))


def _comparison(comparison: Comparison, unit: DurationUnit) -> Iterator[str]:
    yield f"**{literal(comparison.sentence)}**"
    for given in tables.changes(comparison, unit):
        sizes, *notes = given.notes
        yield f"**{literal(given.title)}**, {sizes}"
        yield table(replace(given, notes=()), left=2)
        yield literal("; ".join(notes))
    yield from map(literal, tables.one_sided(comparison))
    yield literal(comparison.method)
    for name, provenance in (("A", comparison.a), ("B", comparison.b)):
        yield f"{name}: {_footer(provenance)}"


def _footer(provenance: Provenance) -> str:
    warnings = "".join(f"⚠️ {literal(warning)}<br>\n" for warning in provenance.warnings)
    return f"{warnings}<sub>{literal(' · '.join(tables.provenance_words(provenance)))}</sub>"
