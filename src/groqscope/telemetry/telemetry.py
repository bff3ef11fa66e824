"""Telemetry: starts a request's span and metrics, and ends them with its record."""

import logging
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, TracerProvider

from groqscope import semconv
from groqscope._diagnostics import log_failure_once
from groqscope._version import __version__
from groqscope.codec import Attributes
from groqscope.semconv import INFERENCES
from groqscope.telemetry.background import worker
from groqscope.telemetry.content import Content, ContentPolicy
from groqscope.telemetry.cost import warm_up
from groqscope.telemetry.metrics import MetricAttributes, shared_metrics
from groqscope.telemetry.outer_inference import OuterInference, find_outer_inference
from groqscope.telemetry.run_scope import allowed_baggage, facts_of_context
from groqscope.telemetry.spans import children, emit, end_interrupted, guarded, write
from groqscope.timeline import RequestFacts, RequestRecord, SpanFacts

logger = logging.getLogger("groqscope")


@dataclass(frozen=True, slots=True)
class Begun:
    """The telemetry of a request in flight."""

    span: Span
    context: Context
    """With the span as the current one; for child spans and exemplars."""
    identity: SpanFacts
    """What the record needs to know about the span."""
    outer: OuterInference | None
    """The inference of another library around the request."""
    in_flight: MetricAttributes
    method: str


class Telemetry:
    """One tracer and the instruments of one meter."""

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        phase_spans: bool = True,
        content: ContentPolicy | None = None,
    ) -> None:
        self._providers = tracer_provider, meter_provider
        self._tracer = trace.get_tracer(semconv.SCOPE, __version__, tracer_provider, schema_url=semconv.SCHEMA_URL)
        self.metrics = shared_metrics(metrics.get_meter_provider() if meter_provider is None else meter_provider)
        self._phase_spans = phase_spans
        self._baggage = allowed_baggage()
        self.content = content or ContentPolicy.from_environment()

    def begin(self, request: RequestFacts, start_unix_ns: int, *, method: str = "POST") -> Begun:
        """Start the span of a request."""
        warm_up()
        worker.start()
        context = otel_context.get_current()
        operation = request.get("operation", "chat")
        outer = find_outer_inference(context) if operation in INFERENCES else None
        nested = outer is not None
        if outer is not None:
            context = trace.set_span_in_context(outer.span, context)
            # Now, because the outer span may end before ours. Readers of both spans count the request by ours.
            guarded(outer.span.set_attribute, semconv.REQUESTS, _total(outer.span, semconv.REQUESTS, 1))
        facts = facts_of_context(context, trace.get_current_span(context), self._baggage)
        model = request.get("model")
        in_flight = self.metrics.in_flight(operation, model)
        name = semconv.SPAN_NESTED if nested else operation
        span: Span | None = None
        try:
            span = guarded(
                self._tracer.start_span,
                f"{name} {model}" if model else name,
                context,
                SpanKind.INTERNAL if nested else SpanKind.CLIENT,
                _at_creation(request, operation, nested=nested),
                start_time=start_unix_ns,
            )
            if span is None:
                span = trace.INVALID_SPAN
            else:
                context = trace.set_span_in_context(span, context)
            identity = span.get_span_context()
            facts["nested"] = nested
            facts["service"] = _service(span) if span.is_recording() else None
            if identity.is_valid:
                facts["trace_id"] = format(identity.trace_id, "032x")
                facts["span_id"] = format(identity.span_id, "016x")
            self.metrics.started(in_flight)
            return Begun(span, context, facts, outer, in_flight, method)
        except BaseException:
            end_interrupted(span)
            self.metrics.ended(in_flight)
            raise

    def end(
        self,
        begun: Begun,
        record: RequestRecord,
        gaps: list[int],
        content: Content | None = None,
        url: str | None = None,
    ) -> None:
        """Write the record on its span and end it, after its children; metrics are recorded later by the worker.

        Args:
            begun: what `begin` returned.
            record: the request, ended.
            gaps: a sample of the gaps between reads, in nanoseconds.
            content: its messages, if content is recorded.
            url: that of the last attempt, for the spans of several.
        """
        outer, span = begun.outer, begun.span
        if outer is not None and outer.span.is_recording():
            guarded(outer.span.set_attributes, _summary(outer.span, record))
        try:
            if span.is_recording():
                below = children(record, phases=self._phase_spans, url=url, method=begun.method)
                emit(self._tracer, begun.context, below, record.start_unix_ns)
                write(span, record, content.attributes() if content is not None and self.content.spans else {})
        finally:
            guarded(span.end, record.start_unix_ns + record.duration_ns)
        self.metrics.ended(begun.in_flight)
        if content is not None and self.content.events:
            content.emit(record, begun.context)
        recorded_elsewhere = frozenset[str]() if outer is None else outer.metrics
        worker.put(lambda: self._measure(record, gaps, begun.context, recorded_elsewhere))

    def give_up(self, begun: Begun) -> None:
        """End the span of a request for which `end` failed."""
        end_interrupted(begun.span)
        self.metrics.ended(begun.in_flight)

    def _measure(
        self, record: RequestRecord, gaps: list[int], context: Context, recorded_elsewhere: frozenset[str]
    ) -> None:
        try:
            self.metrics.record(record, gaps, context, recorded_elsewhere)
        except Exception as error:  # noqa: BLE001 - it runs in the worker, where no caller could catch it
            log_failure_once(logger, "groqscope could not record the metrics of a request", error)
            self.metrics.internal_error("telemetry")


