"""Tables of text that fit: the least important columns go first, and the reader is told which."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len

from groqscope.audit.reports.page import FAINT, Page, Piece, pad

_GAP: Final = "  "


@dataclass(slots=True, kw_only=True)
class Column:
    """One column."""

    title: str
    right: bool = True
    keep: int = 5
    """How important it is: columns with the smallest number are left out first."""
    shrink: int = 0
    """Cells to which it may be cut before any column is left out; 0: never cut."""
    floor: int = 0
    """Cells it takes at least, so that several tables line up."""
    cells: list[Piece] = field(default_factory=list["Piece"])


def draw_table(page: Page, columns: Sequence[Column]) -> None:
    """Draw columns of equally many cells; one in which nothing stands is left out without a word."""
    columns = [column for column in columns if any(map(_text, column.cells))] or list(columns[:1])
    left_out: list[str] = []
    widths = [_width(page, column) for column in columns]
    while (excess := sum(widths) + len(_GAP) * (len(widths) - 1) - page.look.width) > 0:
        if _shrink(columns, widths, excess):
            continue
        if len(columns) == 1:
            break
        drop = min(range(len(columns)), key=lambda i: (columns[i].keep, -i))
        left_out.append(columns.pop(drop).title)
        widths = [_width(page, column) for column in columns]
    rows = len(columns[0].cells)
    page.add(
        *(
            (pad(page.clean(column.title, width), width, right=column.right) + _GAP, FAINT)
            for column, width in zip(columns, widths, strict=True)
        )
    )
    for row in range(rows):
        pieces: list[Piece] = []
        for column, width in zip(columns, widths, strict=True):
            cell = column.cells[row]
            style = cell[1] if isinstance(cell, tuple) else ""
            pieces.append((pad(page.clean(_text(cell), width), width, right=column.right), style))
            pieces.append(_GAP)
        page.add(*pieces)
    if left_out and rows:
        page.prose(f"too narrow for: {', '.join(reversed(left_out))}", style=FAINT)


def _width(page: Page, column: Column) -> int:
    return max(
        cell_len(column.title), column.floor, *(cell_len(page.clean(text)) for text in map(_text, column.cells)), 1
    )


def _shrink(columns: Sequence[Column], widths: list[int], excess: int) -> bool:
    """Cut the widest column that may be cut; tell whether one was."""
    free = [
        (widths[i] - column.shrink, i)
        for i, column in enumerate(columns)
        if column.shrink and widths[i] > column.shrink
    ]
    if not free:
        return False
    room, index = max(free)
    widths[index] -= min(room, excess)
    return True


def _text(cell: Piece) -> str:
    return cell[0] if isinstance(cell, tuple) else cell
