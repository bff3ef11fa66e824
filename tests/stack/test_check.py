"""Here: `groqscope stack check` against services whole, missing, or not what they seem; no service is needed."""

import base64
import copy
import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.tempo import FakeTempo

from groqscope.cli.app import run
from groqscope.stack import Addresses, Link, check

TEMPO = 3200


def _protobuf(sent: Any) -> ExportTraceServiceRequest:
    """Read OTLP in JSON, whose IDs are hexadecimal where protobuf's own JSON has base64."""
    sent = copy.deepcopy(sent)
    for span in (s for r in sent["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]):
        for key in ("traceId", "spanId"):
            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    return ParseDict(sent, ExportTraceServiceRequest())


class Fake:
    """All services at once, each answering as told."""

    def __init__(self) -> None:
        self.down: set[int] = set()
        """Ports where nothing listens."""
        self.status: dict[str, int] = {}
        """Answers by path."""
        self.words: dict[str, str] = {}
        """What is answered with HTTP 400, by path."""
        self.loses: set[str] = set()
        """Signals that the collector takes and does not pass on."""
        self.tempo = FakeTempo()
        self.requests = True
        self.sent: dict[str, Any] = {}
        self.headers: httpx.Headers | None = None
        self.now = 1_800_000_000.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.url.port in self.down:
            raise httpx.ConnectError("refused")
        if path in self.words:
            return httpx.Response(400, text=self.words[path])
        if path in self.status:
            return httpx.Response(self.status[path])
        if request.url.port == TEMPO:
            return self.tempo(request)
        if path.startswith("/v1/"):
            self.headers = request.headers
            signal = path.removeprefix("/v1/")
            self.sent[signal] = json.loads(request.content)
            if signal == "traces" and signal not in self.loses:
                self.tempo.keep(_protobuf(self.sent[signal]))
        if path == "/api/v1/query":
            return self._value(request.url.params["query"])
        return httpx.Response(200, json={})

    def _value(self, query: str) -> httpx.Response:
        if query.startswith("count("):
            values = ["12"] if self.requests else []
        else:
            values = [] if "metrics" in self.loses else [str(int(self.now))]
        return httpx.Response(200, json={"data": {"result": [{"value": [0, v]} for v in values]}})

    def links(self, addresses: Addresses | None = None) -> dict[str, Link]:
        """Check, without waiting for real."""

        def sleep(seconds: float) -> None:
            self.now += seconds

        client = httpx.Client(transport=httpx.MockTransport(self))
        found = check(addresses or Addresses(), patience_s=3, client=client, clock=lambda: self.now, sleep=sleep)
        return {link.name: link for link in found}


@pytest.fixture
def fake() -> Fake:
    """Services that are whole."""
    return Fake()


def _broken(links: dict[str, Link]) -> list[str]:
    return [name for name, link in links.items() if link.state == "broken"]


def test_whole(fake: Fake):
    """All links are judged, and none is broken."""
    links = fake.links()

    assert list(links) == [
        "application -> collector",
        "collector -> Tempo",
        "collector -> Prometheus",
        "metrics of Groq requests",
        "Grafana -> Prometheus",
        "Grafana -> Tempo",
        "dashboards",
    ]
    assert {link.state for link in links.values()} == {"ok"}
    assert fake.tempo.refused == []


def _no_collector(fake: Fake) -> None:
    fake.down.add(4318)


def _no_tempo(fake: Fake) -> None:
    fake.down.add(3200)


def _lost_spans(fake: Fake) -> None:
    fake.loses.add("traces")


def _no_prometheus(fake: Fake) -> None:
    fake.down.add(9090)


def _lost_metrics(fake: Fake) -> None:
    fake.loses.add("metrics")


def _no_grafana(fake: Fake) -> None:
    fake.down.add(3000)


def _no_source(fake: Fake) -> None:
    fake.status["/api/ds/query"] = 404


def _no_tempo_in_grafana(fake: Fake) -> None:
    fake.status["/api/datasources/proxy/uid/groqscope-tempo/api/echo"] = 502


def _no_dashboard(fake: Fake) -> None:
    fake.status["/api/dashboards/uid/groq-audit"] = 404


@pytest.mark.parametrize(
    ("breaks", "name", "words"),
    [
        (_no_collector, "application -> collector", "nothing listens there"),
        (_no_tempo, "collector -> Tempo", "nothing listens there"),
        (_lost_spans, "collector -> Tempo", "the span did not arrive within 3 s"),
        (_no_prometheus, "collector -> Prometheus", "nothing listens there"),
        (_lost_metrics, "collector -> Prometheus", "the metric did not arrive within 3 s"),
        (_no_grafana, "Grafana", "nothing listens there"),
        (_no_source, "Grafana -> Prometheus", "HTTP 404"),
        (_no_tempo_in_grafana, "Grafana -> Tempo", "HTTP 502"),
        (_no_dashboard, "dashboards", "lacks groq-audit"),
    ],
)
def test_the_broken_link_is_named(breaks: Callable[[Fake], None], name: str, words: str, fake: Fake):
    """One thing is broken, and that link is named, with what is wrong and what to do."""
    breaks(fake)
    links = fake.links()

    assert _broken(links) == [name]
    assert words in links[name].detail
    assert links[name].remedy


def test_behind_a_broken_collector_nothing_is_guessed(fake: Fake):
    """What cannot be known is neither whole nor broken."""
    fake.down.add(4318)
    links = fake.links()

    assert links["collector -> Tempo"].state == "unknown"
    assert links["collector -> Prometheus"].state == "unknown"


@pytest.mark.parametrize(
    ("status", "words", "remedy"),
    [
        (401, "requires authentication", "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "answers HTTP 404", "is this the collector's OTLP port?"),
        (503, "answers HTTP 503", "docker compose logs otel-collector"),
    ],
)
def test_a_collector_that_says_no(status: int, words: str, remedy: str, fake: Fake):
    """Its answer decides what to do."""
    fake.status["/v1/traces"] = status
    link = fake.links()["application -> collector"]

    assert words in link.detail
    assert remedy in (link.remedy or "")


def test_a_port_that_speaks_tls_is_recognised(fake: Fake):
    """Who leaves out the s of https is told so, by what Go's servers answer."""
    fake.words["/v1/traces"] = "Client sent an HTTP request to an HTTPS server.\n"
    link = fake.links()["application -> collector"]

    assert link.remedy == "use https://127.0.0.1:4318"


def test_a_connection_that_is_cut_may_be_one_that_wants_tls():
    """A TLS server may hang up before its words are read: then the hint is given all the same."""

    def cut(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("Connection reset by peer")

    client = httpx.Client(transport=httpx.MockTransport(cut))
    link = next(iter(check(Addresses(), client=client, sleep=lambda _: None)))

    assert "closed the connection" in link.detail
    assert link.remedy == "if it speaks TLS, use https://127.0.0.1:4318"


def test_a_certificate_that_is_not_there_is_told(fake: Fake):
    """Nothing is sent without the authority that was asked for."""
    links = fake.links(Addresses(certificate="/no/such/file"))

    assert _broken(links) == ["application -> collector"]
    assert "/no/such/file: No such file or directory" in links["application -> collector"].detail
    assert fake.sent == {}


def test_a_name_that_no_machine_has():
    """A misspelt host is told from a port where nothing listens."""

    def nowhere(_: httpx.Request) -> httpx.Response:
        try:
            raise socket.gaierror(-2, "Name or service not known")
        except socket.gaierror as error:
            raise httpx.ConnectError("no") from error

    client = httpx.Client(transport=httpx.MockTransport(nowhere))
    link = next(iter(check(Addresses(), client=client, sleep=lambda _: None)))

    assert "the host name does not resolve" in link.detail


def test_the_port_of_grpc_is_recognised(fake: Fake):
    """Who gives port 4317 is told the one for HTTP."""
    fake.down.add(4317)
    link = fake.links(Addresses(collector="http://127.0.0.1:4317"))["application -> collector"]

    assert link.remedy == "use the HTTP port: http://127.0.0.1:4318"


def test_no_requests_yet_is_no_fault(fake: Fake):
    """A fresh stack is whole, and says how to get something into it."""
    fake.requests = False
    links = fake.links()

    assert _broken(links) == []
    assert "--profile demo" in (links["metrics of Groq requests"].remedy or "")


def test_nothing_is_said_of_a_prometheus_that_is_away(fake: Fake):
    """Whether it has metrics of requests is not known then."""
    fake.down.add(9090)
    link = fake.links()["metrics of Groq requests"]

    assert link.state == "unknown"
    assert link.detail == "not tried, since Prometheus at http://127.0.0.1:9090 does not respond: nothing listens there"


def test_a_prometheus_that_is_not_ready_says_nothing_of_requests(fake: Fake):
    """An answer of 503 is not the absence of requests."""
    fake.status["/-/ready"] = 503
    link = fake.links()["metrics of Groq requests"]

    assert link.state == "unknown"
    assert link.detail == "not tried, since Prometheus at http://127.0.0.1:9090 answers HTTP 503"


def test_headers_are_sent(fake: Fake):
    """What the collector asks for is given to it."""
    fake.links(Addresses(headers={"authorization": "Bearer x"}))

    assert fake.headers is not None
    assert fake.headers["authorization"] == "Bearer x"


def test_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command prints each link, names the broken one last, and its exit status says so."""
    seen: list[Addresses] = []

    def links(addresses: Addresses, *, patience_s: float) -> list[Link]:
        seen.append(addresses)
        return [Link("a -> b", "ok", "fine"), Link("b -> c", "broken", f"{patience_s:g}", "mend it")]

    monkeypatch.setattr("groqscope.stack.check", links)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,team=a")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.crt")
    status = run(["stack", "check", "--timeout", "7"])
    text = capsys.readouterr().out

    assert status == 1
    assert text.splitlines() == [
        "ok      a -> b                     fine",
        "BROKEN  b -> c                     7",
        "                                   mend it",
        "",
        "Broken: b -> c",
    ]
    assert seen[0].collector == "http://collector:4318"
    assert seen[0].headers == {"authorization": "Bearer x", "team": "a"}
    assert seen[0].certificate == "/etc/ca.crt"


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`--json` has the same links."""
    monkeypatch.setattr("groqscope.stack.check", lambda *_, **__: [Link("a -> b", "ok", "fine")])
    status = run(["stack", "check", "--json"])

    assert status == 0
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "ok": True,
        "links": [{"name": "a -> b", "state": "ok", "detail": "fine", "remedy": None}],
    }


@pytest.mark.parametrize("address", ["localhost:3200", "http://[::1", "http://127.0.0.1:99999"])
def test_a_wrong_address_is_told_before_anything_is_sent(address: str, capsys: pytest.CaptureFixture[str]):
    """The option is named, and what to write instead."""
    status = run(["stack", "check", "--tempo", address])

    assert status == 2
    assert f"--tempo {address!r} is not a URL" in capsys.readouterr().err


def test_a_wrong_header_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    """The variable is named, its value, which may be a secret, is not; the links are looked at without it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20%C3%BC")
    nobody = "http://127.0.0.1:1"
    options = [part for name in ("collector", "tempo", "prometheus", "grafana") for part in (f"--{name}", nobody)]
    status = run(["stack", "check", "--timeout", "0.1", *options])
    (said,) = [message for message in caplog.messages if "OTEL_EXPORTER_OTLP_HEADERS" in message]

    assert status == 1  # nobody listens there
    assert "entry 1 of 1" in said
    assert "Bearer" not in caplog.text + "".join(capsys.readouterr())
