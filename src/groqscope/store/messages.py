"""The messages of OTLP JSON, with the fields that are read.

The attributes and events of a span stay raw bytes until they are needed: most spans of a store are children without a
record.
"""

from typing import Final

import msgspec

NO_LIST: Final = msgspec.Raw(b"[]")


class _Wire(msgspec.Struct, gc=False, rename="camel"):
    """A message; its fields have lowerCamelCase names on the wire."""


class AnyValue(_Wire):
    """A value; exactly one field is set. Maps and bytes are not read.

    OTLP writes integers as text: decoders of values are not strict, which makes numbers of them.
    """

    string_value: str | None = None
    double_value: float | None = None
    int_value: int | None = None
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
    time_unix_nano: int | str | None = None


class SpanStatus(_Wire):
    """How a span ended."""

    code: int | str | None = None


class Span(_Wire):
    """A span; attributes and events undecoded."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: msgspec.Raw = NO_LIST
    events: msgspec.Raw = NO_LIST
    status: SpanStatus | None = None


class Resource(_Wire):
    """The resource that produced the spans."""

    attributes: list[KeyValue] | None = None


class ScopeSpans(_Wire):
    """The spans of one instrumentation scope."""

    spans: list[Span] | None = None


class ResourceSpans(_Wire):
    """The spans of one resource."""

    resource: Resource | None = None
    scope_spans: list[ScopeSpans] | None = None
    instrumentation_library_spans: list[ScopeSpans] | None = None
    """Their name before OTLP 0.9."""


class TracesData(_Wire):
    """A document of traces."""

    resource_spans: list[ResourceSpans] | None = None
