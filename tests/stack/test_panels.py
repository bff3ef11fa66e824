"""Here, and on GitHub: every query of every panel and rule, run by the real Prometheus over an hour of traffic.

Here the collector and Prometheus are processes on ports of the loopback, with the project's own configuration; on
GitHub they are the official images. What Tempo counts of itself is there on GitHub only.
"""

import json
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from stack_support import traffic
from stack_support.boards import STEP_S, Target, boards, filled, targets
from stack_support.given import needs_stack
from stack_support.stack import Stack
from support.full_records import ordinary_record
from support.waiting import wait_for

from groqscope import semconv

pytestmark = needs_stack()

RARE = {
    "groq-overview / Alerts that fire": "an internal error",
    "groq-pipeline / Refused, failed, given up": "failures, in test_configuration.py",
}
"""Panels that are empty when all is well, and what fills them."""
PROMQL = [t for t in targets() if "expr" in t.query]


def _shown(stack: Stack, target: Target, start: float, end: float, **chosen: list[str]) -> list[dict[str, Any]]:
    """Run a panel's query as Grafana does: at the end of the time, or in steps over it."""
    given: dict[str, Any] = dict(chosen)
    expression = filled(target.query["expr"], range_s=int(end - start), **given)
    if target.query["instant"]:
        return stack.query(expression, at=end)
    begin = start // STEP_S * STEP_S
    return stack.query_range(expression, begin, end, STEP_S)


def _is_rare(target: Target) -> bool:
    return f"{target.board} / {target.panel}" in RARE


def _is_tempos(target: Target) -> bool:
    return "tempo_" in target.query["expr"]


@pytest.mark.parametrize("target", [t for t in PROMQL if not _is_rare(t) and not _is_tempos(t)], ids=str)
def test_a_query_of_a_panel_returns_data(target: Target, stack: Stack, seeded: Any):
    """Every PromQL query of every panel has values, and Prometheus has nothing to remark."""
    if target.board == "groq-pipeline":
        # What the services tell of themselves begins when they are scraped, which is after the traffic ended.
        wait_for(lambda: _shown(stack, target, time.time() - 3600, time.time()), str(target))
    else:
        assert _shown(stack, target, seeded.start_s, seeded.end_s)


@pytest.mark.parametrize("target", [t for t in PROMQL if _is_rare(t) or _is_tempos(t)], ids=str)
def test_a_query_that_may_be_empty_is_understood(target: Target, stack: Stack):
    """A query that has nothing to show in good times, or without the real Tempo, is answered all the same."""
    found = _shown(stack, target, time.time() - 3600, time.time())

    assert isinstance(found, list)
    if _is_tempos(target) and stack.real_tempo:
        wait_for(lambda: _shown(stack, target, time.time() - 3600, time.time()), str(target))


CHOSEN = {"service": ["support-chat"], "model": ["llama-3.3-70b-versatile"], "environment": ["production"]}
SEVERAL = {
    "service": ["support-chat", "document-agent"],
    "model": ["llama-3.3-70b-versatile", "openai/gpt-oss-120b"],
    "environment": ["production", "staging"],
}


