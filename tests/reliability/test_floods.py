"""Floods: memory, attributes and series stay bounded, what is over is counted, and the caller gets all of it."""

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.context import Context
from support.figures import Figure
from support.scope import MODEL, STREAM, Exported, Wire, sse

from groqscope import RequestRecord
from groqscope.telemetry import price
from groqscope.telemetry.metrics import MAX_VALUES, OTHER, Metrics
from groqscope.timeline import Phases, ToolCall, Usage
from groqscope.timeline.tools import MAX_CALLS, MAX_COUNTED

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
SPAN_BYTES = 96 * 1024
"""What a record span may take as JSON, whatever was asked and answered."""
DONE = b"data: [DONE]\n\n"


class Flood(httpx.SyncByteStream):
    """A body that is made as it is read."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces()


def _chunk(choices: list[dict[str, Any]], **fields: Any) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices, **fields}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _delta(index: int = 0, reason: str | None = None, **delta: Any) -> bytes:
    return _chunk([{"index": index, "delta": delta, "finish_reason": reason}])


def _flooded(exported: Exported, pieces: Callable[[], Iterator[bytes]]) -> tuple[int, RequestRecord, int]:
    """Read a flood to its end: chunks the caller got, the record, and the memory it took at most."""

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Flood(pieces))

    client = exported.client("sync", http={"transport": Wire(lambda _: sse(_delta(content="a"), DONE))})
    list(client.chat.completions.create(**STREAM))  # everything imported
    exported.exporter.clear()
    price((MODEL,), Usage(input_tokens=1, output_tokens=1))
    client = exported.client("sync", http={"transport": Wire(respond)})
    stream = client.chat.completions.create(**STREAM)
    tracemalloc.start()
    try:
        chunks = sum(1 for _ in stream)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    record, span = exported.only()

    assert len(span.to_json()) < SPAN_BYTES
    return chunks, record, peak


@pytest.fixture(name="exported")
def _exported() -> Iterator[Exported]:
    exported = Exported()
    yield exported
    exported.shutdown()


def test_a_million_chunks(figure: Figure) -> None:
    """A stream of 1,000,000 chunks takes the memory of a short one; every chunk is counted."""
    million = 1_000_000
    exported = Exported()
    per_read, reads = 500, million // 500
    piece = _delta(content="a") * per_read

    def respond(_: httpx.Request) -> httpx.Response:
        flood = Flood(lambda: (piece for _ in range(reads)))
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=flood)

    client = exported.client("sync", http={"transport": Wire(respond)})
    stream = client.chat.completions.create(**STREAM)
    for _ in range(per_read * 20):
        next(stream)
    price(
        (MODEL,), Usage(input_tokens=1, output_tokens=1)
    )  # the list of prices is loaded, which a thread else does now
    tracemalloc.start()
    # Tracing costs ten times the stream itself: the rise is looked at over a part of it.
    for _ in range(per_read * 20):
        next(stream)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(per_read * 100):
        next(stream)
    rise = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    count = per_read * 140 + sum(1 for _ in stream)
    record, span = exported.only()
    exported.shutdown()
    figure(f"flood of {count:,} chunks", f"{rise:,} bytes more after 50,000 of them, a span of {len(span.to_json()):,}")

    assert count == million
    assert (record.chunks, record.content_chunks, record.reads) == (million, million, reads)
    assert rise < 256 * 1024
    assert len(span.to_json()) < SPAN_BYTES


def test_a_gigabyte_of_arguments(exported: Exported, figure: Figure) -> None:
    """One tool call with 1 GB of arguments: the size is known to the byte, the memory flat."""
    size, fragment = 1 << 30, "a" * (4 * MIB)
    function = {"name": "f", "arguments": fragment}
    one = _delta(tool_calls=[{"index": 0, "id": "c", "type": "function", "function": function}])
    count = size // len(fragment)
    chunks, record, peak = _flooded(exported, lambda: (one for _ in range(count)))
    (call,) = record.tool_calls
    figure("flood of 1 GB of arguments", f"{peak / MIB:.0f} MiB at most, in chunks of {len(fragment) // MIB} MiB")

    assert (chunks, call.arguments_size, call.deltas, call.arguments_valid) == (count, size, count, None)
    assert peak < 20 * len(fragment)


def test_ten_thousand_tool_calls(exported: Exported, figure: Figure) -> None:
    """10,000 indexes: the first are recorded, those after them counted, up to a bound."""

    def pieces() -> Iterator[bytes]:
        for n in range(10_000):
            function = {"name": f"tool_{n}", "arguments": "{}"}
            yield _delta(tool_calls=[{"index": n, "id": f"call_{n}", "type": "function", "function": function}])
        yield DONE

    chunks, record, peak = _flooded(exported, pieces)
    figure(
        "flood of 10,000 tool calls",
        f"{peak / MIB:.1f} MiB at most, {len(record.tool_calls)} recorded, {record.tool_calls_dropped} more counted",
    )

    assert chunks == 10_000
    assert len(record.tool_calls) == MAX_CALLS
    assert record.tool_calls_dropped == MAX_COUNTED
    assert peak < 4 * MIB


def test_ten_thousand_choices(exported: Exported, figure: Figure) -> None:
    """10,000 choices in one chunk, each with an end of its own: a bounded list of finish reasons."""
    choices = [{"index": n, "delta": {"content": "a"}, "finish_reason": "stop"} for n in range(10_000)]
    chunks, record, peak = _flooded(exported, lambda: iter([_chunk(choices), DONE]))
    figure("flood of 10,000 choices", f"{peak / MIB:.0f} MiB at most, {len(record.finish_reasons)} finish reasons")

    assert chunks == 1
    assert record.finish_reasons == ("stop",) * 128
    assert record.outcome == "completed"
    assert peak < 100 * MIB


def test_usage_in_every_chunk(exported: Exported, figure: Figure) -> None:
    """Usage that grows ten thousand times: the first deltas are recorded, the others counted, the total is the last."""

    def pieces() -> Iterator[bytes]:
        for n in range(10_000):
            usage = {"prompt_tokens": 1, "completion_tokens": n, "total_tokens": n + 1}
            yield _chunk([{"index": 0, "delta": {"content": "a"}, "finish_reason": None}], x_groq={"usage": usage})
        yield DONE

    _, record, _ = _flooded(exported, pieces)
    figure(
        "flood of 10,000 usages",
        f"{len(record.usage_deltas)} deltas recorded, {record.usage_deltas_dropped:,} more counted",
    )

    assert len(record.usage_deltas) + record.usage_deltas_dropped == 10_000
    assert len(record.usage_deltas) <= 16
    assert record.usage.output_tokens == 9_999


def test_long_names(exported: Exported) -> None:
    """Names of a megabyte, wherever a server can put one, make no long attribute."""
    long = "n" * MIB
    tool = {"index": 0, "id": long, "type": "function", "function": {"name": long, "arguments": "{}"}}
    executed = {"index": 0, "type": long, "arguments": long, "output": long}
    delta = {"content": long, "tool_calls": [tool], "executed_tools": [executed]}
    chunk = _chunk(
        [{"index": 0, "delta": delta, "finish_reason": "stop"}],
        id=long,
        model=long,
        system_fingerprint=long,
        service_tier=long,
        x_groq={"id": long, "error": long},
    )
    _flooded(exported, lambda: iter([chunk, DONE]))


def test_huge_headers_and_error_bodies(exported: Exported, figure: Figure) -> None:
    """Headers of megabytes, ten thousand of them, and an error body of 32 MB: the caller's error, a small span."""
    headers = {f"x-{n}": "h" * 1_000 for n in range(10_000)} | {"x-request-id": "r" * MIB, "x-groq-region": "e" * MIB}
    error = {"message": "m" * (32 * MIB), "code": "c" * MIB, "type": "t" * MIB}
    reply = httpx.Response(400, headers={**headers, "x-ratelimit-limit-requests": "9" * MIB}, json={"error": error})
    client = exported.client("sync", http={"transport": Wire(lambda _: reply)}, max_retries=0)
    with pytest.raises(Exception, match="400"):
        client.chat.completions.create(**STREAM)
    record, span = exported.only()

    figure("flood of headers, error body of 32 MB", f"a span of {len(span.to_json()):,} bytes")

    assert (record.outcome, record.error_type, record.status) == ("error", "400", 400)
    assert len(span.to_json()) < SPAN_BYTES


