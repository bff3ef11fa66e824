"""Every attribute, event, span and metric name that groqscope writes, once, with its type, unit and meaning.

`gen_ai.*`, `server.*`, `http.*`, `error.*` and `operation.cost` are other people's names (OpenTelemetry semantic
conventions 1.41, Logfire); `groq.*` says what Groq reports, `groqscope.*` what groqscope measures. The reference page
`docs/reference.md` is generated from this module.

A name with a `field` carries that field of `RequestRecord` (or, in an event, of the nested record); the mapping is one to
one, so that a span can be read back into the record it was made from. Fields in nanoseconds (`*_ns`, phases) travel as
seconds in a double, which is exact: `round(x * 1e9)`. A name without a field is written for other readers and ignored by
ours, because it follows from the rest.
"""

from dataclasses import dataclass
from typing import Final, Literal

AttributeType = Literal["string", "int", "double", "boolean", "string[]", "int[]"]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"
SCOPE: Final = "groqscope"
PROVIDER: Final = "groq"
RECORD_VERSION: Final = 1
"""The version of the record's form on a span, written as `groqscope.record`."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute name."""

    name: str
    type: AttributeType
    brief: str
    field: str | None = None
    """The record's field it carries, as a dotted path."""
    unit: str | None = None

    @property
    def nanoseconds(self) -> bool:
        """Whether the field is in integer nanoseconds and the attribute in seconds."""
        return self.field is not None and (self.field.endswith("_ns") or self.field.startswith("phases."))


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    kind: Literal["histogram", "counter", "updowncounter", "gauge"]
    unit: str
    brief: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One span event and its attributes."""

    name: str
    brief: str
    attributes: tuple[Attribute, ...]
    field: str | None = None
    """The record's tuple it carries, one event an entry."""


# Names that code refers to one by one.
RECORD: Final = "groqscope.record"
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
SYSTEM: Final = "gen_ai.system"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - an attribute's name
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
OUTCOME: Final = "groqscope.stream.outcome"
PHASE: Final = "groqscope.phase"
RATELIMIT_RESOURCE: Final = "groq.ratelimit.resource"
TOOL_NAME: Final = "gen_ai.tool.name"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
SESSION_ID: Final = "session.id"
USER_ID: Final = "user.id"
RUN_NAME: Final = "groqscope.run.name"
RUN_INTERRUPTED: Final = "groqscope.run.interrupted"
SPANS_LEFT_OUT: Final = "groqscope.spans.left_out"
RUN_OUTCOME: Final = "groqscope.run.outcome"
"""`completed`, `failed` or `interrupted`."""
RUN_PART: Final = "groqscope.run.part"
"""`model`, `tool`, `retrieval`, `io`, `own` or `idle`."""
TAG_PREFIX: Final = "groqscope.tag."
"""Before the name of a tag, whose value is the user's."""
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
STREAM_ERROR: Final = "groq.stream.error"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
"""Of pydantic-ai's spans; groqscope writes none."""
TOOL_CALL_INDEX: Final = "groqscope.tool_call.index"
TOOL_CALL_DELTAS: Final = "groqscope.tool_call.deltas"
TOOL_CALL_ARGUMENTS_SIZE: Final = "groqscope.tool_call.arguments_size"
TOOL_CALL_ARGUMENTS_VALID: Final = "groqscope.tool_call.arguments_valid_json"
TOOL_CALL_FIRST_DELTA_TIME: Final = "groqscope.tool_call.first_delta_time"
TOOL_CALL_DELTA_TIME: Final = "groqscope.tool_call.delta_time"
TOOL_CALL_ASSEMBLY_TIME: Final = "groqscope.tool_call.assembly_time"
TOOL_TYPE: Final = "gen_ai.tool.type"
ATTEMPT_OUTCOME: Final = "groqscope.attempt.outcome"
REQUESTS: Final = "groqscope.requests"
ATTEMPTS: Final = "groqscope.attempts"
TTFT: Final = "groqscope.ttft"
TPOT: Final = "groqscope.tpot"
OUTPUT_TOKEN_THROUGHPUT: Final = "groqscope.output_token_throughput"  # noqa: S105 - an attribute's name
EXECUTED_TOOL_TYPES: Final = "groq.executed_tools.types"
EXECUTED_TOOL_COUNT: Final = "groq.executed_tools.count"
HOOK: Final = "groqscope.hook"
SERVICE_NAME: Final = "service.name"
URL_FULL: Final = "url.full"
HTTP_METHOD: Final = "http.request.method"
HTTP_RESEND_COUNT: Final = "http.request.resend_count"
EVENT_EXCEPTION: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
HTTP_STATUS: Final = "http.response.status_code"
RETRY_AFTER: Final = "groq.retry_after"
COST: Final = "operation.cost"
OPERATION: Final = "groqscope.operation"
CACHE_MISS: Final = "groqscope.cache.miss"
CACHE_OUTCOME: Final = "groqscope.cache.outcome"
TIMELINE: Final = "groqscope.stream.timeline"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

