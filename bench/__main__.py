"""`python -m bench [--rounds N] [--smoke] [--json FILE]`: measure every variant in turn, several rounds, and print
ratios.

Each measurement is a process of its own, pinned to one processor, against a bare asyncio server pinned to another; the
rounds interleave the variants, so that a machine that slows down slows all of them. Medians over rounds are compared.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import memory


@dataclass(frozen=True)
class Row:
    """A variant of a path, held against the path's base."""

    path: str
    variant: str
    label: str
    goal: float | None = None
    """At most this ratio (at least, for rates)."""
    figure: str = "cpu"
    added: bool = False
    """The goal is for what is added to the base."""
    package: str | None = None
    """What has to be installed."""
    python: str = sys.executable
    """Of the environment it is measured in."""


@dataclass
class Result:
    """What came out."""

    row: Row
    per_unit_us: float
    ratio: float | None
    background_us: float
    extra: dict[str, float]


OTHERS = str(Path(sys.prefix).parent / ".venv-others" / "bin" / "python")
"""OpenLIT wants other versions of what it shares with the rest (`bench/others.txt`); Groq's SDK and httpx are the same."""
PATHS = {
    "async": "AsyncGroq, streamed, per chunk",
    "aiohttp": "AsyncGroq over aiohttp, streamed, per chunk",
    "sync": "Groq, streamed, per chunk",
    "openai": "AsyncOpenAI at Groq, streamed, per chunk",
    "agent": "pydantic-ai GroqModel, events consumed, per chunk",
    "request": "Groq, not streamed, per request (the request's own thread)",
    "agent-request": "the same, with what an agent sends: seven messages and five tools",
    "openai-request": "OpenAI at Groq, not streamed, per request (the request's own thread)",
    "elsewhere": "AsyncOpenAI at another host, streamed, per chunk: left alone",
    "elsewhere-request": "OpenAI at another host, not streamed, per request: left alone",
    "cache-doctor": "the cache doctor, per agent's request (7 kB): each prompt remembered, and why it was not cached",
    "concurrent": "1,000 streams at once, 200 chunks/s each offered: chunks per second of CPU time",
    "concurrent-aiohttp": "the same over aiohttp",
}
ROWS = (
    Row("async", "bare", "bare SDK"),
    Row("async", "groqscope", "groqscope", 0.20),
    Row("async", "groqscope-slow", "groqscope, fast_path=False"),
    Row("async", "openllmetry", "OpenLLMetry", package="opentelemetry-instrumentation-groq"),
    Row("async", "openinference", "OpenInference", package="openinference-instrumentation-groq"),
    Row("async", "openlit", "OpenLIT", package="openlit", python=OTHERS),
    Row("async", "httpx", "httpx, bytes only (floor)"),
    Row("aiohttp", "bare", "bare SDK"),
    Row("aiohttp", "groqscope", "groqscope", 0.10),
    Row("aiohttp", "httpx", "httpx over aiohttp, bytes only (floor)"),
    Row("sync", "bare", "bare SDK"),
    Row("sync", "groqscope", "groqscope", 0.20),
    Row("sync", "openllmetry", "OpenLLMetry", package="opentelemetry-instrumentation-groq"),
    Row("sync", "openinference", "OpenInference", package="openinference-instrumentation-groq"),
    Row("sync", "openlit", "OpenLIT", package="openlit", python=OTHERS),
    Row("openai", "bare", "bare SDK"),
    Row("openai", "groqscope", "groqscope", 0.30),
    Row("openai", "groqscope-slow", "groqscope, fast_path=False"),
    Row("agent", "pydantic-ai", "pydantic-ai's, uninstrumented"),
    Row("agent", "groqscope", "groqscope's", 0.40),
    Row("agent", "pydantic-ai-otel", "pydantic-ai's, its own instrumentation"),
    Row("request", "bare", "bare SDK", figure="thread"),
    Row("request", "groqscope-nophases", "groqscope, no phase spans", 0.15, "thread", added=True),
    Row("request", "groqscope", "groqscope", 0.30, "thread", added=True),
    Row("request", "one-span", "one span of 40 attributes, no more (floor)", None, "thread", added=True),
    Row("request", "groqscope-logfire", "groqscope through logfire", 0.40, "thread", added=True),
    Row("request", "one-span-logfire", "one span through logfire (floor)", None, "thread", added=True),
    Row(
        "request",
        "openllmetry",
        "OpenLLMetry",
        None,
        "thread",
        added=True,
        package="opentelemetry-instrumentation-groq",
    ),
    Row(
        "request",
        "openinference",
        "OpenInference",
        None,
        "thread",
        added=True,
        package="openinference-instrumentation-groq",
    ),
    Row("request", "openlit", "OpenLIT", None, "thread", added=True, package="openlit", python=OTHERS),
    Row("agent-request", "bare", "bare SDK", figure="thread"),
    Row("agent-request", "groqscope", "groqscope", -0.10, "thread", added=True),
    Row("agent-request", "groqscope-nodoctor", "groqscope, cache_doctor=False", None, "thread", added=True),
    Row("agent-request", "groqscope-logfire", "groqscope through logfire", None, "thread", added=True),
    Row("agent-request", "one-span", "one span of 40 attributes, no more", None, "thread", added=True),
    Row("openai-request", "bare", "bare SDK", figure="thread"),
    Row("openai-request", "groqscope", "groqscope", 0.30, "thread", added=True),
    Row("elsewhere", "bare", "bare SDK"),
    Row("elsewhere", "groqscope", "groqscope", 1.02),
    Row("elsewhere-request", "bare", "bare SDK", figure="thread"),
    Row("elsewhere-request", "groqscope", "groqscope", 1.02, "thread"),
    Row("cache-doctor", "bare", "the prompt as JSON, once", figure="thread"),
    Row("cache-doctor", "groqscope", "groqscope", 1.0, "thread"),
    Row("concurrent", "bare", "bare SDK", figure="rate"),
    Row("concurrent", "groqscope", "groqscope", 4.0, "rate"),
    Row("concurrent", "httpx", "httpx, bytes only (ceiling)", None, "rate"),
    Row("concurrent-aiohttp", "bare", "bare SDK", figure="rate"),
    Row("concurrent-aiohttp", "groqscope", "groqscope", 4.0, "rate"),
)


