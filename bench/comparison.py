"""`python -m bench.comparison`: what each instrumentation of Groq's SDK makes of the same calls, as a Markdown table.

The cells of docs/comparison.md that can be seen from outside. Each instrumentation runs in a process of its own, with
its defaults, against the simulator. `make bench` installs the first three; OpenLIT and Langfuse want other versions of what
they share, so they have an environment of their own:

    python -m venv .venv-others && .venv-others/bin/pip install -r bench/others.txt
    PYTHONPATH=src .venv-others/bin/python -m bench.comparison
"""

import contextlib
import importlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

WORD = "rhododendron"
"""Stands in the prompt and nowhere else."""
VARIANTS = {
    "groqscope": "groqscope",
    "openllmetry": "opentelemetry-instrumentation-groq",
    "openinference": "openinference-instrumentation-groq",
    "openlit": "openlit",
    "langfuse": "langfuse",
    "pydantic-ai": "pydantic-ai-slim",
}
BENEATH = ("opentelemetry.instrumentation.httpx", "opentelemetry.instrumentation.starlette")
"""What OpenLIT switches on besides: the SDK's HTTP requests and the simulator's answers are not what is compared."""
FIRST, CHUNKS, PER_CHUNK = 0.2, 12, 0.02


def install(variant: str) -> tuple[Any, Any]:
    """Switch one on, with its defaults, and return what its spans and metrics go to."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    if variant == "openlit":
        prices = Path(tempfile.mkdtemp()) / "prices.json"  # else it asks for them over the network
        prices.write_text(json.dumps({"chat": {"llama-3.3-70b-versatile": {"promptPrice": 1, "completionPrice": 1}}}))
        # Without an endpoint it writes spans to standard output besides.
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("openlit").init(disable_metrics=True, pricing_json=str(prices))
    elif variant == "langfuse":
        importlib.import_module("langfuse").Langfuse(
            public_key="pk-lf-none", secret_key="sk-lf-none", host="http://127.0.0.1:9", tracer_provider=provider
        )
    elif variant != "pydantic-ai":  # which is switched on as it is asked
        module = {
            "groqscope": "groqscope.instrument",
            "openllmetry": "opentelemetry.instrumentation.groq",
            "openinference": "openinference.instrumentation.groq",
        }[variant]
        importlib.import_module(module).GroqInstrumentor().instrument(
            tracer_provider=provider, meter_provider=metrics.get_meter_provider()
        )
    return spans, reader


class Look:
    """What was written since the last look."""

    def __init__(self, variant: str, spans: Any) -> None:
        self._variant, self._spans = variant, spans

    def __call__(self) -> list[Any]:
        """Return the spans that have ended, and forget them."""
        if self._variant == "groqscope":
            from groqscope.instrument import flush
            from groqscope.telemetry import worker

            flush()
            worker.drain()
        found = [s for s in self._spans.get_finished_spans() if s.instrumentation_scope.name not in BENEATH]
        self._spans.clear()
        return found


def sdk_of(variant: str) -> tuple[Any, Any, str]:
    """Return the client class, the stream class and the URL path: Langfuse wraps OpenAI's SDK, not Groq's."""
    if variant == "langfuse":
        wrapped = importlib.import_module("langfuse.openai")
        return wrapped.OpenAI, wrapped.openai.Stream, "/openai/v1"
    import groq

    return ByPydanticAI if variant == "pydantic-ai" else groq.Groq, groq.Stream, ""


class ByPydanticAI:
    """pydantic-ai's own model and instrumentation, asked as the SDK is."""

    def __init__(self, **options: Any) -> None:
        from groq import AsyncGroq
        from pydantic_ai.models.groq import GroqModel
        from pydantic_ai.providers.groq import GroqProvider

        self._model = GroqModel("llama-3.3-70b-versatile", provider=GroqProvider(groq_client=AsyncGroq(**options)))
        self.chat = self.completions = self.embeddings = self

    def create(self, *, messages: Any = None, stream: bool = False, **_: Any) -> Any:
        """Ask; there are no embeddings."""
        from pydantic_ai.direct import model_request_sync
        from pydantic_ai.messages import ModelRequest

        if messages is None:
            return None
        prompt = [ModelRequest.user_text_prompt(messages[0]["content"])]
        return self._stream(prompt) if stream else model_request_sync(self._model, prompt, instrument=True)

    def _stream(self, prompt: Any) -> Any:
        from pydantic_ai.direct import model_request_stream_sync

        with model_request_stream_sync(self._model, prompt, instrument=True) as events:
            yield from events