GENAI_OPERATIONS: Final = frozenset({"chat", "embeddings", "transcription", "translation", "speech"})
INFERENCES: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
"""Values of `gen_ai.operation.name` that mean an inference, whichever library wrote them."""
"""Operations that are inference and so carry `gen_ai.operation.name`."""

SPAN_CHAT: Final = "chat"
SPAN_NESTED: Final = "groq.request"
SPAN_TOOL_CALL: Final = "assemble_tool_call"
SPAN_EXECUTED_TOOL: Final = "execute_tool"
SPAN_RUN: Final = "run"
SPAN_DOCTOR: Final = "groqscope.doctor"
STACK_CHECK: Final = "groqscope.stack.check"
"""The test span of `groqscope doctor`, and the test span and metric of `groqscope stack check`."""
EXECUTE_TOOL: Final = SPAN_EXECUTED_TOOL
INVOKE_AGENT: Final = "invoke_agent"
RETRIEVAL: Final = "retrieval"
"""Values of `gen_ai.operation.name` in spans of others."""
OPENINFERENCE_KIND: Final = "openinference.span.kind"
OPENINFERENCE_TOOL: Final = "tool.name"
OPENLLMETRY_KIND: Final = "traceloop.span.kind"
"""The same in the spans of OpenInference's and OpenLLMetry's instrumentations."""
LLM_REQUEST_TYPE: Final = "llm.request.type"
"""OpenLLMetry's older name of the operation."""
ALIASES: Final = {
    "gen_ai.usage.prompt_tokens": "gen_ai.usage.input_tokens",
    "gen_ai.usage.completion_tokens": "gen_ai.usage.output_tokens",
    "gen_ai.usage.details.reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.details.cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.server.time_to_first_token": "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.cost": COST,
    "llm.is_streaming": "gen_ai.request.stream",
    "gen_ai.request.is_stream": "gen_ai.request.stream",
}
"""Older attribute names, and names that single libraries use."""
SPAN_ATTEMPT: Final = "POST"
SPAN_PHASES: Final = ("prepare", "pool_wait", "connect", "tls", "send", "wait", "stream")
LOG_CONTENT: Final = "gen_ai.client.inference.operation.details"
"""The event name of the log record that carries content."""


def _a(name: str, type_: AttributeType, field: str | None, brief: str, unit: str | None = None) -> Attribute:
    return Attribute(name, type_, brief, field, unit)


_PHASE_BRIEFS: Final = {
    "prepare": "issue of the call to the first attempt: building the request",
    "retry": "first to last attempt: failed attempts, back-off, rebuilding",
    "pool_wait": "waiting for a connection from the client's pool",
    "connect": "DNS, TCP, a proxy's CONNECT",
    "tls": "TLS handshake",
    "send": "sending the request",
    "queue": "part of the wait: Groq's queue, as reported",
    "prefill": "part of the wait: processing the prompt, as reported",
    "network": "part of the wait: what Groq does not account for",
    "generate": "part of the wait, not streamed: generating, as reported",
    "receive": "waiting for later chunks, after the caller asked for more; decoding included",
    "consume": "the caller in control, up to the last time it asked for more",
    "finish": "last byte to the end: parsing, closing, an error's body",
}

