"""Spans of made-up traces, in milliseconds."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from groqscope.runs import TraceSpan
from groqscope.store import LocalSpanExporter, ReadReport
from groqscope.timeline import Phases, RequestRecord, ToolCall, Usage
from support.spans import span_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
MS = 1_000_000


def span(span_id: str, start: int, end: int | None, parent: str | None = None, **fields) -> TraceSpan:
    name = fields.pop("name", span_id)
    return TraceSpan(
        trace_id=TRACE,
        span_id=span_id,
        parent_id=parent,
        name=name,
        start_unix_ns=start * MS,
        end_unix_ns=None if end is None else end * MS,
        **fields,
    )


def tool(span_id: str, name: str, start: int, end: int, parent: str, call_id: str | None = None) -> TraceSpan:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    if call_id is not None:
        attributes["gen_ai.tool.call.id"] = call_id
    return span(span_id, start, end, parent, attributes=attributes)


def request(span_id: str, start: int, parent: str | None = None, *, calls=(), tokens=None, messages=None, **phases):
    """A request of these phases; `calls` are (id, name, hash)."""
    lengths = Phases(**{name: length * MS for name, length in phases.items()})
    record = RequestRecord(
        trace_id=TRACE,
        span_id=span_id,
        start_unix_ns=start * MS,
        duration_ns=lengths.total(),
        phases=lengths,
        messages=messages,
        usage=Usage(input_tokens=tokens),
        tool_calls=tuple(
            ToolCall(index=i, id=id_, name=name, deltas=1, arguments_size=2, arguments_hash=hashed)
            for i, (id_, name, hashed) in enumerate(calls)
        ),
    )
    return span(span_id, start, start + lengths.total() // MS, parent, record=record)


def write_traces(directory: Path, traces: Iterable[list[TraceSpan]]) -> None:
    """Write traces into a store directory; their IDs have to be hexadecimal, and every span has to have an end."""
    exporter = LocalSpanExporter(directory)
    for trace in traces:
        exporter.export([readable(one) for one in trace])
    exporter.shutdown()


def readable(one: TraceSpan) -> ReadableSpan:
    """Return a span as OpenTelemetry's SDK has it."""
    parent = None if one.parent_id is None else _context(one.trace_id, one.parent_id)
    if one.record is not None:
        made = span_of(replace(one.record, trace_id=one.trace_id, span_id=one.span_id))
        made._parent = parent
        return made
    return ReadableSpan(
        name=one.name,
        context=_context(one.trace_id, one.span_id),
        parent=parent,
        resource=Resource({}),
        attributes=dict(one.attributes),
        kind=SpanKind[one.kind.upper()],
        status=Status(StatusCode.ERROR if one.failed else StatusCode.UNSET),
        start_time=one.start_unix_ns,
        end_time=one.end_unix_ns,
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), False, TraceFlags(1))


class Traces:
    """Traces that are there already."""

    names = ("the local store",)
    when_empty = "nothing"

    def __init__(self, *traces: list[TraceSpan]) -> None:
        self._traces = traces

    def read(self, report: ReadReport, **_: Any) -> Iterator[RequestRecord]:
        del report
        return iter(())

    def traces(self, report: ReadReport, **_: Any) -> Iterator[list[TraceSpan]]:
        for trace in self._traces:
            report.records += sum(one.record is not None for one in trace)
            yield trace
