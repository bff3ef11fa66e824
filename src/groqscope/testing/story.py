"""Made-up records: a request told step by step, without a server, a client or a wait."""

from random import Random
from typing import Final, Self, Unpack

from groqscope.testing.clock import ManualClock
from groqscope.timeline import (
    Channel,
    EndFacts,
    ModelUsage,
    Outcome,
    RateLimits,
    RequestFacts,
    RequestRecord,
    ResponseFacts,
    Timeline,
    Usage,
)

NOON_UNIX_NS: Final = 1_794_391_391_482_000_000
"""2026-11-11 09:23:11.482 UTC: when a story begins unless it says otherwise."""


class Story:
    """One request, told in the order in which it happens; each step says how many milliseconds it took.

        Story(model="llama-3.3-70b-versatile").issue(connect=18, tls=31).headers(96).text(212).used().end()
        Story(stream=False).issue().whole(61).end()
        Story().issue().refused(62, 429, "rate_limit_exceeded", 0.6, 608).issue().headers(96).text(3).end("abandoned")

    The record is what groqscope's own accounting makes of it: phases that add up, gaps between chunks, tool calls.
    """

    def __init__(
        self,
        *,
        start_unix_ns: int = NOON_UNIX_NS,
        number: int = 1,
        service: str = "shop",
        **request: Unpack[RequestFacts],
    ) -> None:
        """Begin a request.

        Args:
            start_unix_ns: when it begins.
            number: ids, and what varies in `text`, follow from it; equal numbers give equal records.
            service: the name of the service that asks.
            request: what the caller sends, by the names of the record; streamed unless it says otherwise.
        """
        facts: RequestFacts = {
            "model": "llama-3.3-70b-versatile",
            "stream": True,
            "server_address": "api.groq.com",
            "server_port": 443,
            "messages": 3,
            "request_size": 1_482,
            **request,
        }
        self.clock = ManualClock(5_000_000_000)
        self.timeline = Timeline(self.clock.now, start_unix_ns, facts)
        """What has been told so far; steps that have no method here are told to it."""
        self.timeline.traced({"trace_id": f"{number:032x}", "span_id": f"{number:016x}", "service": service})
        self._random = Random(number)  # noqa: S311 - lengths of gaps
        self._tokens = 0
        self.answer: ResponseFacts = {
            "request_id": f"req_01k9zq7m{number:04d}fzv8a2t6p4x1c3d",
            "response_id": f"chatcmpl-5f0c2c1e-{number:04d}",
            "region": "dls",
            "response_model": str(facts.get("model")),
            "response_service_tier": "on_demand",
            "system_fingerprint": "fp_6507bcfb6f",
            "created": start_unix_ns // 1_000_000_000,
            "rate_limits": RateLimits(
                requests_limit=14_400,
                requests_remaining=14_212,
                requests_reset=1_126.0,
                tokens_limit=300_000,
                tokens_remaining=271_904,
                tokens_reset=5.6,
            ),
        }
        """What the server says about its answer, by the names of the record; `end` puts it into the record."""

    def after(self, ms: float) -> int:
        """Let time pass, and return the moment on the story's clock."""
        return self.clock.advance(ms)

    def issue(
        self, *, prepare: float = 1.9, connect: float | None = None, tls: float | None = None, send: float = 0.9
    ) -> Self:
        """Prepare and send an attempt; without `connect` the connection is reused."""
        self.timeline.prepared(self.after(prepare))
        self.after(0.3)
        if connect is not None:
            self.timeline.connecting(self.clock.now)
            self.after(connect)
        if tls is not None:
            self.timeline.securing(self.clock.now)
            self.after(tls)
        self.timeline.sending(self.clock.now)
        self.timeline.sent(self.after(send))
        return self

    def refused(
        self, wait: float, status: int, error_type: str, retry_after: float | None = None, backoff: float | None = None
    ) -> Self:
        """Let the attempt fail after `wait`; with `backoff` the SDK sleeps, and another `issue` follows.

        Args:
            wait: from the request sent to the headers.
            status: the HTTP status.
            error_type: Groq's code of the error.
            retry_after: what the answer's header says, in seconds.
            backoff: how long the SDK sleeps.
        """
        self.timeline.headers(self.after(wait))
        self.timeline.attempt_failed(self.after(0.4), status=status, error_type=error_type, retry_after=retry_after)
        if backoff is not None:
            self.timeline.backed_off(self.after(backoff))
        return self

    def headers(self, wait: float, status: int = 200) -> Self:
        """Bring the headers of a stream after `wait`; the caller asks for chunks at once."""
        self.timeline.headers(self.after(wait))
        self.timeline.answered(self.after(0.1), status, unseen=False)
        self.timeline.returned(self.after(0.1))
        self.timeline.asked(self.after(0.02))
        return self

    def chunk(self, gap: float, channel: int = Channel.CONTENT, *, consume: float = 0.02) -> Self:
        """Bring a chunk after `gap`; the caller's code takes `consume` over it."""
        t = self.after(gap)
        self._tokens += channel != Channel.NONE
        self.timeline.received(212)
        self.timeline.chunk(t, channel)
        self.timeline.returned(self.after(0.01))
        self.timeline.asked(self.after(consume))
        return self

    def text(self, tokens: int, gap: float = 3.0, *, channel: int = Channel.CONTENT, consume: float = 0.02) -> Self:
        """Bring that many chunks of a token each, about `gap` apart."""
        for _ in range(tokens):
            self.chunk(gap * self._random.uniform(0.6, 1.4), channel, consume=consume)
        return self

    def tool(self, gap: float, index: int, name: str, arguments: str, *, pieces: int = 1) -> Self:
        """Bring a tool call after `gap`, its arguments in so many pieces."""
        step = -(-len(arguments) // pieces)
        for piece in range(pieces):
            first = piece == 0
            t = self.after(gap if first else 2.1)
            self.timeline.chunk(t, Channel.TOOL)
            part = arguments[piece * step : (piece + 1) * step]
            self.timeline.tool_delta(t, 0, index, f"call_{index}a7c" if first else None, name if first else None, part)
            self.timeline.returned(self.after(0.01))
            self.timeline.asked(self.after(0.02))
        return self

    def used(
        self,
        usage: Usage | None = None,
        reason: str | None = "stop",
        gap: float = 1.0,
        *,
        models: tuple[ModelUsage, ...] = (),
    ) -> Self:
        """Bring the chunk with the finish reason and the usage; a usage not given counts the chunks with tokens."""
        t = self.after(gap)
        self.timeline.chunk(t, Channel.NONE)
        self.timeline.used(t, usage or Usage(input_tokens=100, output_tokens=self._tokens), models)
        if reason:
            self.timeline.choice_finished(0, reason)
        return self

    def whole(self, wait: float, usage: Usage | None = None, reason: str = "stop", *, size: int = 1_012) -> Self:
        """Bring an answer in one piece, of `size` bytes, after `wait`."""
        self.timeline.headers(self.after(wait))
        self.timeline.answered(self.after(0.1), 200, unseen=False)
        self.timeline.last_byte(self.after(0.3))
        self.timeline.used(self.clock.now, usage or Usage(input_tokens=100, output_tokens=40))
        self.timeline.choice_finished(0, reason)
        self.answer["response_size"] = size
        return self

    def last_byte(self) -> Self:
        """End the body of the answer at this moment."""
        self.timeline.last_byte(self.clock.now)
        return self

    def running(self, ms: float = 0.0) -> RequestRecord:
        """Return the record of the request `ms` later, while it still runs."""
        return self.timeline.record(self.after(ms))

    def end(
        self, outcome: Outcome = "completed", *, error: str | None = None, **ended: Unpack[EndFacts]
    ) -> RequestRecord:
        """End the request, and return its record; `ended` are what is made of it then, such as `cost`."""
        self.timeline.identified(**self.answer)
        _, settled = self.timeline.end(self.after(0.4), outcome)
        return self.timeline.record(None, settled, error, ended=ended)
