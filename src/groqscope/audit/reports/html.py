"""Reports as one self-contained HTML file: no network, data, style and script inside.

What stands above the list is readable without a script; the list and the waterfalls are data that the script draws.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from groqscope.audit.formatting import UNKNOWN, DurationUnit, UnitName, capital, count, moment, share, summed, visible
from groqscope.audit.model import (
    AUDIT_VERSION,
    Audit,
    Comparison,
    Groups,
    ModelSummary,
    PromptCache,
    Provenance,
    RequestAudit,
    Verdict,
    Why,
)
from groqscope.audit.reports import palette, runs, tables
from groqscope.audit.reports.details import ending, model_of, record_id
from groqscope.audit.reports.html_data import LEGEND, detail_data, list_data
from groqscope.audit.reports.json import kind_of
from groqscope.audit.reports.rendering import Report, Section, unit_of
from groqscope.audit.reports.tables import Row, Table, phase_share
from groqscope.audit.reports.waterfall import GROUPS
from groqscope.audit.run_causes import RunCause
from groqscope.audit.runs import RunAudit, RunsAudit
from groqscope.runs import Run, Segment

_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")
_MODULES: Final = re.compile(r"^import .*;\n|^export (?=\w)", re.MULTILINE)
_MAX_TOOLS: Final = 20
_MAX_GROUPS: Final = 500
_MAX_MODELS: Final = 100
"""Models that an overview shows, those that took the most time: a service may name thousands."""
_ALWAYS: Final = 3
"""Columns of the totals that stand there even without a value."""
_NAMED: Final = 0.13
"""Share from which a segment has room for its name; on a narrow screen none has, and all stand below the bar."""


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | int | None) -> Markup:
    """Return an element; attributes in Python's spelling (`class_`, `aria_label`), those that are `None` left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(visible(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """Return markup and text one after the other; the text is escaped, its control characters made visible."""
    return Markup("".join(c if isinstance(c, Markup) else escape(visible(c)) for c in children))


def section(title: str, *children: str) -> Markup:
    """Return a titled box."""
    return tag("section", tag("h2", title), *children)


def table_markup(table: Table, *, left: int = 1) -> Markup:
    """Return a table with its notes; numbers, which are all columns after the first `left`, are aligned right."""
    if not table.rows:
        return Markup()
    heads = [
        tag("th", c.title, scope="col", class_="r" if i >= left and c.right else None) if c.title else tag("td")
        for i, c in enumerate(table.columns)
    ]
    lines: list[Markup] = []
    group = ""
    for row in table.rows:
        if row.group != group:
            group = row.group
            lines.append(tag("tr", tag("th", group, colspan=len(heads), scope="rowgroup"), class_="group"))
        lines.append(_line(row, table, left))
    notes = (tag("p", note, class_="faint small") for note in table.notes)
    return join(tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines)), *notes)


def _line(row: Row, table: Table, left: int) -> Markup:
    """Return a row; each figure knows its column's title, which a narrow screen writes beside it."""
    cells: list[Markup] = []
    for index, cell in enumerate(row.cells):
        column = table.columns[index]
        if index >= left:
            place = "r" if column.right else "words" if column.shrink else ""
        else:
            place = "indent" if row.group and not index else "name" if column.shrink else ""
        names = " ".join(name for name in (place, cell.tone) if name)
        title = column.title if index >= left else None
        cells.append(tag("td", cell.text, class_=names or None, data_label=title or None))
    return tag("tr", *cells, class_="sum" if row.total else None)


