"""A comparison as lines of text: the same in the terminal, on the page and in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from groqscope.audit.formatting import UNKNOWN, Unit
from groqscope.audit.model import Certainty, Comparison, ComparisonRow
from groqscope.audit.reports.waterfall import phase_label

_NAMES: Final = {
    "duration": "total",
    "ttfc": "first chunk",
    "ttft": "first token",
    "tpot": "time per token",
}
TITLES: Final = ("A", "B", "change", "interval", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """How one statistic of one measure changed."""

    measure: str
    statistic: str
    cells: tuple[str, str, str, str]
    """A, B, change, interval."""
    certainty: Certainty


def change_lines(comparison: Comparison, model: str | None, unit: Unit) -> tuple[list[ChangeLine], list[str]]:
    """Give the lines of one model, and what is to be said of those left out."""
    lines: list[ChangeLine] = []
    notes: dict[str, None] = {}
    for row in comparison.rows:
        if row.model != model:
            continue
        for name, change in (("median", row.median), ("p95", row.p95)):
            if change.ratio is None:
                note = change.note or "not known"
                notes[note if name in note else f"{name}: {note}"] = None
                continue
            known = change.low is not None and change.high is not None
            interval = f"{signed(change.low)} to {signed(change.high)}" if known else UNKNOWN
            cells = (unit.text(change.a), unit.text(change.b), signed(change.ratio), interval)
            lines.append(
                ChangeLine(measure=measure_name(row.measure), statistic=name, cells=cells, certainty=change.certainty)
            )
    return lines, list(notes)


def models_of(comparison: Comparison) -> list[str | None]:
    """Give the models compared, in order."""
    return list(dict.fromkeys(row.model for row in comparison.rows))


def sizes(comparison: Comparison, model: str | None) -> str:
    """Say how many requests of a model were compared."""
    rows: Sequence[ComparisonRow] = [row for row in comparison.rows if row.model == model]
    return f"n={max(row.n_a for row in rows):,} and {max(row.n_b for row in rows):,}"


def signed(ratio: float | None) -> str:
    """Write a ratio B / A as a change: `+12.3%`, or `3.4 times` when it is more than doubled."""
    if ratio is None:
        return UNKNOWN
    if ratio >= 2:  # noqa: PLR2004 - per cent beyond a doubling read badly
        return f"{ratio:.1f} times"
    return f"{(ratio - 1) * 100:+.1f}%"


def measure_name(name: str) -> str:
    """Name a measure for people."""
    return _NAMES.get(name) or phase_label(name.removeprefix("phase."))