@pytest.mark.parametrize("chosen", [CHOSEN, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize("target", [t for t in PROMQL if "$service" in t.query["expr"]], ids=str)
def test_variables_narrow_a_panel(target: Target, chosen: dict[str, list[str]], stack: Stack, seeded: Any):
    """With one or several values chosen nothing else is left, and what is left is there."""
    found = _shown(stack, target, seeded.start_s, seeded.end_s, **chosen)
    labels = {"service_name": "service", "gen_ai_request_model": "model", "deployment_environment_name": "environment"}

    assert found
    for series in found:
        for label, variable in labels.items():
            assert series["metric"].get(label, chosen[variable][0]) in chosen[variable]


@pytest.mark.parametrize("uid", [u for u, b in boards().items() if b.get("templating", {}).get("list")])
def test_a_variable_offers_what_was_sent(uid: str, stack: Stack, seeded: Any):
    """The lists at the top of a page hold the services, models and environments, asked for as Grafana asks."""
    offered = {}
    for variable in boards()[uid]["templating"]["list"]:
        if variable["type"] == "query":
            asked = variable["query"]["query"].removeprefix("label_values(").removesuffix(")")
            selector, _, label = asked.rpartition(", ")
            params = {"match[]": selector, "start": seeded.start_s, "end": seeded.end_s}
            found = stack.get(f"{stack.prometheus}/api/v1/label/{label}/values", **params)
            offered[variable["name"]] = set(found["data"])

    assert offered["service"] >= {s.name for s in traffic.SERVICES}
    assert offered["environment"] >= {s.environment for s in traffic.SERVICES}
    assert offered["model"] >= {m.name for m in traffic.MODELS}


def test_another_librarys_metrics_show_too(stack: Stack):
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
    stack.post("metrics", request.SerializeToString())
    counted = 'gen_ai_client_operation_duration_seconds_count{service_name="foreign"}'
    wait_for(lambda: stack.total(counted), "its requests")
    shown = [
        t for t in PROMQL if "gen_ai_client" in t.query["expr"] and "groq" not in t.query["expr"].replace('="groq"', "")
    ]
    end = time.time() + STEP_S
    empty = [str(t) for t in shown if not _shown(stack, t, end - 600, end, service=["foreign"])]

    assert len(shown) > 12
    assert empty == []


def test_counts_agree_from_end_to_end(stack: Stack, seeded: Any):
    """Prometheus counts by outcome what was sent; nothing is counted twice, and the first of its kind is seen."""
    instances = "|".join(seeded.sent.instances)
    expected: dict[str, int] = {}
    for record in seeded.sent.ended:
        expected[record.outcome] = expected.get(record.outcome, 0) + 1
    series = f'groqscope_stream_outcomes_total{{instance=~"{instances}"}}'
    counted = stack.query(f"sum by (groqscope_stream_outcome) ({series})", at=seeded.end_s)
    grown = stack.query(f"sum by (groqscope_stream_outcome) (increase({series}[2h]))", at=seeded.end_s)

    assert {s["metric"]["groqscope_stream_outcome"]: int(s["value"][1]) for s in counted} == expected
    for s in grown:
        outcome = s["metric"]["groqscope_stream_outcome"]
        assert float(s["value"][1]) == pytest.approx(expected[outcome], rel=0.02, abs=0.5)


@pytest.mark.parametrize(
    "metric",
    [
        semconv.METRIC_DURATION,
        semconv.METRIC_TTFC,
        semconv.METRIC_TPOC,
        semconv.METRIC_PHASE,
        semconv.METRIC_RUN_DURATION,
    ],
)
def test_exemplars_lead_to_traces(metric: semconv.Metric, stack: Stack, seeded: Any):
    """The trace that an exemplar of a latency metric names is in Tempo."""
    ids = sorted(stack.exemplars(f"{metric.name.replace('.', '_')}_seconds_bucket", seeded.start_s, seeded.end_s))

    assert len(ids) > 50
    assert all(stack.trace(i) for i in ids[:: len(ids) // 10])


@pytest.mark.parametrize("target", [t for t in targets() if t.query.get("exemplar")], ids=str)
def test_the_dots_of_a_panel_lead_to_traces(target: Target, stack: Stack, seeded: Any):
    """A latency panel's own query brings exemplars, and each names a trace that is there."""
    ids = stack.exemplars(filled(target.query["expr"], range_s=3600), seeded.start_s, seeded.end_s)

    assert ids
    assert all(stack.trace(i) for i in sorted(ids)[:3])


def test_rules_are_loaded_and_evaluated(stack: Stack):
    """Prometheus has every rule, and each evaluates."""

    def evaluated() -> Any:
        groups = stack.get(f"{stack.prometheus}/api/v1/rules")["data"]["groups"]
        return groups if all(rule["health"] != "unknown" for group in groups for rule in group["rules"]) else None

    groups = wait_for(evaluated, "rules evaluated", seconds=90)

    assert all(rule["health"] == "ok" for group in groups for rule in group["rules"])
    assert sum(rule["type"] == "alerting" for group in groups for rule in group["rules"]) == 10


def test_an_alert_that_fires_is_shown(stack: Stack):
    """An internal error of groqscope fires its alert, and the panel of alerts shows it."""
    process = traffic.Process(traffic.Service("alerting", "test", 0, 0, 0, 0), random.Random(3))
    process.telemetry.metrics.internal_error("test")
    stack.post("metrics", process.metrics(time.time_ns()))
    target = next(t for t in targets() if t.panel == "Alerts that fire")
    found = wait_for(lambda: _shown(stack, target, time.time() - 60, time.time()), "the alert", seconds=90)

    assert "GroqscopeInternalErrors" in json.dumps(found)


def test_every_service_is_scraped(stack: Stack):
    """Prometheus reaches all four, by the names that rules use."""
    wait_for(lambda: stack.total("sum(up)") == 4, "all four up")

    assert {s["metric"]["job"] for s in stack.query("up")} == {"otel-collector", "tempo", "prometheus", "grafana"}
