"""The record span and its children.

The record span is begun by the tracer when the call is issued, so that samplers and processors see it, and ends when
the request ends. Its attributes and events are written when somebody reads them, which an exporter does in its own
thread: the request does not wait for it. Its children (phases, attempts, tool calls) lie in the past by then: the
worker hands them to the span's own processors as finished spans, which costs a tenth of beginning and ending each. A
provider that is flushed or shut down has the worker's queue emptied first, so that none is left behind.

Both need the OpenTelemetry SDK's spans; any other provider gets the record span alone, written at once.
"""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode

from groqscope import _fork, semconv
from groqscope._diagnostics import log_failure_once
from groqscope.codec import Attributes, encode
from groqscope.telemetry.background import worker
from groqscope.timeline import RequestRecord

logger = logging.getLogger("groqscope")

Written = tuple[Attributes, list[tuple[str, int, Attributes]]]
"""Attributes and events (name, Unix time in nanoseconds, attributes) of a span."""

_OK = Status(StatusCode.UNSET)
_random = random.Random()  # noqa: S311 - span ids need no secrecy
_fork.register(after_in_child=_random.seed)  # or parent and child would give the same ids


class Child(NamedTuple):
    """A span in the past: offsets since issue in nanoseconds."""

    name: str
    start_ns: int
    duration_ns: int
    attributes: Attributes
    kind: SpanKind = SpanKind.INTERNAL
    error: str | None = None


