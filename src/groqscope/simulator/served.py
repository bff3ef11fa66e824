"""The simulator's ground truth: what it did for each request, and when.

All times are `time.monotonic_ns()`, one clock for all processes of a machine, and are taken just before the bytes are
handed to the kernel (sent) or just after they were read from it (received). So a client never sees a byte before the
time recorded here.
"""

from dataclasses import dataclass, field
from typing import Literal

from groqscope.simulator.received import Received

Left = Literal["complete", "cut", "reset", "client left", "broken"]


@dataclass(slots=True)
class ConnectionFacts:
    """One TCP connection."""

    index: int
    """Order of arrival at this simulator, from 0."""
    accepted_ns: int
    """When the simulator accepted it; the kernel had established it before."""
    opened_ns: int | None = None
    """When reading started: after `accept_delay` and the TLS handshake."""
    tls_started_ns: int | None = None
    tls_done_ns: int | None = None
    requests: int = 0
    """Number of requests on it so far."""


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes handed to the kernel together."""

    ns: int
    size: int
    """Bytes of the body, without HTTP's chunk framing."""
    events: int
    """Server-sent events complete after it, counted from the start of the answer."""


@dataclass(slots=True)
class Served:
    """One request, from its headers to the end of the answer; filled in while it is served."""

    index: int
    connection: ConnectionFacts
    first_on_connection: bool
    headers_received_ns: int
    received: Received | None = None
    """`None` until the body has arrived."""
    body_received_ns: int | None = None
    cached_tokens: int | None = None
    """Tokens of the prompt that were cached; `None` without a prompt cache, and for models that have none."""
    status: int | None = None
    headers_sent_ns: int | None = None
    writes: list[Written] = field(default_factory=list[Written])
    ended_ns: int | None = None
    """When the end of the message was written, or the connection closed."""
    left: Left | None = None
    """How it ended; `None` while it is served."""

    @property
    def first_write_ns(self) -> int | None:
        """When the first byte of the body was written."""
        return self.writes[0].ns if self.writes else None

    @property
    def events_ns(self) -> list[int]:
        """When each server-sent event was complete on the wire, `[DONE]` included."""
        times: list[int] = []
        for write in self.writes:
            times += [write.ns] * (write.events - len(times))
        return times
