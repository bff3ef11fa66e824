"""The audit's reports: what is known, as text, a page, JSON, CSV or Markdown.

A renderer has one method, `render(report) -> str`. None reads or writes anything, none computes a figure that another
one shows differently. rich is imported with the terminal's renderer only.
"""

from typing import TYPE_CHECKING

from groqscope.audit.reports._kinds import Report, Section
from groqscope.audit.reports._look import Look, look_of

if TYPE_CHECKING:
    from groqscope.audit.reports._csv import CsvRenderer
    from groqscope.audit.reports._html import HtmlRenderer
    from groqscope.audit.reports._json import JsonRenderer
    from groqscope.audit.reports._markdown import MarkdownRenderer
    from groqscope.audit.reports._schema import schema
    from groqscope.audit.reports._terminal import TerminalRenderer

__all__ = [
    "CsvRenderer",
    "HtmlRenderer",
    "JsonRenderer",
    "Look",
    "MarkdownRenderer",
    "Report",
    "Section",
    "TerminalRenderer",
    "look_of",
    "schema",
]

_LAZY = {
    "CsvRenderer": "_csv",
    "HtmlRenderer": "_html",
    "JsonRenderer": "_json",
    "MarkdownRenderer": "_markdown",
    "TerminalRenderer": "_terminal",
    "schema": "_schema",
}


def __getattr__(name: str) -> object:
    """Import a renderer when it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
