"""One variant, measured in a process of its own: prints CPU seconds and counts as JSON.

`python -m bench.worker VARIANT --port PORT [--chunks N] [--streams N] [--requests N]`
"""

import argparse
import asyncio
import gc
import json
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

MESSAGES: Any = [{"role": "user", "content": "Say something of sixty words."}]
AGENTS: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Answer in one sentence, and use the tools."},
        *MESSAGES,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"of": "time"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "It went by."},
        {"role": "assistant", "content": "It went by."},
        {"role": "user", "content": "And where did it go?"},
        {"role": "assistant", "content": "Into the queue."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": "Look something up.",
                "parameters": {"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]},
            },
        }
        for name in ("look_up", "look_down", "look_left", "look_right", "look_away")
    ],
}
"""What an agent with tools sends in the middle of its work."""
MODEL = "openai/gpt-oss-120b"
KEY = "gsk_bench"


def processor() -> Any:
    """Return a processor that exports spans in the background, as in production: it encodes them as OTLP and drops them.

    (An exporter that keeps its spans never reads what is written late, and every one kept costs the garbage collector.)
    """
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class ToBytes(SpanExporter):
        def export(self, spans: Any) -> Any:
            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    return BatchSpanProcessor(ToBytes())


def providers() -> tuple[Any, Any]:
    """Spans and metrics exported to memory."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(processor())
    meter_provider = MeterProvider([InMemoryMetricReader()])
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)
    return tracer_provider, meter_provider


def bare() -> None:
    """Nothing."""


def groqscope_on() -> None:
    """Everything recorded."""
    import groqscope

    providers()
    groqscope.instrument()


def groqscope_without_phase_spans() -> None:
    """All but the children for phases."""
    import groqscope

    providers()
    groqscope.instrument(phase_spans=False)


def groqscope_without_cache_doctor() -> None:
    """All but the reasons why prompts were not cached."""
    import groqscope

    providers()
    groqscope.instrument(cache_doctor=False)


def groqscope_slow_decode() -> None:
    """The SDK's own construction, observed."""
    import groqscope

    providers()
    groqscope.instrument(fast_path=False)


def groqscope_by_logfire() -> None:
    """Through logfire's providers, exported to memory."""
    import logfire
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    import groqscope

    logfire.configure(
        send_to_logfire=False,
        console=False,
        additional_span_processors=[processor()],
        metrics=logfire.MetricsOptions(additional_readers=[InMemoryMetricReader()]),
    )
    groqscope.instrument()


def one_span() -> None:
    """Nothing but one span around each request, with as many attributes as ours has: what no instrumentation can do without."""
    from opentelemetry import trace

    providers()
    _one_span(trace.get_tracer("bench"))


def one_span_by_logfire() -> None:
    """The same through logfire's providers."""
    import logfire
    from opentelemetry import trace

    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[processor()])
    _one_span(trace.get_tracer("bench"))


def _one_span(tracer: Any) -> None:
    from groq import Groq
    from opentelemetry.trace import SpanKind

    original = Groq.request
    attributes = {f"bench.figure.{i}": i / 7 for i in range(24)} | {f"bench.word.{i}": f"word {i}" for i in range(16)}

    def request(self: Any, *arguments: Any, **options: Any) -> Any:
        with tracer.start_as_current_span(f"chat {MODEL}", kind=SpanKind.CLIENT) as span:
            span.set_attributes(attributes)
            return original(self, *arguments, **options)

    Groq.request = request


# These three are installed where benchmarks run (bench/requirements.txt), not where types are checked.


def openllmetry() -> None:
    """traceloop/openllmetry's instrumentor."""
    from opentelemetry.instrumentation.groq import GroqInstrumentor  # pyright: ignore[reportMissingImports]

    providers()
    GroqInstrumentor().instrument()


def openinference() -> None:
    """Arize's instrumentor."""
    from openinference.instrumentation.groq import GroqInstrumentor  # pyright: ignore[reportMissingImports]

    providers()
    GroqInstrumentor().instrument()