@pytest.mark.parametrize("where", ["request model", "response model", "tool", "error"])
def test_a_hundred_thousand_names(exported: Exported, where: str, figure: Figure) -> None:
    """100,000 distinct names on metrics: a bounded number of series; the rest is counted under one name."""
    names, requests = 100_000, 0
    metrics = Metrics(exported.meter_provider.get_meter("flood"))
    for n in range(names):
        name = f"name_{n}"
        call = ToolCall(index=0, name=name if where == "tool" else "f", deltas=1, arguments_size=2, assembly_ns=1)
        record = RequestRecord(
            start_unix_ns=0,
            duration_ns=1,
            model=name if where == "request model" else MODEL,
            response_model=name if where == "response model" else MODEL,
            error_type=name if where == "error" else None,
            tool_calls=(call,),
            phases=Phases(),
        )
        begun = metrics.in_flight("chat", record.model)
        metrics.started(begun)
        metrics.ended(begun)
        if n < 2_000 or n % 50 == 0:  # what the SDK does per record is its own; ours is done for every name
            metrics.record(record, [], Context())
            requests += 1
        else:
            metrics._attributes(record)
            metrics._bounded({"tool": "gen_ai.tool.name"}.get(where, "error.type"), name)
    points = exported.metrics()
    series = {metric: len(found) for metric, found in points.items()}
    total = sum(p.count for p in points["gen_ai.client.operation.duration"])
    metric = "groqscope.tool_call.assembly_time" if where == "tool" else "gen_ai.client.operation.duration"
    (other,) = [p for p in points[metric] if OTHER in p.attributes.values()]
    figure(f"flood of {names:,} names ({where})", f"{max(series.values())} series a metric at most")

    assert max(series.values()) <= MAX_VALUES + 1
    assert total == requests
    assert other.count == requests - MAX_VALUES
    assert all(len(seen) <= MAX_VALUES for seen in metrics._values.values())


