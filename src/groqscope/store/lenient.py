"""Reads damaged or unusual OTLP JSON part by part, so that a defect loses only the part it is in.

`otlp` reads what the specification says and what groqscope and the collector write. This module also accepts protobuf's
names (`resource_spans`), older names (`instrumentationLibrarySpans`), Tempo's names (`batches`, `trace`), numbers as
strings and strings as numbers, values that a processor replaced, and parts that are missing or of the wrong type.
"""

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any, Final

import msgspec

from groqscope import semconv
from groqscope.codec import EventRead, Warn
from groqscope.store.documents import split
from groqscope.store.messages import NO_LIST, Span, SpanStatus

_Object = dict[str, msgspec.Raw]
_NULL: Final = b"null"
_decode_object: Final = msgspec.json.Decoder(_Object).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode: Final = msgspec.json.decode

SCOPE_SPANS: Final = ("scopeSpans", "instrumentationLibrarySpans", "ilSpans")
_NOTHING: Final = (_NULL, bytes(NO_LIST))
_OF_A_SPAN: Final = frozenset({"traceId", "spanId", "startTimeUnixNano"})
_OTHER_SIGNALS: Final = frozenset({"resourceMetrics", "resourceLogs", "resourceProfiles"})
_NOT_OTLP: Final = {
    frozenset({"data"}): "Jaeger's JSON, or the response of another API",
    frozenset({"traceID", "spans"}): "Jaeger's JSON",
    frozenset({"traceID", "spanID"}): "a span in Jaeger's JSON",
    frozenset({"traceId", "id"}): "Zipkin's JSON",
    frozenset({"traces"}): "the result of a Tempo search, which contains no spans",
    frozenset({"context", "startTime"}): "the output of OpenTelemetry's console exporter",
    frozenset({"traceEvents"}): "a Chrome trace",
    frozenset({"Traces"}): "the response of AWS X-Ray",
    frozenset({"schemaVersion", "kind"}): "a report of groqscope; name the files that it was made from",
}
"""Other JSON formats, by the keys that identify them, in camelCase."""


def spans(document: bytes, warn: Warn) -> Iterator[tuple[Span, str | None]]:
    """Yield each span with its resource's `service.name`; unreadable parts of it are absent.

    Raises:
        msgspec.DecodeError: the document is not JSON.
        UnicodeDecodeError: it is not UTF-8.
    """
    document.decode()  # raise on invalid UTF-8 before the first span, so that no span is read twice
    for place, raw in resource_spans(camel_case(document), warn):
        entry = _object(raw, place, warn)
        service = None
        if "resource" in entry:
            resource = _object(entry["resource"], f"{place}.resource", warn)
            given = attributes(resource.get("attributes", NO_LIST), f"{place}.resource.attributes", warn)
            service = given.get(semconv.SERVICE_NAME)
        key = _first_given(entry, SCOPE_SPANS)
        for number, scope in enumerate(_list(entry.get(key, NO_LIST), f"{place}.{key}", warn)):
            at = f"{place}.{key}[{number}]"
            found = _object(scope, at, warn).get("spans", NO_LIST)
            for index, span in enumerate(_list(found, f"{at}.spans", warn)):
                fields = _object(span, f"{at}.spans[{index}]", warn)
                if fields:
                    yield _span(fields, f"{at}.spans[{index}]", warn), service if isinstance(service, str) else None


def attributes(raw: msgspec.Raw | bytes, place: str, warn: Warn) -> dict[str, Any]:
    """Return the attributes by name."""
    found: dict[str, Any] = {}
    for number, one in enumerate(_list(_repaired(raw, place, warn), place, warn)):
        attribute = _object(one, f"{place}[{number}]", warn)
        if not attribute:
            continue
        key = _decode(attribute.get("key", msgspec.Raw(_NULL)))
        if not isinstance(key, str):
            warn(f"{place}[{number}]: an attribute without a name; omitted")
            continue
        try:
            value = _value(_decode(attribute.get("value", msgspec.Raw(_NULL))))
        except (ValueError, TypeError, OverflowError):
            warn(f"{place}[{number}] ({key:.80}): its value is unreadable; omitted")
            continue
        if value is not None:
            found[key] = value
    return found


