"""A page of terminal text: styled lines and tables that fit its width in, one string out."""

from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from groqscope.audit.formatting import visible
from groqscope.audit.reports.palette import Colour
from groqscope.audit.reports.rendering import Look
from groqscope.audit.reports.tables import Cell, Table, Tone

Piece = str | tuple[str, str]
"""Text, or text and its style."""

FAINT: Final = "dim"
STRONG: Final = "bold"
GOOD: Final = "green"
BAD: Final = "bold red"
STYLES: Final[dict[Tone, str]] = {"": "", "faint": FAINT, "strong": STRONG, "good": GOOD, "bad": BAD}
_GAP: Final = "  "
_MATTERS: Final = 0.2
_NEGLIGIBLE: Final = 0.05

_ASCII: Final = str.maketrans({"…": "...", "µ": "u"})


def weight(share: float) -> str:
    """Return the style of a figure that is a share of the whole: bold where it matters, faint where it does not.

    Never a colour: a colour says which phase it is.
    """
    return STRONG if share > _MATTERS else FAINT if share <= _NEGLIGIBLE else ""


class Page:
    """Lines that fit the look."""

    def __init__(self, look: Look) -> None:
        """Begin an empty page."""
        self.look = look
        self._lines: list[Text] = []

    def clean(self, text: str, limit: int | None = None) -> str:
        """Return text from data made harmless, ASCII where the look asks for it, and cut to `limit` cells."""
        text = visible(text, limit=4096)
        if not self.look.unicode:
            text = text.translate(_ASCII).encode("ascii", "backslashreplace").decode()
        return text if limit is None else shorten(text, limit, "…" if self.look.unicode else "~")

    def filled(self, colour: Colour) -> str:
        """Return the style of a bar."""
        return colour.ansi if self.look.depth == "standard" else colour.hex.lower()

    def on(self, colour: Colour) -> str:
        """Return the style of text on a bar."""
        if self.look.depth == "standard":
            return f"black on {colour.ansi}"
        return f"{colour.ink.lower()} on {colour.hex.lower()}"

    def add(self, *pieces: Piece) -> None:
        """Add a line; what does not fit is cut."""
        line = Text(no_wrap=True, end="")
        for piece in pieces:
            text, style = piece if isinstance(piece, tuple) else (piece, "")
            line.append(self.clean(text), style or None)
        line.rstrip()
        if line.cell_len > self.look.width:
            line.truncate(self.look.width, overflow="ellipsis" if self.look.unicode else "crop")
        self._lines.append(line)

    def blank(self) -> None:
        """Separate two sections; never twice, never at the top."""
        if self._lines and self._lines[-1].plain:
            self._lines.append(Text(end=""))

    def flow(
        self, items: Iterable[Piece], *, label: str = "", indent: int = 0, gap: str = "  ", style: str = FAINT
    ) -> None:
        """Add items one after the other, breaking between them; later lines start at `indent`."""
        line: list[Piece] = [(label.ljust(indent), style if label else "")]
        used, fresh = max(indent, len(label)), True
        for item in items:
            text, item_style = item if isinstance(item, tuple) else (item, "")
            text = self.clean(text)
            room = self.look.width - used - (0 if fresh else len(gap))
            if cell_len(text) > room and not fresh:
                self.add(*line)
                line = list[Piece]([" " * indent])
                used, fresh = indent, True
            while cell_len(text) > self.look.width - used:
                head, text = _break(text, self.look.width - used)
                self.add(*line, (head, item_style))
                line = list[Piece]([" " * indent])
                used, fresh = indent, True
            line.append("" if fresh else gap)
            line.append((text, item_style))
            used += cell_len(text) + (0 if fresh else len(gap))
            fresh = False
        self.add(*line)

    def prose(self, text: str, *, indent: int = 0, label: str = "", style: str = "", label_style: str = FAINT) -> None:
        """Add a sentence, wrapped at words."""
        self.flow(
            [(word, style) for word in self.clean(text).split()] or [""],
            label=label,
            indent=indent,
            gap=" ",
            style=label_style,
        )

    def text(self) -> str:
        """Return the page as text, with escape sequences only when the look has colour."""
        out = StringIO()
        console = Console(
            file=out,
            width=max(self.look.width, 1),
            color_system=self.look.depth if self.look.colour else None,
            force_terminal=self.look.colour,
            no_color=not self.look.colour,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
            _environ={},
        )
        for line in self._lines:
            console.print(line, soft_wrap=True, end="\n")
        return out.getvalue()

    def lines(self) -> Sequence[Text]:
        """Return the lines with their styles, for a picture."""
        return self._lines


