"""The audit's reports: what is known, as text, a page, JSON, CSV or Markdown.

A renderer has one method, `render(report) -> str`. None reads or writes anything, none computes a figure that another
one shows differently. rich is imported with the terminal's renderer only.
"""

from typing import TYPE_CHECKING

from groqscope import _lazy
from groqscope.audit.reports.rendering import Look, Report, Section, look_of, unit_of

if TYPE_CHECKING:
    from groqscope.audit.reports.csv import CsvRenderer
    from groqscope.audit.reports.html import HtmlRenderer
    from groqscope.audit.reports.json import JsonRenderer
    from groqscope.audit.reports.markdown import MarkdownRenderer
    from groqscope.audit.reports.terminal import TerminalRenderer

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
    "unit_of",
]

__getattr__, __dir__ = _lazy.attach(
    __name__,
    {
        "csv": ["CsvRenderer"],
        "html": ["HtmlRenderer"],
        "json": ["JsonRenderer"],
        "markdown": ["MarkdownRenderer"],
        "terminal": ["TerminalRenderer"],
    },
)
