"""All requests in the terminal: verdict, where the time went, quantiles, the requests, provenance."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from groqscope.audit._model import Audit, Distribution, Entry, ModelSummary, PhaseTotal
from groqscope.audit.reports._bars import share_style, split
from groqscope.audit.reports._budgets import budget_lines
from groqscope.audit.reports._facts import record_id
from groqscope.audit.reports._footer import provenance_lines
from groqscope.audit.reports._look import Look
from groqscope.audit.reports._page import BAD, FAINT, STRONG, Page, Piece, pad
from groqscope.audit.reports._table import Column, draw_table
from groqscope.audit.reports._text import UNKNOWN, Unit, count, moment, money, rate, share, visible
from groqscope.audit.reports._tools import tool_lines
from groqscope.audit.reports._units import overview_unit
from groqscope.audit.reports._waterfall import phase_label
from groqscope.audit.reports._why import why_lines

_FOLD: Final = 0.01
"""Phases below this share are folded into one, which says how much it holds."""
_MAX_MODELS: Final = 12
_ROOMY: Final = 132
"""Columns from which ids stand in full and times with their milliseconds."""
_SHORT_ID: Final = 12
_TENTH_NS: Final = 1e8


def overview_page(audit: Audit, look: Look) -> Page:
    """Show an overview."""
    page = Page(look)
    page.prose(audit.sentence, style=STRONG)
    unit = overview_unit(audit, look.unit)
    if audit.budgets:
        page.blank()
        budget_lines(page, audit.budgets, unit)
    if audit.total.requests:
        page.blank()
        _where(page, audit)
        _quantiles(page, audit, unit)
        page.blank()
        request_table(page, audit, unit)
        if audit.tools:
            page.blank()
            tool_lines(page, audit.tools[:_MAX_MODELS], unit)
        if audit.why is not None:
            page.blank()
            why_lines(page, audit.why, unit)
    provenance_lines(page, audit.provenance)
    return page


# -- the picture


def _where(page: Page, audit: Audit) -> None:
    """Draw the phases of each model as one stacked bar: names inside, colour by share."""
    models = audit.models[:_MAX_MODELS]
    names = [page.clean(visible(model.model or "(model not known)"), max(12, page.look.width // 4)) for model in models]
    label = max(map(cell_len, names), default=0)
    totals = [_total(model) for model in models]
    figure = max(map(len, totals), default=0)
    width = max(10, page.look.width - label - figure - 6)
    title = "where the time went"
    page.add(
        (pad(title, label + 2), FAINT),
        (_scale(width, max(0, len(title) - label - 1)), FAINT),
        (pad("total", figure + 4, right=True), FAINT),
    )
    for name, model, total in zip(names, models, totals, strict=True):
        bar, folded = _stack(model.phases, width, unicode=page.look.unicode, colour=page.look.colour)
        if not model.phases:
            bar, folded = [(pad("no phases: spans of another library", width)[:width], FAINT)], ""
        page.add(pad(name, label + 2), *bar, (" | ", FAINT), pad(total, figure, right=True))
        if folded:
            page.prose(folded, indent=label + 2, label=" " * (label + 2), style=FAINT)
    if len(audit.models) > _MAX_MODELS:
        page.add((f"and {count(len(audit.models) - _MAX_MODELS, 'model')} more", FAINT))


def _total(model: ModelSummary) -> str:
    total = model.duration.total
    return f"{total / 1e9:,.1f} s" if total >= _TENTH_NS else f"{total / 1e6:,.1f} ms"


def _scale(width: int, skip: int) -> str:
    line = [" "] * width
    for percent in (0, 50, 100) if width < 48 else (0, 25, 50, 75, 100):  # noqa: PLR2004 - room for five figures
        text = f"{percent}%"
        at = min(width - len(text), max(0, round(width * percent / 100) - (len(text) // 2 if percent else 0)))
        line[at : at + len(text)] = text
    return "".join(line)[skip:]


def _stack(phases: Sequence[PhaseTotal], width: int, *, unicode: bool, colour: bool) -> tuple[list[Piece], str]:
    shown = [phase for phase in phases if phase.share >= _FOLD]
    folded = [phase for phase in phases if phase.share < _FOLD]
    cells = split([phase.share for phase in shown], width)
    pieces: list[Piece] = []
    unnamed: list[str] = []
    for phase, room in zip(shown, cells, strict=True):
        text = _segment(phase, room)
        if room and phase_label(phase.name) not in text:
            unnamed.append(f"{phase_label(phase.name)} {share(phase.share, 1)}")
        pieces.append(_filled(text, room, phase.share, unicode=unicode, colour=colour))
    pieces.append(" " * (width - sum(cells)))
    words = [f"also {', '.join(unnamed)}"] if unnamed else []
    if folded:
        words.append(f"under 1% each: {count(len(folded), 'phase')}, {share(sum(phase.share for phase in folded), 1)}")
    return pieces, "; ".join(words)


def _segment(phase: PhaseTotal, room: int) -> str:
    name = phase_label(phase.name)
    for text in (f"{name} {int(phase.share * 100)}%", name):
        if len(text) + 2 <= room:
            return text
    return ""


def _filled(text: str, room: int, part: float, *, unicode: bool, colour: bool) -> Piece:
    """Draw a segment: a block of colour, or, without colour, a box open to the left."""
    if not room:
        return ""
    if colour:
        style = share_style(part)
        ground = "white on bright_black" if style == "dim" else f"black on {style}"
        return (text.center(room - 1) + "▕" if unicode else text.center(room - 1) + "|", ground)
    line = "─" if unicode else "-"
    return (f" {text} " if text else "").center(room - 1, line) + ("┤" if unicode else "|")


# -- quantiles


def _quantiles(page: Page, audit: Audit, unit: Unit) -> None:
    models = list(audit.models[:_MAX_MODELS])
    columns = [
        Column(title=f"quantiles, {unit.label}", right=False, keep=9, shrink=16),
        Column(title="n", keep=8),
        *(
            Column(title=title, keep=keep)
            for title, keep in (("p50", 9), ("p90", 5), ("p95", 8), ("p99", 6), ("max", 7))
        ),
    ]
    refused = False
    for model in models:
        columns[0].cells.append((visible(model.model or "(model not known)"), STRONG))
        for column in columns[1:]:
            column.cells.append("")
        for name, values in (("first chunk", model.ttfc), ("total", model.duration), ("tokens/s", model.throughput)):
            if not values.n:
                continue
            columns[0].cells.append(f"  {name}")
            columns[1].cells.append((f"{values.n:,}", FAINT))
            for column, figure in zip(columns[2:], _figures(values, unit), strict=True):
                refused |= figure == UNKNOWN
                column.cells.append((figure, FAINT if figure == UNKNOWN else ""))
    page.blank()
    draw_table(page, columns)
    if refused:
        page.prose("-: too few requests for that quantile (p90 needs 10, p95 20, p99 100)", style=FAINT)
    page.blank()
    _totals(page, models if len(models) == 1 else [*models, audit.total])


def _figures(values: Distribution, unit: Unit) -> list[str]:
    quantiles = (values.p50, values.p90, values.p95, values.p99, values.max)
    return [rate(v) if values.unit == "tokens/s" else unit.text(v) for v in quantiles]


def _totals(page: Page, models: Sequence[ModelSummary]) -> None:
    columns = [
        Column(title="requests", right=False, keep=9, shrink=12),
        Column(title="n", keep=9),
        Column(title="failed", keep=8),
        Column(title="dropped", keep=6),
        Column(title="retries", keep=6),
        Column(title="tokens in", keep=7),
        Column(title="cached", keep=3),
        Column(title="tokens out", keep=7),
        Column(title="reasoning", keep=2),
        Column(title="tool calls", keep=4),
        Column(title="cost", keep=8),
    ]
    partial: list[str] = []
    for model in models:
        known = model.requests > model.usage_unknown
        cells: tuple[Piece, ...] = (
            visible(model.model or "(model not known)")
            if model is not models[-1] or len(models) == 1
            else ("all", STRONG),
            f"{model.requests:,}",
            (f"{model.errors:,}", BAD if model.errors else FAINT),
            _quiet(model.abandoned),
            _quiet(model.retries),
            f"{model.input_tokens:,}" if known else UNKNOWN,
            f"{model.cached_tokens:,}" if known else UNKNOWN,
            f"{model.output_tokens:,}" if known else UNKNOWN,
            f"{model.reasoning_tokens:,}" if known else UNKNOWN,
            _quiet(model.tool_calls),
            money(model.cost),
        )
        for column, cell in zip(columns, cells, strict=True):
            column.cells.append(cell)
    draw_table(page, columns)
    whole = models[-1]
    if whole.usage_unknown:
        partial.append(f"tokens without {count(whole.usage_unknown, 'request')} that brought no usage")
    if whole.cost_unknown:
        partial.append(f"cost without {count(whole.cost_unknown, 'request')} whose price is not known")
    if whole.error_types:
        partial.append(
            "failed: " + ", ".join(f"{visible(name, limit=40)} {number:,}" for name, number in whole.error_types[:5])
        )
    if partial:
        page.flow([(text, FAINT) for text in partial], gap="   ")


def _quiet(value: int) -> Piece:
    return (f"{value:,}", FAINT if not value else "")


# -- the requests


def request_table(page: Page, audit: Audit, unit: Unit) -> None:
    """List requests."""
    entries = audit.entries
    listed = audit.provenance.selection.listed
    by = f" by {audit.provenance.selection.by}" if listed == "slowest" else ""
    more = f", {audit.omitted:,} more not listed" if audit.omitted else ""
    days = {moment(entry.record.start_unix_ns)[:10] for entry in entries}
    day = f" on {next(iter(days))}" if len(days) == 1 else ""
    page.prose(f"{listed} requests{by}{day}, durations in {unit.label}{more}", style=FAINT)
    columns = [
        Column(title="time, UTC", right=False, keep=7),
        Column(title="model", right=False, keep=8, shrink=14),
        Column(title="outcome", right=False, keep=9, shrink=11),
        Column(title="total", keep=10),
        Column(title="first", keep=9),
        Column(title="in", keep=5),
        Column(title="out", keep=8),
        Column(title="tok/s", keep=6),
        Column(title="tools", keep=3),
        Column(title="retries", keep=4),
        Column(title="cost", keep=5),
        Column(title="id", right=False, keep=9),
    ]
    roomy = page.look.width >= _ROOMY
    ids = [record_id(entry.record) for entry in entries]
    for entry, name in zip(entries, ids if roomy else short_ids(ids), strict=True):
        cells = _request_cells(entry, unit, dated=len(days) > 1, roomy=roomy)
        for column, cell in zip(columns, (*cells, (name, FAINT)), strict=True):
            column.cells.append(cell)
    if entries:
        draw_table(page, columns)


def _request_cells(entry: Entry, unit: Unit, *, dated: bool, roomy: bool) -> tuple[Piece, ...]:
    record = entry.record
    when = moment(record.start_unix_ns)[5 if dated else 11 : -1 if roomy else -5]
    retries = record.retries
    calls = len(record.tool_calls) + record.tool_calls_dropped
    return (
        (when, FAINT),
        visible(record.model or record.response_model or UNKNOWN),
        outcome_piece(entry),
        (unit.text(record.duration_ns), STRONG if entry.verdict.slow else ""),
        unit.text(record.ttfc_ns),
        count(record.usage.input_tokens),
        count(record.usage.output_tokens),
        rate(record.output_token_throughput),
        _quiet(calls) if calls else ("", ""),
        _quiet(retries) if retries else ("", ""),
        money(record.cost),
    )


def outcome_piece(entry: Entry) -> Piece:
    """Name how a request ended; a failure by its reason, with a mark that needs no colour."""
    record = entry.record
    if record.outcome in ("error", "truncated"):
        return (f"! {visible(record.error_type or record.outcome, limit=40)}", BAD)
    return record.outcome or "unfinished"


def short_ids(ids: Sequence[str]) -> list[str]:
    """Cut ids to the start that tells them apart, which the command takes as well."""
    length = _SHORT_ID
    known = set(ids)
    while len({name[:length] for name in known}) < len(known):
        length += 1
    return [name[:length] for name in ids]