FIELDS: Final[tuple[Attribute, ...]] = (
    # identity
    _a(OPERATION, "string", "operation", "What was asked for: `chat`, `embeddings`, `transcription`, …"),
    _a("groq.request.id", "string", "request_id", "`req_…` from `x_groq.id` or `x-request-id`: what Groq support asks for"),
    _a("gen_ai.response.id", "string", "response_id", "`chatcmpl-…`"),
    _a("groq.region", "string", "region", "Header `x-groq-region`"),
    _a(RUN_NAME, "string", "run", "Name of the `groqscope.run(...)` around it"),
    _a(AGENT_NAME, "string", "agent", "The agent that asked, as the span around says"),
    _a(CONVERSATION_ID, "string", "conversation", "Given by the application: `groqscope.run(conversation=…)`, the span around, or allowed baggage"),
    _a(USER_ID, "string", "user", "Given by the application, like the conversation"),
    # the request
    _a(REQUEST_MODEL, "string", "model", "The model asked for, exactly"),
    _a("gen_ai.request.stream", "boolean", "stream", "`true` for a streamed request, else absent"),
    _a(SERVER_ADDRESS, "string", "server_address", "Host of the base URL"),
    _a(SERVER_PORT, "int", "server_port", "Port of the base URL"),
    _a("gen_ai.request.max_tokens", "int", "max_tokens", "`max_completion_tokens`, else `max_tokens`; only if sent", "{token}"),
    _a("gen_ai.request.temperature", "double", "temperature", "Only if sent"),
    _a("gen_ai.request.top_p", "double", "top_p", "Only if sent"),
    _a("gen_ai.request.frequency_penalty", "double", "frequency_penalty", "Only if sent"),
    _a("gen_ai.request.presence_penalty", "double", "presence_penalty", "Only if sent"),
    _a(STOP_SEQUENCES, "string[]", "stop_sequences", "`stop`, only if sent"),
    _a("gen_ai.request.seed", "int", "seed", "Only if sent"),
    _a("gen_ai.request.choice.count", "int", "choice_count", "`n`, only if not 1"),
    _a("gen_ai.output.type", "string", "output_type", "`json` or `text`, only if a response format was asked for"),
    _a("gen_ai.request.reasoning.level", "string", "reasoning_effort", "`reasoning_effort`, as sent"),
    _a("groq.request.reasoning_format", "string", "reasoning_format", "`hidden`, `raw` or `parsed`, as sent"),
    _a("groq.request.service_tier", "string", "request_service_tier", "`service_tier`, as sent"),
    _a("groqscope.request.tools", "int", "tools", "Tools offered", "{tool}"),
    _a("groqscope.request.messages", "int", "messages", "Messages sent", "{message}"),
    _a("groqscope.request.body_size", "int", "request_size", "Bytes of the request's body", "By"),
    # the answer
    _a(OUTCOME, "string", "outcome", "`completed`, `closed`, `abandoned`, `cancelled`, `error` or `truncated`"),
    _a(ERROR_TYPE, "string", "error_type", "Groq's error code, else the HTTP status, else `timeout`, else the exception's class name"),
    _a(HTTP_STATUS, "int", "status", "Status of the last attempt"),
    _a(STREAM_ERROR, "string", "stream_error", "`x_groq.error`, or the error of a response: why Groq stopped early"),
    _a(RETRY_AFTER, "double", "retry_after", "Header `retry-after` of the answer", "s"),
    _a("gen_ai.response.finish_reasons", "string[]", "finish_reasons", "One per choice, in order"),
    _a(RESPONSE_MODEL, "string", "response_model", "The model that answered"),
    _a("groq.response.service_tier", "string", "response_service_tier", "The tier that served"),
    _a("groq.response.system_fingerprint", "string", "system_fingerprint", "Groq's back-end configuration"),
    _a("groq.response.created", "int", "created", "Groq's timestamp of the answer, Unix time", "s"),
    _a("groqscope.response.body_size", "int", "response_size", "Bytes of a body that was not streamed", "By"),
    _a("groq.audio.duration", "double", "audio_seconds", "Length of the audio transcribed or translated", "s"),
    _a("groq.ratelimit.requests.limit", "int", "rate_limits.requests_limit", "Requests per day", "{request}"),
    _a("groq.ratelimit.requests.remaining", "int", "rate_limits.requests_remaining", "Requests left today", "{request}"),
    _a("groq.ratelimit.requests.reset", "double", "rate_limits.requests_reset", "Until the request limit resets", "s"),
    _a("groq.ratelimit.tokens.limit", "int", "rate_limits.tokens_limit", "Tokens per minute", "{token}"),
    _a("groq.ratelimit.tokens.remaining", "int", "rate_limits.tokens_remaining", "Tokens left this minute", "{token}"),
    _a("groq.ratelimit.tokens.reset", "double", "rate_limits.tokens_reset", "Until the token limit resets", "s"),
    # tokens and money
    _a("gen_ai.usage.input_tokens", "int", "usage.input_tokens", "Prompt tokens, cached ones included", "{token}"),
    _a("gen_ai.usage.output_tokens", "int", "usage.output_tokens", "Completion tokens, reasoning included", "{token}"),
    _a("gen_ai.usage.cache_read.input_tokens", "int", "usage.cached_tokens", "Prompt tokens read from Groq's cache", "{token}"),
    _a("gen_ai.usage.reasoning.output_tokens", "int", "usage.reasoning_tokens", "Completion tokens spent on reasoning", "{token}"),
    _a("groq.usage.queue_time", "double", "usage.queue_time", "Reported: in Groq's queue; not part of total_time", "s"),
    _a("groq.usage.prompt_time", "double", "usage.prompt_time", "Reported: processing the prompt", "s"),
    _a("groq.usage.completion_time", "double", "usage.completion_time", "Reported: generating", "s"),
    _a("groq.usage.total_time", "double", "usage.total_time", "Reported: prompt + completion, queue excluded", "s"),
    _a("groqscope.usage_deltas.dropped", "int", "usage_deltas_dropped", "Usage deltas beyond the room kept for them"),
    _a("groqscope.usage.output_tokens.estimate", "int", "output_tokens_estimate", "Estimate from content and reasoning chunks, only when usage never came", "{token}"),
    _a(COST, "double", "cost", "US dollars by genai-prices; absent when price or usage is unknown", "USD"),
    _a("groqscope.cost.source", "string", "cost_source", "Where the price is from, with its version"),
    _a("groqscope.cost.estimate", "double", "cost_estimate", "An estimate of what may be billed beside `operation.cost`: answers left before their usage came, attempts that broke off after they were sent, tools that Groq ran", "USD"),
    _a(CACHE_MISS, "string", "cache_miss", "Why less of the prompt was cached than could be: the first part that changed (`tools`, `system`, `message[2]`, …), `model`, `expired`, `too short` or `provider`"),
    _a("groqscope.cache.missed_tokens", "int", "cache_missed_tokens", "Prompt tokens that would have been cached, estimated", "{token}"),
    _a("groqscope.cache.last_used", "double", "cache_last_used_ns", "How long before the request was issued what expired was last used", "s"),
    _a("groqscope.cache.saved", "double", "cache_saved", "What cached tokens cost less, US dollars by genai-prices", "USD"),
    _a("groqscope.cache.lost", "double", "cache_lost", "What `groqscope.cache.missed_tokens` would have cost less, US dollars by genai-prices", "USD"),
    # the stream
    _a("groqscope.stream.chunks", "int", "chunks", "Chunks received", "{chunk}"),
    _a("groqscope.stream.content_chunks", "int", "content_chunks", "Chunks with content, reasoning or tool calls", "{chunk}"),
    _a("groqscope.stream.reads", "int", "reads", "Reads from the connection that brought chunks", "{read}"),
    _a("groqscope.stream.bytes", "int", "stream_bytes", "Bytes received", "By"),
    _a("gen_ai.response.time_to_first_chunk", "double", "ttfc_ns", "Issue to the arrival of the first chunk of any kind, where it was observed", "s"),
    _a(TTFT, "double", "ttft_ns", "Issue to the first generated token of any channel", "s"),
    _a("groqscope.ttfrt", "double", "ttfrt_ns", "Issue to the first reasoning token", "s"),
    _a("groqscope.ttfot", "double", "ttfot_ns", "Issue to the first answer token (content or tool call)", "s"),
    _a("groqscope.stream.first_token_read_time", "double", "first_token_read_ns", "Issue to the first token as it was read, where its arrival was not observed: the latest that ttft can be", "s"),
    _a("groqscope.stream.last_chunk_time", "double", "last_chunk_ns", "Issue to the last chunk as it was read", "s"),
    _a("groqscope.stream.generation_time", "double", "generation_ns", "First read with tokens to the last, where both arrivals were observed and Groq reports no completion_time", "s"),
    _a("groqscope.stream.generation_chunks", "int", "generation_chunks", "Chunks with tokens that came in that time", "{chunk}"),
    _a("groqscope.caller_delay", "double", "caller_delay_ns", "How much sooner the request would have ended, had the caller never held control", "s"),
    _a("groqscope.icl.p50", "double", "icl_p50_ns", "Median gap between reads that brought chunks", "s"),
    _a("groqscope.icl.p99", "double", "icl_p99_ns", "99th percentile of the same, from a bounded sample", "s"),
    _a("groqscope.icl.max", "double", "icl_max_ns", "Longest of the same", "s"),
    _a("groqscope.icl.excluded", "int", "icl_excluded", "Gaps left out because the caller held control when a chunk may have arrived", "{gap}"),
    _a(TIMELINE, "string", "timeline_us", "Packed times at which chunks were read, at most 1,024 bytes"),
    # tools
    _a("groqscope.tool_calls.dropped", "int", "tool_calls_dropped", "Tool calls beyond the room kept for them"),
    # attempts and phases
    _a("groqscope.attempts.dropped", "int", "attempts_dropped", "Attempts beyond the room kept for them"),
    _a("groqscope.connection.reused", "boolean", "connection_reused", "Whether the answering attempt had no connect and no TLS"),
    *(_a(f"groqscope.phase.{p}_time", "double", f"phases.{p}", f"Phase: {brief}", "s") for p, brief in _PHASE_BRIEFS.items()),
    _a("groqscope.phase.clamped", "boolean", "phases_clamped", "Reported times did not fit into the measured wait and were cut"),
    _a("groqscope.phases.unseen", "string[]", "phases_unseen", "Phases this transport does not show; they are part of `network`"),
)
"""Attributes of the record span that carry a field of RequestRecord."""

