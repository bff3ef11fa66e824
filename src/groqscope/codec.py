"""Converts records to span attributes and events, and back: `decode(*encode(record)) == record`.

It works on plain dictionaries, without OpenTelemetry, so that the audit can read what any transport has stored. The
tables of `semconv` map fields to names. A damaged value loses only its own field.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from math import inf, isfinite
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
    is_cut,
    pack,
    unpack,
)

AttributeValue = str | int | float | bool | tuple[str, ...] | tuple[int, ...]
Attributes = dict[str, AttributeValue]
EventData = tuple[str, int, Attributes]
"""Name, offset since issue in nanoseconds, attributes."""
EventRead = tuple[str, Mapping[str, Any], int]
"""Name, attributes, Unix time in nanoseconds (0 when it is not known)."""

_NESTED: Final[Mapping[str, type]] = {"usage": Usage, "rate_limits": RateLimits, "phases": Phases}
ENTRIES: Final[Mapping[str, type]] = {
    "usage_deltas": UsageDelta,
    "tool_calls": ToolCall,
    "executed_tools": ExecutedTool,
    "attempts": Attempt,
}


class Maker:
    """Makes objects of a frozen class from the values of its fields in order.

    The constructor of a frozen class calls `object.__setattr__` for each field, which takes longer than all the rest of
    reading a span. So one statement sets the fields of an object of another class, which has the same slots and is not
    frozen; then the object gets its own class.
    """

    def __init__(self, made: type, **defaults: Any) -> None:
        names = [f.name for f in fields(made)]
        self.places = {name: place for place, name in enumerate(names)}
        self.defaults: list[Any] = [defaults.get(f.name, f.default) for f in fields(made)]
        """Value of each field without an attribute; `MISSING` for a required one."""
        open_class = type(made.__name__, (), {"__slots__": names})
        targets = ", ".join(f"made.{name}" for name in names)
        lines = ("def make(values):", "  made = new(open_class)", f"  {targets}, = values", "  made.__class__ = closed")
        scope: dict[str, Any] = {"new": object.__new__, "open_class": open_class, "closed": made}
        exec("\n".join((*lines, "  return made")), scope)  # noqa: S102 - of the names of fields
        self.make: Callable[[Sequence[Any]], Any] = scope["make"]
        """Returns an object with these values."""


GROUPS: Final[Mapping[str, Maker]] = {name: Maker(made) for name, made in _NESTED.items()}
"""What makes the nested objects of a record, by field; `usage` is a usage delta's as well."""
_MAKERS: Final = tuple(GROUPS.values())
_MAKE_USAGE: Final = _MAKERS[0]
# An outcome without an attribute is unknown. What has no default is given by the span.
MAKE_RECORD: Final = Maker(RequestRecord, outcome=None)
_PLACES: Final = MAKE_RECORD.places
_NESTED_PLACES: Final = tuple(_PLACES[name] for name in _NESTED)
GIVEN: Final = ("start_unix_ns", "duration_ns", "trace_id", "span_id", "service", "nested")
"""The fields that the span itself tells, not its attributes."""
_TAGS: Final = len(_NESTED) + 1
"""The bucket that tags are read into, behind those of the record and its groups."""
_TIMELINE: Final = _PLACES["timeline_us"]
_STRIDE: Final = _PLACES["timeline_stride"]
_CHUNKS: Final = _PLACES["chunks"]
_BREAKDOWN: Final = semconv.USAGE_BREAKDOWN[0].name
_ATTEMPTS_DROPPED: Final = _PLACES["attempts_dropped"]
_SKIPPED_WHEN_DEFAULT: Final = frozenset(
    {"stream", "usage_deltas_dropped", "tool_calls_dropped", "attempts_dropped", "phases_clamped"}
)
"""Omitted when they are false or 0."""


def encode(record: RequestRecord) -> tuple[Attributes, list[EventData]]:
    """Return a record as span attributes, identifying ones last, and events. Fields that are `None` are omitted."""
    attributes: Attributes = {}
    if record.timeline_us:
        attributes[semconv.TIMELINE] = pack(record.timeline_us, record.timeline_stride)
    if record.usage_models:
        for attribute in semconv.USAGE_BREAKDOWN:
            attributes[attribute.name] = tuple(getattr(m, attribute.field or "") for m in record.usage_models)
    _derive(record, attributes)
    for name, value in record.tags:
        attributes[semconv.TAG_PREFIX + name] = value
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
"""For each attribute its name, whether it is in seconds, and whether to omit false or 0; and a getter of all values."""


