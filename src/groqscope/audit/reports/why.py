"""The causes over all slow requests, in the terminal."""

from typing import Final

from groqscope.audit.formatting import Unit, count, share, visible
from groqscope.audit.model import GroupCause, Why
from groqscope.audit.reports.bars import bar, share_style
from groqscope.audit.reports.page import FAINT, STRONG, Page, pad

_INDENT: Final = 8
_MAX_BAR: Final = 60


def why_lines(page: Page, why: Why, unit: Unit) -> None:
    """List causes, biggest share first, each with what can be done about it."""
    page.prose(why.sentence, style=STRONG)
    page.prose(why.rule, style=FAINT)
    for cause in why.causes:
        page.blank()
        _cause(page, cause, unit)
    if why.unexplained:
        page.blank()
        page.prose(f"{count(why.unexplained, 'slow request')} in which nothing stands out", style=FAINT)


def _cause(page: Page, cause: GroupCause, unit: Unit) -> None:
    style, width, blank = share_style(cause.share), min(_MAX_BAR, page.look.width - _INDENT), " " * _INDENT
    page.add(
        (pad(share(cause.share, 1), _INDENT - 2, right=True), style),
        "  ",
        (cause.title, STRONG),
        "  ",
        (unit.full(cause.ns), style),
    )
    page.add(blank, (bar(0.0, cause.share, width, unicode=page.look.unicode)[1], style))
    facts = [count(cause.requests, "request"), f"{unit.full(cause.ns / max(1, cause.requests))} on average"]
    if cause.usual_ns is not None:
        facts.append(f"usually {unit.full(cause.usual_ns)}" if cause.usual_ns else "usually none")
    page.prose(", ".join(facts), indent=_INDENT, label=blank)
    page.prose(cause.advice, indent=_INDENT, label=blank)
    if cause.examples:
        page.flow([(visible(name, limit=60), FAINT) for name in cause.examples[:3]], indent=_INDENT, label=blank)
