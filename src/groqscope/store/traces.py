"""Whole traces: every span of those that have a Groq request, for the runs that are made of them."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from groqscope import semconv
from groqscope.runs import TraceSpan
from groqscope.store import otlp
from groqscope.store.decoding import RecordDecoder
from groqscope.store.messages import Span
from groqscope.store.report import ReadReport, SeenIds
from groqscope.store.sources import name_of, read_documents, sources
from groqscope.timeline import RequestRecord

MAX_SPANS: Final = 2_000_000
"""Spans that are kept at once, about 1 GB; traces that begin after them are left out, and the report says so."""

_PHASE_MARK: Final = f'"{semconv.PHASE}"'.encode()
_KINDS: Final = ("internal", "internal", "server", "client", "producer", "consumer")


class Share(NamedTuple):
    """One of several shares of all traces, each of which has whole traces; for as many processes."""

    number: int
    """From 0."""
    of: int

    def has(self, trace_id: str) -> bool:
        """Whether a trace is in it: by the last four digits of its ID, which SQL can tell as well."""
        return int(trace_id[-4:], 16) % self.of == self.number


class TraceCollector:
    """Keeps the spans of traces while documents are decoded, and yields the traces with a Groq request."""

    def __init__(
        self, report: ReadReport, *, trace_id: str | None = None, share: Share | None = None, max_spans: int = MAX_SPANS
    ) -> None:
        """Begin with none.

        Args:
            report: Where is noted what is passed over.
            trace_id: Keep only this trace; `None`: all of them.
            share: Keep only the traces of this share; `None`: all of them.
            max_spans: How many spans to keep at once.
        """
        self._report = report
        self._only = trace_id
        self._share = share
        self._traces: dict[str, list[TraceSpan]] = {}
        self._room = max_spans
        self._left_out = 0
        self._seen = SeenIds()
        # No report of many runs shows the arrival times of chunks, which take most of a request's memory.
        self._decoder = RecordDecoder(
            report,
            timelines=trace_id is not None,
            wants=None if trace_id is None and share is None else self._wants,
            on_span=self._keep,
        )

    def read(self, document: bytes, source: str, number: int | None = None, *, complete: bool = True) -> None:
        """Take one document of OTLP JSON."""
        for _ in self._decoder.decode(document, source, number, complete=complete):
            pass

    def add(self, span: TraceSpan) -> None:
        """Take a span that is read already; a repeat of a request is counted, of another span ignored."""
        if not self._belongs(span.trace_id):
            return
        if not self._seen.add(span.trace_id, span.span_id):
            self._report.repeats += span.record is not None
            return
        known = self._traces.get(span.trace_id)
        if known is None:
            if self._room <= 0:
                self._left_out += 1
                return
            known = self._traces[span.trace_id] = []
        known.append(span)
        self._room -= 1

    def traces(self, stored: Iterable[list[TraceSpan]] = ()) -> Iterator[list[TraceSpan]]:
        """Yield each trace with a Groq request in order of the IDs, and forget it.

        Args:
            stored: Traces that lie elsewhere, in order of their IDs; spans of the same trace are put together.
        """
        if self._left_out:
            reason = f"{self._left_out:,} spans of more traces than fit into memory: ask for less time"
            self._report.warn("traces", None, reason)
        waiting = deque(sorted(self._traces))
        for there in stored:
            trace_id = there[0].trace_id
            while waiting and waiting[0] < trace_id:
                yield from self._trace(waiting.popleft(), ())
            if waiting and waiting[0] == trace_id:
                waiting.popleft()
            yield from self._trace(trace_id, there)
        for trace_id in waiting:
            yield from self._trace(trace_id, ())

    @property
    def trace_ids(self) -> Collection[str]:
        """The traces of which there are spans."""
        return self._traces.keys()

    def _trace(self, trace_id: str, there: Iterable[TraceSpan]) -> Iterator[list[TraceSpan]]:
        """Yield a trace if it has a Groq request."""
        spans = self._traces.pop(trace_id, [])
        here, seen = {span.span_id for span in spans}, set[str]()
        for span in there:
            if span.span_id in here and span.record is not None:
                self._report.repeats += 1
            if span.span_id not in here and span.span_id not in seen:
                seen.add(span.span_id)
                spans.append(span)
        if any(span.record is not None for span in spans):
            yield spans

    def _wants(self, span: Span) -> bool:
        trace_id = _id(span.trace_id, 32)
        return trace_id is not None and self._belongs(trace_id)

    def _belongs(self, trace_id: str) -> bool:
        if self._only is not None and trace_id != self._only:
            return False
        return self._share is None or self._share.has(trace_id)

    def _keep(self, span: Span, record: RequestRecord | None) -> None:
        made = trace_span(span, record)
        if made is not None:
            self.add(made)


def read_traces(
    paths: Iterable[Path | str],
    report: ReadReport,
    *,
    trace_id: str | None = None,
    share: Share | None = None,
    more: Callable[[Collection[str]], Iterable[list[TraceSpan]]] | None = None,
) -> Iterator[list[TraceSpan]]:
    """Yield the traces with a Groq request in files, directories and standard input (`-`), each whole; or only one.

    The spans of a trace may stand in several files: a program and the services it calls write their own.

    Args:
        paths: What to read.
        report: Where is noted what is passed over.
        trace_id: Only this trace; `None`: all of them.
        share: Only the traces of this share.
        more: Called with the IDs of these traces when the files are read, for traces that lie elsewhere, in order of
            their IDs; it counts their requests in the report.
    """
    collector = TraceCollector(report, trace_id=trace_id, share=share)
    for source in sources(paths, report):
        for path in source.paths:
            for number, document, complete in read_documents(path, report):
                collector.read(document, name_of(path), number, complete=complete)
    return collector.traces(() if more is None else more(collector.trace_ids))


def trace_span(span: Span, record: RequestRecord | None) -> TraceSpan | None:
    """Return a span as runs need it; `None` of a phase of a request, which the record tells better, and without ids."""
    if record is None and _PHASE_MARK in bytes(span.attributes):
        return None
    if record is not None:
        trace_id, span_id = record.trace_id, record.span_id
        start, end = record.start_unix_ns, record.start_unix_ns + record.duration_ns
    else:
        trace_id, span_id = _id(span.trace_id, 32), _id(span.span_id, 16)
        start, end = _time(span.start_time_unix_nano), _time(span.end_time_unix_nano)
    if trace_id is None or span_id is None or not start:
        return None
    kind = otlp.kind_of(span)
    attributes = otlp.attributes_of(span, _ignore) if record is None else {semconv.OPERATION_NAME: record.operation}
    return TraceSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=_id(span.parent_span_id, 16),
        name=span.name or "",
        kind=_KINDS[kind] if 0 <= kind < len(_KINDS) else "internal",
        start_unix_ns=start,
        end_unix_ns=end if end is not None and end >= start else None,
        attributes=attributes,
        failed=otlp.failed(span),
        record=record,
    )


def _ignore(_reason: str) -> None:
    """A damaged attribute of somebody else's span costs itself."""


def _id(text: str | None, digits: int) -> str | None:
    try:
        found = otlp.hex_id(text, digits)
    except ValueError:
        return None
    return found if found and found.strip("0") else None


def _time(value: Any) -> int | None:
    try:
        time = int(value or 0)
    except (TypeError, ValueError):
        return None
    return time if 0 < time < 1 << 63 else None