USAGE_BREAKDOWN: Final = (
    _a("groq.usage_breakdown.models", "string[]", "model", "Models a compound system called"),
    _a("groq.usage_breakdown.input_tokens", "int[]", "input_tokens", "Their prompt tokens, in the same order", "{token}"),
    _a("groq.usage_breakdown.output_tokens", "int[]", "output_tokens", "Their completion tokens, in the same order", "{token}"),
)
"""Three parallel arrays that carry `usage_models`."""

DERIVED: Final[tuple[Attribute, ...]] = (
    _a(RECORD, "int", None, "Version of the record's form; marks the span that carries a record"),
    _a(OPERATION_NAME, "string", None, "As `groqscope.operation`, on inference spans that are nobody else's"),
    _a(PROVIDER_NAME, "string", None, "`groq`"),
    _a(SYSTEM, "string", None, "`groq`; deprecated, but Logfire and pydantic-ai still read it"),
    _a(TPOT, "double", None, "Time of generation per output token: completion_time by tokens, else by arrivals that were observed", "s"),
    _a(OUTPUT_TOKEN_THROUGHPUT, "double", None, "Output tokens generated per second, 1 / tpot", "{token}/s"),
    _a(ATTEMPTS, "int", None, "HTTP attempts inside the call", "{attempt}"),
    _a(EXECUTED_TOOL_TYPES, "string[]", None, "Types of the tools Groq ran"),
    _a(EXECUTED_TOOL_COUNT, "int", None, "How many tools Groq ran", "{tool}"),
)
"""Attributes of the record span that follow from the others."""

