"""Here, and on GitHub: spans from the collector into Tempo, found by TraceQL, read back by the audit.

On GitHub Tempo is the official image. Here a fake stands in for it, which takes OTLP over gRPC and refuses the queries
that Tempo would refuse (`support/tempo.py`); what is between is the real collector.
"""

import time
from dataclasses import replace
from typing import Any

import httpx
import pytest
from stack_support import traffic
from stack_support.boards import Target, boards, filled, targets
from stack_support.given import needs, needs_stack, program
from stack_support.scale import SCALE
from stack_support.stack import Stack, run
from support.full_records import full_record
from support.tempo import written
from support.waiting import wait_for

from groqscope import semconv
from groqscope.audit import SourceError
from groqscope.audit.tempo import TempoSource
from groqscope.cli.app import run as groqscope
from groqscope.store import ReadReport

TABLES = [t for t in targets() if t.kind == "table" and "query" in t.query]


def _source(stack: Stack) -> TempoSource:
    return TempoSource(stack.tempo, client=httpx.Client(trust_env=False))


@needs_stack()
@pytest.mark.parametrize("target", TABLES, ids=str)
def test_a_table_of_traces_has_rows(target: Target, stack: Stack, seeded: Any):
    """Every TraceQL query of the audit dashboard finds requests."""
    ours = {s.name for s in traffic.SERVICES}

    def found() -> list[dict[str, Any]]:
        return stack.search(filled(target.query["query"], range_s=3600), limit=target.query["limit"])

    # A search finds what Tempo has written down, which is some seconds after it came.
    assert {t["traceID"].rjust(32, "0") for t in wait_for(found, str(target)) if t["rootServiceName"] in ours} <= {
        r.trace_id for r in seeded.sent.records
    }


@needs_stack()
def test_variables_narrow_a_table_of_traces(stack: Stack, seeded: Any):
    """A chosen service leaves others out, two are both there; an attribute that spans lack is no obstacle to `All`."""
    query = next(t for t in TABLES if t.panel == "Failed").query["query"]
    one = stack.search(filled(query, range_s=3600, service=["document-agent"]))
    two = stack.search(filled(query, range_s=3600, service=["document-agent", "support-chat"]))
    bare = query.replace("deployment.environment.name", "no.such.attribute")

    assert {t["rootServiceName"] for t in one} == {"document-agent"}
    assert {t["rootServiceName"] for t in two} == {"document-agent", "support-chat"}
    assert stack.search(filled(bare, range_s=3600))
    assert not stack.search(filled(bare, range_s=3600, environment=["production"]))


@needs_stack()
def test_the_words_before_a_trace_is_chosen_find_none(stack: Stack, seeded: Any):
    """What stands in the field of the trace at first is a query that is understood, and finds nothing."""
    before = next(v["query"] for v in boards()["groq-audit"]["templating"]["list"] if v["name"] == "trace")

    assert stack.search(before) == []


CONDITIONS = [
    'span.gen_ai.provider.name = "groq"',
    'span.gen_ai.request.model = "qwen/qwen3-32b"',
    "span.gen_ai.usage.output_tokens > 300",
    "span.groq.usage.queue_time > 0.2",
    'span.groq.region =~ "us-.*"',
    "span.groq.ratelimit.tokens.remaining < 2000",
    "span.groqscope.attempts > 1",
    "span.groqscope.phase.retry_time > 0.5",
    "span.groqscope.ttft > 0.5",
    'event:name = "groqscope.tool_call"',
    'event.gen_ai.tool.name = "refund"',
    'span.error.type = "rate_limit_exceeded" && status = error',
]


@needs_stack()
@pytest.mark.parametrize("condition", CONDITIONS)
def test_requests_are_found_by_their_attributes(condition: str, stack: Stack, seeded: Any):
    """TraceQL finds requests by what Groq said and by what was measured."""
    assert wait_for(lambda: stack.search(f"{{ span.groqscope.record = 1 && {condition} }}"), condition)


@needs_stack()
def test_a_request_is_found_by_its_id(stack: Stack, seeded: Any):
    """The id that Groq support asks for leads to exactly one trace."""
    record = next(r for r in seeded.sent.ended if r.request_id)
    found = wait_for(lambda: stack.search(f'{{ span.groq.request.id = "{record.request_id}" }}'), "it")

    assert [t["traceID"].rjust(32, "0") for t in found] == [record.trace_id]


@needs_stack()
def test_records_come_back_out_of_tempo_as_they_went_in(stack: Stack, seeded: Any):
    """Two minutes of requests, read back by the audit, are the records that were sent, to the last field."""
    since, until_ns = int((seeded.end_s - 600) * 1e9), int((seeded.end_s - 480) * 1e9)
    sent = {r.trace_id: r for r in seeded.sent.ended if since <= r.start_unix_ns < until_ns}
    ours = {s.name for s in traffic.SERVICES}  # other tests send requests of that time, too
    report = ReadReport()

    def found() -> dict[str | None, Any] | None:
        read = _source(stack).read(report, since=since, until=until_ns, timelines=True)
        back = {r.trace_id: r for r in read if r.service in ours}
        return back if len(back) == len(sent) else None

    assert len(sent) > 20
    assert wait_for(found, "all of them") == sent
    assert not report.warnings


