"""`groqscope stack`."""

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groqscope._visible import visible

if TYPE_CHECKING:
    from groqscope.stack import Link

_MARKS = {"ok": "ok", "broken": "BROKEN", "unknown": "-"}
_EXAMPLES = """\b
Examples:
  docker compose up -d && groqscope stack check
  groqscope stack check --collector http://collector.internal:4318
"""
_INIT_EXAMPLES = """\b
Examples:
  groqscope stack init monitoring && cd monitoring && docker compose up -d
  groqscope stack init . --force       overwrite the files of an older version
"""
_GROUP_EXAMPLES = """\b
Example:
  groqscope stack init monitoring && cd monitoring && docker compose up -d
  groqscope stack check
"""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    stack = typer.Typer(epilog=_GROUP_EXAMPLES)
    stack.callback(invoke_without_command=True)(_group)
    stack.command("init", epilog=_INIT_EXAMPLES)(init)
    stack.command(
        "check", epilog=_EXAMPLES, short_help="Send a test span and a test metric, and check that they arrive."
    )(check)
    app.add_typer(stack, name="stack", rich_help_panel=None)


def _group(context: typer.Context) -> None:
    """Write and check the bundled services (docker-compose.yml)."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; created if it does not exist.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files that differ.")] = False,
) -> int:
    """Write compose file, settings and dashboards to DIR."""
    from groqscope.audit import AuditError
    from groqscope.stack import StackFilesError, write_stack

    try:
        written = write_stack(directory, force=force)
    except StackFilesError as error:
        raise AuditError(str(error)) from error
    except FileExistsError as error:
        raise AuditError(f"{error.filename} exists and is not a directory: choose another name") from error
    except OSError as error:
        raise AuditError(f"{directory} cannot be written: {error.strerror or error}") from error
    print(f"{len(written)} files in {directory}. Next:\n")
    print(f"  cd {shlex.quote(str(directory))} && docker compose up -d")
    print("  export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318    # where your program runs")
    print("  groqscope stack check                                       # does every link work?")
    print("\nGrafana is on http://127.0.0.1:3000.")
    return 0


def check(
    collector: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="OTLP over HTTP; by default OTEL_EXPORTER_OTLP_ENDPOINT, else port 4318 here."
        ),
    ] = None,
    tempo: Annotated[str, typer.Option(metavar="URL", help="Tempo's API.")] = "http://127.0.0.1:3200",
    prometheus: Annotated[str, typer.Option(metavar="URL", help="Prometheus' API.")] = "http://127.0.0.1:9090",
    grafana: Annotated[str, typer.Option(metavar="URL", help="Grafana.")] = "http://127.0.0.1:3000",
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long a test span may take to Tempo.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> int:
    """Send a test span and a test metric, check that they arrive, and show which link is broken.

    Exit status: 0 success, 1 a link is broken.
    """
    from groqscope._exchange import is_http
    from groqscope.audit import AuditError
    from groqscope.configuration import Environment
    from groqscope.stack import Addresses
    from groqscope.stack import check as links_of

    collector = collector or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://127.0.0.1:4318"
    named = {"collector": collector, "tempo": tempo, "prometheus": prometheus, "grafana": grafana}
    for (option, url), port in zip(named.items(), (4318, 3200, 9090, 3000), strict=True):
        if not is_http(url):
            raise AuditError(f"--{option} {url!r} is not a URL: write for example http://127.0.0.1:{port}")
    certificate = os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE") or None
    headers = Environment().headers("OTEL_EXPORTER_OTLP_HEADERS")
    addresses = Addresses(collector, tempo, prometheus, grafana, headers, certificate)
    links: list[Link] = []
    for link in links_of(addresses, patience_s=timeout):
        links.append(link)
        if not as_json:
            _show(link)
    broken = [link for link in links if link.state == "broken"]
    if as_json:
        print(json.dumps({"schema_version": 1, "ok": not broken, "links": [asdict(link) for link in links]}, indent=2))
    else:
        print(f"\nBroken: {broken[0].name}" if broken else "\nEvery link works.")
    return 1 if broken else 0


def _show(link: "Link") -> None:
    print(f"{_MARKS[link.state]:7} {link.name:26} {visible(link.detail)}", flush=True)
    if link.remedy is not None:
        print(f"{'':34} {visible(link.remedy)}", flush=True)
