"""Where the time went, in the terminal: the phases of each model as one stacked bar."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from groqscope.audit.formatting import count, share, summed, visible
from groqscope.audit.model import ModelSummary, PhaseTotal
from groqscope.audit.reports.bars import share_style, split
from groqscope.audit.reports.page import FAINT, Page, Piece, pad
from groqscope.audit.reports.waterfall import phase_label

FOLD: Final = 0.01
"""Phases below this share are folded into one, which says how much it holds."""
MAX_MODELS: Final = 12


def phase_lines(page: Page, every: Sequence[ModelSummary]) -> None:
    """Draw the phases of each model as one stacked bar: names inside, colour by share."""
    models = every[:MAX_MODELS]
    names = [page.clean(visible(model.model or "(model not known)"), max(12, page.look.width // 4)) for model in models]
    label = max(map(cell_len, names), default=0)
    totals = [summed(model.duration.total) for model in models]
    figure = max(map(len, totals), default=0)
    width = max(10, page.look.width - label - figure - 6)
    title = "where the time went"
    page.add(
        (pad(title, label + 2), FAINT),
        (_scale(width, max(0, len(title) - label - 1)), FAINT),
        (pad("total", figure + 4, right=True), FAINT),
    )
    for name, model, total in zip(names, models, totals, strict=True):
        bar, folded = _stack(model.phases, width, unicode=page.look.unicode, colour=page.look.colour)
        if not model.phases:
            bar, folded = [(pad("no phases: spans of another library", width)[:width], FAINT)], ""
        page.add(pad(name, label + 2), *bar, (" | ", FAINT), pad(total, figure, right=True))
        if folded:
            page.prose(folded, indent=label + 2, label=" " * (label + 2), style=FAINT)
    if len(every) > MAX_MODELS:
        page.add((f"and {count(len(every) - MAX_MODELS, 'model')} more", FAINT))


def _scale(width: int, skip: int) -> str:
    line = [" "] * width
    for percent in (0, 50, 100) if width < 48 else (0, 25, 50, 75, 100):  # noqa: PLR2004 - room for five figures
        text = f"{percent}%"
        at = min(width - len(text), max(0, round(width * percent / 100) - (len(text) // 2 if percent else 0)))
        line[at : at + len(text)] = text
    return "".join(line)[skip:]


def _stack(phases: Sequence[PhaseTotal], width: int, *, unicode: bool, colour: bool) -> tuple[list[Piece], str]:
    shown = [phase for phase in phases if phase.share >= FOLD]
    folded = [phase for phase in phases if phase.share < FOLD]
    cells = split([phase.share for phase in shown], width)
    pieces: list[Piece] = []
    unnamed: list[str] = []
    for phase, room in zip(shown, cells, strict=True):
        text = _segment(phase, room)
        if room and phase_label(phase.name) not in text:
            unnamed.append(f"{phase_label(phase.name)} {share(phase.share, 1)}")
        pieces.append(_filled(text, room, phase.share, unicode=unicode, colour=colour))
    pieces.append(" " * (width - sum(cells)))
    words = [f"also {', '.join(unnamed)}"] if unnamed else []
    if folded:
        words.append(f"under 1% each: {count(len(folded), 'phase')}, {share(sum(phase.share for phase in folded), 1)}")
    return pieces, "; ".join(words)


def _segment(phase: PhaseTotal, room: int) -> str:
    name = phase_label(phase.name)
    for text in (f"{name} {int(phase.share * 100)}%", name):
        if len(text) + 2 <= room:
            return text
    return ""


def _filled(text: str, room: int, part: float, *, unicode: bool, colour: bool) -> Piece:
    """Draw a segment: a block of colour, or, without colour, a box open to the left."""
    if not room:
        return ""
    if colour:
        style = share_style(part)
        ground = "white on bright_black" if style == "dim" else f"black on {style}"
        return (text.center(room - 1) + "▕" if unicode else text.center(room - 1) + "|", ground)
    line = "─" if unicode else "-"
    return (f" {text} " if text else "").center(room - 1, line) + ("┤" if unicode else "|")
