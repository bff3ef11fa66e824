"""What the demo does: each scene is an ordinary program against Groq, and returns what came of it in a few words."""

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
    """Where the scenes play: clients, and what to ask in each."""

    groq: Groq
    make_async: Callable[[], AsyncGroq]
    """One per event loop."""
    requests: Mapping[str, Request]
    """By the scene's key: arguments of `chat.completions.create`."""


class Skipped(Exception):
    """A scene that cannot play here; the message says why."""


class Scene(NamedTuple):
    """One part of the workload."""

    key: str
    title: str
    play: Callable[[Stage, Request], str]
    aside: bool = False
    """Plays beside the others, because it mostly waits."""


def _rate_limited(stage: Stage, request: Request) -> str:
    stage.groq.chat.completions.create(**request)
    return "answered in the end; the SDK tried again by itself"


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
        )
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
    return f"{_chunks(count)}, {pause * 1000:.0f} ms of our own after {after}"


def _failing(stage: Stage, request: Request) -> str:
    try:
        stage.groq.chat.completions.create(**request)
    except APIStatusError as error:
        return f"HTTP {error.status_code}, as expected"
    return "answered, which nobody expected"


def _abandoned(stage: Stage, request: Request) -> str:
    wanted, count = 60, 0
    stream = stage.groq.chat.completions.create(**request)
    for _ in stream:
        count += 1
        if count == wanted:
            break
    del stream  # nobody closes it: as programs do that have what they wanted
    return f"left after {_chunks(count)}, without closing"


def _chunks(count: int) -> str:
    return f"{count} chunks"


SCENES = (
    Scene("rate limited", "a rate-limited request, retried", _rate_limited, aside=True),
    Scene("streamed", "a stream, sync", _streamed),
    Scene("together", "six answers at once, async", _together),
    Scene("search", "a web search, streamed, async", _streamed_async),
    Scene("agent", "a pydantic-ai agent with a tool", _agent),
    Scene("failing", "a model's name misspelt", _failing),
    Scene("abandoned", "a stream left early", _abandoned),
    Scene("slow", "a slow reader", _slow_consumer),
)
