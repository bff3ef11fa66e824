"""The lengths of a waterfall as text, rounded so that what a reader adds up comes out right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from groqscope.audit.formatting import Unit
from groqscope.audit.reports.waterfall import Waterfall

_ROBUST: Final = 10
"""How many times the rounding a length has to be, to take it without showing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A row's length and those of its parts."""

    text: str
    parts: tuple[str, ...] = ()


def figures(fall: Waterfall, unit: Unit) -> tuple[Figure, ...]:
    """Write the length of every row: the client's add up to the total as written, parts to their row as written."""
    client = [row.length_ns or 0 for row in fall.group("client")]
    steps = iter(fitted([unit.steps(length) for length in client], unit.steps(fall.total_ns)))
    written: list[Figure] = []
    for row in fall.rows:
        if row.group != "client" or row.length_ns is None:
            written.append(Figure(unit.text(row.length_ns)))
            continue
        mine = next(steps)
        # `network` is a rest already, so it takes the rounding; what Groq reports is then written the same everywhere.
        rest = next((i for i, part in enumerate(row.parts) if part.name == "network"), None)
        parts = fitted([unit.steps(part.ns) for part in row.parts], mine, rest)
        texts = (unit.stepped(step, part.ns) for step, part in zip(parts, row.parts, strict=True))
        written.append(Figure(unit.stepped(mine, row.length_ns), tuple(texts)))
    return tuple(written)


def fitted(steps: Sequence[int], total: int, rest: int | None = None) -> list[int]:
    """Make rounded lengths sum to their rounded total: `rest`, else the largest, takes what rounding left over.

    Lengths that are off by more than rounding explains are left as they are.
    """
    found = list(steps)
    left = total - sum(found)
    if not found or abs(left) > len(found):
        return found
    if rest is None or found[rest] < _ROBUST * abs(left):
        rest = max(range(len(found)), key=found.__getitem__)
    found[rest] += left
    return found
