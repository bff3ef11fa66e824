"""Here: Prometheus as a process, no Docker: alerts that fire, samples that come hours late, a copy to another one."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.context import Context
from stack_support import traffic
from stack_support.given import needs
from stack_support.programs import FAILING, ROOT, Prometheus, collector, free_port, prometheus, span, traces
from support.full_records import ordinary_record
from support.waiting import wait_for

from groqscope.timeline import RateLimits, Usage

pytestmark = needs("OTELCOL", "PROMETHEUS")

QUICK = {"scrape_interval": "1s", "evaluation_interval": "1s"}


def _process(name: str) -> traffic.Process:
    return traffic.Process(traffic.Service(name, "test", 0, 0, 0, 0), random.Random(7))


def _rules(folder: Path) -> list[str]:
    """Write the rules as they are, but evaluated each second, and true as soon as they are true."""
    files = []
    for file in sorted((ROOT / "stack/prometheus/rules").glob("*.yml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in content["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule.pop("for", None)
        files.append(str(folder / file.name))
        Path(files[-1]).write_text(yaml.safe_dump(content), encoding="utf-8")
    return files


def _alerts() -> set[str]:
    content = yaml.safe_load((ROOT / "stack/prometheus/rules/alerts.yml").read_text(encoding="utf-8"))
    return {rule["alert"] for group in content["groups"] for rule in group["rules"]}


def _bad_half_hour(to: Prometheus) -> None:
    """Send what Groq and an application can do wrong, all at once, minute by minute."""
    process = _process("unlucky")
    good = replace(ordinary_record(), rate_limits=RateLimits(tokens_limit=6000, tokens_remaining=300))
    every_minute = [
        *[good] * 6,
        replace(good, outcome="error", error_type="503"),
        replace(good, outcome="error", error_type="503"),
        replace(good, outcome="abandoned"),
        replace(good, ttfc_ns=3 * 10**9),
    ]
    now = time.time_ns()
    for minute in range(30, -1, -1):
        process.telemetry.metrics.internal_error("chunk")
        for record in every_minute:
            process.telemetry.metrics.record(record, [], Context())
        to.post("metrics", process.metrics(now - minute * 60 * 10**9))


def _two_hours_cached_and_one_not(to: Prometheus) -> None:
    """Send what a changed system prompt does: a cache that is full, and then is missed."""
    process = _process("forgetful")
    hit = replace(
        ordinary_record(), model="openai/gpt-oss-120b", usage=Usage(input_tokens=30_000, cached_tokens=24_000)
    )
    miss = replace(hit, usage=Usage(input_tokens=30_000), cache_miss="system", cache_missed_tokens=24_000)
    now = time.time_ns()
    for minute in range(180, -1, -5):
        process.telemetry.metrics.record(hit if minute > 60 else miss, [], Context())
        to.post("metrics", process.metrics(now - minute * 60 * 10**9))


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Any]:
    """A collector whose deliveries fail, all in its own way."""
    with collector(tmp_path / "collector", FAILING) as running:
        yield running


def test_every_alert_fires_for_real(failing: Any, tmp_path: Path):
    """A half hour in which everything goes wrong, in a real Prometheus: each alert fires, with words filled in."""
    scraped = {"otel-collector": failing.own_metrics, "tempo": free_port()}
    jobs = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in scraped.items()]
    changes = {"global": QUICK, "rule_files": _rules(tmp_path), "scrape_configs": jobs}
    with prometheus(tmp_path / "prometheus", changes) as running:
        _bad_half_hour(running)
        _two_hours_cached_and_one_not(running)

        def fires() -> bool:
            for number in (1, 2):
                failing.offer("traces", traces(span("x" * 200, number)))
            found = running.client.get(f"{running.url}/api/v1/alerts").json()["data"]["alerts"]
            firing = {a["labels"]["alertname"]: a["annotations"]["summary"] for a in found if a["state"] == "firing"}
            summaries.update(firing)
            return summaries.keys() == _alerts()

        summaries: dict[str, str] = {}
        wait_for(fires, f"{_alerts()} fire", seconds=60)

    assert summaries["GroqErrorBudgetBurnFast"] == "unlucky: 20% of calls to Groq failed in the last hour"
    assert summaries["GroqStreamsAbandoned"] == "unlucky drops 10% of its streams without reading or closing them"
    assert "of the input tokens of forgetful were cached" in summaries["GroqPromptCacheFalling"]
    assert "waited longer than 0.64 s" in summaries["GroqTimeToFirstChunkSlow"]
    assert "5% of Groq's tokens limit is left" in summaries["GroqRateLimitHeadroomLow"]
    assert "queue for otlp_grpc/tempo" in summaries["GroqCollectorQueueFilling"]


def test_samples_that_are_hours_late_are_taken(tmp_path: Path):
    """What waited for two hours goes to its own place in time, though newer samples are there already."""
    process, other = _process("late"), _process("on-time")
    now = time.time_ns()
    moments = [now - minutes * 60 * 10**9 for minutes in range(120, -1, -5)]
    with prometheus(tmp_path / "prometheus", {"scrape_configs": []}) as running:
        process.telemetry.metrics.record(ordinary_record(), [], Context())
        running.post("metrics", process.metrics(moments[0]))
        other.telemetry.metrics.record(ordinary_record(), [], Context())
        running.post("metrics", other.metrics(now))
        for moment in moments[1:]:
            process.telemetry.metrics.record(ordinary_record(), [], Context())
            running.post("metrics", process.metrics(moment))
        series = 'groqscope_stream_outcomes_total{service_name="late"}'
        found = [running.query(f"{series} @ {m / 1e9 + 0.5:.3f}")[0]["value"][1] for m in moments]

    assert found == [str(i + 1) for i in range(len(moments))]


def test_everything_is_copied_by_remote_write(tmp_path: Path):
    """With stack/scale/prometheus-remote-write.yml, samples and exemplars arrive at another store, with its labels."""
    scale = yaml.safe_load((ROOT / "stack/scale/prometheus-remote-write.yml").read_text(encoding="utf-8"))
    token = tmp_path / "token"
    token.write_text("only-for-this-test", encoding="utf-8")
    process = _process("copied")
    record = replace(ordinary_record(), start_unix_ns=time.time_ns())
    receiver = "--web.enable-remote-write-receiver"
    with prometheus(tmp_path / "far", {"scrape_configs": []}, receiver) as far:
        (write,) = scale["remote_write"]
        write |= {"url": f"{far.url}/api/v1/write", "authorization": {"credentials_file": str(token)}}
        changes = {"global": {**QUICK, **scale["global"]}, "remote_write": [write], "scrape_configs": []}
        with prometheus(tmp_path / "near", changes) as near:
            process.end(record)
            near.post("metrics", process.metrics(time.time_ns()))
            query = 'groqscope_stream_outcomes_total{service_name="copied"}'
            found = wait_for(lambda: far.query(query), "the copy", seconds=60)
            asked = {"query": "gen_ai_client_operation_duration_seconds_bucket", "start": 0, "end": time.time() + 60}
            wait_for(
                lambda: far.client.get(f"{far.url}/api/v1/query_exemplars", params=asked).json()["data"], "an exemplar"
            )

    assert {k: found[0]["metric"][k] for k in ("cluster", "replica")} == {"cluster": "groq-1", "replica": "a"}
