"""The services themselves, with an hour of traffic in them."""

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.context import Context
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from stack_support import traffic
from stack_support.boards import Target, filled, targets
from stack_support.services import COLLECTOR, GRAFANA, PROMETHEUS, ROOT, TEMPO, Services, as_many, run, until
from support.full_records import full_record, ordinary_record

from groqscope import semconv
from groqscope.audit import SourceError
from groqscope.audit.tempo import TempoSource
from groqscope.store import ReadReport

pytestmark = pytest.mark.stack

PICTURES = os.environ.get("GROQSCOPE_SCREENSHOTS")
RARE = {
    "groq-overview / Alerts that fire": "an internal error",
    "groq-pipeline / Refused, failed, given up": "failures, in test_collector.py",
}
"""Panels that are empty when all is well, and what fills them."""


def _is_rare(target: Target) -> bool:
    return f"{target.board} / {target.panel}" in RARE


def _values(result: dict[str, Any]) -> int:
    return sum(len(column) for frame in result["frames"] for column in frame["data"]["values"][1:])


def _find(services: Services, query: str) -> list[Any]:
    """Search as Grafana's page does: Tempo's API through Grafana."""
    now = int(time.time())
    params = {"q": query, "limit": 50, "start": now - 7200, "end": now}
    answer = services.http.get(f"{GRAFANA}/api/datasources/proxy/uid/groqscope-tempo/api/search", params=params)
    assert answer.status_code == 200, f"{query}\n{answer.text}"
    return answer.json()["traces"]


@pytest.mark.parametrize("target", [t for t in targets() if "expr" in t.query and not _is_rare(t)], ids=str)
def test_a_query_of_a_panel_returns_data(target: Target, services: Services, seeded: Any):
    """Every PromQL query of every panel, asked through Grafana, has values."""
    query = {**target.query, "expr": filled(target.query["expr"], range_s=3600), "refId": "A"}
    query |= {"intervalMs": 60_000, "maxDataPoints": 100}

    def values() -> int:
        # What the services tell of themselves begins when they are scraped, which is after the traffic ended.
        end = time.time() if target.board == "groq-pipeline" else seeded.end_s
        return _values(services.ask_grafana(query, seeded.start_s, end))

    if target.board == "groq-pipeline":
        until(query["expr"], values)
    assert values() > 0, query["expr"]


@pytest.mark.parametrize("target", [t for t in targets() if "expr" in t.query and _is_rare(t)], ids=str)
def test_a_query_that_may_be_empty_is_understood(target: Target, services: Services):
    """A query that has nothing to show in good times is answered all the same."""
    query = {**target.query, "expr": filled(target.query["expr"], range_s=3600), "refId": "A"}

    assert "frames" in services.ask_grafana(query, time.time() - 3600, time.time())


@pytest.mark.parametrize("target", [t for t in targets() if t.kind == "table" and "query" in t.query], ids=str)
def test_a_table_of_traces_has_rows(target: Target, services: Services, seeded: Any):
    """Every TraceQL query of the audit dashboard finds requests."""
    found = _find(services, filled(target.query["query"], range_s=3600))

    ours = {s.name for s in traffic.SERVICES}

    assert found
    assert {t["traceID"].rjust(32, "0") for t in found if t["rootServiceName"] in ours} <= {
        r.trace_id for r in seeded.sent.records
    }


