"""Timeline: takes observations of a request, in order, and makes the record from them.

Rules
    Each observation comes with its time, in monotonic nanoseconds; the timeline reads no clock. An observation with a
    time before the last one counts as simultaneous with it, so no phase is ever negative, whatever the order.

    At every instant exactly one stage is current. `_advance(t)` adds the time since the last boundary to the current
    stage. Nothing else accounts for time, which is why the phases partition the duration exactly. Stages follow each
    other like this:

        PREPARE ─prepared→ POOL_WAIT ─connect→ CONNECT ─tls→ TLS ─send→ SEND ─sent→ WAIT ─first token→ RECEIVE
           ▲                                                                         └───last byte──→ FINISH ←──┘
           └─ prepared again: everything since the first `prepared` becomes RETRY, and POOL_WAIT begins anew

    A transport may also retry below the SDK: it connects or sends again within one attempt of the SDK's. What it did
    before is then an attempt of its own. If that attempt failed, everything so far, including the back-off, becomes
    RETRY; after a redirect or a request for credentials, its wait stays WAIT, and CONNECT or SEND follow.

    While the caller has control (from `returned` to `asked`) the stage is CONSUME; then the previous stage resumes.
    A proxy's CONNECT has a send and a wait before TLS: they become part of CONNECT. A transport without trace events
    stays in POOL_WAIT until the answer: that time becomes WAIT, and the record says that the others were not observed.

    When the record is made, WAIT is divided into what Groq reports (queue, prompt and, if not streamed, completion) and
    the rest.

When did a chunk arrive?
    The time of a read is the time of arrival only if the SDK was waiting for the bytes; while the caller has control,
    bytes wait in the socket. So each read that brings chunks is classified (`_arrived`). Its arrival is *observed* if
    the SDK waited for it at least as long as the caller had control since the last read, and either at least as long as
    all other time since the last observed read, or at least 1 ms. So one long pause does not affect the rest of the
    stream, and draining a full socket is not mistaken for a stream. Chunks of a read that is not observed may have
    arrived as early as the last observed ones; the difference is the read's `late`.

    The time between two arrivals is known if its error is at most a tenth (`known_between`). Otherwise it is absent
    from the record.
"""

from dataclasses import fields, replace
from typing import Any, Final, TypedDict, Unpack

from groqscope.timeline.record import (
    PHASE_NAMES,
    Attempt,
    ExecutedTool,
    ModelUsage,
    Outcome,
    Phases,
    RateLimits,
    RequestRecord,
    Usage,
    UsageDelta,
    reported_generation_ns,
)
from groqscope.timeline.sampling import StrideSample, fit, quantile
from groqscope.timeline.tools import Arrival, ToolAssembly, known_between

PREPARE, RETRY, POOL_WAIT, CONNECT, TLS, SEND, WAIT, RECEIVE, CONSUME, FINISH = range(10)
_STAGES: Final = 10
_FIRST_ERROR_STATUS: Final = 400
_NOTHING: Final = (0,) * _STAGES
_UNSEEN: Final = ("pool_wait", "connect", "tls", "send")

OTHER: Final = "_OTHER"
"""The type of an error of which nothing is known."""

MAX_ATTEMPTS = 16
MAX_CHOICES = 128
MAX_USAGE_DELTAS = 16
TIMELINE_ROOM = 192
GAPS_ROOM = 128
_WAITED_NS: Final = 1_000_000
"""Longer than it takes to read bytes that are already in the socket."""


class Channel:
    """What a chunk contains, as bits."""

    NONE = 0
    CONTENT = 1
    REASONING = 2
    TOOL = 4


class RequestFacts(TypedDict, total=False):
    """What is known of a request when it is sent: fields of `RequestRecord`."""

    operation: str
    model: str | None
    stream: bool
    server_address: str | None
    server_port: int | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    stop_sequences: tuple[str, ...]
    seed: int | None
    choice_count: int | None
    output_type: str | None
    reasoning_effort: str | None
    reasoning_format: str | None
    request_service_tier: str | None
    tools: int | None
    messages: int | None
    request_size: int | None


class SpanFacts(TypedDict, total=False):
    """What is known of the span that carries a record: fields of `RequestRecord`."""

    nested: bool
    service: str | None
    run: str | None
    agent: str | None
    conversation: str | None
    user: str | None
    tags: tuple[tuple[str, str], ...]
    trace_id: str | None
    span_id: str | None


