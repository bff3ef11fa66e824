"""Realistic records for the reports: a timeline driven with plain times, no clock and no network."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from groqscope.audit import (
    Audit,
    BudgetResult,
    Budgets,
    Cause,
    Change,
    Comparison,
    ComparisonRow,
    GroupCause,
    Query,
    ReadReport,
    Records,
    RequestAudit,
    Verdict,
    Why,
    compare,
    one_request,
    parse_budget,
)
from groqscope.audit import overview as analyse
from groqscope.audit.model import Certainty
from groqscope.testing import Story
from groqscope.testing.story import NOON_UNIX_NS
from groqscope.timeline import (
    Channel,
    ModelUsage,
    Phases,
    RequestRecord,
    Usage,
)
from support.full_records import busy_record, full_record, ordinary_record

MS = 1_000_000


def usage(inp: int, out: int, queue: float, prompt: float, completion: float, *, cached: int | None = None) -> Usage:
    """Make a usage as Groq sends it: times in seconds."""
    return Usage(
        input_tokens=inp,
        output_tokens=out,
        cached_tokens=cached,
        queue_time=queue,
        prompt_time=prompt,
        completion_time=completion,
        total_time=prompt + completion,
    )


def streamed(**request: Any) -> RequestRecord:
    """Stream 212 tokens over a reused connection."""
    story = Story(temperature=0.2, max_tokens=512, tools=2, **request)
    story.issue()
    story.headers(96)
    story.chunk(45.2, Channel.NONE)
    story.text(212, 2.9)
    story.used(usage(846, 212, 0.018, 0.0413, 0.6402, cached=512))
    story.last_byte()
    return story.end(cost=0.00067)


def retried(**request: Any) -> RequestRecord:
    """Two 429s, then an answer."""
    story = Story(number=2, **request)
    story.issue(connect=18.4, tls=31.7)
    story.refused(62, 429, "rate_limit_exceeded", 0.6, 608)
    story.issue(prepare=0.4)
    story.refused(48, 429, "rate_limit_exceeded", 1.2, 1_207)
    story.issue(prepare=0.4)
    story.headers(110)
    story.chunk(22, Channel.NONE)
    story.text(96, 3.1)
    story.used(usage(312, 96, 0.0042, 0.0211, 0.291))
    story.last_byte()
    return story.end(cost=0.00026)


def slow_consumer(**request: Any) -> RequestRecord:
    """The caller takes 9 ms over each chunk; the next ones wait in the socket by then."""
    story = Story(number=3, model="llama-3.1-8b-instant", **request)
    story.issue()
    story.headers(71)
    story.chunk(9, Channel.NONE)
    story.text(130, 0.1, consume=9.0)
    story.used(usage(201, 130, 0.0061, 0.0093, 0.198), gap=0.1)
    story.last_byte()
    return story.end(cost=0.00002)


def tool_calls(**request: Any) -> RequestRecord:
    """Some text, then one whole call and one in pieces that is not JSON."""
    story = Story(number=4, model="openai/gpt-oss-120b", tools=4, reasoning_effort="medium", **request)
    story.issue()
    story.headers(88)
    story.chunk(31, Channel.NONE)
    story.text(40, 2.2, channel=Channel.REASONING)
    story.text(12, 2.4)
    story.tool(29.8, 0, "get_weather", '{"city": "Zürich", "unit": "celsius"}')
    story.tool(34.1, 1, "search_catalogue", '{"query": "rain coat", "limit": 5', pieces=5)
    story.used(usage(1_204, 131, 0.0022, 0.0377, 0.2216), "tool_calls")
    story.last_byte()
    return story.end(cost=0.00028)


def cold(**request: Any) -> RequestRecord:
    """A cold connection takes most of the time; not streamed."""
    story = Story(number=5, stream=False, model="llama-3.1-8b-instant", **request)
    story.issue(connect=84.2, tls=131.0)
    story.whole(61, usage(88, 24, 0.0011, 0.0042, 0.0312))
    return story.end(cost=0.000006)


def queued(**request: Any) -> RequestRecord:
    """Groq's queue takes most of the time."""
    story = Story(number=6, request_service_tier="flex", **request)
    story.issue()
    story.headers(1_392)
    story.chunk(30, Channel.NONE)
    story.text(60, 3.0)
    story.used(usage(640, 60, 1.284, 0.0602, 0.1804))
    story.last_byte()
    return story.end(cost=0.00042)


