"""Spans of made-up traces, in milliseconds."""

from groqscope.runs import TraceSpan
from groqscope.timeline import Phases, RequestRecord, ToolCall, Usage

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
