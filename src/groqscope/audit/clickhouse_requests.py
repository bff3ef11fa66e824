"""The requests of a time in ClickHouse, as a relation that questions can be asked of, and as records."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, cast

from groqscope import codec, semconv
from groqscope.audit.clickhouse_schema import column_name, columns, own_columns
from groqscope.audit.clickhouse_server import Server
from groqscope.audit.clickhouse_sql import STORED, translate
from groqscope.history import Select, every_column, measured
from groqscope.store import ReadReport, Share
from groqscope.timeline import RequestRecord

TOGETHER: Final = 400_000
"""Characters of queries that are sent as one."""
_PAGE: Final = 500
_ORDER: Final = "start_unix_ns, coalesce(trace_id, ''), coalesce(span_id, '')"
_RAW: Final = ("StatusCode", "SpanAttributes", "EventNames", "EventTimes", "EventAttributes")


class ClickHouseRequests:
    """The requests of a time, as a relation that questions can be asked of, and as records."""

    keeps_tables = False

    def __init__(
        self, server: Server, report: ReadReport, since: int | None, until: int | None, share: Share | None = None
    ) -> None:
        self.server = server
        self._tables: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self.around = conditions = begun(since, until)
        """The conditions of the spans that are looked at."""
        if share is not None:
            conditions.append(f"CRC32(TraceId) % {share.of:d} = {share.number:d}")
        record, known = column_name("record"), semconv.RECORD_VERSION
        self._tables[STORED] = _relation(server.table, [*conditions, f"{record} BETWEEN 1 AND {known}"])
        asked = (
            f"SELECT countIf({record} <= {known}), uniqExactIf(TraceId, SpanId, {record} <= {known}), "
            f"countIf({record} > {known}) FROM {server.everywhere} "
            f"WHERE {' AND '.join([*conditions, f'{record} >= 1'])}"
        )
        try:
            ((count, different, newer),) = server.ask(asked, {})
        except ValueError:
            raise server.garbled() from None
        if newer:
            report.warn(server.name, None, f"{newer:,} requests were written by a newer groqscope: update groqscope")
        if count > different:  # an exporter that was not sure repeats what it sent
            report.repeats += count - different
            self._tables[STORED] += " LIMIT 1 BY trace_id, span_id"

    def name(self, table: str, query: str, values: Mapping[str, Any] | None = None) -> None:
        """Give a query in ClickHouse's SQL a name, by which questions mean it."""
        self._tables[table] = query
        self._values |= values or {}

    def count(self, in_time: Sequence[str]) -> int:
        """Return how many requests there are of those that also fit some conditions, each once."""
        record = f"{column_name('record')} BETWEEN 1 AND {semconv.RECORD_VERSION}"
        conditions = " AND ".join([*self.around, *in_time, record])
        asked = f"SELECT uniqExact(TraceId, SpanId) FROM {self.server.everywhere} WHERE {conditions}"
        ((count,),) = self.server.ask(asked, {})
        return count

    def relation(self, select: Select = every_column) -> str:
        """Return all requests as a query, with the columns that are selected."""
        return select(measured(f"FROM {STORED}"))

    def may_have(self, beginning: str, select: Select = every_column) -> str:
        """Return all requests: the server looks for an ID faster than a question about it would be answered."""
        del beginning
        return self.relation(select)

    def ask(self, query: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        known = {**(values or {}), **self._values}
        translated = translate(query, known, self._tables, self.server.cluster)
        used = {name: value for name, value in known.items() if f"{{{name}:" in translated}
        return [tuple(row) for row in self.server.ask(translated, used)]

    def ask_together(self, queries: Sequence[str], values: Mapping[str, Any]) -> list[list[tuple[Any, ...]]]:
        """Return all rows of each of several queries, which are sent as few questions."""
        known = {**values, **self._values}
        waiting = [translate(query, known, self._tables, self.server.cluster) for query in queries]
        rows: list[list[tuple[Any, ...]]] = []
        while waiting:
            some = [waiting.pop(0)]
            while waiting and sum(map(len, some)) + len(waiting[0]) <= TOGETHER:
                some.append(waiting.pop(0))
            used = {name: value for name, value in known.items() if any(f"{{{name}:" in one for one in some)}
            rows += self.server.ask_together(some, used)
        return rows

    def define(self, table: str, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Make rows known as a table."""
        kinds = {"VARCHAR": "Nullable(String)", "BOOLEAN": "Bool", "DOUBLE": "Nullable(Float64)"}
        structure = ", ".join(f"{name} {kinds[kind]}" for name, kind in types.items())
        lines = "\n".join(json.dumps([row.get(name) for name in types], separators=(",", ":")) for row in rows)
        self._values[f"rows_of_{table}"] = lines
        self._tables[table] = f"SELECT * FROM format(JSONCompactEachRow, '{structure}', {{rows_of_{table}:String}})"

    def fetch(
        self, query: str, values: Mapping[str, Any] | None = None, *, timelines: bool = True
    ) -> Iterator[RequestRecord]:
        """Yield the records of a query whose rows are requests, in order of start."""
        chosen = "start_unix_ns, duration_ns, trace_id, span_id, nested, service, " + ", ".join(_RAW)
        after, values = "", dict(values or {})
        last: tuple[int, str, str] | None = None
        while True:
            rows = self.ask(
                f"SELECT {chosen} FROM ({query}) {after} ORDER BY {_ORDER} LIMIT {_PAGE}",
                values,
            )
            for row in rows:
                yield record_of(row, timelines=timelines)
            if len(rows) < _PAGE:
                return
            start, _, trace, span, *_ = rows[-1]
            before, last = last, (start, trace or "", span or "")
            if before is not None and last <= before:  # it would never end
                raise self.server.garbled()
            values |= {"after_trace": trace or "", "after_span": span or ""}
            after = f"WHERE ({_ORDER}) > ({start:d}, $after_trace, $after_span)"

    def understood(self) -> AbstractContextManager[None]:
        """Say so when an answer is none to what was asked."""
        return self.server.understood()

    def leave_out_broken(self) -> bool:
        """Return that there is nothing to leave out: the server answers, or it does not."""
        return False


def begun(since: int | None, until: int | None) -> list[str]:
    """Return the conditions that a span began in a time."""
    return [
        f"Timestamp {sign} fromUnixTimestamp64Nano(CAST({moment:d} AS Int64))"
        for sign, moment in ((">=", since), ("<", until))
        if moment is not None
    ]


def _relation(table: str, conditions: Sequence[str]) -> str:
    """Return the requests of a table, each field of the record by its name."""
    own = [f"{sql} AS {name}" for name, sql in own_columns().items()]
    computed = [f"{column_name(field)} AS `{field}`" for field in columns()]
    raw = ("StatusCode", "SpanAttributes", "Events.Name AS EventNames", "Events.Attributes AS EventAttributes")
    times = "arrayMap(t -> toUnixTimestamp64Nano(t), Events.Timestamp) AS EventTimes"
    return f"SELECT {', '.join([*own, *computed, *raw, times])} FROM {table} WHERE {' AND '.join(conditions)}"


def record_of(row: Sequence[Any], *, timelines: bool) -> RequestRecord:
    """Return the record of a row: start, duration, IDs, nested, service, status, attributes, and its events."""
    start, duration, trace_id, span_id, nested, service, status, attributes, names, times, of_events = row
    attributes = typed(cast("dict[str, str]", attributes))
    if not timelines:
        attributes.pop(semconv.TIMELINE, None)
    if status == "Error":
        attributes.setdefault(semconv.OUTCOME, "error")
    return codec.decode(
        attributes,
        zip(names, map(typed, of_events), times, strict=True),
        start_unix_ns=start,
        duration_ns=duration,
        trace_id=trace_id,
        span_id=span_id,
        nested=bool(nested),
        service=service,
    )


_TYPES: Final = {
    a.name: a.type
    for a in (
        *(one for event in semconv.EVENTS for one in event.attributes),
        *semconv.FIELDS,
        *semconv.USAGE_BREAKDOWN,
        *semconv.DERIVED,
    )
} | {semconv.RUN_INTERRUPTED: "boolean", semconv.SPANS_LEFT_OUT: "int"}


def typed(attributes: Mapping[str, str]) -> dict[str, Any]:
    """Return attributes with the values that the exporter wrote as texts."""
    return {name: _typed(name, value) for name, value in attributes.items()}


def _typed(name: str, value: str) -> Any:
    """Return the value that the exporter wrote as a text; one that is no such value is left for the codec to refuse."""
    kind = _TYPES.get(name, "string")
    try:
        if kind == "int":
            return int(value)
        if kind in {"string[]", "int[]"}:
            return tuple(json.loads(value))
    except (ValueError, TypeError, RecursionError):
        return value
    return {"true": True, "false": False}.get(value, value) if kind == "boolean" else value
