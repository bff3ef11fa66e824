"""Spans of the OpenTelemetry SDK made from records, as the tracer would have made them."""

from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from groqscope import semconv
from groqscope.codec import encode
from groqscope.timeline import RequestRecord

SCOPE = InstrumentationScope(semconv.SCOPE, "0", semconv.SCHEMA_URL)


def span_of(record: RequestRecord) -> ReadableSpan:
    """Make the record span; ids, kind, times and service are the record's."""
    attributes, events = encode(record)
    return ReadableSpan(
        name=f"{semconv.SPAN_CHAT} {record.model}",
        context=_context(record, record.span_id),
        resource=Resource({"service.name": record.service} if record.service is not None else {}),
        attributes=attributes,
        events=[Event(name, given, record.start_unix_ns + at) for name, at, given in events],
        kind=SpanKind.INTERNAL if record.nested else SpanKind.CLIENT,
        instrumentation_scope=SCOPE,
        start_time=record.start_unix_ns,
        end_time=record.start_unix_ns + record.duration_ns,
    )


def child_of(record: RequestRecord, name: str = "wait", attributes: dict[str, str] | None = None) -> ReadableSpan:
    """Make a span below the record span, as trace viewers show them."""
    return ReadableSpan(
        name=name,
        context=_context(record, "00000000000000c1"),
        parent=_context(record, record.span_id),
        resource=Resource({"service.name": record.service} if record.service is not None else {}),
        attributes=attributes or {semconv.PHASE: name},
        instrumentation_scope=SCOPE,
        start_time=record.start_unix_ns,
        end_time=record.start_unix_ns + record.duration_ns,
    )


def family_of(record: RequestRecord) -> Sequence[ReadableSpan]:
    """Make a record span and its children, the children first: they end first."""
    return [child_of(record, "send"), child_of(record), span_of(record)]


def _context(record: RequestRecord, span_id: str | None) -> SpanContext:
    return SpanContext(int(record.trace_id or "0", 16), int(span_id or "0", 16), False, TraceFlags(1))
