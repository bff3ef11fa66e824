"""The record span and its children: names, kinds, parents, attributes and events, as semconv lists them."""

import logging
from typing import Any

import groq
import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode
from support.both import Mode, both, each_mode
from support.callers import stream, whole
from support.processes import WHOLE
from support.recordings import FOLDER
from support.scope import MODEL, STREAM, Exported, Wire, sse
from support.timed import simulated_client

from groqscope import __version__, record_of, semconv
from groqscope.codec import encode
from groqscope.instrument import flush
from groqscope.simulator import (
    Answer,
    Delays,
    ErrorEvent,
    Failure,
    Pace,
    Recorded,
    Simulator,
    ToolCall,
    Truncated,
    read_recording,
)
from groqscope.testing import record_from

TOOLS = Answer(
    ["so", "then"],
    tool_calls=[ToolCall("weather", ['{"city":', '"Rome"}']), ToolCall("time", "{}")],
    delays=Delays(per_chunk=0.003),
)
RETRIED = [Failure(429, retry_after=0.01), Failure(503, headers={"retry-after-ms": "10"}), TOOLS]
FULL: dict[str, Any] = {
    **STREAM,
    "max_completion_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "stop": ["x", "y"],
    "seed": 7,
    "reasoning_effort": "low",
    "reasoning_format": "parsed",
    "service_tier": "on_demand",
    "response_format": {"type": "json_object"},
    "tools": [{"type": "function", "function": {"name": "weather"}}],
}


@both
async def leave(client: Any) -> None:
    async with client, await client.chat.completions.create(**STREAM) as opened:
        async for chunk in opened:
            if chunk.choices[0].delta.content:
                break


@both
async def fail(client: Any, kind: type[Exception]) -> None:
    async with client:
        with pytest.raises(kind):
            async for _ in await client.chat.completions.create(**STREAM):
                pass


@each_mode
def test_record_span_and_children(mode: Mode, exported: Exported) -> None:
    """A client span carries the record; below it, in order and inside it, are phases, attempts and tool calls."""
    stream(mode, simulated_client(mode, exported, *RETRIED))
    record, span = exported.only()
    children = exported.children(span)
    phases = [c for c in children if semconv.PHASE in (c.attributes or {})]
    attempts = [c for c in children if c.name == "POST"]
    calls = [c for c in children if c.name.startswith("assemble_tool_call")]

    assert (span.name, span.kind, span.parent) == (f"chat {MODEL}", SpanKind.CLIENT, None)
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("groqscope", __version__)
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.41.0"
    assert len(exported.spans) == 1 + len(children) == 1 + len(phases) + len(attempts) + len(calls)
    assert [c.name for c in phases] == ["prepare", "pool_wait", "connect", "send", "wait", "stream"]
    assert [c.name for c in calls] == ["assemble_tool_call weather", "assemble_tool_call time"]
    assert [(c.kind, c.status.status_code) for c in attempts] == [
        (SpanKind.CLIENT, StatusCode.ERROR),
        (SpanKind.CLIENT, StatusCode.ERROR),
        (SpanKind.CLIENT, StatusCode.UNSET),
    ]
    assert {c.kind for c in (*phases, *calls)} == {SpanKind.INTERNAL}
    for row in (phases, attempts, calls):
        times = [t for c in row for t in (c.start_time or 0, c.end_time or 0)]
        assert times == sorted(times), [c.name for c in row]
    for child in children:
        assert (span.start_time or 0) <= (child.start_time or 0) <= (child.end_time or 0) <= (span.end_time or 0)
        assert child.context.trace_id == span.context.trace_id
        assert child.resource is span.resource
    assert len({c.context.span_id for c in (span, *children)}) == 1 + len(children)
    assert record.phases.total() == (span.end_time or 0) - (span.start_time or 0)


