"""Delays that a test injects and measures itself, and the run that has to find them."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan

from groqscope.runs import Run, TraceSpan, runs_of
from groqscope.simulator import Simulator
from groqscope.store import ReadReport, TraceCollector
from groqscope.store.exporters import encode_span_line

ATTEMPTS = 5
"""How often a program is run until a machine that is busy with other things did not get between two clocks."""
SHARE, NS = 0.05, 5_000_000
"""What a part may be off: 5%, or 5 ms where that is more."""


class Measured:
    """What a program knows itself: how long its tools, its own code and the simulator took."""

    def __init__(self) -> None:
        self.lengths: defaultdict[str, int] = defaultdict(int)
        self.stretches: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure a block of the program."""
        start = time.monotonic_ns()
        try:
            yield
        finally:
            end = time.monotonic_ns()
            self.lengths[name] += end - start
            self.stretches[name].append((start, end))

    def server(self, sim: Simulator, before: int) -> int:
        """How long the simulator had the requests, from a request's arrival to its last byte."""
        return sum((s.ended_ns or 0) - s.headers_received_ns for s in sim.settle()[before:])


def run_of_spans(spans: Iterable[ReadableSpan]) -> Run:
    """Read spans as the store has them, and return the one run among them."""
    line = encode_span_line(list(spans))
    assert line is not None
    collector = TraceCollector(ReadReport())
    collector.read(line, "memory")
    traces: list[list[TraceSpan]] = list(collector.traces())
    (run,) = [run for trace in traces for run in runs_of(trace)]
    return run


def found(run: Run) -> dict[str, int]:
    """What the run found: time in each tool, in the model, in I/O, in own code."""
    lengths: defaultdict[str, int] = defaultdict(int)
    for segment in run.segments:
        lengths[f"tool {segment.name}" if segment.kind == "tool" else segment.kind] += segment.length_ns
    return dict(lengths)


def missed(run: Run, expected: dict[str, int]) -> list[str]:
    """Tell which parts are off by more than is allowed.

    What the program cannot measure, the framework's own work and the client's, is what the run lasted beyond all that
    it did measure; it belongs to own code and to the model, and to no tool.
    """
    assert sum(segment.length_ns for segment in run.segments) == run.duration_ns
    parts = found(run)
    rest = max(0, run.duration_ns - sum(expected.values()))
    wrong: list[str] = []
    for name, known in expected.items():
        allowed, off = max(SHARE * known, NS), parts.get(name, 0) - known
        if not -allowed <= off <= allowed + (rest if name in ("own", "model") else 0):
            wrong.append(f"{name}: {parts.get(name, 0) / 1e6:.1f} ms found, {known / 1e6:.1f} ms measured")
    apart = sum(length for name, length in parts.items() if name not in expected)
    if apart > NS:
        wrong.append(f"{apart / 1e6:.1f} ms in parts that are not there: {', '.join(parts)}")
    return wrong


async def agrees(attempt: Callable[[], Awaitable[tuple[Run, dict[str, int]]]]) -> Run:
    """Run a program until what it measured is what the run found; fail with the last difference."""
    wrong: list[str] = []
    for _ in range(ATTEMPTS):
        run, expected = await attempt()
        wrong = missed(run, expected)
        if not wrong:
            return run
    raise AssertionError("\n".join(wrong))
