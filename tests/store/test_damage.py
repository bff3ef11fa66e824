"""One damaged part costs that part: every other field of the record is unchanged, and a warning has its place."""

import json
import math
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.full_records import full_record, ordinary_record
from support.spans import family_of, span_of

from groqscope import semconv
from groqscope.store import ReadReport, decode_traces
from groqscope.store.exporters import encode_span_line
from groqscope.timeline import RequestRecord

_RECORD = replace(full_record(), service="shop")


def _document(record: RequestRecord = _RECORD) -> Any:
    return json.loads(_line(record))


@cache
def _line(record: RequestRecord) -> bytes:
    line = encode_span_line(family_of(record))
    assert line is not None
    return line


def _span(document: Any) -> Any:
    return document["resourceSpans"][0]["scopeSpans"][0]["spans"][-1]


def _read(document: Any) -> tuple[list[RequestRecord], list[str]]:
    report = ReadReport()
    return decode_traces(json.dumps(document).encode(), report=report), [w.reason for w in report.warnings]


_DAMAGE = st.sampled_from(
    ["[REDACTED]", "", 99.5, -1, 10**30, True, None, [], {}, {"x": 1}, ["a", 1], float("nan"), float("inf"), 1e300]
)
_FIELDS = {a.name: a.field for a in semconv.FIELDS}


def _as_text(damage: Any) -> str | None:
    """What a text reads as that was replaced by this: a text is one, and so are the numbers that no JSON has."""
    if isinstance(damage, float) and not math.isfinite(damage):
        return json.dumps(damage)
    return damage if isinstance(damage, str) else None


def _without(record: RequestRecord, path: str) -> RequestRecord:
    """Make the record without one field."""
    group, _, name = path.rpartition(".")
    owner = type(getattr(record, group)) if group else RequestRecord
    missing = None if path == "outcome" else {f.name: f.default for f in fields(owner)}[name]
    if path == "timeline_us":
        return replace(record, timeline_us=(), timeline_stride=1)
    if not group:
        return replace(record, **{name: missing})
    return replace(record, **{group: replace(getattr(record, group), **{name: missing})})


def test_a_version_that_is_not_known() -> None:
    """A record of a later version is read by the names of the conventions alone, with a warning."""
    document = _document()
    (version,) = (a for a in _span(document)["attributes"] if a["key"] == semconv.RECORD)
    version["value"] = {"intValue": "99"}
    (record,), warnings = _read(document)

    assert record.phases != _RECORD.phases
    assert (record.span_id, record.model, len(warnings)) == (_RECORD.span_id, _RECORD.model, 1)


@pytest.mark.parametrize("bare", [False, True])
@given(data=st.data())
def test_any_attribute_may_be_damaged(data: st.DataObject, *, bare: bool) -> None:
    """Whatever stands in the place of an attribute's value, its field is missing or is what stands there; no other."""
    document = _document()
    attribute = data.draw(st.sampled_from(_span(document)["attributes"]))
    damage = data.draw(_DAMAGE)
    if bare:
        attribute["value"] = damage
    else:
        attribute["value"] = {next(iter(attribute["value"])): damage}
    (record,), warnings = _read(document)

    if attribute["key"] == semconv.RECORD and record.phases != _RECORD.phases:
        # What reads as a later version is read by the names of the conventions alone, and says so.
        assert (record.span_id, record.model, len(warnings)) == (_RECORD.span_id, _RECORD.model, 1)
        return
    if attribute["key"].startswith(semconv.TAG_PREFIX):
        name = attribute["key"].removeprefix(semconv.TAG_PREFIX)
        others = tuple(tag for tag in _RECORD.tags if tag[0] != name)
        assert replace(record, tags=others) == replace(_RECORD, tags=others)
        assert dict(record.tags).get(name) == _as_text(damage)
        return
    path = _FIELDS.get(attribute["key"], "usage_models" if "breakdown" in attribute["key"] else None)
    expected = _RECORD if path is None else _without(_RECORD, path)
    found = record if path is None else _without(record, path)
    if path == "chunks":  # by which it is known whether the timeline is whole
        expected, found = _without(expected, "timeline_us"), _without(found, "timeline_us")
    assert found == expected
    assert len(warnings) <= (2 if path == "chunks" else 1)
    assert all(
        attribute["key"] in w or "usage_breakdown" in w or "attributes[" in w or semconv.TIMELINE in w for w in warnings
    )
    if damage == "[REDACTED]" and path is not None and record == expected:
        assert len(warnings) == 1


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key), node, key
        yield from _places(value, (*path, key))


@given(data=st.data())
def test_no_damage_loses_the_request(data: st.DataObject) -> None:
    """Whatever replaces a part inside the span, one request is read."""
    document = _document()
    span = _span(document)
    _, node, key = data.draw(st.sampled_from(list(_places(span))))
    if key == "attributes" and node is span:
        return  # with all of its attributes gone it is nobody's
    node[key] = damage = data.draw(_DAMAGE)
    found, warnings = _read(document)

    assert len(found) == 1
    # Each entry of a list may be damaged, and what they belong to may be nothing without them.
    assert len(warnings) <= max(1, len(damage) if isinstance(damage, list) else 1) + 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("startTimeUnixNano", "x"), ("endTimeUnixNano", {}), ("startTimeUnixNano", "9"), ("endTimeUnixNano", "5")],
)
def test_a_time_that_is_damaged(key: str, value: object) -> None:
    """The length is then that of the phases, which add up to it, and start or end follow from the other one."""
    document = _document()
    _span(document)[key] = value
    (record,), warnings = _read(document)

    length = _RECORD.phases.total()
    assert record.duration_ns == length
    assert replace(record, start_unix_ns=0, duration_ns=0) == replace(_RECORD, start_unix_ns=0, duration_ns=0)
    assert len(warnings) == 1 + isinstance(value, dict)