@each_mode
def test_attempts(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Each attempt has its address, status, error, the pause it was asked for, and its number."""
    sim.play(RETRIED)
    whole(mode, exported.client(mode, sim.base_url))
    _, span = exported.only()
    attempts = [dict(c.attributes or {}) for c in exported.children(span) if c.name == "POST"]
    url = httpx.URL(sim.base_url)
    common = {
        "http.request.method": "POST",
        "url.full": f"{sim.base_url}/openai/v1/chat/completions",
        "server.address": url.host,
        "server.port": url.port,
    }

    assert attempts == [
        {**common, "http.response.status_code": 429, "error.type": "rate_limit_exceeded", "groq.retry_after": 0.01},
        {
            **common,
            "http.response.status_code": 503,
            "error.type": "service_unavailable",
            "groq.retry_after": 0.01,
            "http.request.resend_count": 1,
        },
        {**common, "http.response.status_code": 200, "http.request.resend_count": 2},
    ]


@each_mode
def test_one_attempt_has_no_span_of_its_own(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Nor have tool calls of an answer that was not streamed; without phase spans there are no children."""
    sim.play(TOOLS)
    exported.options["phase_spans"] = False
    whole(mode, exported.client(mode, sim.base_url))

    assert len(exported.spans) == 1


@each_mode
def test_tool_calls(mode: Mode, exported: Exported) -> None:
    """A call's span lasts from the moment the caller asked for it to its last fragment, and says what came."""
    opened = stream(mode, simulated_client(mode, exported, TOOLS))
    record, span = exported.only()
    calls = [c for c in exported.children(span) if c.name.startswith("assemble")]

    assert record_of(opened) == record
    assert [call.assembly_ns for call in record.tool_calls] == [6_000_000, 3_000_000]
    for call, told in zip(calls, record.tool_calls, strict=True):
        assert dict(call.attributes or {}) == {
            "groqscope.tool_call.index": told.index,
            "gen_ai.tool.call.id": told.id,
            "gen_ai.tool.name": told.name,
            "groqscope.tool_call.assembly_time": (told.assembly_ns or 0) / 1e9,
            "groqscope.tool_call.first_delta_time": (told.first_delta_ns or 0) / 1e9,
            "groqscope.tool_call.delta_time": (told.delta_ns or 0) / 1e9,
            "groqscope.tool_call.deltas": told.deltas,
            "groqscope.tool_call.arguments_size": told.arguments_size,
            "groqscope.tool_call.arguments_valid_json": True,
        }
        assert (call.end_time or 0) - (call.start_time or 0) == told.assembly_ns


KNOWN = {a.name: a for a in (*semconv.FIELDS, *semconv.DERIVED, *semconv.USAGE_BREAKDOWN)}
TYPES = {
    "string": str,
    "int": int,
    "double": float,
    "boolean": bool,
    "string[]": tuple,
    "int[]": tuple,
}


def assert_declared(span: ReadableSpan, at_most: int = 60) -> None:
    """Each attribute has a name and type that semconv lists, and there are not too many."""
    for name, value in (span.attributes or {}).items():
        assert type(value) is TYPES[KNOWN[name].type], name
    assert len(span.attributes or {}) <= at_most


@each_mode
def test_attributes_of_a_request_with_everything(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Parameters are there as they were sent; the rest is the record's, under semconv's names and types."""
    sim.play(RETRIED)
    stream(mode, exported.client(mode, sim.base_url), **FULL)
    record, span = exported.only()
    attributes = dict(span.attributes or {})

    assert_declared(span, at_most=75)  # thirteen of them because they were sent
    assert encode(record)[0].items() <= attributes.items()
    assert attributes.keys() == encode(record)[0].keys()
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "groq",
        "gen_ai.system": "groq",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.1,
        "gen_ai.request.stop_sequences": ("x", "y"),
        "gen_ai.request.seed": 7,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
        "gen_ai.response.finish_reasons": ("tool_calls",),
        "groq.request.reasoning_format": "parsed",
        "groq.request.service_tier": "on_demand",
        "groqscope.request.tools": 1,
        "groqscope.request.messages": 1,
        "groqscope.attempts": 3,
        "groqscope.record": 1,
    }.items() <= attributes.items()


@each_mode
def test_attributes_of_an_ordinary_stream(mode: Mode, exported: Exported) -> None:
    """There are about sixty."""
    stream(mode, simulated_client(mode, exported, Answer("a b c", reasoning="d e")), temperature=0, max_tokens=5)

    assert_declared(exported.only()[1], at_most=68)


@each_mode
def test_attributes_of_a_minimal_request(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """No default of the SDK's is written as if it had been sent; what is unknown is absent, never 0."""
    sim.play(Answer("a", usage=None))
    whole(mode, exported.client(mode, sim.base_url))
    _, span = exported.only()

    assert_declared(span)
    assert not [
        name
        for name in (span.attributes or {})
        if name.startswith(("gen_ai.usage", "groq.usage", "operation.cost", "groqscope.stream.chunks", "groqscope.tt"))
        or (name.startswith("gen_ai.request") and name != "gen_ai.request.model")
    ]


class _Asked(Sampler):
    """A sampler that notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def should_sample(
        self,
        parent_context: Any,
        trace_id: Any,
        name: Any,
        kind: Any = None,
        attributes: Any = None,
        *args: Any,
        **_: Any,
    ) -> SamplingResult:
        self.seen.append((name, kind, dict(attributes or {})))
        return ALWAYS_ON.should_sample(parent_context, trace_id, name, kind, attributes)

    def get_description(self) -> str:
        return "asked"


def test_what_samplers_see(sim: Simulator) -> None:
    """Operation, provider, model and server are there when the span is created."""
    sim.play(Answer("a"))
    sampler = _Asked()
    exported = Exported(sampler=sampler)
    whole("sync", exported.client("sync", sim.base_url))
    exported.shutdown()
    url = httpx.URL(sim.base_url)

    assert sampler.seen[:1] == [
        (
            f"chat {MODEL}",
            SpanKind.CLIENT,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "groq",
                "gen_ai.system": "groq",
                "gen_ai.request.model": MODEL,
                "server.address": url.host,
                "server.port": url.port,
            },
        )
    ]


@each_mode
def test_events(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """First chunk, usage, attempts and tool calls are events, each once and at its time; tokens are not."""
    sim.play([Failure(429, retry_after=0.001), Answer(["a"] * 300, tool_calls=[ToolCall("f")])])
    stream(mode, exported.client(mode, sim.base_url))
    record, span = exported.only()

    assert [e.name for e in sorted(span.events, key=lambda e: e.timestamp)] == [
        "groqscope.attempt",
        "groqscope.attempt",
        "groqscope.first_chunk",
        "groqscope.tool_call",
        "groqscope.usage_delta",
    ]
    assert all((span.start_time or 0) <= e.timestamp <= (span.end_time or 0) for e in span.events)
    first = next(e for e in span.events if e.name == "groqscope.first_chunk")
    assert first.timestamp - (span.start_time or 0) == record.ttfc_ns
    assert record.chunks == 303
    known = {e.name: {a.name for a in e.attributes} for e in semconv.EVENTS}
    for event in span.events:
        assert set(event.attributes or {}) <= known[event.name]


@each_mode
@pytest.mark.parametrize(
    ("script", "kind", "error"),
    [
        (Failure(401, message="canary"), groq.AuthenticationError, "invalid_api_key"),
        (Answer(["a"], ending=ErrorEvent(1, message="canary")), groq.APIError, "tool_use_failed"),
    ],
)
def test_errors(script: Any, kind: type[Exception], error: str, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Status and error.type name the error; the exception event has its type, but not a message with a prompt."""
    sim.play(script)
    fail(mode, exported.client(mode, sim.base_url), kind)
    _, span = exported.only()
    events = [e for e in span.events if e.name == "exception"]

    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, error)
    assert (span.attributes or {})["error.type"] == error
    assert [dict(e.attributes or {}) for e in events] == [{"exception.type": error}]
    assert "canary" not in span.to_json()


@each_mode
@pytest.mark.parametrize(("ask", "script"), [(leave, Answer(["a", "b"])), (stream, Answer(["a"], ending=Truncated(2)))])
def test_a_stream_that_ended_early(ask: Any, script: Any, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Its status is unset, its tokens are an estimate and no usage, and it has no cost."""
    sim.play(script)
    ask(mode, exported.client(mode, sim.base_url))
    record, span = exported.only()

    assert span.status.status_code is StatusCode.UNSET
    assert record.output_tokens_estimate == 1
    assert not [n for n in (span.attributes or {}) if n.startswith(("gen_ai.usage", "groq.usage", "operation.cost"))]
    assert (span.attributes or {})["groqscope.usage.output_tokens.estimate"] == 1


def test_tools_that_groq_ran(exported: Exported) -> None:
    """In a compound answer searches are children and arrays, inner models arrays; none is a second inference."""
    recorded = Recorded(read_recording(FOLDER / "pai_web_search_tool_stream_0.json"), Pace(chunk=0.005))
    stream("sync", simulated_client("sync", exported, recorded), model="compound-beta")
    record, span = exported.only()
    tools = [c for c in exported.children(span) if c.name.startswith("execute_tool")]

    assert_declared(span, at_most=69)  # five of them are arrays of a compound system's
    assert [c.name for c in tools] == ["execute_tool search"]
    assert [dict(c.attributes or {}) for c in tools] == [
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.type": "extension"}
    ]
    assert [(c.end_time or 0) - (c.start_time or 0) for c in tools] == [t.duration_ns for t in record.executed_tools]
    assert (span.attributes or {})["groq.executed_tools.count"] == len(record.executed_tools) == 1
    inner: Any = (span.attributes or {})["groq.usage_breakdown.models"]
    assert inner == tuple(m.model for m in record.usage_models)
    assert len(inner) == 4


# -- inside another library's inference span


@each_mode
def test_nested(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Inside another library's chat span the record is on an internal child, which nobody counts as an inference."""
    sim.play([Failure(429, retry_after=0.001), Answer(["a"]), Answer(["b"])])
    tracer = exported.tracer_provider.get_tracer("pydantic-ai")
    with tracer.start_as_current_span("chat m", attributes={"gen_ai.operation.name": "chat"}):
        for _ in range(2):
            stream(mode, exported.client(mode, sim.base_url))
    outer = next(s for s in exported.spans if s.name == "chat m")
    spans = exported.record_spans

    for span in spans:
        assert (span.name, span.kind) == (f"groq.request {MODEL}", SpanKind.INTERNAL)
        assert span.parent is not None
        assert span.parent.span_id == outer.context.span_id
        assert "gen_ai.operation.name" not in (span.attributes or {})
        assert (span.attributes or {})["gen_ai.usage.output_tokens"]
    assert [record_from(s).nested for s in spans] == [True, True]
    assert {n: v for n, v in (outer.attributes or {}).items() if n != "groqscope.ttft"} == {
        "gen_ai.operation.name": "chat",
        "groqscope.requests": 2,
        "groqscope.attempts": 3,
        "groqscope.stream.outcome": "completed",
    }
    found = exported.metrics()
    assert found["gen_ai.client.operation.duration"]
    assert not found.keys() & {
        "gen_ai.client.token.usage",
        "gen_ai.client.operation.time_to_first_chunk",
        "groqscope.cost",
    }


CHAT = {"gen_ai.operation.name": "chat"}


@pytest.mark.parametrize(
    ("scope", "attributes", "left"),
    [
        ("pydantic-ai", CHAT, {"gen_ai.client.token.usage", "groqscope.cost"}),
        ("somebody", CHAT, {"gen_ai.client.token.usage", "groqscope.cost"}),
        (
            "opentelemetry.instrumentation.langchain",
            {"llm.request.type": "chat"},
            {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"},
        ),
        ("openinference.instrumentation.langchain", {"openinference.span.kind": "LLM"}, set()),
    ],
)
def test_metrics_inside_another_inference(
    scope: str, attributes: dict[str, str], left: set[str], sim: Simulator, exported: Exported
) -> None:
    """Those that the outer library records are left to it; all others are recorded."""
    sim.play(Answer("a"))
    with exported.tracer_provider.get_tracer(scope).start_as_current_span("outer", attributes=attributes):
        whole("sync", exported.client("sync", sim.base_url))
    record, _ = exported.only()
    measured = exported.metrics().keys()
    shared = {"gen_ai.client.token.usage", "gen_ai.client.operation.duration", "groqscope.cost"}

    assert record.nested
    assert shared - measured == left


@pytest.mark.parametrize("attributes", [{}, {"gen_ai.operation.name": "invoke_agent"}, {"http.request.method": "GET"}])
def test_not_nested(attributes: dict[str, str], sim: Simulator, exported: Exported) -> None:
    """Below a span that is not an inference (an agent's run, a web request) the request is an inference of its own."""
    sim.play(Answer("a"))
    with exported.tracer_provider.get_tracer("app").start_as_current_span("outer", attributes=attributes):
        whole("sync", exported.client("sync", sim.base_url))
    record, span = exported.only()

    assert not record.nested
    assert span.parent is not None
    assert (span.attributes or {})["gen_ai.operation.name"] == "chat"


# -- providers


def test_a_provider_that_is_shut_down_at_once(sim: Simulator) -> None:
    """What has ended is exported by the provider's own flush or shutdown, even if it follows at once."""
    sim.play(TOOLS)
    for finish in ("shutdown", "force_flush"):
        exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
        stream("sync", Exported(options={"tracer_provider": provider}).client("sync", sim.base_url))
        getattr(provider, finish)()

        assert len(exporter.get_finished_spans()) >= 7, finish
        provider.shutdown()


def test_limits_of_the_provider(sim: Simulator) -> None:
    """The SDK's limits on attributes and on their lengths hold."""
    sim.play(Answer("a"))
    exporter = InMemorySpanExporter()
    for limits in (SpanLimits(max_attribute_length=5), SpanLimits(max_span_attributes=12, max_events=1)):
        provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        stream("sync", Exported(options={"tracer_provider": provider}).client("sync", sim.base_url))
    flush()
    short, few = (s for s in exporter.get_finished_spans() if s.name.startswith("chat"))

    assert max(len(v) for v in (short.attributes or {}).values() if isinstance(v, str)) == 5
    assert (len(few.attributes or {}), len(few.events)) == (12, 1)


@pytest.mark.injects_failure
def test_metrics_that_cannot_be_recorded_are_logged_once(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure after the request is counted each time and logged once, without the exception's message."""
    said = "the text of a prompt"

    def fail(*_: object, **__: object) -> None:
        raise ValueError(said)

    monkeypatch.setattr("groqscope.telemetry.metrics.Metrics.record", fail)
    client = exported.client("sync", http={"transport": Wire(lambda _: sse(*WHOLE))})
    with caplog.at_level(logging.DEBUG, "groqscope"):
        for _ in range(3):
            list(client.chat.completions.create(**STREAM))
        client.close()
        points = exported.metrics()["groqscope.internal_errors"]

    assert [point.value for point in points] == [3]
    assert caplog.text.count("could not record the metrics of a request (ValueError)") == 1
    assert said not in caplog.text
