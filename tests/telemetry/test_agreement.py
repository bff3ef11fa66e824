"""Metrics, which the dashboards show, agree with the audit of the same requests."""

from dataclasses import replace

import pytest
from opentelemetry.context import Context
from support.observed import MS, Observed, at
from support.scope import Exported

from groqscope import RequestRecord, semconv
from groqscope.audit import MemorySource, Query, Records
from groqscope.telemetry.metrics import Metrics
from groqscope.timeline import Channel, Usage

_BUSY = (0.0, 5.0, 20.0, 60.0)


def _streamed(caller: float, *, reported: bool) -> tuple[RequestRecord, list[int]]:
    """Return a stream of ten tokens, one every 20 ms; the caller works `caller` ms before the first and on each."""
    seen = Observed(stream=True, model="m").tell(prepared=1, sending=2, sent=3).answered(20)
    now = 20.0
    for number in range(10):
        seen.tell(returned=now, asked=now + caller)
        now = max(now + caller + 0.05, 40 + 20.0 * number)
        seen.chunk(now, Channel.CONTENT)
    seen.timeline.used(at(now), Usage(output_tokens=10, completion_time=0.18 if reported else None))
    return seen.end(now), seen.timeline.gaps


def _of(exported: Exported, metric: semconv.Metric) -> tuple[int, float]:
    points = exported.metrics().get(metric.name, [])
    return sum(p.count for p in points), sum(p.sum for p in points)


@pytest.mark.parametrize("reported", [True, False])
def test_metrics_record_what_the_audit_shows(exported: Exported, *, reported: bool) -> None:
    """First chunks, times per token, gaps and caller's delays: as many values, with the same sums, whoever was busy."""
    metrics = Metrics(exported.meter_provider.get_meter("groqscope"))
    requests = [_streamed(caller, reported=reported) for caller in _BUSY]
    records = [record for record, _ in requests]
    for record, gaps in requests:
        metrics.record(record, gaps, Context())
    shown = Records(MemorySource(records), Query()).overview().total

    for metric, values in (
        (semconv.METRIC_TTFC, shown.ttfc),
        (semconv.METRIC_TPOT, shown.tpot),
    ):
        count, total = _of(exported, metric)
        assert count == values.n
        assert total == pytest.approx(values.total / 1e9)
    count, total = _of(exported, semconv.METRIC_CALLER_DELAY)
    assert (count, total) == (len(records), pytest.approx(sum(r.caller_delay_ns or 0 for r in records) / 1e9))
    count, _ = _of(exported, semconv.METRIC_TPOC)
    assert count == sum((r.reads or 0) - 1 - (r.icl_excluded or 0) for r in records)
    assert shown.tpot.n == (len(records) if reported else 2)
    assert records[-1].icl_max_ns is None
    assert records[0].icl_max_ns == 20 * MS


def test_metrics_record_what_the_prompt_cache_did(exported: Exported) -> None:
    """Tokens, misses and dollars are what the audit adds up; a model without a prompt cache adds nothing."""
    metrics = Metrics(exported.meter_provider.get_meter("groqscope"))
    plain = RequestRecord(start_unix_ns=1, duration_ns=1, model="llama-3.3-70b-versatile", usage=Usage(input_tokens=9))
    asked = replace(plain, model="openai/gpt-oss-120b", usage=Usage(input_tokens=1_000))
    missed = replace(asked, cache_miss="message[2]", cache_missed_tokens=768, cache_lost=0.5)
    hit = replace(asked, usage=Usage(input_tokens=1_000, cached_tokens=896), cache_saved=0.25)
    records = [plain, asked, missed, replace(missed, cache_miss="message[4]"), hit]
    for record in records:
        metrics.record(record, [], Context())
    shown = Records(MemorySource(records), Query()).overview().cache
    assert shown is not None

    def sums(metric: semconv.Metric, attribute: str) -> dict[object, float]:
        return {p.attributes.get(attribute): p.value for p in exported.metrics().get(metric.name, [])}

    tokens = sums(semconv.METRIC_CACHE_TOKENS, semconv.CACHE_OUTCOME)
    assert tokens == {"cached": 896, "missed": 1_536, "new": 1_568}
    assert sum(tokens.values()) == shown.total.input_tokens
    assert (tokens["cached"], tokens["missed"]) == (shown.total.cached_tokens, shown.total.missed_tokens)
    assert sums(semconv.METRIC_CACHE_MISSES, semconv.CACHE_MISS) == {"message": 2}
    assert sums(semconv.METRIC_CACHE_SAVED, "") == {None: shown.total.saved}
    assert sums(semconv.METRIC_CACHE_LOST, "") == {None: shown.total.lost}
