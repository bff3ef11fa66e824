"""Metrics have the names, units, bounds and attributes that semconv lists, and exemplars that lead to traces."""

import json
import threading
from dataclasses import replace
from typing import Any

import groq
import httpx
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from support.both import Mode, both, each_mode
from support.callers import stream, whole
from support.full_records import ordinary_record
from support.runs import request
from support.scope import ASK, MODEL, STREAM, Exported, Wire, sse
from support.timed import simulated_client

from groqscope import record_of, semconv
from groqscope.instrument import flush
from groqscope.runs import run_of
from groqscope.simulator import Answer, Delays, Failure, Simulator, ToolCall, Usage
from groqscope.telemetry.metrics import MAX_VALUES, shared_metrics

DECLARED = {metric.name: metric for metric in semconv.METRICS}
BUSY = [
    Failure(429, retry_after=0.001),
    Answer(
        ["a"] * 20,
        tool_calls=[ToolCall("weather"), ToolCall("time")],
        usage=Usage(prompt_tokens=1_000, completion_tokens=50, queue_time=0.002, prompt_time=0.03, completion_time=0.2),
        delays=Delays(per_chunk=0.001),
    ),
]


def sums(exported: Exported, name: str) -> dict[tuple[Any, ...], float]:
    """Return a metric's values by the attributes that only this metric has."""
    common = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"}
    return {
        tuple(v for k, v in sorted(p.attributes.items()) if k not in common and not k.startswith("server.")): (
            p.value if hasattr(p, "value") else p.sum
        )
        for p in exported.metrics().get(name, [])
    }


@each_mode
def test_every_metric_as_declared(mode: Mode, exported: Exported) -> None:
    """A request of many parts fills each metric but that of failures, as declared: names, units, bounds, attributes."""
    stream(mode, simulated_client(mode, exported, *BUSY))
    miss = {"cache_miss": "message[2]", "cache_missed_tokens": 256, "cache_saved": 0.1, "cache_lost": 0.2}
    missed = replace(ordinary_record(), **miss)
    shared_metrics(exported.meter_provider).record(missed, [], Context())
    shared_metrics(exported.meter_provider).record_run(run_of([request("r", 1, receive=100)]), Context())
    flush()
    data = exported.reader.get_metrics_data()
    assert data is not None
    found: dict[str, Any] = {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}

    assert found.keys() == DECLARED.keys() - {"groqscope.internal_errors"}
    for name, metric in found.items():
        declared = DECLARED[name]
        assert (metric.unit, metric.description) == (declared.unit, declared.brief), name
        for point in metric.data.data_points:
            assert set(point.attributes) <= set(declared.attributes), name
            if declared.kind == "histogram":
                assert tuple(point.explicit_bounds) == declared.buckets, name
    monotonic = {n: m.data.is_monotonic for n, m in found.items() if hasattr(m.data, "is_monotonic")}
    assert monotonic == {
        "groqscope.attempts": True,
        "groqscope.stream.outcomes": True,
        "groqscope.cost": True,
        **{f"groqscope.cache.{name}": True for name in ("tokens", "misses", "saved", "lost")},
        "groqscope.requests.active": False,
    }


def test_the_bounds_that_the_conventions_recommend() -> None:
    """Durations and tokens have the recommended bounds; gaps between chunks finer ones, in the range of 1 to 3 ms."""
    seconds = tuple(round(0.01 * 2**n, 2) for n in range(14))

    assert DECLARED["gen_ai.client.operation.duration"].buckets == seconds
    assert DECLARED["gen_ai.client.operation.time_to_first_chunk"].buckets == seconds
    assert DECLARED["gen_ai.client.token.usage"].buckets == tuple(4.0**n for n in range(14))
    fine = DECLARED["gen_ai.client.operation.time_per_output_chunk"].buckets or ()
    assert sum(0.001 <= bound <= 0.003 for bound in fine) >= 4


@each_mode
def test_metrics_have_the_values_of_the_record(mode: Mode, exported: Exported) -> None:
    """One request's metrics are its record's durations, tokens, cost and limits."""
    record = record_of(stream(mode, simulated_client(mode, exported, *BUSY)))
    assert record is not None
    points = exported.metrics()

    def one(name: str) -> Any:
        assert len(points[name]) == 1, name
        return points[name][0]

    assert one("gen_ai.client.operation.duration").sum == record.duration_ns / 1e9
    assert one("gen_ai.client.operation.time_to_first_chunk").sum == (record.ttfc_ns or 0) / 1e9
    assert sums(exported, "gen_ai.client.token.usage") == {("input",): 1000, ("output",): 50}
    assert sums(exported, "groqscope.phase.time") == {(n,): length / 1e9 for n, length in record.phases.items()}
    assert sums(exported, "groqscope.tool_call.assembly_time") == {
        (call.name,): (call.assembly_ns or 0) / 1e9 for call in record.tool_calls
    }
    assert sums(exported, "groqscope.attempts") == {("ok",): 1, ("429",): 1}  # a stream's error body is not read
    assert sums(exported, "groqscope.stream.outcomes") == {("completed",): 1}
    assert sums(exported, "groqscope.requests.active") == {(): 0}
    assert sums(exported, "groqscope.cost") == {(): record.cost}
    assert [one(f"groq.server.{n}_time").sum for n in ("queue", "prompt", "completion")] == [0.002, 0.03, 0.2]
    gaps = one("gen_ai.client.operation.time_per_output_chunk")
    assert (gaps.count, gaps.min, gaps.max) == ((record.chunks or 0) - 1, 0.001, 0.001)
    limits = record.rate_limits
    assert sums(exported, "groq.ratelimit.remaining") == {
        ("requests",): limits.requests_remaining,
        ("tokens",): limits.tokens_remaining,
    }
    assert sums(exported, "groq.ratelimit.limit") == {
        ("requests",): limits.requests_limit,
        ("tokens",): limits.tokens_limit,
    }


