"""The columns that hold a record's fields in the table of the collector's ClickHouse exporter.

The exporter writes attributes as a map of texts. Columns that are computed from it when a row is inserted give each
field of the record its type; for rows that were there before, they are computed when they are read. The statement in
`stack/scale/clickhouse/requests.sql` is made here.
"""

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

from groqscope import semconv
from groqscope.semconv import Attribute, Event
from groqscope.timeline import Attempt, ExecutedTool, ModelUsage, RequestRecord, ToolCall, UsageDelta

PREFIX: Final = "groq_"
"""Of the columns, which stand among the exporter's own."""
_MAP: Final = "SpanAttributes"
_ENTRIES: Final[Mapping[str, type]] = {
    "attempts": Attempt,
    "usage_deltas": UsageDelta,
    "tool_calls": ToolCall,
    "executed_tools": ExecutedTool,
}
_MOMENTS: Final = {"attempts": "start_ns", "usage_deltas": "time_ns"}
"""The field that is the event's own time, where its attribute is missing."""
_TYPES: Final = {str: "String", int: "Int64", float: "Float64", bool: "Bool"}


def text(value: str) -> str:
    """Return a text as SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def columns() -> dict[str, tuple[str, str]]:
    """Return type and expression of each column that the exporter's table gets, by the field of the record."""
    made = {
        a.field: _column(RequestRecord, a, _MAP)
        for a in semconv.FIELDS
        if a.field is not None and a.name != semconv.TIMELINE
    }
    made |= {event.field: _entries(event) for event in semconv.EVENTS if event.field is not None}
    made["usage_models"] = _breakdown()
    made["tags"] = _tags()
    made["record"] = "Nullable(Int64)", f"toInt64OrNull({_MAP}[{text(semconv.RECORD)}])"
    total = f"toInt64OrNull({_MAP}[{text(semconv.ATTEMPTS)}])"
    seen = f"countEqual(Events.Name, {text(semconv.EVENT_ATTEMPT.name)})"
    kind, dropped = made["attempts_dropped"]
    made["attempts_dropped"] = kind, f"greatest({dropped}, coalesce({total}, 0) - {seen})"
    kind, outcome = made["outcome"]
    made["outcome"] = kind, f"coalesce({outcome}, if(StatusCode = 'Error', 'error', NULL))"
    return made


def own_columns() -> dict[str, str]:
    """Return the expression of each field of the record that the exporter has a column for."""
    return {
        "start_unix_ns": "toUnixTimestamp64Nano(Timestamp)",
        "duration_ns": "CAST(Duration AS Int64)",
        "trace_id": "nullIf(TraceId, '')",
        "span_id": "nullIf(SpanId, '')",
        "service": "nullIf(CAST(ServiceName AS String), '')",
        "nested": "CAST(SpanKind = 'Internal' AS Bool)",
    }


def column_name(field: str) -> str:
    """Return the name of a field's column."""
    return PREFIX + field.replace(".", "_")


def statement(table: str) -> str:
    """Return the statement that gives a table of the exporter its columns."""
    added = (
        f"    ADD COLUMN IF NOT EXISTS {column_name(field)} {kind} MATERIALIZED {sql}"
        for field, (kind, sql) in columns().items()
    )
    index = f"    ADD INDEX IF NOT EXISTS {PREFIX}is_request {column_name('record')} TYPE set(8) GRANULARITY 1"
    return f"ALTER TABLE {table}\n" + ",\n".join([*added, index])


def _column(of: type, attribute: Attribute, source: str) -> tuple[str, str]:
    """Return type and expression of an attribute."""
    sql = _value(attribute, source)
    kind, default = _field(of, attribute.field or "")
    if default is None:
        return (kind if kind.startswith("Array") else f"Nullable({kind})"), sql
    return kind, f"coalesce({sql}, {default})"


