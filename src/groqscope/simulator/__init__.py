r"""A Groq-compatible server that answers from a script or from recordings, and records exactly when it did what.

    from groqscope.simulator import Answer, Delays, Failure, Simulator

    with Simulator([Failure(429), Answer("Hello there")]) as sim:
        client = Groq(base_url=sim.base_url, api_key="test")
        ...
    for served in sim.settle():
        print(served.status, served.headers_sent_ns, served.events_ns)

**Scripts.** One reply for every request; a sequence (the last one repeats); a function `Received -> Reply | None`; or
a mapping from endpoint ("chat/completions", "responses", "embeddings", …) to one of these. `sim.play(script)` replaces
it. One `Answer` serves streamed and unstreamed requests, of chat completions and of the Responses API, as it is asked.

    Answer("text")                                     cut into words, one event each; role first, usage last, [DONE]
    Answer(["a", "b"], reasoning="so …")               exactly these events
    Answer(tool_calls=[ToolCall("f", ['{"a":', "1}"])])   fragments; one text comes whole;
                                                       several calls: tools_come="in turn" | "interleaved" | "together"
    Answer(chunks=[Chunk("a"), Raw(b"data: {oops\n\n"), Chunk(finish_reason="stop")])      event by event
    Answer("a b", usage=Usage(queue_time=9.0), usage_in=["x_groq", "top_level", "include_usage"])   None: no usage
    Answer("a b", choices=2)                           n > 1 (otherwise as the request's `n`)
    Answer("a b c", delays=Delays(before_headers=.05, before_first=.1, per_chunk=.01, at={2: .2}, before_done=.05))
    Answer("a b c", ending=Cut(2))                     after two events; Truncated, Reset, Hang, ErrorEvent likewise
    Answer("é", drip=Drip(size=1, delay=.001))         byte by byte; events_per_write=3 does the opposite; gzip=True
    Failure(429, retry_after=2)                        Groq's error body for the status; 400 … 503, 498 included
    Reset() Close() Hang()                             no answer at all
    Response(b"<html>", status=502, content_type="text/html")

Usage fields that a script does not set follow from the delays: `queue_time` = before_headers, `prompt_time` =
before_first, `completion_time` = first event to last. Fields that it sets are sent as they are, true or not.

**Below HTTP.** `Simulator(connections=[Connection(accept_delay=.1, tls_delay=.1, reset=False), …])`, per connection,
the last one repeats. `Simulator(tls=True)` makes a certificate; `httpx.Client(verify=sim.client_tls)` trusts it.
`with Proxy(delay=.05) as proxy: httpx.Client(proxy=proxy.url)` adds a slow proxy: a connect to loopback is always fast,
so only a delayed tunnel makes a slow connect. A body larger than the kernel's buffers (8 MB, say) and an `accept_delay`
make a slow send.

**Replay.** `Simulator(replay=directory_or_recordings, pace=Pace(chunk=0.002))`; `Pace()` takes the times that
Groq reported. The recording with the same model, stream flag and messages answers, several of them in turn; if there is
none, the most similar one of that model.

**Prompt caching.** `Simulator(script, prompt_cache=PromptCache(minimum=256, lifetime=7200, clock=…))` reports the
tokens of a prompt that were cached: an exact prefix of earlier ones, by blocks of 128 tokens; `served.cached_tokens` is
the truth.

**Ground truth.** `sim.served`, a list of `Served`: monotonic nanoseconds of accept, headers, body, each write and the
end. `sim.settle()` waits until nothing is being served, then returns it.
"""

from groqscope._serving import MissingExtraError
from groqscope.simulator.library import (
    BUNDLED,
    Library,
    Recording,
    RecordingError,
    read_recording,
    read_recordings,
)
from groqscope.simulator.prompt_cache import PromptCache
from groqscope.simulator.proxy import Passage, Proxy
from groqscope.simulator.received import Received
from groqscope.simulator.script import (
    Answer,
    Chunk,
    Close,
    Connection,
    Cut,
    Delays,
    Drip,
    Ending,
    ErrorEvent,
    Failure,
    Hang,
    Pace,
    Playable,
    Raw,
    Recorded,
    Reply,
    Reset,
    Response,
    Script,
    ToolCall,
    ToolDelta,
    Truncated,
    Usage,
)
from groqscope.simulator.served import ConnectionFacts, Served, Written
from groqscope.simulator.server import Simulator, require_extra

__all__ = [
    "BUNDLED",
    "Answer",
    "Chunk",
    "Close",
    "Connection",
    "ConnectionFacts",
    "Cut",
    "Delays",
    "Drip",
    "Ending",
    "ErrorEvent",
    "Failure",
    "Hang",
    "Library",
    "MissingExtraError",
    "Pace",
    "Passage",
    "Playable",
    "PromptCache",
    "Proxy",
    "Raw",
    "Received",
    "Recorded",
    "Recording",
    "RecordingError",
    "Reply",
    "Reset",
    "Response",
    "Script",
    "Served",
    "Simulator",
    "ToolCall",
    "ToolDelta",
    "Truncated",
    "Usage",
    "Written",
    "read_recording",
    "read_recordings",
    "require_extra",
]
