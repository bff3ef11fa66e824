"""A ClickHouse that does not answer, or answers otherwise, and what is sent to it; its answers are in tests/stack."""

import socket
from urllib.parse import parse_qs

import httpx
import pytest

from groqscope import audit
from groqscope.audit.clickhouse import ClickHouseSource
from groqscope.audit.clickhouse_sql import translate
from groqscope.cli.app import run

NOT_THERE = "Code: 60. DB::Exception: Table otel.otel_traces does not exist. (UNKNOWN_TABLE) (version 26.9.2.1)"


def answering(answer, asked=None, **options):
    """Return a source whose server gives one answer to every question."""

    def answers(request):
        if asked is not None:
            asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = httpx.Client(transport=httpx.MockTransport(answers))
    return ClickHouseSource("http://groq:secret@127.0.0.1:8123/otel", client=client, **options)


def said(source):
    """Return the error of an audit."""
    with pytest.raises(audit.SourceError) as caught:
        audit.Records(source, audit.Query()).overview()
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (60, "there is no such table: the collector's exporter makes it"),
        (81, "there is no such database: write its name after the address"),
        (47, "the table lacks a column: stack/scale/clickhouse/requests.sql makes it"),
        (46, "update ClickHouse (26.9 is tested)"),
        (159, "it takes too long: ask for less with --since"),
        (164, "give it a profile with readonly = 2"),
        (241, "too little memory"),
        (497, "GRANT SELECT"),
        (516, "user or password is wrong: write http://user:password@"),
        (701, "there is no such cluster"),
        (9999, "it answers: something new"),
    ],
)
def test_an_error_says_what_to_do(code, expected):
    """Each with the address, and without the password."""
    text = said(answering(httpx.Response(500, text=f"Code: {code}. DB::Exception: something new (version 1)")))

    assert text.startswith("ClickHouse at http://127.0.0.1:8123/otel.otel_traces: ")
    assert expected in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(200, text="Ok.\n"), "did not answer as ClickHouse does: is the address right?"),
        (httpx.Response(200, text="[" * 100_000), "did not answer as ClickHouse does"),
        (httpx.Response(200, json={"data": [[1]]}), "did not answer as ClickHouse does"),
        (httpx.Response(200, json={"meta": [], "data": []}), "did not answer as ClickHouse does"),
        (httpx.Response(302, headers={"location": "http://elsewhere/"}), "answered 302: is it the HTTP port"),
        (httpx.Response(404, text="<html>\x1b[31mnothing"), "answered 404: <html>"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "cannot be reached (connection refused): is it running"),
        (httpx.ReadTimeout("slow"), "took longer than 120 s: ask for less with --since"),
        (httpx.RemoteProtocolError("Server disconnected"), "ended the connection (server disconnected): ask again"),
        (httpx.ReadError("[Errno 104] Connection reset by peer"), "ended the connection (connection reset by peer)"),
        (
            httpx.Response(200, text='{"meta": [], "data": [[1]Code: 241. DB::Exception: Memory limit exceeded'),
            "it has too little memory for that: ask for less with --since (Memory limit exceeded)",
        ),
    ],
    ids=str,
)
def test_what_is_no_clickhouse(answer, expected):
    """A sentence, whatever the other side says or does not say."""
    text = said(answering(answer))

    assert expected.replace("took longer than 120 s", "") in text.replace("took longer than 120 s", "")
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8123", "clickhouse://host", "http://", "http://h:0/", "http://h/?readonly=0", "http://[::1", ""]
)
def test_what_is_no_address(url):
    """Named, with an example; settings cannot be given by it."""
    with pytest.raises(audit.SourceError, match="is not an address: write for example http://127"):
        ClickHouseSource(url)


@pytest.mark.parametrize(
    "url", ["http://h/a;b", "http://h/otel?table=t--", "http://h/o/t", "http://h/otel?cluster=a'b", "http://h/o%60"]
)
def test_a_name_is_a_name(url):
    """What stands in a question as a name has nothing else in it."""
    with pytest.raises(audit.SourceError, match="is no name of a database, table or cluster"):
        ClickHouseSource(url)


