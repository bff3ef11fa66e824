"""Records in a Tempo: its answers as they are written down, and a fake that refuses what Tempo would refuse."""

import json
import socket
from dataclasses import replace

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from support.runs import MS, TRACE, readable, span, tool
from support.runs import request as request_span
from support.spans import family_of
from support.tempo import MAX_LIMIT, MAX_SECONDS, FakeTempo, written
from support.traffic import START, request

from groqscope import audit
from groqscope.audit.tempo import QUERY, TempoSource
from groqscope.runs import run_of
from groqscope.store import ReadReport

SECOND = 1_000_000_000


def keeping(records):
    """A Tempo with the spans of these requests, as the SDK sends them."""
    tempo = FakeTempo()
    for record in records:
        tempo.keep(encode_spans(family_of(record)))
    return tempo


@pytest.fixture
def records():
    """Forty requests, one a second."""
    return [replace(request(n), start_unix_ns=START + n * SECOND) for n in range(40)]


@pytest.fixture
def tempo(records):
    """A Tempo with forty requests."""
    return keeping(records)


def streamed(one):
    """The span with the arrival times of two chunks."""
    return replace(one, record=replace(one.record, chunks=2, timeline_us=(100, 300)))


@pytest.fixture
def sent(tempo):
    """An agent's run in that Tempo: two requests, one streamed, two tools at once, an HTTP call of another library."""
    agent, first, search, weather, call, second = (f"{number:016x}" for number in range(0xA1, 0xA7))
    begin = START // MS
    spans = [
        span(agent, begin, begin + 1_500, name="invoke_agent planner"),
        request_span(first, begin, agent, queue=100, receive=200),
        tool(search, "search", begin + 300, begin + 1_000, agent),
        span(call, begin + 310, begin + 900, search, name="GET", kind="client", attributes={"http.method": "GET"}),
        tool(weather, "weather", begin + 300, begin + 600, agent),
        streamed(request_span(second, begin + 1_000, agent, receive=400)),
    ]
    tempo.keep(encode_spans([readable(one) for one in spans]))
    return run_of(spans)


def read(tempo, *, limit=500, since=START, until=START + 100 * SECOND):
    client = httpx.Client(transport=httpx.MockTransport(tempo))
    source = TempoSource("http://127.0.0.1:3200/", client=client, limit=limit)
    report = ReadReport()
    return list(source.read(report, since=since, until=until, timelines=True)), report


def test_traces_are_searched_and_fetched(tempo, records):
    """One search, one fetch per trace, records equal to those written, earliest first; nothing asked was refused."""
    found, report = read(tempo)

    assert found == records
    assert tempo.refused == []
    assert len(tempo.searches) == 1
    assert report.records == 40


def test_a_full_answer_is_asked_again_in_halves(tempo, records):
    """Where the limit is reached the time is halved until nothing is missing and nothing comes twice."""
    found, _ = read(tempo, limit=7)

    assert found == records
    assert len(tempo.fetched) == 40
    assert len(tempo.searches) > 10


def test_more_in_a_second_than_a_search_gives_is_said():
    """A second that holds too many traces cannot be halved: a warning says that some are missing."""
    records, report = read(keeping([replace(request(n), start_unix_ns=START + n) for n in range(9)]), limit=5)

    assert len(records) == 5
    assert "5 traces or more in one second" in str(report.warnings[0])


def test_only_the_time_asked_for(tempo):
    """A trace may reach into the time asked for; a record that starts before it does not count."""
    records, _ = read(tempo, since=START + 10 * SECOND + 1, until=START + 20 * SECOND)

    assert [r.span_id for r in records] == [f"{n + 1:016x}" for n in range(11, 20)]


def test_a_broken_trace_loses_nothing_else(tempo):
    """One trace that cannot be read is a warning."""
    trace = next(iter(tempo.traces)).lstrip("0")
    tempo.answers[f"/api/traces/{trace}"] = httpx.Response(500, text="boom")
    records, report = read(tempo)

    assert len(records) == 39
    assert f"trace {trace} cannot be read" in str(report.warnings[0])


