"""Groq telemetry pipeline: does what the applications send arrive?"""

from dashboards._frame import frame
from dashboards._panels import BYTES, RATIO, Box, Query, chart, value
from dashboards._promql import name
from groqscope import semconv

UID = "groq-pipeline"

_R = "[$__rate_interval]"
_COLLECTOR = "Is the collector scraped? http://127.0.0.1:9090/targets tells."
_LOST = {
    "given up": "otelcol_exporter_send_failed",
    "not queued": "otelcol_exporter_enqueue_failed",
    "refused": "otelcol_receiver_refused",
    "failed on arrival": "otelcol_receiver_failed",
}
"""Counters of the collector that mean missing telemetry."""
_SIGNALS = {"spans": "spans", "points": "metric_points"}


def _lost(signal: str, counter: str, over: str) -> str:
    return f"sum (increase({counter}_{_SIGNALS[signal]}[{over}]))"


def _figures() -> list[object]:
    return [
        value(
            "Up",
            "Collector, Tempo, Prometheus and Grafana: how many of the four answer.",
            'sum (up{job=~"otel-collector|tempo|prometheus|grafana"})',
            "suffix: of 4",
            Box(0, 0, 4, 4),
            thresholds=((None, "red"), (4, "green")),
        ),
        value(
            "Lost or refused",
            "Spans and points that the collector refused, failed to queue or gave up on, in the time shown.",
            " + ".join(f"({_lost(s, c, '$__range')} or vector(0))" for s in _SIGNALS for c in _LOST.values()),
            "short",
            Box(4, 0, 5, 4),
            thresholds=((None, "green"), (1, "red")),
            decimals=0,
        ),
        value(
            "Queue",
            "The fuller of the collector's two queues on disk.",
            "max (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
            RATIO,
            Box(9, 0, 5, 4),
            thresholds=((None, "green"), (0.5, "orange"), (0.8, "red")),
            decimals=1,
        ),
        value(
            "groqscope's own failures",
            "Faults inside groqscope, which never reach the application. Please report them.",
            f"sum (increase({name(semconv.METRIC_INTERNAL_ERRORS)}[$__range])) or vector(0)",
            "short",
            Box(14, 0, 5, 4),
            thresholds=((None, "green"), (1, "red")),
            decimals=0,
        ),
        value(
            "Rule failures",
            "Evaluations of recording and alert rules that failed.",
            "sum (increase(prometheus_rule_evaluation_failures_total[$__range]))",
            "short",
            Box(19, 0, 5, 4),
            thresholds=((None, "green"), (1, "red")),
            decimals=0,
        ),
    ]


def _charts() -> list[object]:
    return [
        chart(
            "Spans per second: received, sent, stored",
            "What came into the collector, what it passed on, what Tempo took. The lines cover each other when "
            "all is well.",
            [
                Query(f"sum (rate(otelcol_receiver_accepted_spans{_R}))", "collector received"),
                Query(f"sum (rate(otelcol_exporter_sent_spans{_R}))", "collector sent"),
                Query(f"sum (rate(tempo_distributor_spans_received_total{_R}))", "Tempo received"),
            ],
            "short",
            Box(0, 4, 12, 9),
            empty=_COLLECTOR,
        ),
        chart(
            "Points per second: received, sent, stored",
            "The same for metrics: data points into and out of the collector, and Prometheus' samples (a "
            "histogram is many).",
            [
                Query(f"sum (rate(otelcol_receiver_accepted_metric_points{_R}))", "collector received"),
                Query(f"sum (rate(otelcol_exporter_sent_metric_points{_R}))", "collector sent"),
                Query(f"sum (rate(prometheus_tsdb_head_samples_appended_total{_R}))", "Prometheus samples"),
            ],
            "short",
            Box(12, 4, 12, 9),
            empty=_COLLECTOR,
        ),
        chart(
            "Refused, failed, given up",
            "Anything here but a flat zero is telemetry that may be missing. Refused: the sender was told to try "
            "again.",
            [Query(_lost(s, c, "$__rate_interval"), f"{s} {what}") for s in _SIGNALS for what, c in _LOST.items()],
            "short",
            Box(0, 13, 8, 9),
            empty="Nothing was refused and nothing failed.",
        ),
        chart(
            "Queues on disk",
            "What waits for Tempo and Prometheus. They grow while one of them is down, and empty afterwards.",
            [Query("otelcol_exporter_queue_size", "{{exporter}}")],
            BYTES,
            Box(8, 13, 8, 9),
            empty=_COLLECTOR,
        ),
        chart(
            "Memory",
            "Resident memory of each service; the collector refuses data before it reaches its limit of 512 MiB.",
            [
                Query("otelcol_process_memory_rss", "otel-collector"),
                Query('process_resident_memory_bytes{job=~"tempo|prometheus|grafana"}', "{{job}}"),
            ],
            BYTES,
            Box(16, 13, 8, 9),
            empty=_COLLECTOR,
        ),
    ]


def build() -> object:
    """Make the dashboard."""
    title = "Groq telemetry pipeline"
    return frame(UID, title, "Does what the applications send arrive?", [*_figures(), *_charts()], choices=False)
