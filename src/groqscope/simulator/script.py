"""The vocabulary of a script: what the simulator answers, when, and how it goes wrong.

Everything is a frozen value; all delays are seconds. A script is one reply (given to every request), a sequence of
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
    """When an answer's bytes leave, as delays that add up from the moment the request's body was there.

    Each is waited for against an absolute deadline, so that lateness does not add up. An unstreamed answer knows
    `before_headers`, `before_first` (headers to body) and `before_close`.
    """

    before_headers: float = 0.0
    """Request body received to response headers."""
    before_first: float = 0.0
    """Headers to the first event."""
    per_chunk: float = 0.0
    """Before each event after the first."""
    at: Mapping[int, float] = field(default_factory=dict[int, float])
    """Extra, by index of the event; negative ones count from the last before `[DONE]`."""
    before_tools: float = 0.0
    """Extra, before the first event that carries a tool call."""
    inside_tools: float = 0.0
    """Extra, before each later event that carries a tool call."""
    before_done: float = 0.0
    """Before `[DONE]`."""
    before_close: float = 0.0
    """Last byte of the answer to the end of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Usage as the server reports it; what is `None` is made to agree with the answer and its delays."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    queue_time: float | None = None
    """Agreeing: `Delays.before_headers`."""
    prompt_time: float | None = None
    """Agreeing: `Delays.before_first`."""
    completion_time: float | None = None
    """Agreeing: first event to last."""
    total_time: float | None = None
    """Agreeing: prompt + completion, as Groq has it."""
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """One fragment of a tool call, as one chunk carries it."""

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
    """Laid over what the answer puts there by itself: `{"error": "…"}`, `{"usage_breakdown": …}`."""
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Laid over the event's whole payload: `{"choices": []}`, `{"id": …}`."""
    delay: float = 0.0
    """Extra, before this event."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes put into the stream as they are: invalid JSON, comments, keep-alives, an event of another name."""

    data: bytes
    _: KW_ONLY
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call; arguments as text come whole, as a sequence of texts in that many fragments."""

    name: str
    arguments: str | Sequence[str] = "{}"
    _: KW_ONLY
    id: str | None = None
    """`None`: one is made up."""

    @property
    def fragments(self) -> tuple[str, ...]:
        """The arguments as they are sent, in order."""
        return (self.arguments,) if isinstance(self.arguments, str) else tuple(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """Every write is cut into pieces of `size` bytes (also inside UTF-8 sequences), `delay` seconds apart."""

    size: int
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Truncated:
    """The stream ends as a proper HTTP message, but without `[DONE]`, after so many events (`None`: all)."""

    after: int | None = None
    _: KW_ONLY
    partial: int = 0
    """Bytes of the next event that are sent all the same."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed in the middle of the message, after so many events (`None`: all)."""

    after: int | None = None
    _: KW_ONLY
    partial: int = 0


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (TCP RST): as an ending after so many events, as a reply before the headers."""

    after: int | None = None
    _: KW_ONLY
    partial: int = 0
    delay: float = 0.0
    """As a reply: seconds after the request's body was there."""


@dataclass(frozen=True, slots=True)
class Close:
    """As a reply: the connection is closed without a word, `delay` seconds after the request's body was there."""

    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing more comes until the client leaves: as an ending after so many events, as a reply before the headers."""

    after: int | None = None
    _: KW_ONLY
    partial: int = 0


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """The stream breaks off with an error under HTTP 200, after so many events (`None`: all)."""

    after: int | None = None
    _: KW_ONLY
    message: str = "Tool call validation failed: attempted to call a tool with parameters that do not match its schema"
    type: str = "invalid_request_error"
    code: str | None = "tool_use_failed"
    failed_generation: str | None = ""
    status_code: int | None = 400
    named: bool = True
    """With an `event: error` line, as Groq sends it; else the error stands in a plain `data:` line."""


Ending = Truncated | Cut | Reset | Hang | ErrorEvent


@dataclass(frozen=True, slots=True)
class Answer:
    """A chat completion, streamed or whole as the request asks."""

    content: str | Sequence[str] = ""
    """Text is cut into words; a sequence is sent as it is, one event each."""
    _: KW_ONLY
    reasoning: str | Sequence[str] = ""
    tool_calls: Sequence[ToolCall] = ()
    tools_come: Literal["in turn", "interleaved", "together"] = "in turn"
    """One call after the other; fragments of all calls by turns; all fragments of one rank in one event."""
    chunks: Sequence[Chunk | Raw] | None = None
    """The events, one by one, instead of those made from the three above; usage goes onto the last `Chunk`."""
    inserts: Mapping[int, Raw] = field(default_factory=dict[int, Raw])
    """Raw bytes put before the event of that index; they do not count as events of their own in `at` and `after`."""
    executed_tools: Sequence[Mapping[str, Any]] = ()
    finish_reason: str | None = None
    """`None`: `tool_calls` when there are some, else `stop`."""
    choices: int | None = None
    """`None`: the request's `n`; each choice gets the same."""
    usage: Usage | None = field(default_factory=Usage)
    """`None`: none is sent."""
    usage_in: Sequence[Place] | None = None
    """`None`: in `x_groq`, and where the request asks for `include_usage`, there too."""
    delays: Delays = field(default_factory=Delays)
    events_per_write: int = 1
    drip: Drip | None = None
    gzip: bool = False
    """Compressed, where the client says that it takes that; a stream is flushed at each write."""
    ending: Ending | None = None
    """`None`: all events, `[DONE]`, a proper end."""
    model: str | None = None
    """`None`: as asked."""
    request_id: str | None = None
    response_id: str | None = None
    system_fingerprint: str | None = "fp_5150906920"
    service_tier: str | None = "on_demand"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Laid over an unstreamed answer's body."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer with Groq's body for that status; what is given replaces the usual."""

    status: int
    _: KW_ONLY
    message: str | None = None
    type: str | None = None
    code: str | None = None
    failed_generation: str | None = None
    retry_after: float | None = None
    """Seconds; 429 sends 1 unless told otherwise, a negative one sends no header."""
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
    """How a TCP connection is taken: the simulator's `connections`, one per connection, the last one repeats."""

    accept_delay: float = 0.0
    """Seconds in which nothing is read. The kernel completes the connection by itself: the client's connect is fast,
    its request waits."""
    tls_delay: float = 0.0
    """Seconds before the TLS handshake is answered."""
    reset: bool = False
    """Reset it instead, after the delays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a recording is replayed."""

    chunk: float | None = None
    """Seconds before each event, the first one included, and before an unstreamed answer.

    `None`: as Groq reported it: queue and prompt time before the first event, completion time spread over the tokens,
    so that a tool call comes after the silence in which it was made.
    """
    speed: float = 1.0
    """Divides all times of the above."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording as a reply."""

    recording: Recording
    pace: Pace = field(default_factory=Pace)


Reply = Answer | Failure | Response | Recorded | Reset | Close | Hang
Playable = Reply | Sequence[Reply] | Callable[[Received], Reply | None]
"""A function may return `None`: then the replay answers, where there is one."""
Script = Playable | Mapping[str, Playable]
