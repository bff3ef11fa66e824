"""Groq latency anatomy: where does the time go?"""

from collections.abc import Sequence

from dashboards import _promql as p
from dashboards._frame import frame
from dashboards._panels import RATIO, SECONDS, Box, Query, chart, heat, ladder
from groqscope import semconv
from groqscope.audit.reports import palette

UID = "groq-latency"
PHASES = {name: colour.hex for name, colour in palette.PHASES.items()}


def anatomy(box: Box, figures: Sequence[str] = (), unlisted: str | None = None) -> object:
    """Make the panel of stacked phases; the overview shows it too, with the shortest left out of the legend."""
    calls = p.rate(semconv.METRIC_OUTCOMES)
    return chart(
        "Where a request's time goes",
        "Mean time a request spends in each phase; phases partition the duration exactly, so the top edge is "
        "the mean duration. queue, prefill and generate are what Groq reports; network is the part of the wait "
        "that Groq does not account for; consume is the application holding a chunk. Orange: Groq's queue. Pink: "
        "failed attempts and back-off. Violet: the application.",
        [
            Query(p.rate(semconv.METRIC_PHASE, "sum", f'{p.PHASE}="{phase}"') + f" / ({calls} > 0)", phase)
            for phase in PHASES
        ],
        SECONDS,
        box,
        stacked=True,
        colors=PHASES,
        right=True,
        figures=figures,
        unlisted=unlisted,
    )


def _anatomy() -> list[object]:
    return [
        anatomy(Box(0, 0, 14, 11), ["mean"]),
        ladder(
            "And by model",
            "The same over the whole time shown, one bar per model. Colours as on the left.",
            p.gained(semconv.METRIC_PHASE, "sum", by=f"{p.MODEL}, {p.PHASE}")
            + f" / on ({p.MODEL}) group_left () ({p.gained(semconv.METRIC_OUTCOMES, by=p.MODEL)} > 0)"
            + p.or_words("no requests: make stack-demo", p.MODEL, f'"{p.PHASE}", "prepare"'),
            SECONDS,
            Box(14, 0, 10, 11),
            row=p.MODEL,
            column=p.PHASE,
            order=tuple(PHASES),
            colors=PHASES,
        ),
    ]


def _heat(title: str, description: str, metric: semconv.Metric, box: Box, lowest: float, highest: float) -> object:
    query = Query(f"sum by (le) (increase({p.series(metric, 'bucket')}[{p.RATE}]))", "{{le}}", exemplars=True)
    return heat(title, description, query, box, lowest=lowest, highest=highest)


def _detail() -> list[object]:
    return [
        _heat(
            "Time to first chunk",
            "How many streamed calls had their first chunk after how long. Two bands are two populations (for "
            "example new and "
            "reused connections, or one slow model). A dot is one request: click it for its trace.",
            semconv.METRIC_TTFC,
            Box(0, 11, 8, 11),
            0.01,
            20.48,
        ),
        _heat(
            "Gaps between chunks",
            "Time between two reads that brought chunks, a bounded sample of each stream. Groq flushes several "
            "tokens at a time; a "
            "band that moves up is slower generation, single cells far up are stalls. Gaps in which a chunk may have "
            "arrived while the application held control are left out.",
            semconv.METRIC_TPOC,
            Box(8, 11, 8, 11),
            0.0005,
            1.28,
        ),
        chart(
            "What Groq reports beside what was measured",
            "Medians. queue, prompt and completion are Groq's own figures (dashed); first chunk and duration are "
            "measured here. The "
            "room between queue + prompt and the first chunk is the network and everything unaccounted for.",
            [
                Query(p.quantile(0.5, semconv.METRIC_DURATION), "duration, measured"),
                Query(p.quantile(0.5, semconv.METRIC_TTFC), "first chunk, measured", exemplars=True),
                Query(p.quantile(0.5, semconv.METRIC_COMPLETION), "completion, reported"),
                Query(p.quantile(0.5, semconv.METRIC_PROMPT), "prompt, reported"),
                Query(p.quantile(0.5, semconv.METRIC_QUEUE), "queue, reported"),
            ],
            SECONDS,
            Box(16, 11, 8, 11),
            dashed=".*reported",
        ),
    ]


def _causes() -> list[object]:
    calls = p.rate(semconv.METRIC_OUTCOMES, by=p.SERVICE)
    delay = p.rate(semconv.METRIC_CALLER_DELAY, "sum", by=p.SERVICE)
    connect = p.rate(semconv.METRIC_PHASE, "count", f'{p.PHASE}="connect"', by=p.SERVICE)
    return [
        chart(
            "Each phase, p95",
            "95th percentile of each phase among the calls that had it. Percentiles do not add up.",
            [Query(p.quantile(0.95, semconv.METRIC_PHASE, p.PHASE), f"{{{{{p.PHASE}}}}}", exemplars=True)],
            SECONDS,
            Box(0, 22, 8, 10),
            colors=PHASES,
        ),
        chart(
            "Tool-call assembly",
            "How long a whole tool call took to arrive after the last chunk before it, by tool: 95th percentile, "
            "and median (dashed). Groq sends a call in one piece after the pause in which it is generated. Calls that "
            "arrived while the application held control are left out.",
            [
                Query(p.quantile(0.95, semconv.METRIC_ASSEMBLY, p.TOOL), f"{{{{{p.TOOL}}}}} p95", exemplars=True),
                Query(p.quantile(0.5, semconv.METRIC_ASSEMBLY, p.TOOL), f"{{{{{p.TOOL}}}}} p50"),
            ],
            SECONDS,
            Box(8, 22, 8, 10),
            dashed=".* p50",
            empty="No streamed tool calls in this time.",
        ),
        chart(
            "Slow consumers",
            "Share of a call's duration that would be saved if the application did nothing between chunks, by "
            "service. Time in which it works while Groq still generates is not in it.",
            [Query(f"{delay} / ({p.rate(semconv.METRIC_PHASE, 'sum', by=p.SERVICE)} > 0)", f"{{{{{p.SERVICE}}}}}")],
            RATIO,
            Box(16, 22, 8, 5),
            maximum=1,
            thresholds=((None, "green"), (0.2, "orange")),
        ),
        chart(
            "New connections",
            "Share of calls that had to connect. A client that is made anew for each call shows here, and pays "
            "DNS, TCP and TLS each time.",
            [Query(p.ratio(connect, calls), f"{{{{{p.SERVICE}}}}}")],
            RATIO,
            Box(16, 27, 8, 5),
            maximum=1,
            thresholds=((None, "green"), (0.5, "orange")),
        ),
        chart(
            "Time per output token by model",
            "Median over calls of the time of generation by output tokens: Groq's completion_time, else from arrivals "
            "of chunks that were observed. Calls in which neither tells are left out; a slow application does not "
            "change it.",
            [Query(p.quantile(0.5, semconv.METRIC_TPOT, p.MODEL), f"{{{{{p.MODEL}}}}}", exemplars=True)],
            SECONDS,
            Box(0, 32, 24, 8),
        ),
    ]


def build() -> object:
    """Make the dashboard."""
    return frame(UID, "Groq latency anatomy", "Where does the time go?", [*_anatomy(), *_detail(), *_causes()])