def _field(of: Any, path: str) -> tuple[str, str | None]:
    """Return the type of a field, and its default if that is neither `None` nor a list."""
    name, _, rest = path.partition(".")
    hint = get_type_hints(of)[name]
    if rest:
        return _field(hint, rest)
    members = [one for one in get_args(hint) if one is not type(None)] if isinstance(hint, UnionType) else [hint]
    default = next(f.default for f in fields(of) if f.name == name)
    kind = _TYPES.get(members[0], "String")
    if members[0] not in _TYPES and "tuple" in str(members[0]):
        return f"Array({_TYPES[get_args(members[0])[0]]})", None
    if members != [hint] or name == "outcome" or not isinstance(default, str | int):
        return kind, None
    return kind, text(default) if isinstance(default, str) else repr(default).lower()


def _value(attribute: Attribute, source: str) -> str:
    key = text(attribute.name)
    value = f"{source}[{key}]"
    match attribute.type:
        case "double" if attribute.nanoseconds:
            return f"accurateCastOrNull(roundBankers(JSONExtract({value}, 'Nullable(Float64)') * 1e9), 'Int64')"
        case "double":
            return f"JSONExtract({value}, 'Nullable(Float64)')"
        case "int":
            return f"toInt64OrNull({value})"
        case "boolean":
            return f"CAST(multiIf({value} = 'true', true, {value} = 'false', false, NULL) AS Nullable(Bool))"
        case "string":
            return f"if(mapContains({source}, {key}), CAST({value} AS Nullable(String)), NULL)"
        case "string[]" | "int[]":
            return f"JSONExtract({value}, 'Array({'String' if attribute.type == 'string[]' else 'Int64'})')"


def _entries(event: Event) -> tuple[str, str]:
    """Return a list of named tuples from the events of one name."""
    entry = _ENTRIES[event.field or ""]
    members = {(a.field or "").replace(".", "_"): _member(event, entry, a) for a in event.attributes}
    kind = f"Tuple({', '.join(f'{name} {of}' for name, (of, _) in members.items())})"
    values = ", ".join(sql for _, sql in members.values())
    times, maps = (
        f"arrayFilter((x, n) -> n = {text(event.name)}, {column}, Events.Name)"
        for column in ("Events.Timestamp", "Events.Attributes")
    )
    return (
        f"Array({kind})",
        f"arrayMap((t, a, i) -> CAST(({values}) AS {kind}), {times}, {maps}, arrayEnumerate({maps}))",
    )


def _member(event: Event, entry: type, attribute: Attribute) -> tuple[str, str]:
    sql = _value(attribute, "a")
    path = attribute.field or ""
    if path.startswith("usage."):
        return f"Nullable({_field(entry, path)[0]})", sql
    hint = get_type_hints(entry)[path]
    kind = _field(entry, path)[0]
    if type(None) in get_args(hint):
        return f"Nullable({kind})", sql
    instead = _TYPELESS[kind]
    if path == "index":
        instead = "i - 1"
    elif path == _MOMENTS.get(event.field or ""):
        instead = "greatest(0, toUnixTimestamp64Nano(t) - toUnixTimestamp64Nano(Timestamp))"
    return kind, f"coalesce({sql}, {instead})"


_TYPELESS: Final = {"String": "''", "Int64": "0", "Float64": "0.", "Bool": "false"}


def _breakdown() -> tuple[str, str]:
    lists = [_value(a, _MAP) for a in semconv.USAGE_BREAKDOWN]
    kind = f"Tuple({', '.join(f'{f.name} {_TYPES[get_type_hints(ModelUsage)[f.name]]}' for f in fields(ModelUsage))})"
    members = ", ".join(f"({one})[i]" for one in lists)
    shortest = ", ".join(f"length({one})" for one in lists)
    return f"Array({kind})", f"arrayMap(i -> CAST(({members}) AS {kind}), range(1, least({shortest}) + 1))"


def _tags() -> tuple[str, str]:
    begins = text(semconv.TAG_PREFIX)
    length = len(semconv.TAG_PREFIX) + 1
    return "Array(Array(Nullable(String)))", (
        f"arraySort(arrayMap(k -> [CAST(substring(k, {length}) AS Nullable(String)), {_MAP}[k]], "
        f"arrayFilter(k -> startsWith(k, {begins}), mapKeys({_MAP}))))"
    )
