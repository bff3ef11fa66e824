"""Asks a ClickHouse, into which the collector writes spans: counts and the requests to be shown are all that travels.

The questions are those that are asked of columns (`columnar`), translated by `clickhouse_sql`. The address names what
is read: `http://user:password@host:8123/database?table=otel_traces&cluster=name`. Whatever the server does, answers
are limited in time and size, and it is told to change nothing.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from groqscope import codec, semconv
from groqscope._exchange import AnswerTooLongError, exchange, is_http
from groqscope._visible import visible
from groqscope.audit.clickhouse_schema import column_name, columns, own_columns
from groqscope.audit.clickhouse_sql import STORED, translate
from groqscope.audit.errors import SourceError
from groqscope.history import Select, every_column, measured
from groqscope.store import ReadReport
from groqscope.timeline import RequestRecord

if TYPE_CHECKING:
    import httpx

DATABASE: Final = "default"
TABLE: Final = "otel_traces"
TIMEOUT: Final = 120.0
"""Seconds for one question, from the connection to the last byte of the answer."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Of one answer."""
MAX_URL: Final = 60_000
"""Of the parameters, which are part of the URL."""
_PAGE: Final = 500
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SETTINGS: Final[Mapping[str, str]] = {
    "readonly": "2",  # nothing can be written, whatever is asked
    "wait_end_of_query": "1",  # an error comes as an error, not at the end of half an answer
    "default_format": "JSONCompact",
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_named_tuples_as_objects": "1",
    "max_query_size": "4194304",
    # What the questions mean by SQL.
    "cast_keep_nullable": "1",
    "aggregate_functions_null_for_empty": "1",
    "join_use_nulls": "1",
    "prefer_column_name_to_alias": "1",
    "distributed_product_mode": "global",
}
_OF_A_CLUSTER: Final[Mapping[str, str]] = {
    # Shards and the node that asks them would otherwise call the same sum by different names.
    "aggregate_functions_null_for_empty": "0",
    "optimize_rewrite_aggregate_function_with_if": "0",
}
_KINDS: Final = {"Float64": float, "Nullable(Float64)": float}
"""What JSON does not tell from whole numbers."""
_SCHEMA: Final = "stack/scale/clickhouse/requests.sql makes it (`groqscope stack init` writes that file)"
_SAYS: Final[Mapping[int, str]] = {
    60: "there is no such table: the collector's exporter makes it, or name another one with ?table=",
    81: "there is no such database: write its name after the address, as in http://127.0.0.1:8123/otel",
    47: f"the table lacks a column: {_SCHEMA}",
    10: f"the table lacks a column: {_SCHEMA}",
    46: "it lacks a function: update ClickHouse (26.9 is tested)",
    115: "it lacks a setting: update ClickHouse (26.9 is tested)",
    159: "it takes too long: ask for less with --since",
    160: "it would take too long: ask for less with --since",
    164: "the user may not change settings: give it a profile with readonly = 2",
    192: "it does not know the user: write http://user:password@…, or set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    193: "the password is wrong: write http://user:password@…, or set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    194: "it asks for a password: write http://user:password@…, or set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    241: "it has too little memory for that: ask for less with --since",
    497: "the user may not read the table: GRANT SELECT on it",
    516: "user or password is wrong: write http://user:password@…, or set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    701: "there is no such cluster: leave ?cluster= out, or name one of system.clusters",
}


