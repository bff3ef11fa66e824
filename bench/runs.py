"""How long the list of many runs takes, from lines of JSON and from Parquet: `python -m bench.runs [RUNS]`.

Each run is an agent with two requests and a tool, written by the project's own exporter, requests in the form real ones
have. The limit is on the wall clock, with as many processes as there are processors; CPU is that of all of them together,
which other programs disturb less.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from bench.audit import MS, requests, span_of
from groqscope import history
from groqscope.store import LocalSpanExporter

RUNS = 10_000
MAX_SECONDS = 3.0
_RESOURCE = Resource({"service.name": "bench"})


def runs(count: int) -> Iterator[list[ReadableSpan]]:
    """Make the spans of runs: a request, a tool, a request, and the agent around them."""
    source = requests(2 * count)
    for number in range(count):
        first, second = islice(source, 2)
        trace = f"{number + 1:032x}"
        start = first.start_unix_ns
        between = start + first.duration_ns
        tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
        agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
        answered = replace(second, start_unix_ns=between + 300 * MS)
        yield [
            *(_below(span_of(replace(record, trace_id=trace)), trace, number) for record in (first, answered)),
            _span(trace, number, 3, "execute_tool search", tool, between, between + 290 * MS),
            _span(trace, number, 1, "invoke_agent planner", agent, start, between + 310 * MS + second.duration_ns),
        ]


def _below(span: ReadableSpan, trace: str, number: int) -> ReadableSpan:
    span._parent = _context(trace, number, 1)  # noqa: SLF001 - a finished span has no setter
    return span


def _span(
    trace: str, number: int, place: int, name: str, attributes: dict[str, str], start: int, end: int
) -> ReadableSpan:
    return ReadableSpan(
        name=name,
        context=_context(trace, number, place),
        parent=None if place == 1 else _context(trace, number, 1),
        resource=_RESOURCE,
        attributes=attributes,
        start_time=start,
        end_time=end,
    )


def _context(trace: str, number: int, place: int) -> SpanContext:
    return SpanContext(int(trace, 16), (1 << 60) + number * 8 + place, False, TraceFlags(1))


def write(directory: Path, count: int) -> int:
    """Write a store; return its size in bytes."""
    exporter = LocalSpanExporter(directory, total_bytes=1 << 40)
    source = runs(count)
    while batch := list(islice(source, 128)):
        exporter.export([span for trace in batch for span in trace])
    exporter.shutdown()
    return sum(file.stat().st_size for file in directory.iterdir())


def measure(home: Path) -> tuple[float, float]:
    """Run the list; return wall-clock and CPU seconds."""
    command = [sys.executable, "-c", "from groqscope.cli import main; main()", "audit", "--runs"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env={**os.environ, "GROQSCOPE_HOME": str(home)}, check=True)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        size = write(store, count)
        from_json = _tell("JSON", count, size, Path(folder))
        history.compact(store, now_ns=time.time_ns() + 2 * 86_400 * 10**9)
        size = sum(file.stat().st_size for file in store.rglob("*.parquet"))
        from_parquet = _tell("Parquet", count, size, Path(folder))
    if count <= RUNS and max(from_json, from_parquet) > MAX_SECONDS:
        print(f"over: at most {MAX_SECONDS:g} s", file=sys.stderr)
        sys.exit(1)


def _tell(form: str, count: int, size: int, home: Path) -> float:
    seconds, cpu = measure(home)
    where = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    print(f"{count:,} runs, {form}, {size / 1e6:,.0f} MB: {seconds:.1f} s, {cpu:.1f} s of CPU ({where})", flush=True)
    return seconds


if __name__ == "__main__":
    main()