class ResponseFacts(TypedDict, total=False):
    """What an answer contains about itself: fields of `RequestRecord`."""

    request_id: str | None
    response_id: str | None
    region: str | None
    stream_error: str | None
    retry_after: float | None
    response_model: str | None
    response_service_tier: str | None
    system_fingerprint: str | None
    created: int | None
    response_size: int | None
    audio_seconds: float | None
    rate_limits: RateLimits | None


class EndFacts(TypedDict, total=False):
    """What is computed of a request when it has ended: fields of `RequestRecord`."""

    cost: float | None
    cost_source: str | None
    cost_estimate: float | None
    cache_miss: str | None
    cache_missed_tokens: int | None
    cache_last_used_ns: int | None
    cache_saved: float | None
    cache_lost: float | None


class _Attempt:
    """The boundaries of one attempt."""

    __slots__ = (
        "backoff",
        "before",
        "challenged",
        "connect",
        "end",
        "error_type",
        "failure",
        "headers",
        "last",
        "retry_after",
        "send",
        "sent",
        "start",
        "status",
        "tls",
    )

    def __init__(self, start: int, before: tuple[int, ...] = _NOTHING) -> None:
        self.start = start
        self.before = before
        """Time spent by redirects and requests for credentials before it, by stage."""
        self.last = start
        """When the transport's last trace event came."""
        self.failure: str | None = None
        """The error type of its failure, as the transport reported it."""
        self.challenged = False
        """It was answered by a request for credentials, with which the next attempt is sent."""
        self.connect: int | None = None
        self.tls: int | None = None
        self.send: int | None = None
        self.sent: int | None = None
        self.headers: int | None = None
        self.end: int | None = None
        self.status: int | None = None
        self.error_type: str | None = None
        self.retry_after: float | None = None
        self.backoff: int | None = None

    @property
    def traced(self) -> bool:
        return self.connect is not None or self.send is not None

    @property
    def begun(self) -> bool:
        """Whether it has got so far that connecting or sending again is a new attempt."""
        return self.send is not None or self.failure is not None

    @property
    def moved_on(self) -> bool:
        """Whether its answer was a redirect or a request for credentials."""
        redirected = self.status is not None and 300 <= self.status < _FIRST_ERROR_STATUS  # redirects
        return self.failure is None and (redirected or self.challenged)

    @property
    def reused(self) -> bool | None:
        return self.connect is None and self.tls is None if self.send is not None else None


