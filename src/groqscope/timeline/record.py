"""RequestRecord: everything groqscope knows about one Groq request, frozen.

The one data model of the project. Spans, metrics, reports and the caller's own code are views of it, and spans are read
back into it. Its units: `*_ns` are integer nanoseconds (durations, or offsets from the moment the call was issued),
`start_unix_ns` is the wall clock. Times that Groq reports in seconds stay floats. `None` means "not known" or "did not
happen"; it is never written as 0.

The attribute names of all fields are in `groqscope.semconv.FIELDS`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Final, Literal

Outcome = Literal["completed", "closed", "abandoned", "cancelled", "error", "truncated"]
"""How a request ended.

`completed`: read to `[DONE]`, or left after every finish reason was seen. `closed`: `close()` or the end of a `with`
block before that. `abandoned`: garbage-collected, or open when the process ended. `cancelled`: the task was cancelled.
`error`: an exception reached the caller. `truncated`: the stream ended without `[DONE]`.
"""

FAILED: Final = frozenset({"error", "truncated"})
"""Outcomes that count as errors."""
LEFT: Final = frozenset({"closed", "abandoned", "cancelled"})
"""Outcomes in which the caller ended the request before its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """The exact partition of a request's duration, in nanoseconds; `None` is a phase that did not happen.

    In the order in which they happen, except `consume`, the sum of all times during which the caller had control. Their
    boundaries are defined in `docs/phases.md`.
    """

    prepare: int | None = None
    retry: int | None = None
    pool_wait: int | None = None
    connect: int | None = None
    tls: int | None = None
    send: int | None = None
    queue: int | None = None
    prefill: int | None = None
    network: int | None = None
    generate: int | None = None
    receive: int | None = None
    consume: int | None = None
    finish: int | None = None

    def items(self) -> Iterator[tuple[str, int]]:
        """Yield name and length of each phase that happened, in order."""
        for name in PHASE_NAMES:
            length: int | None = getattr(self, name)
            if length is not None:
                yield name, length

    def total(self) -> int:
        """The sum of all phases: the duration of the request, to the nanosecond."""
        return sum(length for _, length in self.items())

    @property
    def wait(self) -> int | None:
        """The wait for the first token (if not streamed: for the body) while the SDK had control."""
        parts = [p for p in (self.queue, self.prefill, self.network, self.generate) if p is not None]
        return sum(parts) if parts else None


CACHING_MODELS = frozenset(
    {"moonshotai/kimi-k2-instruct-0905", "openai/gpt-oss-20b", "openai/gpt-oss-120b", "openai/gpt-oss-safeguard-20b"}
)
"""The models that Groq says it caches prompts of: <https://console.groq.com/docs/prompt-caching>."""

STALL_NS: Final = 100_000_000
"""A pause in a stream that a reader notices."""
STALL_TIMES_MEDIAN: Final = 10
SAME_GAP: Final = 0.8
"""A tool call that took this share of the longest pause was that pause."""

PHASE_NAMES: tuple[str, ...] = tuple(f.name for f in fields(Phases))


