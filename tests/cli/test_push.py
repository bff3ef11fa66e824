"""`groqscope push`: every line once, to an endpoint that may falter."""

import gzip
import json

import httpx
import pytest
from support.files import write_store
from support.traffic import request, traffic

from groqscope.audit import AuditError, SourceError
from groqscope.cli._main import run
from groqscope.cli._sending import MAX_WAIT, Ledger, Sender, headers_of, send_files
from groqscope.store import ReadReport, store_directory

URL = "http://collector:4318"


class Collector:
    """An OTLP endpoint that remembers spans and answers as it is told."""

    def __init__(self):
        self.spans = []
        self.requests = []
        self.answers = []

    def __call__(self, asked):
        self.requests.append(asked)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200, json={})
        if isinstance(answer, Exception):
            raise answer
        if answer.is_success:
            for group in json.loads(asked.content).get("resourceSpans", ()):
                self.spans += [span["spanId"] for scope in group["scopeSpans"] for span in scope["spans"]]
        return answer


@pytest.fixture
def collector():
    """An endpoint that takes everything."""
    return Collector()


def push(collector, *paths, again=False, waited=None, headers=()):
    waited = [] if waited is None else waited
    client = httpx.Client(transport=httpx.MockTransport(collector))
    sender = Sender(URL, headers, client=client, wait=waited.append)
    report = ReadReport()
    with sender:
        sent = send_files(map(str, paths), sender, Ledger(URL, forget=again), report)
    return sent, report


@pytest.fixture
def file(tmp_path):
    """Ten lines of two spans."""
    return write_store(tmp_path / "files", [request(n) for n in range(20)], batch=2)


def test_every_span_once(collector, file):
    """All spans arrive; the second time nothing is sent."""
    first, _ = push(collector, file)
    again, _ = push(collector, file)

    assert sorted(collector.spans) == sorted(f"{n + 1:016x}" for n in range(20))
    assert (first.lines, first.before) == (10, 0)
    assert (again.lines, again.before) == (0, 10)
    assert str(collector.requests[0].url) == f"{URL}/v1/traces"
    assert collector.requests[0].headers["content-type"] == "application/json"


def test_a_file_that_grew(collector, file):
    """Only what was added is sent."""
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4]))
    push(collector, file)
    file.write_text("".join(lines))
    sent, _ = push(collector, file)

    assert (sent.lines, sent.before) == (6, 4)
    assert len(collector.spans) == len(set(collector.spans)) == 20


def test_a_file_that_was_moved_or_compressed(collector, file, tmp_path):
    """A file is known by what is in it, not by its name."""
    push(collector, file)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))

    assert push(collector, packed)[0].lines == 0


def test_another_endpoint_has_not_seen_it(collector, file):
    """What was sent is remembered by endpoint."""
    push(collector, file)

    assert Ledger("http://elsewhere:4318").sent("x") == 0
    assert push(collector, file, again=True)[0].lines == 10


def test_it_goes_on_where_it_stopped(collector, file, monkeypatch):
    """An endpoint that dies in between: what it accepted is not sent again."""
    monkeypatch.setattr("groqscope.cli._sending.BATCH", 1)
    collector.answers = [httpx.Response(200)] * 4 + [httpx.Response(500, text="disk full")]
    with pytest.raises(SourceError, match="answered 500: disk full; run the same command again"):
        push(collector, file)
    sent, _ = push(collector, file)

    assert (sent.before, sent.lines) == (4, 6)
    assert len(collector.spans) == len(set(collector.spans)) == 20


def test_patience(collector, file):
    """429 and 503 are tried again after the time the endpoint asks for, within reason."""
    waited = []
    collector.answers = [
        httpx.Response(429, headers={"retry-after": "3"}),
        httpx.Response(503),
        httpx.Response(503, headers={"retry-after": "9999"}),
    ]
    sent, _ = push(collector, file, waited=waited)

    assert sent.lines == 10
    assert waited == [3.0, 2.0, MAX_WAIT]


