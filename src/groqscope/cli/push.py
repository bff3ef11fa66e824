"""`groqscope push`: sends stored OTLP files to an OTLP endpoint, each line once."""

from typing import TYPE_CHECKING, Annotated

import typer

from groqscope.cli.output import counted, say_first

if TYPE_CHECKING:
    from groqscope.delivery import PushReport

_EXAMPLES = """\b
Examples:
  groqscope push --endpoint http://127.0.0.1:4318     to the bundled collector
  groqscope push run.jsonl --endpoint https://otlp.example.com \\
      --header 'authorization=Bearer TOKEN'
\b
What was sent is recorded per endpoint: the same command, run again, continues
where it stopped.
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("push", epilog=_EXAMPLES, short_help="Send stored requests to an OTLP endpoint.")(push)


def push(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="FILE|DIR", help="What to send instead of the local store.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="OTLP over HTTP; by default OTEL_EXPORTER_OTLP_ENDPOINT.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A header, besides OTEL_EXPORTER_OTLP_HEADERS.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also send what was sent to this endpoint before.")] = False,
) -> int:
    """Send stored requests to an OTLP endpoint, for example to look at local runs in Grafana."""
    from groqscope.audit import AuditError, NoRequests, SourceError, source_of
    from groqscope.configuration import ConfigurationError, otlp_sender
    from groqscope.delivery import Push
    from groqscope.store import store_directory

    source = source_of(paths or [])  # raises if a named file does not exist
    if not paths and not store_directory().is_dir():
        raise NoRequests(source.when_empty)
    headers = dict(map(_header, header or ()))
    try:
        first = otlp_sender("traces", endpoint=endpoint, headers=headers)
        push = Push(first.endpoint, lambda signal: otlp_sender(signal, endpoint=endpoint, headers=headers), again=again)
        report = push.run(paths or [store_directory()])
    except ConfigurationError as error:
        raise AuditError(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise AuditError(f"cannot record what was sent: {where}; set GROQSCOPE_HOME to a writable directory") from error
    where = first.name
    say_first(report.read.warnings)
    print(_sentence(report, where))
    if report.stopped is not None:
        raise SourceError(f"{where}: {report.stopped}; run the same command again to continue")
    return 2 if report.read.warnings else 0


def _sentence(report: "PushReport", where: str) -> str:
    from groqscope.audit.formatting import count

    words = [f"sent {count(report.sent_lines, 'line')} to {where}"]
    words += counted(
        (report.before, "were sent before"),
        (report.repeats, "repeated spans were skipped"),
        (report.rejected, "entries were rejected"),
        (report.refused_lines, "lines were refused"),
    )
    return ", ".join(words)


def _header(text: str) -> tuple[str, str]:
    from groqscope.audit import AuditError

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise AuditError("--header: expected NAME=VALUE")
    return name.strip().lower(), value.strip()
