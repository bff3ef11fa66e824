"""Here: the configuration files, each read by the program that it is for, no Docker; the collector's also at work.

Tempo's are read by Tempo, in test_tempo.py.
"""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from stack_support.boards import targets
from stack_support.given import needs, program
from stack_support.programs import FAILING, TO_FILES, collector, put, span, traces
from stack_support.scale import SCALE
from stack_support.stack import ROOT, run
from support.waiting import as_many, wait_for

from groqscope.stack import Addresses, check

pytestmark = needs("OTELCOL", "PROMTOOL")

KEY = "gsk_" + "a1B2" * 10
SECRETS = [  # put together here, so that no scanner takes this file for a leak
    "sk-" + "proj-a1B2c3D4e5F6" * 2,
    "pylf_v1_eu_" + "a1B2c3D4" * 4,
    "ghp_" + "a1B2c3D4" * 4,
    "hf_" + "a1B2c3D4" * 4,
    "xox" + "b-1234567890-a1B2c3D4",
    "AKIA" + "A1B2C3D4" * 2,
    "AIza" + "a1B2c3D4" * 4,
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln",
    "postgres" + "://user:hunter2x@db",
    "session_token=" + "a1B2c3D4",
    "password=" + "hunter2hunter2",
]
"""What else looks like a key, or is one by what stands before it."""


def test_prometheus_takes_its_configuration_and_rules():
    """Promtool finds no fault, also where the rules are mounted by another path than here."""
    run(*program("PROMTOOL"), "check", "config", "stack/prometheus/prometheus.yml")
    run(*program("PROMTOOL"), "check", "config", "--syntax-only", "stack/scale/prometheus-remote-write.yml")
    run(*program("PROMTOOL"), "check", "rules", *sorted((ROOT / "stack/prometheus/rules").glob("*.yml")))


def test_alerts_fire_when_they_should():
    """Promtool's own tests of the rules pass."""
    run(*program("PROMTOOL"), "test", "rules", *sorted((ROOT / "tests/stack/rules").glob("*.yml")))


def test_every_alert_and_every_recording_rule_has_a_test():
    """No rule is without a test that names it."""
    tests = "".join(f.read_text(encoding="utf-8") for f in (ROOT / "tests/stack/rules").glob("*.yml"))
    for name in ("alerts", "recording"):
        content = yaml.safe_load((ROOT / f"stack/prometheus/rules/{name}.yml").read_text(encoding="utf-8"))
        for rule in (r for g in content["groups"] for r in g["rules"]):
            if "alert" in rule:
                assert f"alertname: {rule['alert']}" in tests
            else:
                assert rule["record"] in tests


@pytest.mark.parametrize(
    "layers",
    [
        ["collector/tail-sampling.yaml"],
        ["collector/secure.yaml"],
        ["collector/tail-sampling.yaml", "collector/secure.yaml"],
        ["collector/tail-sampling.yaml", "scale/collector-gateway.yaml"],
        ["scale/collector-clickhouse.yaml"],
        ["scale/collector-kafka.yaml"],
        ["scale/collector-clickhouse.yaml", "scale/collector-kafka-clickhouse.yaml"],
    ],
)
def test_the_collector_takes_its_configuration(layers: list[str], tmp_path: Path):
    """The collector validates it, alone and with what can be laid over it."""
    own = (ROOT / "stack/collector/collector.yaml").read_text(encoding="utf-8")
    base = tmp_path / "collector.yaml"
    base.write_text(own.replace("/var/lib/otelcol", str(tmp_path)), encoding="utf-8")
    (tmp_path / "queue").mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
    for index, layer in enumerate(layers):
        text = (ROOT / "stack" / layer).read_text(encoding="utf-8")
        (tmp_path / f"{index}.yaml").write_text(text.replace("/etc/otelcol-tls", str(tmp_path)), encoding="utf-8")
    files = [base, *(tmp_path / f"{i}.yaml" for i in range(len(layers)))]
    for chosen in (files[:1], files):
        run(*program("OTELCOL"), "validate", *(f"--config={f}" for f in chosen), env=SCALE)


