"""A record survives its way through a span's attributes and events."""

import json
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.full_records import busy_record, full_record, ordinary_record
from support.records import records

from groqscope import semconv
from groqscope.codec import Attributes, EventData, NotARecord, decode, encode
from groqscope.timeline import ModelUsage, RequestRecord, UsageDelta

# What the span tells by itself, and what travels in a form of its own.
_OF_THE_SPAN = {"trace_id", "span_id", "nested", "service", "start_unix_ns", "duration_ns"}
_IN_EVENTS = {e.field for e in semconv.EVENTS if e.field}
_PACKED = {"timeline_stride"}  # stands in `groqscope.stream.timeline`, with `timeline_us`
_IN_ARRAYS = {"usage_models"}  # semconv.USAGE_BREAKDOWN


def _decoded(record: RequestRecord, attributes: Attributes, events: list[EventData]) -> RequestRecord:
    return decode(
        attributes,
        [(name, given) for name, _, given in events],
        start_unix_ns=record.start_unix_ns,
        duration_ns=record.duration_ns,
        trace_id=record.trace_id,
        span_id=record.span_id,
        nested=record.nested,
        service=record.service,
    )


def _through(value: Any) -> Any:
    """What another writer may make of a number: 1.0 becomes 1, and 1 becomes 1.0."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, (list, tuple)):
        return [_through(v) for v in value]
    return float(value) if isinstance(value, int) else int(value) if value == int(value) else value


def _paths(record: type, prefix: str = "") -> set[str]:
    """Dotted paths of a record's fields; nested records are walked, tuples of records are one field."""
    found: set[str] = set()
    hints = get_type_hints(record)
    for f in fields(record):
        if is_dataclass(hints[f.name]):
            found |= _paths(hints[f.name], f"{prefix}{f.name}.")
        else:
            found.add(prefix + f.name)
    return found


@given(record=records)
def test_decode_reverses_encode(record: RequestRecord) -> None:
    """Reading back what was written, directly or by way of JSON, gives the same record, whatever its fields hold."""
    attributes, events = encode(record)

    assert _decoded(record, attributes, events) == record
    assert _decoded(record, *json.loads(json.dumps([attributes, events]))) == record


@given(record=records)
def test_numbers_may_change_type_on_the_way(record: RequestRecord) -> None:
    """Integers that come back as doubles, and whole doubles as integers, are of their field's type again (1 == 1.0)."""
    attributes, events = encode(record)
    events = [(n, t, {k: _through(v) for k, v in a.items()}) for n, t, a in events]
    found = _decoded(record, {k: _through(v) for k, v in attributes.items()}, events)

    assert found == record
    assert str(asdict(found)) == str(asdict(record))


def test_every_field_has_a_name() -> None:
    """Each field of a record has one attribute, or stands among the stated exceptions; and no name lacks its field."""
    named = [a.field for a in semconv.FIELDS]

    assert len(named) == len(set(named))
    assert _paths(RequestRecord) - _OF_THE_SPAN - _IN_EVENTS - _IN_ARRAYS - _PACKED == set(named)


def test_every_field_of_an_entry_has_a_name() -> None:
    """The same for the records inside tuples, which travel as events or as parallel arrays."""
    hints = get_type_hints(RequestRecord)
    for event in semconv.EVENTS:
        if event.field:
            entry = get_args(hints[event.field])[0]

            assert _paths(entry) == {a.field for a in event.attributes}, event.name

    assert _paths(ModelUsage) == {a.field for a in semconv.USAGE_BREAKDOWN}


def test_names_are_unique() -> None:
    """No two attributes of a span, nor of one event, share a name."""
    for names in (
        [a.name for a in (*semconv.FIELDS, *semconv.USAGE_BREAKDOWN, *semconv.DERIVED)],
        *([a.name for a in e.attributes] for e in semconv.EVENTS),
    ):
        assert sorted(set(names)) == sorted(names)


def test_a_request_has_about_60_attributes() -> None:
    """An ordinary streamed request has about 60 attributes; retries, a new connection and reasoning add a few."""
    assert len(encode(ordinary_record())[0]) <= 65
    assert len(encode(busy_record())[0]) <= 72


def test_fullest_record_fits() -> None:
    """Every field set at once stays below the SDK's limit of 128 attributes, and each below Tempo's of 2,048 bytes."""
    attributes, events = encode(full_record())

    assert len(attributes) <= 100
    for name, value in [*attributes.items(), *(kv for _, _, a in events for kv in a.items())]:
        assert len(json.dumps(value, ensure_ascii=False).encode()) <= 2_048, name


