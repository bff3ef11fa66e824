"""Whole traces from the columns: those that are asked for are chosen by the engine, and come one after the other.

A run's parts are computed from all spans of its trace at once, in Python. What the engine does is the rest: which
traces have a request that fits, began in a time, or have an ID. Their spans and their requests are two queries in the
order of traces, which the engine sorts on disk where they are many, so that memory holds one trace at a time.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from groqscope.history import rows, spans
from groqscope.history.dataset import Dataset, fields, in_time, read_parts
from groqscope.history.engine import engine_error
from groqscope.runs import TraceSpan
from groqscope.store import Share

_CHOSEN: Final = "chosen_traces"
_ELSEWHERE: Final = "traces_elsewhere"
_FETCHED: Final = 500
_PLACE: Final = {name: number for number, name in enumerate(spans.columns())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Having:
    """What a trace has to have to be read; a source that cannot tell reads others too."""

    condition: str = "true"
    """Of one of its requests, in SQL over the columns of requests."""
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The parameters of the condition."""
    beginning: str = ""
    """Of its ID, or of that of one of its spans."""


def stored_traces(
    dataset: Dataset,
    *,
    since: int | None = None,
    until: int | None = None,
    trace_id: str | None = None,
    having: Having | None = None,
    share: Share | None = None,
    elsewhere: Collection[str] = (),
) -> Iterator[list[TraceSpan]]:
    """Yield the spans of each trace in order of the IDs; those of requests have their records.

    The report counts the requests of the time, whether their traces are asked for or not.

    Args:
        dataset: Where they lie. It has the files of the days around the time.
        since: Only traces with a span that began then or later: a run begins with one of its spans.
        until: Or earlier than this.
        trace_id: Only this trace, whose requests have the arrival times of their chunks.
        having: What else they have.
        share: Only those of this share.
        elsewhere: Traces of which there are spans elsewhere too, which are read whatever these here have.
    """
    while dataset.parts and (files := dataset.span_parts()):
        reading = _read(dataset, files, since, until, trace_id, having or Having(), share, elsewhere)
        try:
            first = next(reading, None)  # the engine has read everything before the first trace comes
        except engine_error():
            if not dataset.leave_out_broken():
                raise
            continue
        if first is not None:
            yield first
            yield from reading
        return


def _read(
    dataset: Dataset,
    files: list[str],
    since: int | None,
    until: int | None,
    trace_id: str | None,
    having: Having,
    share: Share | None,
    elsewhere: Collection[str],
) -> Iterator[list[TraceSpan]]:
    every, stored = read_parts(files), dataset.relation()
    whose = [] if share is None else [f"CAST('0x' || right(trace_id, 4) AS BIGINT) % {share.of:d} = {share.number:d}"]
    whose += ["trace_id = $trace_id"] if trace_id else []
    values = {"trace_id": trace_id} if trace_id else {}
    time = in_time(since, until)
    counted = f"SELECT count(*) FROM ({stored}) WHERE {' AND '.join([*whose, time])}"
    ((requests,),) = dataset.ask(counted, values)

    conditions = [*whose, f"({having.condition})", "trace_id IS NOT NULL"]
    if since is not None or until is not None:
        conditions.append(f"trace_id IN (SELECT trace_id FROM {every} WHERE {time})")
    if having.beginning:
        values = {**values, "beginning": having.beginning}
        named = "starts_with(trace_id, $beginning) OR starts_with(span_id, $beginning)"
        conditions.append(f"trace_id IN (SELECT trace_id FROM {every} WHERE {named})")
    chosen = f"SELECT trace_id FROM ({stored}) WHERE {' AND '.join(conditions)}"
    if elsewhere:
        dataset.define(_ELSEWHERE, {"trace_id": "VARCHAR"}, [{"trace_id": one} for one in elsewhere])
        chosen = f"{chosen} UNION SELECT trace_id FROM {_ELSEWHERE}"
    dataset.ask(
        f"CREATE OR REPLACE TABLE {_CHOSEN} AS SELECT DISTINCT trace_id FROM ({chosen})", {**values, **having.values}
    )
    among = f"SEMI JOIN {_CHOSEN} USING (trace_id) ORDER BY trace_id"
    around = f"SELECT {', '.join(spans.columns())} FROM {every} {among}, start_unix_ns, span_id"
    wanted = fields(timelines=bool(trace_id))
    asked = f"SELECT trace_id, span_id, to_json(r) FROM (SELECT {wanted} FROM ({stored})) r {among}"
    with closing(dataset.connection.cursor()) as of_spans, closing(dataset.connection.cursor()) as of_requests:
        of_requests.execute(asked)
        of_spans.execute(around)
        records = _by_trace(of_requests, 0)
        owner, theirs = next(records, (None, []))
        dataset.report.records += requests
        for one, found in _by_trace(of_spans, _PLACE["trace_id"]):
            while owner is not None and owner < one:
                owner, theirs = next(records, (None, []))
            of_spans_here = {span_id: record for _, span_id, record in theirs} if owner == one else {}
            yield [*_spans(found, of_spans_here)]


def _spans(found: list[tuple[Any, ...]], records: Mapping[str, str]) -> Iterator[TraceSpan]:
    for row in found:
        # A request whose record is not there is an inference that one of ours tells of as well, or was left out.
        record = records.get(row[_PLACE["span_id"]]) if row[_PLACE["request"]] else None
        yield spans.span_of(row, None if record is None else rows.record_of(record))


def _by_trace(cursor: Any, place: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    for trace_id, found in groupby(_rows(cursor), itemgetter(place)):
        yield trace_id, list(found)


def _rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while fetched := cursor.fetchmany(_FETCHED):
        yield from fetched
