"""A page of terminal text: styled lines in, one string out. The only place that knows rich."""

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from groqscope.audit.formatting import visible
from groqscope.audit.reports.look import Look

Piece = str | tuple[str, str]
"""Text, or text and its style."""

FAINT: Final = "dim"
STRONG: Final = "bold"
GOOD: Final = "green"
BAD: Final = "bold red"

_ASCII: Final = str.maketrans({"…": "...", "µ": "u"})


class Page:
    """Lines that fit the look."""

    def __init__(self, look: Look) -> None:
        """Begin an empty page."""
        self.look = look
        self._lines: list[Text] = []

    def clean(self, text: str, limit: int | None = None) -> str:
        """Make text from data harmless, and ASCII where the look asks for it; cut it to `limit` cells."""
        text = visible(text, limit=4096)
        if not self.look.unicode:
            text = text.translate(_ASCII).encode("ascii", "backslashreplace").decode()
        return text if limit is None else shorten(text, limit, "…" if self.look.unicode else "~")

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
        left: list[Piece] = [(label.ljust(indent), style if label else "")]
        used, fresh = max(indent, len(label)), True
        for item in items:
            text, item_style = item if isinstance(item, tuple) else (item, "")
            text = self.clean(text)
            room = self.look.width - used - (0 if fresh else len(gap))
            if cell_len(text) > room and not fresh:
                self.add(*left)
                left = list[Piece]([" " * indent])
                used, fresh = indent, True
            while cell_len(text) > self.look.width - used:
                head, text = _break(text, self.look.width - used)
                self.add(*left, (head, item_style))
                left = list[Piece]([" " * indent])
                used, fresh = indent, True
            left.append(("" if fresh else gap) + "")
            left.append((text, item_style))
            used += cell_len(text) + (0 if fresh else len(gap))
            fresh = False
        self.add(*left)

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
        """Give the page as text, with escape sequences only when the look has colour."""
        out = StringIO()
        console = Console(
            file=out,
            width=max(self.look.width, 1),
            color_system="standard" if self.look.colour else None,
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
        """Give the lines with their styles, for a picture."""
        return self._lines


def shorten(text: str, limit: int, mark: str = "…") -> str:
    """Cut text to `limit` cells, with a mark where something is missing."""
    if cell_len(text) <= limit:
        return text
    return set_cell_size(text, max(0, limit - 1)).rstrip() + mark


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