def openlit() -> None:
    """OpenLIT's instrumentor, without its metrics and without content, its cheapest."""
    from openlit._config import OpenlitConfig  # pyright: ignore[reportMissingImports]
    from openlit.instrumentation.groq import GroqInstrumentor  # pyright: ignore[reportMissingImports]

    providers()
    OpenlitConfig.metrics_dict = None
    GroqInstrumentor().instrument(
        environment="bench", application_name="bench", capture_message_content=False, disable_metrics=True
    )


SETUPS: dict[str, Callable[[], None]] = {
    "bare": bare,
    "groqscope": groqscope_on,
    "groqscope-nophases": groqscope_without_phase_spans,
    "groqscope-nodoctor": groqscope_without_cache_doctor,
    "groqscope-slow": groqscope_slow_decode,
    "groqscope-logfire": groqscope_by_logfire,
    "one-span": one_span,
    "one-span-logfire": one_span_by_logfire,
    "openllmetry": openllmetry,
    "openinference": openinference,
    "openlit": openlit,
}


def measure(work: Callable[[], int]) -> dict[str, float]:
    """Run the work once and tell what it cost: this thread, and the process with what exports in the background."""
    gc.collect()
    wall, cpu, thread = time.perf_counter(), time.process_time(), time.thread_time()
    done = work()
    return {
        "cpu": time.process_time() - cpu,
        "thread": time.thread_time() - thread,
        "wall": time.perf_counter() - wall,
        "count": done,
    }


def sync_stream(base_url: str, chunks: int, streams: int) -> dict[str, float]:
    """Read streams with the sync client."""
    from groq import Groq

    client = Groq(api_key=KEY, base_url=base_url)

    def work(streams: int = streams) -> int:
        count = 0
        for _ in range(streams):
            for _chunk in client.chat.completions.create(
                model=MODEL, messages=MESSAGES, stream=True, max_tokens=chunks
            ):
                count += 1
        return count

    work(1)
    return measure(work)


def run_async(
    prepare: Callable[[], Any], work: Callable[[Any, int], Coroutine[Any, Any, int]], streams: int
) -> dict[str, float]:
    """Run async work in one loop: once to warm up, then measured."""
    with asyncio.Runner() as runner:
        client = prepare()
        runner.run(work(client, 1))
        return measure(lambda: runner.run(work(client, streams)))


def async_stream(base_url: str, chunks: int, streams: int, *, aiohttp: bool) -> dict[str, float]:
    """Read streams with the async client."""
    from groq import AsyncGroq, DefaultAioHttpClient

    def prepare() -> Any:
        transport: Any = {"http_client": DefaultAioHttpClient()} if aiohttp else {}
        return AsyncGroq(api_key=KEY, base_url=base_url, **transport)

    return read_streams(prepare, chunks, streams)


def openai_stream(base_url: str, chunks: int, streams: int) -> dict[str, float]:
    """Read streams with the openai SDK."""
    from openai import AsyncOpenAI

    return read_streams(lambda: AsyncOpenAI(api_key=KEY, base_url=f"{base_url}/openai/v1"), chunks, streams)


def read_streams(prepare: Callable[[], Any], chunks: int, streams: int) -> dict[str, float]:
    """Read streams with an async client of either SDK."""

    async def work(client: Any, streams: int) -> int:
        count = 0
        for _ in range(streams):
            response = await client.chat.completions.create(
                model=MODEL, messages=MESSAGES, stream=True, max_tokens=chunks
            )
            async for _chunk in response:
                count += 1
        return count

    return run_async(prepare, work, streams)


def httpx_bytes(base_url: str, chunks: int, streams: int, *, aiohttp: bool = False) -> dict[str, float]:
    """Read the same bytes with httpx alone: the floor."""
    import httpx
    from groq import DefaultAioHttpClient

    async def work(client: Any, streams: int) -> int:
        count = 0
        body = {"model": MODEL, "messages": MESSAGES, "stream": True, "max_tokens": chunks}
        for _ in range(streams):
            async with client.stream("POST", f"{base_url}/openai/v1/chat/completions", json=body) as response:
                async for data in response.aiter_bytes():
                    count += data.count(b"data: {")
        return count

    return run_async(DefaultAioHttpClient if aiohttp else httpx.AsyncClient, work, streams)