def test_absent_is_not_zero() -> None:
    """What is not known is not written, and 0 is."""
    bare = RequestRecord(start_unix_ns=1, duration_ns=1)
    attributes, events = encode(replace(bare, usage=replace(bare.usage, output_tokens=0), ttft_ns=0, cost=0.0))

    assert attributes == {
        "groqscope.record": 1,
        "gen_ai.provider.name": "groq",
        "gen_ai.system": "groq",
        "gen_ai.operation.name": "chat",
        "groqscope.operation": "chat",
        "groqscope.stream.outcome": "completed",
        "gen_ai.usage.output_tokens": 0,
        "operation.cost": 0.0,
        "groqscope.ttft": 0.0,
        "groqscope.attempts": 0,
    }
    assert events == []


def test_derived_attributes() -> None:
    """Other readers get what follows from the record: attempts, time per token, throughput, executed tools."""
    attributes, events = encode(full_record())

    assert attributes["groqscope.attempts"] == 17
    assert attributes["groqscope.tpot"] == pytest.approx(0.6402 / 359)
    assert attributes["groqscope.output_token_throughput"] == pytest.approx(359 / 0.6402)
    assert attributes["groq.executed_tools.count"] == 16
    assert ("groqscope.first_chunk", 140_000_000, {}) in events


def test_events_stand_at_their_time() -> None:
    """An event's offset is the moment it tells of; without one, the end of the request."""
    record = replace(
        full_record(),
        usage_deltas=(UsageDelta(chunk_index=4, time_ns=77, usage=full_record().usage),),
        tool_calls=(replace(full_record().tool_calls[0], first_delta_ns=None, delta_ns=None, assembly_ns=None),),
    )
    offsets = {(name, at) for name, at, _ in encode(record)[1]}

    assert ("groqscope.usage_delta", 77) in offsets
    assert ("groqscope.tool_call", record.duration_ns) in offsets


def test_unknown_attributes_are_passed_over() -> None:
    """Attributes and events of others on the same span do not disturb the record."""
    record = full_record()
    attributes, events = encode(record)

    found = _decoded(
        record,
        attributes | {"logfire.msg": "chat", "gen_ai.system": "groq"},
        [*events, ("exception", 5, {"exception.type": "ValueError"})],
    )

    assert found == record


@pytest.mark.parametrize(
    "change",
    [
        {"groqscope.record": None},
        {"groqscope.record": 2},
        {"groqscope.record": "one"},
        {"gen_ai.usage.input_tokens": "many"},
        {"gen_ai.response.time_to_first_chunk": float("nan")},
        {"gen_ai.response.time_to_first_chunk": float("inf")},
        {"gen_ai.request.stream": "true"},
        {"groqscope.stream.timeline": "1;a,b"},
        {"groq.usage_breakdown.models": ["one"], "groq.usage_breakdown.input_tokens": [1, 2]},
        {"gen_ai.response.finish_reasons": 7},
        {"gen_ai.response.finish_reasons": "stop"},
        {"gen_ai.usage.output_tokens": 1.5},
        {"groqscope.stream.outcome": "exploded"},
    ],
    ids=str,
)
def test_values_of_the_wrong_kind(change: dict[str, Any]) -> None:
    """A span that says it carries a record and does not is refused by one kind of error, whatever is wrong with it."""
    record = full_record()
    attributes, events = encode(record)

    with pytest.raises(NotARecord):
        _decoded(record, {**attributes, **change}, events)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    attributes=st.dictionaries(st.sampled_from([a.name for a in (*semconv.FIELDS, *semconv.USAGE_BREAKDOWN)]), _json),
    given_event=st.sampled_from([e for e in semconv.EVENTS if e.field]).flatmap(
        lambda e: st.tuples(st.just(e.name), st.dictionaries(st.sampled_from([a.name for a in e.attributes]), _json))
    ),
)
def test_anything_is_a_record_or_refused(attributes: dict[str, Any], given_event: tuple[str, dict[str, Any]]) -> None:
    """Whatever stands under our names in a damaged file, reading gives a record or `NotARecord`, nothing else."""
    span = {"start_unix_ns": 1, "duration_ns": 1, "trace_id": None, "span_id": None, "nested": False, "service": None}
    try:
        found = decode({"groqscope.record": 1, **attributes}, [given_event], **span)
    except NotARecord:
        return

    assert decode(*_pair(found), **span) == found


def _pair(record: RequestRecord) -> tuple[Attributes, list[tuple[str, Attributes]]]:
    attributes, events = encode(record)
    return attributes, [(name, a) for name, _, a in events]
