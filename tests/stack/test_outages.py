"""Here, and on GitHub: services stopped, the collector killed: nothing is lost, `stack check` names the broken link.

Here the collector and Prometheus are processes, ended by their process IDs; Tempo and Grafana are stand-ins.
"""

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace

import httpx
import pytest
from opentelemetry.context import Context
from stack_support import traffic
from stack_support.given import needs_stack
from stack_support.programs import free_port
from stack_support.stack import ROOT, Stack, run
from support.full_records import ordinary_record
from support.waiting import as_many, wait_for

pytestmark = needs_stack()

OUTAGE_S = 3600
"""How long an outage is pretended to have lasted: what comes in it is stamped as if it had waited since."""


def _check(stack: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    code = "import groqscope.cli; groqscope.cli.main()"
    command = [sys.executable, "-c", code, "stack", "check", *stack.addresses, *arguments]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": stack.collector}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def _broken(stack: Stack, *arguments: str) -> list[str]:
    """Names of the links that `groqscope stack check` finds broken."""
    done = _check(stack, "--json", *arguments)
    found = json.loads(done.stdout)

    assert done.returncode == (0 if found["ok"] else 1)
    return [link["name"] for link in found["links"] if link["state"] == "broken"]


def test_stack_check_finds_every_link_whole(stack: Stack):
    """`groqscope stack check` is content with a stack that works."""
    done = _check(stack)

    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "Every link works."


def _insisting(stack: Stack) -> traffic.Post:
    """Send to a collector that is just coming up."""

    def post(signal: str, body: bytes) -> None:
        wait_for(lambda: _took(stack, signal, body), "the collector takes it", seconds=30)

    return post


def _took(stack: Stack, signal: str, body: bytes) -> bool:
    try:
        stack.post(signal, body)
    except httpx.TransportError:
        return False
    return True


def test_nothing_is_lost_while_tempo_is_down_and_the_collector_killed(stack: Stack):
    """An hour of spans that come while Tempo is down, and before the collector is killed, is in Tempo afterwards."""
    stack.switch.stop("tempo")
    try:
        now = time.time_ns()
        moments = [now - i * OUTAGE_S // 40 * 10**9 for i in range(40)]
        sent = [traffic.send_record(stack.post, replace(ordinary_record(), start_unix_ns=m), "outage") for m in moments]
        broken = _broken(stack, "--timeout", "1")
        stack.switch.kill("otel-collector")
        stack.switch.start("otel-collector")
        sent += [
            traffic.send_record(_insisting(stack), replace(ordinary_record(), start_unix_ns=now + i), "outage")
            for i in range(5)
        ]
    finally:
        stack.switch.start("tempo")

    assert broken == ["collector -> Tempo", "Grafana -> Tempo"]
    for record in sent:
        wait_for(lambda r=record: stack.trace(r.trace_id or ""), f"trace {record.trace_id}", seconds=120)
    query = '{ resource.service.name = "outage" && span.groqscope.record = 1 }'
    found = wait_for(lambda: as_many(stack.search(query), len(sent)), "a search finds all")
    assert {t["traceID"].rjust(32, "0") for t in found} == {r.trace_id for r in sent}


def test_nothing_is_lost_while_prometheus_is_down_and_the_collector_killed(stack: Stack):
    """An hour of points that come while Prometheus is down is there afterwards, each at its own time."""
    process = traffic.Process(traffic.Service("gap", "test", 0, 0, 0, 0), random.Random(7))
    now = time.time_ns()
    moments = [now - (60 - i) * OUTAGE_S // 60 * 10**9 for i in range(60)]

    def send(post: traffic.Post, moment: int) -> None:
        process.telemetry.metrics.record(replace(ordinary_record(), start_unix_ns=moment), [], Context())
        post("metrics", process.metrics(moment))

    send(stack.post, moments[0])
    stack.switch.stop("prometheus")
    try:
        for moment in moments[1:50]:
            send(stack.post, moment)
        broken = _broken(stack, "--timeout", "1")
        stack.switch.kill("otel-collector")
        stack.switch.start("otel-collector")
        for moment in moments[50:]:
            send(_insisting(stack), moment)
    finally:
        stack.switch.start("prometheus")
    series = 'sum(groqscope_stream_outcomes_total{service_name="gap"})'
    wait_for(lambda: stack.total(series) == len(moments), "the last point", seconds=120)

    assert broken == ["collector -> Prometheus", "Grafana -> Prometheus"]
    found = [stack.query(series, at=m / 1e9 + 0.5)[0]["value"][1] for m in moments]
    assert found == [str(i + 1) for i in range(len(moments))]


@pytest.mark.parametrize(("service", "link"), [("otel-collector", "application -> collector"), ("grafana", "Grafana")])
def test_stack_check_names_what_is_down(service: str, link: str, stack: Stack):
    """With a service stopped, the link to it is the broken one; the tests of outages do the same for the others."""
    stack.switch.stop(service)
    try:
        broken = _broken(stack, "--timeout", "1")
    finally:
        stack.switch.start(service)

    assert broken == [link]
    wait_for(lambda: not _broken(stack, "--timeout", "5"), "every link is whole again", seconds=90)


def test_the_demos_workload_arrives(stack: Stack):
    """The demo's application, instrumented by two lines, talks to the demo's Groq: its spans and metrics arrive."""
    port = str(free_port())
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.collector,
        "OTEL_SERVICE_NAME": "demo-shop",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "GROQ_BASE_URL": f"http://127.0.0.1:{port}",
        "GROQ_API_KEY": "gsk_onlyatestnotarealkey",
    }
    groq = subprocess.Popen([sys.executable, "stack/demo/simulated_groq.py", "--seed", "5", "--port", port], cwd=ROOT)
    try:
        options = ("--seconds", "8", "--per-second", "6", "--seed", "5")
        run(sys.executable, "stack/demo/application.py", *options, env=environment)
    finally:
        groq.terminate()
        groq.wait(timeout=20)
    counted = 'sum(groqscope_stream_outcomes_total{service_name="demo-shop"})'
    wait_for(lambda: stack.total(counted), "its metrics")
    errors = stack.total('sum(groqscope_internal_errors_total{service_name="demo-shop"})')
    query = '{ resource.service.name = "demo-shop" && span.groqscope.record = 1 }'
    # The last count may come after the first: both are looked at anew until they agree.
    found = wait_for(lambda: as_many(stack.search(query, limit=500), stack.total(counted)), "its traces")

    assert len(found) > 25
    assert errors == 0
    assert not any("gsk_" in json.dumps(stack.trace(t["traceID"])) for t in found[:5])