def _columns(attributes: Iterable[Attribute]) -> _Columns:
    written = list(attributes)
    names = [(a.name, a.nanoseconds, a.field in _SKIPPED_WHEN_DEFAULT) for a in written]
    return names, attrgetter(*(a.field or "" for a in written))


_BY_NAME: Final = {a.name: a for a in semconv.FIELDS if a.name != semconv.TIMELINE}
_DETAILS: Final = _columns(a for name, a in _BY_NAME.items() if name not in semconv.IDENTITY)
_IDENTITY: Final = _columns(_BY_NAME[name] for name in semconv.IDENTITY)
_EVENT_COLUMNS: Final[tuple[tuple[Event, _Columns, Callable[[Any], int | None]], ...]] = tuple(
    # The first ones matter most; over an attribute limit, those written first are dropped.
    (event, _columns(reversed(event.attributes)), when)
    for event, when in (
        (semconv.EVENT_ATTEMPT, attrgetter("start_ns")),
        (semconv.EVENT_USAGE_DELTA, attrgetter("time_ns")),
        (semconv.EVENT_TOOL_CALL, _tool_call_at),
        (semconv.EVENT_EXECUTED_TOOL, attrgetter("start_ns")),
    )
)


_CUT_TIMELINE: Final = f"{semconv.TIMELINE}: it was truncated; omitted"

Warn = Callable[[str], object]
"""Called for each unreadable part, with its name and the reason."""


def decode(
    attributes: Mapping[str, Any],
    events: Iterable[EventRead],
    *,
    start_unix_ns: int,
    duration_ns: int,
    trace_id: str | None,
    span_id: str | None,
    nested: bool,
    service: str | None,
    warn: Warn = lambda _: None,
    limited: Warn | None = None,
) -> RequestRecord:
    """Return the record in the attributes and events of its span.

    Numbers may have changed between int, double and string on the way (a collector writes 1.0 as 1); they are converted
    back to the type of their field. Unknown attributes are ignored. A damaged value is reported to `warn`, and its
    field, but no other, keeps its default. An event without its required attributes counts as dropped. What is missing
    rather than damaged, as limits on attributes leave it, is reported to `limited` (by default to `warn`).
    """
    limited = limited or warn
    values = MAKE_RECORD.defaults.copy()
    buckets: tuple[Any, ...] = (values, *(make.defaults.copy() for make in _MAKERS), {})
    readers = _READERS
    for name, value in attributes.items():
        target = readers.get(name) or _tag(name)
        if target is not None:
            bucket, place, usual, convert = target
            try:
                buckets[bucket][place] = value if type(value) is usual else convert(value)
            except _DAMAGED as error:
                warn(f"{name}: {error}; omitted")
    for place, make, found in zip(_NESTED_PLACES, _MAKERS, buckets[1:-1], strict=True):
        values[place] = make.make(found)
    values[_PLACES["tags"]] = tuple(sorted(buckets[_TAGS].items()))
    if semconv.TIMELINE in attributes:
        _read_timeline(attributes[semconv.TIMELINE], values, warn, limited)
    if _BREAKDOWN in attributes:
        _read_breakdown(attributes, values, warn)
    _read_events(events, start_unix_ns, values, warn, limited)
    _count_lost_attempts(attributes, values)
    for name, value in zip(GIVEN, (start_unix_ns, duration_ns, trace_id, span_id, service, nested), strict=True):
        values[_PLACES[name]] = value
    return MAKE_RECORD.make(values)


def _tag(name: str) -> "_Reader | None":
    """Return how to read an attribute that is a tag, as `_READERS` does for the others."""
    if name.startswith(semconv.TAG_PREFIX):
        return _TAGS, name.removeprefix(semconv.TAG_PREFIX), str, _to_string
    return None


