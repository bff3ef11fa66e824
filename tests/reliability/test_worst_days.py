"""Bad days of the machinery around: no memory, an exporter that hangs, a clock that jumps; and loops of any kind."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from support.figures import Figure
from support.hooks import HOOKS
from support.processes import WHOLE
from support.scope import ASK, STREAM, Exported, Wire, groq_client, sse

import groqscope
from groqscope import semconv
from groqscope.codec import encode
from groqscope.instrument import faults, flush
from groqscope.simulator import Answer, Delays, Failure, Simulator, ToolCall
from groqscope.testing import record_from

TOOLS = Answer("a b c", tool_calls=[ToolCall("f", ['{"a":', "1}"])])


@pytest.fixture(name="exported")
def _exported() -> Iterator[Exported]:
    exported = Exported()
    yield exported
    exported.shutdown()


@pytest.fixture(scope="module", name="sim")
def _sim() -> Iterator[Simulator]:
    with Simulator(TOOLS) as simulator:
        yield simulator


@pytest.mark.injects_failure
@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook not in {"stream", "give_up"}])
def test_no_memory_left(hook: str, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """A MemoryError in any hook of ours stays ours: the caller's chunks are the same."""
    client = exported.client("sync", http={"transport": Wire(lambda _: sse(*WHOLE))})
    bare = groq_client("sync", http={"transport": Wire(lambda _: sse(*WHOLE))})
    expected = [c.to_dict() for c in bare.chat.completions.create(**STREAM)]

    def fail(name: str) -> None:
        if name == hook:
            raise MemoryError

    monkeypatch.setattr(faults, "injected", fail)
    got = [c.to_dict() for c in client.chat.completions.create(**STREAM)]

    assert got == expected


class Hangs(SpanExporter):
    """An exporter that takes as long as it likes."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.hanging = threading.Event()
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hang, until told."""
        self.hanging.set()
        self.go_on.wait(60)
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def test_an_exporter_that_hangs(figure: Figure) -> None:
    """While an exporter hangs for a minute (here: until told) no request waits, and nothing is lost that fits."""
    exporter, provider = Hangs(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1))
    wire = Wire(lambda _: sse(*WHOLE))
    client = groqscope.instrument(groq_client("sync", http={"transport": wire}), tracer_provider=provider)
    list(client.chat.completions.create(**STREAM))

    assert exporter.hanging.wait(10)
    took: list[float] = []
    for _ in range(200):
        began = time.perf_counter()
        list(client.chat.completions.create(**STREAM))
        took.append(time.perf_counter() - began)
    exporter.go_on.set()
    flush()
    provider.force_flush()
    provider.shutdown()
    records = [span for span in exporter.spans if semconv.RECORD in (span.attributes or {})]
    figure(
        "while an exporter hung",
        f"{len(took)} requests, the slowest took {max(took) * 1e3:.1f} ms, {201 - len(records)} lost",
    )

    assert len(records) == 201
    assert max(took) < 20  # the exporter hangs for sixty


class JumpingClock:
    """A monotonic clock that is none."""

    def __init__(self, jumps: Sequence[int]) -> None:
        self._jumps = jumps
        self._calls = 0

    def __call__(self) -> int:
        jump = self._jumps[self._calls % len(self._jumps)]
        self._calls += 1
        return time.monotonic_ns() + jump


_HOUR = 3_600 * 10**9
_SHIFTS = st.lists(st.sampled_from([0, -1, 1, _HOUR, -_HOUR, 30 * 24 * _HOUR, -(10**6)]), min_size=1, max_size=12)


@given(_SHIFTS, st.sampled_from(["read", "closed"]))
def test_a_clock_that_jumps(jumps: list[int], how: str) -> None:
    """Whatever the clock says: the caller's objects are the same, no length is negative, and the phases add up."""
    exported = Exported()
    delta = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    tool = {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    pieces = [*WHOLE[:-1], b"data: " + json.dumps(tool).encode() + b"\n\n", WHOLE[-1]]
    client = groq_client("sync", http={"transport": Wire(lambda _: sse(*pieces))}, max_retries=0)
    exported.instrument(client, clock=JumpingClock(jumps))
    stream = client.chat.completions.create(**STREAM)
    if how == "closed":
        next(stream)
        stream.close()
    else:
        assert len(list(stream)) == 3
    record, span = exported.only()
    exported.shutdown()
    lengths = [getattr(record, f.name) for f in fields(record) if f.name.endswith("_ns") and f.name != "start_unix_ns"]
    calls = [
        getattr(call, name) for call in record.tool_calls for name in ("first_delta_ns", "delta_ns", "assembly_ns")
    ]

    assert [n for n in [*lengths, *calls] if n is not None and n < 0] == []
    assert record.phases.total() == record.duration_ns
    assert (span.end_time or 0) >= (span.start_time or 0)
    assert encode(record_from(span))[0]


def test_a_wall_clock_that_jumps(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock gives the start alone: set back by a year in the middle, no length changes."""
    client = exported.client("sync", http={"transport": Wire(lambda _: sse(*WHOLE))})
    stream = client.chat.completions.create(**STREAM)
    next(stream)
    year = 365 * 24 * _HOUR
    now, now_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now() - year / 1e9)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() - year)
    list(stream)
    record, span = exported.only()

    assert record.duration_ns < _HOUR
    assert 0 <= (span.end_time or 0) - (span.start_time or 0) == record.duration_ns


# Trio says so of a stream closed early with the bare SDK, too.
@pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected before:ResourceWarning")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_event_loops(backend: str, sim: Simulator, exported: Exported) -> None:
    """On asyncio and on trio, in one loop after the other: nested and concurrent streams, retries, cancellation."""
    sim.play(TOOLS)

    async def read(client: Any) -> None:
        async with await client.chat.completions.create(**STREAM) as stream:
            async for _ in stream:
                await anyio.lowlevel.checkpoint()

    async def main() -> None:
        async with exported.client("async", sim.base_url) as client:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(read, client)
            async with await client.chat.completions.create(**STREAM) as stream:
                await anext(aiter(stream))
                await client.chat.completions.create(**ASK)
            sim.play([Failure(500), TOOLS])
            await read(client)
            sim.play(Answer("a b c", delays=Delays(per_chunk=5.0)))
            with anyio.move_on_after(0.05):
                await read(client)
            sim.play(TOOLS)

    for _ in range(2):
        anyio.run(main, backend=backend)
    outcomes = sorted(str(record.outcome) for record in exported.records)

    assert outcomes.count("completed") == 10
    assert outcomes.count("cancelled") == 2
    assert [o for o in outcomes if o not in ("completed", "cancelled")] == ["closed"] * 2
    assert sorted(len(r.attempts) for r in exported.records)[-2:] == [2, 2]


def test_loops_in_threads(sim: Simulator, exported: Exported) -> None:
    """Four threads, each with a loop of its own, at once: every record once, nobody's span below another's."""
    sim.play(TOOLS)

    async def main(number: int) -> None:
        async with exported.client("async", sim.base_url) as client:

            async def one() -> None:
                await asyncio.sleep(random.Random(number).random() / 100)
                async for _ in await client.chat.completions.create(**STREAM):
                    pass

            await asyncio.gather(*(one() for _ in range(5)))

    threads = [threading.Thread(target=asyncio.run, args=(main(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = exported.record_spans

    assert [r.outcome for r in exported.records] == ["completed"] * 20
    assert {span.parent for span in spans} == {None}
    assert len({span.context.trace_id for span in spans}) == 20
