"""Groq overview: does Groq serve us well, and what does it cost?"""

from dashboards import _promql as p
from dashboards._frame import frame
from dashboards._panels import (
    DOLLARS,
    NO_TRAFFIC,
    PER_SECOND,
    RATIO,
    SECONDS,
    Box,
    Column,
    Query,
    chart,
    comparison,
    firing,
    value,
)
from groqscope import semconv

UID = "groq-overview"

LATENCY = ((None, "green"), (0.64, "orange"), (2.56, "red"))
"""Bounds of the metric's own buckets."""
ERRORS = ((None, "green"), (0.01, "orange"), (0.05, "red"))
_ERROR = f'{p.ERROR}!=""'


def _figures() -> list[object]:
    requests = p.gained(semconv.METRIC_DURATION, "count")
    calls = p.gained(semconv.METRIC_OUTCOMES)
    errors = p.ratio(p.gained(semconv.METRIC_DURATION, "count", _ERROR), requests)
    again = f"clamp_min({p.gained(semconv.METRIC_ATTEMPTS)} - {calls}, 0) / ({calls} > 0)"
    hour = 3600
    boxes = [Box(3 * i, 0, 3, 4) for i in range(8)]
    return [
        value("Requests", "Calls that ended in the time shown, whatever their end.", requests, "short", boxes[0], decimals=0, empty="0"),
        value("Errors", "Share of calls that ended with an error, after all retries.", errors, RATIO, boxes[1], thresholds=ERRORS, decimals=1),
        value("Retries", "HTTP attempts beyond the first, per call. The SDK retries by itself.", again, RATIO, boxes[2], thresholds=ERRORS, decimals=1),
        value("In flight", "Calls that run now.", f"sum ({p.series(semconv.METRIC_ACTIVE)})", "short", boxes[3], decimals=0, empty="0"),
        value(
            "First chunk, p95",
            "Streamed calls: 95 of 100 had their first chunk in this time, from the issue of the call.",
            p.quantile(0.95, semconv.METRIC_TTFC, over=p.RANGE), SECONDS, boxes[4], thresholds=LATENCY, decimals=2,
        ),
        value(
            "Duration, p95",
            "95 of 100 calls, streamed or not, ended in this time.",
            p.quantile(0.95, semconv.METRIC_DURATION, over=p.RANGE), SECONDS, boxes[5],
            thresholds=((None, "green"), (5.12, "orange"), (20.48, "red")), decimals=2,
        ),
        value("Tokens per second", "Input and output tokens, mean of the time shown.", p.rate(semconv.METRIC_TOKENS, "sum", over=p.RANGE), "short", boxes[6], decimals=0),
        value("Cost per hour", "Mean of the time shown, by the list prices of genai-prices. Calls without usage or with an unknown price are not in it.", f"{hour} * {p.rate(semconv.METRIC_COST, over=p.RANGE)}", DOLLARS, boxes[7], decimals=3),
    ]  # fmt: skip


