"""Brings OTLP JSON of any form that the audit reads into the form that the specification describes.

Only what is damaged is lost. Protobuf's own JSON parser does most of it: it accepts enums by name, and numbers as
strings.
"""

import base64
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec
from google.protobuf import json_format
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from groqscope.codec import Warn
from groqscope.delivery.transcode import Signal, hex_of_base64, signal_of, with_ids
from groqscope.store import lenient, otlp
from groqscope.store.documents import split
from groqscope.store.messages import Span as SpanRead

_IDS: Final = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_OLD_NAME: Final = b'"instrumentationLibrarySpans"'
_SCOPES: Final = ("scope", "instrumentationLibrary")
_to_dict: Final = partial(json_format.MessageToDict, use_integers_for_enums=True)


def is_canonical(line: bytes) -> bool:
    """Return whether a line of traces is in the specified form, as far as its spans go."""
    try:
        spans = otlp.canonical_spans(line)
    except msgspec.DecodeError:
        return False
    return spans is not None and all(_is_canonical(span) for span, _ in spans) and _OLD_NAME not in line


def canonical_form(document: bytes, warn: Warn) -> Iterator[tuple[Signal, bytes]]:
    """Yield a document as lines of OTLP JSON, each with its signal.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        msgspec.json.decode(document, type=msgspec.Raw)
        document.decode()
        found = [document]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found, reasons = split(document)
        if not found:
            raise
        for reason in reasons:
            warn(reason)
    for one in found:
        yield from _lines(one, warn)


def _lines(document: bytes, warn: Warn) -> Iterator[tuple[Signal, bytes]]:
    document = lenient.camel_case(document)
    if document.lstrip()[:1] == b"[":
        parts = msgspec.json.decode(document, type=list[msgspec.Raw])
        if all(bytes(part)[:1] in {b"[", b"{"} for part in parts):
            for part in parts:
                yield from _lines(bytes(part), warn)
            return
    signal = None if document.lstrip()[:1] != b"{" else signal_of(document)
    if signal is not None and signal != "traces":
        yield signal, document
        return
    entries = [_resource_spans(entry, warn) for entry in lenient.resource_spans(document, warn)]
    if entries:
        yield "traces", msgspec.json.encode({"resourceSpans": with_ids(list(map(_to_dict, entries)), hex_of_base64)})


def _is_canonical(span: SpanRead) -> bool:
    return (
        len(span.trace_id or "") == _IDS["traceId"]
        and len(span.span_id or "") == _IDS["spanId"]
        and not isinstance(span.kind, str)
        and (span.status is None or not isinstance(span.status.code, str))
    )


def _resource_spans(entry: tuple[str, msgspec.Raw], warn: Warn) -> ResourceSpans:
    place, raw = entry
    data: Any = msgspec.json.decode(raw)
    made = ResourceSpans()
    if not isinstance(data, dict):
        warn(f"{place} is not an object; omitted")
        return made
    _parse(data.get("resource"), made.resource, f"{place}.resource", warn)
    made.schema_url = _text(data.get("schemaUrl"))
    scopes = next((data[key] for key in lenient.SCOPE_SPANS if data.get(key)), None)
    for number, scope_spans in enumerate(scopes if isinstance(scopes, list) else ()):
        if scope_spans is not None:
            made.scope_spans.append(_scope_spans(scope_spans, f"{place}.scopeSpans[{number}]", warn))
    return made


def _scope_spans(data: Any, place: str, warn: Warn) -> ScopeSpans:
    if not isinstance(data, dict):
        warn(f"{place} is not an object; omitted")
        return ScopeSpans()
    made = ScopeSpans(schema_url=_text(data.get("schemaUrl")))
    _parse(next((data[key] for key in _SCOPES if data.get(key)), None), made.scope, f"{place}.scope", warn)
    spans = data.get("spans")
    for number, span in enumerate(spans if isinstance(spans, list) else ()):
        at = f"{place}.spans[{number}]"
        parsed = Span()
        if span and _parse(_with_base64(span), parsed, at, warn):
            made.spans.append(parsed)
    return made


def _parse(data: Any, message: Any, place: str, warn: Warn) -> bool:
    """Parse an object into a message; what is damaged in it is omitted. Return whether the message is worth sending."""
    if not isinstance(data, dict):
        if data is not None:
            warn(f"{place} is not an object; omitted")
        return False
    for key, value in data.items():
        if _merges({key: value}, message):
            continue
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            if not _merges({key: [_without_damage(one)] if isinstance(value, list) else one}, message):
                warn(f"{place}.{key}{f'[{number}]' if isinstance(value, list) else ''} is unreadable; omitted")
    return not isinstance(message, Span) or bool(message.trace_id and message.span_id)


def _without_damage(entry: Any) -> Any:
    """Return an event or a link without its damaged attributes."""
    if not isinstance(entry, dict) or not isinstance(entry.get("attributes"), list):
        return entry
    return {**entry, "attributes": [a for a in entry["attributes"] if _parses(a, KeyValue())]}


def _merges(data: Any, message: Any) -> bool:
    part = type(message)()  # a repeated field of a message would be replaced by parsing into it
    parses = _parses(data, part)
    if parses:
        message.MergeFrom(part)
    return parses


def _parses(data: Any, message: Any) -> bool:
    try:
        json_format.ParseDict(data, message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return False
    return True


def _with_base64(span: Any) -> Any:
    """Return a span, with its links, with ids as protobuf's JSON has them; OTLP JSON has hex digits."""
    if not isinstance(span, dict):
        return span
    ids = {key: _id(span[key], digits) for key, digits in _IDS.items() if key in span}
    links = span.get("links")
    return {**span, **ids, **({"links": list(map(_with_base64, links))} if isinstance(links, list) else {})}


def _id(value: Any, digits: int) -> str:
    try:
        return base64.b64encode(bytes.fromhex(otlp.hex_id(value, digits) or "")).decode()
    except (ValueError, TypeError):
        return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
