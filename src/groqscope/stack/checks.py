"""Send a test span and a test metric as an application would, and check that they arrive.

Each link is checked separately, so that the report names the first broken one: application to collector, collector to
Tempo, collector to Prometheus, Grafana to both, dashboards.
"""

import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from groqscope import semconv
from groqscope._exchange import AnswerTooLongError, exchange
from groqscope._visible import visible

if TYPE_CHECKING:
    import httpx

State = Literal["ok", "broken", "unknown"]
"""`unknown`: not checked, because a link before it is broken, or there was nothing to check."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link, whether it works, and what to do when it does not."""

    name: str
    state: State
    detail: str
    remedy: str | None = None


SERVICE: Final = "groqscope-stack-check"
METRIC: Final = semconv.STACK_CHECK
SERIES: Final = METRIC.replace(".", "_")
"""The metric's name in Prometheus."""
DASHBOARDS: Final = ("groq-overview", "groq-latency", "groq-audit", "groq-pipeline")
TEMPO_UID: Final = "groqscope-tempo"
PROMETHEUS_UID: Final = "groqscope-prometheus"
_REQUESTS: Final = (
    'count(last_over_time(gen_ai_client_operation_duration_seconds_count{gen_ai_provider_name="groq"}[1d]))'
)
_SENT: Final = "application -> collector"
_UNTRUSTED: Final = "its certificate is not trusted"
_NO_TLS: Final = "it does not speak TLS"
_NO_HTTP: Final = "the server there does not speak HTTP"
_CLOSED: Final = "the server there closed the connection without an answer"
_POLL_S: Final = 0.5
_ANSWER_S: Final = 5.0
"""Time limit for one response, up to its last byte."""
_ANSWER_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Addresses:
    """The URLs of the services, as this machine reaches them."""

    collector: str = "http://127.0.0.1:4318"
    tempo: str = "http://127.0.0.1:3200"
    prometheus: str = "http://127.0.0.1:9090"
    grafana: str = "http://127.0.0.1:3000"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers for the collector, from OTEL_EXPORTER_OTLP_HEADERS."""
    certificate: str | None = None
    """A file with the certificate authority of the collector, from OTEL_EXPORTER_OTLP_CERTIFICATE."""


@dataclass(frozen=True, slots=True)
class _Tools:
    client: "httpx.Client"
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    patience_s: float


class Probe:
    """One test: a span with an ID of its own, and a metric whose value is the time of the test in Unix seconds.

    As OTLP JSON, built by hand so that the application's providers are not involved.
    """

    def __init__(self, now_ns: int) -> None:
        self.trace_id = secrets.token_hex(16)
        self.value = now_ns // 10**9
        self._now_ns = now_ns

    def traces(self) -> dict[str, Any]:
        """Return the span as an OTLP request."""
        span = {
            "traceId": self.trace_id,
            "spanId": secrets.token_hex(8),
            "name": METRIC,
            "kind": 1,
            "startTimeUnixNano": str(self._now_ns - 1_000_000),
            "endTimeUnixNano": str(self._now_ns),
        }
        return {"resourceSpans": [{**_resource(), "scopeSpans": [{"scope": {"name": semconv.SCOPE}, "spans": [span]}]}]}

    def metrics(self) -> dict[str, Any]:
        """Return the metric as an OTLP request."""
        point = {"timeUnixNano": str(self._now_ns), "asInt": str(self.value)}
        metric = {"name": METRIC, "description": "Time of the last stack check", "gauge": {"dataPoints": [point]}}
        scope = {"scope": {"name": semconv.SCOPE}, "metrics": [metric]}
        return {"resourceMetrics": [{**_resource(), "scopeMetrics": [scope]}]}


def _resource() -> dict[str, Any]:
    return {"resource": {"attributes": [{"key": semconv.SERVICE_NAME, "value": {"stringValue": SERVICE}}]}}


def check(
    addresses: Addresses,
    *,
    patience_s: float = 20,
    client: "httpx.Client | None" = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Link]:
    """Check the links one by one, and yield each result as it is known.

    Args:
        addresses: the services.
        patience_s: how many seconds a span or a metric may take to arrive.
        client: the HTTP client; by default one that uses no proxy.
        clock: Unix seconds.
        sleep: called between two polls.
    """
    import httpx

    trusted = httpx.create_ssl_context(trust_env=False)
    untrusted = _trust(trusted, addresses.certificate)
    with client or httpx.Client(trust_env=False, timeout=_ANSWER_S, verify=trusted) as used:
        tools = _Tools(used, clock, sleep, patience_s)
        probe = Probe(int(clock() * 1e9))
        sent = untrusted or _send(tools, addresses, probe)
        yield sent
        yield _tempo(tools, addresses, probe) if sent.state == "ok" else _after("collector -> Tempo", sent)
        yield _prometheus(tools, addresses, probe) if sent.state == "ok" else _after("collector -> Prometheus", sent)
        yield _groq_metrics(tools, addresses)
        yield from _grafana(tools, addresses)


def _after(name: str, broken: Link) -> Link:
    return Link(name, "unknown", f"not tried, since {broken.name} is broken")


def _trust(trusted: ssl.SSLContext, certificate: str | None) -> Link | None:
    """Trust a certificate authority; return the broken link if its file cannot be read."""
    if certificate is None:
        return None
    try:
        trusted.load_verify_locations(certificate)
    except OSError as error:
        detail = f"OTEL_EXPORTER_OTLP_CERTIFICATE {certificate}: {error.strerror or error}"
        return Link(_SENT, "broken", detail, "set it to a PEM file with the authority's certificate")
    return None


def _send(tools: _Tools, addresses: Addresses, probe: Probe) -> Link:
    name, base = _SENT, addresses.collector.rstrip("/")
    for signal, body in (("traces", probe.traces()), ("metrics", probe.metrics())):
        answer, problem = _ask(tools, "POST", f"{base}/v1/{signal}", json=body, headers=dict(addresses.headers))
        if answer is None:
            return Link(name, "broken", f"{base}: {problem}", _remedy(base, problem))
        if answer.status_code in {401, 403}:
            remedy = "set OTEL_EXPORTER_OTLP_HEADERS, for example authorization=Bearer%20..."
            return Link(name, "broken", f"{base} requires authentication (HTTP {answer.status_code})", remedy)
        if "HTTPS server" in answer.text:
            return Link(name, "broken", f"{base} speaks TLS", f"use {base.replace('http:', 'https:')}")
        if answer.status_code >= 300:  # not a success
            remedy = "is this the collector's OTLP port? docker compose logs otel-collector"
            return Link(name, "broken", f"{base}/v1/{signal} answers HTTP {answer.status_code}", remedy)
    return Link(name, "ok", f"{base} accepted a test span and a test metric")


def _remedy(base: str, problem: str) -> str:
    """Return what to do about a collector that does not respond."""
    if problem == _UNTRUSTED:
        return "set OTEL_EXPORTER_OTLP_CERTIFICATE to the file of its certificate authority"
    if problem == _NO_TLS:
        return f"use {base.replace('https:', 'http:')}"
    if urlsplit(base).port == 4317:  # the port of OTLP over gRPC
        return f"use the HTTP port: {base.replace('4317', '4318')}"
    if problem in {_NO_HTTP, _CLOSED}:  # a TLS server may close before its alert is read
        return f"if it speaks TLS, use {base.replace('http:', 'https:')}"
    return "docker compose up -d"


def _tempo(tools: _Tools, addresses: Addresses, probe: Probe) -> Link:
    name, base = "collector -> Tempo", addresses.tempo.rstrip("/")
    answer, problem = _ask(tools, "GET", f"{base}/ready")
    if answer is None:
        return Link(
            name, "broken", f"Tempo at {base}: {problem}", "docker compose up -d tempo; docker compose logs tempo"
        )

    def arrived() -> bool:
        found, _ = _ask(tools, "GET", f"{base}/api/traces/{probe.trace_id}")
        return found is not None and found.status_code == 200 and SERVICE in found.text

    took = _wait(tools, arrived)
    if took is not None:
        return Link(name, "ok", f"Tempo returned the span after {took:.1f} s")
    ready = answer.status_code == 200
    remedy = "docker compose logs otel-collector tempo" if ready else "Tempo needs about 15 s to start: try again"
    state = "is ready" if ready else f"is not ready ({visible(answer.text.strip(), limit=80)})"
    return Link(name, "broken", f"Tempo {state}, but the span did not arrive within {tools.patience_s:g} s", remedy)


def _prometheus(tools: _Tools, addresses: Addresses, probe: Probe) -> Link:
    name, base = "collector -> Prometheus", addresses.prometheus.rstrip("/")
    answer, problem = _ask(tools, "GET", f"{base}/-/ready")
    if answer is None:
        return Link(name, "broken", f"Prometheus at {base}: {problem}", "docker compose up -d prometheus")

    def arrived() -> bool:
        value = _value(tools, base, f"max({SERIES})")
        return value is not None and value >= probe.value

    took = _wait(tools, arrived)
    if took is not None:
        return Link(name, "ok", f"the metric was found after {took:.1f} s")
    detail = f"Prometheus answers, but the metric did not arrive within {tools.patience_s:g} s"
    return Link(
        name,
        "broken",
        detail,
        "docker compose logs otel-collector prometheus; was it started with --web.enable-otlp-receiver?",
    )


def _groq_metrics(tools: _Tools, addresses: Addresses) -> Link:
    """Report whether any request to Groq was measured; having none is not an error."""
    name, base = "metrics of Groq requests", addresses.prometheus.rstrip("/")
    answer, problem = _ask(tools, "GET", f"{base}/-/ready")
    if answer is None:
        return Link(name, "unknown", f"not tried, since Prometheus at {base} does not respond: {problem}")
    if answer.status_code != HTTPStatus.OK:
        return Link(name, "unknown", f"not tried, since Prometheus at {base} answers HTTP {answer.status_code}")
    value = _value(tools, base, _REQUESTS)
    if value is None:
        remedy = "run an application with groqscope, or docker compose --profile demo up -d"
        return Link(name, "unknown", "no series in Prometheus in the last day", remedy)
    return Link(name, "ok", f"{int(value)} series of requests in Prometheus in the last day")


def _grafana(tools: _Tools, addresses: Addresses) -> Iterator[Link]:
    base = addresses.grafana.rstrip("/")
    answer, problem = _ask(tools, "GET", f"{base}/api/health")
    if answer is None:
        yield Link(
            "Grafana", "broken", f"{base}: {problem}", "docker compose up -d grafana; it takes ten seconds to start"
        )
        return
    yield _source(tools, base, "Prometheus", PROMETHEUS_UID, {"expr": "vector(1)", "instant": True})
    yield _source(tools, base, "Tempo", TEMPO_UID, None)
    missing = [d for d in DASHBOARDS if _status(tools, f"{base}/api/dashboards/uid/{d}") != 200]
    if missing:
        detail = f"Grafana lacks {', '.join(missing)}"
        yield Link("dashboards", "broken", detail, "is dashboards/json mounted? docker compose logs grafana")
    else:
        yield Link("dashboards", "ok", f"{base}/d/{DASHBOARDS[0]}")


def _source(tools: _Tools, base: str, kind: str, uid: str, query: dict[str, Any] | None) -> Link:
    """Query a data source through Grafana: Prometheus by the query API, Tempo by the proxy's echo endpoint."""
    name = f"Grafana -> {kind}"
    if query is None:
        answer, problem = _ask(tools, "GET", f"{base}/api/datasources/proxy/uid/{uid}/api/echo")
    else:
        target = {"refId": "A", "datasource": {"uid": uid}, **query}
        body = {"queries": [target], "from": "now-5m", "to": "now"}
        answer, problem = _ask(tools, "POST", f"{base}/api/ds/query", json=body)
    if answer is None:
        return Link(name, "broken", problem, "docker compose logs grafana")
    if answer.status_code != 200:
        detail = f"Grafana's data source {uid} answers HTTP {answer.status_code}"
        return Link(
            name, "broken", detail, "is stack/grafana/provisioning mounted, and the service up? docker compose ps"
        )
    return Link(name, "ok", f"data source {uid} answers")


