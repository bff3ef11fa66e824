"""Whole traces from ClickHouse: the server chooses them by what a run in them has to have, and sends their spans.

Which traces are asked for comes in long lists of IDs, their spans in pages in the order of traces, so that neither an
answer nor the memory here grows with their number.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from groqscope import semconv
from groqscope.audit.clickhouse_requests import ClickHouseRequests, record_of, typed
from groqscope.audit.clickhouse_schema import column_name, text
from groqscope.history import Having
from groqscope.runs import TraceSpan
from groqscope.timeline import RequestRecord

CHOSEN: Final = 20_000
"""IDs of traces in one answer."""
TOGETHER: Final = 400
"""Traces whose spans are asked for together, by their IDs, which are part of the URL."""
PAGE: Final = 1_000
"""Spans in one answer."""
_ID: Final = re.compile(r"[0-9a-f]{32}")
_BEGUN: Final = "begun"
_NAMED: Final = "named"


def traces(
    stored: ClickHouseRequests, *, in_time: Sequence[str], trace_id: str | None, having: Having
) -> Iterator[list[TraceSpan]]:
    """Yield the spans of each trace in order of the IDs; those of requests have their records.

    Args:
        stored: The requests of the time, and of the days around it.
        in_time: The conditions of the time, one of the spans of a trace having to fit.
        trace_id: Only this trace, whose requests have the arrival times of their chunks.
        having: What a trace has to have.
    """
    chosen = [trace_id] if trace_id is not None else _chosen(stored, in_time, having)
    waiting: list[str] = []
    for one in chosen:
        waiting.append(one)
        if len(waiting) == TOGETHER:
            yield from _together(stored, waiting, timelines=trace_id is not None)
            waiting = []
    if waiting:
        yield from _together(stored, waiting, timelines=trace_id is not None)


def _chosen(stored: ClickHouseRequests, in_time: Sequence[str], having: Having) -> Iterator[str]:
    """Yield the IDs of the traces that are asked for, in their order."""
    conditions = ["trace_id > $after", f"({having.condition})"]
    values: dict[str, Any] = {**having.values, "after": ""}
    if in_time:
        stored.name(_BEGUN, f"SELECT TraceId AS trace_id FROM {stored.server.table} WHERE {' AND '.join(in_time)}")
        conditions.append(f"trace_id IN (SELECT trace_id FROM {_BEGUN})")
    if having.beginning:
        named = " OR ".join(f"startsWith({name}, {{beginning:String}})" for name in ("TraceId", "SpanId"))
        where = " AND ".join([*stored.around, f"({named})"])
        spans = f"SELECT TraceId AS trace_id FROM {stored.server.table} WHERE {where}"
        stored.name(_NAMED, spans, {"beginning": having.beginning})
        conditions.append(f"trace_id IN (SELECT trace_id FROM {_NAMED})")
    query = (
        f"SELECT trace_id FROM ({stored.relation()}) WHERE {' AND '.join(conditions)} "
        f"GROUP BY trace_id ORDER BY trace_id LIMIT {CHOSEN}"
    )
    while True:
        found = [str(one) for (one,) in stored.ask(query, values)]
        yield from (one for one in found if _ID.fullmatch(one))  # nothing else is the ID of a trace
        if len(found) < CHOSEN:
            return
        if found[-1] <= values["after"]:  # it would never end
            raise stored.server.garbled()
        values["after"] = found[-1]


def _together(stored: ClickHouseRequests, ids: list[str], *, timelines: bool) -> Iterator[list[TraceSpan]]:
    for _, rows in groupby(_rows(stored, ids, timelines=timelines), key=itemgetter(0)):
        seen: set[str] = set()
        spans: list[TraceSpan] = []
        for row in rows:
            span = _span(row, timelines=timelines)
            if span.span_id not in seen:  # an exporter that was not sure repeats what it sent
                seen.add(span.span_id)
                spans.append(span)
        if any(span.record is not None for span in spans):
            yield spans


def _rows(stored: ClickHouseRequests, ids: list[str], *, timelines: bool) -> Iterator[list[Any]]:
    attributes = "SpanAttributes"
    if not timelines:  # they take most of a request's size
        attributes = f"mapFilter((name, value) -> name != {text(semconv.TIMELINE)}, SpanAttributes)"
    record = f"coalesce({column_name('record')}, 0)"
    query = (
        "SELECT TraceId, SpanId, ParentSpanId, SpanName, SpanKind, toUnixTimestamp64Nano(Timestamp), "
        f"CAST(Duration AS Int64), StatusCode, ServiceName, {record} BETWEEN 1 AND {semconv.RECORD_VERSION}, "
        f"{attributes}, Events.Name, arrayMap(t -> toUnixTimestamp64Nano(t), Events.Timestamp), Events.Attributes "
        f"FROM {stored.server.everywhere} WHERE {' AND '.join([*stored.around, 'TraceId IN {ids:Array(String)}'])} "
        f"AND NOT mapContains(SpanAttributes, {text(semconv.PHASE)}) AND SpanId <> '' "
        f"AND (TraceId, SpanId) > ({{trace:String}}, {{span:String}}) ORDER BY TraceId, SpanId LIMIT {PAGE}"
    )
    trace, span = "", ""
    while True:
        wanted = [one for one in ids if one >= trace]
        rows = stored.server.ask(query, {"ids": wanted, "trace": trace, "span": span})
        yield from rows
        if len(rows) < PAGE:
            return
        before, (trace, span) = (trace, span), rows[-1][:2]
        if (trace, span) <= before:  # it would never end
            raise stored.server.garbled()


def _span(row: Sequence[Any], *, timelines: bool) -> TraceSpan:
    trace_id, span_id, parent, name, kind, start, duration, status, service, ours, attributes, *events = row
    record: RequestRecord | None = None
    if ours:
        own = (start, duration, trace_id, span_id, kind == "Internal", service or None)
        record = record_of((*own, status, attributes, *events), timelines=timelines)
    known = typed(attributes) if record is None else {semconv.OPERATION_NAME: record.operation}
    return TraceSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent or None,
        name=name,
        kind=kind.lower() if kind in _KINDS else "internal",
        start_unix_ns=start,
        end_unix_ns=start + duration if duration >= 0 else None,
        attributes=known,
        failed=status == "Error",
        record=record,
    )


_KINDS: Final = frozenset({"Internal", "Server", "Client", "Producer", "Consumer"})
