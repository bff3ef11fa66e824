"""The whole instrument on a clock that only moves when told: every phase is exact, to the nanosecond."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import groq
import httpx
import pytest
from support.both import Both, Mode, both, each_mode
from support.scope import ASK, STREAM, Exported, groq_client

from groqscope.testing import ManualClock

MS = 1_000_000
ROLE = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
)
TOKEN = ROLE.replace(b'"content":""', b'"content":"a"')
CALL = ROLE.replace(
    b'"content":""', b'"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]'
)
LAST = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":'
    b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"queue_time":0.004,"prompt_time":0.006}}}\n\n'
)
DONE = b"data: [DONE]\n\n"
WHOLE = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,'
    b'"queue_time":0.004,"prompt_time":0.006,"completion_time":0.01}}'
)
ERROR = b'{"error":{"message":"no","type":"tokens","code":"rate_limit_exceeded"}}'


@dataclass
class Attempt:
    """How long each step of an attempt takes, in milliseconds; `None` is a step that does not happen."""

    pool: int = 1
    connect: int | None = None
    tls: int | None = None
    send: int = 2
    headers: int = 10
    status: int = 200
    pieces: Sequence[tuple[int, bytes | BaseException]] = ()
    end: int = 0
    """Last piece to the end of the body."""
    fails: str | None = None
    """The step at whose end the connection breaks."""
    traced: bool = True

    def steps(self, clock: ManualClock) -> Iterator[str]:
        """Yield the transport's events while the clock runs; raise where it breaks."""
        names = (
            ("pool", "", ""),
            ("connect", "connection.connect_tcp.started", "connection.connect_tcp.complete"),
            ("tls", "connection.start_tls.started", "connection.start_tls.complete"),
            ("send", "http11.send_request_headers.started", "http11.send_request_body.complete"),
            ("headers", "", "http11.receive_response_headers.complete"),
        )
        for name, first, last in names:
            taken = getattr(self, name)
            if taken is None:
                continue
            if first:
                yield first
            clock.advance(taken)
            if self.fails == name:
                raise httpx.ConnectError("broken")
            if last:
                yield last


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes while the clock runs."""

    def __init__(self, attempt: Attempt, clock: ManualClock, trace: Any) -> None:
        self._attempt, self._clock, self._trace = attempt, clock, trace

    def _pieces(self) -> Iterator[bytes]:
        for taken, piece in self._attempt.pieces:
            self._clock.advance(taken)
            if isinstance(piece, BaseException):
                raise piece
            yield piece
        self._clock.advance(self._attempt.end)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces()
        if self._attempt.traced:
            self._trace("http11.receive_response_body.complete", {})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces():
            yield piece
        if self._attempt.traced:
            await self._trace("http11.receive_response_body.complete", {})

    def close(self) -> None:
        """Takes a millisecond."""
        self._clock.advance(1)

    async def aclose(self) -> None:
        """Takes a millisecond."""
        self._clock.advance(1)


class Line(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that takes its time by the clock and tells its steps as httpcore does."""

    def __init__(self, clock: ManualClock, attempts: Sequence[Attempt]) -> None:
        self._clock, self._attempts = clock, list(attempts)

    def _response(self, attempt: Attempt, request: httpx.Request) -> httpx.Response:
        kind = "text/event-stream" if attempt.status == 200 and attempt.pieces[0][1] != WHOLE else "application/json"
        body = Body(attempt, self._clock, request.extensions["trace"])
        return httpx.Response(attempt.status, headers={"content-type": kind}, stream=body)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        attempt = self._attempts.pop(0)
        for event in attempt.steps(self._clock):
            if attempt.traced:
                request.extensions["trace"](event, {})
        return self._response(attempt, request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        attempt = self._attempts.pop(0)
        for event in attempt.steps(self._clock):
            if attempt.traced:
                await request.extensions["trace"](event, {})
        return self._response(attempt, request)


@dataclass
class Story:
    """What takes how long, and the phases that follow, in milliseconds."""

    name: str
    act: Both
    attempts: Sequence[Attempt]
    phases: dict[str, int]
    outcome: str = "completed"
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """Other fields of the record."""
    retries: int = 0

    def __str__(self) -> str:
        return self.name.replace(" ", "_")


@both
async def read(client: Any, clock: ManualClock) -> None:
    async for _ in await client.chat.completions.create(**STREAM):
        pass


@both
async def read_slowly(client: Any, clock: ManualClock) -> None:
    async for _ in await client.chat.completions.create(**STREAM):
        clock.advance(100)


@both
async def wait_then_read(client: Any, clock: ManualClock) -> None:
    stream = await client.chat.completions.create(**STREAM)
    clock.advance(100)
    async for _ in stream:
        pass


@both
async def break_after_two(client: Any, clock: ManualClock) -> None:
    async with await client.chat.completions.create(**STREAM) as stream:
        async for chunk in stream:
            clock.advance(100)
            if chunk.choices[0].delta.content:
                break


@both
async def drop_after_one(client: Any, clock: ManualClock) -> None:
    async for _ in await client.chat.completions.create(**STREAM):
        clock.advance(100)
        break
    clock.advance(100)


@both
async def never_read(client: Any, clock: ManualClock) -> None:
    stream = await client.chat.completions.create(**STREAM)
    clock.advance(100)
    await stream.close()


@both
async def read_lines(client: Any, clock: ManualClock) -> None:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        async for line in response.iter_lines():
            if line:
                clock.advance(100)


@both
async def ask(client: Any, clock: ManualClock) -> None:
    await client.chat.completions.create(**ASK)


GOOD = ((5, ROLE), (15, TOKEN), (4, TOKEN), (4, LAST), (3, DONE))
"""Role, first token 20 ms after the headers, three reads more, 11 ms in all."""
NEW = Attempt(pool=1, connect=20, tls=30, send=2, headers=10, pieces=GOOD, end=2)
OPEN = Attempt(pool=1, send=2, headers=10, pieces=GOOD, end=2)
REFUSED = Attempt(status=429, headers=7, pieces=((3, ERROR),))
BASE = {"prepare": 1, "pool_wait": 1, "send": 2}
WAITED = {**BASE, "queue": 4, "prefill": 6, "network": 20}
UNTOLD = {**BASE, "network": 30}
"""The same wait, when Groq's times never came."""
READ = {**WAITED, "receive": 13, "finish": 1}

STORIES = [
    Story("new connection", read, [NEW], {**READ, "connect": 20, "tls": 30}, facts={"connection_reused": False}),
    Story(
        "open connection", read, [OPEN], READ, facts={"connection_reused": True, "ttfc_ns": 19 * MS, "ttft_ns": 34 * MS}
    ),
    Story("slow caller", read_slowly, [OPEN], {**READ, "consume": 400}, facts={"icl_excluded": 3}),
    Story("late caller", wait_then_read, [OPEN], {**READ, "consume": 100}),
    Story("left", break_after_two, [OPEN], {**UNTOLD, "consume": 200, "finish": 1}, "closed"),
    Story("dropped", drop_after_one, [OPEN], {**BASE, "network": 15}, "abandoned", {"output_tokens_estimate": None}),
    Story("never read", never_read, [OPEN], {**BASE, "network": 10, "consume": 100, "finish": 1}, "closed"),
    # read as bytes, it is over with the last one, before the response is closed
    Story("read as lines", read_lines, [OPEN], {**WAITED, "receive": 13, "consume": 500}),
    Story("whole", ask, [Attempt(pieces=((20, WHOLE),))], {**WAITED, "generate": 10, "network": 10, "finish": 1}),
    Story(
        "tool call after a pause",
        read,
        [Attempt(pieces=((20, TOKEN), (40, CALL), (1, LAST), (1, DONE)))],
        {**WAITED, "receive": 42, "finish": 1},
    ),
    Story(
        "retried",
        read,
        [REFUSED, REFUSED, OPEN],
        # pool, sending, headers, closing, back-off, building, and the same again
        {**READ, "retry": 2 * (1 + 2 + 7 + 1 + 50 + 1)},
        facts={"status": 200},
        retries=2,
    ),
    Story(
        "retried after a broken connection",
        ask,
        [Attempt(connect=20, fails="connect"), Attempt(connect=20, tls=30, pieces=((20, WHOLE),))],
        {**WAITED, "connect": 20, "tls": 30, "generate": 10, "network": 10, "finish": 1, "retry": 1 + 20 + 50 + 1},
        retries=1,
    ),
    # a transport not httpx's own, that fails before it tells anything: its time folds into the network's
    Story("breaks in the pool", ask, [Attempt(pool=9, fails="pool")], {"prepare": 1, "network": 9}, "error"),
    Story(
        "breaks connecting",
        ask,
        [Attempt(connect=9, fails="connect")],
        {"prepare": 1, "pool_wait": 1, "connect": 9},
        "error",
    ),
    Story(
        "breaks in the handshake",
        ask,
        [Attempt(connect=9, tls=8, fails="tls")],
        {"prepare": 1, "pool_wait": 1, "connect": 9, "tls": 8},
        "error",
    ),
    Story("breaks sending", ask, [Attempt(fails="send")], BASE, "error"),
    Story("breaks waiting", ask, [Attempt(fails="headers")], {**BASE, "network": 10}, "error"),
    Story(
        "refused for good",
        ask,
        [REFUSED] * 3,
        {**BASE, "network": 10, "retry": 2 * (1 + 2 + 7 + 3 + 1 + 50 + 1), "finish": 1},
        "error",
        retries=2,
    ),
    Story(
        "breaks in the stream",
        read,
        [Attempt(pieces=((20, TOKEN), (9, httpx.ReadError("broken"))))],
        {**UNTOLD, "receive": 9},
        "error",
        {"output_tokens_estimate": 1, "chunks": 1},
    ),
    Story(
        "cancelled in the stream",
        read,
        [Attempt(pieces=((20, TOKEN), (9, asyncio.CancelledError())))],
        {**UNTOLD, "receive": 9},
        "cancelled",
    ),
    Story(
        "no [DONE]", read, [Attempt(pieces=((20, TOKEN),), end=3)], {**UNTOLD, "receive": 3, "finish": 1}, "truncated"
    ),
    Story(
        "a transport that tells nothing",
        read,
        [Attempt(connect=20, pieces=GOOD, traced=False)],
        {"prepare": 1, "queue": 4, "prefill": 6, "network": 1 + 20 + 2 + 20, "receive": 12},
        facts={"phases_unseen": ("pool_wait", "connect", "tls", "send")},
    ),
]


@each_mode
@pytest.mark.parametrize("story", STORIES, ids=str)
def test_exact(story: Story, mode: Mode, exported: Exported) -> None:
    """Phases, duration and children are what the clock was moved, and nothing else."""
    clock = ManualClock()
    client = _client(mode, story, clock, exported)
    with contextlib.suppress(groq.APIError, httpx.HTTPError, asyncio.CancelledError):
        story.act(mode, client, clock)
    record, span = exported.only()

    assert {name: length / MS for name, length in record.phases.items() if length} == story.phases
    assert record.duration_ns == record.phases.total() == sum(story.phases.values()) * MS
    assert record.outcome == story.outcome
    assert {name: getattr(record, name) for name in story.facts} == story.facts
    assert [a.backoff_ns for a in record.attempts] == [50 * MS] * (len(record.attempts) - 1) + [None]
    for child in exported.children(span):
        assert span.start_time <= child.start_time <= child.end_time <= span.end_time, child.name


def _client(mode: Mode, story: Story, clock: ManualClock, exported: Exported) -> Any:
    """A client whose building of a request takes 1 ms, and its back-off 50, by the clock."""

    class Building(httpx.Client if mode == "sync" else httpx.AsyncClient):  # type: ignore[misc] - of either kind
        def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
            clock.advance(1)
            return super().build_request(*args, **kwargs)

    http = Building(transport=Line(clock, story.attempts))
    client = exported.instrument(groq_client(mode, http_client=http, max_retries=story.retries), clock=clock)

    def back_off(*_: Any, **__: Any) -> float:
        clock.advance(50)
        return 0

    client._calculate_retry_timeout = back_off
    return client
