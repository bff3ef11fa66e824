"""`groqscope audit`."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from groqscope.audit import Audit, Query, Source

_EXAMPLES = """\b
Examples:
  groqscope audit                                      newest requests, percentiles by model
  groqscope audit req_01j9                             one request, by the beginning of any of its IDs
  groqscope audit --slowest 10 --by queue --since 1h   the ten that waited longest
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit", epilog=_EXAMPLES)(audit)


def audit(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID] [FILE|DIR|-]...", help="A request's ID, files to read instead of the local store."
        ),
    ] = None,
) -> int:
    """Show where the time went: newest requests, percentiles by model, or one request."""
    from groqscope.audit import Query, Reading, one_request, overview
    from groqscope.audit._load import source_of
    from groqscope.audit.reports import TerminalRenderer
    from groqscope.cli._output import look

    paths, wanted = sort_out(what or [])
    reading = Reading(source_of(paths), Query())
    report = one_request(reading, wanted) if wanted else overview(reading)
    print(TerminalRenderer(look()).render(report), end="")
    return 0


def sort_out(arguments: list[str]) -> tuple[list[str], str | None]:
    """Tell files and directories from the ID among them.

    Raises:
        AuditError: there are several IDs.
    """
    from groqscope.audit import AuditError

    paths = [a for a in arguments if a == "-" or Path(a).exists() or "/" in a or a.endswith((".jsonl", ".json", ".gz"))]
    ids = [a for a in arguments if a not in paths]
    if len(ids) > 1:
        raise AuditError(f"{ids[1]!r} is no file or directory, and one ID at a time is shown ({ids[0]!r})")
    return paths, ids[0] if ids else None