def groq_client(base_url: str) -> Any:
    """Return a sync client of Groq's SDK."""
    from groq import Groq

    return Groq(api_key=KEY, base_url=base_url)


def openai_client(base_url: str) -> Any:
    """Return a sync client of openai's SDK."""
    from openai import OpenAI

    return OpenAI(api_key=KEY, base_url=f"{base_url}/openai/v1")


def requests(client: Any, count: int, body: dict[str, Any]) -> dict[str, float]:
    """Make requests that are not streamed, sync."""

    def work(count: int = count) -> int:
        for _ in range(count):
            client.chat.completions.create(model=MODEL, **body)
        return count

    work(20)
    return measure(work)


def cache_doctor(count: int, *, ours: bool) -> dict[str, float]:
    """Remember and judge prompts of which something changed, or write each as JSON once, as the SDK does."""
    from groqscope.instrument.prompts import Memory, read
    from groqscope.timeline import Usage

    tools: list[dict[str, Any]] = [
        {**tool, "function": {**tool["function"], "description": "Look something up. " * 20}}
        for tool in AGENTS["tools"]
    ]
    prompts = [
        {
            "messages": [
                {"role": "system", "content": f"It is 12:00:{second:02}. " + "Answer in one sentence. " * 40},
                *({**m, "content": str(m.get("content", "")) * 15} for m in AGENTS["messages"][1:]),
            ],
            "tools": tools,
        }
        for second in range(60)
    ]
    memory, usage = Memory(), Usage(input_tokens=1_500, output_tokens=1)

    def remember(body: dict[str, Any], now: int) -> None:
        memory.add(read(body), usage, account=None, model=MODEL, began=now, ended=now)

    def work(count: int = count * 10) -> int:
        for number in range(count):
            if ours:
                remember(prompts[number % len(prompts)], number)
            else:
                json.dumps(prompts[number % len(prompts)], ensure_ascii=False)
        return count

    work(20)
    return measure(work)


def agent_stream(
    base_url: str, chunks: int, streams: int, *, ours: bool, instrumented: bool = False
) -> dict[str, float]:
    """Consume the events of pydantic-ai's GroqModel, or of ours."""
    from groq import AsyncGroq
    from pydantic_ai.messages import ModelRequest
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.models.groq import GroqModel as PydanticModel
    from pydantic_ai.models.instrumented import InstrumentationSettings, InstrumentedModel
    from pydantic_ai.providers.groq import GroqProvider

    async def work(model: Any, streams: int) -> int:
        count = 0
        for _ in range(streams):
            async with model.request_stream(
                [ModelRequest.user_text_prompt("Say something.")],
                {"max_tokens": chunks},
                ModelRequestParameters(),
                None,
            ) as response:
                async for _event in response:
                    count += 1
        return count

    def prepare() -> Any:
        client = AsyncGroq(api_key=KEY, base_url=base_url)
        if ours:
            from groqscope.models.groq import GroqModel

            providers()
            return GroqModel(MODEL, groq_client=client)
        model = PydanticModel(MODEL, provider=GroqProvider(groq_client=client))
        if instrumented:
            providers()
            return InstrumentedModel(model, InstrumentationSettings(include_content=False))
        return model

    return run_async(prepare, work, streams)


