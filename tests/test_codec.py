"""A record is the same after being written to a span's attributes and events and read back."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.full_records import busy_record, full_record, ordinary_record
from support.records import records

import groqscope
from groqscope import semconv
from groqscope.codec import Attributes, EventData, EventRead, Warn, decode, encode
from groqscope.timeline import ModelUsage, RequestRecord, UsageDelta

# What the span tells by itself, and what travels in a form of its own.
_OF_THE_SPAN = {"trace_id", "span_id", "nested", "service", "start_unix_ns", "duration_ns"}
_IN_EVENTS = {e.field for e in semconv.EVENTS if e.field}
_PACKED = {"timeline_stride", "tags"}  # in `groqscope.stream.timeline` with `timeline_us`; one attribute a tag
_IN_ARRAYS = {"usage_models"}  # semconv.USAGE_BREAKDOWN


def _decoded(
    record: RequestRecord, attributes: Attributes, events: list[EventData], warn: Warn = lambda _: None
) -> RequestRecord:
    return decode(
        attributes,
        [(name, given, record.start_unix_ns + at) for name, at, given in events],
        start_unix_ns=record.start_unix_ns,
        duration_ns=record.duration_ns,
        trace_id=record.trace_id,
        span_id=record.span_id,
        nested=record.nested,
        service=record.service,
        warn=warn,
    )


def _through(value: Any) -> Any:
    """What another writer may make of a number: 1.0 becomes 1, and 1 becomes 1.0."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, (list, tuple)):
        return [_through(v) for v in value]
    return float(value) if isinstance(value, int) else int(value) if value == int(value) else value


def _paths(record: type, prefix: str = "") -> set[str]:
    """Return dotted paths of a record's fields; nested records are walked, tuples of records are one field."""
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
    """A record that was written is the same when it is read, directly or from JSON, whatever its fields hold."""
    attributes, events = encode(record)

    assert _decoded(record, attributes, events) == record
    assert _decoded(record, *json.loads(json.dumps([attributes, events]))) == record


@given(record=records)
def test_numbers_may_change_type_on_the_way(record: RequestRecord) -> None:
    """Integers that come back as doubles, and whole doubles that come back as integers, get their field's type."""
    attributes, events = encode(record)
    events = [(n, t, {k: _through(v) for k, v in a.items()}) for n, t, a in events]
    found = _decoded(record, {k: _through(v) for k, v in attributes.items()}, events)

    assert found == record
    assert str(asdict(found)) == str(asdict(record))


def test_every_field_has_a_name() -> None:
    """Each field of a record has one attribute or is a stated exception; no attribute lacks its field."""
    named = [a.field for a in semconv.FIELDS]

    assert len(named) == len(set(named))
    assert _paths(RequestRecord) - _OF_THE_SPAN - _IN_EVENTS - _IN_ARRAYS - _PACKED == set(named)


def test_every_field_of_an_entry_has_a_name() -> None:
    """The same holds for records inside tuples, which are written as events or as parallel arrays."""
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
    assert len(encode(ordinary_record())[0]) <= 66
    assert len(encode(busy_record())[0]) <= 72


_NOT_OF_THIS_STREAM: Final = {
    "groqscope.phases.unseen",  # each phase was seen
    "groqscope.phase.generate_time",  # of an answer in one piece
    "groqscope.response.body_size",
    "groqscope.usage.output_tokens.estimate",  # its usage is known
    "groq.audio.duration",
}


def test_fullest_record_fits() -> None:
    """Every field set at once stays below the SDK's limit of 128 attributes, and each below Tempo's of 2,048 bytes."""
    attributes, events = encode(full_record())
    names = {a.name for a in (*semconv.FIELDS, *semconv.DERIVED, *semconv.USAGE_BREAKDOWN)}
    tags = {"groqscope.tag.feature", "groqscope.tag.tenant"}

    assert attributes.keys() == names - _NOT_OF_THIS_STREAM | tags
    assert len(names | tags) <= 128
    for name, value in [*attributes.items(), *(kv for _, _, a in events for kv in a.items())]:
        assert len(json.dumps(value, ensure_ascii=False).encode()) <= 2_048, name


def test_absent_is_not_zero() -> None:
    """What is unknown is not written, and 0 is."""
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
    """Other readers get what follows from the record: attempts, time per token, throughput, tools run by Groq."""
    attributes, events = encode(full_record())

    assert attributes["groqscope.attempts"] == 17
    assert attributes["groqscope.tpot"] == pytest.approx(0.6402 / 359)
    assert attributes["groqscope.output_token_throughput"] == pytest.approx(359 / 0.6402)
    assert attributes["groq.executed_tools.count"] == 16
    assert ("groqscope.first_chunk", 140_000_000, {}) in events


