"""Converts stored lines of OTLP JSON to the protobuf that endpoints accept."""

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

Signal = Literal["traces", "metrics", "logs"]
Json = Mapping[str, Any]

_TOP_LEVEL: Final[Mapping[str, Signal]] = {
    "resourceSpans": "traces",
    "resourceMetrics": "metrics",
    "resourceLogs": "logs",
}
_MESSAGES: Final[Mapping[Signal, type[Any]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})
_decode_keys: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def signal_of(line: bytes) -> Signal | None:
    """Return the signal that a line contains; `None` when it is not OTLP.

    Raises:
        ValueError: it is not JSON.
    """
    return next((_TOP_LEVEL[key] for key in _decode_keys(line) if key in _TOP_LEVEL), None)


def key_of(signal: Signal) -> str:
    """Return the top-level key of a line of that signal."""
    return next(key for key, name in _TOP_LEVEL.items() if name == signal)


def to_protobuf(line: bytes, signal: Signal) -> bytes:
    """Return a line as an export request in protobuf.

    Raises:
        ValueError: it is not OTLP JSON of that signal.
    """
    data = msgspec.json.decode(line)
    try:
        if signal == "traces":
            return _traces(data).SerializeToString()
        message = json_format.ParseDict(with_ids(data, base64_of_hex), _MESSAGES[signal](), ignore_unknown_fields=True)
    except (TypeError, KeyError, AttributeError, json_format.ParseError) as error:
        raise ValueError(f"not OTLP JSON: {error}") from error
    return message.SerializeToString()


def _traces(data: Json) -> ExportTraceServiceRequest:
    # By hand, because `json_format` takes six times as long, and an outage leaves many spans.
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=_attributes(resource_spans.get("resource"))),
                scope_spans=[_scope_spans(s) for s in resource_spans.get("scopeSpans") or ()],
                schema_url=resource_spans.get("schemaUrl", ""),
            )
            for resource_spans in data.get("resourceSpans") or ()
        ]
    )


def _scope_spans(data: Json) -> ScopeSpans:
    scope = data.get("scope") or {}
    return ScopeSpans(
        scope=InstrumentationScope(
            name=scope.get("name", ""), version=scope.get("version", ""), attributes=_attributes(scope)
        ),
        spans=[_span(span) for span in data.get("spans") or ()],
        schema_url=data.get("schemaUrl", ""),
    )


def _span(data: Json) -> Span:
    status = data.get("status") or {}
    return Span(
        trace_id=_id(data, "traceId"),
        span_id=_id(data, "spanId"),
        parent_span_id=_id(data, "parentSpanId"),
        trace_state=data.get("traceState", ""),
        flags=data.get("flags", 0),
        name=data.get("name", ""),
        kind=data.get("kind", 0),
        start_time_unix_nano=int(data.get("startTimeUnixNano", 0)),
        end_time_unix_nano=int(data.get("endTimeUnixNano", 0)),
        attributes=_attributes(data),
        dropped_attributes_count=data.get("droppedAttributesCount", 0),
        events=[
            Span.Event(
                name=event.get("name", ""),
                time_unix_nano=int(event.get("timeUnixNano", 0)),
                attributes=_attributes(event),
                dropped_attributes_count=event.get("droppedAttributesCount", 0),
            )
            for event in data.get("events") or ()
        ],
        dropped_events_count=data.get("droppedEventsCount", 0),
        links=[
            Span.Link(
                trace_id=_id(link, "traceId"),
                span_id=_id(link, "spanId"),
                trace_state=link.get("traceState", ""),
                attributes=_attributes(link),
                dropped_attributes_count=link.get("droppedAttributesCount", 0),
                flags=link.get("flags", 0),
            )
            for link in data.get("links") or ()
        ],
        dropped_links_count=data.get("droppedLinksCount", 0),
        status=Status(code=status.get("code", 0), message=status.get("message", "")),
    )


def _attributes(data: Json | None) -> list[KeyValue]:
    return _key_values((data or {}).get("attributes"))


def _key_values(data: Iterable[Json] | None) -> list[KeyValue]:
    return [KeyValue(key=a["key"], value=_value(a.get("value") or {})) for a in data or ()]


def _value(data: Json) -> AnyValue:
    for kind, value in data.items():
        make = _VALUES.get(kind)
        if make is not None:
            return make(value)
    return AnyValue()


_VALUES: Final[Mapping[str, Callable[[Any], AnyValue]]] = {
    "stringValue": lambda value: AnyValue(string_value=value),
    "doubleValue": lambda value: AnyValue(double_value=float(value)),
    "intValue": lambda value: AnyValue(int_value=int(value)),
    "boolValue": lambda value: AnyValue(bool_value=value),
    "arrayValue": lambda value: AnyValue(array_value=ArrayValue(values=[_value(v) for v in value.get("values") or ()])),
    "kvlistValue": lambda value: AnyValue(kvlist_value=KeyValueList(values=_key_values(value.get("values")))),
    "bytesValue": lambda value: AnyValue(bytes_value=base64.b64decode(value)),
}


def _id(data: Json, key: str) -> bytes:
    return bytes.fromhex(data.get(key) or "")


def with_ids(node: Any, recoded: Callable[[str], str]) -> Any:
    """Return JSON with its IDs in another form: in base64, as protobuf's JSON has them, or in hex, as OTLP JSON has."""
    if isinstance(node, dict):
        return {
            key: recoded(value) if key in _IDS and isinstance(value, str) else with_ids(value, recoded)
            for key, value in node.items()
        }
    return [with_ids(value, recoded) for value in node] if isinstance(node, list) else node


def base64_of_hex(value: str) -> str:
    """Return an ID in base64."""
    return base64.b64encode(bytes.fromhex(value)).decode()


def hex_of_base64(value: str) -> str:
    """Return an ID in hexadecimal."""
    return base64.b64decode(value).hex()
