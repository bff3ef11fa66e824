"""Spans of other instrumentations, read as far as they go."""

import json
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags
from support.full_records import full_record
from support.spans import child_of, span_of

from groqscope.store import ReadReport, decode_traces, read_records
from groqscope.store.exporters import encode_span_line
from groqscope.store.foreign import foreign_record, is_inference
from groqscope.store.twice_told import Observed
from groqscope.timeline import RequestRecord, Usage


def _foreign(**attributes: object) -> RequestRecord | None:
    given = {name.replace("__", "."): value for name, value in attributes.items()}
    return foreign_record(given, start_unix_ns=5, duration_ns=7, trace_id="a" * 32, span_id="b" * 16, service="shop")


def test_chat_span_of_the_conventions() -> None:
    """The names of the semantic conventions become the fields that carry them."""
    record = _foreign(
        gen_ai__operation__name="chat",
        gen_ai__provider__name="groq",
        gen_ai__request__model="llama-3.3-70b-versatile",
        gen_ai__request__temperature=0,
        gen_ai__response__id="chatcmpl-1",
        gen_ai__response__finish_reasons=("stop",),
        gen_ai__usage__input_tokens=10,
        gen_ai__usage__output_tokens=20,
        server__address="api.groq.com",
    )

    assert record == RequestRecord(
        start_unix_ns=5,
        duration_ns=7,
        trace_id="a" * 32,
        span_id="b" * 16,
        service="shop",
        model="llama-3.3-70b-versatile",
        temperature=0.0,
        response_id="chatcmpl-1",
        finish_reasons=("stop",),
        usage=Usage(input_tokens=10, output_tokens=20),
        server_address="api.groq.com",
    )


def test_older_names() -> None:
    """Names that libraries wrote before the conventions settled are understood; the present name wins."""
    record = _foreign(
        llm__request__type="chat",
        gen_ai__system="Groq",
        gen_ai__usage__prompt_tokens=10,
        gen_ai__usage__completion_tokens=20,
        gen_ai__usage__output_tokens=21,
        llm__is_streaming=True,
        gen_ai__server__time_to_first_token=0.25,
    )

    assert record is not None
    assert record.usage == Usage(input_tokens=10, output_tokens=21)
    assert record.stream
    assert record.ttfc_ns == 250_000_000


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.provider.name": "groq"},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.system": "groq"},
        {"gen_ai.provider.name": "groq"},
        {},
    ],
)
def test_other_spans_are_no_request(attributes: dict[str, object]) -> None:
    """Other providers, agents and tools are not requests to Groq."""
    assert not is_inference(attributes)


def test_wrong_kinds_are_left_out() -> None:
    """An attribute of the wrong kind is as if it were not there."""
    record = _foreign(
        gen_ai__operation__name="chat",
        gen_ai__system="groq",
        gen_ai__usage__input_tokens="many",
        gen_ai__request__model=7,
        gen_ai__response__finish_reasons="stop",
        gen_ai__request__stream="yes",
    )

    assert record is not None
    assert (record.usage, record.model, record.finish_reasons, record.stream) == (Usage(), None, (), False)


def test_wrong_kinds_are_said_once() -> None:
    """A library writes all its spans the same way: one warning for an attribute, which is no damage."""
    given = {"gen_ai.operation.name": "chat", "gen_ai.system": "groq", "gen_ai.usage.input_tokens": "many"}
    report = ReadReport()
    found = decode_traces(_line(given, given), report=report)

    assert [record.usage for record in found] == [Usage(), Usage()]
    (warning,) = report.warnings
    assert "gen_ai.usage.input_tokens: expected int, got str; omitted" in warning.reason
    assert not report.damaged


def test_value_that_fits_no_field_costs_its_field() -> None:
    """A number that no field can hold is left out, and the request stays."""
    record = _foreign(gen_ai__operation__name="chat", gen_ai__system="groq", operation__cost=float("nan"))

    assert record is not None
    assert record.cost is None


def _line(*attributes: dict[str, str]) -> bytes:
    line = encode_span_line([child_of(full_record(), "chat x", given) for given in attributes])
    assert line is not None
    return line


def test_reader_gives_foreign_requests_with_their_outcome() -> None:
    """A failed span is a request with an error; the reader can leave foreign spans out."""
    data = json.loads(_line({"gen_ai.operation.name": "chat", "gen_ai.system": "groq"}))
    span = data["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert [r.outcome for r in decode_traces(json.dumps(data).encode())] == ["completed"]

    span["status"] = {"code": 2}
    assert [r.outcome for r in decode_traces(json.dumps(data).encode())] == ["error"]
    assert [r.service for r in decode_traces(json.dumps(data).encode())] == ["shop"]


def test_outer_span_of_a_record_is_not_counted_again() -> None:
    """The inference span around our nested record carries our summary, and is left to it."""
    outer = {"gen_ai.operation.name": "chat", "gen_ai.system": "groq", "groqscope.requests": "1"}
    line = encode_span_line([child_of(full_record(), "chat x", outer), span_of(full_record())])
    assert line is not None

    assert decode_traces(line) == [full_record()]


OURS = replace(full_record(), operation="chat", nested=False, response_id="chatcmpl-1")
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "groq", "gen_ai.request.model": str(OURS.model)}