_shared: WeakValueDictionary[tuple[Any, ...], Telemetry] = WeakValueDictionary()


def shared_telemetry(
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    *,
    phase_spans: bool,
    content: ContentPolicy | None,
) -> Telemetry:
    """Return the telemetry of two providers (by default the global ones), shared by all users of the same settings."""
    providers = (
        trace.get_tracer_provider() if tracer_provider is None else tracer_provider,
        metrics.get_meter_provider() if meter_provider is None else meter_provider,
    )
    policy = content or ContentPolicy.from_environment()
    # By identity, because providers need not be hashable. The telemetry references them, so no id is reused meanwhile.
    key = (*map(id, providers), phase_spans, replace(policy, scrub=None), id(policy.scrub))
    shared = _shared.get(key)
    if shared is None:
        shared = _shared[key] = Telemetry(*providers, phase_spans=phase_spans, content=policy)
    return shared


def _at_creation(request: RequestFacts, operation: str, *, nested: bool) -> Attributes:
    attributes: Attributes = {semconv.PROVIDER_NAME: semconv.PROVIDER, semconv.SYSTEM: semconv.PROVIDER}
    if not nested and operation in semconv.GENAI_OPERATIONS:
        attributes[semconv.OPERATION_NAME] = operation
    for key, value in (
        (semconv.REQUEST_MODEL, request.get("model")),
        (semconv.SERVER_ADDRESS, request.get("server_address")),
        (semconv.SERVER_PORT, request.get("server_port")),
    ):
        if value is not None:
            attributes[key] = value
    return attributes


def _service(span: Span) -> str | None:
    resource: Any = getattr(span, "resource", None)
    name = resource.attributes.get(semconv.SERVICE_NAME) if resource is not None else None
    return name if isinstance(name, str) else None


def _summary(outer: Span, record: RequestRecord) -> Attributes:
    """Return what the outer span says about its requests: attempts of all, outcome and time of the last one."""
    attributes: Attributes = {
        semconv.ATTEMPTS: _total(outer, semconv.ATTEMPTS, len(record.attempts) + record.attempts_dropped),
        semconv.OUTCOME: record.outcome or "",
    }
    if record.ttft_ns is not None:
        attributes[semconv.TTFT] = record.ttft_ns / 1e9
    return attributes


def _total(outer: Span, name: str, more: int) -> int:
    known: Any = getattr(outer, "attributes", None) or {}
    before = known.get(name)
    return (before if isinstance(before, int) else 0) + more