def test_patience_ends(collector, file):
    """An endpoint that stays busy is given up on."""
    waited = []
    collector.answers = [httpx.Response(503)] * 10

    with pytest.raises(SourceError, match="answered 503"):
        push(collector, file, waited=waited)
    assert len(waited) == 5


def test_a_broken_connection_is_tried_again(collector, file, monkeypatch):
    """After the endpoint has answered once, a broken connection is worth another try."""
    monkeypatch.setattr("groqscope.cli._sending.BATCH", 1)
    collector.answers = [httpx.Response(200), httpx.ReadError("gone")]

    assert push(collector, file)[0].lines == 10


def test_an_address_that_never_answered(collector, file):
    """It is told at once."""
    waited = []
    collector.answers = [httpx.ConnectError("refused")]

    with pytest.raises(SourceError, match=r"cannot be reached \(refused\)"):
        push(collector, file, waited=waited)
    assert waited == []


def test_what_is_rejected_is_told(collector, file):
    """Partial success is counted, with the endpoint's reason."""
    collector.answers = [
        httpx.Response(200, json={"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}})
    ]
    sent, _ = push(collector, file)

    assert sent.sentence(URL) == f"sent 10 lines to {URL}, 3 entries were rejected (too old)"


def test_a_torn_last_line_waits(collector, file):
    """A line still being written is sent when it is whole."""
    whole = file.read_text()
    file.write_text(whole[:-200])
    first, report = push(collector, file)
    file.write_text(whole)
    second, _ = push(collector, file)

    assert (first.lines, second.lines) == (9, 1)
    assert report.warnings == []


def test_a_broken_line_is_told(collector, file):
    """The others are sent."""
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], "{oops", *lines[1:]]) + "\n")
    sent, report = push(collector, file)

    assert sent.lines == 10
    assert "not OTLP JSON, not sent" in str(report.warnings[0])


def test_metrics_go_to_their_own_address(collector, tmp_path):
    """The signal of a line decides its path."""
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"resourceMetrics":[{"scopeMetrics":[]}]}\n')
    push(collector, metrics)

    assert collector.requests[0].url.path == "/v1/metrics"


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [(None, "where to"), ("collector:4318", "is no address"), ("ftp://x", "is no address")],
)
def test_no_address(endpoint, message):
    """Without an address, or with a wrong one, nothing is sent."""
    with pytest.raises(AuditError, match=message):
        Sender(endpoint)


def test_an_address_of_one_signal_is_used_as_it_is(collector):
    """An endpoint that names the path already gets no second one."""
    sender = Sender(f"{URL}/v1/traces/", client=httpx.Client(transport=httpx.MockTransport(collector)))
    with sender:
        sender.send("traces", b"{}")

    assert collector.requests[0].url.path == "/v1/traces"


def test_headers(monkeypatch):
    """Headers come from the environment, percent-encoded, and from the command line as they are."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=y")

    assert headers_of(["Authorization=Bearer t=1%20"]) == [
        ("api-key", "a b"),
        ("x", "y"),
        ("authorization", "Bearer t=1%20"),
    ]
    with pytest.raises(AuditError, match="--header: a header is written as NAME=VALUE"):
        headers_of(["nonsense"])


def test_the_command(monkeypatch, capsys):
    """The store is sent to the endpoint of the environment."""
    write_store(store_directory(), traffic(10))
    collector = Collector()
    client = httpx.Client(transport=httpx.MockTransport(collector))
    monkeypatch.setattr("httpx.Client", lambda **_: client)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", URL)

    assert run(["push"]) == 0
    assert capsys.readouterr().out == f"sent 1 line to {URL}\n"
    assert len(collector.spans) == 10


def test_the_command_without_an_address(capsys):
    """What is missing is said."""
    write_store(store_directory(), traffic(1))

    assert run(["push"]) == 2
    assert "name an --endpoint" in capsys.readouterr().err
