"""Tracers that are not OpenTelemetry's SDK, or take its spans over: the record span and its children arrive whole."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FAMILY = ["POST", "POST", "chat llama-3.3-70b-versatile", "prepare", "stream", "wait"]
ASK = """
import httpx, json, groqscope
from support.processes import WHOLE
from support.scope import STREAM, Wire, groq_client, sse

def ask(provider):
    refused = httpx.Response(503, headers={"retry-after-ms": "1"}, json={"error": {"message": "busy"}})
    transport = Wire(lambda _: refused, lambda _: sse(*WHOLE))
    client = groqscope.instrument(groq_client("sync", http={"transport": transport}), tracer_provider=provider)
    list(client.chat.completions.create(**STREAM))
"""
DDTRACE = """
from ddtrace.trace import TraceFilter, tracer
from ddtrace.opentelemetry import TracerProvider

found = []

class Kept(TraceFilter):
    def process_trace(self, trace):
        found.extend(trace)

tracer.configure(trace_processors=[Kept()])
ask(TracerProvider())
record = next(span for span in found if span.resource.startswith("chat"))
told = {**record.get_tags(), **record.get_metrics()}
children = [span for span in found if span is not record]
print(json.dumps({
    "names": sorted(span.resource for span in found),
    "below": all(span.parent_id == record.span_id for span in children),
    "inside": all(record.start_ns <= s.start_ns <= s.start_ns + s.duration_ns <= record.start_ns + record.duration_ns
                  for s in children),
    "record": told["groqscope.record"],
    "outcome": told["groqscope.stream.outcome"],
}))
"""
SENTRY = """
import sentry_sdk
from opentelemetry.sdk.trace import TracerProvider
from sentry_sdk.integrations.opentelemetry import SentrySpanProcessor
from sentry_sdk.transport import Transport

found = []

class Kept(Transport):
    def capture_envelope(self, envelope):
        found.extend(event for item in envelope.items if (event := item.get_transaction_event()))

sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", instrumenter="otel", traces_sample_rate=1.0, transport=Kept,
                default_integrations=False)
provider = TracerProvider()
provider.add_span_processor(SentrySpanProcessor())
ask(provider)
(event,) = found
told = event["contexts"]["otel"]["attributes"]
print(json.dumps({
    "names": sorted([event["transaction"], *(span["description"] for span in event["spans"])]),
    "below": all(span["parent_span_id"] == event["contexts"]["trace"]["span_id"] for span in event["spans"]),
    "inside": all(event["start_timestamp"] <= s["start_timestamp"] <= s["timestamp"] <= event["timestamp"]
                  for s in event["spans"]),
    "record": told["groqscope.record"],
    "outcome": told["groqscope.stream.outcome"],
}, default=str))
"""


def _run(program: str, **environment: str) -> Any:
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", ASK + program],
        cwd=tests,
        env={"PYTHONPATH": str(tests), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_ddtrace() -> None:
    """Datadog's own provider behind OpenTelemetry's API: its spans are none of the SDK's."""
    pytest.importorskip("ddtrace", reason="only in the environment of `make compat`")
    quiet = {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false"}
    told = _run(DDTRACE, DD_TRACE_OTEL_ENABLED="true", DD_TRACE_AGENT_URL="http://127.0.0.1:9", **quiet)

    assert told == {"names": FAMILY, "below": True, "inside": True, "record": 1, "outcome": "completed"}


def test_sentry() -> None:
    """Sentry's processor makes a transaction of the record span, which it begins at `on_start` and ends at `on_end`."""
    pytest.importorskip("sentry_sdk", reason="only in the environment of `make compat`")
    told = _run(SENTRY)

    assert told == {"names": FAMILY, "below": True, "inside": True, "record": 1, "outcome": "completed"}