def _read_timeline(text: object, values: list[Any], warn: Warn, limited: Warn) -> None:
    try:
        times, stride = unpack(_to_string(text))
    except _DAMAGED as error:
        if isinstance(text, str) and is_cut(text):
            limited(_CUT_TIMELINE)
        else:
            warn(f"{semconv.TIMELINE}: {error}; omitted")
        return
    chunks = values[_CHUNKS]
    if chunks is None or len(times) >= -(-chunks // stride):
        values[_TIMELINE], values[_STRIDE] = times, stride
    else:
        limited(_CUT_TIMELINE)


def _read_breakdown(attributes: Mapping[str, Any], values: list[Any], warn: Warn) -> None:
    if not all(a.name in attributes for a in semconv.USAGE_BREAKDOWN):
        return  # the columns are useless if one is missing
    columns = [attributes[a.name] for a in semconv.USAGE_BREAKDOWN]
    try:
        values[_PLACES["usage_models"]] = tuple(
            ModelUsage(model=_to_string(m), input_tokens=_to_count(i), output_tokens=_to_count(o))
            for m, i, o in zip(*columns, strict=True)
        )
    except _DAMAGED as error:
        warn(f"{_BREAKDOWN.rpartition('.')[0]}: {error}; omitted")


def _read_events(events: Iterable[EventRead], start_unix_ns: int, values: list[Any], warn: Warn, limited: Warn) -> None:
    found: dict[str, list[Any]] = {}
    for name, attributes, time_unix_ns in events:
        reader = _EVENT_READERS.get(name)
        if reader is None:
            continue
        entries = found.setdefault(reader.field, [])
        entry = reader.entry(attributes, len(entries), max(0, time_unix_ns - start_unix_ns), name, warn, limited)
        if entry is not None:
            entries.append(entry)
        elif reader.dropped is not None:
            values[reader.dropped] += 1
    for field, entries in found.items():
        values[_PLACES[field]] = tuple(entries)


def _count_lost_attempts(attributes: Mapping[str, Any], values: list[Any]) -> None:
    """Count attempts whose events are missing, for example because of an event limit."""
    total = attributes.get(semconv.ATTEMPTS)
    if type(total) is int and total <= MAX_INT:
        values[_ATTEMPTS_DROPPED] = max(values[_ATTEMPTS_DROPPED], total - len(values[_PLACES["attempts"]]))


@dataclass(frozen=True, slots=True)
class _EventReader:
    """Reads the events with one name as the entries of one field."""

    field: str
    maker: Maker
    readers: Mapping[str, "_Reader"]
    usage: int | None
    """The field that holds the usage of bucket 1."""
    position: int | None
    """The field that is the entry's position, when its attribute is absent."""
    moment: int | None
    """The field that is the event's timestamp, when its attribute is absent."""
    dropped: int | None
    """The field that counts missing entries."""

    def entry(
        self, attributes: Mapping[str, Any], number: int, offset_ns: int, event: str, warn: Warn, limited: Warn
    ) -> Any:
        """Return the entry; `None` when a required field is missing."""
        values = self.maker.defaults.copy()
        buckets: Any = (values, None if self.usage is None else _MAKE_USAGE.defaults.copy())
        for name, value in attributes.items():
            target = self.readers.get(name)
            if target is None:
                continue
            bucket, place, usual, convert = target
            try:
                buckets[bucket][place] = value if type(value) is usual else convert(value)
            except _DAMAGED as error:
                warn(f"event {event}, {name}: {error}; omitted")
        if self.usage is not None:
            values[self.usage] = _MAKE_USAGE.make(buckets[1])
        if MISSING not in values:
            return self.maker.make(values)
        for place, instead in ((self.position, number), (self.moment, offset_ns)):
            if place is not None and values[place] is MISSING:
                values[place] = instead
        missing = sorted(name for name, place in self.maker.places.items() if values[place] is MISSING)
        if not missing:
            return self.maker.make(values)
        limited(f"event {event} without {', '.join(missing)}; omitted")
        return None


# The usual case comes first and is inlined in these functions: they run sixty times per request.


def _to_ns(value: Any) -> int:
    if type(value) is float and 0.0 <= value <= MAX_SECONDS:
        return round(value * 1e9)
    nanoseconds = _to_float(value) * 1e9
    if not 0 <= nanoseconds <= MAX_INT:
        raise ValueError(_expected("seconds from 0 on", value))
    return round(nanoseconds)


def _to_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(_expected("a number", value))
    try:
        number = float(value)
    except ValueError:
        raise ValueError(_expected("a number", value)) from None
    if not isfinite(number):
        raise ValueError(_expected("a finite number", value))
    return number


def _to_amount(value: Any) -> float:
    if type(value) is float and 0.0 <= value < inf:
        return value
    number = _to_float(value)
    if number < 0:
        raise ValueError(_expected("a number from 0 on", value))
    return number


def _to_int(value: Any) -> int:
    number = value
    if type(value) is not int:
        number = _to_float(value)
        if not number.is_integer():
            raise ValueError(_expected("an integer", value))
        number = int(number if isinstance(value, float) or not _is_whole(value) else value)
    if not -MAX_INT <= number <= MAX_INT:
        raise ValueError(_expected("a number of 64 bits", value))
    return number


def _to_count(value: Any) -> int:
    if type(value) is int and 0 <= value <= MAX_INT:
        return value
    number = _to_int(value)
    if number < 0:
        raise ValueError(_expected("a number from 0 on", value))
    return number


def _is_whole(text: str) -> bool:
    return text.strip().lstrip("+-").isdecimal()


def _to_string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(_expected("a string", value))
    return value


def _to_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        if value in {"true", "false"}:
            return value == "true"
        raise TypeError(_expected("true or false", value))
    return value


def _to_strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(_expected("a list of strings", value))
    return tuple(map(_to_string, value))


def _to_outcome(value: Any) -> Outcome:
    if not isinstance(value, str) or value not in _OUTCOMES:
        raise ValueError(_expected("an outcome", value))
    return value  # pyright: ignore[reportReturnType] - it is one of them


def _expected(what: str, value: object) -> str:
    """Return what was expected and what was found; of a string only its type, since it may contain anything."""
    actual = f"{value!r:.40}" if isinstance(value, int | float) else f"a {_TYPE_NAMES.get(type(value), 'value')}"
    return f"expected {what}, got {actual}"


_TYPE_NAMES: Final[Mapping[type, str]] = {str: "string", list: "list", tuple: "list", dict: "map"}
_OUTCOMES: Final = frozenset(get_args(Outcome))
MAX_INT: Final = 2**63 - 1
MAX_SECONDS: Final = 9e9
"""OTLP's integers have 64 bits, as do the columns of data frames."""
_DAMAGED: Final = (TypeError, ValueError, OverflowError)
SIGNED: Final = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty", "seed"})
"""Fields that may be negative: they contain whatever the caller sent."""
_CONVERTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": _to_string,
    "int": _to_count,
    "double": _to_amount,
    "boolean": _to_bool,
    "string[]": _to_strings,
}