REQUESTS = """
import json, resource, sys
import httpx
from groq import Groq
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
import groqscope
from groqscope.telemetry import worker
from support.scope import ASK, COMPLETION

class ToBytes(SpanExporter):
    def export(self, spans):
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS

tracers, reader = TracerProvider(), InMemoryMetricReader()
tracers.add_span_processor(BatchSpanProcessor(ToBytes()))
groqscope.instrument(tracer_provider=tracers, meter_provider=MeterProvider([reader]))
answer = lambda request: httpx.Response(200, json=COMPLETION)
client = Groq(api_key="k", base_url="http://groq.test", http_client=httpx.Client(transport=httpx.MockTransport(answer)))
told, waiting = [], 0
for step in range(10):
    for _ in range(int(sys.argv[1]) // 10):
        client.chat.completions.create(**ASK)
        waiting = max(waiting, len(worker._jobs))
    told.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
groqscope.flush()
points = [p for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics
          if m.name == "gen_ai.client.operation.duration" for p in m.data.data_points]
print(json.dumps({"kib": told, "waiting": waiting, "measured": sum(p.count for p in points)}))
"""


def test_a_hundred_thousand_requests(figure: Figure) -> None:
    """Made as fast as they are answered, they leave nothing behind, and each is measured."""
    pytest.importorskip("resource", reason="Windows tells no peak of memory")
    done = subprocess.run(
        [sys.executable, "-c", REQUESTS, "100000"], cwd=Path(__file__).parents[1], check=True, capture_output=True
    )
    told = json.loads(done.stdout)
    after_a_tenth, after_all = told["kib"][0] / 1024, told["kib"][-1] / 1024
    figure("100,000 requests in a loop", f"{after_a_tenth:.0f} MiB after 10,000 of them, {after_all:.0f} MiB after all")

    assert told["measured"] == 100_000
    assert told["waiting"] <= 1_100
    assert after_all - after_a_tenth < 12
