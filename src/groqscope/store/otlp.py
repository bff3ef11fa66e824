"""Reads spans from OTLP JSON; `lenient` reads documents that are damaged or unusual, part by part."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from groqscope import semconv
from groqscope.codec import EventRead, Warn
from groqscope.store import lenient
from groqscope.store.messages import AnyValue, KeyValue, Resource, Span, SpanEvent, TracesData

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


UNREADABLE: Final = (msgspec.DecodeError, ValueError, OverflowError)
"""What decoding raises of damaged parts."""
_decode_traces: Final = msgspec.json.Decoder(TracesData, strict=False).decode
_decode_attributes: Final = msgspec.json.Decoder(list[KeyValue] | None, strict=False).decode
_decode_events: Final = msgspec.json.Decoder(list[SpanEvent] | None, strict=False).decode


def spans_of(document: bytes, warn: Warn) -> Iterator[tuple[Span, str | None]]:
    """Yield each span of a `TracesData` with its resource's `service.name`; documents of other signals yield nothing.

    An unreadable part is skipped with a warning that says where it is, and the rest is yielded.

    Raises:
        msgspec.DecodeError: the document is not JSON.
    """
    canonical = canonical_spans(document)
    yield from lenient.spans(document, warn) if canonical is None else canonical


def canonical_spans(document: bytes) -> list[tuple[Span, str | None]] | None:
    """Return the spans; `None` if something does not fit, or is missing and may be there under another name.

    Raises:
        msgspec.DecodeError: the document is not JSON.
    """
    try:
        data = _decode_traces(document)
    except msgspec.ValidationError:
        return None
    found: list[tuple[Span, str | None]] = []
    for resource_spans in data.resource_spans or ():
        service = _service(resource_spans.resource)
        scopes = resource_spans.scope_spans or resource_spans.instrumentation_library_spans
        for scope_spans in scopes or ():
            for span in scope_spans.spans or ():
                if span.trace_id is None or span.start_time_unix_nano is None:
                    return None
                found.append((span, service))
            if not scope_spans.spans:
                return None
        if not scopes:
            return None
    return found if data.resource_spans is not None else None


def read_attributes(raw: msgspec.Raw | bytes) -> dict[str, AttributeValue]:
    """Return the attributes by name.

    Raises:
        UNREADABLE: one of them is damaged.
    """
    return to_dict(_decode_attributes(raw))


def attributes_of(span: Span, warn: Warn) -> dict[str, AttributeValue]:
    """Return the attributes by name; damaged ones are omitted and reported to `warn`."""
    try:
        return read_attributes(span.attributes)
    except UNREADABLE:
        return lenient.attributes(span.attributes, "attributes", warn)


def events_of(span: Span, warn: Warn) -> list[EventRead]:
    """Return the events; damaged ones are omitted and reported to `warn`."""
    try:
        decoded = _decode_events(span.events) or ()
        return [(event.name, to_dict(event.attributes), int(event.time_unix_nano or 0)) for event in decoded]
    except UNREADABLE:
        return lenient.events(span.events, warn)


def kind_of(span: Span) -> int:
    """Return the kind as a number, although some writers use its name."""
    kind = span.kind
    return kind if isinstance(kind, int) else _KINDS.get(kind or "", 0)


def failed(span: Span) -> bool:
    """Return whether the span's status is an error."""
    return span.status is not None and span.status.code in _ERROR_CODES


def hex_id(text: str | None, digits: int) -> str | None:
    """Return an id in lower-case hex, from hex or from base64, which Tempo writes.

    Raises:
        ValueError: it is something else.
    """
    if not text:
        return None
    if len(text) != digits:
        try:
            text = base64.b64decode(text, validate=True).hex()
        except (binascii.Error, ValueError):
            text = ""
    number = int(text, 16) if len(text) == digits and text.isalnum() else 0
    if not number:
        raise ValueError(f"expected {digits} hex digits, not all 0")
    return text.lower()


def _service(resource: Resource | None) -> str | None:
    for attribute in (resource.attributes if resource else None) or ():
        if attribute.key == semconv.SERVICE_NAME and attribute.value is not None:
            return attribute.value.string_value
    return None


def to_dict(attributes: list[KeyValue] | None) -> dict[str, AttributeValue]:
    """Return attributes by name; those without a value, or whose value is a map or bytes, are left out."""
    found: dict[str, AttributeValue] = {}
    for attribute in attributes or ():
        value = attribute.value
        if value is None:
            continue
        # The commonest first and written out: this runs 60 times a request.
        if (double := value.double_value) is not None:
            found[attribute.key] = double
        elif (text := value.string_value) is not None:
            found[attribute.key] = text
        elif (number := value.int_value) is not None:
            found[attribute.key] = number
        else:
            other = _value(value)
            if other is not None:
                found[attribute.key] = other
    return found


def _value(value: AnyValue) -> AttributeValue | None:
    if value.string_value is not None:
        return value.string_value
    if value.double_value is not None:
        return value.double_value
    if value.int_value is not None:
        return value.int_value
    if value.bool_value is not None:
        return value.bool_value
    if value.array_value is not None:
        return tuple(_value(v) for v in value.array_value.values or ())
    return None
