"""Groq overview: does Groq serve us well, and what does it cost?"""

from dashboards import _promql as p
from dashboards._frame import frame
from dashboards._panels import (
    COUNT,
    DOLLARS,
    ENDINGS,
    PER_MINUTE,
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
from dashboards.latency import anatomy
from groqscope import semconv

UID = "groq-overview"

LATENCY = ((None, "green"), (0.64, "orange"), (2.56, "red"))
"""Bounds of the metric's own buckets."""
ERRORS = ((None, "green"), (0.01, "orange"), (0.05, "red"))
FIRING = 'ALERTS{alertstate="firing", alertname=~"Groq.*"}'
_ERROR = f'{p.ERROR}!=""'
_BROKEN = f'{p.OUTCOME}!~"completed|error"'


def _figures() -> list[object]:
    requests = p.gained(semconv.METRIC_DURATION, "count")
    calls = p.gained(semconv.METRIC_OUTCOMES)
    errors = p.ratio(p.gained(semconv.METRIC_DURATION, "count", _ERROR), requests)
    again = f"clamp_min({p.gained(semconv.METRIC_ATTEMPTS)} - {calls}, 0) / ({calls} > 0)"
    widths = (3, 3, 2, 3, 3, 3, 3, 2, 2)
    boxes = [Box(sum(widths[:i]), 0, w, 4) for i, w in enumerate(widths)]
    return [
        value(
            "Requests",
            "Calls that ended in the time shown, whatever their end.",
            requests,
            COUNT,
            boxes[0],
            decimals=0,
            empty="0",
        ),
        value(
            "Errors",
            "Share of calls that ended with an error, after all retries.",
            errors,
            RATIO,
            boxes[1],
            thresholds=ERRORS,
            decimals=1,
        ),
        value(
            "Retries",
            "HTTP attempts beyond the first, per call. The SDK retries by itself.",
            again,
            RATIO,
            boxes[2],
            thresholds=ERRORS,
            decimals=1,
        ),
        value(
            "In flight",
            "Calls that run now.",
            f"sum ({p.series(semconv.METRIC_ACTIVE)})",
            COUNT,
            boxes[3],
            decimals=0,
            empty="0",
        ),
        value(
            "First chunk, p95",
            "Streamed calls: 95 of 100 had their first chunk in this time, from the issue of the call.",
            p.quantile(0.95, semconv.METRIC_TTFC, over=p.RANGE),
            SECONDS,
            boxes[4],
            thresholds=LATENCY,
        ),
        value(
            "Duration, p95",
            "95 of 100 calls, streamed or not, ended in this time.",
            p.quantile(0.95, semconv.METRIC_DURATION, over=p.RANGE),
            SECONDS,
            boxes[5],
            thresholds=((None, "green"), (5.12, "orange"), (20.48, "red")),
        ),
        value(
            "Tokens",
            "Input and output tokens of the time shown, as Groq reports them.",
            p.gained(semconv.METRIC_TOKENS, "sum"),
            "short",
            boxes[6],
        ),
        value(
            "Cost",
            "US dollars in the time shown, by the list prices of genai-prices. Calls without usage or with an unknown "
            "price are not in it.",
            p.gained(semconv.METRIC_COST),
            DOLLARS,
            boxes[7],
            decimals=2,
        ),
        value(
            "Alerts",
            "How many alerts fire now; they are listed at the end of this page.",
            f"count ({FIRING}) or vector(0)",
            COUNT,
            boxes[8],
            thresholds=((None, "green"), (1, "red")),
            decimals=0,
        ),
    ]


def _charts() -> list[object]:
    first = Query(p.quantile(0.95, semconv.METRIC_TTFC, p.MODEL), f"{{{{{p.MODEL}}}}}", exemplars=True)
    whole = Query(p.quantile(0.95, semconv.METRIC_DURATION, p.MODEL), f"{{{{{p.MODEL}}}}}", exemplars=True)
    limit = p.series(semconv.METRIC_RATELIMIT_LIMIT)
    failed = p.rate(semconv.METRIC_ATTEMPTS, only=f'{p.ATTEMPT}!="ok"')
    return [
        chart(
            "Time to first chunk by model, p95",
            "Streamed calls, from the issue of the call: 95 of 100 had their first chunk in this time. A dot is "
            "one request: click it for its trace. Estimated from buckets that double, so read it to a factor, not "
            "to the millisecond.",
            [first],
            SECONDS,
            Box(0, 4, 8, 9),
            thresholds=LATENCY,
        ),
        chart(
            "Duration by model, p95",
            "From the issue of a call to its end, errors included: 95 of 100 calls ended in this time. A dot is "
            "one request: click it for its trace.",
            [whole],
            SECONDS,
            Box(8, 4, 8, 9),
        ),
        anatomy(Box(16, 4, 8, 9), unlisted="prepare|pool_wait|send|finish"),
        chart(
            "Requests by model",
            "Calls that ended, per minute.",
            [Query(f"60 * {p.rate(semconv.METRIC_DURATION, 'count', by=p.MODEL)}", f"{{{{{p.MODEL}}}}}")],
            PER_MINUTE,
            Box(0, 13, 5, 9),
            stacked=True,
        ),
        chart(
            "Errors, retries and broken streams",
            "Per minute: errors that reached the caller, by type (red); streams that ended before the answer did "
            "(violet); and, as a dashed line, HTTP attempts that failed, most of which the SDK repeats.",
            [
                Query(
                    f"60 * {p.rate(semconv.METRIC_DURATION, 'count', _ERROR, by=p.ERROR)}", f"error: {{{{{p.ERROR}}}}}"
                ),
                Query(
                    f"60 * {p.rate(semconv.METRIC_OUTCOMES, only=_BROKEN, by=p.OUTCOME)}",
                    f"stream: {{{{{p.OUTCOME}}}}}",
                ),
                Query(f"60 * {failed}", "failed attempts"),
            ],
            PER_MINUTE,
            Box(5, 13, 8, 9),
            bars=True,
            line="failed attempts",
            colors={**ENDINGS, "failed attempts": "yellow"},
            shades={"error: .*": "red", "stream: .*": "purple"},
            right=True,
            empty="No errors, no retries, no broken streams in this time.",
        ),
        chart(
            "Cost per hour by model",
            "US dollars per hour at the list prices of genai-prices.",
            [Query(f"3600 * {p.rate(semconv.METRIC_COST, by=p.MODEL)}", f"{{{{{p.MODEL}}}}}")],
            DOLLARS,
            Box(13, 13, 5, 9),
            stacked=True,
        ),
        chart(
            "Rate-limit headroom",
            "What Groq's headers said is left, as a share of the limit: tokens of this minute, and, dashed in the "
            "same colour, requests of this day. The lowest of all processes; a process that stopped asking keeps "
            "its last value.",
            [
                Query(
                    f"min by ({p.MODEL}, {p.RESOURCE}) ({p.series(semconv.METRIC_RATELIMIT)} / {limit})",
                    f"{{{{{p.MODEL}}}}} {{{{{p.RESOURCE}}}}}",
                )
            ],
            RATIO,
            Box(18, 13, 6, 9),
            maximum=1,
            dashed=".* requests",
            unlisted=".* requests",
            thresholds=((None, "red"), (0.1, "green")),
            empty="No x-ratelimit headers seen in this time.",
        ),
    ]


def _details() -> list[object]:
    over, by = p.RANGE, p.MODEL
    requests = p.gained(semconv.METRIC_DURATION, "count", by=by)
    output = p.rate(semconv.METRIC_TOKENS, "sum", f'{p.TOKEN_TYPE}="output"', by=by, over=over)
    return [
        comparison(
            "Models side by side",
            "The whole time shown, one row per model. Chunk: issue to the first chunk; whole: issue to the end; "
            "output: tokens.",
            p.MODEL,
            "Model",
            [
                Column("Requests", requests, COUNT, decimals=0),
                Column(
                    "Errors",
                    p.ratio(p.gained(semconv.METRIC_DURATION, "count", _ERROR, by=by), requests),
                    RATIO,
                    ERRORS,
                    1,
                ),
                Column("Chunk p50", p.quantile(0.5, semconv.METRIC_TTFC, by, over), SECONDS, LATENCY),
                Column("Chunk p95", p.quantile(0.95, semconv.METRIC_TTFC, by, over), SECONDS, LATENCY),
                Column("Chunk p99", p.quantile(0.99, semconv.METRIC_TTFC, by, over), SECONDS, LATENCY),
                Column("Whole p50", p.quantile(0.5, semconv.METRIC_DURATION, by, over), SECONDS),
                Column("Whole p95", p.quantile(0.95, semconv.METRIC_DURATION, by, over), SECONDS),
                Column("Output/s", output, "short", decimals=1),
                Column("Cost", p.gained(semconv.METRIC_COST, by=by), DOLLARS, decimals=4),
            ],
            Box(0, 22, 18, 8),
        ),
        chart(
            "Tokens per second",
            "As Groq reports them. Cached tokens are part of input, reasoning is part of output.",
            [Query(p.rate(semconv.METRIC_TOKENS, "sum", by=p.TOKEN_TYPE), f"{{{{{p.TOKEN_TYPE}}}}}")],
            "short",
            Box(18, 22, 6, 8),
            stacked=True,
            colors={"input": "blue", "output": "purple"},
        ),
        *_cache(),
        *_runs(38),
        firing(
            "Alerts that fire",
            "Rules of stack/prometheus/rules that are true now.",
            FIRING,
            Box(0, 46, 24, 6),
            columns={"alertname": "Alert", "severity": "Severity", p.MODEL: "Model", p.SERVICE: "Service"},
            empty="Nothing fires.",
        ),
    ]


def _cache() -> list[object]:
    tokens = p.rate(semconv.METRIC_CACHE_TOKENS, by=p.MODEL)
    cached = p.rate(semconv.METRIC_CACHE_TOKENS, only=f'{p.CACHE_OUTCOME}="cached"', by=p.MODEL)
    empty = "No requests for models whose prompts Groq caches in this time."
    return [
        chart(
            "Cached share of input tokens",
            "Of the input tokens of each model whose prompts Groq caches, those that came from the cache, at half the "
            "price. A model without a cache has no line.",
            [Query(p.ratio(cached, tokens), f"{{{{{p.MODEL}}}}}")],
            RATIO,
            Box(0, 30, 8, 8),
            maximum=1,
            empty=empty,
        ),
        chart(
            "Prompts not cached, by reason",
            "Per minute: requests of which less was cached than earlier ones should have left, by the first part of "
            "the prompt that changed, or why else.",
            [Query(f"60 * {p.rate(semconv.METRIC_CACHE_MISSES, by=p.CACHE_MISS)}", f"{{{{{p.CACHE_MISS}}}}}")],
            PER_MINUTE,
            Box(8, 30, 8, 8),
            bars=True,
            empty="Nothing was missed in this time.",
        ),
        chart(
            "Prompt cache, dollars per hour",
            "What cached tokens cost less, and what missed ones would have, at the list prices of genai-prices.",
            [
                Query(f"3600 * {p.rate(semconv.METRIC_CACHE_SAVED)}", "saved"),
                Query(f"3600 * {p.rate(semconv.METRIC_CACHE_LOST)}", "lost"),
            ],
            DOLLARS,
            Box(16, 30, 8, 8),
            colors={"saved": "green", "lost": "red"},
            empty=empty,
        ),
    ]


def _runs(top: int) -> list[object]:
    """Agents' answers and other runs, in a row of their own."""
    completed = f'{p.RUN_OUTCOME}="completed"'
    slow = Query(p.quantile(0.95, semconv.METRIC_RUN_DURATION, only=completed), "p95", exemplars=True)
    return [
        chart(
            "Runs, by how they ended",
            "Agents, groqscope.run and server spans that ended, per minute. Interrupted: the caller ended it early, as "
            "when a user speaks into the answer.",
            [
                Query(
                    f"60 * {p.rate(semconv.METRIC_RUN_DURATION, 'count', by=p.RUN_OUTCOME)}",
                    f"{{{{{p.RUN_OUTCOME}}}}}",
                )
            ],
            PER_MINUTE,
            Box(0, top, 6, 8),
            stacked=True,
            colors={"completed": "green", "failed": "red", "interrupted": "yellow"},
            empty="No run ended in this time.",
        ),
        chart(
            "Duration of runs, p95",
            "From the start of a run to its end, tools and own code included: 95 of 100 completed runs ended in this "
            "time. A dot is one run: click it for its trace.",
            [slow],
            SECONDS,
            Box(6, top, 9, 8),
            empty="No run ended in this time.",
        ),
        chart(
            "Where the time of runs goes",
            "Seconds a second, by kind: Groq requests, tools, other I/O, the program's own code. Every instant of a "
            "run is in exactly one; of what runs at the same time, the one that the run waits for.",
            [Query(p.rate(semconv.METRIC_RUN_PART, "sum", by=p.RUN_PART), f"{{{{{p.RUN_PART}}}}}")],
            "short",
            Box(15, top, 9, 8),
            stacked=True,
            empty="No run ended in this time.",
        ),
    ]


def build() -> object:
    """Make the dashboard."""
    return frame(
        UID, "Groq overview", "Does Groq serve us well, and what does it cost?", [*_figures(), *_charts(), *_details()]
    )
