"""Records in a Tempo."""

import json
import socket
from dataclasses import replace

import httpx
import pytest
from support.files import write_store
from support.traffic import START, request

from groqscope import audit
from groqscope.audit.tempo import QUERY, TempoSource
from groqscope.store import ReadReport

SECOND = 1_000_000_000


class FakeTempo:
    """Answers searches and traces by id, as Tempo 2.9 does; a search gives at most `limit` traces."""

    def __init__(self, records, tmp_path):
        self.records = {r.trace_id.lstrip("0"): r for r in records}
        self.bodies = {}
        for number, (trace, record) in enumerate(self.records.items()):
            document = json.loads(write_store(tmp_path / str(number), [record]).read_text())
            self.bodies[trace] = {"batches": document["resourceSpans"]}
        self.searches = []
        self.fetched = []
        self.broken = {}

    def __call__(self, asked):
        if asked.url.path in self.broken:
            return self.broken[asked.url.path]
        if asked.url.path == "/api/search":
            return self.search(dict(asked.url.params))
        trace = asked.url.path.removeprefix("/api/traces/")
        self.fetched.append(trace)
        start = self.records[trace].start_unix_ns // SECOND
        assert int(asked.url.params["start"]) < start < int(asked.url.params["end"])
        return httpx.Response(200, json=self.bodies[trace])

    def search(self, params):
        assert params["q"] == QUERY
        self.searches.append((int(params["start"]), int(params["end"])))
        found = [
            {"traceID": trace, "startTimeUnixNano": str(record.start_unix_ns)}
            for trace, record in self.records.items()
            if int(params["start"]) <= record.start_unix_ns // SECOND < int(params["end"])
        ]
        return httpx.Response(200, json={"traces": found[: int(params["limit"])]})


@pytest.fixture
def tempo(tmp_path):
    """A Tempo with forty requests, one a second."""
    records = [replace(request(n), start_unix_ns=START + n * SECOND) for n in range(40)]
    return FakeTempo(records, tmp_path)


def read(tempo, *, limit=500, since=START, until=START + 100 * SECOND):
    client = httpx.Client(transport=httpx.MockTransport(tempo))
    source = TempoSource("http://127.0.0.1:3200/", client=client, limit=limit)
    report = ReadReport()
    return list(source.read(report, since=since, until=until, timelines=True)), report


def test_traces_are_searched_and_fetched(tempo):
    """One search, one fetch per trace, records equal to those written, earliest first."""
    records, report = read(tempo)

    assert records == list(tempo.records.values())
    assert len(tempo.searches) == 1
    assert report.records == 40


def test_a_full_answer_is_asked_again_in_halves(tempo):
    """Where the limit is reached the time is halved until nothing is missing and nothing comes twice."""
    records, _ = read(tempo, limit=7)

    assert records == list(tempo.records.values())
    assert len(tempo.fetched) == 40
    assert len(tempo.searches) > 10


def test_more_in_a_second_than_a_search_gives_is_said(tmp_path):
    """A second that holds too many traces cannot be halved: a warning says that some are missing."""
    tempo = FakeTempo([replace(request(n), start_unix_ns=START + n) for n in range(9)], tmp_path)
    records, report = read(tempo, limit=5)

    assert len(records) == 5
    assert "5 traces or more in one second" in str(report.warnings[0])


def test_only_the_time_asked_for(tempo):
    """A trace may reach into the time asked for; a record that starts before it does not count."""
    records, _ = read(tempo, since=START + 10 * SECOND + 1, until=START + 20 * SECOND)

    assert [r.span_id for r in records] == [f"{n + 1:016x}" for n in range(11, 20)]


def test_a_broken_trace_loses_nothing_else(tempo):
    """One trace that cannot be read is a warning."""
    trace = next(iter(tempo.records))
    tempo.broken[f"/api/traces/{trace}"] = httpx.Response(500, text="boom")
    records, report = read(tempo)

    assert len(records) == 39
    assert f"trace {trace} cannot be read" in str(report.warnings[0])


def test_a_trace_that_keeps_one_waiting_is_asked_for_again(tempo):
    """A busy Tempo lets single traces wait: each gets a second try."""
    slow = f"/api/traces/{next(iter(tempo.records))}"
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
    tempo.broken["/api/search"] = answer

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
    with pytest.raises(audit.SourceError, match="is no address"):
        audit.load(tempo=url)


def test_a_password_is_not_shown():
    """The name in reports is the address without user and password."""
    assert TempoSource("http://me:secret@tempo:3200/x").names == ("Tempo at http://tempo:3200/x",)


def test_a_tempo_that_nobody_runs():
    """The whole way, to a port of this machine where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(audit.SourceError, match=rf"Tempo at http://127.0.0.1:{port} cannot be reached"):
        audit.load(tempo=f"http://127.0.0.1:{port}").overview()


def test_a_trace_without_a_start_is_fetched_all_the_same(tempo):
    """The search may leave out what it does not know."""
    whole = tempo.search
    searched = []

    def search(params):
        searched.append(params)
        traces = whole(params).json()["traces"]
        return httpx.Response(200, json={"traces": [{**t, "startTimeUnixNano": "?"} for t in traces[:1]]})

    def answer(asked):
        if asked.url.path == "/api/search":
            return search(dict(asked.url.params))
        trace = asked.url.path.removeprefix("/api/traces/")
        return httpx.Response(200, json=tempo.bodies[trace])

    assert len(read(answer)[0]) == 1
    assert len(searched) == 1