def test_a_trace_that_keeps_one_waiting_is_asked_for_again(tempo):
    """A busy Tempo lets single traces wait: each gets a second try."""
    slow = f"/api/traces/{next(iter(tempo.traces)).lstrip('0')}"
    waited = []

    def busy(asked):
        if asked.url.path == slow and not waited:
            waited.append(1)
            raise httpx.ReadTimeout("busy")
        return tempo(asked)

    records, report = read(busy)

    assert (len(records), report.warnings, waited) == (40, [], [1])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(400, text="invalid TraceQL query: \n oops"), "answered 400: invalid TraceQL query"),
        (httpx.Response(503), "answered 503"),
        (httpx.Response(200, text="<html>"), "did not answer as Tempo does"),
        (httpx.Response(200, json=[1]), "did not answer as Tempo does"),
    ],
)
def test_a_tempo_that_answers_otherwise(tempo, answer, message):
    """What came instead, in a sentence."""
    tempo.answers["/api/search"] = answer

    with pytest.raises(audit.SourceError, match=message):
        read(tempo)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (httpx.ConnectError("refused"), r"cannot be reached \(refused\): is it running"),
        (httpx.ReadTimeout("slow"), "did not answer in 30 s: ask for less time"),
    ],
)
def test_a_tempo_that_is_down(error, message):
    """Down or too slow: what to do."""

    def down(_):
        raise error

    with pytest.raises(audit.SourceError, match=message):
        read(down)


@pytest.mark.parametrize("url", ["127.0.0.1:3200", "ftp://x", "http://", ""])
def test_no_address(url):
    """An address without a scheme is refused at once."""
    with pytest.raises(audit.SourceError, match="is not an address"):
        audit.load(tempo=url)


def test_a_password_is_not_shown():
    """The name in reports is the address without user and password."""
    assert TempoSource("http://me:secret@tempo:3200/x").names == ("Tempo at http://tempo:3200/x",)


def test_a_tempo_that_nobody_runs():
    """The whole way, to a port of this machine where nothing listens."""
    with socket.socket() as taken:  # bound, so that nobody else listens there either
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(audit.SourceError, match=rf"Tempo at http://127.0.0.1:{port} cannot be reached"):
            audit.load(tempo=f"http://127.0.0.1:{port}").overview()


def test_a_trace_without_a_start_is_fetched_all_the_same(tempo):
    """The search may leave out what it does not know; then the trace is looked for in all that Tempo has."""
    trace = next(iter(tempo.traces)).lstrip("0")
    found = {"traces": [{"traceID": trace, "startTimeUnixNano": "?"}]}
    tempo.answers["/api/search"] = httpx.Response(200, json=found)

    assert len(read(tempo)[0]) == 1
    assert tempo.fetched == [trace]


def told(run):
    """What a run says of its time, and of the chunks of its requests."""
    arrived = [request.timeline_us for request in run.requests]
    return run.name, run.duration_ns, run.parts, run.tools, run.overlaps, run.missing, arrived


@pytest.mark.parametrize("written_as", [TRACE, TRACE.upper()])
def test_a_run_by_its_whole_trace_id(written_as, sent, tempo):
    """One fetch and no search, however long ago it was; the run is what was sent, with the spans of other libraries."""
    source = TempoSource("http://127.0.0.1:3200", client=httpx.Client(transport=httpx.MockTransport(tempo)))
    found = audit.one_run(source, audit.Query(), written_as).entry.run

    assert told(found) == told(sent)
    assert (found.trace_id, found.missing) == (TRACE, ())
    assert sum(part.duration_ns for part in found.parts) == 1_500 * MS
    assert (tempo.searches, tempo.fetched, tempo.refused) == ([], [TRACE], [])


def test_a_run_by_the_beginning_of_its_trace_id(sent, tempo):
    """The traces of the time asked for are searched, and the one that begins so is the run."""
    source = TempoSource("http://127.0.0.1:3200", client=httpx.Client(transport=httpx.MockTransport(tempo)))
    query = audit.Query(since=START - SECOND, until=START + 100 * SECOND)

    assert told(audit.one_run(source, query, TRACE[:12]).entry.run) == told(sent)
    assert (len(tempo.searches), len(tempo.fetched), tempo.refused) == (1, 41, [])


def test_a_trace_id_that_tempo_does_not_have(tempo):
    """No run has it, and the reason that Tempo gives is a warning."""
    source = TempoSource("http://127.0.0.1:3200", client=httpx.Client(transport=httpx.MockTransport(tempo)))
    report = ReadReport()

    with pytest.raises(audit.NotFound, match="no run with the ID"):
        audit.one_run(source, audit.Query(), TRACE, report=report)
    assert "answered 404: trace not found" in str(report.warnings[0])


def test_answers_as_tempo_gives_them():
    """What Tempo writes its own way is understood: IDs without leading zeros and in base64, numbers as strings."""
    first, second = (trace["traceID"] for trace in written("search")["traces"])
    tempo = FakeTempo()
    tempo.answers["/api/search"] = httpx.Response(200, json=written("search"))
    tempo.answers[f"/api/traces/{first}"] = httpx.Response(200, json=written("trace"))
    (record,), report = read(tempo)

    assert (record.trace_id, record.span_id) == (first.rjust(32, "0"), "b7ad6b7169203331")
    assert (record.service, record.model, record.duration_ns) == ("shop", "llama-3.3-70b-versatile", 412_000_000)
    assert (record.usage.queue_time, record.usage.output_tokens) == (0.018, 188)
    assert record.finish_reasons == ("stop",)
    assert record.nested is False
    assert len(report.warnings) == 1
    assert f"trace {second} cannot be read" in str(report.warnings[0])


