"""Telemetry: begins a request's span and metrics, and ends them with its record."""

import logging
from dataclasses import dataclass
from typing import Any, Final, Protocol

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, TracerProvider

from groqscope import semconv
from groqscope._diagnostics import log_failure_once
from groqscope._version import __version__
from groqscope.codec import Attributes
from groqscope.telemetry.around import INFERENCE, Around, around
from groqscope.telemetry.background import worker
from groqscope.telemetry.content import Content, ContentPolicy
from groqscope.telemetry.cost import warm_up
from groqscope.telemetry.metrics import MetricAttributes, Metrics
from groqscope.telemetry.spans import Written, emit_children, end_span, flush_with, write
from groqscope.timeline import RequestFacts, RequestRecord

logger = logging.getLogger("groqscope")

_REQUESTS: Final = "groqscope.requests"
_ATTEMPTS: Final = "groqscope.attempts"
_GENAI_OPERATIONS: Final = frozenset({"chat", "embeddings", "transcription", "translation", "speech"})
"""Operations that are inference and so carry `gen_ai.operation.name`."""


class Ended(Protocol):
    """A request that has ended, as telemetry needs it."""

    @property
    def record(self) -> RequestRecord:
        """The record; made when first asked for."""
        ...

    @property
    def end_unix_ns(self) -> int:
        """When it ended."""
        ...

    @property
    def error_type(self) -> str | None:
        """Why it failed, if it did."""
        ...

    @property
    def has_children(self) -> bool:
        """Whether it has attempts, tool calls or the like that get spans of their own."""
        ...

    @property
    def gaps(self) -> list[int]:
        """Sample of gaps between reads, nanoseconds."""
        ...

    @property
    def content(self) -> Content | None:
        """Messages, if they are recorded."""
        ...


@dataclass(slots=True)
class Begun:
    """A request in flight, as telemetry sees it."""

    span: Span
    context: Context
    """With the span current; for spans inside the call and for exemplars."""
    around: Around | None
    """Somebody else's inference around it."""
    in_flight: MetricAttributes
    method: str
    recording: bool
    url: str | None = None
    """Of the last attempt, where there were several."""


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
        self._tracer = trace.get_tracer(semconv.SCOPE, __version__, tracer_provider, schema_url=semconv.SCHEMA_URL)
        self.metrics = Metrics(
            metrics.get_meter(semconv.SCOPE, __version__, meter_provider, schema_url=semconv.SCHEMA_URL)
        )
        self._phase_spans = phase_spans
        self.content = content or ContentPolicy.from_environment()

    def begin(self, request: RequestFacts, start_unix_ns: int, *, method: str = "POST") -> Begun:
        """Begin the span of a request, and write its identity into `request`."""
        warm_up()
        context = otel_context.get_current()
        operation = request.get("operation", "chat")
        outer = around(context) if operation in INFERENCE else None
        nested = outer is not None
        if outer is not None:
            context = trace.set_span_in_context(outer.span, context)
            # At once: theirs may end before ours does. Who reads both counts it as ours.
            outer.span.set_attribute(_REQUESTS, _total(outer.span, _REQUESTS, 1))
        model = request.get("model")
        name = semconv.SPAN_NESTED if nested else operation
        span = self._tracer.start_span(
            f"{name} {model}" if model else name,
            context,
            SpanKind.INTERNAL if nested else SpanKind.CLIENT,
            _at_creation(request, operation, nested=nested),
            start_time=start_unix_ns,
        )
        identity = span.get_span_context()
        recording = span.is_recording()
        if identity.is_valid:
            request["trace_id"] = format(identity.trace_id, "032x")
            request["span_id"] = format(identity.span_id, "016x")
        request["nested"] = nested
        request["service"] = _service(span) if recording else None
        context = trace.set_span_in_context(span, context)
        in_flight = self.metrics.in_flight(operation, model)
        self.metrics.started(in_flight)
        return Begun(span, context, outer, in_flight, method, recording)

    def end(self, begun: Begun, ended: Ended) -> None:
        """End the span; children and metrics follow off the request's path. The record is made when it is needed."""
        if begun.around is not None and begun.around.span.is_recording():
            begun.around.span.set_attributes(_summary(begun.around.span, ended.record))
        if begun.recording:
            flush_with(begun.span)
            end_span(begun.span, ended.end_unix_ns, ended.error_type, lambda: self._written(ended))
        else:
            begun.span.end(ended.end_unix_ns)
        self.metrics.ended(begun.in_flight)
        worker.put(lambda: self._after(begun, ended))

    def _written(self, ended: Ended) -> Written:
        extra = ended.content.attributes() if ended.content is not None and self.content.spans else {}
        return write(ended.record, extra)

    def _after(self, begun: Begun, ended: Ended) -> None:
        """What need not be done inside the request."""
        try:
            if begun.recording and (self._phase_spans or ended.has_children):
                emit_children(begun.span, ended.record, phases=self._phase_spans, url=begun.url, method=begun.method)
            left = frozenset[str]() if begun.around is None else begun.around.left
            self.metrics.record(ended.record, ended.gaps, begun.context, left)
            if ended.content is not None and self.content.events:
                ended.content.emit(ended.record, begun.context)
        except Exception as error:  # noqa: BLE001 - nobody is there to catch it
            log_failure_once(logger, "groqscope could not finish the telemetry of a request", error)
            self.metrics.internal_error("telemetry")


def _at_creation(request: RequestFacts, operation: str, *, nested: bool) -> Attributes:
    attributes: Attributes = {semconv.PROVIDER_NAME: semconv.PROVIDER, semconv.SYSTEM: semconv.PROVIDER}
    if not nested and operation in _GENAI_OPERATIONS:
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
    name = resource.attributes.get("service.name") if resource is not None else None
    return name if isinstance(name, str) else None


def _summary(outer: Span, record: RequestRecord) -> Attributes:
    """What the span around tells of the requests inside it: all are counted, outcome and time are the last one's."""
    attributes: Attributes = {
        _ATTEMPTS: _total(outer, _ATTEMPTS, len(record.attempts) + record.attempts_dropped),
        semconv.OUTCOME: record.outcome or "",
    }
    if record.ttft_ns is not None:
        attributes["groqscope.ttft"] = record.ttft_ns / 1e9
    return attributes


def _total(outer: Span, name: str, more: int) -> int:
    known: Any = getattr(outer, "attributes", None) or {}
    before = known.get(name)
    return (before if isinstance(before, int) else 0) + more