def concurrent(base_url: str, chunks: int, streams: int, rate: float, *, aiohttp: bool) -> dict[str, float]:
    """Read many streams at once, each offered at a rate, and check that every record adds up."""
    from groq import AsyncGroq, DefaultAioHttpClient

    sums: list[bool] = []
    try:
        import groqscope
        from groqscope.instrument import is_instrumented

        if is_instrumented(AsyncGroq):
            groqscope.on_record(lambda r: sums.append(r.phases.total() == r.duration_ns))
    except ImportError:
        pass

    async def one(client: Any) -> int:
        count = 0
        response = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, max_tokens=chunks, temperature=rate
        )
        async for _chunk in response:
            count += 1
        return count

    async def work(clients: list[Any], streams: int) -> int:
        return sum(await asyncio.gather(*(one(clients[i % len(clients)]) for i in range(streams))))

    def prepare() -> list[Any]:
        # httpcore looks through all connections of a pool whenever one is asked for or given back: 50 to a client.
        import httpx

        limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
        return [
            AsyncGroq(
                api_key=KEY,
                base_url=base_url,
                http_client=(DefaultAioHttpClient if aiohttp else httpx.AsyncClient)(limits=limits, timeout=120),
                max_retries=0,
            )
            for _ in range(max(1, streams // 50))
        ]

    result = run_async(prepare, work, streams)
    result["add_up"] = float(all(sums)) if sums else -1.0
    return result


def concurrent_bytes(base_url: str, chunks: int, streams: int, rate: float) -> dict[str, float]:
    """Read as many streams at once with httpx alone."""
    import httpx

    body = {"model": MODEL, "messages": MESSAGES, "stream": True, "max_tokens": chunks, "temperature": rate}

    async def one(client: Any) -> int:
        count = 0
        async with client.stream("POST", f"{base_url}/openai/v1/chat/completions", json=body) as response:
            async for data in response.aiter_bytes():
                count += data.count(b"data: {")
        return count

    async def work(clients: list[Any], streams: int) -> int:
        return sum(await asyncio.gather(*(one(clients[i % len(clients)]) for i in range(streams))))

    def prepare() -> list[Any]:
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
        return [httpx.AsyncClient(limits=limits, timeout=120) for _ in range(max(1, streams // 50))]

    return run_async(prepare, work, streams)


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("variant")
    parser.add_argument("path")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chunks", type=int, default=2000)
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rate", type=float, default=200)
    options = parser.parse_args()
    base_url = f"http://127.0.0.1:{options.port}"
    if options.path.startswith("openai"):
        os.environ["GROQSCOPE_HOSTS"] = "127.0.0.1"
    SETUPS.get(options.variant, bare)()
    chunks, streams = options.chunks, options.streams
    paths: dict[str, Callable[[], dict[str, float]]] = {
        "sync": lambda: sync_stream(base_url, chunks, streams),
        "async": lambda: async_stream(base_url, chunks, streams, aiohttp=False),
        "aiohttp": lambda: async_stream(base_url, chunks, streams, aiohttp=True),
        "httpx": lambda: httpx_bytes(base_url, chunks, streams),
        "httpx-aiohttp": lambda: httpx_bytes(base_url, chunks, streams, aiohttp=True),
        "request": lambda: requests(groq_client(base_url), options.requests, {"messages": MESSAGES}),
        "agent-request": lambda: requests(groq_client(base_url), options.requests, AGENTS),
        "openai": lambda: openai_stream(base_url, chunks, streams),
        "openai-request": lambda: requests(openai_client(base_url), options.requests, {"messages": MESSAGES}),
        "elsewhere": lambda: openai_stream(base_url, chunks, streams),
        "elsewhere-request": lambda: requests(openai_client(base_url), options.requests, {"messages": MESSAGES}),
        "cache-doctor": lambda: cache_doctor(options.requests, ours=options.variant == "groqscope"),
        "agent": lambda: agent_stream(
            base_url,
            chunks,
            streams,
            ours=options.variant.startswith("groqscope"),
            instrumented=options.variant == "pydantic-ai-otel",
        ),
        "concurrent": lambda: concurrent(base_url, chunks, streams, options.rate, aiohttp=False),
        "concurrent-aiohttp": lambda: concurrent(base_url, chunks, streams, options.rate, aiohttp=True),
        "concurrent-httpx": lambda: concurrent_bytes(base_url, chunks, streams, options.rate),
    }
    print(json.dumps(paths[options.path]()))


if __name__ == "__main__":
    main()