def test_events_stand_at_their_time() -> None:
    """An event is at the moment it is about, or, without one, at the end of the request."""
    record = replace(
        full_record(),
        usage_deltas=(UsageDelta(chunk_index=4, time_ns=77, usage=full_record().usage),),
        tool_calls=(replace(full_record().tool_calls[0], first_delta_ns=None, delta_ns=None, assembly_ns=None),),
    )
    offsets = {(name, at) for name, at, _ in encode(record)[1]}

    assert ("groqscope.usage_delta", 77) in offsets
    assert ("groqscope.tool_call", record.duration_ns) in offsets


def test_unknown_attributes_are_ignored() -> None:
    """Other people's attributes and events on the same span do not disturb the record."""
    record = full_record()
    attributes, events = encode(record)

    found = _decoded(
        record,
        attributes | {"logfire.msg": "chat", "gen_ai.system": "groq"},
        [*events, ("exception", 5, {"exception.type": "ValueError"})],
    )

    assert found == record


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"gen_ai.usage.input_tokens": "many"}, "usage.input_tokens", "expected a number, got a string"),
        ({"gen_ai.usage.input_tokens": -1}, "usage.input_tokens", "expected a number from 0 on, got -1"),
        ({"gen_ai.usage.input_tokens": 2**63}, "usage.input_tokens", "expected a number of 64 bits"),
        ({"gen_ai.usage.input_tokens": True}, "usage.input_tokens", "expected a number, got True"),
        ({"gen_ai.usage.output_tokens": 99.5}, "usage.output_tokens", "expected an integer, got 99.5"),
        ({"gen_ai.response.time_to_first_chunk": float("nan")}, "ttfc_ns", "expected a finite number, got nan"),
        ({"gen_ai.response.time_to_first_chunk": float("inf")}, "ttfc_ns", "expected a finite number, got inf"),
        ({"gen_ai.response.time_to_first_chunk": 1e300}, "ttfc_ns", "expected seconds from 0 on"),
        ({"gen_ai.response.time_to_first_chunk": "[REDACTED]"}, "ttfc_ns", "expected a number, got a string"),
        ({"groqscope.phase.wait_time": 1, "groqscope.phase.queue_time": -0.5}, "phases.queue", "from 0 on"),
        ({"operation.cost": float("nan")}, "cost", "expected a finite number"),
        ({"gen_ai.request.stream": "yes"}, "stream", "expected true or false, got a string"),
        ({"gen_ai.request.model": 7}, "model", "expected a string, got 7"),
        ({"gen_ai.response.finish_reasons": 7}, "finish_reasons", "expected a list of strings, got 7"),
        ({"gen_ai.response.finish_reasons": "stop"}, "finish_reasons", "expected a list of strings, got a string"),
        ({"gen_ai.response.finish_reasons": ("stop", None)}, "finish_reasons", "expected a string"),
        ({"groqscope.stream.outcome": "exploded"}, "outcome", "expected an outcome, got a string"),
        ({"groqscope.stream.timeline": "1;a,b"}, "timeline_us", "groqscope.stream.timeline"),
        ({"groqscope.stream.timeline": "2;140000,29"}, "timeline_us", "it was truncated"),
        ({"groqscope.stream.timeline": "2;9,-5"}, "timeline_us", "groqscope.stream.timeline"),
        ({"groqscope.stream.timeline": "0;1,2"}, "timeline_us", "groqscope.stream.timeline"),
        ({"groq.usage_breakdown.models": ["one"]}, "usage_models", "groq.usage_breakdown"),
    ],
    ids=str,
)
def test_a_damaged_value_costs_its_field(change: dict[str, Any], field: str, words: str) -> None:
    """That field is as if it had not been written, the others are unchanged, and one warning names it."""
    record = full_record()
    attributes, events = encode(record)
    warnings: list[str] = []
    found = _decoded(record, {**attributes, **change}, events, warnings.append)

    group, _, name = field.rpartition(".")
    missing = {f.name: f.default for f in fields(type(getattr(record, group)) if group else RequestRecord)}[name]
    missing = None if field == "outcome" else missing
    extra = {"timeline_stride": 1} if field == "timeline_us" else {}
    inner = replace(getattr(record, group), **{name: missing}) if group else missing
    assert found == replace(record, **{group or name: inner}, **extra)
    (warning,) = warnings
    assert next(iter(reversed(change))).removesuffix(".models") in warning
    assert words in warning