def test_the_first_tier_is_valid_but_for_its_load_balancing(tmp_path: Path):
    """With the OTLP exporter inside of it in place of the one that this build of the collector lacks, it is valid."""
    settings = yaml.safe_load((ROOT / "stack/scale/collector-loadbalancing.yaml").read_text(encoding="utf-8"))
    settings["extensions"]["file_storage"]["directory"] = str(tmp_path)
    lacking = settings["exporters"].pop("loadbalancing")
    inner = {"endpoint": "gateway:4317", "sending_queue": lacking["sending_queue"], **lacking["protocol"]["otlp"]}
    settings["exporters"]["otlp_grpc/in-its-place"] = inner
    settings["service"]["pipelines"]["traces"]["exporters"] = ["otlp_grpc/in-its-place"]
    file = tmp_path / "collector.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")

    run(*program("OTELCOL"), "validate", f"--config={file}", env=SCALE)


def test_the_first_tier_is_valid_as_it_is(tmp_path: Path):
    """A collector that has the load-balancing exporter takes the file whole."""
    if "loadbalancing" not in run(*program("OTELCOL"), "components"):
        pytest.skip("this build of the collector lacks the load-balancing exporter; the official image has it")
    text = (ROOT / "stack/scale/collector-loadbalancing.yaml").read_text(encoding="utf-8")
    file = tmp_path / "collector.yaml"
    file.write_text(text.replace("/var/lib/otelcol", str(tmp_path)), encoding="utf-8")
    (tmp_path / "queue").mkdir()

    run(*program("OTELCOL"), "validate", f"--config={file}", env=SCALE)


def test_anything_like_a_key_is_redacted_and_the_rest_left_alone(tmp_path: Path):
    """Keys vanish from names, attributes, lists, events, resources, statuses and points; types and numbers stay."""
    made = span(
        f"chat {KEY}",
        7,
        note=f"tried with {KEY} twice",
        gen_ai__request__stop_sequences=["plain", KEY],
        http__request__header__authorization="Basic dXNlcjpwdw==",
        gen_ai__usage__output_tokens=212,
        groqscope__ttft=0.25,
        gen_ai__request__model="llama-3.3-70b-versatile",
        prompt="Authorization: Bearer abcdefghijkl and api_key=0123456789abc",
    )
    for number, secret in enumerate(SECRETS):
        put(made.attributes.add(), f"note.{number}", f"before {secret} after")
    made.status.message = f"401: {KEY}, {SECRETS[-1]}"
    event = made.events.add()
    event.name = "exception"
    put(event.attributes.add(), "exception.message", f"bad key {KEY}")
    points = ExportMetricsServiceRequest()
    metric = points.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.name = "m"
    point = metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=1)
    put(point.attributes.add(), "who", KEY)
    put(points.resource_metrics[0].resource.attributes.add(), "startup.line", KEY)
    with collector(tmp_path) as running:
        running.post("traces", traces(made, resource={"service.name": "test", "startup.line": f"app --key {KEY}"}))
        running.post("metrics", points.SerializeToString())
        spans = wait_for(running.spans, "the span", seconds=20)
        wait_for(lambda: running.exported("metrics"), "the point", seconds=20)
        everything = running.exported("traces") + running.exported("metrics")
    attributes = {a["key"]: a["value"] for a in spans[0]["attributes"]}

    assert "gsk_" not in everything
    assert "dXNlcjpwdw" not in everything
    assert "abcdefghijkl" not in everything
    assert "0123456789abc" not in everything
    for secret in SECRETS:
        assert secret not in everything
    assert spans[0]["name"] == "chat ****"
    assert spans[0]["status"]["message"] == "401: ****, ****"
    assert attributes["note"] == {"stringValue": "tried with **** twice"}
    assert attributes["gen_ai.usage.output_tokens"] == {"intValue": "212"}
    assert attributes["groqscope.ttft"] == {"doubleValue": 0.25}
    assert attributes["gen_ai.request.model"] == {"stringValue": "llama-3.3-70b-versatile"}