def test_another_librarys_metrics_show_too(services: Services):
    """What only needs the standard metrics has values for a service that is measured by somebody else."""
    process = traffic.Process(traffic.Service("foreign", "test", 0, 0, 0, 0), random.Random(5))
    for number in range(40):
        error = "503" if number % 8 == 0 else None
        record = replace(ordinary_record(), outcome="error" if error else "completed", error_type=error)
        process.telemetry.metrics.record(record, [12_000_000], Context())
    request = ExportMetricsServiceRequest.FromString(process.metrics(time.time_ns()))
    scope = request.resource_metrics[0].scope_metrics[0]
    scope.scope.name = "another.library"
    standard = [m for m in scope.metrics if m.name.startswith("gen_ai.")]
    del scope.metrics[:]
    scope.metrics.extend(standard)
    services.post("metrics", request.SerializeToString())
    until(
        "its requests", lambda: services.total('gen_ai_client_operation_duration_seconds_count{service_name="foreign"}')
    )
    shown = [
        t
        for t in targets()
        if "gen_ai_client" in t.query.get("expr", "") and "groq" not in t.query["expr"].replace('="groq"', "")
    ]
    end = time.time()
    empty = []
    for target in shown:
        expr = filled(target.query["expr"], range_s=3600).replace('service_name=~".*"', 'service_name="foreign"')
        query = {**target.query, "expr": expr, "refId": "A", "intervalMs": 15_000, "maxDataPoints": 100}
        if not _values(services.ask_grafana(query, end - 600, end + 15)):
            empty.append(str(target))

    assert len(shown) > 12
    assert empty == []


def test_variables_narrow_a_table_of_traces(services: Services, seeded: Any):
    """A chosen service, model and environment leave others out; one that spans lack is no obstacle to `All`."""
    target = next(t for t in targets() if t.board == "groq-audit" and t.panel == "Failed")
    wide = filled(target.query["query"], range_s=3600)
    narrow = wide.replace('service.name =~ ".*" || ".*"', 'service.name =~ "document-agent" || "document-agent"')

    assert narrow != wide
    assert {t["rootServiceName"] for t in _find(services, narrow)} == {"document-agent"}
    bare = wide.replace("deployment.environment.name", "no.such.attribute")
    assert _find(services, bare)
    assert not _find(services, bare.replace('no.such.attribute =~ ".*" || ".*"', 'no.such.attribute =~ "x" || "x"'))


def test_the_trace_panel_shows_a_chosen_trace_and_nothing_before(services: Services, seeded: Any):
    """Grafana's own query for a trace gives its spans; the words in the field before one is chosen find none."""
    record = next(r for r in seeded.sent.ended if r.retries and r.stream)
    query = {"queryType": "traceId", "query": record.trace_id, "refId": "A", "datasource": {"uid": "groqscope-tempo"}}
    result = services.ask_grafana(query, seeded.start_s, seeded.end_s)
    board = services.get(f"{GRAFANA}/api/dashboards/uid/groq-audit")["dashboard"]
    before = next(v["query"] for v in board["templating"]["list"] if v["name"] == "trace")

    assert record.model in json.dumps(result)
    assert _find(services, before) == []


@pytest.mark.parametrize(
    "condition",
    [
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
    ],
)
def test_requests_are_found_by_their_attributes(condition: str, services: Services, seeded: Any):
    """TraceQL finds requests by what Groq said and by what was measured."""
    assert services.search(f"{{ span.groqscope.record = 1 && {condition} }}")


def test_a_request_is_found_by_its_id(services: Services, seeded: Any):
    """The id that Groq support asks for leads to exactly one trace."""
    record = next(r for r in seeded.sent.ended if r.request_id)
    found = services.search(f'{{ span.groq.request.id = "{record.request_id}" }}')

    assert [t["traceID"].rjust(32, "0") for t in found] == [record.trace_id]


def test_records_come_back_out_of_tempo_as_they_went_in(services: Services, seeded: Any):
    """Two minutes of requests, read back by the audit, are the records that were sent, to the last field."""
    since, until_ns = int((seeded.end_s - 600) * 1e9), int((seeded.end_s - 480) * 1e9)
    report = ReadReport()
    found = list(
        TempoSource(TEMPO, client=httpx.Client(trust_env=False)).read(
            report, since=since, until=until_ns, timelines=True
        )
    )
    sent = {r.trace_id: r for r in seeded.sent.ended if since <= r.start_unix_ns < until_ns}

    assert len(sent) > 20
    ours = {s.name for s in traffic.SERVICES}  # other tests send requests of that time, too
    assert {r.trace_id: r for r in found if r.service in ours} == sent
    assert not report.warnings


