"""Two sets of requests side by side in the terminal: what got slower, what faster, and what nobody can tell."""

from typing import Final

from groqscope.audit._model import Comparison, Provenance
from groqscope.audit.reports._changes import TITLES, ChangeLine, change_lines, models_of, sizes
from groqscope.audit.reports._look import Look
from groqscope.audit.reports._page import BAD, FAINT, GOOD, STRONG, Page, Piece
from groqscope.audit.reports._provenance import provenance_words
from groqscope.audit.reports._table import Column, draw_table
from groqscope.audit.reports._text import Unit, visible
from groqscope.audit.reports._units import comparison_unit

_STYLES: Final = {"slower": BAD, "faster": GOOD, "cannot tell": FAINT}


def comparison_page(comparison: Comparison, look: Look) -> Page:
    """Show a comparison."""
    page = Page(look)
    page.prose(comparison.sentence, style=STRONG)
    unit = comparison_unit(comparison, look.unit)
    for model in models_of(comparison):
        page.blank()
        page.flow([(visible(model or "(model not known)"), STRONG), (sizes(comparison, model), FAINT)])
        lines, notes = change_lines(comparison, model, unit)
        if lines:
            _table(page, lines, unit)
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


def _table(page: Page, lines: list[ChangeLine], unit: Unit) -> None:
    columns = [
        Column(title=unit.label, right=False, keep=10, shrink=10),
        Column(title="", right=False, keep=9),
        *(Column(title=title, keep=keep) for title, keep in zip(TITLES[:4], (5, 6, 8, 2), strict=True)),
        Column(title="", right=False, keep=10),
    ]
    previous = ""
    for line in lines:
        name = "" if line.measure == previous else line.measure
        previous = line.measure
        a, b, change, interval = line.cells
        cells: list[Piece] = [name, (line.statistic, FAINT), a, b, change, (interval, FAINT)]
        cells.append((line.certainty, _STYLES[line.certainty]))
        for column, cell in zip(columns, cells, strict=True):
            column.cells.append(cell)
    draw_table(page, columns)


def _side(page: Page, name: str, provenance: Provenance) -> None:
    for warning in provenance.warnings:
        page.prose(warning, label=f"warning, {name}  ", indent=12, label_style=STRONG)
    page.flow([(words, FAINT) for words in provenance_words(provenance)], label=f"{name}: ", indent=3, gap="   ")