def broken(**request: Any) -> RequestRecord:
    """An error event after 41 tokens: usage never came."""
    story = Story(number=7, **request)
    story.issue()
    story.headers(102)
    story.text(41, 3.0)
    story.answer["stream_error"] = "over capacity, please try again"
    return story.end("error", error="capacity_exceeded")


def abandoned(**request: Any) -> RequestRecord:
    """Dropped by the caller after 18 tokens."""
    story = Story(number=8, **request)
    story.issue()
    story.headers(93)
    story.text(18, 3.0)
    return story.end("abandoned")


def refused(**request: Any) -> RequestRecord:
    """Refused before anything was generated."""
    story = Story(number=9, model="llama-4-scout", **request)
    story.issue()
    story.refused(37.8, 404, "model_not_found")
    return story.end("error", error="model_not_found")


def one_chunk(**request: Any) -> RequestRecord:
    """One chunk, no usage."""
    story = Story(number=10, **request)
    story.issue()
    story.headers(50)
    story.chunk(10)
    return story.end("truncated")


def unfinished(**request: Any) -> RequestRecord:
    """Still running after 30 tokens."""
    story = Story(number=11, **request)
    story.issue()
    story.headers(80)
    story.text(30, 3.0)
    return story.running(210)


def empty(**_: object) -> RequestRecord:
    """What another library's span tells: a start and a length."""
    return RequestRecord(start_unix_ns=NOON_UNIX_NS, duration_ns=0, outcome=None)


def foreign(**_: object) -> RequestRecord:
    """A span of another library: no phases."""
    return RequestRecord(
        start_unix_ns=NOON_UNIX_NS,
        duration_ns=412_700_000,
        model="llama-3.3-70b-versatile",
        usage=Usage(input_tokens=12, output_tokens=40),
    )


def compound(**request: Any) -> RequestRecord:
    """A compound system: two models inside, a search that Groq ran."""
    story = Story(number=12, model="groq/compound", **request)
    story.issue()
    story.headers(130)
    story.timeline.tool_executed(story.after(20), 0, "search", has_output=False)
    story.chunk(0, Channel.REASONING)
    story.timeline.tool_executed(story.after(840), 0, "search", has_output=True)
    story.text(64, 2.6)
    story.used(
        usage(2_904, 188, 0.0051, 0.0712, 0.4021),
        models=(
            ModelUsage(model="llama-3.3-70b-versatile", input_tokens=1_304, output_tokens=90),
            ModelUsage(model="openai/gpt-oss-120b", input_tokens=1_600, output_tokens=98),
        ),
    )
    story.last_byte()
    return story.end()


def huge(**request: Any) -> RequestRecord:
    """Twenty thousand chunks over a minute and 20 tool calls with hostile names."""
    story = Story(number=13, **request)
    story.issue()
    story.headers(300)
    story.text(20_000, 3.0)
    for index in range(20):
        story.tool(20, index, f"<script>alert({index})</script>\x1b[31m[bold]" + "x" * 80, "{}")
    story.used(usage(120_000, 20_040, 0.01, 0.2, 61.0), "tool_calls")
    story.last_byte()
    return story.end(cost=0.0867)


def wide(**request: Any) -> RequestRecord:
    """Names that take two cells a character, or none."""
    story = Story(number=14, model="模型-七十億-超長的名字", service="店舗🛒", **request)
    story.issue()
    story.headers(60)
    story.text(3, 3.0)
    story.tool(12, 0, "天気を調べる_長い名前の道具_e\u0301", "{}")
    story.used(usage(20, 9, 0.001, 0.002, 0.01), "tool_calls")
    return story.end()