def test_a_span_with_every_attribute_is_stored_whole(services: Services):
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
    content = {"gen_ai.output.messages": words}
    sent = traffic.send_record(services.post, record, "whole", content)
    trace = until("the trace", lambda: services.trace(sent.trace_id or ""))
    spans = [s for b in trace["batches"] for scope in b["scopeSpans"] for s in scope["spans"]]
    span = next(s for s in spans if any(a["key"] == semconv.RECORD for a in s["attributes"]))
    attributes = {a["key"]: a["value"] for a in span["attributes"]}
    events = {e["name"]: {a["key"] for a in e.get("attributes", [])} for e in span["events"]}

    def back() -> list[Any]:
        source = TempoSource(TEMPO, client=httpx.Client(trust_env=False))
        since = record.start_unix_ns
        return [
            r for r in source.read(ReadReport(), since=since, until=since + 1, timelines=True) if r.service == "whole"
        ]

    # A trace is found by its ID at once, by a search once Tempo has written it down.
    assert until("the search to find it", back) == [sent]
    assert {a.name for a in (*semconv.FIELDS, *semconv.USAGE_BREAKDOWN)} <= attributes.keys()
    for event in semconv.EVENTS:
        assert {a.name for a in event.attributes} <= events[event.name]
    assert len(words) > 8192
    assert attributes["gen_ai.output.messages"]["stringValue"] == words


