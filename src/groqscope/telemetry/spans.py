"""The record span and its children, created by the provider's tracer.

The record span starts when the call is issued. Its children (phases, attempts, tool calls) are created when the request
ends: each is started and ended with the times it had. Then the record span gets its attributes and events, and ends
last. So samplers, processors and exporters see ordinary spans, complete before they end, and can change them like any
others.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from groqscope import semconv
from groqscope._diagnostics import log_once
from groqscope.codec import Attributes, EventData, encode
from groqscope.timeline import RequestRecord

logger = logging.getLogger("groqscope")

P = ParamSpec("P")
R = TypeVar("R")

_CONTIGUOUS: Final = ("prepare", "retry", "pool_wait", "connect", "tls", "send")
"""Phases that each start where the previous one ends."""


_PROVIDER_RAISED: Final = (
    "A sampler or span processor of the application raised %s on a span of groqscope; the request goes on."
)


class Child(NamedTuple):
    """A child span: start and duration are nanoseconds, the start since the request was issued."""

    name: str
    start_ns: int
    duration_ns: int
    attributes: Attributes
    kind: SpanKind = SpanKind.INTERNAL
    error: str | None = None


def guarded(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Call the application's provider; return `None` when one of its samplers, id generators or processors raises.

    The span is then, as any other span would be, not started, or not seen by the processors after the one that raised.
    But the exception does not reach the request, as it would with a plain span.
    """
    try:
        return call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the application's code may raise anything
        log_once(logger, _PROVIDER_RAISED, type(error).__name__)
        return None


def write(span: Span, record: RequestRecord, content: Attributes) -> None:
    """Write a record on its span."""
    attributes, events = encode(record)
    guarded(_write, span, record, {**content, **attributes} if content else attributes, events)


def _write(span: Span, record: RequestRecord, attributes: Attributes, events: list[EventData]) -> None:
    # Over an attribute limit the SDK drops the oldest: write what identifies the request last.
    span.set_attributes(attributes)
    start = record.start_unix_ns
    for name, offset, event_attributes in events:
        span.add_event(name, event_attributes, start + offset)
    if record.error_type is not None:
        if record.outcome == "error":
            # Messages and stack traces may contain prompts and keys: record only the exception's type.
            exception = {semconv.EXCEPTION_TYPE: record.error_type}
            span.add_event(semconv.EVENT_EXCEPTION, exception, start + record.duration_ns)
        span.set_status(Status(StatusCode.ERROR, record.error_type))


def emit(tracer: Tracer, context: Context, children: Iterator[Child], issue_unix_ns: int) -> None:
    """Start and end each child below the span of `context`."""
    for name, start_ns, duration_ns, attributes, kind, error in children:
        start = issue_unix_ns + start_ns
        span = None
        try:
            span = guarded(tracer.start_span, name, context, kind, attributes, start_time=start)
            if span is not None:
                if error is not None:
                    guarded(span.set_status, Status(StatusCode.ERROR, error))
                guarded(span.end, start + duration_ns)
        except BaseException:
            end_interrupted(span, start + duration_ns)
            raise


def end_interrupted(span: Span | None, at_unix_ns: int | None = None) -> None:
    """End a span that an interrupt may have kept from ending."""
    if span is not None and span.is_recording():
        guarded(span.end, at_unix_ns)


def disown(span: Span) -> None:
    """Make a span of the parent process unendable in a child process, where logfire would end it at exit."""
    for layer in (span, getattr(span, "span", None)):  # logfire wraps the SDK's span
        if layer is not None:
            with suppress(AttributeError):
                layer.end = _do_nothing


def _do_nothing(*_args: Any, **_kwargs: Any) -> None:
    pass


def children(record: RequestRecord, *, phases: bool, url: str | None, method: str) -> Iterator[Child]:
    """Yield the children of a record: phases, attempts, tool calls, executed tools; each kind in order of start."""
    if phases:
        yield from _phases(record)
    if len(record.attempts) > 1:
        yield from _attempts(record, url, method)
    for call in record.tool_calls:
        if call.assembly_ns is None or call.first_delta_ns is None:
            continue
        end = call.first_delta_ns + (call.delta_ns or 0)
        attributes: Attributes = {semconv.TOOL_CALL_INDEX: call.index}
        for key, value in ((semconv.TOOL_CALL_ID, call.id), (semconv.TOOL_NAME, call.name)):
            if value is not None:
                attributes[key] = value
        attributes[semconv.TOOL_CALL_ASSEMBLY_TIME] = call.assembly_ns / 1e9
        attributes[semconv.TOOL_CALL_FIRST_DELTA_TIME] = call.first_delta_ns / 1e9
        attributes[semconv.TOOL_CALL_DELTA_TIME] = (call.delta_ns or 0) / 1e9
        attributes[semconv.TOOL_CALL_DELTAS] = call.deltas
        attributes[semconv.TOOL_CALL_ARGUMENTS_SIZE] = call.arguments_size
        if call.arguments_valid is not None:
            attributes[semconv.TOOL_CALL_ARGUMENTS_VALID] = call.arguments_valid
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
    start = 0
    for name in _CONTIGUOUS:
        length = getattr(record.phases, name)
        if length is None:
            continue
        if name != "retry":
            yield _phase(name, start, length)
        start += length
    if record.phases.wait is None:
        return
    end = record.duration_ns - (record.phases.finish or 0)
    begin = record.stream_start_ns
    if begin is None:
        yield _phase("wait", start, max(0, end - start))
    else:
        yield _phase("wait", start, max(0, begin - start))
        yield _phase("stream", begin, max(0, (record.last_chunk_ns or end) - begin))


def _phase(name: str, start: int, length: int) -> Child:
    return Child(name, start, length, {semconv.PHASE: name})


def _attempts(record: RequestRecord, url: str | None, method: str) -> Iterator[Child]:
    for number, attempt in enumerate(record.attempts):
        attributes: Attributes = {semconv.HTTP_METHOD: method}
        if url is not None:
            attributes[semconv.URL_FULL] = url
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
            attributes[semconv.HTTP_RESEND_COUNT] = number
        yield Child(method, attempt.start_ns, attempt.duration_ns or 0, attributes, SpanKind.CLIENT, attempt.error_type)
