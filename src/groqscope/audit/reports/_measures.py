"""Measured values of any kind as text."""

from collections.abc import Callable, Sequence
from typing import Final

from groqscope.audit._model import BudgetResult
from groqscope.audit._model import Unit as Measure
from groqscope.audit.reports._text import UNKNOWN, Unit, money, size

_ORDER: Final = {"over": 0, "cannot tell": 1, "ok": 2}
_NAMES: Final = {
    "duration": "total",
    "ttfc": "first chunk",
    "ttft": "first token",
    "ttfot": "first answer",
    "tpot": "time per token",
    "phase.consume": "your code",
    "phase.pool_wait": "pool",
}


def ordered(budgets: Sequence[BudgetResult]) -> list[BudgetResult]:
    """Sort budgets: those over first."""
    return sorted(budgets, key=lambda result: _ORDER[result.verdict])


def measure(value: float | None, kind: Measure, unit: Unit) -> str:
    """Write a value of any kind with its unit."""
    if value is None:
        return UNKNOWN
    if kind in ("ns", "s"):
        return unit.full(value * 1e9 if kind == "s" else value)
    return _PLAIN.get(kind, _number)(value) + (f" {kind}" if kind in ("tokens", "tokens/s") else "")


def _percent(value: float) -> str:
    return f"{int(value * 10_000 + 1e-6) / 100:g}%"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e5 else f"{value:,.4g}"  # noqa: PLR2004 - no exponents


def _bytes(value: float) -> str:
    return size(round(value))


_PLAIN: Final[dict[str, Callable[[float], str]]] = {"share": _percent, "usd": money, "bytes": _bytes}


def signed(ratio: float | None) -> str:
    """Write a ratio B / A as a change: `+12.3%`, or `3.4 times` when it is more than doubled."""
    if ratio is None:
        return UNKNOWN
    if ratio >= 2:  # noqa: PLR2004 - per cent beyond a doubling read badly
        return f"{ratio:.1f} times"
    return f"{(ratio - 1) * 100:+.1f}%"


def measure_name(name: str) -> str:
    """Name a measure for people."""
    return _NAMES.get(name, name.removeprefix("phase."))