def _value(tools: _Tools, base: str, query: str) -> float | None:
    answer, _ = _ask(tools, "GET", f"{base}/api/v1/query", params={"query": query})
    if answer is None or answer.status_code != 200:
        return None
    try:
        value = float(answer.json()["data"]["result"][0]["value"][1])
        return value if isfinite(value) else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None


def _status(tools: _Tools, url: str) -> int | None:
    answer, _ = _ask(tools, "GET", url)
    return None if answer is None else answer.status_code


def _ask(tools: _Tools, method: str, url: str, **options: Any) -> "tuple[httpx.Response | None, str]":
    """Send a request; return the response, or `None` and the reason why there is none."""
    import httpx

    try:
        request = tools.client.build_request(method, url, **options)
        return exchange(tools.client, request, seconds=_ANSWER_S, max_bytes=_ANSWER_BYTES), ""
    except httpx.ConnectError as error:
        return None, _unconnected(error)
    except httpx.TimeoutException:
        return None, f"no answer within {_ANSWER_S:g} s"
    except AnswerTooLongError as error:
        return None, str(error)
    except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
        return None, _NO_HTTP if isinstance(error, httpx.RemoteProtocolError) else _CLOSED
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return None, visible(f"{type(error).__name__}: {error}", limit=200)


def _unconnected(error: BaseException) -> str:
    """Return why the connection failed, from the exception's root cause."""
    while before := error.__cause__ or error.__context__:
        error = before
    if isinstance(error, ssl.SSLCertVerificationError):
        return _UNTRUSTED
    if isinstance(error, ssl.SSLError):
        return _NO_TLS
    return "the host name does not resolve" if isinstance(error, socket.gaierror) else "nothing listens there"


def _wait(tools: _Tools, arrived: Callable[[], bool]) -> float | None:
    """Poll until it has arrived; return how long that took, or `None` on timeout."""
    begin = tools.clock()
    while not arrived():
        if tools.clock() - begin >= tools.patience_s:
            return None
        tools.sleep(_POLL_S)
    return tools.clock() - begin
