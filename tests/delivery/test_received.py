"""What is received in protobuf is stored as protobuf's own JSON, with IDs in hexadecimal."""

import json
from typing import Any

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from groqscope.delivery import line_of_protobuf

texts = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
plain = st.one_of(
    st.just(AnyValue()),
    texts.map(lambda value: AnyValue(string_value=value)),
    st.booleans().map(lambda value: AnyValue(bool_value=value)),
    st.integers(-(2**63), 2**63 - 1).map(lambda value: AnyValue(int_value=value)),
    st.floats().map(lambda value: AnyValue(double_value=value)),
    st.binary(max_size=5).map(lambda value: AnyValue(bytes_value=value)),
)


def attributes(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[list[KeyValue]]:
    return st.lists(st.builds(lambda key, value: KeyValue(key=key, value=value), names, values), max_size=3)


values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: AnyValue(array_value=ArrayValue(values=found))),
        attributes(inner).map(lambda found: AnyValue(kvlist_value=KeyValueList(values=found))),
    ),
    max_leaves=6,
)


def filled(node: Any) -> Any:
    """Return JSON without empty lists, which mean the same as none."""
    if isinstance(node, dict):
        return {name: filled(value) for name, value in node.items() if value != []}
    return [filled(value) for value in node] if isinstance(node, list) else node


@given(attributes(values), attributes(values))
def test_attributes_of_every_kind(own: list[KeyValue], event: list[KeyValue]) -> None:
    """Whatever a value is, and whatever characters a name has."""
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add(name="span")
    span.attributes.extend(own)
    span.events.add(name="event", time_unix_nano=7).attributes.extend(event)
    line = line_of_protobuf(message.SerializeToString(), "traces")
    expected = json_format.MessageToDict(message)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    found = json.loads(line or b"")["resourceSpans"][0]["scopeSpans"][0]["spans"][0]

    assert filled(found["events"]) == filled(expected["events"])
    assert filled(found.get("attributes", [])) == filled(expected.get("attributes", []))