def test_tail_sampling_keeps_what_somebody_will_look_for(tmp_path: Path):
    """Errors, retries, slow and early-ended requests are kept, with all their spans; of the others about a tenth."""
    kept = [
        span("error", 1, error=True),
        span("retried", 2, groqscope__attempts=2),
        span("slow", 3, seconds=6.0),
        span("late", 4, gen_ai__response__time_to_first_chunk=0.9),
        span("abandoned", 5, groqscope__stream__outcome="abandoned"),
    ]
    ordinary = [
        span(
            "ordinary",
            1000 + i * 7919,
            groqscope__attempts=1,
            groqscope__stream__outcome="completed",
            groqscope__ttft=0.1,
        )
        for i in range(200)
    ]
    quick = {"processors": {"tail_sampling": {"decision_wait": "2s"}}}
    with collector(tmp_path, "tail-sampling.yaml", quick, TO_FILES) as running:
        child = span("POST", 2)
        child.span_id, child.parent_span_id = b"child of", kept[1].span_id
        running.post("traces", traces(child))
        running.post("traces", traces(*kept, *ordinary))
        last = 'policy_execution_count{policy="a tenth of the rest"} 205'
        wait_for(lambda: last in running.told(), "the last trace's decision", seconds=30)
        sampled = int(running.told().partition(_SAMPLED)[2].split()[0])
        names = wait_for(lambda: as_many([s["name"] for s in running.spans()], sampled + 1), "what is kept", seconds=30)

    assert sorted(n for n in names if n != "ordinary") == sorted(s.name for s in (*kept, child))
    assert 5 <= names.count("ordinary") <= 45


_SAMPLED = 'global_count_traces_sampled{decision="sampled",sampled="true"} '


def test_a_secured_collector_asks_who_is_there(tmp_path: Path):
    """With secure.yaml plain HTTP and TLS without the token are refused, with it taken; `stack check` says so."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
    tls = {"tls": {"cert_file": f"{tmp_path}/tls.crt", "key_file": f"{tmp_path}/tls.key"}}
    layer = {"receivers": {"otlp": {"protocols": {"http": tls, "grpc": tls}}}}
    extensions = {"service": {"extensions": ["health_check", "file_storage", "bearertokenauth"]}}
    environment = {"GROQSCOPE_OTLP_TOKEN": "only-for-this-test"}
    body = traces(span("one", 9))
    headers = {"Content-Type": "application/x-protobuf"}
    token = {"authorization": "Bearer only-for-this-test"}
    with collector(tmp_path, "secure.yaml", layer, extensions, environment=environment) as running:
        url = f"https://127.0.0.1:{running.http}/v1/traces"
        trusted = tmp_path / "ca.crt"
        authority.cert_pem.write_to_path(str(trusted))
        with httpx.Client(trust_env=False, verify=_trust(trusted)) as client:
            nameless = client.post(url, content=body, headers=headers)
            wrong = client.post(url, content=body, headers={**headers, "authorization": "Bearer guess"})
            right = client.post(url, content=body, headers=headers | token)
        told = {
            why: next(iter(check(Addresses(address, headers=sent, certificate=certificate))))
            for why, address, sent, certificate in (
                ("no TLS", f"http://127.0.0.1:{running.http}", token, str(trusted)),
                ("no authority", f"https://127.0.0.1:{running.http}", token, None),
                ("no token", f"https://127.0.0.1:{running.http}", {}, str(trusted)),
                ("all", f"https://127.0.0.1:{running.http}", token, str(trusted)),
            )
        }
        wait_for(running.spans, "the span", seconds=20)

    assert [a.status_code for a in (nameless, wrong, right)] == [401, 401, 200]
    assert [link.state for link in told.values()] == ["broken", "broken", "broken", "ok"]
    assert f"use https://127.0.0.1:{running.http}" in (told["no TLS"].remedy or "")
    assert "not trusted" in told["no authority"].detail
    assert "requires authentication" in told["no token"].detail


def _trust(file: Path) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(file))


def test_failures_are_counted_under_the_names_that_the_dashboard_shows(tmp_path: Path):
    """A collector that cannot deliver, cannot queue and refuses tells of each by the names that the panel queries."""
    points = ExportMetricsServiceRequest()
    metric = points.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.name = "m"
    metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=1)
    wanted = {
        query["expr"].split("(")[-1].split("[")[0]
        for query in (t.query for t in targets() if t.panel == "Refused, failed, given up")
    }
    with collector(tmp_path, FAILING) as running:

        def told() -> bool:
            for number in range(5):
                for signal, body in (
                    ("traces", traces(span("x" * 200, 50 + number))),
                    ("metrics", points.SerializeToString()),
                    ("metrics", _many(points)),
                ):
                    running.offer(signal, body)
            text = running.told()
            return all(name in text for name in wanted)

        wait_for(told, f"all of {sorted(wanted)}", seconds=60)

    assert len(wanted) == 8


def _many(points: ExportMetricsServiceRequest) -> bytes:
    """More than the queue holds."""
    big = ExportMetricsServiceRequest()
    big.CopyFrom(points)
    data = big.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    for i in range(200):
        data.add(time_unix_nano=time.time_ns() + i, as_int=i)
    return big.SerializeToString()
