"""The audit's results, frozen: everything that reports show, so that they compute nothing themselves.

Units: a `Distribution` of a duration is in nanoseconds, and `*_ns` fields are nanoseconds as in `RequestRecord`; shares
are 0 to 1; cost is US dollars. `None` means "not known": too few values for the quantile, no price, no such phase. It
is never written as 0.
"""

from dataclasses import dataclass, field
from typing import Literal

from groqscope.timeline import RequestRecord

AUDIT_VERSION = 1
"""Version of the JSON form of these results, written as `schema_version`."""

Unit = Literal["ns", "tokens/s", "tokens", "bytes", "usd", "1", "share"]
Certainty = Literal["slower", "faster", "more", "less", "inconclusive"]
"""`more` and `less`: for measures that are not durations."""
BudgetVerdict = Literal["ok", "over", "inconclusive", "measured"]
"""`measured`: there is no limit (goodput without one)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Quantiles of `n` values; one that `n` cannot support is `None` (p90 needs 10 values, p95 20, p99 100)."""

    unit: Unit
    n: int
    total: float = 0.0
    min: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    exact: bool = True
    """`False` when the quantiles come from the sketch, within 1% of the true value."""

    @property
    def mean(self) -> float | None:
        """Arithmetic mean; `None` without values."""
        return self.total / self.n if self.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTotal:
    """One phase, summed over the requests of a group."""

    name: str
    total_ns: int
    share: float
    """Of the group's summed durations (of requests that have phases)."""
    requests: int
    """In how many requests the phase happened."""
    p50_ns: float | None = None
    """Median over the requests in which it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """All requests for one model; also used for the whole (`model` is then `None`)."""

    model: str | None
    requests: int
    streamed: int = 0
    errors: int = 0
    """Outcome `error` or `truncated`."""
    error_types: tuple[tuple[str, int], ...] = ()
    """Error type and count, most frequent first."""
    outcomes: tuple[tuple[str, int], ...] = ()
    """Outcome and count, most frequent first."""
    abandoned: int = 0
    """Outcome `abandoned`, `closed` or `cancelled`: ended by the caller before the end."""
    retries: int = 0
    """HTTP attempts beyond the first, summed."""
    retried: int = 0
    """Requests with at least one retry."""
    ttfc: Distribution
    ttft: Distribution
    ttfot: Distribution
    duration: Distribution
    tpot: Distribution
    throughput: Distribution
    """Output tokens generated per second (1 / tpot)."""
    phases: tuple[PhaseTotal, ...] = ()
    """Phases that happened, in order."""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cacheable_tokens: int = 0
    """Input tokens of requests for models that cache prompts, of which `cached_tokens` are a share."""
    reasoning_tokens: int = 0
    usage_unknown: int = 0
    """Requests whose usage never came: not in the token counts."""
    cost: float | None = None
    """US dollars over the requests whose cost is known; `None` when none is."""
    cost_unknown: int = 0
    """Requests whose cost is not known: not in `cost`."""
    cost_estimate: float | None = None
    """US dollars that may be billed beside `cost`, estimated; `None` where there is nothing to estimate."""
    tool_calls: int = 0
    clamped: int = 0
    """Requests whose reported times did not fit and were cut."""
    verdict: str = ""
    """Where this group's time went, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSummary:
    """All calls of one tool."""

    name: str | None
    calls: int
    requests: int
    assembly: Distribution
    """From the chunk before a call to the complete call (streamed requests, if observed)."""
    arguments_size: Distribution
    invalid: int = 0
    """Calls whose arguments are not JSON."""
    unchecked: int = 0
    """Calls whose arguments were too long to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSummary:
    """The requests for one model that caches prompts; also used for all of them (`model` is then `None`)."""

    model: str | None
    requests: int
    hits: int
    """Requests of whose prompt a part was cached."""
    misses: int
    """Requests whose prompt should have been cached further, or was too short for it."""
    input_tokens: int
    cached_tokens: int
    missed_tokens: int
    """Tokens that would have been cached, estimated."""
    saved: float | None = None
    """US dollars that cached tokens cost less; `None` where no request says."""
    lost: float | None = None
    """US dollars that the missed tokens would have cost less."""
    prefill_cached_ns: float | None = None
    """Mean time that Groq took for prompts of which half or more was cached; `None` without others of the same size."""
    prefill_uncached_ns: float | None = None
    """The same for prompts of the same size (in powers of two) of which nothing was."""

    @property
    def share(self) -> float | None:
        """Share of the input tokens that was cached."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMisses:
    """All misses of Groq's prompt cache with one reason."""

    reason: str
    """As `RequestRecord.cache_miss`."""
    requests: int
    tokens: int
    """Tokens that would have been cached, estimated."""
    lost: float | None = None
    """US dollars that they would have cost less."""
    prefill_ns: int
    """Time that Groq took to process them, estimated."""
    advice: str
    examples: tuple[str, ...] = ()
    """Ids of the worst requests, for `groqscope audit ID`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCache:
    """What Groq's prompt cache did, over the requests for models that have one."""

    total: CacheSummary
    models: tuple[CacheSummary, ...]
    """By input tokens, most first."""
    misses: tuple[CacheMisses, ...]
    """By reason, most tokens first."""
    sentence: str

    @property
    def worth_showing(self) -> bool:
        """Whether anything was cached, or missed."""
        return bool(self.total.cached_tokens or self.total.missed_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The requests, or the runs, that have one value of a field."""

    value: str | None
    """`None`: it is not known. Of several fields: their values, with commas between them."""
    values: tuple[str | None, ...] = ()
    """The value of each field that is grouped by; empty where none is known, and for the rest and the total."""
    runs: int = 0
    """0 where requests are grouped."""
    requests: int
    errors: int = 0
    """Requests with the outcome `error` or `truncated`."""
    retries: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cacheable_tokens: int = 0
    """Input tokens of requests for models that cache prompts, of which `cached_tokens` are a share."""
    output_tokens: int = 0
    usage_unknown: int = 0
    """Requests whose usage never came: not in the token counts."""
    cost: float | None = None
    """US dollars over the requests whose cost is known; `None` when none is."""
    cost_unknown: int = 0
    """Requests whose cost is not known: not in `cost`."""
    cost_estimate: float | None = None
    """US dollars that may be billed beside `cost`, estimated; `None` where there is nothing to estimate."""
    cache_saved: float | None = None
    """US dollars that cached tokens cost less; `None` where no request says."""
    cache_lost: float | None = None
    """US dollars that tokens would have cost less that could have been cached."""
    duration: Distribution
    """Of the requests, or of the runs where runs are grouped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Everything by the values of one field, each request or run in exactly one group: counts and cost add up."""

    by: str
    """The field's name: `tag.feature`, `user`, `model`, …"""
    groups: tuple[Group, ...]
    """The dearest first."""
    others: Group | None = None
    """All values beyond the first 10,000 together; `None` when there are none."""
    total: Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One reason why a request took as long as it did."""

    code: str
    """Stable name, for example `queue`, `cold_connection`, `retries`, `caller`, `reasoning`."""
    ns: int
    """How much time it took."""
    share: float
    """Of the request's duration."""
    usual_ns: int | None = None
    """Median of the same for this model in the same data; `None` if there are too few requests."""
    sentence: str
    """What it was, for example `52% in Groq's queue (1.2 s, usually 18 ms)`."""
    advice: str
    """What one can do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why one request took as long as it did; without causes if nothing stands out."""

    sentence: str
    causes: tuple[Cause, ...] = ()
    """Biggest first."""
    slow: bool = False
    """Whether the request took longer than is usual for its model in the same data."""
    usual_ns: int | None = None
    """Median duration of completed requests for this model in the same data."""
    prefill_uncached_ns: float | None = None
    """Mean time that Groq took for prompts of the same size (in powers of two) of which nothing was cached, for this
    model in the same data; `None` unless some of this prompt was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCause:
    """One cause over all slow requests of a group."""

    code: str
    title: str
    """For example `Groq's queue`."""
    requests: int
    """Slow requests in which it was named."""
    ns: int
    """Time it took in them."""
    share: float
    """Of the summed durations of all slow requests."""
    is_lower_bound: bool = False
    """Whether it may have taken longer, because Groq did not report what is needed for the caller's exact delay."""
    usual_ns: int | None = None
    sentence: str
    advice: str
    examples: tuple[str, ...] = ()
    """Ids of the worst requests, for `groqscope audit ID`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The causes over all slow requests, biggest share first."""

    requests: int
    slow: int
    slow_ns: int
    """Summed durations of the slow ones."""
    unexplained: int
    """Slow requests in which nothing stands out."""
    unjudged: int = 0
    """Requests with too few similar ones to say whether they are slow; not counted as slow."""
    causes: tuple[GroupCause, ...]
    sentence: str
    rule: str
    """What counts as slow, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetResult:
    """One budget, measured."""

    expression: str
    """As it was written, after its name if it has one."""
    source: str
    """Where it was written: `--budget`, `--goodput` or a file's name."""
    measured: float | None
    """In `unit`; `None` when there is nothing to measure."""
    limit: float | None
    """In `unit`; `None` when only measured."""
    operator: Literal["<", "<=", ">", ">="]
    unit: Unit
    n: int
    """Values it was measured from."""
    verdict: BudgetVerdict
    of_runs: bool = False
    """Whether `n` counts runs."""
    note: str = ""
    """Why there is no verdict, or which part of the data was used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a statistic changed from A to B, with a bootstrap confidence interval of the ratio B / A."""

    a: float | None
    b: float | None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    certainty: Certainty = "inconclusive"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One measure of one model in both sets; of runs, of one name."""

    model: str | None
    measure: str
    """A field's name: `duration`, `ttfc`, `tpot`, `phase.queue`, `run.duration`, …"""
    unit: Unit
    n_a: int
    n_b: int
    median: Change
    p95: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sets of requests, model by model, or of runs, name by name."""

    schema_version: int = AUDIT_VERSION
    of: Literal["requests", "runs"] = "requests"
    a: "Provenance"
    b: "Provenance"
    rows: tuple[ComparisonRow, ...]
    only_a: tuple[str, ...] = ()
    """Models that only A has."""
    only_b: tuple[str, ...] = ()
    sentence: str
    confidence: float
    """Of each interval; chosen so that all of them together hold with 95%."""
    method: str
    """How the intervals were made, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The selection in words for a report (`last 1h`, `model llama-3.3-70b-versatile`)."""

    words: tuple[str, ...] = ()
    listed: Literal["newest", "slowest", "sorted"] = "newest"
    by: str = "duration"
    """The field by which `slowest` sorts; of the live page's list, the column and the direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the requests come from, and what the reader must know about them."""

    sources: tuple[str, ...]
    """Files, directories or addresses, as given."""
    files: int = 0
    requests: int = 0
    """Requests selected."""
    read: int = 0
    """Requests read before the selection."""
    repeated: int = 0
    """Copies of requests that were left out, so that each counts once."""
    foreign: int = 0
    """Of those selected, spans of other instrumentations, which lack phases."""
    first_unix_ns: int | None = None
    """Start of the earliest request selected."""
    last_unix_ns: int | None = None
    """Start of the latest."""
    services: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)
    warnings: tuple[str, ...] = ()
    """What could not be read, one sentence each."""
    version: str = ""
    """Of groqscope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request to be listed."""

    record: RequestRecord
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The overview: what `groqscope audit` shows."""

    schema_version: int = AUDIT_VERSION
    provenance: Provenance
    sentence: str
    """The verdict on all requests."""
    total: ModelSummary
    models: tuple[ModelSummary, ...]
    """By summed duration, largest first."""
    tools: tuple[ToolSummary, ...] = ()
    entries: tuple[Entry, ...] = ()
    """The requests to list, newest first, or slowest first by `provenance.selection.by`."""
    omitted: int = 0
    """Requests selected but not listed."""
    cache: PromptCache | None = None
    """`None` where no request was for a model that caches prompts."""
    why: Why | None = None
    budgets: tuple[BudgetResult, ...] = ()
    groups: Groups | None = None
    """By the field that was asked for; `None` when none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAudit:
    """One request: what `groqscope audit ID` shows."""

    schema_version: int = AUDIT_VERSION
    provenance: Provenance
    record: RequestRecord
    verdict: Verdict
    usual: ModelSummary | None = None
    """The same model's requests in the same data; of very many, the nearest in time."""