IDENTITY: Final = (
    SERVER_PORT,
    SERVER_ADDRESS,
    HTTP_STATUS,
    COST,
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.response.id",
    RESPONSE_MODEL,
    "gen_ai.request.stream",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    ERROR_TYPE,
    REQUEST_MODEL,
    OUTCOME,
    "groq.request.id",
    OPERATION,
)
"""What a record cannot do without, the most important last.

Where a limit on attributes bites, OpenTelemetry's SDK drops those written first; so these are written last, in this order,
and `groqscope.record` after them.
"""

SUMMARY: Final[tuple[Attribute, ...]] = (
    _a(REQUESTS, "int", None, "Groq requests inside this span", "{request}"),
    _a(ATTEMPTS, "int", None, "HTTP attempts of all of them", "{attempt}"),
    _a(OUTCOME, "string", None, "Outcome of the last of them"),
    _a(TTFT, "double", None, "Time to the first generated token of the last of them", "s"),
)
"""Written on another library's inference span, which encloses the record's."""

CONTENT: Final[tuple[Attribute, ...]] = (
    _a(SYSTEM_INSTRUCTIONS, "string", None, "System messages of the request"),
    _a(INPUT_MESSAGES, "string", None, "The other messages of the request"),
    _a(OUTPUT_MESSAGES, "string", None, "Text, reasoning and tool calls of the answer"),
    _a(TOOL_DEFINITIONS, "string", None, "Names and descriptions of the tools offered"),
)
"""JSON in the conventions' form; written only when content is asked for."""