class OtherFails(Exception):
    """Another library does not run here."""


def version_of(row: Row) -> str | None:
    """Return the version of the package that a row needs; `None` if it is not installed."""
    if row.package is None:
        return ""
    code = f"import importlib.metadata; print(importlib.metadata.version({row.package!r}))"
    try:
        done = subprocess.run([row.python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def pinned(cpu: int, *arguments: str, python: str = sys.executable) -> list[str]:
    """Return a command that runs a module on one processor."""
    code = (
        f"import os,sys,runpy; os.sched_setaffinity(0, {{{cpu}}}); sys.argv = sys.argv[1:]; "
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    )
    return [python, "-c", code, *arguments]


def measure(row: Row, port: int, arguments: list[str]) -> dict[str, float]:
    """Run one variant once."""
    path = row.path
    if row.variant == "httpx":
        path = {"async": "httpx", "aiohttp": "httpx-aiohttp", "concurrent": "concurrent-httpx"}[row.path]
    command = pinned(0, "bench.worker", row.variant, path, "--port", str(port), *arguments, python=row.python)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode and row.package is not None:
        raise OtherFails(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise SystemExit(f"bench: {row.path}/{row.variant} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def figure(row: Row, measured: dict[str, float]) -> float:
    """Return microseconds per unit, or units per second of CPU time."""
    if row.figure == "rate":
        return measured["count"] / measured["cpu"]
    return measured[row.figure] / measured["count"] * 1e6


def run(rounds: int, *, smoke: bool, only: str | None) -> list[Result]:
    """Measure everything."""
    chunks, streams, requests, many = (200, 1, 20, 20) if smoke else (2000, 4, 400, 1000)
    rows = [r for r in ROWS if (only is None or r.path == only) and version_of(r) is not None]
    found: dict[Row, list[dict[str, float]]] = {row: [] for row in rows}
    broken: dict[Row, str] = {}
    server = subprocess.Popen(
        pinned(os.cpu_count() - 1 if os.cpu_count() else 0, "bench.server"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    port = int(server.stdout.readline())
    try:
        for number in range(rounds):
            for row in rows:
                if row.figure == "rate":
                    arguments = ["--chunks", "500" if not smoke else "20", "--streams", str(many), "--rate", "200"]
                else:
                    arguments = ["--chunks", str(chunks), "--streams", str(streams), "--requests", str(requests)]
                if row in broken:
                    continue
                try:
                    found[row].append(measure(row, port, arguments))
                except OtherFails as error:
                    broken[row] = str(error)
                    continue
                print(
                    f"\rround {number + 1} of {rounds}: {row.path}/{row.variant:<24}",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
    finally:
        server.communicate()
        print(file=sys.stderr)
    bases = {row.path: row for row in reversed(rows)}
    results: list[Result] = []
    for row, reason in broken.items():
        print(f"{row.label} ({row.path}) does not run here: {reason}", file=sys.stderr)
    for row in rows:
        if row in broken:
            continue
        value = statistics.median(figure(row, m) for m in found[row])
        base = statistics.median(figure(bases[row.path], m) for m in found[bases[row.path]])
        ratio = None if row is bases[row.path] else (value - base if row.added else value) / base
        background = statistics.median((m["cpu"] - m["thread"]) / m["count"] * 1e6 for m in found[row])
        extra = {
            k: statistics.median(m[k] for m in found[row])
            for k in found[row][0]
            if k not in ("cpu", "thread", "wall", "count")
        }
        results.append(Result(row, value, ratio, background, extra))
    return results


def show(results: list[Result], facts: dict[str, Any]) -> str:
    """Write the table, with bars."""
    lines: list[str] = []
    for path, title in PATHS.items():
        group = [r for r in results if r.row.path == path]
        if not group:
            continue
        widest = max(r.per_unit_us for r in group)
        lines += ["", title]
        for r in group:
            unit = "chunks/s" if r.row.figure == "rate" else "us"
            bar = "#" * max(1, round(r.per_unit_us / widest * 30))
            ratio = "" if r.ratio is None else f"{'+' if r.row.added and r.ratio >= 0 else ''}{r.ratio:.2f} x"
            goal = ""
            if r.row.goal is not None and r.ratio is not None:
                met = r.ratio >= r.row.goal if r.row.figure == "rate" else r.ratio <= r.row.goal
                goal = f"goal {'>=' if r.row.figure == 'rate' else '<='} {r.row.goal:.2f} {'met' if met else 'NOT MET'}"
            apart = r.row.figure == "thread" and r.background_us > 1
            behind = f"  (+ {r.background_us:.0f} us in the background)" if apart else ""
            if "add_up" in r.extra and r.extra["add_up"] >= 0:
                behind = "  each record's phases add up" if r.extra["add_up"] else "  PHASES DO NOT ADD UP"
            lines.append(f"  {r.row.label:<40} {r.per_unit_us:10.1f} {unit:<8} {ratio:>8}  {bar:<30} {goal}{behind}")
    if facts:
        lines += ["", "memory and import"]
    for name, value in facts.items():
        lines.append(f"  {name:<58} {value}")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="one small round, to see that it runs")
    parser.add_argument("--only", choices=list(PATHS), help="one path")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    results = run(1 if options.smoke else options.rounds, smoke=options.smoke, only=options.only)
    facts = memory.facts(smoke=options.smoke) if options.only is None else {}
    print(show(results, facts))
    if options.json:
        names = ("groqscope", "groq", "httpx", "opentelemetry-sdk", "pydantic-ai-slim", "logfire")
        versions = {p: importlib.metadata.version(p) for p in names}
        versions |= {r.package: v for r in ROWS if r.package and (v := version_of(r))}
        options.json.write_text(
            json.dumps(
                {
                    "python": platform.python_version(),
                    "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
                    "versions": versions,
                    "rounds": options.rounds,
                    "results": [
                        {
                            **asdict(r.row),
                            "value": r.per_unit_us,
                            "ratio": r.ratio,
                            "background_us": r.background_us,
                            **r.extra,
                        }
                        for r in results
                    ],
                    "facts": facts,
                },
                indent=1,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