_HARMLESS: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def embedded(data: Any) -> Markup:
    """Return JSON for inside a `<script>` element: no `<` that could end it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for char, code in _HARMLESS.items():
        text = text.replace(char, code)
    return Markup(text)


class HtmlRenderer:
    """A page."""

    def __init__(self, *, unit: UnitName | None = None) -> None:
        """Take the unit of durations; `None`: the one that fits the largest."""
        self.unit: UnitName | None = unit

    def render(self, report: Report, section: Section = "all") -> str:  # noqa: ARG002 - one signature for all renderers
        """Return a page; it has all sections of an overview, whichever is requested."""
        unit = unit_of(report, self.unit)
        match report:
            case Audit():
                details = [detail_data(entry.record, entry.verdict, unit) for entry in report.entries]
                return _page(report, unit, "audit", _footer(report.provenance), details, _listed(report, unit))
            case Comparison():
                return _page(report, unit, "comparison", join(_footer(report.a, "A: "), _footer(report.b, "B: ")))
            case RunsAudit() | RunAudit():
                return _page(report, unit, kind_of(report), _footer(report.provenance))
            case RequestAudit():
                record, verdict, foot = report.record, report.verdict, _footer(report.provenance)
            case _:
                verdict = Verdict(sentence=ending(report) or f"{model_of(report)}: one request.")
                record, foot = report, Markup("<footer></footer>")
        return _page(report, unit, f"audit {record_id(record)}", foot, [detail_data(record, verdict, unit)])

    def fragment(self, report: Report | Groups, section: Section = "all") -> str:
        """Return what a page says above its list, without the page: for the live page."""
        if isinstance(report, Groups):
            return _grouped(report, unit_of(report, self.unit))
        return _summary(report, unit_of(report, self.unit), section)


def _summary(report: Report, unit: DurationUnit, section: Section = "all") -> Markup:
    match report:
        case Audit() if section == "why":
            why = report.why
            return Markup() if why is None else join(tag("h1", why.sentence), _why(why, unit, sentence=False))
        case Audit():
            return _overview_sections(report, unit)
        case Comparison():
            return _comparison_sections(report, unit)
        case RunsAudit():
            return _runs_sections(report, unit)
        case RunAudit():
            return _run_sections(report, unit)
        case _:
            return Markup()


def _listed(audit: Audit, unit: DurationUnit) -> dict[str, Any]:
    title = tables.listing(audit, unit)
    times = [entry.record.start_unix_ns for entry in audit.entries]
    return {
        **list_data(audit.entries, unit),
        "listed": capital(title),
        "span": f"{moment(min(times))} to {moment(max(times))}" if times else "",
    }


def _page(
    report: Report,
    unit: DurationUnit,
    title: str,
    foot: Markup,
    details: Sequence[dict[str, Any]] = (),
    listed: dict[str, Any] | None = None,
) -> str:
    data = {
        "schema_version": AUDIT_VERSION,
        "kind": "request" if kind_of(report) == "record" else kind_of(report),
        "unit": unit.label,
        "groups": GROUPS,
        "legend": LEGEND,
        **(listed or {"requests": []}),
    }
    parts = {
        "title": join(f"groqscope {title}"),
        "kind": join(title),
        "style": style_sheet(),
        "script": _without_modules(drawing_script() + _template("report.js")),
        "summary": _summary(report, unit),
        "footer": foot,
        "data": embedded(data),
        "details": Markup("\n".join(map(embedded, details))),
    }
    # One pass: what a part contains is never taken for a place to fill.
    return _PLACE.sub(lambda place: parts[place[1]], _template("report.html"))


def style_sheet() -> str:
    """Return the style sheet of the report, which the live page has too."""
    return palette.css() + _template("report.css")


def drawing_script() -> str:
    """Return the module that draws a request, which the live page has too."""
    return _template("drawing.js")


def _without_modules(script: str) -> str:
    """Return modules one after the other as one script."""
    return _MODULES.sub("", script)


@cache
def _template(name: str) -> str:
    return (files("groqscope.audit.reports") / "templates" / name).read_text(encoding="utf-8")


def _overview_sections(audit: Audit, unit: DurationUnit) -> Markup:
    parts = [tag("h1", audit.sentence), _budgets(audit, unit), _groups(audit, unit)]
    if audit.total.requests:
        more, left = len(audit.models) - _MAX_MODELS, list[Markup]()
        if more > 0:
            left.append(tag("p", f"{count(more, 'more model')}, which took less time; JSON has all", class_="faint"))
            cache = None if audit.cache is None else replace(audit.cache, models=audit.cache.models[:_MAX_MODELS])
            audit = replace(audit, models=audit.models[:_MAX_MODELS], cache=cache)
        parts.append(section("Where the time went", *map(_stack, audit.models), *left))
        totals = tables.totals(audit)
        said = totals.only(lambda index, _: index < _ALWAYS or not _empty(totals, index))
        parts.append(section("Requests, tokens, cost", table_markup(said)))
        if audit.cache is not None and audit.cache.worth_showing:
            parts.append(_cache(audit.cache, unit))
        beside: list[Markup] = []
        if audit.why is not None:
            beside.append(section("Why slow requests were slow", _why(audit.why, unit)))
        if audit.tools:
            beside.append(_titled(tables.tools(audit, unit, _MAX_TOOLS)))
        columns = [tag("div", *boxes) for boxes in ([_titled(tables.quantiles(audit, unit))], beside) if boxes]
        parts.append(tag("div", *columns, class_="pair"))
    return join(*parts)


def _budgets(audit: Audit | RunsAudit, unit: DurationUnit) -> Markup:
    table = table_markup(tables.budgets(audit.budgets, unit), left=2)
    return section("Budgets", table) if audit.budgets else Markup()


def _groups(audit: Audit | RunsAudit, unit: DurationUnit) -> Markup:
    return Markup() if audit.groups is None else _grouped(audit.groups, unit)


def _grouped(groups: Groups, unit: DurationUnit) -> Markup:
    return _titled(tables.groups(groups, unit, _MAX_GROUPS), left=len(tables.group_names(groups)))


def _cache(cache: PromptCache, unit: DurationUnit) -> Markup:
    models, misses = tables.prompt_cache(cache, unit), tables.cache_misses(cache, unit)
    why = [table_markup(misses, left=2)] if misses.rows else []
    return section("Groq's prompt cache", tag("p", cache.sentence), table_markup(models), *why)


def _empty(table: Table, index: int) -> bool:
    return all(row.cells[index].text in ("0", UNKNOWN) for row in table.rows)


def _titled(table: Table, left: int = 1) -> Markup:
    return section(table.title.capitalize(), table_markup(table, left=left))


def _boxes(shares: Iterable[tuple[str, str, float]]) -> list[Markup]:
    """Return the boxes of a stacked bar: of each part its class, its text, and its share."""
    boxes: list[Markup] = []
    at = 0.0
    for colour, text, part in shares:
        name = tag("text", text, x="50%", y="17") if part >= _NAMED else ""
        box = tag("rect", width="100%", height="100%")
        boxes.append(tag("svg", tag("title", text), box, name, x=_percent(at), width=_percent(part), class_=colour))
        at += part
    return boxes


def _stack(model: ModelSummary) -> Markup:
    shown, small = tables.shown_and_small(model.phases)
    shares = [(f"phase-{phase.name}", phase_share(phase.name, phase.share), phase.share) for phase in shown]
    unnamed = [text for _, text, part in shares if part < _NAMED]
    words = filter(None, (f"also {', '.join(unnamed)}" if unnamed else "", small))
    every = filter(None, (", ".join(text for _, text, _ in shares), small))
    label = ", ".join(phase_share(phase.name, phase.share) for phase in model.phases)
    name = model.model or tables.MODEL_UNKNOWN
    return tag(
        "div",
        tag("span", name, class_="name", title=name),
        tag("svg", *_boxes(shares), class_="stack", role="img", aria_label=f"{name}: {label or 'no phases known'}"),
        tag("span", summed(model.duration.total), class_="r"),
        tag("p", "; ".join(words) or ("" if shown else "no phases: spans of another library"), class_="stack-note"),
        tag("p", "; ".join(every), class_="stack-note every", aria_hidden="true"),
        class_="stack-row",
    )


def _percent(share: float) -> str:
    """Return a length for an attribute of SVG: unlike a style, it needs no permission of a content security policy."""
    return f"{share * 100:.3f}%"


def _why(why: Why, unit: DurationUnit, *, sentence: bool = True) -> Markup:
    causes: list[Markup] = []
    for cause in why.causes:
        phase = palette.CAUSES.get(cause.code, cause.code)
        meter = tag("rect", class_=f"phase-{phase}", width=_percent(min(1.0, cause.share)), height="100%")
        causes.append(
            tag(
                "div",
                tag("span", share(cause.share, 1), class_="share"),
                tag("div", tag("strong", cause.title), f", {unit.full(cause.ns)}"),
                tag("svg", meter, class_="meter", aria_hidden="true"),
                tag("div", tables.cause_facts(cause, unit), class_="faint"),
                tag("div", cause.advice),
                class_="cause",
                data_cause=cause.code,
            )
        )
    rest = f"{count(why.unexplained, 'slow request')} in which nothing stands out"
    return join(
        tag("p", why.sentence) if sentence else "",
        tag("p", why.rule, class_="faint small"),
        tag("div", *causes, class_="causes"),
        tag("p", rest, class_="faint") if why.unexplained else "",
    )


def _runs_sections(audit: RunsAudit, unit: DurationUnit) -> Markup:
    parts = [tag("h1", audit.sentence), _budgets(audit, unit), _groups(audit, unit)]
    parts.append(section("Where the time went", _went(audit, unit)))
    parts.append(tag("div", *_run_causes(audit.causes, unit), class_="causes"))
    why = audit.why
    if why.slow:
        slow = tag("div", *_run_causes(why.causes, unit), class_="causes")
        parts.append(
            section("Why slow runs were slow", tag("p", why.sentence), tag("p", why.rule, class_="faint small"), slow)
        )
    parts.append(section(f"The {audit.order} runs", table_markup(runs.listing(audit, unit), left=2)))
    return join(*parts)


def _run_causes(causes: Sequence[RunCause], unit: DurationUnit) -> list[Markup]:
    return [
        tag(
            "div",
            tag("span", share(cause.share, 1), class_="share"),
            tag("div", tag("strong", cause.title), f", {count(cause.runs, 'run')}, {unit.full(cause.lost_ns)}"),
            tag("div", cause.advice, class_="faint"),
            class_="cause",
        )
        for cause in causes
    ]


def _went(audit: RunsAudit, unit: DurationUnit) -> Markup:
    shares = [(f"part-{kind.kind}", f"{kind.kind} {share(kind.share, 1)}", kind.share) for kind in audit.kinds]
    said = ", ".join(text for _, text, _ in shares)
    unnamed = ", ".join(text for _, text, part in shares if part < _NAMED)
    return tag(
        "div",
        tag("span", "all runs", class_="name"),
        tag("svg", *_boxes(shares), class_="stack", role="img", aria_label=f"all runs: {said}"),
        tag("span", unit.full(sum(kind.ns for kind in audit.kinds)), class_="r"),
        tag("p", f"also {unnamed}" if unnamed else "", class_="stack-note"),
        tag("p", said, class_="stack-note every"),
        class_="stack-row",
    )


_RUN_LEGEND: Final = (
    "In colour: what the run waited for at that moment (the critical path), a request in the colours of its phases. "
    "Pale: what went on meanwhile, or around it. A request opens into its phases."
)


def _run_sections(audit: RunAudit, unit: DurationUnit) -> Markup:
    entry, run = audit.entry, audit.entry.run
    reasons = [tag("p", tag("strong", capital(reason.sentence)), f". {reason.advice}") for reason in entry.reasons]
    known = [join(tag("dt", label), tag("dd", value)) for label, value in runs.facts(run)]
    ticks = [tag("span", unit.text(run.duration_ns * step // 4) if step else "0") for step in range(5)]
    own = runs.own_segments(run)
    ruler = tag("div", tag("span", unit.label, class_="name"), tag("span", *ticks, class_="ticks"), tag("span"))
    return join(
        tag("h1", f"{run.name}: {entry.sentence}"),
        *reasons,
        section(
            "Waterfall",
            tag("div", ruler, class_="run-row faint small", aria_hidden="true"),
            *(
                _run_row(row, own.get(span.span_id, ()), run, unit)
                for row, span in zip(runs.run_rows(run), run.spans, strict=True)
            ),
            tag("p", _RUN_LEGEND, class_="faint small"),
        ),
        section("Where the time went", _parts(audit, unit)),
        section("Run", tag("dl", *known, class_="run-facts")),
    )


def _parts(audit: RunAudit, unit: DurationUnit) -> Markup:
    """Return the parts of a run as the terminal has them, below their kinds, each with a bar of its share."""
    run, table = audit.entry.run, runs.parts(audit.entry.run, unit)
    lines: list[Markup] = []
    kind = ""
    for part, row in zip(run.parts, table.rows, strict=True):
        if part.kind != kind:
            kind = part.kind
            whole = sum(one.duration_ns for one in run.parts if one.kind == kind)
            head = (tag("th", kind, scope="rowgroup"), tag("td"))
            sums = (tag("td", text, class_="r") for text in (unit.text(whole), share(whole, run.duration_ns), ""))
            lines.append(tag("tr", *head, *sums, class_="group"))
        width = _percent(part.duration_ns / run.duration_ns if run.duration_ns else 0.0)
        colour = f"phase-{part.name}" if part.kind == "model" else f"part-{part.kind}"
        lane = tag("svg", tag("rect", class_=colour, width=width, height="100%"), class_="lane", aria_hidden="true")
        _, name, *figures = row.cells
        titles = [column.title for column in table.columns[2:]]
        numbers = (
            tag("td", cell.text, class_=f"r {cell.tone}".strip(), data_label=title)
            for cell, title in zip(figures, titles, strict=True)
        )
        lines.append(tag("tr", tag("td", name.text, class_="indent"), tag("td", lane, class_="wide"), *numbers))
    heads = (tag("th", column.title, scope="col", class_="r") for column in table.columns[2:])
    notes = (tag("p", note, class_="faint small") for note in table.notes)
    body = tag("table", tag("thead", tag("tr", tag("td"), tag("td"), *heads)), tag("tbody", *lines), class_="parts")
    return join(body, *notes)


def _run_row(row: runs.RunRow, own: Sequence[Segment], run: Run, unit: DurationUnit) -> Markup:
    total = run.duration_ns

    def stretch(start: int, length: int, name: str) -> Markup:
        left, width = (value / total if total else 0.0 for value in (start, length))
        return tag("rect", class_=name, x=_percent(left), width=_percent(max(width, 0.0015)), height="100%")

    bars = [stretch(row.start_ns, row.length_ns, "beside")]
    for segment in own:
        colour = f"phase-{segment.name}" if segment.kind == "model" else f"part-{segment.kind}"
        bars.append(stretch(segment.start_ns - run.start_unix_ns, segment.length_ns, colour))
    words = "; ".join(text for text in (runs.phase_words(row, unit), row.note) if text)
    label = f"{row.name}: {unit.full(row.length_ns)}, of which the run waited {unit.full(row.waited_ns)}"
    line = (
        tag("span", *[tag("i", class_="deeper")] * row.depth, row.name, class_="name", title=row.name),
        tag("svg", *bars, class_="lane", role="img", aria_label=label),
        tag("span", unit.text(row.length_ns), class_="r bad" if row.failed else "r"),
    )
    if not words:
        return tag("div", tag("div", *line), class_="run-row")
    more = tag("p", words, class_="faint small", data_id=row.id)
    return tag("div", tag("details", tag("summary", *line), more), class_="run-row")


def _comparison_sections(comparison: Comparison, unit: DurationUnit) -> Markup:
    parts = [tag("h1", comparison.sentence)]
    parts += [section(table.title, table_markup(table, left=2)) for table in tables.changes(comparison, unit)]
    parts += [tag("p", models) for models in tables.one_sided(comparison)]
    return join(*parts, tag("p", comparison.method, class_="faint"))


def _footer(provenance: Provenance, label: str = "") -> Markup:
    warnings = [tag("p", f"warning: {warning}", class_="bad") for warning in provenance.warnings]
    words = tables.provenance_words(provenance)
    return tag("footer", *warnings, *(tag("span", text if i else f"{label}{text}") for i, text in enumerate(words)))