def _charts() -> list[object]:
    first = Query(p.quantile(0.95, semconv.METRIC_TTFC, p.MODEL), f"{{{{{p.MODEL}}}}} p95", exemplars=True)
    first_median = Query(p.quantile(0.5, semconv.METRIC_TTFC, p.MODEL), f"{{{{{p.MODEL}}}}} p50")
    whole = Query(p.quantile(0.95, semconv.METRIC_DURATION, p.MODEL), f"{{{{{p.MODEL}}}}} p95", exemplars=True)
    whole_median = Query(p.quantile(0.5, semconv.METRIC_DURATION, p.MODEL), f"{{{{{p.MODEL}}}}} p50")
    return [
        chart(
            "Time to first chunk by model",
            "Issue of the call to the first chunk, streamed calls: 95th percentile, and median (dashed). A dot is one request: "
            "click it for its trace. Estimated from buckets that double, so read it to a factor, not to the millisecond.",
            [first, first_median], SECONDS, Box(0, 4, 8, 9), dashed=".* p50", thresholds=LATENCY,
        ),
        chart(
            "Duration by model",
            "Issue of the call to its end, errors included: 95th percentile, and median (dashed). A dot is one request: click it "
            "for its trace.",
            [whole, whole_median], SECONDS, Box(8, 4, 8, 9), dashed=".* p50",
        ),
        chart(
            "Requests by model",
            "Calls that ended, per second.",
            [Query(p.rate(semconv.METRIC_DURATION, "count", by=p.MODEL), f"{{{{{p.MODEL}}}}}")],
            PER_SECOND, Box(16, 4, 8, 9), stacked=True,
        ),
        chart(
            "Errors, retries and broken streams",
            "Errors that reached the caller by type, HTTP attempts that failed (the SDK may have tried again), and streams that "
            "ended before the answer did.",
            [
                Query(p.rate(semconv.METRIC_DURATION, "count", _ERROR, by=p.ERROR), f"error: {{{{{p.ERROR}}}}}"),
                Query(p.rate(semconv.METRIC_ATTEMPTS, only=f'{p.ATTEMPT}!="ok"', by=p.ATTEMPT), f"attempt: {{{{{p.ATTEMPT}}}}}"),
                Query(p.rate(semconv.METRIC_OUTCOMES, only=f'{p.OUTCOME}!~"completed|error"', by=p.OUTCOME), f"stream: {{{{{p.OUTCOME}}}}}"),
            ],
            PER_SECOND, Box(0, 13, 8, 9), empty="No errors, no retries, no broken streams in this time.", dashed="attempt: .*",
        ),
        chart(
            "Tokens",
            "Tokens per second, as Groq reports them. Cached tokens are part of input, reasoning is part of output.",
            [Query(p.rate(semconv.METRIC_TOKENS, "sum", by=p.TOKEN_TYPE), f"{{{{{p.TOKEN_TYPE}}}}}")],
            "short", Box(8, 13, 5, 9), stacked=True, colors={"input": "blue", "output": "purple"},
        ),
        chart(
            "Cost per hour by model",
            "US dollars per hour at the list prices of genai-prices.",
            [Query(f"3600 * {p.rate(semconv.METRIC_COST, by=p.MODEL)}", f"{{{{{p.MODEL}}}}}")],
            DOLLARS, Box(13, 13, 5, 9), stacked=True,
        ),
        chart(
            "Rate-limit headroom",
            "What Groq's headers said is left, as a share of the limit: tokens of this minute, requests of this day. The lowest of "
            "all processes; a process that stopped asking keeps its last value.",
            [
                Query(
                    f"min by ({p.MODEL}, {p.RESOURCE}) ({p.series(semconv.METRIC_RATELIMIT)} / {p.series(semconv.METRIC_RATELIMIT_LIMIT)})",
                    f"{{{{{p.MODEL}}}}} {{{{{p.RESOURCE}}}}}",
                )
            ],
            RATIO, Box(18, 13, 6, 9), maximum=1, dashed=".* requests", thresholds=((None, "red"), (0.1, "green")),
            empty="No x-ratelimit headers seen in this time.",
        ),
    ]  # fmt: skip


def _details() -> list[object]:
    over, by = p.RANGE, p.MODEL
    requests = p.gained(semconv.METRIC_DURATION, "count", by=by)
    output = p.rate(semconv.METRIC_TOKENS, "sum", f'{p.TOKEN_TYPE}="output"', by=by, over=over)
    return [
        comparison(
            "Models side by side",
            "The whole time shown, one row per model.",
            p.MODEL,
            "Model",
            [
                Column("Requests", requests, "short", decimals=0),
                Column("Errors", p.ratio(p.gained(semconv.METRIC_DURATION, "count", _ERROR, by=by), requests), RATIO, ERRORS, 1),
                Column("First chunk p50", p.quantile(0.5, semconv.METRIC_TTFC, by, over), SECONDS, LATENCY),
                Column("p95", p.quantile(0.95, semconv.METRIC_TTFC, by, over), SECONDS, LATENCY),
                Column("p99", p.quantile(0.99, semconv.METRIC_TTFC, by, over), SECONDS, LATENCY),
                Column("Duration p50", p.quantile(0.5, semconv.METRIC_DURATION, by, over), SECONDS),
                Column("Duration p95", p.quantile(0.95, semconv.METRIC_DURATION, by, over), SECONDS),
                Column("Output tokens/s", output, "short", decimals=1),
                Column("Cost", p.gained(semconv.METRIC_COST, by=by), DOLLARS, decimals=4),
            ],
            Box(0, 22, 16, 9),
        ),
        firing(
            "Alerts that fire",
            "Rules of stack/prometheus/rules that are true now.",
            'ALERTS{alertstate="firing", alertname=~"Groq.*"}',
            Box(16, 22, 8, 9),
            columns={"alertname": "Alert", "severity": "Severity", p.MODEL: "Model", p.SERVICE: "Service"},
            empty="Nothing fires.",
        ),
    ]


def build() -> object:
    """Make the dashboard."""
    return frame(UID, "Groq overview", "Does Groq serve us well, and what does it cost?", [*_figures(), *_charts(), *_details()])


__all__ = ["NO_TRAFFIC", "UID", "build"]
