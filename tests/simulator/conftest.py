"""Both clients, asked in the same way."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from groq import AsyncGroq, Groq

from groqscope.simulator import Simulator

MESSAGES = [{"role": "user", "content": "hi"}]


@dataclass
class Heard:
    """What a client got out of one request."""

    objects: list[Any] = field(default_factory=list)
    error: Exception | None = None

    @property
    def text(self) -> str:
        return "".join(c.choices[0].delta.content or "" for c in self.objects if c.choices)


def _ask(sim: Simulator, *, max_retries: int, timeout: Any, **request: Any) -> Heard:
    heard = Heard()
    http = httpx.Client(verify=sim.client_tls or False)
    with Groq(
        base_url=sim.base_url, api_key="test", http_client=http, max_retries=max_retries, timeout=timeout
    ) as client:
        try:
            answer: Any = client.chat.completions.create(**request)
            heard.objects.extend(answer if request.get("stream") else [answer])
        except Exception as error:
            heard.error = error
    return heard


async def _ask_async(sim: Simulator, *, max_retries: int, timeout: Any, **request: Any) -> Heard:  # noqa: ASYNC109 - the SDK's option
    heard = Heard()
    http = httpx.AsyncClient(verify=sim.client_tls or False)
    async with AsyncGroq(
        base_url=sim.base_url, api_key="test", http_client=http, max_retries=max_retries, timeout=timeout
    ) as client:
        try:
            answer: Any = await client.chat.completions.create(**request)
            if request.get("stream"):
                async for chunk in answer:
                    heard.objects.append(chunk)
            else:
                heard.objects.append(answer)
        except Exception as error:
            heard.error = error
    return heard


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Heard]:
    """Send one request by the sync and by the async client; streamed unless told otherwise."""

    def asking(sim: Simulator, *, max_retries: int = 0, timeout: Any = 10.0, **options: Any) -> Heard:
        options = {"model": "llama-3.3-70b-versatile", "messages": MESSAGES, "stream": True} | options
        if request.param == "sync":
            return _ask(sim, max_retries=max_retries, timeout=timeout, **options)
        return asyncio.run(_ask_async(sim, max_retries=max_retries, timeout=timeout, **options))

    return asking


@pytest.fixture(scope="module")
def shared_sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(shared_sim: Simulator) -> Simulator:
    """A running simulator; each test plays its own script."""
    shared_sim.settle()
    shared_sim.forget()
    shared_sim.play(None)
    return shared_sim