EVENT_FIRST_CHUNK: Final = Event("groqscope.first_chunk", "The first chunk of a stream", ())
EVENT_USAGE_DELTA: Final = Event(
    "groqscope.usage_delta",
    "What one chunk added to the usage",
    (
        _a("groqscope.chunk.index", "int", "chunk_index", "Which chunk, from 0"),
        _a("groqscope.chunk.time", "double", "time_ns", "When it arrived, since issue", "s"),
        *(
            _a(a.name, a.type, a.field, f"Added: {a.brief}", a.unit)
            for a in FIELDS
            if a.field is not None and a.field.startswith("usage.")
        ),
    ),
    "usage_deltas",
)
EVENT_TOOL_CALL: Final = Event(
    "groqscope.tool_call",
    "A tool call, complete",
    (
        _a(TOOL_CALL_INDEX, "int", "index", "Its index in the answer"),
        _a("groqscope.tool_call.choice", "int", "choice", "The choice it belongs to"),
        _a(TOOL_CALL_ID, "string", "id", "Its id"),
        _a(TOOL_NAME, "string", "name", "Its name"),
        _a(TOOL_CALL_DELTAS, "int", "deltas", "Fragments", "{delta}"),
        _a(TOOL_CALL_ARGUMENTS_SIZE, "int", "arguments_size", "Bytes of its arguments", "By"),
        _a(TOOL_CALL_ARGUMENTS_VALID, "boolean", "arguments_valid", "Whether they are JSON"),
        _a("groqscope.tool_call.arguments_hash", "string", "arguments_hash", "Equal for equal arguments of one process (salted)"),
        _a(TOOL_CALL_FIRST_DELTA_TIME, "double", "first_delta_ns", "Issue to its first fragment", "s"),
        _a(TOOL_CALL_DELTA_TIME, "double", "delta_ns", "First to last fragment", "s"),
        _a(TOOL_CALL_ASSEMBLY_TIME, "double", "assembly_ns", "Arrival of the chunk before it to that of its last fragment, where both were observed", "s"),
    ),
    "tool_calls",
)
EVENT_EXECUTED_TOOL: Final = Event(
    "groqscope.executed_tool",
    "A tool that Groq ran",
    (
        _a("groqscope.executed_tool.index", "int", "index", "Its index in the answer"),
        _a("groqscope.executed_tool.type", "string", "type", "Its type, for example `search`"),
        _a("groqscope.executed_tool.start_time", "double", "start_ns", "Issue to its announcement", "s"),
        _a("groqscope.executed_tool.duration", "double", "duration_ns", "Announcement to output", "s"),
    ),
    "executed_tools",
)
EVENT_ATTEMPT: Final = Event(
    "groqscope.attempt",
    "An HTTP attempt",
    (
        _a("groqscope.attempt.start_time", "double", "start_ns", "Issue to its begin", "s"),
        _a("groqscope.attempt.duration", "double", "duration_ns", "To its failure or to the answer's headers", "s"),
        _a(HTTP_STATUS, "int", "status", "HTTP status"),
        _a(ERROR_TYPE, "string", "error_type", "Why it failed"),
        _a(RETRY_AFTER, "double", "retry_after", "Header `retry-after`", "s"),
        _a("groqscope.attempt.backoff_time", "double", "backoff_ns", "What the SDK slept after it", "s"),
        _a("groqscope.connection.reused", "boolean", "connection_reused", "No connect and no TLS"),
        _a("groqscope.attempt.connect_time", "double", "connect_ns", "DNS, TCP", "s"),
        _a("groqscope.attempt.tls_time", "double", "tls_ns", "TLS handshake", "s"),
        _a("groqscope.attempt.send_time", "double", "send_ns", "Sending the request", "s"),
        _a("groqscope.attempt.wait_time", "double", "wait_ns", "Request sent to response headers", "s"),
    ),
    "attempts",
)
EVENTS: Final = (EVENT_FIRST_CHUNK, EVENT_USAGE_DELTA, EVENT_TOOL_CALL, EVENT_EXECUTED_TOOL, EVENT_ATTEMPT)