@pytest.mark.parametrize("event", [e for e in semconv.EVENTS if e.field], ids=lambda e: e.name)
def test_an_event_that_lost_an_attribute(event: semconv.Event) -> None:
    """Its entry lacks that field; an entry that is useless without it is counted as dropped."""
    record = full_record()
    attributes, events = encode(record)
    at = next(n for n, (name, _, _) in enumerate(events) if name == event.name)
    for attribute in event.attributes:
        name, time, given = events[at]
        less = [*events[:at], (name, time, {k: v for k, v in given.items() if k != attribute.name}), *events[at + 1 :]]
        warnings: list[str] = []
        found = _decoded(record, attributes, less, warnings.append)

        entries, expected = getattr(found, event.field or ""), getattr(record, event.field or "")
        if len(entries) < len(expected):
            assert entries == expected[1:]
            assert len(warnings) == 1
            dropped = getattr(found, f"{event.field}_dropped", None)
            assert dropped in {None, getattr(record, f"{event.field}_dropped", 0) + 1}
        else:
            assert entries[1:] == expected[1:]
            assert warnings == []
        assert replace(found, **_entries(record, event)) == record


def _entries(record: RequestRecord, event: semconv.Event) -> dict[str, Any]:
    names = (event.field or "", f"{event.field}_dropped")
    return {name: getattr(record, name) for name in names if hasattr(record, name)}


def test_attempts_whose_events_were_dropped_are_counted() -> None:
    """The number of retries is right in spite of a limit on events."""
    record = full_record()
    attributes, events = encode(record)
    found = _decoded(record, attributes, [e for e in events if e[0] != "groqscope.attempt"])

    assert (found.attempts, found.retries) == ((), record.retries)


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
def test_anything_is_read(attributes: dict[str, Any], given_event: tuple[str, dict[str, Any]]) -> None:
    """Whatever a damaged file has under our names, reading gives a record that can be written again."""
    span = {"start_unix_ns": 1, "duration_ns": 1, "trace_id": None, "span_id": None, "nested": False, "service": None}
    found = decode({"groqscope.record": 1, **attributes}, [(*given_event, 1)], **span)

    assert decode(*_pair(found), **span) == found


def _pair(record: RequestRecord) -> tuple[Attributes, list[EventRead]]:
    attributes, events = encode(record)
    return attributes, [(name, a, record.start_unix_ns + at) for name, at, a in events]


_NAMES: Final = {
    *(
        a.name
        for a in (*semconv.FIELDS, *semconv.DERIVED, *semconv.USAGE_BREAKDOWN, *semconv.SUMMARY, *semconv.CONTENT)
    ),
    *(name for event in semconv.EVENTS for name in (event.name, *(a.name for a in event.attributes))),
    *(name for metric in semconv.METRICS for name in (metric.name, *metric.attributes)),
    *(
        value
        for value in vars(semconv).values()
        if isinstance(value, str) and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", value)
    ),
    *semconv.ALIASES,
}
_OURS: Final = re.compile(r"(gen_ai|groq|groqscope)(\.[a-z0-9_]+)+")
_MODULES: Final = sorted(
    path.relative_to(Path(groqscope.__file__).parent).as_posix()
    for path in Path(groqscope.__file__).parent.rglob("*.py")
    if path.name != "semconv.py"
)


def _texts(module: str) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module, bytes included, with their lines; not its docstrings."""
    tree = ast.parse((Path(groqscope.__file__).parent / module).read_text("utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in said and isinstance(node.value, str | bytes):
            yield node.lineno, node.value if isinstance(node.value, str) else node.value.decode("latin-1")


@pytest.mark.parametrize("room", sorted({module.partition("/")[0] for module in _MODULES}))
def test_names_stand_in_semconv_and_nowhere_else(room: str) -> None:
    """No other module spells out the name of an attribute, event or metric; those that write telemetry, none at all.

    Modules that write telemetry spell out no name of that form at all.
    """
    writes = room in ("codec.py", "telemetry", "instrument", "models")
    spelt = [
        (module, line, text)
        for module in _MODULES
        if module.partition("/")[0] == room
        for line, text in _texts(module)
        if text in _NAMES
        or not _NAMES.isdisjoint(match[0] for match in _OURS.finditer(text))
        or (writes and _OURS.fullmatch(text))
    ]

    assert spelt == []
