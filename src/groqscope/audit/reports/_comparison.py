"""Two sets of requests side by side in the terminal: what got slower, what faster, and what nobody can tell."""

from collections.abc import Sequence
from itertools import groupby

from groqscope.audit._model import Change, Comparison, ComparisonRow, Provenance
from groqscope.audit.reports._look import Look
from groqscope.audit.reports._measures import measure, measure_name, signed
from groqscope.audit.reports._page import BAD, FAINT, GOOD, STRONG, Page, Piece
from groqscope.audit.reports._provenance import provenance_words
from groqscope.audit.reports._table import Column, draw_table
from groqscope.audit.reports._text import UNKNOWN, Unit, visible
from groqscope.audit.reports._units import comparison_unit


def comparison_page(comparison: Comparison, look: Look) -> Page:
    """Show a comparison."""
    page = Page(look)
    page.prose(comparison.sentence, style=STRONG)
    unit = comparison_unit(comparison, look.unit)
    for model, rows in groupby(comparison.rows, key=lambda row: row.model):
        page.blank()
        page.prose(visible(model or "(model not known)"), style=STRONG)
        _table(page, list(rows), unit)
    for name, models in (("A", comparison.only_a), ("B", comparison.only_b)):
        if models:
            page.blank()
            page.prose(f"only in {name}: {', '.join(visible(model) for model in models)}")
    page.blank()
    page.prose(comparison.method, style=FAINT)
    for name, provenance in (("A", comparison.a), ("B", comparison.b)):
        _side(page, name, provenance)
    return page


def _table(page: Page, rows: Sequence[ComparisonRow], unit: Unit) -> None:
    columns = [
        Column(title="", right=False, keep=10, shrink=14),
        Column(title="n A", keep=2),
        Column(title="n B", keep=2),
    ]
    for name, keep in (("median", 7), ("p95", 5)):
        columns += [
            Column(title=f"{name} A", keep=keep),
            Column(title="B", keep=keep),
            Column(title="change", keep=keep + 2),
            Column(title="95% interval", keep=keep - 2),
            Column(title="", right=False, keep=keep + 3),
        ]
    notes: dict[str, None] = {}
    for row in rows:
        cells: list[Piece] = [measure_name(row.measure), (f"{row.n_a:,}", FAINT), (f"{row.n_b:,}", FAINT)]
        for change in (row.median, row.p95):
            cells += _change(change, row, unit)
            if change.note:
                notes[change.note] = None
        for column, cell in zip(columns, cells, strict=True):
            column.cells.append(cell)
    draw_table(page, columns)
    for note in notes:
        page.prose(note, style=FAINT)


def _change(change: Change, row: ComparisonRow, unit: Unit) -> list[Piece]:
    mark: Piece = {"slower": ("slower", BAD), "faster": ("faster", GOOD)}.get(change.certainty, ("cannot tell", FAINT))
    if change.ratio is None:
        mark = (UNKNOWN, FAINT)
    known = change.low is not None and change.high is not None
    interval = f"{signed(change.low)} to {signed(change.high)}" if known else UNKNOWN
    return [
        measure(change.a, row.unit, unit),
        measure(change.b, row.unit, unit),
        signed(change.ratio),
        (interval, FAINT),
        mark,
    ]


def _side(page: Page, name: str, provenance: Provenance) -> None:
    for warning in provenance.warnings:
        page.prose(warning, label=f"warning, {name}  ", indent=12, label_style=STRONG)
    page.flow([(words, FAINT) for words in provenance_words(provenance)], label=f"{name}: ", indent=3, gap="   ")