@each_mode
def test_exemplars_lead_to_the_trace(mode: Mode, exported: Exported) -> None:
    """Each histogram is recorded after the span has ended, yet its exemplar names that span."""
    record = record_of(stream(mode, simulated_client(mode, exported, *BUSY)))
    assert record is not None
    seen = 0
    for name, points in exported.metrics().items():
        if DECLARED[name].kind == "histogram":
            for point in points:
                assert point.exemplars, name
                if name == "gen_ai.client.operation.time_per_output_chunk":
                    # Of all the gaps of a stream, the longest leads there.
                    assert [e.value for e in point.exemplars] == [point.max]
                for exemplar in point.exemplars:
                    seen += 1
                    assert format(exemplar.trace_id, "032x") == record.trace_id, name
                    assert format(exemplar.span_id, "016x") == record.span_id, name

    assert seen > 10


@each_mode
def test_metrics_of_a_failed_request(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """A failed request counts in durations and outcomes with its error.type; what it never had is not recorded as 0."""
    sim.play(Failure(400, code="tool_use_failed"))
    with pytest.raises(groq.BadRequestError):
        whole(mode, exported.client(mode, sim.base_url))
    points = exported.metrics()

    assert [p.attributes["error.type"] for p in points["gen_ai.client.operation.duration"]] == ["tool_use_failed"]
    assert sums(exported, "groqscope.stream.outcomes") == {("tool_use_failed", "error"): 1}
    assert not points.keys() & {
        "gen_ai.client.token.usage",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
        "groq.server.queue_time",
        "groqscope.cost",
    }


@each_mode
def test_requests_in_flight(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Requests are counted while they are open, by model."""
    sim.play(Answer(["a"] * 5))
    while_reading(mode, exported.client(mode, sim.base_url), exported)

    assert sums(exported, "groqscope.requests.active") == {(): 0}


@both
async def while_reading(client: Any, exported: Exported) -> None:
    async with client:
        first = await client.chat.completions.create(**STREAM)
        async for _ in await client.chat.completions.create(**STREAM):
            assert sums(exported, "groqscope.requests.active") == {(): 2}
            break
        await first.close()


def test_no_series_per_request(sim: Simulator, exported: Exported) -> None:
    """However many requests are made, there are only as many series as models, outcomes, phases and tools."""
    sim.play(Answer(["a"], tool_calls=[ToolCall("f")]))
    client = exported.client("sync", sim.base_url)
    counts = []
    for _ in range(2):
        for _ in range(10):
            list(client.chat.completions.create(**STREAM))
        counts.append({name: len(points) for name, points in exported.metrics().items()})
    client.close()

    assert counts[0] == counts[1]


def test_names_of_models_and_tools_are_limited(exported: Exported) -> None:
    """Beyond a number of models and tools they are `_OTHER`: callers' names cannot fill the metric store."""
    call = '{"index":0,"id":"c","function":{"name":"%s","arguments":""}}'
    chunk = '{"choices":[{"index":0,"delta":{"tool_calls":[' + call + "]}}]}"

    def answer(request: httpx.Request) -> httpx.Response:
        return sse(f"data: {chunk % json.loads(request.content)['model']}\n\ndata: [DONE]\n\n".encode())

    client = exported.client("sync", http={"transport": Wire(answer)})
    for number in range(MAX_VALUES + 20):
        list(client.chat.completions.create(**{**STREAM, "model": f"m{number}"}))
    client.close()
    points = exported.metrics()

    for name, key in (
        ("gen_ai.client.operation.duration", "gen_ai.request.model"),
        ("groqscope.tool_call.assembly_time", "gen_ai.tool.name"),
    ):
        values = {p.attributes[key] for p in points[name]}
        assert len(values) == MAX_VALUES + 1, name
        assert "_OTHER" in values


def test_collected_while_requests_end(sim: Simulator) -> None:
    """A reader that collects all the time neither blocks nor loses a request."""
    sim.play(Answer(["a"]))
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False, exemplar_filter=AlwaysOnExemplarFilter())
    client = Exported(options={"meter_provider": provider}).client("sync", sim.base_url)
    stop = threading.Event()

    def collect() -> None:
        while not stop.wait(0.001):
            reader.collect()

    thread = threading.Thread(target=collect)
    thread.start()
    for _ in range(50):
        client.chat.completions.create(**ASK)
    client.close()
    stop.set()
    thread.join(10)
    data = reader.get_metrics_data()
    assert data is not None
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    points: dict[str, Any] = {m.name: m.data.data_points for m in metrics}

    assert not thread.is_alive()
    assert sum(p.count for p in points["gen_ai.client.operation.duration"]) == 50
    provider.shutdown()


def test_the_model_that_answered(sim: Simulator, exported: Exported) -> None:
    """The model asked for and the model that answered are both recorded, and may differ."""
    sim.play(Answer("a", model="groq/compound"))
    whole("sync", exported.client("sync", sim.base_url), model="compound-beta")
    (point,) = exported.metrics()["gen_ai.client.operation.duration"]

    assert point.attributes["gen_ai.request.model"] == "compound-beta"
    assert point.attributes["gen_ai.response.model"] == "groq/compound"
    assert MODEL not in point.attributes.values()
