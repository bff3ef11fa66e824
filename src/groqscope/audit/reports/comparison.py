"""Two sets of requests side by side in the terminal: what got slower, what faster, and what nobody can tell."""

from typing import Final

from rich.cells import cell_len

from groqscope.audit.formatting import Unit, visible
from groqscope.audit.model import Comparison, Provenance
from groqscope.audit.reports.changes import TITLES, ChangeLine, change_lines, models_of, sizes
from groqscope.audit.reports.look import Look
from groqscope.audit.reports.page import BAD, FAINT, GOOD, STRONG, Page, Piece
from groqscope.audit.reports.provenance import provenance_words
from groqscope.audit.reports.table import Column, draw_table
from groqscope.audit.reports.units import comparison_unit

_KEEP: Final = (10, 9, 6, 5, 8, 2, 10)
"""How important each column is."""
_LAST: Final = 6
_STYLES: Final = {"slower": BAD, "faster": GOOD, "cannot tell": FAINT}


def comparison_page(comparison: Comparison, look: Look) -> Page:
    """Show a comparison."""
    page = Page(look)
    page.prose(comparison.sentence, style=STRONG)
    unit = comparison_unit(comparison, look.unit)
    found = {model: change_lines(comparison, model, unit) for model in models_of(comparison)}
    rows = [_texts(line) for lines, _ in found.values() for line in lines]
    floors = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for model, (lines, notes) in found.items():
        page.blank()
        page.flow([(visible(model or "(model not known)"), STRONG), (sizes(comparison, model), FAINT)])
        if lines:
            _table(page, lines, unit, floors)
        for note in notes:
            page.prose(note, style=FAINT)
    for name, models in (("A", comparison.only_a), ("B", comparison.only_b)):
        if models:
            page.blank()
            page.prose(f"only in {name}: {', '.join(visible(model) for model in models)}")
    page.blank()
    page.prose(comparison.method, style=FAINT)
    for name, provenance in (("A", comparison.a), ("B", comparison.b)):
        _side(page, name, provenance)
    return page


def _texts(line: ChangeLine) -> list[str]:
    return [line.measure, line.statistic, *line.cells, line.certainty]


def _table(page: Page, lines: list[ChangeLine], unit: Unit, floors: list[int]) -> None:
    titles = [unit.label, "", *TITLES]
    columns = [
        Column(title=title, right=1 < index < _LAST, keep=keep, shrink=10 if not index else 0, floor=floors[index])
        for index, (title, keep) in enumerate(zip(titles, _KEEP, strict=True))
    ]
    previous = ""
    for line in lines:
        cells: list[Piece] = [*_texts(line)]
        cells[0] = "" if line.measure == previous else line.measure
        cells[_LAST] = (line.certainty, _STYLES[line.certainty])
        previous = line.measure
        for column, cell in zip(columns, cells, strict=True):
            column.cells.append(cell)
    draw_table(page, columns)


def _side(page: Page, name: str, provenance: Provenance) -> None:
    for warning in provenance.warnings:
        page.prose(warning, label=f"warning, {name}  ", indent=12, label_style=STRONG)
    page.flow([(words, FAINT) for words in provenance_words(provenance)], label=f"{name}: ", indent=3, gap="   ")