def test_what_is_asked(monkeypatch):
    """Changes nothing, ends in time; credentials in headers; values as parameters, with their backslashes escaped."""
    asked = []
    source = answering(httpx.Response(200, json={"meta": [{"type": "UInt64"}] * 3, "data": [[0, 0, 0]]}), asked)
    requests = source.requests(audit.ReadReport(), 5, None, timelines=True)
    requests.ask("SELECT count(*) FROM (FROM stored) WHERE model = CAST($p0 AS VARCHAR)", {"p0": "a\\'b\n", "p1": 1.5})

    first, second = asked
    sent = {name: value for name, (value,) in parse_qs(second.url.query.decode()).items()}
    assert (sent["readonly"], sent["max_execution_time"], sent["param_p0"]) == ("2", "120", "a\\\\'b\\n")
    assert "param_p1" not in sent
    assert second.headers["x-clickhouse-user"] == "groq"
    assert second.headers["x-clickhouse-key"] == "secret"
    assert "secret" not in str(second.url)
    assert "CAST({p0:Nullable(String)} AS VARCHAR)" in second.content.decode().replace("( ", "(")
    assert "Timestamp >= fromUnixTimestamp64Nano(CAST(5 AS Int64))" in first.content.decode()
    monkeypatch.setenv("CLICKHOUSE_USER", "reader")
    assert ClickHouseSource("http://h/").server.headers == {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": ""}


def test_a_selection_that_no_url_can_hold():
    """Parameters are part of the URL, whose length is limited."""
    source = answering(httpx.Response(200, json={"meta": [{"type": "UInt64"}] * 3, "data": [[1, 1, 0]]}))
    with pytest.raises(audit.SourceError, match="the selection is too long: 60,000 characters can be sent"):
        audit.Records(source, audit.Query(models=("m" * 70_000,))).overview()


COUNTED = httpx.Response(200, json={"meta": [{"type": "UInt64"}] * 3, "data": [[5, 5, 0]]})


def asked_of(answers):
    """Return a source whose server gives some answers, and then the last of them forever."""
    left = list(answers)
    client = httpx.Client(transport=httpx.MockTransport(lambda _: left.pop(0) if len(left) > 1 else left[0]))
    return ClickHouseSource("http://127.0.0.1:8123/otel", client=client)


@pytest.mark.parametrize(
    "later",
    [
        [],
        [[]],
        [[None]],
        [[1, 2]],
        [["x"] * 3],
        [[{"a": 1}] * 14],
        [["a" * 32, "b"] * 7] * 1_000,
        [[1, "a", "b"]] * 500,
        [["0" * 32]] * 20_000,
    ],
    ids=["none", "empty", "null", "two", "texts", "objects", "endless spans", "endless requests", "endless traces"],
)
def test_what_is_no_answer_to_the_question(later):
    """A server that answers the first question right and then something else, whatever is asked; and it ends."""
    garbage = httpx.Response(200, json={"meta": [{"type": "String"}] * len(later[0] if later else []), "data": later})
    counted = httpx.Response(200, json={"meta": [{"type": "UInt64"}], "data": [[5]]})
    asks = (
        lambda source: list(audit.Records(source, audit.Query())),
        lambda source: audit.Records(source, audit.Query(by="user")).overview(),
        lambda source: audit.Records(source, audit.Query()).request("abcdef"),
        lambda source: audit.compare(*[audit.Records(source, audit.Query())] * 2),
        lambda source: audit.list_runs(audit.trace_source(source), audit.Query()),
        lambda source: audit.one_run(audit.trace_source(source), audit.Query(), "a" * 32),
    )
    for ask in asks[not later :]:  # a list of nothing is an answer
        for before in ([COUNTED], [COUNTED, counted]):
            with pytest.raises(audit.AuditError) as caught:
                ask(asked_of([*before, garbage]))
            assert "Traceback" not in str(caught.value)
            assert "127.0.0.1:8123/otel.otel_traces" in str(caught.value)


def test_a_text_that_is_none():
    """Half of a surrogate pair, as a byte that is not UTF-8 becomes on the command line."""
    for make in (
        lambda: audit.Query(models=("\ud800",)),
        lambda: audit.Query(services=("\udcff",)),
        lambda: audit.Query(where="user = '\ud800'"),
    ):
        with pytest.raises(audit.AuditError, match="is not valid text: it is not UTF-8"):
            make()
    with pytest.raises(audit.NotFound, match="is no ID: it is not UTF-8"):
        audit.Records(answering(COUNTED), audit.Query()).request("abcdef\ud800")


def test_the_command_ends_with_status_2(capsys):
    """A port where nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://user:hunter2@127.0.0.1:{nobody.getsockname()[1]}/otel"
        assert run(["audit", "--clickhouse", address]) == 2
    said = capsys.readouterr().err
    assert "cannot be reached (connection refused): is it running, and the address right?" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("len(list_filter(x, lambda a: a.b > 1))", "toInt64(length(arrayFilter(a -> a.b > 1, x)))"),
        ("TRY_CAST(x * 1e-09 AS HUGEINT)", "accurateCastOrNull(roundBankers(x * 1e-09), 'Int64')"),
        ("quantile_disc(x, [0.5, 0.25])", "quantilesExact(0.5 , 0.25)(x)"),
        ("a IS NOT DISTINCT FROM b", "a IS NOT DISTINCT FROM b"),
        ("'it''s (' || x", "'it''s (' || x"),
        ("$p0", "{p0:Nullable(String)}"),
        ("$p1", "{p1:Float64}"),
    ],
)
def test_what_is_said_otherwise(ours, theirs):
    """Functions, literals and parameters."""
    assert translate(f"SELECT {ours}", {"p0": "x", "p1": 1.5}, {}) == f"SELECT {theirs}"


def test_the_shards_of_a_cluster_count():
    """The outermost select counts where the rows are; the newest of all are chosen among those of each."""
    tables = {"stored": "SELECT 1 AS a"}
    asked = "WITH requests AS (SELECT a FROM (FROM stored)) SELECT count(*) FROM requests WHERE a > 1"
    of_last = asked.replace("(FROM stored))", "(FROM stored) ORDER BY a DESC LIMIT 5)")

    counted = translate(asked, {}, tables, "c")
    assert "FROM cluster('c', view(SELECT a FROM (SELECT 1 AS a) AS stored)) AS requests WHERE" in counted
    assert "(SELECT * FROM cluster('c', view(" in translate(of_last, {}, tables, "c")
    assert ") AS requests ORDER BY a DESC LIMIT 5) AS requests" in translate(of_last, {}, tables, "c")
