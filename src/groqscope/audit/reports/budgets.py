"""Budgets in the terminal: those over first, each with a mark beside its colour."""

from collections.abc import Sequence
from typing import Final

from groqscope.audit.formatting import Unit, visible
from groqscope.audit.model import BudgetResult
from groqscope.audit.reports.measures import measure, ordered
from groqscope.audit.reports.page import BAD, FAINT, GOOD, STRONG, Page, Piece
from groqscope.audit.reports.table import Column, draw_table

_MARKS: Final[dict[str, Piece]] = {"over": ("FAIL", BAD), "cannot tell": ("?", STRONG), "ok": ("ok", GOOD)}


def budget_lines(page: Page, budgets: Sequence[BudgetResult], unit: Unit) -> None:
    """List budgets with what was measured."""
    columns = [
        Column(title="", right=False, keep=10),
        Column(title="budget", right=False, keep=9, shrink=14),
        Column(title="measured", keep=9),
        Column(title="limit", keep=9),
        Column(title="n", keep=8),
        Column(title="from", right=False, keep=2),
    ]
    for result in ordered(budgets):
        cells: tuple[Piece, ...] = (
            _MARKS[result.verdict] if result.limit is not None else "",
            visible(result.expression, limit=80),
            measure(result.measured, result.unit, unit),
            f"{result.operator} {measure(result.limit, result.unit, unit)}" if result.limit is not None else "",
            (f"{result.n:,}", FAINT),
            (visible(result.source, limit=40), FAINT),
        )
        for column, cell in zip(columns, cells, strict=True):
            column.cells.append(cell)
    draw_table(page, columns)
    for result in ordered(budgets):
        if result.note:
            page.prose(f"{visible(result.expression, limit=80)}: {result.note}", style=FAINT)
