"""Spans that are just as groqscope writes them are read in C: the same records as by the tolerant way, or none."""

import json
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.full_records import busy_record, full_record, ordinary_record
from support.records import records
from support.spans import span_of

from groqscope import semconv
from groqscope.store import ReadReport
from groqscope.store.canonical import CanonicalReader
from groqscope.store.decoding import RecordDecoder
from groqscope.store.exporters import encode_span_line
from groqscope.timeline import RequestRecord

_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["NaN", "Infinity", "-1", "1.5", "0", "01", " 1", "true", "null", "chat", "completed", "4;1,2", "4;"]
    ),
    st.lists(st.sampled_from([{"stringValue": "a"}, {"intValue": "1"}, {}, 1]), max_size=2).map(
        lambda v: {"values": v}
    ),
)
_KINDS = st.sampled_from(
    ["stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "bytesValue", "kvlistValue"]
)
_ANY_VALUE = st.one_of(st.dictionaries(_KINDS, _VALUES, max_size=2), _VALUES)
_KEYS = st.sampled_from(
    [a.name for a in (*semconv.FIELDS, *semconv.DERIVED, *semconv.USAGE_BREAKDOWN)]
) | st.sampled_from(
    ["groqscope.tag.team", "groqscope.unknown", "logfire.msg", "groqscope.ttft~~~~~~~~~~~~doubleValue", 'a"},{"key":"b']
)
_ATTRIBUTE = st.fixed_dictionaries({"key": _KEYS | _VALUES}, optional={"value": _ANY_VALUE, "more": _VALUES})


def _written(record: RequestRecord) -> Any:
    line = encode_span_line([span_of(replace(record, trace_id="1" * 32, span_id="2" * 16))])
    assert line is not None
    return json.loads(line)


def _span(document: Any) -> Any:
    return document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]


def _as_written(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _compare(document: bytes, *, timelines: bool = True) -> bool:
    """Read a document in both ways, compare, and return whether every record was read in C."""
    fast: list[RequestRecord | None] = []
    read = CanonicalReader.record_of

    def watched(self: CanonicalReader, *given: Any, **more: Any) -> RequestRecord | None:
        fast.append(read(self, *given, **more))
        return fast[-1]

    def decode() -> tuple[list[str], list[str]]:
        report = ReadReport()
        found = RecordDecoder(report, timelines=timelines).decode(document, "x", 1)
        # Text, since 1, 1.0 and True are equal.
        return [_text(record) for record in found], [warning.reason for warning in report.warnings]

    with patch.object(CanonicalReader, "record_of", watched):
        found, warnings = decode()
    with patch.object(CanonicalReader, "record_of", return_value=None):
        assert (found, warnings) == decode()
    return bool(fast) and None not in fast


def _text(record: RequestRecord) -> str:
    return repr({name: getattr(record, name) for name in RequestRecord.__slots__})


@given(record=records, compound=st.booleans(), timelines=st.booleans())
def test_any_record(record: RequestRecord, *, compound: bool, timelines: bool) -> None:
    """Each field of each record, but for the models of compound systems, which the tolerant way reads."""
    record = record if compound else replace(record, usage_models=())
    assert _compare(_as_written(_written(record)), timelines=timelines) == (
        record.outcome is not None and not record.usage_models
    )


@pytest.mark.parametrize("record", [full_record(), busy_record(), ordinary_record()])
def test_attributes_of_others(record: RequestRecord) -> None:
    """What processors add, anywhere, costs nothing but itself."""
    document = _written(replace(record, usage_models=()))
    assert _compare(_as_written(document))
    _span(document)["attributes"].insert(3, {"key": "deployment.id", "value": {"kvlistValue": {"values": []}}})
    _span(document)["attributes"].append({"key": "logfire.msg", "value": {"stringValue": '"}},{"key":"'}})
    _span(document)["events"].append({"name": "mine", "attributes": [{"key": "a", "value": {"intValue": "1"}}]})
    assert _compare(_as_written(document))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (semconv.RECORD, None),
        (semconv.RECORD, {"intValue": "2"}),
        (semconv.OUTCOME, None),
        (semconv.OUTCOME, {"stringValue": "lost"}),
        (semconv.REQUEST_MODEL, {"intValue": "1"}),
        ("gen_ai.usage.input_tokens", {"intValue": "-1"}),
        ("gen_ai.usage.input_tokens", {"intValue": str(2**63)}),
        ("gen_ai.usage.input_tokens", {"doubleValue": 1.5}),
        (semconv.TTFT, {"doubleValue": -1}),
        (semconv.TTFT, {"doubleValue": "NaN"}),
        (semconv.TTFT, {"doubleValue": 1e300}),
        (semconv.TTFT, {"intValue": "1"}),
        (semconv.TIMELINE, {"stringValue": "4; 1"}),
        (semconv.TIMELINE, {"stringValue": "0;1"}),
        (semconv.TIMELINE, {"stringValue": "1;1"}),
        (semconv.TAG_PREFIX + "team", {"intValue": "1"}),
        (semconv.USAGE_BREAKDOWN[0].name, {"arrayValue": {"values": []}}),
        ("deployment.id", {"intValue": "x"}),
    ],
)
def test_what_the_tolerant_way_reads(name: str, value: object) -> None:
    """Each reason for which a span is not read in C."""
    document = _written(replace(full_record(), usage_models=()))
    attributes = [one for one in _span(document)["attributes"] if one["key"] != name]
    _span(document)["attributes"] = attributes if value is None else [{"key": name, "value": value}, *attributes]
    assert not _compare(_as_written(document))


@given(data=st.data(), timelines=st.booleans())
def test_whatever_is_damaged(data: st.DataObject, *, timelines: bool) -> None:
    """Attributes with other values, of other kinds, twice, missing or of nobody: the same record, without a warning."""
    document = _written(data.draw(st.sampled_from([full_record(), busy_record(), ordinary_record()])))
    span = _span(document)
    place = data.draw(st.sampled_from([span, *span["events"]])).setdefault("attributes", [])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(place)))
        if at < len(place) and data.draw(st.booleans()):
            attribute = place.pop(at)
            if data.draw(st.booleans()):
                place.insert(at, {"key": attribute["key"], "value": data.draw(_ANY_VALUE)})
        else:
            place.insert(at, data.draw(_ATTRIBUTE))
    if data.draw(st.booleans()) and span["events"]:
        event = data.draw(st.sampled_from(span["events"]))
        event[data.draw(st.sampled_from(["name", "timeUnixNano", "attributes"]))] = data.draw(_VALUES)
    _compare(_as_written(document), timelines=timelines)


@given(data=st.data())
def test_bytes_that_were_lost_or_changed(data: st.DataObject) -> None:
    """Any part of the line left out, repeated or overwritten."""
    line = _as_written(_written(data.draw(st.sampled_from([full_record(), ordinary_record()]))))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(line))] * 2)))
    instead = data.draw(
        st.sampled_from([b"", line[first:last] * 2, b" ", b'"', b"}", b"\xff", b"\\", b"~", b'}},{"key":"'])
    )
    _compare(line[:first] + instead + line[last:])
