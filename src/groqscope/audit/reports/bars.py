"""Bars made of characters: eighth blocks, or ASCII."""

from collections.abc import Sequence
from typing import Final

from groqscope.audit.formatting import DurationUnit

_ENDS: Final = " ▏▎▍▌▋▊▉█"
_DENSITY: Final = " ▁▂▃▄▅▆▇█"
_DENSITY_ASCII: Final = " .:-=+*#%@"
_EIGHTHS: Final = 8


def bar(start: float, end: float, width: int, *, unicode: bool = True) -> tuple[int, str]:
    """Draw from `start` to `end`, fractions of `width` cells; return the cell it begins in and its characters.

    Whatever has a length gets at least the thinnest mark; 3 ms and 5 ms differ where eighths of a cell can show it.
    """
    left = min(max(0.0, start), 1.0) * width
    right = min(max(start, end), 1.0) * width
    first = min(int(left), width - 1)
    eighths = round((right - left) * _EIGHTHS)
    if not unicode:
        return first, _ascii_bar(right, first)
    if right <= first + 1:
        return first, _ENDS[max(1, min(_EIGHTHS, eighths))]
    offset = (left - first) * _EIGHTHS
    head = "█" if offset < 3 else "▐" if offset < 6 else "▕"  # blocks that exist: whole, half, an eighth
    whole = int(right) - first - 1
    rest = round((right - int(right)) * _EIGHTHS)
    return first, head + "█" * whole + (_ENDS[rest] if rest else "")


def _ascii_bar(right: float, first: int) -> str:
    whole = int(right + 0.5) - first
    return "#" * whole if whole >= 1 else "|"


def tail(start: float, end: float, width: int, *, unicode: bool = True) -> str:
    """Draw what follows a bar: light cells from its end, none when shorter than half a cell."""
    cells = min(width, round(min(end, 1.0) * width)) - min(width, -int(-min(start, 1.0) * width // 1))
    return ("░" if unicode else ".") * max(0, cells)


def strip(counts: Sequence[int], *, unicode: bool = True) -> str:
    """Draw counts as heights; a count above 0 is always visible."""
    levels = _DENSITY if unicode else _DENSITY_ASCII
    top = max(counts, default=0)
    steps = len(levels) - 1
    return "".join(levels[0 if not value else max(1, round(value / top * steps))] for value in counts)


def split(shares: Sequence[float], width: int) -> list[int]:
    """Return how many cells of `width` each share gets, by largest remainder: all of them when the shares sum to 1."""
    exact = [max(0.0, share) * width for share in shares]
    cells = [int(value) for value in exact]
    missing = min(width, round(sum(exact))) - sum(cells)
    order = sorted(range(len(exact)), key=lambda i: (cells[i] - exact[i], i))
    for index in order[: max(0, missing)]:
        cells[index] += 1
    return cells


def ruler(total_ns: int, width: int, unit: DurationUnit) -> str:
    """Write ticks at equal distances, the last one being the total, right at the edge."""
    widest = max(3, len(unit.text(total_ns)))
    steps = 4 if width >= 5 * (widest + 4) else 2 if width >= 3 * (widest + 2) else 1
    line = [" "] * width
    for step in range(steps + 1):
        text = unit.text(total_ns * step / steps) if step else "0"
        left = len(text) if step == steps else len(text) // 2 if step else 0
        at = max(0, min(width - len(text), round(width * step / steps) - left))
        line[at : at + len(text)] = text
    return "".join(line)[:width]
