"""The whole instrument on a clock that only moves when told: every phase is exact, to the nanosecond."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import groq
import httpx
import pytest
from support.both import Both, Mode, both, each_mode
from support.scope import ASK, STREAM, Exported
from support.timed import Attempt, Line, timed_client

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
    client = timed_client(mode, exported, clock, Line(clock, story.attempts), max_retries=story.retries)
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