def _form(value):
    """What can stand where: types by key."""
    if isinstance(value, dict):
        return {key: _form(inner) for key, inner in value.items()}
    return [_form(value[0])] if isinstance(value, list) and value else type(value).__name__


def test_the_fake_answers_in_tempos_form(tempo):
    """The fake says nothing in another form than the answers that are written down."""
    client = httpx.Client(transport=httpx.MockTransport(tempo), base_url="http://tempo")
    asked = {"q": f"{QUERY} | select(span.groqscope.record)"}
    (found, *_) = client.get("/api/search", params=asked).json()["traces"]
    trace = client.get(f"/api/traces/{found['traceID']}").json()
    (whole, *_) = written("search")["traces"]
    written_span = written("trace")["batches"][0]["scopeSpans"][0]["spans"][0]
    span = trace["batches"][-1]["scopeSpans"][0]["spans"][0]
    parts = {"attributes", "events"}

    assert _form(found) == _form(whole)
    assert {k: _form(v) for k, v in span.items() if k not in parts} == {
        k: _form(v) for k, v in written_span.items() if k not in parts
    }
    assert {k["key"]: _form(k["value"]) for k in span["attributes"]}.items() >= {
        k["key"]: _form(k["value"])
        for k in written_span["attributes"]
        if k["key"] in {a["key"] for a in span["attributes"]}
    }.items()


@pytest.mark.parametrize(
    "params",
    [
        {"q": "{ span.groqscope.record > }"},
        {"q": "{ span.groqscope.record = 1"},
        {"q": "span.groqscope.record = 1"},
        {"q": "{ record = 1 }"},
        {"q": '{ duration > "1s" }'},
        {"q": "{ name > 1 }"},
        {"q": "{ name }"},
        {"q": '{ span.a =~ "(" }'},
        {"q": "{ span.a =~ 1 }"},
        {"q": "{ status > error }"},
        {"q": "{ status = broken }"},
        {"q": "{ span.a = 1 && 2 }"},
        {"q": "{ spam.a = 1 }"},
        {"q": "{} | choose(span.a)"},
        {"q": "{} | count() > 1s"},
        {"q": "{ span.a = 'x' }"},
        {"start": "1790000000000", "end": "1790000001000"},
        {"start": "1790000000000000000", "end": "1790000001000000000"},
        {"start": "1790000000.5", "end": "1790000001"},
        {"start": "2026-11-01T00:00:00Z", "end": "1790000001"},
        {"start": "1790000001", "end": "1790000000"},
        {"start": "1790000000"},
        {"start": "1", "end": str(MAX_SECONDS + 2)},
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "many"},
        {"limit": str(MAX_LIMIT + 1)},
        {"spss": "0"},
        {"query": "{}"},
    ],
    ids=str,
)
def test_the_fake_refuses(params, tempo):
    """What Tempo answers with 400 the fake does too, and no search takes place."""
    client = httpx.Client(transport=httpx.MockTransport(tempo), base_url="http://tempo")
    answer = client.get("/api/search", params=params)

    assert answer.status_code == 400
    assert tempo.refused == [answer.text]
    assert tempo.searches == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/traces/xyz", 400),
        (f"/api/traces/{'1' * 33}", 400),
        ("/api/traces/1?start=1790000000000&end=1790000000001", 400),
        ("/api/traces/1?since=1h", 400),
        ("/api/traces/1?start=1&end=2", 404),
        ("/api/traces/99", 404),
        ("/api/traces/1", 200),
        ("/api/echo", 200),
        ("/ready", 200),
        ("/api/nothing", 404),
    ],
)
def test_the_fakes_other_answers(path, status, tempo):
    """A trace is found by its ID and in its time only; IDs and times are looked at as Tempo does."""
    client = httpx.Client(transport=httpx.MockTransport(tempo), base_url="http://tempo")

    assert client.get(path).status_code == status


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("{}", 40),
        ('{ resource.service.name = "worker" }', 40),
        ('{ resource.service.name = "work" }', 0),
        ('{ resource.service.name =~ "work" }', 0),
        ('{ resource.service.name =~ "work.*" && kind = client }', 40),
        ('{ resource.no.such =~ ".*" }', 0),
        ('{ resource.no.such =~ ".*" || ".*" = ".*" }', 40),
        ("{ span.no.such != 1 }", 0),
        ("{ span.no.such != nil }", 0),
        ("{ span.groqscope.record != nil }", 40),
        ("{ span.groqscope.record = 1 && duration > 1h }", 0),
        ("{ span.groqscope.record = 1 && duration < 1m30s }", 40),
        ('{ span.groqscope.record = "1" }', 0),
        ('{ event:name = "groqscope.first_chunk" }', 40),
        ("{ event.http.response.status_code = 200 }", 40),
        ('{ !(name = "wait") && kind = internal }', 40),
        ('{ name = "wait" } && { name = "send" }', 40),
        ('{ name = "wait" } || { name = "no" }', 40),
        ("{} | count() > 3", 0),
        ("{} | count() = 3", 40),
        ('{ span.groq.request.id = "req_01k00000000000000000000007" } | select(span.groqscope.attempts)', 1),
    ],
)
def test_the_fake_searches(query, found, tempo):
    """Conditions, types, regular expressions that have to match as a whole, and events: as Tempo takes them."""
    client = httpx.Client(transport=httpx.MockTransport(tempo), base_url="http://tempo")

    assert len(client.get("/api/search", params={"q": query, "limit": "100"}).json()["traces"]) == found


