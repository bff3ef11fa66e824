"""Turns the requests that an OTLP/HTTP endpoint receives, protobuf or JSON, into lines of the store."""

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from groqscope.delivery.transcode import Signal, hex_of_base64, key_of, signal_of, with_ids

Json = dict[str, Any]
_quoted: Final = json.encoder.encode_basestring


def line_of_json(body: bytes, signal: Signal) -> bytes | None:
    """Return the line for a request in JSON; `None` if it is empty.

    Raises:
        ValueError: the body is not OTLP JSON of that signal.
    """
    try:
        line = msgspec.json.format(body, indent=-1)
        found = signal_of(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"not OTLP JSON: {error}") from error
    if found != signal:
        if line == b"{}":
            return None
        raise ValueError(f"expected an object with {key_of(signal)}")
    return line


def line_of_protobuf(body: bytes, signal: Signal) -> bytes | None:
    """Return the line for a request in protobuf; `None` if it is empty.

    Raises:
        ValueError: the body is not an export request of that signal.
    """
    try:
        data = _traces(body) if signal == "traces" else _metrics(body)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not an OTLP export request in protobuf: {error}") from error
    return msgspec.json.encode(data) if data[key_of(signal)] else None


def _metrics(body: bytes) -> Json:
    message = ExportMetricsServiceRequest.FromString(body)
    data = json_format.MessageToDict(message, use_integers_for_enums=True)
    return {"resourceMetrics": with_ids(data.get("resourceMetrics", []), hex_of_base64)}


def _traces(body: bytes) -> Json:
    # By hand: `json_format` takes several times as long, and a span has dozens of attributes.
    message = ExportTraceServiceRequest.FromString(body)
    return {
        "resourceSpans": [
            _filled(
                resource=_filled(attributes=_attributes(resource_spans.resource.attributes)),
                scopeSpans=[
                    _filled(
                        scope=_filled(
                            name=scope_spans.scope.name,
                            version=scope_spans.scope.version,
                            attributes=_attributes(scope_spans.scope.attributes),
                        ),
                        spans=[_span(span) for span in scope_spans.spans],
                        schemaUrl=scope_spans.schema_url,
                    )
                    for scope_spans in resource_spans.scope_spans
                ],
                schemaUrl=resource_spans.schema_url,
            )
            for resource_spans in message.resource_spans
        ]
    }


def _span(span: Any) -> Json:
    return _filled(
        traceId=span.trace_id.hex(),
        spanId=span.span_id.hex(),
        parentSpanId=span.parent_span_id.hex(),
        traceState=span.trace_state,
        flags=span.flags,
        name=span.name,
        kind=span.kind,
        startTimeUnixNano=str(span.start_time_unix_nano),
        endTimeUnixNano=str(span.end_time_unix_nano),
        attributes=_attributes(span.attributes),
        droppedAttributesCount=span.dropped_attributes_count,
        events=[
            _filled(
                name=event.name,
                timeUnixNano=str(event.time_unix_nano),
                attributes=_attributes(event.attributes),
                droppedAttributesCount=event.dropped_attributes_count,
            )
            for event in span.events
        ],
        droppedEventsCount=span.dropped_events_count,
        links=[
            _filled(
                traceId=link.trace_id.hex(),
                spanId=link.span_id.hex(),
                traceState=link.trace_state,
                attributes=_attributes(link.attributes),
                droppedAttributesCount=link.dropped_attributes_count,
                flags=link.flags,
            )
            for link in span.links
        ],
        droppedLinksCount=span.dropped_links_count,
        status=_filled(code=span.status.code, message=span.status.message),
    )


def _filled(**fields: Any) -> Json:
    """Return the fields that are not empty, because protobuf's own JSON omits default values too."""
    return {name: value for name, value in fields.items() if value}


def _attributes(attributes: Iterable[Any]) -> msgspec.Raw | None:
    """Return attributes as JSON: there are dozens in a span, and an object for each would take twice the time."""
    texts: list[str] = []
    for attribute in attributes:
        key = attribute.key
        texts.append(f"{_KEYS.get(key) or _key(key)}{_value(attribute.value)}}}")
    return msgspec.Raw(f"[{','.join(texts)}]".encode()) if texts else None


_KEYS: Final[dict[str, str]] = {}
"""What an attribute begins with, by its name: there are few names."""
_MAX_KEYS: Final = 1_000


def _key(key: str) -> str:
    if len(_KEYS) >= _MAX_KEYS:
        _KEYS.clear()
    text = _KEYS[key] = f'{{"key":{_quoted(key)},"value":'
    return text


def _value(value: Any) -> str:
    kind = value.WhichOneof("value")
    return "{}" if kind is None else _VALUES[kind](getattr(value, kind))


def _double(value: float) -> str:
    if math.isfinite(value):
        return f'{{"doubleValue":{value!r}}}'
    return f'{{"doubleValue":"{"NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}"}}'


def _map(value: Any) -> str:
    found = _attributes(value.values)
    return f'{{"kvlistValue":{{"values":{"[]" if found is None else bytes(found).decode()}}}}}'


_VALUES: Final[Mapping[str, Callable[[Any], str]]] = {
    "string_value": lambda value: f'{{"stringValue":{_quoted(value)}}}',
    "double_value": _double,
    "int_value": lambda value: f'{{"intValue":"{value}"}}',
    "bool_value": lambda value: f'{{"boolValue":{"true" if value else "false"}}}',
    "array_value": lambda value: f'{{"arrayValue":{{"values":[{",".join(map(_value, value.values))}]}}}}',
    "kvlist_value": _map,
    "bytes_value": lambda value: f'{{"bytesValue":"{base64.b64encode(value).decode()}"}}',
}