SAMPLES = {
    "streamed": streamed,
    "retried": retried,
    "slow_consumer": slow_consumer,
    "tool_calls": tool_calls,
    "cold": cold,
    "queued": queued,
    "broken": broken,
    "abandoned": abandoned,
    "refused": refused,
    "one_chunk": one_chunk,
    "unfinished": unfinished,
    "empty": empty,
    "foreign": foreign,
    "compound": compound,
    "huge": huge,
    "wide": wide,
}

ODD = {"full": full_record, "busy": busy_record, "ordinary": ordinary_record}
"""Records with every field there is; they do not tell of one request."""


DAY = (
    "streamed",
    "streamed",
    "slow_consumer",
    "tool_calls",
    "streamed",
    "cold",
    "queued",
    "retried",
    "broken",
    "abandoned",
    "streamed",
    "refused",
    "compound",
)
"""A morning's requests, oldest first."""


def many(number: int) -> list[RequestRecord]:
    """So many requests, a few seconds apart, each a little different; oldest first."""
    random = Random(7)
    kinds = [SAMPLES[name] for name in DAY]
    bases = [kind() for kind in kinds]
    records: list[RequestRecord] = []
    at = NOON_UNIX_NS
    for index in range(number):
        base = bases[random.randrange(len(bases))]
        at += random.randrange(200, 9_000) * MS
        stretch = random.lognormvariate(0, 0.35)
        records.append(
            stretched(
                base,
                stretch,
                start_unix_ns=at,
                request_id=f"req_01k9zq{index:06d}fzv8a2t6p4x1c3d",
                span_id=f"{index + 1:016x}",
            )
        )
    return records


def prompts_cached(number: int) -> list[RequestRecord]:
    """So many requests of an agent with a long prompt, some of which Groq's cache did not hold; oldest first."""
    random = Random(11)
    records: list[RequestRecord] = []
    at = NOON_UNIX_NS
    for index in range(number):
        at += random.randrange(2_000, 60_000) * MS
        tokens = random.randrange(4_200, 7_400)
        cached = tokens // 128 * 128 - 128
        reason = random.choice(
            [None, None, None, None, "system", "system", "tools", "message[2]", "expired", "provider"]
        )
        model = random.choice(["openai/gpt-oss-120b", "openai/gpt-oss-120b", "openai/gpt-oss-20b"])
        discount = 0.075e-6 if model.endswith("120b") else 0.0375e-6
        base = tool_calls()
        used = replace(
            base.usage,
            input_tokens=tokens,
            cached_tokens=None if reason else cached,
            prompt_time=(0.011 if reason is None else 0.062) * random.lognormvariate(0, 0.2),
        )
        prefill = round((used.prompt_time or 0) * 1e9)
        records.append(
            replace(
                base,
                model=model,
                start_unix_ns=at,
                request_id=f"req_01k9zr{index:06d}fzv8a2t6p4x1c3d",
                span_id=f"{index + 1:016x}",
                usage=used,
                phases=replace(base.phases, prefill=prefill),
                duration_ns=base.duration_ns - (base.phases.prefill or 0) + prefill,
                cost=tokens * 2 * discount + 0.00008 - (0 if reason else cached * discount),
                cache_saved=None if reason else cached * discount,
                cache_miss=reason,
                cache_missed_tokens=cached if reason else None,
                cache_lost=cached * discount if reason else None,
                cache_last_used_ns=7_800 * 10**9 if reason == "expired" else None,
            )
        )
    return records