def tell(variant: str) -> NoReturn:
    """Make the calls, print what came of them as JSON, and end the process."""
    from groqscope.simulator import Answer, Delays, Failure, Simulator, Usage

    spans, _ = install(variant)
    look, found = Look(variant, spans), {}
    client_class, stream_class, path = sdk_of(variant)
    answer = Answer(
        ["word "] * CHUNKS, delays=Delays(before_headers=FIRST, per_chunk=PER_CHUNK), usage=Usage(queue_time=0.0123)
    )
    with Simulator(answer) as sim:

        def client() -> Any:
            # One per case: a stream that is not closed when it is left keeps its connection.
            return client_class(base_url=sim.base_url + path, api_key="none", max_retries=1)

        def ask(of: Any = None, **more: Any) -> Any:
            messages: Any = [{"role": "user", "content": f"Say something about the {WORD}."}]
            return (of or client()).chat.completions.create(model="llama-3.3-70b-versatile", messages=messages, **more)

        asked = client()
        ask(asked)
        look()
        begin = time.perf_counter()
        stream = ask(asked, stream=True)
        found["the stream is the SDK's"] = _yes(isinstance(stream, stream_class))
        for _ in stream:
            pass
        taken = time.perf_counter() - begin
        seen = look()
        found["a stream's span covers"] = _share(seen, taken)
        found["tokens of a stream"] = _yes(_says(seen, lambda k, v: "usage" in k and v not in {0, None}))
        found["time to first chunk"] = _first(seen)
        found["Groq's queue time"] = _yes(_says(seen, lambda k, v: "queue" in k and isinstance(v, float) and v > 0))
        found["cost"] = _yes(_says(seen, lambda k, v: "cost" in k and isinstance(v, float)))
        found["the prompt, by default"] = _yes(_says(seen, lambda _, v: WORD in str(v)))

        client().embeddings.create(model="m", input="x")
        found["embeddings"] = "a span" if look() else "no span"

        sim.play([Failure(429, retry_after=0.01), Answer("Hello")])
        ask()
        seen = look()
        found["a retry inside the SDK"] = _yes(_says(seen, lambda k, v: "attempt" in k or str(v) == "429"))

        sim.play(answer)
        stream = ask(stream=True)
        next(iter(stream))
        stream.close()
        found["a stream closed early"] = "a span" if look() else "no span"

        # A stream that a generator left open would hold up the simulator's end, and this process's.
        print(json.dumps(found), flush=True)
        os._exit(0)


def _says(spans: list[Any], wanted: Callable[[str, Any], bool]) -> bool:
    """Whether any attribute of any span or event is as wanted."""
    holders = [*spans, *(event for span in spans for event in span.events)]
    return any(wanted(key, value) for holder in holders for key, value in (holder.attributes or {}).items())


def _share(spans: list[Any], taken: float) -> str:
    longest = max((span.end_time - span.start_time for span in spans), default=0) / 1e9
    return "no span" if not spans else f"{min(longest / taken, 1):.0%}"


def _first(spans: list[Any]) -> str:
    names = ("time_to_first", "ttft")
    values = [
        float(value)
        for span in spans
        for key, value in (span.attributes or {}).items()
        if any(name in key for name in names) and isinstance(value, (int, float))
    ]
    values += [  # Langfuse's is a moment
        datetime.fromisoformat(value.strip('"')).timestamp() - span.start_time / 1e9
        for span in spans
        for key, value in (span.attributes or {}).items()
        if key.endswith("completion_start_time")
    ]
    return f"{min(values) * 1000:.0f} ms of {FIRST * 1000:.0f}" if values else "no"


def _yes(value: bool) -> str:  # noqa: FBT001 - a value, not a switch
    return "yes" if value else "no"


def main() -> None:
    """Print the table, a column per instrumentation that is installed."""
    if len(sys.argv) > 1:
        tell(sys.argv[1])
    columns: dict[str, dict[str, str]] = {}
    for variant, package in VARIANTS.items():
        try:
            title = f"{variant} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            print(f"{package} is not installed: left out", file=sys.stderr)
            continue
        command = [sys.executable, "-m", "bench.comparison", variant]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            print(f"{title}: left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        columns[title] = json.loads(done.stdout.splitlines()[-1])
    print(f"| | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for row in next(iter(columns.values())):
        print(f"| {row} | {' | '.join(column[row] for column in columns.values())} |")


if __name__ == "__main__":
    main()
