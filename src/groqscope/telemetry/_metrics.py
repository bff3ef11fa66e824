"""A record's metrics, recorded after its span ended and with its context, so that exemplars lead to the trace."""

import threading
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Meter

from groqscope import semconv
from groqscope.semconv import Metric
from groqscope.timeline import RequestRecord

MAX_VALUES = 128
"""Distinct model and tool names on metrics; later ones become `_OTHER`."""
OTHER = "_OTHER"

MetricAttributes = dict[str, str | int]


class Metrics:
    """The instruments, created once per meter."""

    def __init__(self, meter: Meter) -> None:
        self._instruments: dict[str, Any] = {m.name: _create(meter, m) for m in semconv.METRICS}
        self._values: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def started(self, attributes: MetricAttributes, context: Context) -> None:
        """A request is in flight."""
        self._instruments[semconv.METRIC_ACTIVE.name].add(1, attributes, context)

    def ended(self, attributes: MetricAttributes, context: Context) -> None:
        """It is no longer; `attributes` are those it started with."""
        self._instruments[semconv.METRIC_ACTIVE.name].add(-1, attributes, context)

    def internal_error(self, hook: str) -> None:
        """A failure of ours."""
        self._instruments[semconv.METRIC_INTERNAL_ERRORS.name].add(1, {"groqscope.hook": hook})

    def in_flight(self, record_operation: str, model: str | None) -> MetricAttributes:
        """Attributes of the request in flight."""
        attributes: MetricAttributes = {
            semconv.OPERATION_NAME: record_operation,
            semconv.PROVIDER_NAME: semconv.PROVIDER,
        }
        if model is not None:
            attributes[semconv.REQUEST_MODEL] = self._bounded(semconv.REQUEST_MODEL, model)
        return attributes

    def record(self, record: RequestRecord, gaps: list[int], context: Context) -> None:
        """Record everything a finished request tells. What another library already counts (nested) is left to it."""
        base = self._attributes(record)
        failed = base if record.error_type is None else {**base, semconv.ERROR_TYPE: record.error_type}
        put = self._histogram
        put(semconv.METRIC_DURATION, record.duration_ns / 1e9, failed, context)
        self._instruments[semconv.METRIC_OUTCOMES.name].add(1, {**failed, semconv.OUTCOME: record.outcome}, context)
        if not record.nested:
            if record.ttfc_ns is not None:
                put(semconv.METRIC_TTFC, record.ttfc_ns / 1e9, base, context)
            for kind, tokens in (("input", record.usage.input_tokens), ("output", record.usage.output_tokens)):
                if tokens is not None:
                    put(semconv.METRIC_TOKENS, tokens, {**base, semconv.TOKEN_TYPE: kind}, context)
            if record.cost is not None:
                self._instruments[semconv.METRIC_COST.name].add(record.cost, base, context)
        for gap in gaps:
            put(semconv.METRIC_TPOC, gap / 1e9, base, context)
        for metric, seconds in (
            (semconv.METRIC_QUEUE, record.usage.queue_time),
            (semconv.METRIC_PROMPT, record.usage.prompt_time),
            (semconv.METRIC_COMPLETION, record.usage.completion_time),
        ):
            if seconds is not None:
                put(metric, seconds, base, context)
        for phase, length in record.phases.items():
            put(semconv.METRIC_PHASE, length / 1e9, {**base, semconv.PHASE: phase}, context)
        for call in record.tool_calls:
            if call.assembly_ns is not None:
                name = self._bounded(semconv.TOOL_NAME, call.name or OTHER)
                put(semconv.METRIC_ASSEMBLY, call.assembly_ns / 1e9, {**base, semconv.TOOL_NAME: name}, context)
        for attempt in record.attempts:
            outcome = attempt.error_type or "ok"
            self._instruments[semconv.METRIC_ATTEMPTS.name].add(1, {**base, semconv.ATTEMPT_OUTCOME: outcome}, context)
        self._rate_limits(record, base, context)

    def _rate_limits(self, record: RequestRecord, base: MetricAttributes, context: Context) -> None:
        limits = record.rate_limits
        for resource, limit, remaining, reset in (
            ("requests", limits.requests_limit, limits.requests_remaining, limits.requests_reset),
            ("tokens", limits.tokens_limit, limits.tokens_remaining, limits.tokens_reset),
        ):
            attributes = {**base, semconv.RATELIMIT_RESOURCE: resource}
            for metric, value in (
                (semconv.METRIC_RATELIMIT_LIMIT, limit),
                (semconv.METRIC_RATELIMIT, remaining),
                (semconv.METRIC_RATELIMIT_RESET, reset),
            ):
                if value is not None:
                    self._instruments[metric.name].set(value, attributes, context)

    def _attributes(self, record: RequestRecord) -> MetricAttributes:
        attributes = self.in_flight(record.operation, record.model)
        if record.response_model is not None:
            attributes[semconv.RESPONSE_MODEL] = self._bounded(semconv.RESPONSE_MODEL, record.response_model)
        if record.server_address is not None:
            attributes[semconv.SERVER_ADDRESS] = record.server_address
            if record.server_port is not None:
                attributes[semconv.SERVER_PORT] = record.server_port
        return attributes

    def _histogram(self, metric: Metric, value: float, attributes: MetricAttributes, context: Context) -> None:
        self._instruments[metric.name].record(value, attributes, context)

    def _bounded(self, key: str, value: str) -> str:
        """Keep the number of distinct values bounded."""
        seen = self._values.get(key)
        if seen is not None and value in seen:
            return value
        with self._lock:
            seen = self._values.setdefault(key, set())
            if value in seen or len(seen) < MAX_VALUES:
                seen.add(value)
                return value
        return OTHER


def _create(meter: Meter, metric: Metric) -> Any:
    if metric.kind == "histogram":
        return meter.create_histogram(
            metric.name, metric.unit, metric.brief, explicit_bucket_boundaries_advisory=metric.buckets
        )
    create = {
        "counter": meter.create_counter,
        "updowncounter": meter.create_up_down_counter,
        "gauge": meter.create_gauge,
    }[metric.kind]
    return create(metric.name, metric.unit, metric.brief)
