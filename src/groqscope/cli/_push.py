"""`groqscope push`: stored OTLP files to an OTLP endpoint, each line once."""

import os
import sys
from typing import Annotated

import typer

_EXAMPLES = """\b
Examples:
  groqscope push --endpoint http://127.0.0.1:4318                 the local store, to the bundled collector
  groqscope push run.jsonl --endpoint https://otlp.example.com --header 'authorization=Bearer TOKEN'
\b
What was sent is remembered by endpoint, so that the same command, run again, goes on where it stopped.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("push", epilog=_EXAMPLES)(push)


def push(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE|DIR]...", help="What to send instead of the local store.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="OTLP over HTTP; by default OTEL_EXPORTER_OTLP_ENDPOINT.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A header, besides OTEL_EXPORTER_OTLP_HEADERS."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Send also what was sent to this endpoint before.")] = False,
) -> int:
    """Send stored requests to an OTLP endpoint, so that local runs can be looked at in Grafana."""
    from groqscope.audit._load import source_of
    from groqscope.cli._sending import Ledger, Sender, headers_of, send_files
    from groqscope.store import ReadReport, store_directory

    source_of(paths or [])  # what is named exists, or an error says so
    places = paths or [str(store_directory())]
    sender = Sender(endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"), headers_of(header or ()))
    report = ReadReport()
    with sender:
        sent = send_files(places, sender, Ledger(sender.endpoint, forget=again), report)
    for warning in report.warnings[:3]:
        print(f"groqscope: {warning}", file=sys.stderr)
    print(sent.sentence(sender.name))
    return 2 if report.warnings or sent.rejected else 0
