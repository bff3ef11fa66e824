"""A record as span attributes and events, and back: `decode(*encode(record)) == record`.

Plain dictionaries on both sides; no OpenTelemetry, so that the audit reads what any transport stored. Field by field,
by the tables of `semconv`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from math import isfinite
from operator import attrgetter
from typing import Any, Final, get_args

from groqscope import semconv
from groqscope.semconv import Attribute, Event
from groqscope.timeline import (
    Attempt,
    ExecutedTool,
    ModelUsage,
    Outcome,
    Phases,
    RateLimits,
    RequestRecord,
    ToolCall,
    Usage,
    UsageDelta,
)
from groqscope.timeline.packing import pack, unpack

AttributeValue = str | int | float | bool | tuple[str, ...] | tuple[int, ...]
Attributes = dict[str, AttributeValue]
EventData = tuple[str, int, Attributes]
"""Name, offset since issue in nanoseconds, attributes."""

_NESTED: Final[Mapping[str, type]] = {"usage": Usage, "rate_limits": RateLimits, "phases": Phases}
_ENTRIES: Final[Mapping[str, type]] = {
    "usage_deltas": UsageDelta,
    "tool_calls": ToolCall,
    "executed_tools": ExecutedTool,
    "attempts": Attempt,
}
_PLACES: Final = {f.name: place for place, f in enumerate(fields(RequestRecord))}
_SLOTS: Final = [getattr(RequestRecord, name).__set__ for name in _PLACES]
_DEFAULT_VALUES: Final[list[Any]] = [
    None if f.default is MISSING or f.name == "outcome" else f.default for f in fields(RequestRecord)
]
"""Of each field when no attribute says more; an outcome that is not written is not known."""
_GIVEN: Final = [_PLACES[n] for n in ("start_unix_ns", "duration_ns", "trace_id", "span_id", "nested", "service")]
_TIMELINE: Final = _PLACES["timeline_us"]
_STRIDE: Final = _PLACES["timeline_stride"]
_BREAKDOWN: Final = semconv.USAGE_BREAKDOWN[0].name
_SKIPPED_WHEN_DEFAULT: Final = frozenset(
    {"stream", "usage_deltas_dropped", "tool_calls_dropped", "attempts_dropped", "phases_clamped"}
)
"""Written only when they say something."""


class NotARecord(ValueError):
    """The attributes are not those of a record, or of a version that this one cannot read."""


def encode(record: RequestRecord) -> tuple[Attributes, list[EventData]]:
    """Write a record as attributes and events of its span, what identifies it last. What is `None` is left out."""
    attributes: Attributes = {}
    if record.timeline_us:
        attributes[semconv.TIMELINE] = pack(record.timeline_us, record.timeline_stride)
    if record.usage_models:
        for attribute in semconv.USAGE_BREAKDOWN:
            attributes[attribute.name] = tuple(getattr(m, attribute.field or "") for m in record.usage_models)
    _derive(record, attributes)
    _put(attributes, _DETAILS, record)
    attributes[semconv.SYSTEM] = attributes[semconv.PROVIDER_NAME] = semconv.PROVIDER
    if not record.nested and record.operation in semconv.GENAI_OPERATIONS:
        attributes[semconv.OPERATION_NAME] = record.operation
    _put(attributes, _IDENTITY, record)
    attributes[semconv.RECORD] = semconv.RECORD_VERSION
    return attributes, _events(record)


def _put(attributes: Attributes, columns: "_Columns", source: object) -> None:
    names, values = columns
    for (name, nanoseconds, skipped), value in zip(names, values(source), strict=True):
        if value is not None and value != () and (value or not skipped):
            attributes[name] = value / 1e9 if nanoseconds else value


def _derive(record: RequestRecord, attributes: Attributes) -> None:
    attributes[semconv.ATTEMPTS] = len(record.attempts) + record.attempts_dropped
    tpot = record.tpot
    if tpot is not None:
        attributes[semconv.TPOT] = tpot
        attributes[semconv.OUTPUT_TOKEN_THROUGHPUT] = 1 / tpot
    if record.executed_tools:
        attributes[semconv.EXECUTED_TOOL_TYPES] = tuple(t.type for t in record.executed_tools)
        attributes[semconv.EXECUTED_TOOL_COUNT] = len(record.executed_tools)


def _events(record: RequestRecord) -> list[EventData]:
    events: list[EventData] = []
    if record.ttfc_ns is not None:
        events.append((semconv.EVENT_FIRST_CHUNK.name, record.ttfc_ns, {}))
    for event, columns, when in _EVENT_COLUMNS:
        for entry in getattr(record, event.field or ""):
            attributes: Attributes = {}
            _put(attributes, columns, entry)
            at = when(entry)
            events.append((event.name, record.duration_ns if at is None else at, attributes))
    return events


def _tool_call_at(call: ToolCall) -> int | None:
    return None if call.first_delta_ns is None else call.first_delta_ns + (call.delta_ns or 0)


_Columns = tuple[list[tuple[str, bool, bool]], Callable[[Any], tuple[Any, ...]]]
"""Of each attribute its name, whether in seconds, whether left out when false or 0; and what reads all values."""


def _columns(attributes: Iterable[Attribute]) -> _Columns:
    written = list(attributes)
    names = [(a.name, a.nanoseconds, a.field in _SKIPPED_WHEN_DEFAULT) for a in written]
    return names, attrgetter(*(a.field or "" for a in written))


_BY_NAME: Final = {a.name: a for a in semconv.FIELDS if a.name != semconv.TIMELINE}
_DETAILS: Final = _columns(a for name, a in _BY_NAME.items() if name not in semconv.IDENTITY)
_IDENTITY: Final = _columns(_BY_NAME[name] for name in semconv.IDENTITY)
_EVENT_COLUMNS: Final[tuple[tuple[Event, _Columns, Callable[[Any], int | None]], ...]] = tuple(
    # The first ones say most, and where a limit bites those written first go.
    (event, _columns(reversed(event.attributes)), when)
    for event, when in (
        (semconv.EVENT_ATTEMPT, attrgetter("start_ns")),
        (semconv.EVENT_USAGE_DELTA, attrgetter("time_ns")),
        (semconv.EVENT_TOOL_CALL, _tool_call_at),
        (semconv.EVENT_EXECUTED_TOOL, attrgetter("start_ns")),
    )
)


def decode(
    attributes: Mapping[str, Any],
    events: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    start_unix_ns: int,
    duration_ns: int,
    trace_id: str | None,
    span_id: str | None,
    nested: bool,
    service: str | None,
) -> RequestRecord:
    """Read a record back from the attributes and events of its span.

    Numbers may have changed between int and double on the way (a collector writes 1.0 as 1): they are brought back to
    the type of their field. Unknown attributes are passed over.

    Raises:
        NotARecord: `groqscope.record` is missing or newer than this version, or a value is of the wrong kind.
    """
    version = attributes.get(semconv.RECORD)
    if not isinstance(version, int | float) or not 1 <= version <= semconv.RECORD_VERSION:
        raise NotARecord(f"groqscope.record is {version!r}; this version reads up to {semconv.RECORD_VERSION}")
    values = _DEFAULT_VALUES.copy()
    buckets: tuple[Any, ...] = (values, {}, {}, {})
    readers = _READERS
    try:
        for name, value in attributes.items():
            target = readers.get(name)
            if target is not None:
                bucket, place, convert = target
                buckets[bucket][place] = convert(value)
        for number, (field, make) in enumerate(_NESTED.items(), 1):
            values[_PLACES[field]] = make(**buckets[number])
        if semconv.TIMELINE in attributes:
            values[_TIMELINE], values[_STRIDE] = unpack(str(attributes[semconv.TIMELINE]))
        if _BREAKDOWN in attributes:
            values[_PLACES["usage_models"]] = _usage_models(attributes)
        for field, entries in _read_events(events).items():
            values[_PLACES[field]] = tuple(entries)
    except (TypeError, ValueError, OverflowError) as error:
        raise NotARecord(f"a span that says it carries a record does not: {error}") from error
    for place, value in zip(_GIVEN, (start_unix_ns, duration_ns, trace_id, span_id, nested, service), strict=True):
        values[place] = value
    return _record(values)


def _record(values: list[Any]) -> RequestRecord:
    """Make a record of the values of its fields in order.

    By the slots themselves: the constructor of a frozen class goes through `object.__setattr__` for each of its fields,
    which costs as much as all the rest of reading a span.
    """
    record = object.__new__(RequestRecord)
    for put, value in zip(_SLOTS, values, strict=True):
        put(record, value)
    return record


def _usage_models(attributes: Mapping[str, Any]) -> tuple[ModelUsage, ...]:
    columns = [attributes.get(a.name, ()) for a in semconv.USAGE_BREAKDOWN]
    return tuple(
        ModelUsage(model=_to_string(m), input_tokens=_to_int(i), output_tokens=_to_int(o))
        for m, i, o in zip(*columns, strict=True)
    )


def _read_events(events: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, attributes in events:
        readers = _EVENT_READERS.get(name)
        if readers is None:
            continue
        field, make, by_name = readers
        values: dict[str, Any] = {}
        usage: dict[str, Any] = {}
        for key, value in attributes.items():
            target = by_name.get(key)
            if target is not None:
                (usage if target[0] else values)[target[1]] = target[2](value)
        if field == "usage_deltas":
            values["usage"] = Usage(**usage)
        found.setdefault(field, []).append(make(**values))
    return found


def _to_ns(value: Any) -> int:
    # What is no number or not finite cannot be multiplied or rounded.
    return round(value * 1e9)


def _to_float(value: Any) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"expected a finite number, got {value!r}")
    return number


def _to_int(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"expected a whole number, got {value!r}")
    return int(value)


def _to_string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r}")
    return value


def _to_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected a boolean, got {value!r}")
    return value


def _to_strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError(f"expected a list of strings, got {value!r}")
    return tuple(map(_to_string, value))


def _to_outcome(value: Any) -> Outcome:
    if value not in _OUTCOMES:
        raise ValueError(f"expected an outcome, got {value!r}")
    return value


_OUTCOMES: Final = frozenset(get_args(Outcome))
_CONVERTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": _to_string,
    "int": _to_int,
    "double": _to_float,
    "boolean": _to_bool,
    "string[]": _to_strings,
}


def _converter(attribute: Attribute) -> Callable[[Any], Any]:
    if attribute.name == semconv.OUTCOME:
        return _to_outcome
    return _to_ns if attribute.nanoseconds else _CONVERTERS[attribute.type]


def _readers(attributes: Iterable[Attribute]) -> dict[str, tuple[str | None, str, Any]]:
    """Give, by attribute, the group and the field it is read into, and how."""
    readers: dict[str, tuple[str | None, str, Any]] = {}
    for attribute in attributes:
        if attribute.field is None or attribute.name == semconv.TIMELINE:
            continue
        group, _, field = attribute.field.rpartition(".")
        readers[attribute.name] = (group or None, field, _converter(attribute))
    return readers


def _record_readers() -> dict[str, tuple[int, int | str, Any]]:
    """Give the same with numbers: bucket 0 is the record's values by place, the others are its groups by field."""
    buckets = {None: 0, **{group: number for number, group in enumerate(_NESTED, 1)}}
    return {
        name: (buckets[group], field if group else _PLACES[field], convert)
        for name, (group, field, convert) in _readers(semconv.FIELDS).items()
    }


def _event_reader(event: Event) -> tuple[str, type, dict[str, tuple[str | None, str, Any]]]:
    field = event.field or ""
    return field, _ENTRIES[field], _readers(event.attributes)


_READERS: Final = _record_readers()
_EVENT_READERS: Final = {e.name: _event_reader(e) for e in semconv.EVENTS if e.field}
