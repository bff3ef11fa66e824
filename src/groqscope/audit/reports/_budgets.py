"""Budgets in the terminal: those over first, each with a mark beside its colour."""

from collections.abc import Callable, Sequence
from typing import Final

from groqscope.audit._model import BudgetResult
from groqscope.audit._model import Unit as Measure
from groqscope.audit.reports._page import BAD, FAINT, GOOD, STRONG, Page, Piece
from groqscope.audit.reports._table import Column, draw_table
from groqscope.audit.reports._text import UNKNOWN, Unit, money, size, visible

_ORDER: Final = {"over": 0, "cannot tell": 1, "ok": 2}
_MARKS: Final[dict[str, Piece]] = {"over": ("FAIL", BAD), "cannot tell": ("?", STRONG), "ok": ("ok", GOOD)}


def budget_lines(page: Page, budgets: Sequence[BudgetResult]) -> None:
    """List budgets with what was measured."""
    ordered = sorted(budgets, key=lambda result: _ORDER[result.verdict])
    times = [
        v
        for result in ordered
        if result.unit in ("ns", "s")
        for v in (_ns(result.measured, result.unit), _ns(result.limit, result.unit))
    ]
    unit = Unit.of(page.look.unit) if page.look.unit else Unit.fitting(times)
    columns = [
        Column(title="", right=False, keep=10),
        Column(title="budget", right=False, keep=9, shrink=14),
        Column(title="measured", keep=9),
        Column(title="limit", keep=9),
        Column(title="n", keep=8),
        Column(title="from", right=False, keep=2),
        Column(title="", right=False, keep=7, shrink=16),
    ]
    for result in ordered:
        cells: tuple[Piece, ...] = (
            _MARKS[result.verdict] if result.limit is not None else "",
            visible(result.expression, limit=80),
            measure(result.measured, result.unit, unit),
            f"{result.operator} {measure(result.limit, result.unit, unit)}" if result.limit is not None else "",
            (f"{result.n:,}", FAINT),
            (visible(result.source, limit=40), FAINT),
            (visible(result.note, limit=200), FAINT),
        )
        for column, cell in zip(columns, cells, strict=True):
            column.cells.append(cell)
    if not any(result.note for result in ordered):
        del columns[-1]
    draw_table(page, columns)


def measure(value: float | None, kind: Measure, unit: Unit) -> str:
    """Write a value of any kind with its unit."""
    if value is None:
        return UNKNOWN
    if kind in ("ns", "s"):
        return unit.full(_ns(value, kind))
    return _PLAIN.get(kind, _number)(value) + (f" {kind}" if kind in ("tokens", "tokens/s") else "")


def _percent(value: float) -> str:
    return f"{int(value * 10_000 + 1e-6) / 100:g}%"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e5 else f"{value:,.6g}"  # noqa: PLR2004 - no exponents


def _bytes(value: float) -> str:
    return size(round(value))


_PLAIN: Final[dict[str, Callable[[float], str]]] = {"share": _percent, "usd": money, "bytes": _bytes}


def _ns(value: float | None, kind: Measure) -> float | None:
    return None if value is None else value * 1e9 if kind == "s" else value