def shorten(text: str, limit: int, mark: str = "…") -> str:
    """Return text cut in its middle to `limit` cells: names and error codes differ at their ends."""
    if cell_len(text) <= limit:
        return text
    room = max(0, limit - cell_len(mark))
    return set_cell_size(text, (room + 1) // 2) + mark + set_cell_size(text[::-1], room // 2)[::-1]


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill text up with spaces to `width` cells."""
    space = " " * max(0, width - cell_len(text))
    return space + text if right else text + space


def _break(text: str, width: int) -> tuple[str, str]:
    """Cut text after `width` cells, at a space when the last third has one."""
    cut = max(1, len(text))
    while cut > 1 and cell_len(text[:cut]) > width:
        cut -= 1
    space = text.rfind(" ", 0, cut + 1)
    if space * 3 > cut * 2:
        return text[:space], text[space + 1 :]
    return text[:cut], text[cut:]


def draw_table(page: Page, table: Table, floors: Sequence[int] = ()) -> None:
    """Draw a table: the least important columns are left out until it fits, and named below it.

    A column in which nothing stands is left out without a word. `floors` are the least widths of the columns, so that
    several tables line up.
    """
    lines = list(_lines(table))
    titles = [column.short or column.title for column in table.columns]
    titles[0] = titles[0] or table.title
    kept = [index for index in range(len(titles)) if any(line[index].text for line in lines)] or [0]
    natural = {
        index: max(cell_len(page.clean(text)) for text in ("-", titles[index], *(line[index].text for line in lines)))
        for index in kept
    }
    for index, floor in enumerate(floors):
        natural[index] = max(natural.get(index, 0), floor)
    widths, left_out = _fit(table, {index: natural[index] for index in kept}, page.look.width)
    titled = [(_padded(page, table, index, Cell(titles[index], "faint"), width)) for index, width in widths.items()]
    page.add(*((text + _GAP, style) for text, style in titled))
    for line in lines:
        cells = [_padded(page, table, index, line[index], width) for index, width in widths.items()]
        page.add(*(piece for cell in cells for piece in (cell, _GAP)))
    if left_out and lines:
        page.prose(f"too narrow for: {', '.join(titles[index] for index in reversed(left_out))}", style=FAINT)


def draw_noted(page: Page, table: Table) -> None:
    """Draw a table with its notes below."""
    draw_table(page, table)
    for note in table.notes:
        page.prose(note, style=FAINT)


def _lines(table: Table) -> Iterator[tuple[Cell, ...]]:
    """Return the rows, those of a group indented below its name."""
    group = ""
    for row in table.rows:
        if row.group != group:
            group = row.group
            yield (Cell(group, "strong"), *(Cell("") for _ in row.cells[1:]))
        first = row.cells[0]
        yield (first._replace(text=f"  {first.text}"), *row.cells[1:]) if group else row.cells


def _fit(table: Table, natural: dict[int, int], room: int) -> tuple[dict[int, int], list[int]]:
    """Return the widths of the columns that stay, and which columns go: cut before left out, least important first."""
    widths, left_out = dict(natural), list[int]()
    while (excess := sum(widths.values()) + len(_GAP) * (len(widths) - 1) - room) > 0:
        shrinks = {index: table.columns[index].shrink for index in widths}
        free = [(widths[index] - least, index) for index, least in shrinks.items() if least and widths[index] > least]
        if free:
            spare, index = max(free)
            widths[index] -= min(spare, excess)
        elif len(widths) > 1:
            drop = min(widths, key=lambda index: (table.columns[index].keep, -index))
            left_out.append(drop)
            widths = {index: natural[index] for index in widths if index != drop}
        else:
            break
    return widths, left_out


def _padded(page: Page, table: Table, index: int, cell: Cell, width: int) -> tuple[str, str]:
    text = page.clean(cell.text, width)
    return pad(text, width, right=table.columns[index].right), STYLES[cell.tone]