def _converter(attribute: Attribute) -> Callable[[Any], Any]:
    if attribute.name == semconv.OUTCOME:
        return _to_outcome
    if attribute.field in SIGNED:
        return _to_int if attribute.type == "int" else _to_float
    return _to_ns if attribute.nanoseconds else _CONVERTERS[attribute.type]


_Reader = tuple[int, Any, type | None, Callable[[Any], Any]]
"""A bucket and the place in it, the type of which a value is taken as it is, and what converts other values."""
_AS_THEY_ARE: Final[Mapping[Any, type]] = {_to_string: str, _to_bool: bool}


def _readers(attributes: Iterable[Attribute], places: Mapping[str, int]) -> dict[str, _Reader]:
    """Return how to read each attribute: bucket 0 holds the fields themselves, the others are the groups' fields."""
    readers: dict[str, _Reader] = {}
    for attribute in attributes:
        if attribute.field is None or attribute.name == semconv.TIMELINE:
            continue
        group, _, field = attribute.field.rpartition(".")
        bucket = 1 + list(_NESTED).index(group) if group else 0
        found = _MAKERS[bucket - 1].places if group else places
        convert = _converter(attribute)
        readers[attribute.name] = (bucket, found[field], _AS_THEY_ARE.get(convert), convert)
    return readers


_POSITIONS: Final = {"tool_calls": "index", "executed_tools": "index"}
_MOMENTS: Final = {"attempts": "start_ns", "usage_deltas": "time_ns"}


def _event_reader(event: Event) -> _EventReader:
    field = event.field or ""
    make = Maker(ENTRIES[field])
    return _EventReader(
        field,
        make,
        _readers(event.attributes, make.places),
        make.places.get("usage"),
        make.places.get(_POSITIONS.get(field, "")),
        make.places.get(_MOMENTS.get(field, "")),
        _PLACES.get(f"{field}_dropped"),
    )


_READERS: Final = _readers(semconv.FIELDS, _PLACES)
_EVENT_READERS: Final = {e.name: _event_reader(e) for e in semconv.EVENTS if e.field}