# Bucket bounds: D and T are the conventions' advice; the finer ones are ours, for Groq's 1-3 ms between chunks.
DURATION_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS: Final = tuple(float(4**i) for i in range(14))
SERVER_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CHUNK_BUCKETS: Final = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12)
RUN_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0, 120.0, 300.0)

_COMMON: Final = (OPERATION_NAME, PROVIDER_NAME, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT)

METRIC_DURATION: Final = Metric("gen_ai.client.operation.duration", "histogram", "s", "Duration of a call, errors included", (*_COMMON, ERROR_TYPE), DURATION_BUCKETS)
METRIC_TTFC: Final = Metric("gen_ai.client.operation.time_to_first_chunk", "histogram", "s", "Issue to the arrival of the first chunk, streamed calls in which it was observed", _COMMON, DURATION_BUCKETS)
METRIC_TPOC: Final = Metric("gen_ai.client.operation.time_per_output_chunk", "histogram", "s", "Gap between chunks whose arrival was observed, from a bounded sample of each stream", _COMMON, CHUNK_BUCKETS)
METRIC_TPOT: Final = Metric("groqscope.tpot", "histogram", "s", "Time of generation per output token: completion_time by tokens, else by arrivals that were observed", _COMMON, CHUNK_BUCKETS)
METRIC_CALLER_DELAY: Final = Metric("groqscope.caller_delay", "histogram", "s", "How much sooner calls would have ended, had the caller never held control", _COMMON, SERVER_BUCKETS)
METRIC_TOKENS: Final = Metric("gen_ai.client.token.usage", "histogram", "{token}", "Tokens of a call", (*_COMMON, TOKEN_TYPE), TOKEN_BUCKETS)
METRIC_QUEUE: Final = Metric("groq.server.queue_time", "histogram", "s", "Reported by Groq: in its queue", _COMMON, SERVER_BUCKETS)
METRIC_PROMPT: Final = Metric("groq.server.prompt_time", "histogram", "s", "Reported by Groq: processing the prompt", _COMMON, SERVER_BUCKETS)
METRIC_COMPLETION: Final = Metric("groq.server.completion_time", "histogram", "s", "Reported by Groq: generating", _COMMON, SERVER_BUCKETS)
METRIC_RATELIMIT: Final = Metric("groq.ratelimit.remaining", "gauge", "{quota}", "Requests or tokens left", (*_COMMON, RATELIMIT_RESOURCE))
METRIC_RATELIMIT_LIMIT: Final = Metric("groq.ratelimit.limit", "gauge", "{quota}", "Requests per day or tokens per minute", (*_COMMON, RATELIMIT_RESOURCE))
METRIC_RATELIMIT_RESET: Final = Metric("groq.ratelimit.reset", "gauge", "s", "Until the limit resets", (*_COMMON, RATELIMIT_RESOURCE))
METRIC_PHASE: Final = Metric("groqscope.phase.time", "histogram", "s", "Length of a phase", (*_COMMON, PHASE), SERVER_BUCKETS)
METRIC_ASSEMBLY: Final = Metric("groqscope.tool_call.assembly_time", "histogram", "s", "How long a tool call took to arrive after the chunk before it", (*_COMMON, TOOL_NAME), DURATION_BUCKETS)
METRIC_ATTEMPTS: Final = Metric("groqscope.attempts", "counter", "{attempt}", "HTTP attempts by outcome: `ok`, else why it failed", (*_COMMON, ATTEMPT_OUTCOME))
METRIC_OUTCOMES: Final = Metric("groqscope.stream.outcomes", "counter", "{request}", "Calls by outcome", (*_COMMON, OUTCOME, ERROR_TYPE))
METRIC_ACTIVE: Final = Metric("groqscope.requests.active", "updowncounter", "{request}", "Calls in flight", (OPERATION_NAME, PROVIDER_NAME, REQUEST_MODEL))
METRIC_COST: Final = Metric("groqscope.cost", "counter", "USD", "Cost of calls whose price is known", _COMMON)
METRIC_CACHE_TOKENS: Final = Metric("groqscope.cache.tokens", "counter", "{token}", "Input tokens for models that cache prompts: `cached`, `missed` (would have been cached, estimated) or `new`", (*_COMMON, CACHE_OUTCOME))
METRIC_CACHE_MISSES: Final = Metric("groqscope.cache.misses", "counter", "{request}", "Calls of which less was cached than could be, by reason; `message` is any of them", (*_COMMON, CACHE_MISS))
METRIC_CACHE_SAVED: Final = Metric("groqscope.cache.saved", "counter", "USD", "What cached tokens cost less", _COMMON)
METRIC_CACHE_LOST: Final = Metric("groqscope.cache.lost", "counter", "USD", "What missed tokens would have cost less", _COMMON)
METRIC_RUN_DURATION: Final = Metric("groqscope.run.duration", "histogram", "s", "Duration of a run, by how it ended", (RUN_OUTCOME,), RUN_BUCKETS)
METRIC_RUN_PART: Final = Metric("groqscope.run.part.time", "histogram", "s", "Time of a run in one kind of part; the parts of a run add up to its duration", (RUN_PART,), RUN_BUCKETS)
METRIC_INTERNAL_ERRORS: Final = Metric("groqscope.internal_errors", "counter", "{error}", "Failures of groqscope itself, by hook", (HOOK,))

METRICS: Final = (
    METRIC_DURATION, METRIC_TTFC, METRIC_TPOC, METRIC_TPOT, METRIC_CALLER_DELAY, METRIC_TOKENS, METRIC_QUEUE, METRIC_PROMPT, METRIC_COMPLETION,
    METRIC_RATELIMIT, METRIC_RATELIMIT_LIMIT, METRIC_RATELIMIT_RESET, METRIC_PHASE, METRIC_ASSEMBLY, METRIC_ATTEMPTS,
    METRIC_OUTCOMES, METRIC_ACTIVE, METRIC_COST, METRIC_CACHE_TOKENS, METRIC_CACHE_MISSES, METRIC_CACHE_SAVED, METRIC_CACHE_LOST, METRIC_RUN_DURATION, METRIC_RUN_PART,
    METRIC_INTERNAL_ERRORS,
)  # fmt: skip