def events(raw: msgspec.Raw | bytes, warn: Warn) -> list[EventRead]:
    """Return the events of a span."""
    found: list[EventRead] = []
    for number, one in enumerate(_list(_repaired(raw, "events", warn), "events", warn)):
        place = f"events[{number}]"
        event = _object(one, place, warn)
        name = _text(event, "name", place, warn)
        if name is not None:
            given = attributes(event.get("attributes", NO_LIST), f"{place}.attributes", warn)
            found.append((name, given, _nanoseconds(event, "timeUnixNano", place, warn) or 0))
    return found


def resource_spans(document: bytes, warn: Warn) -> Iterator[tuple[str, msgspec.Raw]]:
    """Yield each entry of `resourceSpans`, wherever it is in a document with names in camelCase, with its place."""
    if document.lstrip()[:1] != b"[":
        yield from _resource_spans_of(document, warn)
        return
    said: set[str] = set()  # for an array of documents, or of such arrays, as `jq --slurp` makes it
    for number, one in enumerate(_decode_list(document)):
        yield from ((f"[{number}].{place}", raw) for place, raw in resource_spans(bytes(one), said.add))
    for reason in sorted(said):
        warn(reason)


def _resource_spans_of(document: bytes, warn: Warn) -> Iterator[tuple[str, msgspec.Raw]]:
    try:
        top = _decode_object(document)
    except msgspec.ValidationError:
        if document.strip() != _NULL:
            warn("not OTLP: expected an object with resourceSpans")
        return
    if "trace" in top:
        top = _object(top["trace"], "trace", warn)
    key = _first_given(top, ("resourceSpans", "batches"))
    if key in top:
        found = _list(top[key], key, warn)
        yield from ((f"{key}[{number}]", raw) for number, raw in enumerate(found))
    # A part of a document, as a filter such as `jq` leaves it.
    elif any(key in top for key in SCOPE_SPANS):
        yield "document", msgspec.Raw(document)
    elif "spans" in top and "traceID" not in top:
        yield "document", msgspec.Raw(b'{"scopeSpans":[%s]}' % document)
    elif top.keys() >= _OF_A_SPAN:
        yield "document", msgspec.Raw(b'{"scopeSpans":[{"spans":[%s]}]}' % document)
    elif top and not _OTHER_SIGNALS & top.keys():
        what = next((name for keys, name in _NOT_OTLP.items() if keys <= top.keys()), "an object without resourceSpans")
        warn(f"not OTLP: {what}")


def _first_given(fields: _Object, names: tuple[str, ...]) -> str:
    """Return the first of these names that has a value, else the first."""
    given = (name for name in names if bytes(fields.get(name, NO_LIST)) not in _NOTHING)
    return next(given, names[0])


def _span(fields: _Object, place: str, warn: Warn) -> Span:
    status = _object(fields["status"], f"{place}.status", warn) if "status" in fields else {}
    return Span(
        trace_id=_text(fields, "traceId", place, warn),
        span_id=_text(fields, "spanId", place, warn),
        parent_span_id=_text(fields, "parentSpanId", place, warn),
        name=_text(fields, "name", place, warn),
        kind=_enum(fields, "kind", place, warn),
        start_time_unix_nano=_nanoseconds(fields, "startTimeUnixNano", place, warn),
        end_time_unix_nano=_nanoseconds(fields, "endTimeUnixNano", place, warn),
        attributes=fields.get("attributes", NO_LIST),
        events=fields.get("events", NO_LIST),
        status=SpanStatus(_enum(status, "code", f"{place}.status", warn)),
    )


def _object(raw: msgspec.Raw | bytes, place: str, warn: Warn) -> _Object:
    """Return the fields of an object by name; none when it is not an object."""
    try:
        return _decode_object(raw)
    except msgspec.ValidationError:
        if bytes(raw) != _NULL:
            warn(f"{place} is not an object; omitted")
        return {}


