"""A test span and a test metric as OTLP JSON, built by hand so that the application's providers are not involved."""

import secrets
from typing import Any, Final

from groqscope import semconv

SERVICE: Final = "groqscope-stack-check"
METRIC: Final = semconv.STACK_CHECK
SERIES: Final = METRIC.replace(".", "_")
"""The metric's name in Prometheus."""


class Probe:
    """One test: a span with an ID of its own, and a metric whose value is the time of the test in Unix seconds."""

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