def stretched(record: RequestRecord, factor: float, **changes: object) -> RequestRecord:
    """Make a request take longer in all its phases, by Groq's own figures too."""
    phases = Phases(**{name: round(length * factor) for name, length in record.phases.items()})
    times = {name: round(value * factor) for name in TIMES if (value := getattr(record, name)) is not None}
    usage = record.usage
    reported = {n: getattr(usage, n) for n in ("queue_time", "prompt_time", "completion_time")}
    return replace(
        record,
        phases=phases,
        usage=replace(usage, **{n: None if v is None else v * factor for n, v in reported.items()}),
        **times,
        duration_ns=phases.total() or round(record.duration_ns * factor),
        timeline_us=tuple(int(t * factor) for t in record.timeline_us),
        tool_calls=tuple(
            replace(
                c,
                first_delta_ns=round((c.first_delta_ns or 0) * factor),
                delta_ns=round((c.delta_ns or 0) * factor),
                assembly_ns=round((c.assembly_ns or 0) * factor),
            )
            for c in record.tool_calls
        ),
        attempts=tuple(
            replace(
                a,
                start_ns=round(a.start_ns * factor),
                duration_ns=round(a.duration_ns * factor),
                backoff_ns=None if a.backoff_ns is None else round(a.backoff_ns * factor),
            )
            for a in record.attempts
        ),
        **changes,  # pyright: ignore[reportArgumentType]
    )


TIMES = (
    *("ttfc_ns", "ttft_ns", "ttfrt_ns", "ttfot_ns", "first_token_read_ns", "last_chunk_ns", "generation_ns"),
    *("caller_delay_ns", "icl_p50_ns", "icl_p99_ns", "icl_max_ns"),
)