class Timeline:
    """The observations of one request. All times are monotonic nanoseconds."""

    __slots__ = (
        "_asked",
        "_attempts",
        "_attempts_dropped",
        "_audio",
        "_bytes",
        "_channels",
        "_chunks",
        "_consumed",
        "_content_chunks",
        "_done",
        "_entered",
        "_finish_reasons",
        "_first_read_tokens",
        "_gap_max",
        "_gaps",
        "_gaps_excluded",
        "_last_chunk",
        "_last_late",
        "_last_read",
        "_last_token",
        "_mark",
        "_observed",
        "_previous_read",
        "_read_first_chunk",
        "_read_tokens",
        "_reads",
        "_request",
        "_response",
        "_resume",
        "_spent",
        "_stage",
        "_start",
        "_times",
        "_tools",
        "_ttfc",
        "_ttfot",
        "_ttfrt",
        "_ttft",
        "_unseen",
        "_usage",
        "_usage_deltas",
        "_usage_deltas_dropped",
        "_usage_models",
        "_wait_start",
        "start_unix_ns",
        "streaming",
    )

    def __init__(self, start_ns: int, start_unix_ns: int, request: RequestFacts) -> None:
        """Begin when the call is issued; `start_unix_ns` is the same moment on the wall clock."""
        self._start = self._mark = start_ns
        self.start_unix_ns = start_unix_ns
        self._request: dict[str, Any] = {**request}
        self.streaming = bool(request.get("stream"))
        self._response: dict[str, Any] = {}
        self._stage = self._resume = PREPARE
        self._spent = [0] * _STAGES
        self._entered = 1 << PREPARE
        self._attempts: list[_Attempt] = []
        self._attempts_dropped = 0
        self._unseen = False
        self._wait_start: int | None = None
        self._asked = start_ns
        self._done = False
        self._bytes = self._reads = self._chunks = self._content_chunks = 0
        self._channels = Channel.NONE
        """What the chunks so far contained."""
        self._audio: Arrival | None = None
        self._ttfc: Arrival | None = None
        self._ttft: Arrival | None = None
        self._ttfrt: Arrival | None = None
        self._ttfot: Arrival | None = None
        self._last_token: Arrival | None = None
        """The last read with tokens before the current read."""
        self._previous_read: Arrival | None = None
        self._last_read: int | None = None
        self._last_late = 0
        self._last_chunk: int | None = None
        self._consumed = 0
        """How long the caller has had control since the last read that brought chunks."""
        self._observed = start_ns
        """The last observed arrival; before the first chunk, that of the headers."""
        self._read_first_chunk = 0
        """Number of the first chunk of the last read."""
        self._read_tokens = self._first_read_tokens = 0
        """The number of chunks with tokens before the last read, and in the first read that had some."""
        self._gaps = StrideSample(GAPS_ROOM)
        self._gap_max = 0
        self._gaps_excluded = 0
        self._times = StrideSample(TIMELINE_ROOM)
        self._tools = ToolAssembly()
        self._finish_reasons: dict[int, str] = {}
        self._usage: Usage | None = None
        self._usage_deltas: list[UsageDelta] = []
        self._usage_deltas_dropped = 0
        self._usage_models: tuple[ModelUsage, ...] = ()

    # -- stages

    def _advance(self, t: int) -> None:
        if t > self._mark:
            self._spent[self._stage] += t - self._mark
            self._mark = t

    def _enter(self, stage: int, t: int) -> None:
        self._advance(t)
        if self._stage == CONSUME:
            self._resume = stage
        else:
            self._stage = stage
        self._entered |= 1 << stage

    def _fold(self, stages: tuple[int, ...], into: int, kept: tuple[int, ...] = _NOTHING) -> None:
        """Move time already spent in `stages` to `into`, except for what is `kept`."""
        for stage in stages:
            self._spent[into] += self._spent[stage] - kept[stage]
            self._spent[stage] = kept[stage]
            if not kept[stage]:
                self._entered &= ~(1 << stage)

    # -- what it is

    def traced(self, span: SpanFacts) -> None:
        """The span that carries the record has begun."""
        self._request.update(span)

    def identified(self, **facts: Unpack[ResponseFacts]) -> None:
        """The answer contains facts about itself; `None` is ignored."""
        self._response.update(_known(facts))

    # -- attempts

    def prepared(self, t: int, request_size: int | None = None) -> None:
        """The SDK is about to send an attempt with a body of `request_size` bytes."""
        if request_size is not None:
            self._request["request_size"] = request_size
        t = max(t, self._mark)
        if self._attempts:
            self._retry(t)
        self._enter(POOL_WAIT, t)
        self._begin(_Attempt(t))

    def _retry(self, t: int) -> None:
        """Move the time since the first attempt began to RETRY, because another attempt begins."""
        self._enter(RETRY, t)
        self._fold((POOL_WAIT, CONNECT, TLS, SEND, WAIT, FINISH), RETRY)
        self._unseen = False

    def _begin(self, attempt: _Attempt) -> None:
        if len(self._attempts) >= MAX_ATTEMPTS:
            del self._attempts[-1]
            self._attempts_dropped += 1
        self._attempts.append(attempt)

    def _exchange(self, t: int) -> _Attempt:
        """Return the attempt to which a connection or a request belongs: a new one if the last had got further."""
        last = self._current(t)
        if not last.begun:
            return last
        last.end = min(last.last, t)
        if last.moved_on:
            self._advance(t)
            self._fold((FINISH,), WAIT)
            attempt = _Attempt(t, tuple(self._spent))
        else:
            last.error_type = last.failure or (OTHER if last.status is None else str(last.status))
            last.backoff = t - last.end
            self._retry(t)
            attempt = _Attempt(t)
        self._begin(attempt)
        return attempt

    def connecting(self, t: int) -> None:
        """A TCP connection is being made for the current attempt (`connect_tcp.started`)."""
        t = max(t, self._mark)
        attempt = self._exchange(t)
        if attempt.connect is None:
            attempt.connect = t
            self._enter(CONNECT, t)

    def securing(self, t: int) -> None:
        """A TLS handshake begins (`start_tls.started`)."""
        t = max(t, self._mark)
        attempt = self._current(t)
        if attempt.connect is None:
            attempt.connect = t
        self._advance(t)
        self._fold((TLS, SEND, WAIT), CONNECT, attempt.before)
        self._entered |= 1 << CONNECT
        # The answer to a proxy's CONNECT is not the answer.
        attempt.tls, attempt.send, attempt.sent, attempt.headers, attempt.status = t, None, None, None, None
        self._enter(TLS, t)

    def sending(self, t: int) -> None:
        """The request's headers go out (`send_request_headers.started`)."""
        t = max(t, self._mark)
        attempt = self._exchange(t)
        attempt.send = t
        self._enter(SEND, t)

    def sent(self, t: int) -> None:
        """The request's body is out (`send_request_body.complete`)."""
        t = max(t, self._mark)
        attempt = self._current(t)
        attempt.sent = self._wait_start = t
        self._enter(WAIT, t)

    def headers(self, t: int, status: int | None = None, retry_after: float | None = None) -> None:
        """The answer's headers came (`receive_response_headers.complete`)."""
        t = max(t, self._mark)
        attempt = self._current(t)
        attempt.headers = attempt.last = t
        # A server may answer before it has read the request, which then cannot be written to its end.
        attempt.failure = None
        attempt.status, attempt.retry_after = status, retry_after

    def broke(self, t: int, error_type: str) -> None:
        """A step of the transport failed (`….failed`); the transport may retry by itself."""
        t = max(t, self._mark)
        attempt = self._current(t)
        attempt.failure, attempt.last = error_type, t

    def challenged(self) -> None:
        """The answer asked for credentials, and the request is about to be sent again with them."""
        if self._attempts:
            self._attempts[-1].challenged = True

    def last_byte(self, t: int, size: int | None = None) -> None:
        """The body of the answer is read; `size` bytes, where it is not a stream of events."""
        if size is not None:
            self._response["response_size"] = size
        if self._stage in (WAIT, RECEIVE) or (self._stage == CONSUME and self._resume in (WAIT, RECEIVE)):
            if t - self._asked >= max(self._consumed, _WAITED_NS):
                # The SDK waited for the end, so the caller has not delayed it since the last chunk.
                self._consumed, self._observed = 0, t
            self._enter(FINISH, t)
            if self._attempts:
                self._attempts[-1].last = self._mark

    def attempt_failed(self, t: int, *, status: int | None, error_type: str | None, retry_after: float | None) -> None:
        """The current attempt failed; the SDK may try again."""
        t = max(t, self._mark)
        attempt = self._current(t)
        attempt.end = t
        attempt.error_type = error_type
        if status is not None:
            attempt.status, attempt.retry_after = status, retry_after

    def backed_off(self, t: int) -> None:
        """The SDK has slept since the attempt failed."""
        attempt = self._current(t)
        if attempt.end is not None:
            attempt.backoff = max(0, t - attempt.end)

    def answered(self, t: int, status: int | None, *, unseen: bool) -> None:
        """The attempt got a response; `unseen`: its transport emits no trace events, so all its time is the wait."""
        t = max(t, self._mark)
        attempt = self._current(t)
        if status is not None:
            attempt.status = status
        if attempt.headers is None:
            attempt.headers = t
        if self._last_read is None:
            self._observed = t
        if unseen and not attempt.traced:
            self._unseen = True
            self._wait_start = attempt.start
            self._enter(WAIT, t)
            self._fold((POOL_WAIT,), WAIT)

    def _current(self, t: int) -> _Attempt:
        if not self._attempts:
            # The client's `_prepare_request` did not call ours: the attempt began at an unknown time in `prepare`.
            self._attempts.append(_Attempt(t))
        return self._attempts[-1]

    # -- control and bytes

    def returned(self, t: int) -> None:
        """The caller gets control."""
        stage = self._stage
        if t > self._mark:
            self._spent[stage] += t - self._mark
            self._mark = t
        if stage != CONSUME:
            self._resume = stage
            self._stage = CONSUME

    def asked(self, t: int) -> None:
        """The caller asks for more, or closes: the SDK gets control."""
        if self._stage == CONSUME:
            if t > self._mark:
                self._spent[CONSUME] += t - self._mark
                self._consumed += t - self._mark
                self._mark = t
            self._entered |= 1 << CONSUME
            self._stage = self._resume
        self._asked = t

    def received(self, size: int) -> None:
        """A read brought `size` bytes."""
        self._bytes += size

    def closing(self, t: int) -> None:
        """The caller closes the stream."""
        self.asked(t)
        self._enter(FINISH, t)

    # -- chunks

    def chunk(self, t: int, channel: int, returned: int | None = None) -> None:
        """A chunk of the read at `t` has tokens of these channels.

        `returned`: when the caller got it. This saves calling `returned` for nearly every chunk.
        """
        self._chunks += 1
        if t != self._last_read:
            t = self._arrived(t)
        self._last_chunk = t
        times = self._times
        if times.skip:
            times.skip -= 1
        else:
            times.add((t - self._start) // 1000)
        if channel:
            self._content_chunks += 1
            if channel & ~self._channels:
                self._first_token(t, channel)
        if returned is not None:
            if returned > self._mark:
                self._spent[self._stage] += returned - self._mark
                self._mark = returned
            if self._stage != CONSUME:
                self._resume = self._stage
                self._stage = CONSUME

    def audio(self, t: int) -> None:
        """The first bytes of an answer that is audio, which the caller reads as they come: its first chunk."""
        waited = t - self._observed - self._consumed
        if waited >= self._consumed or waited >= _WAITED_NS:
            self._audio = t, 0
        else:
            self._audio = t, t - self._observed

    def _arrived(self, t: int) -> int:
        """Classify a read with chunks, and the gap before it; return its time, which is never before the last one."""
        previous, previous_late, consumed = self._last_read, self._last_late, self._consumed
        t = max(t, self._start if previous is None else previous)
        # The SDK waited for this read during the time in which it did nothing else.
        not_waiting = previous_late + consumed
        waited = t - self._observed - not_waiting
        late = 0
        if waited >= not_waiting or (waited >= _WAITED_NS and waited >= consumed):
            self._observed = t
        else:
            late = t - self._observed
        if previous is None:
            self._ttfc = t, late
        else:
            self._previous_read = previous, previous_late
            if self._content_chunks > self._read_tokens:
                self._last_token = previous, previous_late
                self._first_read_tokens = self._first_read_tokens or self._content_chunks
            self._gap(known_between((previous, previous_late), (t, late)))
        self._reads += 1
        self._last_read, self._last_late = t, late
        self._consumed = 0
        self._read_first_chunk, self._read_tokens = self._chunks, self._content_chunks
        return t

    def _gap(self, gap: int | None) -> None:
        if gap is None:
            self._gaps_excluded += 1
            return
        self._gap_max = max(self._gap_max, gap)
        gaps = self._gaps
        if gaps.skip:
            gaps.skip -= 1
        else:
            gaps.add(gap)

    def _first_token(self, t: int, channel: int) -> None:
        """Note the first token of all, or the first of a channel."""
        arrival = t, self._last_late
        if not self._channels:
            self._ttft = arrival
            self._enter(RECEIVE, t)
        if self._ttfrt is None and channel & Channel.REASONING:
            self._ttfrt = arrival
        if self._ttfot is None and channel != Channel.REASONING:
            self._ttfot = arrival
        self._channels |= channel

    def tool_delta(
        self,
        t: int | None,
        choice: int,
        index: int | None,
        call_id: str | None,
        name: str | None,
        arguments: str | None,
    ) -> None:
        """A fragment of a tool call in the chunk observed last; `t` is its time, `None` when not streamed."""
        if t is None:
            self._tools.add(choice, index, call_id, name, arguments, start=None, came=None)
            return
        came = self._not_before(t), self._last_late
        # What came before it: the previous read, or a chunk in the same read; before the first, the request's end.
        start = came if self._chunks > self._read_first_chunk else self._previous_read
        if start is None:
            start = (self._start if self._wait_start is None else self._wait_start), 0
        self._tools.add(choice, index, call_id, name, arguments, start=start, came=came)

    def tool_executed(self, t: int | None, index: int, type_: str, *, has_output: bool) -> None:
        """A tool that Groq runs is announced, or its output came, in the chunk observed last."""
        came = None if t is None else (self._not_before(t), self._last_late)
        self._tools.executed(index, type_, came, has_output=has_output)

    def choice_finished(self, index: int, reason: str) -> None:
        """A choice is complete."""
        if index in self._finish_reasons or len(self._finish_reasons) < MAX_CHOICES:
            self._finish_reasons[index] = reason

    def stream_done(self) -> None:
        """The stream is complete (`[DONE]`)."""
        self._done = True

    def used(self, t: int, usage: Usage, models: tuple[ModelUsage, ...] = ()) -> None:
        """Usage came, in the chunk observed last or in the body. It is a running total; its delta is what it adds."""
        if models:
            self._usage_models = models
        t = self._not_before(t)
        index, previous = max(0, self._chunks - 1), self._usage
        if previous is not None:
            usage = _merged(previous, usage)
        self._usage = usage
        if not self.streaming or previous == usage:
            return
        delta = usage if previous is None else _difference(previous, usage)
        if len(self._usage_deltas) >= MAX_USAGE_DELTAS:
            self._usage_deltas_dropped += 1
            return
        self._usage_deltas.append(UsageDelta(chunk_index=index, time_ns=t - self._start, usage=delta))

    def _not_before(self, t: int) -> int:
        """Return a time, moved to that of its chunk if it was before that."""
        return max(t, self._start if self._last_read is None else self._last_read)

    # -- the end

    def end(self, t: int, outcome: Outcome) -> tuple[int, Outcome]:
        """Settle time and outcome: the caller's time at the end does not count, a finished answer is `completed`."""
        if self._stage != CONSUME:
            self._advance(t)
        if outcome in ("closed", "abandoned") and len(self._finish_reasons) >= (self._request.get("choice_count") or 1):
            outcome = "completed"
        return self._mark, outcome

    def record(
        self,
        t: int | None = None,
        outcome: Outcome | None = None,
        error_type: str | None = None,
        headers: ResponseFacts | None = None,
        ended: EndFacts | None = None,
    ) -> RequestRecord:
        """Return the record, as of `t` (while it runs) or of the time that `end` settled.

        `headers`: facts from the answer's headers; those from its body have precedence. `ended`: what follows
        from the whole of it.
        """
        running = 0
        if t is not None and t > self._mark:
            running = t - self._mark
        spent = self._spent.copy()
        spent[self._stage] += running
        entered = self._entered | (1 << self._stage if running else 0)
        end = self._mark + running
        phases, clamped = self._phases(spent, entered)
        generation = self._generation(end)
        times_us, stride = fit(tuple(self._times.values), self._times.stride)
        gaps = self._gaps.values
        streamed = self.streaming and (self._chunks > 0 or self._bytes > 0)
        response: Any = {**_known(headers or {}), **self._response}
        last = self._attempts[-1] if self._attempts else None
        return RequestRecord(
            start_unix_ns=self.start_unix_ns,
            duration_ns=end - self._start,
            outcome=outcome,
            error_type=error_type,
            status=last.status if last else None,
            finish_reasons=tuple(self._finish_reasons[i] for i in sorted(self._finish_reasons)),
            usage=self._usage or Usage(),
            usage_deltas=tuple(self._usage_deltas),
            usage_deltas_dropped=self._usage_deltas_dropped,
            usage_models=self._usage_models,
            output_tokens_estimate=self._estimate(outcome),
            chunks=self._chunks if streamed else None,
            content_chunks=self._content_chunks if streamed else None,
            reads=self._reads if streamed else None,
            stream_bytes=self._bytes if streamed else None,
            ttfc_ns=self._known_since_issue(self._ttfc if self.streaming else self._audio),
            ttft_ns=self._known_since_issue(self._ttft),
            ttfrt_ns=self._known_since_issue(self._ttfrt),
            ttfot_ns=self._known_since_issue(self._ttfot),
            first_token_read_ns=self._first_token_read(),
            last_chunk_ns=None if self._last_chunk is None else self._last_chunk - self._start,
            generation_ns=generation[0] if generation else None,
            generation_chunks=generation[1] if generation else None,
            caller_delay_ns=self._caller_delay(spent[CONSUME], end) if entered >> CONSUME & 1 else None,
            icl_p50_ns=quantile(gaps, 0.5) if gaps else None,
            icl_p99_ns=quantile(gaps, 0.99) if gaps else None,
            icl_max_ns=self._gap_max if gaps else None,
            icl_excluded=self._gaps_excluded if self._reads > 1 else None,
            timeline_us=times_us,
            timeline_stride=stride,
            tool_calls=self._tools.calls(self._start),
            tool_calls_dropped=self._tools.dropped,
            executed_tools=self._tools.executed_tools(self._start),
            attempts=tuple(self._attempt(a, end, error_type, response.get("retry_after")) for a in self._attempts),
            attempts_dropped=self._attempts_dropped,
            connection_reused=last.reused if last else None,
            phases=phases,
            phases_clamped=clamped,
            phases_unseen=_UNSEEN if self._unseen else (),
            **(ended or {}),
            **self._request,
            **response,
        )

    @property
    def start_ns(self) -> int:
        """When the call was issued, on the clock of the observations."""
        return self._start

    @property
    def held_by_caller(self) -> bool:
        """Whether the caller has control."""
        return self._stage == CONSUME

    @property
    def attempts(self) -> int:
        """HTTP attempts so far."""
        return len(self._attempts) + self._attempts_dropped

    @property
    def done(self) -> bool:
        """Whether the stream is complete (`[DONE]`)."""
        return self._done

    @property
    def generated(self) -> bool:
        """Whether a token has come: the prompt was processed."""
        return self._ttft is not None

    @property
    def unanswered_attempts(self) -> int:
        """Attempts that were sent, have no answer, and were followed by another."""
        return sum(attempt.sent is not None and attempt.status is None for attempt in self._attempts[:-1])

    @property
    def usage_missing(self) -> bool:
        """Whether the request was processed, or sent and not refused, and its usage never came."""
        last = self._attempts[-1] if self._attempts else None
        under_way = last is not None and last.sent is not None and (last.status or 200) < _FIRST_ERROR_STATUS
        return self._usage is None and (self.generated or under_way)

    @property
    def tier(self) -> str | None:
        """The service tier that answered, else the one that was asked for."""
        return self._response.get("response_service_tier") or self._request.get("request_service_tier")

    @property
    def request_size(self) -> int | None:
        """Bytes of the request's body."""
        return self._request.get("request_size")

    @property
    def audio_seconds(self) -> float | None:
        """The length of the audio that was transcribed or translated."""
        return self._response.get("audio_seconds")

    @property
    def output_estimate(self) -> int:
        """Chunks with tokens so far."""
        return self._content_chunks

    @property
    def executed_tools(self) -> tuple[ExecutedTool, ...]:
        """The tools that Groq ran."""
        return self._tools.executed_tools(self._start)

    @property
    def usage(self) -> Usage | None:
        """The usage that came last."""
        return self._usage

    @property
    def usage_models(self) -> tuple[ModelUsage, ...]:
        """The usage of each model of a compound system."""
        return self._usage_models

    @property
    def models(self) -> tuple[str | None, str | None]:
        """The model that answered, as the answer names it, and the model that was asked for."""
        return self._response.get("response_model"), self._request.get("model")

    @property
    def gaps(self) -> list[int]:
        """The sample of gaps between reads, for the metric."""
        return self._gaps.values

    def _known_since_issue(self, arrival: Arrival | None) -> int | None:
        return None if arrival is None else known_between((self._start, 0), arrival)

    def _first_token_read(self) -> int | None:
        """Return when the first token was read, if its arrival was not observed."""
        known = self._ttft is None or self._known_since_issue(self._ttft) is not None
        return None if known or self._ttft is None else self._ttft[0] - self._start

    def _generation(self, end: int) -> tuple[int, int] | None:
        """Return how long the tokens after the first read took to arrive, and in how many chunks they came.

        `None` if Groq reports it, or if the arrivals were not observed.
        """
        first, last = self._ttft, self._last_token
        if reported_generation_ns(self._usage, end - self._start) is not None:
            return None
        if self._last_read is not None and self._content_chunks > self._read_tokens:
            last = self._last_read, self._last_late
        if first is None or last is None or last[0] <= first[0]:
            return None
        length = known_between(first, last)
        return None if length is None else (length, self._content_chunks - self._first_read_tokens)

    def _caller_delay(self, consumed: int, end: int) -> int:
        """Return how much sooner the request would have ended if the caller had never had control.

        After the last read everything had arrived, so all of the caller's time then delayed the end. Before it, the
        delay is the time by which the last read exceeds the generation time that Groq reports, counted from the first
        chunk (or from the end of queue and prompt, if the caller was not waiting yet). If Groq reports none, only the
        first part is certain.
        """
        after = self._consumed
        last, first, usage = self._last_read, self._ttfc, self._usage
        generation = reported_generation_ns(usage, end - self._start)
        if last is None or first is None or usage is None or generation is None:
            return after
        begin = first[0] - first[1]
        if self._wait_start is not None:
            reported = sum(s for s in (usage.queue_time, usage.prompt_time) if s is not None and s > 0)
            begin = max(begin, min(first[0], self._wait_start + reported * 1e9))
        arrived = max(self._observed, round(begin) + generation)
        return after + max(0, min(last - arrived, consumed - after))

    def _estimate(self, outcome: Outcome | None) -> int | None:
        # In recorded traffic each content or reasoning chunk is one output token. Tool calls come in one chunk, so they
        # are not counted.
        if not self.streaming or self._usage is not None or outcome is None or not self._content_chunks:
            return None
        return None if self._tools.anything else self._content_chunks

    def _attempt(self, attempt: _Attempt, end: int, error_type: str | None, retry_after: float | None) -> Attempt:
        stop = attempt.end if attempt.end is not None else attempt.headers if attempt.headers is not None else end
        last = attempt is self._attempts[-1]
        open_end = last and attempt.end is None
        failed = error_type if open_end and (attempt.status is None or attempt.status >= _FIRST_ERROR_STATUS) else None
        connect_end = _first(attempt.tls, attempt.send, stop)
        return Attempt(
            start_ns=attempt.start - self._start,
            duration_ns=max(0, stop - attempt.start),
            status=attempt.status,
            error_type=attempt.error_type or failed,
            retry_after=attempt.retry_after if attempt.end is not None else retry_after,
            backoff_ns=attempt.backoff,
            connection_reused=attempt.reused,
            connect_ns=None if attempt.connect is None else max(0, connect_end - attempt.connect),
            tls_ns=None if attempt.tls is None else max(0, _first(attempt.send, stop) - attempt.tls),
            send_ns=None if attempt.send is None else max(0, _first(attempt.sent, stop) - attempt.send),
            wait_ns=None if attempt.sent is None else max(0, stop - attempt.sent),
        )

    def _phases(self, spent: list[int], entered: int) -> tuple[Phases, bool]:
        lengths: dict[str, int] = {}
        clamped = False
        names = ("prepare", "retry", "pool_wait", "connect", "tls", "send", "", "receive", "consume", "finish")
        for stage, name in enumerate(names):
            if name and (entered >> stage & 1 or spent[stage]):
                lengths[name] = spent[stage]
        if entered >> WAIT & 1 or spent[WAIT]:
            left = spent[WAIT]
            usage = self._usage or Usage()
            reported = [("queue", usage.queue_time), ("prefill", usage.prompt_time)]
            if not self.streaming:
                reported.append(("generate", usage.completion_time))
            for name, seconds in reported:
                if seconds is None or not seconds >= 0:
                    continue
                wanted = round(min(seconds, 1e9) * 1e9)
                lengths[name] = min(wanted, left)
                clamped |= wanted > left
                left -= lengths[name]
            lengths["network"] = left
        return Phases(**{name: lengths[name] for name in PHASE_NAMES if name in lengths}), clamped


def _known(facts: ResponseFacts) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _first(*times: int | None) -> int:
    return next(t for t in times if t is not None)


_USAGE_FIELDS: Final = tuple(f.name for f in fields(Usage))


def _merged(before: Usage, after: Usage) -> Usage:
    """Return the newer usage, with fields that it omits taken from the older one."""
    known = {n: v for n in _USAGE_FIELDS if (v := getattr(after, n)) is not None}
    return after if len(known) == len(_USAGE_FIELDS) else replace(before, **known)


def _difference(before: Usage, after: Usage) -> Usage:
    """Return what `after` adds to `before`; fields that did not change are left out."""
    changed: dict[str, Any] = {}
    for name in _USAGE_FIELDS:
        old, new = getattr(before, name), getattr(after, name)
        if new != old:
            changed[name] = new if old is None else new - old
    return Usage(**changed)
