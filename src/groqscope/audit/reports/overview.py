"""All requests in the terminal: verdict, where the time went, quantiles, the requests, provenance."""

from collections.abc import Sequence
from typing import Final

from groqscope.audit.formatting import UNKNOWN, Unit, count, money, visible
from groqscope.audit.model import Audit, ModelSummary
from groqscope.audit.reports.budgets import budget_lines
from groqscope.audit.reports.footer import provenance_lines
from groqscope.audit.reports.listing import request_table
from groqscope.audit.reports.look import Look
from groqscope.audit.reports.measures import quantiles_of
from groqscope.audit.reports.page import BAD, FAINT, STRONG, Page, Piece
from groqscope.audit.reports.phases import MAX_MODELS, phase_lines
from groqscope.audit.reports.table import Column, draw_table
from groqscope.audit.reports.tools import tool_lines
from groqscope.audit.reports.units import overview_unit
from groqscope.audit.reports.why import why_lines

_MAX_TOOLS: Final = 12


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
        phase_lines(page, audit.models)
        _quantiles(page, audit, unit)
        page.blank()
        request_table(page, audit, unit)
        if audit.tools:
            page.blank()
            tool_lines(page, audit.tools[:_MAX_TOOLS], unit)
        if audit.why is not None:
            page.blank()
            why_lines(page, audit.why, unit)
    provenance_lines(page, audit.provenance)
    return page


def _quantiles(page: Page, audit: Audit, unit: Unit) -> None:
    models = list(audit.models[:MAX_MODELS])
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
            for column, figure in zip(columns[2:], quantiles_of(values, unit), strict=True):
                refused |= figure == UNKNOWN
                column.cells.append((figure, FAINT if figure == UNKNOWN else ""))
    page.blank()
    draw_table(page, columns)
    if refused:
        page.prose("-: too few requests for that quantile (p90 needs 10, p95 20, p99 100)", style=FAINT)
    page.blank()
    _totals(page, models if len(models) == 1 else [*models, audit.total])


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
