"""Tool calls by name in the terminal."""

from collections.abc import Sequence

from groqscope.audit.formatting import UNKNOWN, Unit, size, visible
from groqscope.audit.model import ToolSummary
from groqscope.audit.reports.page import BAD, FAINT, Page
from groqscope.audit.reports.table import Column, draw_table


def tool_lines(page: Page, tools: Sequence[ToolSummary], unit: Unit) -> None:
    """List tools: how long callers waited for a call, how large it was, and whether it was JSON."""
    columns = [
        Column(title=f"tool calls, {unit.label}", right=False, keep=9, shrink=14),
        Column(title="calls", keep=9),
        Column(title="requests", keep=3),
        Column(title="p50", keep=8),
        Column(title="p95", keep=7),
        Column(title="max", keep=7),
        Column(title="size p50", keep=4),
        Column(title="invalid", keep=8),
    ]
    refused = False
    for tool in tools:
        middle = tool.arguments_size.p50
        invalid = f"{tool.invalid:,}" + (f" of {tool.calls - tool.unchecked:,}" if tool.unchecked else "")
        cells = (
            visible(tool.name or "(no name)", limit=80),
            f"{tool.calls:,}",
            f"{tool.requests:,}",
            unit.text(tool.assembly.p50),
            unit.text(tool.assembly.p95),
            unit.text(tool.assembly.max),
            UNKNOWN if middle is None else size(round(middle)),
            (invalid, BAD if tool.invalid else FAINT),
        )
        refused |= tool.assembly.p95 is None
        for column, cell in zip(columns, cells, strict=True):
            column.cells.append(cell)
    draw_table(page, columns)
    if refused:
        page.prose(
            "from the last thing the caller saw to the complete call, streams only; -: too few (p95 needs 20)",
            style=FAINT,
        )
