"""Timeline: is told what happened when, and gives the record that follows.

Rules
    Time is monotonic nanoseconds, given with each observation; the timeline reads no clock. An observation that lies
    before the one known last counts as simultaneous with it, so no phase is ever negative, whatever the order.

    At every instant one stage is on. `_advance(t)` adds the time since the last boundary to the stage that is on; that
    is all the accounting there is, and why the phases partition the duration exactly. Stages follow each other like
    this:

        PREPARE ─prepared→ POOL_WAIT ─connect→ CONNECT ─tls→ TLS ─send→ SEND ─sent→ WAIT ─first token→ RECEIVE
           ▲                                                                         └───last byte──→ FINISH ←──┘
           └─ prepared again: everything since the first `prepared` becomes RETRY, and POOL_WAIT begins anew

    While the caller holds control (`returned` … `asked`) the stage is CONSUME, and the one before it is taken up again.
    A proxy's CONNECT repeats send and wait before TLS: they become part of CONNECT. A redirect repeats send: the wait
    before it becomes part of SEND. A transport without trace events stays in POOL_WAIT until it answers: that time
    becomes WAIT, and the record says that the others were not seen.

    WAIT is split when the record is made, into what Groq reports (queue, prompt, and, not streamed, completion) and the
    rest.
"""

from dataclasses import fields, replace
from typing import Any, Final, TypedDict

from groqscope.timeline.packing import fit
from groqscope.timeline.record import (
    PHASE_NAMES,
    Attempt,
    ModelUsage,
    Outcome,
    Phases,
    RateLimits,
    RequestRecord,
    Usage,
    UsageDelta,
)
from groqscope.timeline.sampling import StrideSample, quantile
from groqscope.timeline.tools import ToolAssembly

PREPARE, RETRY, POOL_WAIT, CONNECT, TLS, SEND, WAIT, RECEIVE, CONSUME, FINISH = range(10)
_STAGES: Final = 10
_FIRST_ERROR_STATUS: Final = 400
_UNSEEN: Final = ("pool_wait", "connect", "tls", "send")

MAX_ATTEMPTS = 16
MAX_USAGE_DELTAS = 16
TIMELINE_ROOM = 192
GAPS_ROOM = 128


class Channel:
    """What a chunk carries, as bits."""

    NONE = 0
    CONTENT = 1
    REASONING = 2
    TOOL = 4


class RequestFacts(TypedDict, total=False):
    """What is known of a request when it is sent: fields of `RequestRecord` of the same names."""

    operation: str
    nested: bool
    service: str | None
    trace_id: str | None
    span_id: str | None
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


class ResponseFacts(TypedDict, total=False):
    """What an answer tells about itself: fields of `RequestRecord` of the same names."""

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
    rate_limits: RateLimits


class _Attempt:
    """Boundaries of one attempt, as they come."""

    __slots__ = (
        "backoff",
        "connect",
        "end",
        "error_type",
        "headers",
        "retry_after",
        "send",
        "sent",
        "start",
        "status",
        "tls",
    )

    def __init__(self, start: int) -> None:
        self.start = start
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
    def reused(self) -> bool | None:
        return self.connect is None and self.tls is None if self.send is not None else None


