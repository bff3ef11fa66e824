"""Runs as they end in this process: from the spans of a provider, for metrics of runs and for tests.

A span processor keeps the spans of each trace that is open here, within limits. When the outermost `groqscope.run` or
agent of a trace has ended, or, where there is none, the last span of the trace, they become runs. That is done by the
worker, so that a request waits for none of it.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from groqscope import _fork, semconv
from groqscope._diagnostics import log_failure_once
from groqscope.codec import decode
from groqscope.runs import Run, TraceSpan, runs_of
from groqscope.telemetry.background import worker
from groqscope.telemetry.metrics import Metrics, OnePerProvider, shared_metrics

logger = logging.getLogger("groqscope")

MAX_TRACES: Final = 1_000
"""Traces open at once that are kept; a trace that begins beyond them has no run here."""
MAX_SPANS: Final = 5_000
"""Spans of a trace that are kept; a trace with more has no run here."""
MAX_ALL_SPANS: Final = 50_000
"""Spans kept of all traces, about 50 MB."""

OnRun = Callable[[Run, Context], object]
"""Called in the worker's thread, with the run and a context in which its span is current, for exemplars."""


class _Trace:
    """The spans of one trace that ended here, and how many are open."""

    __slots__ = ("full", "has_request", "marked", "open", "reported", "spans")

    def __init__(self) -> None:
        self.open = 0
        self.marked: set[int] = set()
        """Open spans that say they are runs."""
        self.spans: list[ReadableSpan] = []
        self.has_request = False
        """Whether a Groq request is among them."""
        self.reported = False
        """Whether a part of it was reported as a run already; the rest alone is not one."""
        self.full = False


class RunObserver(SpanProcessor):
    """Reports each run of a tracer provider when it ends."""

    def __init__(self, on_run: OnRun, *, prepare: Callable[[], object] = lambda: None) -> None:
        """Begin.

        Args:
            on_run: Called with each run.
            prepare: Called before, in the thread in which the run ends, for what the worker must not do.
        """
        self.on_run: OnRun | None = on_run
        """`None`: nothing is kept."""
        self._prepare = prepare
        self._traces: dict[int, _Trace] = {}
        self._kept = 0
        self._lock = threading.Lock()
        _fork.register(after_in_child=self._forked)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note that a span of its trace is open."""
        del parent_context
        try:
            if self.on_run is not None:
                self._started(span)
        except Exception as error:  # noqa: BLE001 - nothing of ours reaches the caller
            log_failure_once(logger, "groqscope could not observe a run", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span; with the last one that is waited for, make runs of them."""
        try:
            if self.on_run is not None:
                self._ended(span)
        except Exception as error:  # noqa: BLE001 - as above
            log_failure_once(logger, "groqscope could not observe a run", error)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Report the runs that have ended so far."""
        del timeout_millis
        worker.drain()
        return True

    def _started(self, span: Span) -> None:
        context = span.get_span_context()
        with self._lock:
            known = self._traces.get(context.trace_id)
            if known is None:
                if len(self._traces) >= MAX_TRACES:
                    return
                known = self._traces[context.trace_id] = _Trace()
            known.open += 1
            if _is_run(span.attributes or {}):
                known.marked.add(context.span_id)

    def _ended(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None:
            return
        with self._lock:
            known = self._traces.get(context.trace_id)
            if known is None:
                return
            known.open -= 1
            self._keep(known, span)
            outermost = context.span_id in known.marked and len(known.marked) == 1
            known.marked.discard(context.span_id)
            last = known.open <= 0
            if not (outermost or last):
                return
            done = known.spans if known.has_request and not known.full and (outermost or not known.reported) else []
            self._kept -= len(known.spans)
            known.spans = []
            known.reported = known.reported or outermost
            known.has_request = False
            if last:
                del self._traces[context.trace_id]
        if done:
            self._prepare()
            worker.start()
            worker.put(partial(self._tell, done))

    def _keep(self, known: _Trace, span: ReadableSpan) -> None:
        attributes = span.attributes or {}
        if semconv.PHASE in attributes:
            return  # a part of a request, which its record tells
        if len(known.spans) >= MAX_SPANS or self._kept >= MAX_ALL_SPANS:
            known.full = True
            return
        known.spans.append(span)
        known.has_request = known.has_request or semconv.RECORD in attributes
        self._kept += 1

    def _tell(self, spans: list[ReadableSpan]) -> None:
        try:
            on_run = self.on_run
            made = [one for one in map(trace_span, spans) if one is not None]
            contexts = {f"{c.span_id:016x}": c for c in (span.get_span_context() for span in spans) if c is not None}
            for run in runs_of(made) if on_run is not None else ():
                top = contexts.get(run.span_id or "") or contexts[run.spans[0].span_id]
                if on_run is not None:
                    on_run(run, _around(top))
        except Exception as error:  # noqa: BLE001 - a job must not raise
            log_failure_once(logger, "groqscope could not make a run of spans", error)

    def _forked(self) -> None:
        """Forget the open spans in a child process: they are the parent's."""
        self._lock = threading.Lock()
        self._traces = {}
        self._kept = 0


