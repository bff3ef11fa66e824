"""`groqscope simulate`."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from groqscope._serving import LOOPBACK
from groqscope.cli.output import listening_failed, say

if TYPE_CHECKING:
    from groqscope.simulator import Pace, Served, Simulator

_EXAMPLES = """\b
Examples:
  groqscope simulate                          a short answer to every request
  groqscope simulate --replay bundled         the recordings in groqscope
  groqscope simulate --replay DIR --pace 5    your own, an event every 5 ms
"""
_PORT = 8787


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("simulate", epilog=_EXAMPLES, short_help="Run a Groq-compatible server; no key.")(simulate)


def simulate(
    replay: Annotated[
        str | None, typer.Option(metavar="DIR", help="Serve the recordings in DIR, or groqscope's own: `bundled`.")
    ] = None,
    pace: Annotated[
        str, typer.Option(metavar="reported|MS", help="Groq's reported times, or milliseconds before each event.")
    ] = "reported",
    speed: Annotated[float, typer.Option(metavar="X", min=0.01, help="Speed factor.")] = 1.0,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on; 0 chooses a free one.")
    ] = _PORT,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print a line per request.")] = False,
) -> int:
    """Run a Groq-compatible server, for development without a key."""
    simulator = _make(replay, _pace(pace, speed), host, port)
    _allow_many_connections()
    try:
        simulator.run(lambda url: _announce(simulator, url, host), None if quiet else _tell)
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        raise listening_failed(error, host, port, "use another --port, or --port 0 for a free one") from error
    return 0


def _make(replay: str | None, pace: "Pace", host: str, port: int) -> "Simulator":
    from groqscope.audit import AuditError
    from groqscope.simulator import BUNDLED, Answer, Delays, RecordingError, Simulator

    # Groq's typical times: a wait of a tenth of a second, a token every 2.5 ms
    delays = Delays(before_headers=0.08 / pace.speed, before_first=0.04 / pace.speed, per_chunk=0.0025 / pace.speed)
    words = (
        "This is the simulator of groqscope. It answers every request with this text, unless you give it recordings."
    )
    script = Answer(words, delays=delays) if replay is None else None
    try:
        simulator = Simulator(
            script, replay=BUNDLED if replay == "bundled" else replay, pace=pace, host=host, port=port
        )
    except (RecordingError, ImportError) as error:
        raise AuditError(str(error)) from error
    for error in simulator.recording_errors:
        say(f"not served: {error}")
    return simulator


def _pace(text: str, speed: float) -> "Pace":
    from groqscope.audit import AuditError
    from groqscope.simulator import Pace

    if text == "reported":
        return Pace(speed=speed)
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds <= 60_000:
        raise AuditError(f"--pace {text!r}: use `reported`, or milliseconds before each event (0 to 60000)")
    return Pace(chunk=milliseconds / 1000, speed=speed)


def _announce(simulator: "Simulator", url: str, host: str) -> None:
    if host not in LOOPBACK:
        say(f"{host} is not a loopback address: other machines can reach this server")
    lines = [f"A Groq-compatible server is running on {url}; press Ctrl+C to stop it. To use it:\n"]
    lines.append(f"    export GROQ_BASE_URL={url} GROQ_API_KEY=any\n")
    if recordings := simulator.recordings:
        lines.append(f"It replays {len(recordings)} recordings of these models:")
        lines += [f"    {model}" for model in sorted({recording.model for recording in recordings})]
    _say("\n".join(lines))


def _tell(served: "Served") -> None:
    received = served.received
    what = f"{received.method:4} {received.path}" if received else "?"
    model = (received.model if received else None) or ""
    end = served.ended_ns or (served.writes[-1].ns if served.writes else None)
    taken = f"{(end - served.headers_received_ns) / 1e6:8.1f} ms" if end else f"{'-':>8}   "
    events = f"{served.writes[-1].events} events" if served.writes and served.writes[-1].events else ""
    left = "" if served.left == "complete" else f"{served.left}"
    _say(f"{served.status or '-':>4} {taken}  {what}  {model}  {events}  {left}".rstrip())


def _say(text: str) -> None:
    """Print unbuffered; a closed pipe (`head`) or a full disk does not stop the server."""
    with suppress(OSError):
        print(text, flush=True)


def _allow_many_connections() -> None:
    """Raise the limit of open files to its maximum, because each connection is one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
