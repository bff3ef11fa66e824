"""A Groq-compatible server that answers from a script or from recordings, and records exactly when it did what.

    from groqscope.simulator import Answer, Delays, Failure, Simulator

    with Simulator([Failure(429), Answer("Hello there")]) as sim:
        client = Groq(base_url=sim.base_url, api_key="test")
        ...
    for served in sim.settle():
        print(served.status, served.headers_sent_ns, served.events_ns)

A script is one reply for every request; a sequence (the last one repeats); a function `Received -> Reply | None`; or a
mapping from endpoint ("chat/completions", "responses", "embeddings", …) to one of these. `script` has the vocabulary:
what an `Answer` contains, when its bytes are sent, and how it goes wrong. Fields of `Usage` that a script does not set
follow from the delays; those that it sets are sent as they are, true or not.

`Simulator(replay=…)` answers from recordings, `connections=` delays or resets connections, `tls=True` makes a
certificate, `prompt_cache=` reports cached tokens, and a `Proxy` makes a slow connect, which loopback never has.
`docs/simulator.md` describes them all.
"""

from groqscope._serving import MissingExtraError
from groqscope.simulator.library import BUNDLED, Library, Recording, RecordingError, read_recording, read_recordings
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