def _is_run(attributes: Mapping[str, Any]) -> bool:
    operation = attributes.get(semconv.OPERATION_NAME)
    return operation == semconv.INVOKE_AGENT or (operation is None and semconv.RUN_NAME in attributes)


def _around(context: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(context), Context())


_KINDS: Final = {kind: kind.name.lower() for kind in SpanKind}


def trace_span(span: ReadableSpan) -> TraceSpan | None:
    """Return a span of the SDK as a span of a run; `None` when it has no start."""
    context, parent = span.get_span_context(), span.parent
    if context is None or span.start_time is None:
        return None
    trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    attributes: Mapping[str, Any] = span.attributes or {}
    record = None
    if semconv.RECORD in attributes and span.end_time is not None:
        events = [(e.name, e.attributes or {}, e.timestamp) for e in span.events]
        service = span.resource.attributes.get(semconv.SERVICE_NAME)
        record = decode(
            attributes,
            events,
            start_unix_ns=span.start_time,
            duration_ns=span.end_time - span.start_time,
            trace_id=trace_id,
            span_id=span_id,
            nested=span.kind is SpanKind.INTERNAL,
            service=service if isinstance(service, str) else None,
        )
    return TraceSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=None if parent is None else f"{parent.span_id:016x}",
        name=span.name,
        kind=_KINDS[span.kind],
        start_unix_ns=span.start_time,
        end_unix_ns=span.end_time,
        attributes=attributes if record is None else {semconv.OPERATION_NAME: record.operation},
        failed=span.status.status_code is StatusCode.ERROR,
        record=record,
    )


def run_metrics(meter_provider: MeterProvider | None = None) -> SpanProcessor:
    """Return a span processor that records the metrics of runs: `provider.add_span_processor(groqscope.run_metrics())`.

    It is for a tracer provider of your own, which groqscope leaves as it is; `configure()` adds one to its own. Without
    it there are no such metrics: the parts of a run are the spans of all libraries, which only a processor sees.

    Args:
        meter_provider: Where the metrics go; the global meter provider when not given.
    """
    # The worker's jobs may run while metrics are collected, and then a provider can give no instruments.
    instruments: list[Metrics] = []

    def prepare() -> None:
        instruments[:] = [shared_metrics(meter_provider or metrics.get_meter_provider())]

    def record(run: Run, context: Context) -> None:
        for made in instruments:
            made.record_run(run, context)

    return RunObserver(record, prepare=prepare)


_observers: OnePerProvider[RunObserver] = OnePerProvider()


def observer_of(provider: Any, on_run: OnRun) -> RunObserver:
    """Return the observer of a provider, added the first time, since a processor cannot be removed again."""

    def added() -> RunObserver:
        made = RunObserver(on_run)
        provider.add_span_processor(made)
        return made

    known = _observers.of(provider, added)
    known.on_run = on_run
    return known