class Timeline:
    """One request, observed. Every time is monotonic nanoseconds."""

    __slots__ = (
        "_attempts",
        "_attempts_dropped",
        "_channels",
        "_entered",
        "_gap_consumed",
        "_gap_max",
        "_gaps",
        "_gaps_excluded",
        "_last_chunk",
        "_last_read",
        "_mark",
        "_resume",
        "_spent",
        "_stage",
        "_start",
        "_times",
        "_ttfc",
        "_ttfot",
        "_ttfrt",
        "_ttft",
        "_unseen",
        "_wait_start",
        "asked_ns",
        "bytes",
        "chunks",
        "content_chunks",
        "done",
        "finish_reasons",
        "reads",
        "request",
        "response",
        "start_unix_ns",
        "streaming",
        "tools",
        "usage",
        "usage_deltas",
        "usage_deltas_dropped",
        "usage_models",
    )

    def __init__(self, start_ns: int, start_unix_ns: int, request: RequestFacts) -> None:
        """Begin at the issue of the call; `start_unix_ns` is the same moment on the wall clock."""
        self._start = self._mark = start_ns
        self.start_unix_ns = start_unix_ns
        self.request = request
        self.streaming = bool(request.get("stream"))
        self.response: ResponseFacts = {}
        self._stage = self._resume = PREPARE
        self._spent = [0] * _STAGES
        self._entered = 1 << PREPARE
        self._attempts: list[_Attempt] = []
        self._attempts_dropped = 0
        self._unseen = False
        self._wait_start: int | None = None
        self.asked_ns = start_ns
        self.done = False
        self.bytes = self.reads = self.chunks = self.content_chunks = 0
        self._channels = Channel.NONE
        """What chunks have carried so far."""
        self._ttfc: int | None = None
        self._ttft: int | None = None
        self._ttfrt: int | None = None
        self._ttfot: int | None = None
        self._last_read: int | None = None
        self._last_chunk: int | None = None
        self._gap_consumed = 0
        self._gaps = StrideSample(GAPS_ROOM)
        self._gap_max = 0
        self._gaps_excluded = 0
        self._times = StrideSample(TIMELINE_ROOM)
        self.tools = ToolAssembly()
        self.finish_reasons: dict[int, str] = {}
        self.usage: Usage | None = None
        self.usage_deltas: list[UsageDelta] = []
        self.usage_deltas_dropped = 0
        self.usage_models: tuple[ModelUsage, ...] = ()

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

    def _fold(self, stages: tuple[int, ...], into: int) -> None:
        """Let time already spent in `stages` count as `into`."""
        for stage in stages:
            self._spent[into] += self._spent[stage]
            self._spent[stage] = 0
            self._entered &= ~(1 << stage)

    # -- attempts

    def prepared(self, t: int) -> None:
        """The SDK is about to send an attempt."""
        t = max(t, self._mark)
        if self._attempts:
            self._enter(RETRY, t)
            self._fold((POOL_WAIT, CONNECT, TLS, SEND, WAIT, FINISH), RETRY)
            self._unseen = False
        self._enter(POOL_WAIT, t)
        if len(self._attempts) >= MAX_ATTEMPTS:
            del self._attempts[-1]
            self._attempts_dropped += 1
        self._attempts.append(_Attempt(t))

    def connecting(self, t: int) -> None:
        """A TCP connection is being made for the current attempt (`connect_tcp.started`)."""
        t = max(t, self._mark)
        attempt = self._current(t)
        if attempt.connect is None and attempt.send is None:
            attempt.connect = t
            self._enter(CONNECT, t)

    def securing(self, t: int) -> None:
        """A TLS handshake begins (`start_tls.started`)."""
        t = max(t, self._mark)
        attempt = self._current(t)
        if attempt.connect is None:
            attempt.connect = t
        self._advance(t)
        self._fold((TLS, SEND, WAIT), CONNECT)
        self._entered |= 1 << CONNECT
        attempt.tls, attempt.send, attempt.sent = t, None, None
        self._enter(TLS, t)

    def sending(self, t: int) -> None:
        """The request's headers go out (`send_request_headers.started`)."""
        t = max(t, self._mark)
        attempt = self._current(t)
        if attempt.send is None:
            attempt.send = t
            self._enter(SEND, t)

    def sent(self, t: int) -> None:
        """The request's body is out (`send_request_body.complete`)."""
        t = max(t, self._mark)
        attempt = self._current(t)
        attempt.sent = self._wait_start = t
        self._advance(t)
        if self._stage == WAIT:
            self._fold((WAIT,), SEND)
            self._entered |= 1 << SEND
        self._enter(WAIT, t)

    def headers(self, t: int) -> None:
        """The answer's headers came (`receive_response_headers.complete`)."""
        t = max(t, self._mark)
        self._current(t).headers = t

    def last_byte(self, t: int) -> None:
        """The body of the answer is read."""
        if self._stage in (WAIT, RECEIVE) or (self._stage == CONSUME and self._resume in (WAIT, RECEIVE)):
            self._enter(FINISH, t)

    def attempt_failed(self, t: int, *, status: int | None, error_type: str | None, retry_after: float | None) -> None:
        """The current attempt failed; the SDK may try again."""
        t = max(t, self._mark)
        attempt = self._current(t)
        attempt.end = t
        attempt.status, attempt.error_type, attempt.retry_after = status, error_type, retry_after

    def backed_off(self, t: int) -> None:
        """The SDK has slept since the attempt failed."""
        attempt = self._current(t)
        if attempt.end is not None:
            attempt.backoff = max(0, t - attempt.end)

    def answered(self, t: int, status: int | None, *, unseen: bool) -> None:
        """The attempt brought a response; `unseen`: its transport shows no phases, so they are part of the wait."""
        t = max(t, self._mark)
        attempt = self._current(t)
        attempt.status = status
        if attempt.headers is None:
            attempt.headers = t
        if unseen and not attempt.traced:
            self._unseen = True
            self._wait_start = attempt.start
            self._enter(WAIT, t)
            self._fold((POOL_WAIT,), WAIT)

    def _current(self, t: int) -> _Attempt:
        if not self._attempts:
            # A client whose `_prepare_request` is not ours: the attempt began somewhere in `prepare`.
            self._attempts.append(_Attempt(t))
        return self._attempts[-1]

    # -- control and bytes

    def returned(self, t: int) -> None:
        """Control goes to the caller."""
        stage = self._stage
        if t > self._mark:
            self._spent[stage] += t - self._mark
            self._mark = t
        if stage != CONSUME:
            self._resume = stage
            self._stage = CONSUME

    def asked(self, t: int) -> None:
        """The caller asks for more (or closes): control comes back."""
        if self._stage == CONSUME:
            if t > self._mark:
                self._spent[CONSUME] += t - self._mark
                self._gap_consumed += t - self._mark
                self._mark = t
            self._entered |= 1 << CONSUME
            self._stage = self._resume
        self.asked_ns = t

    def read(self, t: int, size: int) -> None:  # noqa: ARG002 - every observation has its time
        """A read brought `size` bytes."""
        self.bytes += size

    def closing(self, t: int) -> None:
        """The caller closes the stream."""
        self.asked(t)
        self._enter(FINISH, t)

    # -- chunks

    def chunk(self, t: int, channel: int, left: int | None = None) -> None:  # noqa: C901, PLR0912 - one call a chunk
        """A chunk, which a read at `t` brought, carries tokens of these channels.

        `left`: it goes to the caller at once, at that moment (as `returned`); a call less for nearly every chunk.
        """
        self.chunks += 1
        previous = self._last_read
        if t != previous:
            # A read that brought chunks is never before the one before it.
            if previous is None:
                self._ttfc = t = max(t, self._start)
            else:
                t = max(t, previous)
                gap = t - previous
                # The gap is Groq's when the SDK waited for longer than the caller held control in it: then the chunk
                # came after the caller asked. Otherwise it may have lain there already.
                if self._gap_consumed * 2 > gap:
                    self._gaps_excluded += 1
                else:
                    self._gap_max = max(self._gap_max, gap)
                    gaps = self._gaps
                    if gaps.skip:
                        gaps.skip -= 1
                    else:
                        gaps.add(gap)
            self.reads += 1
            self._last_read = t
            self._gap_consumed = 0
        self._last_chunk = t
        times = self._times
        if times.skip:
            times.skip -= 1
        else:
            times.add((t - self._start) // 1000)
        if channel:
            self.content_chunks += 1
            if channel & ~self._channels:
                self._first_token(t, channel)
        if left is not None:
            if left > self._mark:
                self._spent[self._stage] += left - self._mark
                self._mark = left
            if self._stage != CONSUME:
                self._resume = self._stage
                self._stage = CONSUME

    def _first_token(self, t: int, channel: int) -> None:
        """Note the first token of all, the first of a channel that had none yet."""
        if not self._channels:
            self._ttft = t
            self._enter(RECEIVE, t)
        if self._ttfrt is None and channel & Channel.REASONING:
            self._ttfrt = t
        if self._ttfot is None and channel != Channel.REASONING:
            self._ttfot = t
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
        """A fragment of a tool call, in the chunk observed last (`t` is its time, `None` when not streamed)."""
        start: int | None = None
        if t is not None:
            t = self._not_before(t)
            first = self.chunks <= 1
            asked = self._wait_start if first and self._wait_start is not None else self.asked_ns
            start = max(self._start, min(t, asked))
        self.tools.add(choice, index, call_id, name, arguments, start_ns=start, t_ns=t)

    def used(self, t: int, usage: Usage, models: tuple[ModelUsage, ...] = ()) -> None:
        """Usage came, in the chunk observed last or in the body: a total, so the delta is what it adds."""
        if models:
            self.usage_models = models
        t = self._not_before(t)
        index, previous = max(0, self.chunks - 1), self.usage
        if previous is not None:
            usage = _merged(previous, usage)
        self.usage = usage
        if not self.streaming or previous == usage:
            return
        delta = usage if previous is None else _difference(previous, usage)
        if len(self.usage_deltas) >= MAX_USAGE_DELTAS:
            self.usage_deltas_dropped += 1
            return
        self.usage_deltas.append(UsageDelta(chunk_index=index, time_ns=t - self._start, usage=delta))

    def _not_before(self, t: int) -> int:
        """A time that is not before the chunk it belongs to."""
        return max(t, self._start if self._last_read is None else self._last_read)

    # -- the end

    def end(self, t: int, outcome: Outcome) -> tuple[int, Outcome]:
        """Settle when and how it ended: the caller's last turn does not count, a finished answer is complete."""
        if self._stage != CONSUME:
            self._advance(t)
        if outcome in ("closed", "abandoned") and len(self.finish_reasons) >= (self.request.get("choice_count") or 1):
            outcome = "completed"
        return self._mark, outcome

    def record(
        self,
        t: int | None = None,
        outcome: Outcome | None = None,
        error_type: str | None = None,
        cost: float | None = None,
    ) -> RequestRecord:
        """Make the record of what is known, up to `t` (while it runs) or to the moment `end` settled."""
        running = 0
        if t is not None and t > self._mark:
            running = t - self._mark
        spent = self._spent.copy()
        spent[self._stage] += running
        entered = self._entered | (1 << self._stage if running else 0)
        end = self._mark + running
        phases, clamped = self._phases(spent, entered)
        times_us, stride = fit(tuple(self._times.values), self._times.stride)
        gaps = self._gaps.values
        streamed = self.streaming and (self.chunks > 0 or self.bytes > 0)
        request: Any = self.request
        response: Any = self.response
        last = self._attempts[-1] if self._attempts else None
        return RequestRecord(
            start_unix_ns=self.start_unix_ns,
            duration_ns=end - self._start,
            outcome=outcome,
            error_type=error_type,
            status=last.status if last else None,
            finish_reasons=tuple(self.finish_reasons[i] for i in sorted(self.finish_reasons)),
            usage=self.usage or Usage(),
            usage_deltas=tuple(self.usage_deltas),
            usage_deltas_dropped=self.usage_deltas_dropped,
            usage_models=self.usage_models,
            output_tokens_estimate=self._estimate(outcome),
            cost=cost,
            chunks=self.chunks if streamed else None,
            content_chunks=self.content_chunks if streamed else None,
            reads=self.reads if streamed else None,
            stream_bytes=self.bytes if streamed else None,
            ttfc_ns=self._since(self._ttfc) if self.streaming else None,
            ttft_ns=self._since(self._ttft),
            ttfrt_ns=self._since(self._ttfrt),
            ttfot_ns=self._since(self._ttfot),
            last_chunk_ns=self._since(self._last_chunk),
            icl_p50_ns=quantile(gaps, 0.5) if gaps else None,
            icl_p99_ns=quantile(gaps, 0.99) if gaps else None,
            icl_max_ns=self._gap_max if gaps else None,
            icl_excluded=self._gaps_excluded if self.reads > 1 else None,
            timeline_us=times_us,
            timeline_stride=stride,
            tool_calls=self.tools.calls(self._start),
            tool_calls_dropped=self.tools.dropped,
            executed_tools=self.tools.executed_tools(self._start),
            attempts=tuple(self._attempt(a, end, error_type) for a in self._attempts),
            attempts_dropped=self._attempts_dropped,
            connection_reused=last.reused if last else None,
            phases=phases,
            phases_clamped=clamped,
            phases_unseen=_UNSEEN if self._unseen else (),
            **request,
            **response,
        )

    @property
    def start_ns(self) -> int:
        """When the call was issued, on the clock of the observations."""
        return self._start

    @property
    def held_by_caller(self) -> bool:
        """Whether the caller holds control."""
        return self._stage == CONSUME

    @property
    def attempts(self) -> int:
        """HTTP attempts so far."""
        return len(self._attempts) + self._attempts_dropped

    @property
    def gaps(self) -> list[int]:
        """The sample of gaps between reads, for the metric."""
        return self._gaps.values

    def _since(self, t: int | None) -> int | None:
        return None if t is None else t - self._start

    def _estimate(self, outcome: Outcome | None) -> int | None:
        # In recorded traffic a content or reasoning chunk is one output token; tool calls come whole, so they do not
        # count.
        if not self.streaming or self.usage is not None or outcome is None or not self.content_chunks:
            return None
        return None if self.tools.anything else self.content_chunks

    def _attempt(self, attempt: _Attempt, end: int, error_type: str | None) -> Attempt:
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
            retry_after=attempt.retry_after if attempt.end is not None else self.response.get("retry_after"),
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
            usage = self.usage or Usage()
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


def _first(*times: int | None) -> int:
    return next(t for t in times if t is not None)


_USAGE_FIELDS: Final = tuple(f.name for f in fields(Usage))


def _merged(before: Usage, after: Usage) -> Usage:
    """Take what is newer; what the newer one does not tell stays known."""
    told = {n: v for n in _USAGE_FIELDS if (v := getattr(after, n)) is not None}
    return after if len(told) == len(_USAGE_FIELDS) else replace(before, **told)


def _difference(before: Usage, after: Usage) -> Usage:
    """Say what is new in `after`; what did not change is not part of it."""
    changed: dict[str, Any] = {}
    for name in _USAGE_FIELDS:
        old, new = getattr(before, name), getattr(after, name)
        if new != old:
            changed[name] = new if old is None else new - old
    return Usage(**changed)
