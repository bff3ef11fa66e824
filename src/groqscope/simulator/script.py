"""The vocabulary of a script: what the simulator answers, when, and how it goes wrong.

Everything is a frozen value; all delays are seconds. A script is one reply (to every request), a sequence of
replies (the last one repeats), a function from the request to a reply, or a mapping from endpoint ("chat/completions",
"embeddings") to one of these.

    Reply      Answer | Failure | Response | Recorded | Reset | Close | Hang
    Answer     content, reasoning, tool calls, or explicit Chunk and Raw events; Usage, Delays, an Ending
    Ending     Truncated | Cut | Reset | Hang | ErrorEvent
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from groqscope.simulator.library import Recording
from groqscope.simulator.received import Received

Place = Literal["x_groq", "top_level", "include_usage"]
"""Where a stream carries its usage; `include_usage` is a chunk of its own, with empty `choices`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """When an answer's bytes are sent: delays that add up, from the arrival of the request's body.

    Each ends at an absolute deadline, so that lateness does not add up. An unstreamed answer uses `before_headers`,
    `before_first` (headers to body) and `before_close`.
    """

    before_headers: float = 0.0
    """Request body received to response headers."""
    before_first: float = 0.0
    """Headers to the first event."""
    per_chunk: float = 0.0
    """Before each event after the first."""
    at: Mapping[int, float] = field(default_factory=dict[int, float])
    """Additional delays by index of the event; a negative index counts from the last event before `[DONE]`."""
    before_tools: float = 0.0
    """Additional delay before the first event with a tool call."""
    inside_tools: float = 0.0
    """Additional delay before each later event with a tool call."""
    before_done: float = 0.0
    """Before `[DONE]`."""
    before_close: float = 0.0
    """Between the last byte of the body and the end of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Usage as the server reports it; fields that are `None` are computed from the answer and its delays."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    queue_time: float | None = None
    """`None`: `Delays.before_headers`."""
    prompt_time: float | None = None
    """`None`: `Delays.before_first`."""
    completion_time: float | None = None
    """`None`: from the first event to the last."""
    total_time: float | None = None
    """`None`: prompt + completion, as Groq computes it."""
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """The fragment of a tool call that one chunk contains."""

    index: int = 0
    _: KW_ONLY
    id: str | None = None
    name: str | None = None
    arguments: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream."""

    content: str | None = None
    _: KW_ONLY
    reasoning: str | None = None
    tool_calls: Sequence[ToolDelta] = ()
    executed_tools: Sequence[Mapping[str, Any]] = ()
    role: str | None = None
    finish_reason: str | None = None
    choice: int = 0
    x_groq: Mapping[str, Any] | None = None
    """Merged into the event's `x_groq` object: `{"error": "…"}`, `{"usage_breakdown": …}`."""
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Merged into the event's payload: `{"choices": []}`, `{"id": …}`."""
    delay: float = 0.0
    """Additional delay before this event."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes written to the stream as they are: invalid JSON, comments, keep-alives, an event of another name."""

    data: bytes
    _: KW_ONLY
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call; arguments given as one text are sent in one fragment, as a sequence in one fragment per element."""

    name: str
    arguments: str | Sequence[str] = "{}"
    _: KW_ONLY
    id: str | None = None
    """`None`: a generated one."""

    @property
    def fragments(self) -> tuple[str, ...]:
        """The arguments as they are sent, in order."""
        return (self.arguments,) if isinstance(self.arguments, str) else tuple(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """Splits every write into pieces of `size` bytes (even inside UTF-8 sequences), `delay` seconds apart."""

    size: int
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class _BrokenOff:
    after: int | None = None
    """How many events come before it; `None`: all."""
    _: KW_ONLY
    partial: int = 0
    """How many bytes of the next event are still sent."""


class Truncated(_BrokenOff):
    """The stream ends as a proper HTTP message, but without `[DONE]`."""

    __slots__ = ()


class Cut(_BrokenOff):
    """The connection is closed in the middle of the message."""

    __slots__ = ()


class Hang(_BrokenOff):
    """Nothing more is sent until the client disconnects: as an ending, or as a reply."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reset(_BrokenOff):
    """The connection is reset (TCP RST): as an ending, or as a reply before the headers."""

    _: KW_ONLY
    delay: float = 0.0
    """As a reply: seconds after the arrival of the request's body."""