_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP exchange of the call: the SDK retries, and the transport may too."""

    start_ns: int
    """When the SDK (or the transport, if it retries) began this attempt, since issue."""
    duration_ns: int | None = None
    """From its beginning to its failure, or, if it succeeded, to the response headers. `None` in a record that
    was read back from a damaged file."""
    status: int | None = None
    error_type: str | None = None
    """Groq's error code, the HTTP status as text, or the exception's class name; `None` when the attempt succeeded."""
    retry_after: float | None = None
    """Seconds, from the `retry-after` header."""
    backoff_ns: int | None = None
    """The wait before the next attempt; `None` if there was none."""
    connection_reused: bool | None = None
    connect_ns: int | None = None
    tls_ns: int | None = None
    send_ns: int | None = None
    wait_ns: int | None = None
    """From the request's end to the response headers."""

    @property
    def moved_on(self) -> bool:
        """Whether another request followed without a failure, because of a redirect or a request for credentials."""
        return self.error_type is None and (self.status in (401, 407) or self.status in _REDIRECTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One tool call that the model made."""

    index: int
    choice: int = 0
    id: str | None = None
    name: str | None = None
    deltas: int
    arguments_size: int
    """Bytes of UTF-8."""
    arguments_valid: bool | None = None
    """Whether the arguments are JSON; `None` when they were too long to keep."""
    arguments_hash: str | None = None
    """16 hex digits, salted per process: equal for equal arguments in one process, and reveals nothing else."""
    first_delta_ns: int | None = None
    """When its first fragment was read, since issue. This and the next two are `None` when not streamed."""
    delta_ns: int | None = None
    """From reading the first fragment to reading the last; 0 if the call came in one chunk."""
    assembly_ns: int | None = None
    """From the arrival of the chunk before its first fragment to that of its last one; `None` when not observed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedTool:
    """A tool that Groq ran itself (compound systems)."""

    index: int
    type: str
    start_ns: int | None = None
    """When the call was announced in the stream, since issue; `None` when not streamed or not observed."""
    duration_ns: int | None = None
    """From announcement to output; `None` when either is missing or was not observed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts and server-reported times (seconds) as Groq sends them in `usage`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    queue_time: float | None = None
    prompt_time: float | None = None
    completion_time: float | None = None
    total_time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDelta:
    """What one chunk added to the usage."""

    chunk_index: int
    time_ns: int
    """When the chunk was read, since issue."""
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """The usage of one model within a compound system, from `usage_breakdown`."""

    model: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """`x-ratelimit-*` of the answer: requests are per day, tokens per minute; resets in seconds."""

    requests_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset: float | None = None
    tokens_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One Groq request, from the call to its end."""

    # identity
    operation: str = "chat"
    trace_id: str | None = None
    """32 hex digits; `None` when no span was recorded."""
    span_id: str | None = None
    nested: bool = False
    """Whether it is inside another library's inference span, which already counts its tokens and cost."""
    service: str | None = None
    """`service.name` of the resource."""
    run: str | None = None
    """Name of the `groqscope.run(...)` around it."""
    agent: str | None = None
    """Name of the agent that made the request, from its framework."""
    conversation: str | None = None
    user: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """Names and values, sorted by name."""
    request_id: str | None = None
    """`req_…`, the ID for Groq's support."""
    response_id: str | None = None
    region: str | None = None
    start_unix_ns: int
    duration_ns: int

    # the request
    model: str | None = None
    stream: bool = False
    server_address: str | None = None
    server_port: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    choice_count: int | None = None
    output_type: str | None = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    request_service_tier: str | None = None
    tools: int | None = None
    """How many tools were offered."""
    messages: int | None = None
    request_size: int | None = None
    """Bytes of the request's body."""

    # the answer
    outcome: Outcome | None = "completed"
    """`None` while it runs."""
    error_type: str | None = None
    status: int | None = None
    stream_error: str | None = None
    """`x_groq.error`, or the code of a response's error."""
    retry_after: float | None = None
    """Seconds, from the answer's `retry-after`."""
    finish_reasons: tuple[str, ...] = ()
    response_model: str | None = None
    response_service_tier: str | None = None
    system_fingerprint: str | None = None
    created: int | None = None
    """Groq's own timestamp of the answer, Unix seconds."""
    response_size: int | None = None
    """Bytes of the body, when not streamed."""
    audio_seconds: float | None = None
    rate_limits: RateLimits = field(default_factory=RateLimits)

    # tokens and money
    usage: Usage = field(default_factory=Usage)
    usage_deltas: tuple[UsageDelta, ...] = ()
    usage_deltas_dropped: int = 0
    usage_models: tuple[ModelUsage, ...] = ()
    output_tokens_estimate: int | None = None
    """The number of content and reasoning chunks, if there was no usage; an estimate."""
    cost: float | None = None
    """US dollars; `None` where a price or an amount is not known."""
    cost_source: str | None = None
    """Where the price is from, with its version."""
    cost_estimate: float | None = None
    """US dollars that may be billed beside `cost`: for an answer that was left before its usage came, for attempts that
    broke off after they were sent, and for tools that Groq ran, with the models that ran them; an estimate."""
    cache_miss: str | None = None
    """Why less of the prompt was cached than could be: the first part that changed (`tools`, `system`, `message[2]`),
    `model`, `expired`, `too short` or `provider`; `None` where no more could be expected, and where it is not known."""
    cache_missed_tokens: int | None = None
    """Input tokens that would have been cached, estimated."""
    cache_last_used_ns: int | None = None
    """How long before the request was issued what expired was last used."""
    cache_saved: float | None = None
    """US dollars that cached tokens cost less; `None` where their number or price is not known."""
    cache_lost: float | None = None
    """US dollars that `cache_missed_tokens` would have cost less."""

    # the stream
    chunks: int | None = None
    content_chunks: int | None = None
    reads: int | None = None
    """How many reads from the connection brought chunks."""
    stream_bytes: int | None = None
    ttfc_ns: int | None = None
    """Arrival of the first chunk of any kind, since issue. This and the next three are `None` when not observed.

    Of speech that the caller reads as it comes (`with_streaming_response`), the first bytes."""
    ttft_ns: int | None = None
    """First generated token of any channel: content, reasoning or tool call."""
    ttfrt_ns: int | None = None
    """First reasoning token."""
    ttfot_ns: int | None = None
    """First answer token: content or tool call."""
    first_token_read_ns: int | None = None
    """When the first generated token was read, if its arrival was not observed: `ttft_ns` is at most this."""
    last_chunk_ns: int | None = None
    """When the last chunk was read, since issue."""
    generation_ns: int | None = None
    """From the first read with tokens to the last, if both were observed and Groq reports no `completion_time`."""
    generation_chunks: int | None = None
    """The number of chunks with tokens in that time, without those of the first read."""
    caller_delay_ns: int | None = None
    """How much sooner the request would have ended if the caller had never had control; `None` if it never had."""
    icl_p50_ns: int | None = None
    icl_p99_ns: int | None = None
    icl_max_ns: int | None = None
    icl_excluded: int | None = None
    """Gaps left out of the three above, because a chunk may have arrived while the caller had control."""
    timeline_us: tuple[int, ...] = ()
    """When chunks were read, whole microseconds since issue; every `timeline_stride`-th."""
    timeline_stride: int = 1

    # tools
    tool_calls: tuple[ToolCall, ...] = ()
    tool_calls_dropped: int = 0
    executed_tools: tuple[ExecutedTool, ...] = ()

    # attempts and phases
    attempts: tuple[Attempt, ...] = ()
    attempts_dropped: int = 0
    connection_reused: bool | None = None
    phases: Phases = field(default_factory=Phases)
    phases_clamped: bool = False
    phases_unseen: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line, for notebooks and failing tests; `dataclasses.asdict(record)` has every field."""
        ended = " ".join(part for part in (self.outcome or "running", self.error_type) if part)
        tokens = self.usage.output_tokens
        facts = (
            self.request_id or self.span_id,
            self.model,
            "stream" if self.stream else None,
            ended,
            f"{self.duration_ns / 1e6:,.1f} ms",
            f"{self.retries:,} retr{'y' if self.retries == 1 else 'ies'}" if self.retries else None,
            None if tokens is None else f"{tokens:,} tokens out",
        )
        return f"<RequestRecord {', '.join(fact for fact in facts if fact)}>"

    @property
    def retries(self) -> int:
        """How many attempts failed and were followed by another; redirects and requests for credentials don't count."""
        attempts = len(self.attempts) + self.attempts_dropped
        return max(0, attempts - 1 - sum(attempt.moved_on for attempt in self.attempts))

    @property
    def cacheable_tokens(self) -> int | None:
        """Input tokens, where the model caches prompts; `None` where it does not, so that none of them count as missed.

        An answer that leaves the count of cached tokens out is one of a model without a cache, or a miss.
        """
        caches = self.usage.cached_tokens is not None or self.cache_miss is not None or self.model in CACHING_MODELS
        return self.usage.input_tokens if caches else None

    @property
    def cached_share(self) -> float | None:
        """Share of the input tokens that was cached; `None` where the model does not cache prompts."""
        tokens = self.cacheable_tokens
        return (self.usage.cached_tokens or 0) / tokens if tokens else None

    @property
    def stream_start_ns(self) -> int | None:
        """When the first generated token was read, since issue: the end of the wait and the beginning of the stream."""
        return self.first_token_read_ns if self.ttft_ns is None else self.ttft_ns

    @property
    def tpot(self) -> float | None:
        """Seconds of generation per output token: from `completion_time`, else as observed; else `None`."""
        tokens = self.usage.output_tokens
        if tokens is None or tokens < 1:
            return None
        reported = reported_generation_ns(self.usage, self.duration_ns)
        if reported is not None:
            return reported / 1e9 / tokens
        if not self.generation_ns or not self.generation_chunks or not self.content_chunks:
            return None
        return self.generation_ns / 1e9 / (tokens * self.generation_chunks / self.content_chunks)

    @property
    def tpot_source(self) -> Literal["reported", "observed"] | None:
        """The source of `tpot`: reported by Groq, or observed from the arrivals of chunks."""
        if self.tpot is None:
            return None
        return "observed" if reported_generation_ns(self.usage, self.duration_ns) is None else "reported"

    @property
    def caller_delay_is_least(self) -> bool:
        """Whether `caller_delay_ns` is a lower bound, because Groq did not report how long it generated."""
        held = (self.phases.consume or 0) > (self.caller_delay_ns or 0)
        return held and reported_generation_ns(self.usage, self.duration_ns) is None

    @property
    def output_token_throughput(self) -> float | None:
        """Output tokens generated per second, 1 / `tpot`."""
        tpot = self.tpot
        return 1 / tpot if tpot else None


def reported_generation_ns(usage: Usage | None, duration_ns: int) -> int | None:
    """Return Groq's `completion_time` if it is plausible: above 0, and not longer than the request."""
    seconds = None if usage is None else usage.completion_time
    if seconds is None or not 0 < seconds <= duration_ns / 1e9:
        return None
    return round(seconds * 1e9) or None