class Samples:
    """A source of records that are in memory."""

    names = ("~/.local/state/groqscope",)
    when_empty = "no samples"

    def __init__(self, records: Sequence[RequestRecord]) -> None:
        self._records = records

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield them."""
        report.files = 2
        report.records = len(self._records)
        yield from self._records


def overview(
    records: Sequence[RequestRecord],
    *,
    listed: int | None = 20,
    why: bool = True,
    budgets: Sequence[str] = (),
    warnings: tuple[str, ...] = (),
) -> Audit:
    """Analyse records as the command does."""
    limits = Budgets([parse_budget(text) for text in budgets]) if budgets else None
    audit = analyse(Records(Samples(records), Query()), listed=listed, why=why, budgets=limits)
    return replace(audit, provenance=replace(audit.provenance, version="0.1.0", warnings=warnings))


def one(record: RequestRecord, beside: Sequence[RequestRecord] = ()) -> RequestAudit:
    """Analyse one record beside others."""
    unique = replace(record, span_id="f" * 16)
    found = one_request(Records(Samples([*beside, unique]), Query()), "f" * 16)
    return replace(found, record=record, provenance=replace(found.provenance, version="0.1.0"))


def both(a: Sequence[RequestRecord], b: Sequence[RequestRecord]) -> Comparison:
    """Compare two sets."""
    found = compare(Records(Samples(a), Query()), Records(Samples(b), Query()))
    return replace(found, a=replace(found.a, version="0.1.0"), b=replace(found.b, version="0.1.0"))


ADVICE = "Stay below the rate limit: fewer or smaller requests at once."


def explained() -> Audit:
    """An overview whose words are fixed, so that a snapshot of it shows the report and not the rules."""
    audit = overview(many(150), listed=8)
    sentence = "Of the time: 20% in failed attempts and back-off (13 of 150 requests)."
    return replace(audit, sentence=sentence, why=WHY, budgets=BUDGETS)


def judged(record: RequestRecord) -> RequestAudit:
    """One record with a verdict whose words are fixed."""
    slow = record.retries > 0
    cause = Cause(
        code="retries",
        ns=record.phases.retry or 0,
        share=0.814,
        usual_ns=0,
        sentence="81% in failed attempts and back-off (1.98 s, usually none)",
        advice=ADVICE,
    )
    sentence = (
        f"Slow: 2.43 s, usually 868 ms. {cause.sentence}." if slow else "Nothing stands out: as usual for this model."
    )
    return RequestAudit(
        provenance=overview([record]).provenance,
        record=record,
        verdict=Verdict(sentence=sentence, causes=(cause,) if slow else (), slow=slow, usual_ns=868_000_000),
    )


WHY = Why(
    requests=150,
    slow=21,
    slow_ns=40_700_000_000,
    unexplained=1,
    sentence="21 of 150 requests are slow. The biggest cause: 48% of their time in failed attempts and back-off.",
    rule="slow: at least 1.5 times the median duration of completed requests for the same model, and 20 ms more",
    causes=(
        GroupCause(
            code="retries",
            title="in failed attempts and back-off",
            requests=10,
            ns=19_839_600_000,
            share=0.4871,
            usual_ns=0,
            sentence="48% in failed attempts and back-off",
            advice=ADVICE,
            examples=("req_01k9zq000121fzv8a2t6p4x1c3d", "req_01k9zq000116fzv8a2t6p4x1c3d"),
        ),
        GroupCause(
            code="queue",
            title="in Groq's queue",
            requests=1,
            ns=1_298_100_000,
            share=0.0319,
            usual_ns=17_400_000,
            sentence="3% in Groq's queue",
            advice="Spread the load over time, or ask for another service tier.",
        ),
    ),
)
BUDGETS = (
    BudgetResult(
        expression="cost.sum<2usd",
        source="--budget",
        measured=0.0404,
        limit=2.0,
        operator="<",
        unit="usd",
        n=96,
        verdict="ok",
        note="54 requests without cost left out",
    ),
    BudgetResult(
        expression="ttft.p99<400ms",
        source="pyproject.toml",
        measured=None,
        limit=4e8,
        operator="<",
        unit="ns",
        n=41,
        verdict="inconclusive",
        note="p99 needs 100 values, there are 41",
    ),
    BudgetResult(
        expression="ttfc.p95<400ms",
        source="--budget",
        measured=1_818_500_000.0,
        limit=4e8,
        operator="<",
        unit="ns",
        n=125,
        verdict="over",
    ),
    BudgetResult(
        expression="goodput",
        source="--goodput",
        measured=0.8266,
        limit=None,
        operator=">=",
        unit="share",
        n=150,
        verdict="measured",
    ),
)


def compared() -> Comparison:
    """A comparison whose intervals are fixed."""
    a, b = overview(many(120)).provenance, overview(many(80)).provenance
    model = "llama-3.3-70b-versatile"
    none = Change(a=None, b=None, note="p95 needs 20 requests in each set")
    rows = (
        _row(model, "duration", "ns", _change(9.3e8, 14.9e8, 1.2, 2.3), _change(25.9e8, 41.5e8, 0.9, 2.4)),
        _row(model, "tpot", "ns", _change(2.9e6, 2.1e6, 0.61, 0.92), _change(4.4e6, 4.1e6, 0.81, 1.02)),
        _row(model, "phase.consume", "ns", _change(1.2e6, 4.4e6, 2.2, 5.1), none),
        _row(None, "duration", "ns", _change(2.5e8, 2.6e8, None, None), none),
    )
    return Comparison(
        a=a,
        b=b,
        rows=rows,
        only_a=("groq/compound",),
        only_b=("openai/gpt-oss-120b", "<b>new</b>"),
        sentence=f"{model} is slower: median +60%.",
        confidence=0.95,
        method="bootstrap of median and p95, 2,000 draws; completed requests only",
    )


def _row(model: str | None, measure: str, unit: Any, median: Change, p95: Change) -> ComparisonRow:
    return ComparisonRow(model=model, measure=measure, unit=unit, n_a=50, n_b=31, median=median, p95=p95)


def _change(a: float, b: float, low: float | None, high: float | None) -> Change:
    certainty: Certainty = "slower" if low and low > 1 else "faster" if high and high < 1 else "inconclusive"
    return Change(a=a, b=b, ratio=b / a, low=low, high=high, certainty=certainty)


def nothing() -> Audit:
    """An overview of nothing."""
    audit = overview([streamed()])
    none = replace(audit.total, requests=0)
    return replace(audit, sentence="No requests.", total=none, models=(), tools=(), entries=(), why=None, cache=None)
