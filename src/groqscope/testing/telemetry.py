"""Spans, metrics and records of a test, in memory."""

from typing import Any, Self, TypeVar

from groq import AsyncGroq, Groq
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

import groqscope
from groqscope import semconv
from groqscope.instrument import flush
from groqscope.instrument.scope import Clock, Scope
from groqscope.telemetry import trace_span
from groqscope.timeline import RequestRecord

ClientT = TypeVar("ClientT", Groq, AsyncGroq)


class InMemoryTelemetry:
    """Providers whose spans and metrics stay in memory; nothing global is set, so tests do not disturb each other."""

    def __init__(self, *, sampler: Sampler | None = None, service: str = "tests") -> None:
        """Make a tracer provider and a meter provider, of that service."""
        resource = Resource({semconv.SERVICE_NAME: service})
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader], resource, shutdown_on_exit=False)

    @property
    def providers(self) -> dict[str, Any]:
        """Both providers, as the keyword arguments that `groqscope.instrument()` takes."""
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    def instrument(self, client: ClientT, *, clock: Clock | None = None, **options: Any) -> ClientT:
        """Instrument one client, and return it.

        Args:
            client: a `groq.Groq` or `groq.AsyncGroq`.
            clock: what returns monotonic nanoseconds, such as a `ManualClock`; for all clients instrumented here.
            options: those of `groqscope.instrument()`.
        """
        observed = groqscope.instrument(client, **{**self.providers, **options})
        if clock is not None:
            scope: Scope = vars(type(observed))["_groqscope_scope"]
            scope.now = clock
        return observed

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended so far."""
        flush()
        return list(self.exporter.get_finished_spans())

    @property
    def record_spans(self) -> list[ReadableSpan]:
        """The spans that carry a record."""
        return [span for span in self.spans if semconv.RECORD in (span.attributes or {})]

    @property
    def records(self) -> list[RequestRecord]:
        """The records, read back from their spans."""
        return [record_from(span) for span in self.record_spans]

    def only(self) -> tuple[RequestRecord, ReadableSpan]:
        """Return the one record and its span.

        Raises:
            AssertionError: there is none, or more than one.
        """
        spans = self.record_spans
        if len(spans) != 1:
            raise AssertionError(f"one record expected, not {len(spans)}: {[span.name for span in self.spans]}")
        return record_from(spans[0]), spans[0]

    def children(self, span: ReadableSpan) -> list[ReadableSpan]:
        """Return the spans directly below one."""
        parent = span.get_span_context()
        return [s for s in self.spans if s.parent and parent and s.parent.span_id == parent.span_id]

    def metrics(self) -> dict[str, list[Any]]:
        """Return the data points so far, by metric name."""
        flush()
        data = self.reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def shutdown(self) -> None:
        """Shut the providers down."""
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        flush()
        self.shutdown()


def record_from(span: ReadableSpan) -> RequestRecord:
    """Return the record that an ended span carries.

    Raises:
        ValueError: the span has not ended, or carries none.
    """
    found = trace_span(span)
    if found is None or found.record is None:
        raise ValueError(f"{span.name} has not ended, or is not the span of a request")
    return found.record
