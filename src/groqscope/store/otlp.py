"""OTLP JSON as typed values, decoded no further than needed.

The attributes and events of a span stay raw bytes until somebody wants them: most spans of a store are children
without a record.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

_NO_LIST: Final = msgspec.Raw(b"[]")
_ABSENT: Final = msgspec.Raw()
_NO_OBJECT: Final = msgspec.Raw(b"{}")
KIND_INTERNAL: Final = 1
_KINDS: Final = {
    "SPAN_KIND_UNSPECIFIED": 0,
    "SPAN_KIND_INTERNAL": 1,
    "SPAN_KIND_SERVER": 2,
    "SPAN_KIND_CLIENT": 3,
    "SPAN_KIND_PRODUCER": 4,
    "SPAN_KIND_CONSUMER": 5,
}
_ERROR_CODES: Final = (2, "2", "STATUS_CODE_ERROR")

AttributeValue = str | int | float | bool | tuple[Any, ...]


class _Wire(msgspec.Struct, gc=False, rename="camel"):
    """A message; its fields have lowerCamelCase names on the wire."""


class AnyValue(_Wire):
    """A value; exactly one field is set. Maps and bytes are not read."""

    string_value: str | None = None
    double_value: float | str | None = None
    int_value: int | str | None = None
    bool_value: bool | None = None
    array_value: "ArrayValue | None" = None


class ArrayValue(_Wire):
    """A list of values."""

    values: list[AnyValue] | None = None


class KeyValue(_Wire):
    """An attribute."""

    key: str
    value: AnyValue | None = None


class SpanEvent(_Wire):
    """An event of a span."""

    name: str = ""
    attributes: list[KeyValue] | None = None


class SpanStatus(_Wire):
    """How a span ended."""

    code: int | str | None = None


class Span(_Wire):
    """A span; attributes and events undecoded."""

    trace_id: str | None = None
    span_id: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: msgspec.Raw = _NO_LIST
    events: msgspec.Raw = _NO_LIST
    status: SpanStatus | None = None


class _Resource(_Wire):
    attributes: list[KeyValue] | None = None


class _ScopeSpans(_Wire):
    spans: list[Span] | None = None


class _ResourceSpans(_Wire):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _TracesData(_Wire):
    resource_spans: list[_ResourceSpans] | None = None


class _LooseScopeSpans(_Wire):
    spans: list[msgspec.Raw] | None = None


class _LooseResourceSpans(_Wire):
    resource: msgspec.Raw = _NO_OBJECT
    scope_spans: list[_LooseScopeSpans] | None = None


class _LooseTracesData(_Wire):
    """Traces as other servers give them: Tempo says `batches`, and puts all in `trace`."""

    resource_spans: list[_LooseResourceSpans] | None = None
    batches: list[_LooseResourceSpans] | None = None
    trace: "_LooseTracesData | None" = None
    resource_metrics: msgspec.Raw = _ABSENT
    resource_logs: msgspec.Raw = _ABSENT


_decode_traces: Final = msgspec.json.Decoder(_TracesData).decode
_decode_loose: Final = msgspec.json.Decoder(_LooseTracesData).decode
_decode_span: Final = msgspec.json.Decoder(Span).decode
_decode_resource: Final = msgspec.json.Decoder(_Resource).decode
_decode_attributes: Final = msgspec.json.Decoder(list[KeyValue] | None).decode
_decode_events: Final = msgspec.json.Decoder(list[SpanEvent] | None).decode

Warn = Callable[[str], None]


def spans_of(line: bytes, warn: Warn) -> Iterator[tuple[Span, str | None]]:
    """Yield each span of a `TracesData` with its resource's `service.name`; lines of other signals yield nothing.

    A span that does not fit is passed over with a warning and the rest is yielded.

    Raises:
        msgspec.DecodeError: the line is not JSON, or no object.
    """
    try:
        data = _decode_traces(line)
    except msgspec.ValidationError:
        yield from _loose_spans(line, warn)
        return
    if data.resource_spans is None:
        yield from _loose_spans(line, warn)
        return
    for resource_spans in data.resource_spans:
        service = _service(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans or ():
            for span in scope_spans.spans or ():
                yield span, service


def _loose_spans(line: bytes, warn: Warn) -> Iterator[tuple[Span, str | None]]:
    try:
        data = _decode_loose(line)
    except msgspec.ValidationError as error:
        warn(f"not OTLP: {error}")
        return
    data = data.trace or data
    found = data.resource_spans if data.resource_spans is not None else data.batches
    other = data.resource_metrics is not _ABSENT or data.resource_logs is not _ABSENT
    if found is None and not other and line.strip() != b"{}":
        warn("not OTLP: an object without resourceSpans")
    for resource_spans in found or ():
        try:
            service = _service(_decode_resource(resource_spans.resource))
        except msgspec.ValidationError as error:
            warn(f"a resource that is not OTLP: {error}")
            service = None
        for scope_spans in resource_spans.scope_spans or ():
            for raw in scope_spans.spans or ():
                try:
                    yield _decode_span(raw), service
                except msgspec.ValidationError as error:
                    warn(f"a span that is not OTLP: {error}")


def parts_of(span: Span) -> tuple[list[KeyValue], list[SpanEvent]]:
    """Decode attributes and events as they are.

    Raises:
        ValueError: they are not OTLP (`msgspec.ValidationError` among others).
    """
    return _decode_attributes(span.attributes) or [], _decode_events(span.events) or []


def kind_of(span: Span) -> int:
    """Give the kind as a number; some write its name."""
    kind = span.kind
    return kind if isinstance(kind, int) else _KINDS.get(kind or "", 0)


def failed(span: Span) -> bool:
    """Whether the span's status is an error."""
    return span.status is not None and span.status.code in _ERROR_CODES


def hex_id(text: str | None, digits: int) -> str | None:
    """Bring an id to lower-case hex; Tempo writes base64. `None` when it is absent or something else."""
    if text is None:
        return None
    if len(text) != digits:
        try:
            text = base64.b64decode(text, validate=True).hex()
        except (binascii.Error, ValueError):
            return None
    return text.lower() if len(text) == digits else None


def _service(resource: _Resource | None) -> str | None:
    for attribute in (resource.attributes if resource else None) or ():
        if attribute.key == "service.name" and attribute.value is not None:
            return attribute.value.string_value
    return None


def to_dict(attributes: list[KeyValue] | None) -> dict[str, AttributeValue]:
    """Give attributes by name; those without a value, or whose value is a map or bytes, are left out.

    Raises:
        ValueError: a number is not one.
    """
    found: dict[str, AttributeValue] = {}
    for attribute in attributes or ():
        value = attribute.value
        if value is None:
            continue
        # The commonest first and written out: this runs 60 times a request.
        if value.double_value is not None:
            found[attribute.key] = float(value.double_value)
        elif value.string_value is not None:
            found[attribute.key] = value.string_value
        elif value.int_value is not None:
            found[attribute.key] = int(value.int_value)
        else:
            other = _value(value)
            if other is not None:
                found[attribute.key] = other
    return found


def _value(value: AnyValue) -> AttributeValue | None:
    if value.string_value is not None:
        return value.string_value
    if value.double_value is not None:
        return float(value.double_value)
    if value.int_value is not None:
        return int(value.int_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.array_value is not None:
        return tuple(_value(v) for v in value.array_value.values or ())
    return None
