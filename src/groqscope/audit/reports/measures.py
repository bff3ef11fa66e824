"""Measured values of any kind as text."""

from collections.abc import Callable, Sequence
from typing import Final

from groqscope.audit.formatting import UNKNOWN, Unit, money, rate, size
from groqscope.audit.model import BudgetResult, Distribution
from groqscope.audit.model import Unit as Measure

_ORDER: Final = {"over": 0, "cannot tell": 1, "ok": 2, "measured": 3}


def ordered(budgets: Sequence[BudgetResult]) -> list[BudgetResult]:
    """Sort budgets: those over first."""
    return sorted(budgets, key=lambda result: _ORDER[result.verdict])


def quantiles_of(values: Distribution, unit: Unit) -> list[str]:
    """Write p50, p90, p95, p99 and the largest without their unit."""
    quantiles = (values.p50, values.p90, values.p95, values.p99, values.max)
    return [rate(value) if values.unit == "tokens/s" else unit.text(value) for value in quantiles]


def measure(value: float | None, kind: Measure, unit: Unit) -> str:
    """Write a value of any kind with its unit."""
    if value is None:
        return UNKNOWN
    if kind == "ns":
        return unit.full(value)
    return _PLAIN.get(kind, _number)(value) + (f" {kind}" if kind in ("tokens", "tokens/s") else "")


def _percent(value: float) -> str:
    return f"{int(value * 10_000 + 1e-6) / 100:g}%"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e5 else f"{value:,.4g}"  # noqa: PLR2004 - no exponents


def _bytes(value: float) -> str:
    return size(round(value))


_PLAIN: Final[dict[str, Callable[[float], str]]] = {"share": _percent, "usd": money, "bytes": _bytes}