def _list(raw: msgspec.Raw | bytes, place: str, warn: Warn) -> list[msgspec.Raw]:
    """Return the elements of an array; none when it is not an array."""
    try:
        return _decode_list(raw)
    except msgspec.ValidationError:
        if bytes(raw) != _NULL:
            warn(f"{place} is not an array; omitted")
        return []


def _text(fields: _Object, name: str, place: str, warn: Warn) -> str | None:
    return _field(fields, name, place, warn, _string)


def _enum(fields: _Object, name: str, place: str, warn: Warn) -> int | str | None:
    return _field(fields, name, place, warn, _number_or_name)


def _nanoseconds(fields: _Object, name: str, place: str, warn: Warn) -> int | None:
    return _field(fields, name, place, warn, _whole)


def _number_or_name(value: Any) -> int | str | None:
    return value if isinstance(value, str) else _whole(value)


def _field(fields: _Object, name: str, place: str, warn: Warn, convert: Any) -> Any:
    if name not in fields or bytes(fields[name]) == _NULL:
        return None
    try:
        converted = convert(_decode(fields[name]))
    except (ValueError, TypeError, OverflowError):
        converted = None
    if converted is None:
        warn(f"{place}.{name} is unreadable; omitted")
    return converted


def _repaired(raw: msgspec.Raw | bytes, place: str, warn: Warn) -> msgspec.Raw | bytes:
    """Repair strings that a strict parser rejects, for example one that was cut inside a UTF-8 sequence."""
    try:
        _decode(raw)
    except (msgspec.DecodeError, UnicodeError):
        warn(f"{place}: a text is not valid UTF-8 or JSON: its unreadable characters were replaced")
        return next(iter(split(bytes(raw))[0]), b"[]")
    return raw


def _whole(value: Any) -> int | None:
    """Return an integer from a number or a string; `None` when it is not an integer."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(value)
    except ValueError:
        number = float(value)
        return int(number) if isfinite(number) else None


def _value(value: Any) -> Any:
    """Return the value in an `AnyValue`; a bare value in its place is accepted too.

    Raises:
        ValueError: the value does not have the type that its key names.
    """
    if isinstance(value, str | int | float):
        return value
    if value is None:
        return None
    if not isinstance(value, dict):
        raise TypeError("no value")
    for key, held in value.items():
        read = _READERS.get(key)
        if read is not None and held is not None:
            return read(held)
    return None


def _string(held: Any) -> str:
    if not isinstance(held, str):
        raise TypeError("no text")
    return held


def _int(held: Any) -> int:
    number = _whole(held)
    if number is None or number != float(held):
        raise ValueError("no whole number")
    return number


def _double(held: Any) -> float:
    if isinstance(held, bool):
        raise TypeError("no number")
    return float(held)


def _bool(held: Any) -> bool:
    if isinstance(held, bool):
        return held
    return {"true": True, "false": False}[held] if held in {"true", "false"} else _refuse()


def _refuse() -> Any:
    raise ValueError("neither true nor false")


def _array(held: Any) -> tuple[Any, ...]:
    found = held.get("values") if isinstance(held, dict) else held
    if not isinstance(found, list | None):
        raise TypeError("no array")
    return tuple(_value(one) for one in found or ())


_READERS: Final = {
    "stringValue": _string,
    "intValue": _int,
    "doubleValue": _double,
    "boolValue": _bool,
    "arrayValue": _array,
}


_SNAKE_CASE: Final = re.compile(rb'"([a-z]+(?:_[a-z]+)+)"(?=\s*:)')
"""A field name in protobuf's snake_case; inside a string its closing quote would be escaped."""


def camel_case(document: bytes) -> bytes:
    """Return a document with its names in camelCase."""
    return _SNAKE_CASE.sub(_camel_case, document) if _SNAKE_CASE.search(document) else document


def _camel_case(match: re.Match[bytes]) -> bytes:
    first, *rest = match[1].split(b"_")
    return b'"%s%s"' % (first, b"".join(part.capitalize() for part in rest))