def test_ids_that_are_damaged_are_absent() -> None:
    """A request without an id is a request all the same."""
    document = _document()
    _span(document).update(traceId="[REDACTED]", spanId="0" * 16)
    (record,), warnings = _read(document)

    assert record == replace(_RECORD, trace_id=None, span_id=None)
    assert [w.split(": ")[1] for w in warnings] == ["trace id", "span id"]


@pytest.mark.parametrize("mark", [None, "[REDACTED]", 0, -1])
def test_without_its_mark(mark: object) -> None:
    """A record that lost `groqscope.record` is known by our other names; one warning says so."""
    document = _document()
    attributes = _span(document)["attributes"]
    at = next(n for n, a in enumerate(attributes) if a["key"] == semconv.RECORD)
    if mark is None:
        del attributes[at]
    else:
        attributes[at]["value"] = {"stringValue": mark} if isinstance(mark, str) else {"doubleValue": mark}
    found, warnings = _read(document)

    assert found == [_RECORD]
    (warning,) = warnings
    assert f"groqscope.record is {'missing' if mark is None else 'damaged'}" in warning


@pytest.mark.parametrize("kept", [64, 32, 16, 8])
def test_only_some_attributes_are_left(kept: int) -> None:
    """Under a limit the SDK drops the oldest attributes; the rest is still a request with what is left."""
    document = _document(ordinary_record())
    span = _span(document)
    span["attributes"] = span["attributes"][-kept:]
    (record,), _ = _read(document)

    assert record.phases == ordinary_record().phases or kept < 32
    assert record.duration_ns == ordinary_record().duration_ns


@pytest.mark.parametrize("length", [0, 1, 2, 5, 32, 64])
def test_a_limit_of_ones_own_is_no_damage(length: int) -> None:
    """A text that a limit cut, and an event that a limit took an attribute from, are said; no more."""
    document = _document(full_record())
    span = _span(document)
    timeline = next(a for a in span["attributes"] if a["key"] == semconv.TIMELINE)["value"]
    timeline["stringValue"] = timeline["stringValue"][:length]
    call = next(e for e in span["events"] if e["name"] == "groqscope.tool_call")
    call["attributes"] = call["attributes"][-2:]
    report = ReadReport()
    (record,) = decode_traces(json.dumps(document).encode(), report=report)

    assert record.timeline_us in {(), full_record().timeline_us}
    assert record.tool_calls_dropped == full_record().tool_calls_dropped + 1
    assert [w.damage for w in report.warnings] in ([False], [False, False])
    assert not report.damaged


def test_a_text_that_was_replaced_is_damage() -> None:
    """What a processor put in a text's place is no beginning of it."""
    document = _document(full_record())
    timeline = next(a for a in _span(document)["attributes"] if a["key"] == semconv.TIMELINE)["value"]
    timeline["stringValue"] = "[REDACTED]"
    report = ReadReport()
    decode_traces(json.dumps(document).encode(), report=report)

    assert report.damaged


def test_by_the_conventions_alone() -> None:
    """With none of our names left, the request is what the GenAI conventions say of it."""
    document = _document(ordinary_record())
    span = _span(document)
    span["attributes"] = [a for a in span["attributes"] if not a["key"].startswith("groqscope.")] + [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.provider.name", "value": {"stringValue": "groq"}},
    ]
    (record,), warnings = _read(document)

    assert (record.model, record.usage.output_tokens) == (ordinary_record().model, 359)
    assert warnings == []


def test_a_record_of_a_newer_version() -> None:
    """What a newer groqscope wrote is read as far as the conventions go, and one warning says so."""
    document = _document(ordinary_record())
    attributes = _span(document)["attributes"]
    next(a for a in attributes if a["key"] == semconv.RECORD)["value"] = {"intValue": "99"}
    (record,), (warning,) = _read(document)

    assert record.usage.input_tokens == ordinary_record().usage.input_tokens
    assert record.ttft_ns is None
    assert "this version reads up to 1" in warning


@pytest.mark.parametrize("text", [b"caf\xc3", b"\\ud83d", b"a\tb"])
def test_texts_that_are_none(text: bytes) -> None:
    """A text cut inside a character, half a surrogate pair or a control character costs that text at most."""
    line = encode_span_line([span_of(replace(ordinary_record(), region="HERE"))])
    assert line is not None
    report = ReadReport()
    (record,) = decode_traces(line.replace(b"HERE", text), report=report)

    assert record.region is not None
    assert "were replaced" in str(report.warnings[0])
    assert replace(record, region=None) == replace(ordinary_record(), region=None)


def test_numbers_that_json_has_not() -> None:
    """`NaN` and `Infinity`, as some writers put them, cost their field."""
    document = json.dumps(_document()).replace('{"doubleValue": 0.00017}', '{"doubleValue": NaN}')
    report = ReadReport()
    (record,) = decode_traces(document.encode(), report=report)

    assert record == replace(_RECORD, cost=None)
    assert "operation.cost" in str(report.warnings[0])
