"""`groqscope ui`: the live page."""

import secrets
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groqscope._serving import LOOPBACK
from groqscope.cli.output import listening_failed, say

if TYPE_CHECKING:
    from groqscope.ui import Server

_EXAMPLES = """\b
Examples:
  groqscope ui --open          what your programs ask Groq, in the browser
  groqscope ui requests.jsonl  a file
  groqscope ui --port 0        when 4318 is taken: any free port
"""
_PORT = 4318


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("ui", epilog=_EXAMPLES, short_help="Show requests live in the browser; receive OTLP.")(ui)


def ui(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE|DIR", help="What to follow instead of the local store.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port of page and OTLP/HTTP; 0 takes a free one.")
    ] = _PORT,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; beyond loopback a token is needed.")
    ] = "127.0.0.1",
    read_only: Annotated[bool, typer.Option("--read-only", help="Show only; receive no telemetry.")] = False,
) -> int:
    """Show requests live in the browser, and receive OTLP/HTTP into the store; Ctrl-C ends it."""
    from groqscope.audit import AuditError, source_of
    from groqscope.ui import MissingExtraError, require_extra

    try:
        require_extra()
    except MissingExtraError as error:
        raise AuditError(str(error)) from error
    if path is not None and not (path.suffix == "" and not path.exists()):
        source_of([path])  # it exists, or an error says so
    from groqscope.ui import Server

    token = None if host in LOOPBACK else secrets.token_urlsafe(24)
    server = Server(path, host=host, port=port, token=token, read_only=read_only)
    try:
        server.run(lambda: announce(server, token, read_only=read_only, open_=open_))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        hint = "is a collector or another `groqscope ui` there? --port 0 takes a free one"
        raise listening_failed(error, host, port, hint) from error
    return 0


def announce(server: "Server", token: str | None, *, read_only: bool, open_: bool) -> None:
    """Print where the page is, and open it if that is wanted."""
    elsewhere = server.urls_elsewhere
    lines = [f"The page: {server.address}"]
    lines += [f"From other machines: {server.page(url)}" for url in elsewhere if url != server.url]
    lines.append(f"It follows {server.collection.path}; Ctrl-C ends it.")
    if not read_only and not server.collection.path.is_file():
        url = elsewhere[-1] if elsewhere else server.url
        lines.append(f"Programs that write elsewhere: export OTEL_EXPORTER_OTLP_ENDPOINT={url}")
        if token is not None:
            lines.append(f"    export OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20{token}'")
    if token is not None:
        say("anyone who has this address can read every request, and the connection is not encrypted")
    with suppress(OSError):
        print("\n".join(lines), flush=True)
    if open_:
        threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
