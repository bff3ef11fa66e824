"""The scenes of the demo: each is a small program that uses Groq, and returns a summary of the result."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from groq import APIStatusError, AsyncGroq, Groq

from groqscope.audit.formatting import count

Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """What scenes run against: the clients, and the request of each scene."""

    groq: Groq
    make_async: Callable[[], AsyncGroq]
    """One per event loop."""
    requests: Mapping[str, Request]
    """Arguments of `chat.completions.create`, by the scene's key."""


class Skipped(Exception):
    """Raised by a scene that cannot run here; the message says why."""


class Scene(NamedTuple):
    """One part of the workload."""

    key: str
    title: str
    play: Callable[[Stage, Request], str]
    aside: bool = False
    """Whether it runs in the background, because it mostly waits."""


def _rate_limited(stage: Stage, request: Request) -> str:
    stage.groq.chat.completions.create(**request)
    return "answered after the SDK retried"


def _streamed(stage: Stage, request: Request) -> str:
    return _chunks(sum(1 for _ in stage.groq.chat.completions.create(**request)))


def _together(stage: Stage, request: Request) -> str:
    count = 6

    async def ask() -> None:
        async with stage.make_async() as client:
            await asyncio.gather(*(client.chat.completions.create(**request) for _ in range(count)))

    asyncio.run(ask())
    return f"{count} answers"


def _streamed_async(stage: Stage, request: Request) -> str:
    async def ask() -> int:
        async with stage.make_async() as client, await client.chat.completions.create(**request) as stream:
            return len([chunk async for chunk in stream])

    return _chunks(asyncio.run(ask()))


def _agent(stage: Stage, request: Request) -> str:
    try:
        from pydantic_ai import Agent

        from groqscope.models.groq import GroqModel
    except ImportError as error:
        raise Skipped("pydantic-ai is not installed: pip install 'groqscope[pydantic-ai]'") from error

    called: list[str] = []

    def get_something_by_name(name: str) -> str:
        called.append(name)
        return f"Something with name: {name}"

    async def read(_: Any, events: Any) -> None:
        async for _event in events:
            pass

    async def ask() -> Any:
        client = stage.make_async()
        agent = Agent(
            GroqModel(request["model"], groq_client=client),
            system_prompt=request["messages"][0]["content"],
            tools=[get_something_by_name],
            retries=2,
            name="assistant",
        )
        agent.instrument = True  # so that it is a run
        async with client:
            return await agent.run(request["messages"][-1]["content"], event_stream_handler=read)

    result = asyncio.run(ask())
    return f"{count(result.usage.requests, 'request')}, {count(len(called), 'tool call')}"


def _slow_consumer(stage: Stage, request: Request) -> str:
    pause, slow, count = 0.04, 30, 0
    for _ in stage.groq.chat.completions.create(**request):
        count += 1
        if count <= slow:
            time.sleep(pause)
    after = "each" if count <= slow else f"the first {slow}"
    return f"{_chunks(count)}, {pause * 1000:.0f} ms of own work after {after}"


def _failing(stage: Stage, request: Request) -> str:
    try:
        stage.groq.chat.completions.create(**request)
    except APIStatusError as error:
        return f"HTTP {error.status_code}, as expected"
    return "answered, which is unexpected"


def _abandoned(stage: Stage, request: Request) -> str:
    wanted, count = 60, 0
    stream = stage.groq.chat.completions.create(**request)
    for _ in stream:
        count += 1
        if count == wanted:
            break
    del stream  # not closed, as in programs that break out of the loop
    return f"abandoned after {_chunks(count)}, not closed"


def _chunks(count: int) -> str:
    return f"{count} chunks"


SCENES = (
    Scene("rate limited", "a rate-limited request, retried", _rate_limited, aside=True),
    Scene("streamed", "a stream, sync", _streamed),
    Scene("together", "six answers at once, async", _together),
    Scene("search", "a web search, streamed, async", _streamed_async),
    Scene("agent", "a pydantic-ai agent with a tool", _agent),
    Scene("failing", "a misspelt model name", _failing),
    Scene("abandoned", "a stream left early", _abandoned),
    Scene("slow", "a slow reader", _slow_consumer),
)
