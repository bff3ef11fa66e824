"""Libraries around a request or below it: OpenTelemetry's httpx and util-genai, logfire, pydantic-ai."""

import asyncio
from typing import Any

import httpx
import logfire
import pytest
from opentelemetry.instrumentation.groq import GroqInstrumentor as OpenLLMetry
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.trace import SpanKind
from opentelemetry.util.genai.handler import TelemetryHandler
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from support.both import Mode, each_mode
from support.scope import ASK, STREAM, http_client

from groqscope.models.groq import GroqModel
from groqscope.simulator import Answer, Delays, Failure, Simulator

TEXT = Answer(["a", "b"])
HTTP = ("opentelemetry", "one client", "logfire")
HEADERS_MS, CHUNK_MS = 120.0, 60.0


def ask(mode: Mode, client: Any, body: dict[str, Any]) -> None:
    """Make a request, and read all of it."""

    async def main() -> None:
        async with client:
            answer = await client.chat.completions.create(**body)
            if body.get("stream"):
                async for _ in answer:
                    pass

    if mode == "async":
        asyncio.run(main())
        return
    with client:
        answer = client.chat.completions.create(**body)
        if body.get("stream"):
            list(answer)


class Http:
    """httpx, instrumented in one of three ways, with hooks that note what they saw."""

    def __init__(self, how: str, mode: Mode, exported: Any) -> None:
        self.how = how
        self.seen: list[str] = []
        note, note_async = self._hooks()
        providers = {"tracer_provider": exported.tracer_provider, "meter_provider": exported.meter_provider}
        hooks = {"request_hook": note, "async_request_hook": note_async}
        if how == "opentelemetry":
            HTTPXClientInstrumentor().instrument(**providers, **hooks)
        self.client = http_client(mode)
        if how == "one client":
            HTTPXClientInstrumentor.instrument_client(
                self.client, exported.tracer_provider, request_hook=note_async if mode == "async" else note
            )
        if how == "logfire":
            configured = logfire.configure(local=True, send_to_logfire=False, console=False, metrics=False)
            configured.instrument_httpx(self.client, request_hook=note_async if mode == "async" else note, **providers)

    def _hooks(self) -> tuple[Any, Any]:
        def note(_span: Any, request: Any) -> None:
            self.seen.append(request.method.decode())

        async def note_async(span: Any, request: Any) -> None:
            note(span, request)

        return note, note_async

    def off(self) -> None:
        """Take it back."""
        if self.how == "opentelemetry":
            HTTPXClientInstrumentor().uninstrument()


@each_mode
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
@pytest.mark.parametrize("how", HTTP)
@pytest.mark.wall_clock
def test_httpx(how: str, body: dict[str, Any], mode: Mode, sim: Simulator, exported: Any) -> None:
    """An HTTP span for each attempt, below ours, which the server hears of; phases as without, and its hooks called."""
    answer = Answer(["a", "b"], delays=Delays(before_headers=HEADERS_MS / 1000, per_chunk=CHUNK_MS / 1000))
    sim.play([Failure(429, retry_after=0.001), answer])
    http = Http(how, mode, exported)
    try:
        ask(mode, exported.client(mode, sim.base_url, http_client=http.client), body)
    finally:
        http.off()
    record, span = exported.only()
    below = [s for s in exported.spans if "httpx" in s.instrumentation_scope.name]
    received = [served.received.headers["traceparent"] for served in sim.settle()[-2:] if served.received]

    assert http.seen == ["POST", "POST"]
    assert [s.kind for s in below] == [SpanKind.CLIENT] * 2
    assert {s.parent.span_id for s in below} == {span.context.span_id}
    assert [s.context.span_id for s in below] == [int(header.split("-")[2], 16) for header in received]
    assert [a.status for a in record.attempts] == [429, 200]
    assert record.phases.total() == record.duration_ns
    assert record.phases.send is not None
    waited = (record.phases.wait or 0) / 1e6
    assert HEADERS_MS * 0.9 < waited < HEADERS_MS + 3 * CHUNK_MS + 100


@each_mode
def test_a_trace_callback_beside_httpx_instrumentation(mode: Mode, sim: Simulator, exported: Any) -> None:
    """A `trace` extension of the caller's is told everything, through all layers."""
    sim.play(TEXT)
    seen: list[str] = []

    class Traced(httpx.Client if mode == "sync" else httpx.AsyncClient):  # type: ignore[misc] - of either kind
        def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
            request = super().build_request(*args, **kwargs)

            async def note_async(name: str, _info: Any) -> None:
                seen.append(name)

            request.extensions["trace"] = note_async if mode == "async" else lambda name, _info: seen.append(name)
            return request

    client = Traced(trust_env=False)
    HTTPXClientInstrumentor.instrument_client(client, exported.tracer_provider)
    ask(mode, exported.client(mode, sim.base_url, http_client=client), STREAM)
    record, _ = exported.only()

    assert "http11.send_request_headers.started" in seen
    assert "http11.receive_response_body.complete" in seen
    assert record.phases.send is not None


@each_mode
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_inside_util_genai(body: dict[str, Any], mode: Mode, sim: Simulator, exported: Any) -> None:
    """Inside an inference of OpenTelemetry's own helper ours is the record; it measures, we leave that to it."""
    sim.play(TEXT)
    handler = TelemetryHandler(exported.tracer_provider, exported.meter_provider)
    with handler.inference("groq", request_model=ASK["model"]) as invocation:
        ask(mode, exported.client(mode, sim.base_url), body)
        invocation.input_tokens, invocation.output_tokens = 20, 2
    record, span = exported.only()
    (inference,) = [s for s in exported.spans if "gen_ai.operation.name" in (s.attributes or {})]
    points = exported.metrics()

    assert (record.nested, span.kind) == (True, SpanKind.INTERNAL)
    assert span.parent.span_id == inference.context.span_id
    assert sum(p.sum for p in points["gen_ai.client.token.usage"]) == 22
    assert sum(p.count for p in points["gen_ai.client.operation.duration"]) == 1
    assert "gen_ai.client.operation.time_to_first_chunk" not in points
    assert sum(p.value for p in points["groqscope.cost"]) == pytest.approx(record.cost)


def test_everything_at_once(beside: Any, sim: Simulator) -> None:
    """An agent of pydantic-ai, OpenLLMetry and httpx, all instrumented: two inferences that are theirs, one record."""
    sim.play(TEXT)
    exported = beside.exported
    beside.on(OpenLLMetry(), HTTPXClientInstrumentor())
    client = exported.client("async", sim.base_url)
    Agent.instrument_all(
        InstrumentationSettings(tracer_provider=exported.tracer_provider, meter_provider=exported.meter_provider)
    )

    async def main() -> str:
        async with client:
            return (await Agent(GroqModel(ASK["model"], groq_client=client)).run("hi")).output

    try:
        assert asyncio.run(main()) == "ab"
    finally:
        Agent.instrument_all(False)
    record, span = exported.only()
    ours = [s for s in beside.inferences if s.instrumentation_scope.name == "groqscope"]
    http = [s for s in exported.spans if "httpx" in s.instrumentation_scope.name]

    assert ours == []
    assert (record.nested, len(http)) == (True, 1)
    assert http[0].parent.span_id == span.context.span_id
    assert beside.durations() == 1