def _around(attributes: dict[str, Any], *, before_ns: int = 1_000, after_ns: int = 1_000, trace: str | None = None):
    """Make another library's span from before our request to after it, beside it and unmarked."""
    around = replace(
        OURS,
        trace_id=trace or OURS.trace_id,
        start_unix_ns=OURS.start_unix_ns - before_ns,
        duration_ns=before_ns + OURS.duration_ns + after_ns,
    )
    span = span_of(around)
    return ReadableSpan(
        name="ChatGroq.chat",
        context=SpanContext(int(around.trace_id or "", 16), 0xF0, is_remote=False, trace_flags=TraceFlags(1)),
        resource=span.resource,
        attributes=attributes,
        start_time=span.start_time,
        end_time=span.end_time,
    )


@pytest.mark.parametrize(
    ("attributes", "times", "requests"),
    [
        (MODEL, {}, 1),
        ({**MODEL, "gen_ai.response.id": "chatcmpl-1"}, {"before_ns": -50, "after_ns": -50}, 1),
        ({"llm.request.type": "chat", "gen_ai.system": "Groq"}, {}, 1),
        ({**MODEL, "gen_ai.request.model": f"groq/{OURS.model}"}, {}, 1),
        ({**MODEL, "gen_ai.response.id": "chatcmpl-2"}, {}, 2),
        ({**MODEL, "gen_ai.request.model": "another"}, {}, 2),
        ({**MODEL, "gen_ai.operation.name": "embeddings"}, {}, 2),
        (MODEL, {"before_ns": -1_000}, 2),
        (MODEL, {"after_ns": -10_000_000}, 2),
        (MODEL, {"trace": "c" * 32}, 1),  # neither has a parent
        (MODEL | {"gen_ai.usage.output_tokens": 7}, {"trace": "c" * 32}, 2),
    ],
)
@pytest.mark.parametrize("written", ["ours first", "theirs first", "a line each"])
def test_one_inference_told_by_two_libraries_counts_once(attributes, times, requests, written, tmp_path) -> None:
    """Theirs beside ours, as LangChain's instrumentations leave it: the same inference if it is around ours in time."""
    spans = [span_of(OURS), _around(attributes, **times)]
    batches = {"ours first": [spans], "theirs first": [spans[::-1]], "a line each": [[one] for one in spans]}
    lines = map(encode_span_line, batches[written])
    (tmp_path / "traces.jsonl").write_bytes(b"".join(line + b"\n" for line in lines if line is not None))
    report = ReadReport()
    found = list(read_records([tmp_path], report=report))

    assert len(found) == report.records == requests
    assert OURS in found


def test_a_library_that_tells_of_requests_that_nobody_observed() -> None:
    """Without ours in the trace, theirs counts; ours of another trace says nothing about it."""
    ours = span_of(replace(OURS, trace_id="d" * 32))
    ours._parent = SpanContext(0xD, 0xD, is_remote=False)
    line = encode_span_line([ours, _around(MODEL)])
    assert line is not None

    assert len(decode_traces(line)) == 2


def test_ours_is_remembered_for_a_while() -> None:
    """Of as many traces as fit into memory, and at least of the last 4096."""
    observed = Observed()
    for number in range(2 * 4096):
        observed.add(replace(OURS, trace_id=f"{number:032x}"), alone=False)

    assert not observed.tells(replace(OURS, trace_id=f"{8192:032x}"), alone=False)
    assert observed.tells(replace(OURS, trace_id=f"{8191:032x}"), alone=False)
    assert observed.tells(replace(OURS, trace_id=f"{4096:032x}"), alone=False)


def _alone(number: int, **changes: Any) -> RequestRecord:
    """Make one of several requests at the same time, each in a trace of its own."""
    return replace(OURS, trace_id=f"{number:032x}", response_id=None, **changes)


def test_without_a_parent_each_is_a_trace_of_its_own() -> None:
    """So LangChain's instrumentations leave a model that is asked outside of a chain: one of ours for one of theirs."""
    observed = Observed()
    for number in range(3):
        observed.add(_alone(number), alone=number < 2)
    theirs = _alone(9, start_unix_ns=OURS.start_unix_ns - 10, duration_ns=OURS.duration_ns + 20)
    others = (
        replace(theirs, usage=replace(OURS.usage, output_tokens=987_654)),
        replace(theirs, start_unix_ns=theirs.start_unix_ns + 11),
        replace(theirs, model="another"),
    )

    assert not observed.tells(theirs, alone=False)
    assert [observed.tells(other, alone=True) for other in others] == [False] * 3
    assert [observed.tells(theirs, alone=True) for _ in range(3)] == [True, True, False]
    assert not observed.tells(replace(theirs, start_unix_ns=theirs.start_unix_ns + 10**12), alone=True)