@dataclass(frozen=True, slots=True)
class Close:
    """As a reply: the connection is closed without a response, `delay` seconds after the request's body."""

    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """The stream, under HTTP 200, ends with an error event after `after` events (`None`: all)."""

    after: int | None = None
    _: KW_ONLY
    message: str = "Tool call validation failed: attempted to call a tool with parameters that do not match its schema"
    type: str = "invalid_request_error"
    code: str | None = "tool_use_failed"
    failed_generation: str | None = ""
    status_code: int | None = 400
    named: bool = True
    """With an `event: error` line, as Groq sends it; if false, the error is in a plain `data:` line."""


Ending = Truncated | Cut | Reset | Hang | ErrorEvent


@dataclass(frozen=True, slots=True)
class Answer:
    """A chat completion or a response, streamed or whole as the request asks."""

    content: str | Sequence[str] = ""
    """Text is split into words, each an event; a sequence is sent as one event per element."""
    _: KW_ONLY
    reasoning: str | Sequence[str] = ""
    tool_calls: Sequence[ToolCall] = ()
    tools_come: Literal["in turn", "interleaved", "together"] = "in turn"
    """One call after the other; fragments of all calls in alternation; the n-th fragments of all calls in one event."""
    chunks: Sequence[Chunk | Raw] | None = None
    """The events, one by one, instead of those made from the fields above; the last `Chunk` gets the usage."""
    inserts: Mapping[int, Raw] = field(default_factory=dict[int, Raw])
    """Raw bytes to insert before the event of that index; `at` and `after` do not count them as events."""
    executed_tools: Sequence[Mapping[str, Any]] = ()
    finish_reason: str | None = None
    """`None`: `tool_calls` when there are some, else `stop`."""
    choices: int | None = None
    """`None`: the request's `n`; all choices are the same."""
    usage: Usage | None = field(default_factory=Usage)
    """`None`: no usage is sent."""
    usage_in: Sequence[Place] | None = None
    """`None`: in `x_groq`, and also in a chunk of its own if the request sets `include_usage`."""
    delays: Delays = field(default_factory=Delays)
    events_per_write: int = 1
    drip: Drip | None = None
    gzip: bool = False
    """Whether to compress, if the client accepts it; a stream is flushed after each write."""
    ending: Ending | None = None
    """`None`: all events, then `[DONE]` and the end of the message."""
    model: str | None = None
    """`None`: as requested."""
    request_id: str | None = None
    response_id: str | None = None
    system_fingerprint: str | None = "fp_5150906920"
    service_tier: str | None = "on_demand"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Merged into the body of an unstreamed answer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer with Groq's body for that status; fields that are set replace Groq's."""

    status: int
    _: KW_ONLY
    message: str | None = None
    type: str | None = None
    code: str | None = None
    failed_generation: str | None = None
    retry_after: float | None = None
    """Seconds in the `retry-after` header; by default 1 for a 429. A negative value sends no header."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delays: Delays = field(default_factory=Delays)


@dataclass(frozen=True, slots=True)
class Response:
    """Any HTTP answer, byte for byte."""

    body: bytes = b""
    _: KW_ONLY
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delays: Delays = field(default_factory=Delays)
    drip: Drip | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a TCP connection is accepted: one element of the simulator's `connections`; the last one repeats."""

    accept_delay: float = 0.0
    """Seconds before the connection is read. The kernel completes it without the simulator: the client's connect is
    fast, and its request waits."""
    tls_delay: float = 0.0
    """Seconds before the TLS handshake is answered."""
    reset: bool = False
    """Reset the connection after the delays, instead of serving it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a recording is replayed."""

    chunk: float | None = None
    """Seconds before each event, the first one included, and before an unstreamed answer.

    `None`: the times that Groq reported: queue and prompt time before the first event, completion time spread over the
    tokens, so that a tool call arrives after the pause in which it was generated.
    """
    speed: float = 1.0
    """Divides all these times."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording as a reply."""

    recording: Recording
    pace: Pace = field(default_factory=Pace)


Reply = Answer | Failure | Response | Recorded | Reset | Close | Hang
Playable = Reply | Sequence[Reply] | Callable[[Received], Reply | None]
"""A function may return `None` to leave the answer to the replay, if there is one."""
Script = Playable | Mapping[str, Playable]