class ClickHouseSource:
    """The table of a ClickHouse by its HTTP address."""

    def __init__(self, url: str, *, client: "httpx.Client | None" = None, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url) if is_http(url) else None
        options = dict(parse_qsl(parts.query, keep_blank_values=True)) if parts else {}
        if parts is None or not options.keys() <= {"table", "cluster"}:
            raise SourceError(
                f"--clickhouse {visible(url)!r} is not an address: write for example "
                "http://127.0.0.1:8123/otel?table=otel_traces"
            )
        self._address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
        database = parts.path.strip("/") or DATABASE
        self.table, self.cluster = f"{database}.{options.get('table', TABLE)}", options.get("cluster")
        for name in (*self.table.split("."), self.cluster or TABLE):
            if _NAME.fullmatch(name) is None:
                raise SourceError(f"--clickhouse: {visible(name)!r} is no name of a database, table or cluster")
        user = unquote(parts.username or "") or os.environ.get("CLICKHOUSE_USER", "")
        password = unquote(parts.password or "") or os.environ.get("CLICKHOUSE_PASSWORD", "")
        self._headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password} if user or password else {}
        self._given = client
        self._timeout = timeout

    @property
    def names(self) -> tuple[str, ...]:
        """The address and the table, without its password."""
        return (f"ClickHouse at {self._address}{self.table}",)

    @property
    def when_empty(self) -> str:
        """Why there can be nothing."""
        return (
            f"no Groq request in {self.names[0]} in that time: the collector's exporter writes spans there some "
            "seconds after they ended"
        )

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield records in order of start.

        Raises:
            SourceError: ClickHouse does not answer, or not as ClickHouse.
        """
        stored = self.requests(report, since, until, timelines=timelines)
        for record in stored.fetch(f"SELECT * FROM {STORED}", timelines=timelines):
            report.records += 1
            yield record

    @property
    def column_addresses(self) -> tuple[str, ...]:
        """All requests lie as columns."""
        return self.names

    def requests(
        self, report: ReadReport, since: int | None, until: int | None, *, timelines: bool
    ) -> "ClickHouseRequests":
        """Return the requests of a time, of which questions can be asked.

        Raises:
            SourceError: ClickHouse does not answer, or not as ClickHouse.
        """
        del timelines  # each question says which columns it reads
        return ClickHouseRequests(self, report, since, until)

    def ask(self, query: str, values: Mapping[str, Any]) -> list[list[Any]]:
        """Return the rows of a query in ClickHouse's SQL.

        Raises:
            SourceError: ClickHouse does not answer, or not as ClickHouse.
        """
        import httpx

        name = self.names[0]
        parameters = {**_SETTINGS, **(_OF_A_CLUSTER if self.cluster else {})} | {
            "max_execution_time": f"{self._timeout:g}"
        }
        parameters |= {f"param_{one}": _parameter(value) for one, value in values.items()}
        if sum(map(len, parameters.values())) > MAX_URL:
            raise SourceError(f"{name}: the selection is too long: {MAX_URL:,} characters can be sent")
        client = self._given or httpx.Client(timeout=self._timeout)
        try:
            request = client.build_request(
                "POST", self._address, params=parameters, headers=self._headers, content=query.encode()
            )
            answer = exchange(client, request, seconds=self._timeout, max_bytes=MAX_BYTES)
        except httpx.TimeoutException:
            raise SourceError(f"{name} did not answer in {self._timeout:g} s: ask for less with --since") from None
        except AnswerTooLongError as error:
            raise SourceError(f"{name}: {error}: ask for less with --since; is it a ClickHouse?") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            reason = visible(re.sub(r"^\[Errno -?\d+\] ", "", str(error)).lower(), limit=200)
            raise SourceError(f"{name} cannot be reached ({reason}): is it running, and the address right?") from error
        finally:
            if self._given is None:
                client.close()
        if not answer.is_success:
            raise SourceError(f"{name}: {_said(answer)}")
        try:
            document = json.loads(answer.content.decode(errors="replace"))
            kinds = [_KINDS.get(column["type"]) for column in document["meta"]]
            rows = [
                [
                    value if kind is None or value is None else kind(value)
                    for kind, value in zip(kinds, row, strict=True)
                ]
                for row in document["data"]
            ]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SourceError(f"{name} did not answer as ClickHouse does: is the address right?") from None
        return rows


class ClickHouseRequests:
    """The requests of a time, as a relation that questions can be asked of, and as records."""

    keeps_tables = False

    def __init__(self, source: ClickHouseSource, report: ReadReport, since: int | None, until: int | None) -> None:
        self._source = source
        self._tables: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        conditions = [
            f"Timestamp {sign} fromUnixTimestamp64Nano(CAST({moment:d} AS Int64))"
            for sign, moment in ((">=", since), ("<", until))
            if moment is not None
        ]
        record, known = column_name("record"), semconv.RECORD_VERSION
        self._tables[STORED] = _relation(source.table, [*conditions, f"{record} BETWEEN 1 AND {known}"])
        asked = (
            f"SELECT countIf({record} <= {known}), uniqExactIf(TraceId, SpanId, {record} <= {known}), "
            f"countIf({record} > {known}) FROM {self._everywhere} "
            f"WHERE {' AND '.join([*conditions, f'{record} >= 1'])}"
        )
        try:
            ((count, different, newer),) = source.ask(asked, {})
        except ValueError:
            raise SourceError(f"{source.names[0]} did not answer as ClickHouse does: is the address right?") from None
        if newer:
            report.warn(
                source.names[0], None, f"{newer:,} requests were written by a newer groqscope: update groqscope"
            )
        if count > different:  # an exporter that was not sure repeats what it sent
            report.repeats += count - different
            self._tables[STORED] += " LIMIT 1 BY trace_id, span_id"

    @property
    def _everywhere(self) -> str:
        database, _, table = self._source.table.partition(".")
        return f"cluster('{self._source.cluster}', {database}, {table})" if self._source.cluster else self._source.table

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
        translated = translate(query, known, self._tables, self._source.cluster)
        used = {name: value for name, value in known.items() if f"{{{name}:" in translated}
        return [tuple(row) for row in self._source.ask(translated, used)]

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
        while True:
            rows = self.ask(
                f"SELECT {chosen} FROM ({query}) {after} ORDER BY {_ORDER} LIMIT {_PAGE}",
                values,
            )
            for row in rows:
                yield _record(row, timelines=timelines)
            if len(rows) < _PAGE:
                return
            start, _, trace, span, *_ = rows[-1]
            values |= {"after_trace": trace or "", "after_span": span or ""}
            after = f"WHERE ({_ORDER}) > ({start:d}, $after_trace, $after_span)"

    def leave_out_broken(self) -> bool:
        """Return that there is nothing to leave out: the server answers, or it does not."""
        return False


_ORDER: Final = "start_unix_ns, coalesce(trace_id, ''), coalesce(span_id, '')"
_RAW: Final = ("StatusCode", "SpanAttributes", "EventNames", "EventTimes", "EventAttributes")


def _relation(table: str, conditions: Sequence[str]) -> str:
    """Return the requests of a table, each field of the record by its name."""
    own = [f"{sql} AS {name}" for name, sql in own_columns().items()]
    computed = [f"{column_name(field)} AS `{field}`" for field in columns()]
    raw = ("StatusCode", "SpanAttributes", "Events.Name AS EventNames", "Events.Attributes AS EventAttributes")
    times = "arrayMap(t -> toUnixTimestamp64Nano(t), Events.Timestamp) AS EventTimes"
    return f"SELECT {', '.join([*own, *computed, *raw, times])} FROM {table} WHERE {' AND '.join(conditions)}"


def _record(row: Sequence[Any], *, timelines: bool) -> RequestRecord:
    start, duration, trace_id, span_id, nested, service, status, attributes, names, times, of_events = row
    attributes = {name: _typed(name, value) for name, value in cast("dict[str, str]", attributes).items()}
    if not timelines:
        attributes.pop(semconv.TIMELINE, None)
    if status == "Error":
        attributes.setdefault(semconv.OUTCOME, "error")
    return codec.decode(
        attributes,
        zip(names, ({n: _typed(n, v) for n, v in each.items()} for each in of_events), times, strict=True),
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
}


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


def _parameter(value: object) -> str:
    """Write a value as a query parameter, in which a backslash begins an escape."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    return (
        value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )


def _said(answer: "httpx.Response") -> str:
    """Return what an error of ClickHouse means, and what to do."""
    found = re.match(r"\s*Code: (\d+)\. DB::Exception: (.*)", answer.text, re.DOTALL)
    if found is None:
        said = visible(answer.text.strip().replace("\n", " "), limit=200)
        return f"answered {answer.status_code}{f': {said}' if said else ''}: is it the HTTP port of a ClickHouse?"
    code, said = int(found[1]), visible(" ".join(found[2].split()), limit=200)
    return f"{_SAYS[code]} ({said})" if code in _SAYS else f"it answers: {said}"
