"""`groqscope demo`."""

import os
import shlex
import shutil
import sys
import tempfile
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from groqscope.cli.demo_progress import SceneProgress
    from groqscope.cli.demo_scenes import Scene, Stage

_EXAMPLES = """\b
Examples:
  groqscope demo          recorded traffic, replayed; no key, no network
  groqscope demo --live   against Groq, with GROQ_API_KEY; says what it costs
"""
_SERVICE = "groqscope-demo"
_REPLAYED = "Recorded answers of Groq, replayed on this machine at their original pace.\n"
_LIVE = "Asking Groq.\n"


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("demo", epilog=_EXAMPLES, short_help="Play a workload of every kind, and audit it; no key.")(demo)


def demo(
    live: Annotated[bool, typer.Option("--live", help="Ask Groq itself, with GROQ_API_KEY.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --live: accept the cost without asking.")] = False,
    directory: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write to DIR instead of a temporary directory.")
    ] = None,
) -> int:
    """Run a sample workload (streams, retries, tool calls, failures) and audit it."""
    if live:
        _agree(yes=yes)
    playing = _stage(live=live)
    directory = directory or Path(tempfile.mkdtemp(prefix="groqscope-demo-"))
    with playing as stage:
        _configure(directory)
        print(_LIVE if live else _REPLAYED, flush=True)
        begin = time.monotonic()
        failed = _perform(stage)
        taken = time.monotonic() - begin
    _close()
    print(f"\nDone in {taken:.1f} s. This is what `groqscope audit` begins with:\n", flush=True)
    interesting_id, agent = _audit(directory)
    _say_what_next(directory, interesting_id, agent)
    if failed:
        print(f"groqscope: failed: {', '.join(failed)}; see above", file=sys.stderr)
    return 1 if failed else 0


def _agree(*, yes: bool) -> None:
    """Print what it costs, and ask for confirmation.

    Raises:
        AuditError: there is no key, or no terminal to ask on.
        Abort: the answer is no.
    """
    from groqscope.audit import AuditError
    from groqscope.cli.demo_stages import most_it_costs

    if not os.environ.get("GROQ_API_KEY"):
        raise AuditError("--live needs GROQ_API_KEY; a key is made at https://console.groq.com/keys")
    requests, dollars = most_it_costs()
    print(f"About {requests} requests to Groq, at most ${dollars:.4f} by the list prices of genai-prices.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise AuditError("--live costs money, and there is no terminal to confirm it: add --yes")
    typer.confirm("Go on?", abort=True)


def _stage(*, live: bool) -> "AbstractContextManager[Stage]":
    from groqscope.audit import AuditError
    from groqscope.cli import demo_stages

    if live:
        return demo_stages.live()
    try:
        from groqscope.simulator import require_extra

        require_extra()
    except ImportError as error:
        raise AuditError(f"{error}; or use --live, with a key") from error
    return demo_stages.simulated()


def _configure(directory: Path) -> None:
    import groqscope
    from groqscope.audit import AuditError

    try:
        where = groqscope.configure(service_name=_SERVICE, directory=directory)
    except ValueError as error:
        raise AuditError(str(error)) from error
    if where.status == "disabled":
        raise AuditError("OTEL_SDK_DISABLED is set, so nothing would be recorded: unset it to run the demo")
    groqscope.instrument()


def _close() -> None:
    import groqscope

    groqscope.uninstrument()
    groqscope.shutdown()


def _perform(stage: "Stage") -> list[str]:
    """Run all scenes, those that mostly wait in the background; return the titles of those that failed."""
    from groqscope.cli.demo_progress import make_progress
    from groqscope.cli.demo_scenes import SCENES

    scenes = [scene for scene in SCENES if scene.key in stage.requests]
    with make_progress(scenes) as progress:
        aside = [
            threading.Thread(target=_play, args=(stage, scene, progress), daemon=True)
            for scene in scenes
            if scene.aside
        ]
        for thread in aside:
            thread.start()
        for scene in scenes:
            if not scene.aside:
                _play(stage, scene, progress)
        for thread in aside:
            thread.join()
        return progress.failed


def _play(stage: "Stage", scene: "Scene", progress: "SceneProgress") -> None:
    from groqscope.cli.demo_scenes import Skipped

    progress.begin(scene)
    begin = time.monotonic()
    try:
        note = scene.play(stage, stage.requests[scene.key])
    except Skipped as reason:
        progress.end(scene, f"skipped, {reason}", None)
    except Exception as error:  # noqa: BLE001 - the other scenes are still worth showing
        progress.failed.append(scene.title)
        progress.end(scene, f"failed: {type(error).__name__}: {error}", time.monotonic() - begin)
    else:
        progress.end(scene, note, time.monotonic() - begin)


def _audit(directory: Path) -> tuple[str | None, str | None]:
    """Show the most interesting part of `groqscope audit`; return the IDs of a request and a run to look at."""
    from groqscope.audit import load
    from groqscope.audit.reports import TerminalRenderer
    from groqscope.cli.output import look

    records = load(directory)
    by_length = sorted(records, key=lambda record: record.duration_ns)
    print(TerminalRenderer(look()).brief(records.overview(why=False)))
    return by_length[-1].request_id if by_length else None, _show_run(directory)


def _show_run(directory: Path) -> str | None:
    """Show the agent's run in a sentence; return its trace ID, `None` if no agent ran."""
    from groqscope.audit import NoRequests, Query, file_source, list_runs

    try:
        entry = list_runs(file_source([directory]), Query()).entries[0]
    except NoRequests:
        return None
    print(f"And one run, {entry.run.name}: {entry.sentence}.\n")
    return entry.run.trace_id


def _say_what_next(directory: Path, interesting_id: str | None, agent: str | None) -> None:
    command, where = _command(), shlex.quote(str(directory))
    suggestions = [
        ("live, in the browser", f"{command} ui {where} --open"),
        ("the whole report", f"{command} audit {where}"),
        ("one slow request", f"{command} audit {where} {interesting_id or 'ID'}"),
        ("why some were slow", f"{command} audit {where} --why"),
        ("an HTML page to share", f"{command} audit {where} --html groq.html"),
        ("everything in Grafana", f"{command} push {where} --endpoint http://127.0.0.1:4318"),
    ]
    if agent is not None:
        suggestions.insert(3, ("the agent, as a run", f"{command} audit {where} {agent}"))
    width = max(len(what) for what, _ in suggestions)
    print(f"The files are in {directory}; delete them when you like. Next:\n")
    for what, line in suggestions:
        print(f"    {what:<{width}}  {line}")
    print("\nIn your own program, before its first request:\n")
    print("    import groqscope\n\n    groqscope.configure()\n    groqscope.instrument()")


def _command() -> str:
    """Return the command to type: it may be in an environment that is not on the path."""
    if shutil.which("groqscope"):
        return "groqscope"
    this = Path(sys.argv[0]).absolute()
    return str(this.relative_to(Path.cwd())) if this.is_relative_to(Path.cwd()) else str(this)
