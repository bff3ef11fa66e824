"""Telemetry in memory: nothing global, one test's requests only."""

import subprocess
import sys
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from support.processes import WHOLE
from support.scope import ASK, COMPLETION, STREAM, Wire, groq_client, sse

from groqscope.testing import InMemoryTelemetry, ManualClock, record_from


def answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=COMPLETION)


def test_records_spans_and_metrics() -> None:
    """A request is found as record, as spans and in metrics; another set-up has nothing of it."""
    before = trace.get_tracer_provider()
    with InMemoryTelemetry(service="shop") as telemetry, InMemoryTelemetry() as other:
        client = telemetry.instrument(groq_client("sync", http={"transport": Wire(answer)}))
        client.chat.completions.create(**ASK)
        record, span = telemetry.only()

        assert (record.service, record.outcome) == ("shop", "completed")
        assert record_from(span) == record == telemetry.records[0]
        assert telemetry.children(span)
        assert "gen_ai.client.operation.duration" in telemetry.metrics()
        assert other.records == []
        assert other.metrics() == {}
    assert trace.get_tracer_provider() is before


def test_only_says_what_there_is() -> None:
    """Without a record, or with two, the failure names the spans."""
    with InMemoryTelemetry() as telemetry:
        with pytest.raises(AssertionError, match="not 0"):
            telemetry.only()
        client = telemetry.instrument(groq_client("sync", http={"transport": Wire(answer)}))
        for _ in range(2):
            client.chat.completions.create(**ASK)
        with pytest.raises(AssertionError, match=r"not 2: \[.*'chat llama-3.3-70b-versatile'"):
            telemetry.only()


def test_a_clock_of_the_tests_own() -> None:
    """Only what the clock was moved is time, for these clients and for no others."""
    clock = ManualClock()
    with InMemoryTelemetry() as telemetry, InMemoryTelemetry() as other:
        client = telemetry.instrument(groq_client("sync", http={"transport": Wire(lambda _: sse(*WHOLE))}), clock=clock)
        chunks = 0
        for chunks, _ in enumerate(client.chat.completions.create(**STREAM), 1):  # noqa: B007 - counted
            clock.advance(20)
        record, _ = telemetry.only()
        real = other.instrument(groq_client("sync", http={"transport": Wire(answer)}))
        real.chat.completions.create(**ASK)

        assert record.duration_ns == record.phases.consume == chunks * 20_000_000
        assert other.records[0].duration_ns > 0


def test_a_span_that_has_not_ended() -> None:
    """It has no record yet."""
    span: Any = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("open")
    with pytest.raises(ValueError, match="open has not ended"):
        record_from(span)
    span.end()


def test_what_is_imported() -> None:
    """`import groqscope` imports none of it; it imports neither pytest nor the simulator."""
    program = """
import sys, groqscope
assert not [name for name in sys.modules if name.startswith("groqscope.testing")]
import groqscope.testing as testing
for name in testing.__all__:
    getattr(testing, name)
assert not {"pytest", "groqscope.simulator", "starlette"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