@pytest.mark.parametrize(
    "metric", [semconv.METRIC_DURATION, semconv.METRIC_TTFC, semconv.METRIC_TPOC, semconv.METRIC_PHASE]
)
def test_exemplars_lead_to_traces(metric: semconv.Metric, services: Services, seeded: Any):
    """The trace that an exemplar of a latency metric names is in Tempo."""
    name = f"{metric.name.replace('.', '_')}_seconds_bucket"
    found = services.get(f"{PROMETHEUS}/api/v1/query_exemplars", query=name, start=seeded.start_s, end=seeded.end_s)[
        "data"
    ]
    ids = sorted({e["labels"]["trace_id"] for series in found for e in series["exemplars"]})

    assert len(ids) > 50
    assert all(services.trace(i) for i in ids[:: len(ids) // 10])


@pytest.mark.parametrize("target", [t for t in targets() if t.query.get("exemplar")], ids=str)
def test_the_dots_of_a_panel_lead_to_traces(target: Target, services: Services, seeded: Any):
    """A latency panel's own query, asked through Grafana, brings exemplars, and each names a trace that is there."""
    query = {**target.query, "expr": filled(target.query["expr"], range_s=3600), "refId": "A"}
    query |= {"intervalMs": 60_000, "maxDataPoints": 100}
    frames = services.ask_grafana(query, seeded.start_s, seeded.end_s)["frames"]
    ids = {
        value
        for frame in frames
        for field, values in zip(frame["schema"]["fields"], frame["data"]["values"], strict=True)
        if field["name"] == "trace_id"
        for value in values
    }

    assert ids
    assert all(services.trace(i) for i in sorted(ids)[:3])


def test_counts_agree_from_end_to_end(services: Services, seeded: Any):
    """Prometheus counts by outcome what was sent; nothing is counted twice, and the first of its kind is seen."""
    instances = "|".join(seeded.sent.instances)
    expected: dict[str, int] = {}
    for record in seeded.sent.ended:
        expected[record.outcome] = expected.get(record.outcome, 0) + 1
    series = f'groqscope_stream_outcomes_total{{instance=~"{instances}"}}'
    counted = services.prometheus(f"sum by (groqscope_stream_outcome) ({series})", at=seeded.end_s)
    grown = services.prometheus(f"sum by (groqscope_stream_outcome) (increase({series}[2h]))", at=seeded.end_s)

    assert {s["metric"]["groqscope_stream_outcome"]: int(s["value"][1]) for s in counted} == expected
    for s in grown:
        outcome = s["metric"]["groqscope_stream_outcome"]
        assert float(s["value"][1]) == pytest.approx(expected[outcome], rel=0.02, abs=0.5)


def test_rules_are_loaded_and_evaluated(services: Services):
    """Prometheus has every rule, and each evaluates."""
    groups = until("rules evaluated", lambda: _evaluated(services), seconds=90)

    assert all(rule["health"] == "ok" for group in groups for rule in group["rules"])
    assert sum(rule["type"] == "alerting" for group in groups for rule in group["rules"]) == 9


def _evaluated(services: Services) -> Any:
    groups = services.get(f"{PROMETHEUS}/api/v1/rules")["data"]["groups"]
    return groups if all(rule["health"] != "unknown" for group in groups for rule in group["rules"]) else None


def test_an_alert_that_fires_is_shown(services: Services):
    """An internal error of groqscope fires its alert, and the panel of alerts shows it."""
    process = traffic.Process(traffic.Service("alerting", "test", 0, 0, 0, 0), random.Random(3))
    process.telemetry.metrics.internal_error("test")
    services.post("metrics", process.metrics(time.time_ns()))
    target = next(t for t in targets() if t.panel == "Alerts that fire")
    query = {**target.query, "refId": "A"}

    assert until("the alert", lambda: _values(services.ask_grafana(query, time.time() - 60, time.time())), seconds=90)


CHANGES = [
    ("POST", "dashboards/db", {"dashboard": {"title": "mine"}}),
    ("DELETE", "dashboards/uid/groq-overview", None),
    ("POST", "folders", {"title": "mine"}),
    ("POST", "datasources", {"name": "mine", "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:1"}),
    ("DELETE", "datasources/uid/groqscope-tempo", None),
    ("POST", "annotations", {"text": "mine", "dashboardUID": "groq-overview", "time": 1}),
    ("POST", "snapshots", {"dashboard": {"title": "mine"}}),
    ("POST", "playlists", {"name": "mine", "interval": "1m", "items": []}),
    ("POST", "library-elements", {"name": "mine", "model": {"type": "stat"}, "kind": 1}),
    ("POST", "v1/provisioning/alert-rules", {}),
    ("POST", "auth/keys", {"name": "mine", "role": "Admin"}),
    ("POST", "serviceaccounts", {"name": "mine"}),
    ("PUT", "org/preferences", {"theme": "light"}),
    ("PUT", "user/preferences", {"theme": "light"}),
    ("POST", "admin/users", {"login": "mine", "password": "mine"}),
]
"""What somebody who may write could do to Grafana."""


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[f"{m} {p}" for m, p, _ in CHANGES])
def test_a_visitor_can_change_nothing(method: str, path: str, body: Any, services: Services):
    """Without a login every change is refused."""
    answer = services.http.request(method, f"{GRAFANA}/api/{path}", json=body)

    assert answer.status_code in {401, 403}, answer.text


def test_a_visitor_can_look(services: Services):
    """Without a login dashboards open and cannot be saved; there is no well-known password."""
    assert services.get(f"{GRAFANA}/api/dashboards/uid/groq-overview")["meta"]["canSave"] is False
    assert services.http.get(f"{GRAFANA}/api/admin/stats", auth=("admin", "admin")).status_code == 401


def test_every_service_is_scraped(services: Services):
    """Prometheus reaches all four, by the names that rules use."""
    until("all four up", lambda: services.total("sum(up)") == 4)

    assert {s["metric"]["job"] for s in services.prometheus("up")} == {
        "otel-collector",
        "tempo",
        "prometheus",
        "grafana",
    }


def _check(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "import groqscope.cli; groqscope.cli.main()", "stack", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_stack_check_finds_every_link_whole(services: Services, seeded: Any):
    """`groqscope stack check` is content with a stack that works."""
    done = _check()

    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "Every link is whole."


OUTAGE_S = 3600
"""How long an outage is pretended to have lasted: what comes in it is stamped as if it had waited since."""


def _broken(*arguments: str) -> list[str]:
    """Names of the links that `groqscope stack check` finds broken."""
    done = _check("--json", *arguments)
    found = json.loads(done.stdout)

    assert done.returncode == (0 if found["ok"] else 1)
    return [link["name"] for link in found["links"] if link["state"] == "broken"]


def test_nothing_is_lost_while_tempo_is_down_and_the_collector_killed(services: Services):
    """An hour of spans that come while Tempo is down, and before the collector is killed, is in Tempo afterwards."""
    services.compose("stop", "--timeout", "15", "tempo")
    try:
        now = time.time_ns()
        moments = [now - i * OUTAGE_S // 40 * 10**9 for i in range(40)]
        sent = [
            traffic.send_record(services.post, replace(ordinary_record(), start_unix_ns=m), "outage") for m in moments
        ]
        broken = _broken("--timeout", "1")
        services.compose("kill", "otel-collector")
        services.compose("start", "otel-collector")
        sent += [
            traffic.send_record(_insisting(services), replace(ordinary_record(), start_unix_ns=now + i), "outage")
            for i in range(5)
        ]
    finally:
        services.compose("start", "tempo")

    assert broken == ["collector -> Tempo", "Grafana -> Tempo"]
    for record in sent:
        until(f"trace {record.trace_id}", lambda r=record: services.trace(r.trace_id or ""), seconds=120)
    query = '{ resource.service.name = "outage" && span.groqscope.record = 1 }'
    found = until("a search finds all", lambda: as_many(services.search(query), len(sent)))
    assert {t["traceID"].rjust(32, "0") for t in found} == {r.trace_id for r in sent}


def _insisting(services: Services) -> traffic.Post:
    """Send to a collector that is just coming up."""

    def post(signal: str, body: bytes) -> None:
        until("the collector takes it", lambda: _took(services, signal, body), seconds=30)

    return post


def _took(services: Services, signal: str, body: bytes) -> bool:
    try:
        services.post(signal, body)
    except httpx.TransportError:
        return False
    return True


def test_nothing_is_lost_while_prometheus_is_down_and_the_collector_killed(services: Services):
    """An hour of points that come while Prometheus is down is there afterwards, each at its own time."""
    process = traffic.Process(traffic.Service("gap", "test", 0, 0, 0, 0), random.Random(7))
    now = time.time_ns()
    moments = [now - (60 - i) * OUTAGE_S // 60 * 10**9 for i in range(60)]

    def send(post: traffic.Post, moment: int) -> None:
        process.telemetry.metrics.record(replace(ordinary_record(), start_unix_ns=moment), [], Context())
        post("metrics", process.metrics(moment))

    send(services.post, moments[0])
    services.compose("stop", "--timeout", "30", "prometheus")
    try:
        for moment in moments[1:50]:
            send(services.post, moment)
        broken = _broken("--timeout", "1")
        services.compose("kill", "otel-collector")
        services.compose("start", "otel-collector")
        for moment in moments[50:]:
            send(_insisting(services), moment)
    finally:
        services.compose("start", "prometheus")
    series = 'sum(groqscope_stream_outcomes_total{service_name="gap"})'
    until("the last point", lambda: _ready_total(services, series) == len(moments), seconds=120)

    assert broken == ["collector -> Prometheus", "Grafana -> Prometheus"]
    found = [services.prometheus(series, at=m / 1e9 + 0.5)[0]["value"][1] for m in moments]
    assert found == [str(i + 1) for i in range(len(moments))]


@pytest.mark.parametrize(("service", "link"), [("otel-collector", "application -> collector"), ("grafana", "Grafana")])
def test_stack_check_names_what_is_down(service: str, link: str, services: Services):
    """With a service stopped, the link to it is the broken one; the tests of outages do the same for the others."""
    services.compose("stop", "--timeout", "15", service)
    try:
        broken = _broken("--timeout", "1")
    finally:
        services.compose("start", service)

    assert broken == [link]
    until("every link is whole again", lambda: not _broken("--timeout", "5"), seconds=90)


def _ready_total(services: Services, query: str) -> float:
    answer = services.get(f"{PROMETHEUS}/api/v1/query", query=query)
    return sum(float(s["value"][1]) for s in answer["data"]["result"]) if answer else 0


def test_the_demos_workload_arrives(services: Services):
    """The demo's application, instrumented by two lines, talks to the demo's Groq: its spans and metrics arrive."""
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR,
        "OTEL_SERVICE_NAME": "demo-shop",
        "OTEL_METRIC_EXPORT_INTERVAL": "2000",
        "GROQ_BASE_URL": "http://127.0.0.1:8787",
        "GROQ_API_KEY": "gsk_onlyatestnotarealkey",
    }
    groq = subprocess.Popen([sys.executable, "stack/demo/simulated_groq.py", "--seed", "5"], cwd=ROOT)
    try:
        run(
            sys.executable,
            "stack/demo/application.py",
            "--seconds",
            "15",
            "--per-second",
            "4",
            "--seed",
            "5",
            env=environment,
        )
    finally:
        groq.terminate()
        groq.wait(timeout=20)
    counted = 'sum(groqscope_stream_outcomes_total{service_name="demo-shop"})'
    until("its metrics", lambda: services.total(counted))
    errors = services.total('sum(groqscope_internal_errors_total{service_name="demo-shop"})')
    query = '{ resource.service.name = "demo-shop" && span.groqscope.record = 1 }'
    # The last count may come after the first: both are looked at anew until they agree.
    found = until("its traces", lambda: as_many(services.search(query, limit=500), services.total(counted)))

    assert len(found) > 25
    assert errors == 0
    assert not any("gsk_" in json.dumps(services.trace(t["traceID"])) for t in found[:5])


def test_a_tempo_that_is_not_there_is_told_in_a_sentence():
    """The audit says where it looked."""
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1"):
        list(TempoSource("http://127.0.0.1:1").read(ReadReport(), since=None, until=None, timelines=False))


SHOTS = {
    "groq-overview": ("d/groq-overview/x", ["Time to first chunk by model, p95", "llama-3.3-70b-versatile"]),
    "groq-latency": ("d/groq-latency/x", ["Where a request", "prefill", "Gaps between chunks"]),
    "groq-audit": ("d/groq-audit/x?var-trace={trace}", ["Slower than 2s", "support-chat chat", "Abandoned, cancelled"]),
    "groq-trace": ("d/groq-audit/x?var-trace={trace}&viewPanel=5", ["pool_wait", "Trace Start"]),
    "groq-pipeline": ("d/groq-pipeline/x", ["Queues on disk", "Tempo received"]),
}
"""Pages and what has to stand on them; `groq-trace` is what the dot of an exemplar opens."""


@pytest.mark.parametrize("name", SHOTS)
def test_a_dashboard_shows_in_a_browser(name: str, services: Services, seeded: Any, tmp_path: Path):
    """A real browser shows the dashboard with data in it. GROQSCOPE_SCREENSHOTS names a folder to keep the pictures."""
    folder = Path(PICTURES or tmp_path).resolve()
    record = next(r for r in seeded.sent.ended if r.retries and r.stream and r.tool_calls)
    path, texts = SHOTS[name]
    picture = folder / f"{name}.png"
    run(services.folder / "shot", f"{GRAFANA}/{path.format(trace=record.trace_id)}", picture, *texts, timeout=400)

    assert picture.stat().st_size > 50_000