@needs_stack()
def test_the_command_audits_what_is_in_tempo(stack: Stack, seeded: Any, capsys: pytest.CaptureFixture[str]):
    """`groqscope audit --tempo` shows the request whose ID it is given."""
    record = next(r for r in seeded.sent.ended if r.retries and r.request_id)
    status = groqscope(["audit", "--tempo", stack.tempo, "--since", "2h", str(record.request_id)])
    shown = capsys.readouterr().out

    assert status == 0
    assert str(record.request_id) in shown
    assert record.model in shown


@needs_stack()
def test_a_span_with_every_attribute_is_stored_whole(stack: Stack):
    """A record with every field set is the same after Tempo, and ten kilobytes of content are not cut."""
    words = "".join(f"word {i} " for i in range(1100))
    full = full_record()
    record = replace(  # what no request has together with the rest
        full,
        start_unix_ns=time.time_ns() - 30 * 10**9,
        duration_ns=full.duration_ns + 7,
        phases=replace(full.phases, generate=7),
        phases_unseen=("connect", "tls"),
        output_tokens_estimate=77,
        audio_seconds=2.5,
        response_size=999,
    )
    sent = traffic.send_record(stack.post, record, "whole", {"gen_ai.output.messages": words})
    trace = wait_for(lambda: stack.trace(sent.trace_id or ""), "the trace")
    spans = [s for b in trace["batches"] for scope in b["scopeSpans"] for s in scope["spans"]]
    span = next(s for s in spans if any(a["key"] == semconv.RECORD for a in s["attributes"]))
    attributes = {a["key"]: a["value"] for a in span["attributes"]}
    events = {e["name"]: {a["key"] for a in e.get("attributes", [])} for e in span["events"]}

    def back() -> list[Any]:
        since = record.start_unix_ns
        read = _source(stack).read(ReadReport(), since=since, until=since + 1, timelines=True)
        return [r for r in read if r.service == "whole"]

    # A trace is found by its ID at once, by a search once Tempo has written it down.
    assert wait_for(back, "the search to find it") == [sent]
    assert {a.name for a in (*semconv.FIELDS, *semconv.USAGE_BREAKDOWN)} <= attributes.keys()
    for event in semconv.EVENTS:
        assert {a.name for a in event.attributes} <= events[event.name]
    assert len(words) > 8192
    assert attributes["gen_ai.output.messages"]["stringValue"] == words


def _keys(value: Any) -> Any:
    """What can stand where, whatever the values."""
    if isinstance(value, dict):
        return {k: _keys(v) for k, v in value.items()}
    return [_keys(value[0])] if isinstance(value, list) and value else type(value).__name__


@needs_stack()
def test_answers_have_the_form_that_is_written_down(stack: Stack, seeded: Any):
    """What `support/tempo_answers` says of a search and of a trace is so: keys, and the types of what they hold."""
    record = next(r for r in seeded.sent.ended if r.request_id)
    query = f'{{ span.groq.request.id = "{record.request_id}" }} | select(span.groqscope.record)'
    (found,) = wait_for(lambda: stack.search(query), "it")
    trace = stack.trace(found["traceID"])
    assert trace is not None
    (expected, *_) = written("search")["traces"]
    expected_batch = written("trace")["batches"][0]
    batch = trace["batches"][0]

    plain = ("traceID", "rootServiceName", "rootTraceName", "startTimeUnixNano", "durationMs")
    assert {k: _keys(found[k]) for k in plain} == {k: _keys(expected[k]) for k in plain}
    for key in ("spanID", "startTimeUnixNano", "durationNanos"):
        assert _keys(found["spanSets"][0]["spans"][0][key]) == _keys(expected["spanSets"][0]["spans"][0][key])
    assert set(batch) >= {"resource", "scopeSpans"}
    span, expected_span = (b["scopeSpans"][0]["spans"][0] for b in (batch, expected_batch))
    for key in ("traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"):
        assert _keys(span[key]) == _keys(expected_span[key])
        assert key not in ("traceId", "spanId") or len(span[key]) == len(expected_span[key])


REFUSED = [
    {"q": "{ span.groqscope.record > }"},
    {"q": "{ record = 1 }"},
    {"q": '{ duration > "1s" }'},
    {"q": "{ name }"},
    {"q": '{ span.a =~ "(" }'},
    {"q": "{ spam.a = 1 }"},
    {"start": "1790000000000000000", "end": "1790000001000000000"},
    {"start": "1790000001", "end": "1790000000"},
    {"limit": "0"},
    {"limit": "many"},
    {"limit": "100000"},
]


@needs_stack()
@pytest.mark.parametrize("params", REFUSED, ids=str)
def test_tempo_refuses(params: dict[str, str], stack: Stack):
    """What the fake refuses, Tempo refuses: by the same tests, where there is one."""
    assert stack.http.get(f"{stack.tempo}/api/search", params=params).status_code == 400


@needs("TEMPO")
@pytest.mark.parametrize("file", ["stack/tempo/tempo.yaml", "stack/scale/tempo-scalable.yaml"])
def test_tempo_takes_its_configuration(file: str):
    """Tempo verifies it without a word."""
    target = "scalable-single-binary" if "scalable" in file else "all"
    options = (f"-target={target}", f"-config.file={file}", "-config.expand-env=true", "-config.verify=true")

    assert run(*program("TEMPO"), *options, env=SCALE) == ""


def test_a_tempo_that_is_not_there_is_told_in_a_sentence():
    """The audit says where it looked."""
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1"):
        list(TempoSource("http://127.0.0.1:1").read(ReadReport(), since=None, until=None, timelines=False))