def test_the_fake_admits_what_it_does_not_understand(tempo):
    """What may be right but was not written for is an error of the test, no answer."""
    client = httpx.Client(transport=httpx.MockTransport(tempo), base_url="http://tempo")

    for query in ("{} >> {}", "{ span.a + 1 = 2 }", "{} | rate()", "{ link.a = 1 }", "{ span.a = nil }"):
        with pytest.raises(NotImplementedError):
            client.get("/api/search", params={"q": query})


@pytest.mark.parametrize(
    "trace",
    [
        {"traceID": "../../etc/passwd"},
        {"traceID": "\x1b]52;c;eA==\x07"},
        {"traceID": "1" * 33},
        {"traceID": 7.5},
        {"traceID": {"a": 1}},
        {"traceID": "a?start=1"},
        {"traceID": "\ud800"},
        {},
    ],
    ids=str,
)
def test_ids_that_are_none_are_not_asked_for(trace, tempo):
    """Nothing but hex digits becomes part of an address; it is said once, and no terminal obeys it."""
    good = next(iter(tempo.traces)).lstrip("0")
    tempo.answers["/api/search"] = httpx.Response(200, content=json.dumps({"traces": [trace, {"traceID": good}]}))
    found, report = read(tempo)

    assert len(found) == 1
    assert tempo.fetched == [good]
    (warning,) = report.warnings
    assert "invalid trace IDs" in warning.reason
    assert "\x1b" not in warning.reason


@pytest.mark.parametrize(
    "start", [-1, 10**40, "9" * 5000, "-5", "x", 1e400, [], {}, True, None], ids=lambda s: f"{s}"[:9]
)
def test_odd_times_are_no_times(start, tempo):
    """A trace whose start cannot be asked for is asked for without one."""
    good = next(iter(tempo.traces)).lstrip("0")
    text = json.dumps({"traces": [{"traceID": good, "startTimeUnixNano": start}]}).replace("Infinity", "1e400")
    tempo.answers["/api/search"] = httpx.Response(200, text=text)

    assert len(read(tempo)[0]) == 1
    assert tempo.refused == []


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"traces": 5}', '{"traces": {"a": 1}}', '"x"', "null", "\x00"])
def test_answers_that_are_no_search(text, tempo):
    """Each is a sentence, or no traces."""
    tempo.answers["/api/search"] = httpx.Response(200, text=text)
    try:
        found, _ = read(tempo)
    except audit.SourceError as error:
        assert "did not answer as Tempo does" in str(error)  # noqa: PT017 - either is right
    else:
        assert found == []


def test_searches_are_bounded():
    """Five hundred traces in every second are not searched second by second for an hour."""
    searches = []

    def crowded(asked):
        if asked.url.path != "/api/search":
            return httpx.Response(404, text="trace not found")
        searches.append(asked.url.params["start"])
        found = [{"traceID": f"{n + 1:x}", "startTimeUnixNano": str(START)} for n in range(5)]
        return httpx.Response(200, json={"traces": found})

    found, report = read(crowded, limit=5, until=START + 3600 * SECOND)

    assert found == []
    assert len(searches) < 300
    assert any("not all were found: ask for less time" in str(warning) for warning in report.warnings)


def test_a_span_that_tempo_gives_twice_counts_once(tempo):
    """Tempo keeps copies of a trace; a request in two of them is one."""
    trace = next(iter(tempo.traces))
    tempo.traces[trace] = tempo.traces[trace] * 2
    found, report = read(tempo)

    assert len(found) == 40
    assert report.repeats == 1
