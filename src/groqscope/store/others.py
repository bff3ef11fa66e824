"""Spans of other libraries in the local store: those of traces with a Groq request, up to a limit for each.

Most of an agent's spans end before its first request has, so they wait until it is known whether their trace has one.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from groqscope import semconv

OTHERS: Final = 1_000
"""Spans of others that are kept of a trace."""
MAX_WAITING: Final = 4_096
"""Limit of waiting spans; beyond it, those of the oldest traces are dropped."""
MAX_TRACES: Final = 10_000
"""Traces with a Groq request that are remembered."""


class _Trace:
    __slots__ = ("kept", "left_out")

    def __init__(self) -> None:
        self.kept = self.left_out = 0


class OtherSpans:
    """Selects the spans that are written."""

    def __init__(self, per_trace: int = OTHERS) -> None:
        """Begin with no trace; `per_trace` is how many spans of others are kept of each, 0 for none."""
        self._per_trace = per_trace
        self._known: OrderedDict[int, _Trace] = OrderedDict()
        self._waiting: OrderedDict[int, list[ReadableSpan]] = OrderedDict()
        self._number = 0
        self._lock = threading.Lock()

    def select(self, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
        """Return the spans to be written now, those among them that waited."""
        with self._lock:
            for span in spans:
                if _asks_groq(span) and (context := span.get_span_context()) is not None:
                    self._remember(context.trace_id)
            return list(self._selected(spans))

    def _remember(self, trace_id: int) -> None:
        self._known.setdefault(trace_id, _Trace())
        self._known.move_to_end(trace_id)
        if len(self._known) > MAX_TRACES:
            self._known.popitem(last=False)

    def _selected(self, spans: Sequence[ReadableSpan]) -> Iterator[ReadableSpan]:
        for span in spans:
            context = span.get_span_context()
            if context is None or _is_ours(span):
                yield span
                continue
            known = self._known.get(context.trace_id)
            if known is None:
                self._wait(context.trace_id, span)
                continue
            for waited in self._waiting.pop(context.trace_id, ()):
                self._number -= 1
                yield from _within(known, waited, self._per_trace)
            yield from _within(known, span, self._per_trace)
        for trace_id in [trace_id for trace_id in self._waiting if trace_id in self._known]:
            waiting = self._waiting.pop(trace_id)
            self._number -= len(waiting)
            for waited in waiting:
                yield from _within(self._known[trace_id], waited, self._per_trace)

    def _wait(self, trace_id: int, span: ReadableSpan) -> None:
        if not self._per_trace:
            return
        self._waiting.setdefault(trace_id, []).append(span)
        self._number += 1
        while self._number > MAX_WAITING:
            _, dropped = self._waiting.popitem(last=False)
            self._number -= len(dropped)


def _within(known: _Trace, span: ReadableSpan, limit: int) -> Iterator[ReadableSpan]:
    """Yield the span while there is room; the trace's own root always, which says how many are missing."""
    if not limit:
        return
    if known.kept < limit:
        known.kept += 1
        yield span
    elif span.parent is None or span.parent.is_remote:
        yield _with_left_out(span, known.left_out)
    else:
        known.left_out += 1


def _is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return (scope is not None and scope.name == semconv.SCOPE) or semconv.RECORD in (span.attributes or {})


def _asks_groq(span: ReadableSpan) -> bool:
    attributes = span.attributes or {}
    provider = attributes.get(semconv.PROVIDER_NAME) or attributes.get(semconv.SYSTEM)
    return semconv.RECORD in attributes or str(provider).lower() == semconv.PROVIDER


def _with_left_out(span: ReadableSpan, number: int) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), semconv.SPANS_LEFT_OUT: number},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