class RecordSpan(ReadableSpan):
    """A finished span whose attributes and events are made when they are first read.

    Exporters read it in threads of their own: two that come at once both make them, and either result is whole.
    """

    def __init__(self, span: Any, end_time: int, status: Status, build: Callable[[], Written]) -> None:
        super().__init__(
            name=span.name,
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource,
            attributes=span._attributes,  # noqa: SLF001 - with its limits
            events=span._events,  # noqa: SLF001 - what others added
            links=span.links,
            kind=span.kind,
            status=status,
            start_time=span.start_time,
            end_time=end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
        self._limits: Any = span._limits  # noqa: SLF001 - they have no public name
        self._build: Callable[[], Written] | None = build
        self._written: tuple[Any, Any] | None = None

    @property
    def _attributes(self) -> Any:
        return (self._written or self._write())[0]

    @_attributes.setter
    def _attributes(self, value: Any) -> None:
        self._own_attributes = value

    @property
    def _events(self) -> Any:
        return (self._written or self._write())[1]

    @_events.setter
    def _events(self, value: Any) -> None:
        self._own_events = value

    def _write(self) -> tuple[Any, Any]:
        build, limits = self._build, self._limits
        if build is None:
            # Another thread was quicker.
            return self._written or ({}, ())
        try:
            attributes, events = build()
        except Exception as error:  # noqa: BLE001 - an exporter's thread must not see a failure of ours
            log_failure_once(logger, "groqscope could not write a span", error)
            attributes, events = {}, []
        whole = _bounded(
            {**(self._own_attributes or {}), **attributes},
            limits.max_span_attributes,
            limits.max_span_attribute_length,
        )
        made = [
            Event(n, _bounded(a, limits.max_event_attributes, limits.max_attribute_length), t) for n, t, a in events
        ]
        self._written = written = whole, BoundedList.from_seq(limits.max_events, [*self._own_events, *made])
        self._build = None
        return written


def _bounded(attributes: Attributes, count: int | None, length: int | None) -> Any:
    """Keep the SDK's limits. Ours are clean already, so where no limit bites nothing needs to be done."""
    if length is None and (count is None or len(attributes) <= count):
        return attributes
    return BoundedAttributes(count, attributes, immutable=True, max_value_len=length)


def end_span(span: Span, end_time: int, error_type: str | None, build: Callable[[], Written]) -> None:
    """End the record span; `build` gives its attributes and events (with absolute times)."""
    status = _OK if error_type is None else Status(StatusCode.ERROR, error_type)
    inner: Any = getattr(span, "span", span)
    if isinstance(inner, SdkSpan):
        inner._readable_span = lambda: RecordSpan(inner, end_time, status, build)  # noqa: SLF001 - what `end` hands on
    else:
        attributes, events = build()
        span.set_attributes(attributes)
        for name, time, event_attributes in events:
            span.add_event(name, event_attributes, time)
    if error_type is not None:
        span.set_status(status)
    span.end(end_time)
    if isinstance(inner, SdkSpan):
        # The span would hold itself, and with it the request, until the garbage collector comes.
        vars(inner).pop("_readable_span", None)


def disown(span: Span) -> None:
    """In a child process: the span is its parent's, and nobody here ends it; logfire would, at the exit."""
    for one in (span, getattr(span, "span", None)):
        if one is not None:
            with suppress(AttributeError):
                one.end = _nothing


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    pass


class _Drain(SpanProcessor):
    """Empties the worker's queue before the provider's other processors flush or shut down."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the interface's parameter
        worker.drain()
        return True

    def shutdown(self) -> None:
        worker.drain()


_drain = _Drain()


def flush_with(span: Span) -> None:
    """Have the worker's queue emptied when the span's provider is flushed or shut down."""
    processors: Any = getattr(getattr(span, "span", span), "_span_processor", None)
    known = getattr(processors, "_span_processors", None)
    # First in line: a processor that was added last would be told after the exporters have shut down.
    if isinstance(known, tuple) and (not known or known[0] is not _drain):
        processors._span_processors = (_drain, *(p for p in known if p is not _drain))  # noqa: SLF001 - see above


def write(record: RequestRecord, extra: Attributes) -> Written:
    """Give the attributes and events of a record's span."""
    attributes, events = encode(record)
    attributes.update(extra)
    start = record.start_unix_ns
    written = [(name, start + offset, event_attributes) for name, offset, event_attributes in events]
    if record.outcome == "error" and record.error_type is not None:
        # Messages and stack traces can hold prompts and keys, so the event names the exception's type and no more.
        written.append(("exception", start + record.duration_ns, {"exception.type": record.error_type}))
    return attributes, written


def emit_children(span: Span, record: RequestRecord, *, phases: bool, url: str | None, method: str) -> None:
    """Hand the record's children to the processors of its span."""
    inner: Any = getattr(span, "span", span)
    if not isinstance(inner, SdkSpan):
        return
    parent = inner.get_span_context()
    processor: Any = inner._span_processor  # noqa: SLF001 - the SDK offers no public way to hand over a finished span
    for child in children(record, phases=phases, url=url, method=method):
        start = record.start_unix_ns + child.start_ns
        context = SpanContext(
            parent.trace_id,
            _random.getrandbits(64) or 1,
            is_remote=False,
            trace_flags=parent.trace_flags,
            trace_state=parent.trace_state,
        )
        processor.on_end(
            ReadableSpan(
                name=child.name,
                context=context,
                parent=parent,
                resource=inner.resource,
                attributes=child.attributes,
                kind=child.kind,
                status=_OK if child.error is None else Status(StatusCode.ERROR, child.error),
                start_time=start,
                end_time=start + child.duration_ns,
                instrumentation_scope=inner.instrumentation_scope,
            )
        )


def children(record: RequestRecord, *, phases: bool, url: str | None, method: str) -> Iterator[Child]:
    """Give the children of a record, in the order in which they begin within their kind."""
    if phases:
        yield from _phases(record)
    if len(record.attempts) > 1:
        yield from _attempts(record, url, method)
    for call in record.tool_calls:
        if call.assembly_ns is None or call.first_delta_ns is None:
            continue
        end = call.first_delta_ns + (call.delta_ns or 0)
        attributes: Attributes = {"groqscope.tool_call.index": call.index}
        for key, value in ((semconv.TOOL_CALL_ID, call.id), (semconv.TOOL_NAME, call.name)):
            if value is not None:
                attributes[key] = value
        attributes["groqscope.tool_call.assembly_time"] = call.assembly_ns / 1e9
        attributes["groqscope.tool_call.first_delta_time"] = call.first_delta_ns / 1e9
        attributes["groqscope.tool_call.delta_time"] = (call.delta_ns or 0) / 1e9
        attributes["groqscope.tool_call.deltas"] = call.deltas
        attributes["groqscope.tool_call.arguments_size"] = call.arguments_size
        if call.arguments_valid is not None:
            attributes["groqscope.tool_call.arguments_valid_json"] = call.arguments_valid
        name = f"{semconv.SPAN_TOOL_CALL} {call.name}" if call.name else semconv.SPAN_TOOL_CALL
        yield Child(name, end - call.assembly_ns, call.assembly_ns, attributes)
    for tool in record.executed_tools:
        if tool.start_ns is not None and tool.duration_ns is not None:
            yield Child(
                f"{semconv.SPAN_EXECUTED_TOOL} {tool.type}",
                tool.start_ns,
                tool.duration_ns,
                {
                    semconv.OPERATION_NAME: semconv.SPAN_EXECUTED_TOOL,
                    semconv.TOOL_NAME: tool.type,
                    semconv.TOOL_TYPE: "extension",
                },
            )


def _phases(record: RequestRecord) -> Iterator[Child]:
    """The stretches that are contiguous; each begins where the one before it ends."""
    at = 0
    for name in ("prepare", "retry", "pool_wait", "connect", "tls", "send"):
        length = getattr(record.phases, name)
        if length is None:
            continue
        if name != "retry":
            yield _phase(name, at, length)
        at += length
    if record.phases.wait is None:
        return
    end = record.duration_ns - (record.phases.finish or 0)
    if record.ttft_ns is None:
        yield _phase("wait", at, max(0, end - at))
    else:
        yield _phase("wait", at, max(0, record.ttft_ns - at))
        yield _phase("stream", record.ttft_ns, max(0, (record.last_chunk_ns or end) - record.ttft_ns))


def _phase(name: str, start: int, length: int) -> Child:
    return Child(name, start, length, {semconv.PHASE: name})


def _attempts(record: RequestRecord, url: str | None, method: str) -> Iterator[Child]:
    for number, attempt in enumerate(record.attempts):
        attributes: Attributes = {"http.request.method": method}
        if url is not None:
            attributes["url.full"] = url
        for key, value in (
            (semconv.SERVER_ADDRESS, record.server_address),
            (semconv.SERVER_PORT, record.server_port),
            (semconv.HTTP_STATUS, attempt.status),
            (semconv.ERROR_TYPE, attempt.error_type),
            (semconv.RETRY_AFTER, attempt.retry_after),
        ):
            if value is not None:
                attributes[key] = value
        if number:
            attributes["http.request.resend_count"] = number
        yield Child(method, attempt.start_ns, attempt.duration_ns, attributes, SpanKind.CLIENT, attempt.error_type)
