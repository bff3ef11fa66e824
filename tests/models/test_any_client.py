"""Any client that `GroqModel` is given works: mocks, proxies, wrappers, classes of one's own."""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec

import httpx
import pytest
import wrapt
from groq import AsyncGroq
from groq.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic_ai import Agent
from pydantic_ai.models.groq import GroqModel as PydanticAIModel
from pydantic_ai.providers.groq import GroqProvider
from support.model_wire import Wire, event

import groqscope
from groqscope.instrument import is_instrumented
from groqscope.models.groq import GroqModel

LLAMA = "llama-3.3-70b-versatile"
BASE = "https://api.groq.com"
HELD = {"id": "c", "created": 1, "model": LLAMA}
WHOLE = {
    **HELD,
    "object": "chat.completion",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
PIECES = [
    {
        **HELD,
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": end}],
    }
    for text, end in (("hel", None), ("lo", None), ("", "stop"))
]


class MockStream:
    """What a mock returns for a stream: iterated, used as a context manager, closed."""

    def __init__(self) -> None:
        self._chunks = iter(PIECES)

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        return self

    async def __anext__(self) -> ChatCompletionChunk:
        for chunk in self._chunks:
            return ChatCompletionChunk.model_validate(chunk)
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._chunks = iter(())


async def create(*_: Any, stream: bool = False, **_more: Any) -> Any:
    return MockStream() if stream else ChatCompletion.model_validate(WHOLE)


CHAT = SimpleNamespace(completions=SimpleNamespace(create=create))


@dataclass
class MockGroq:
    """A mock as test suites write them."""

    base_url: str = BASE
    chat: Any = field(default_factory=lambda: CHAT)


@dataclass(frozen=True, slots=True)
class Frozen:
    """One that takes no attribute."""

    base_url: str = BASE
    chat: Any = field(default_factory=lambda: CHAT)


class Strict:
    """One that fails in its own way when it is asked for what it does not know."""

    base_url, chat = BASE, CHAT

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Forwarding:
    """A wrapper that passes on what it does not know."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


class Subclass(AsyncGroq):
    """A client of the SDK all the same."""


class Refusing(AsyncGroq):
    """A client of the SDK that lets nothing be set once it is made."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__class__":
            raise AttributeError(name)
        super().__setattr__(name, value)


class Answering(Wire):
    """Streams what asks for a stream."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if b'"stream":true' in request.content.replace(b" ", b""):
            return await Wire([event(p) for p in PIECES] + [b"data: [DONE]\n\n"]).handle_async_request(request)
        return await Wire([event(WHOLE)[6:]], content_type="application/json").handle_async_request(request)


def real(cls: type[AsyncGroq] = AsyncGroq) -> AsyncGroq:
    return cls(api_key="gsk", http_client=httpx.AsyncClient(transport=Answering([])), max_retries=0)


def mocked(mock: Any) -> Any:
    """A mock of the standard library that answers."""
    mock.chat, mock.base_url = CHAT, BASE
    return mock


UNOBSERVED: dict[str, Callable[[], Any]] = {
    "dataclass": MockGroq,
    "frozen dataclass with slots": Frozen,
    "object": lambda: SimpleNamespace(base_url=BASE, chat=CHAT),
    "strict fake": Strict,
    "Mock": lambda: mocked(Mock()),
    "AsyncMock": lambda: mocked(AsyncMock()),
    "MagicMock with a spec": lambda: mocked(MagicMock(spec=AsyncGroq)),
    "MagicMock with a client as spec": lambda: mocked(MagicMock(spec=real())),
    "autospec of the class": lambda: mocked(create_autospec(AsyncGroq)),
    "autospec of an instance": lambda: mocked(create_autospec(AsyncGroq, instance=True)),
    "wrapt.ObjectProxy": lambda: wrapt.ObjectProxy(real()),
    "__getattr__ proxy": lambda: Forwarding(real()),
}
OBSERVED: dict[str, Callable[[], Any]] = {
    "client": real,
    "subclass": lambda: real(Subclass),
    "subclass that lets nothing be set": lambda: real(Refusing),
    "proxy of an observed client": lambda: wrapt.ObjectProxy(groqscope.instrument(real())),
}


async def used(model: Any) -> tuple[Any, ...]:
    """What an agent gets out of a model: not streamed and streamed."""
    agent = Agent(model)
    whole = await agent.run("hi")
    async with agent.run_stream("hi") as streamed:
        text = "".join([piece async for piece in streamed.stream_text(delta=True, debounce_by=None)])
        return whole.output, whole.usage, text, streamed.usage, model.base_url


@pytest.mark.parametrize("kind", UNOBSERVED)
async def test_used_as_it_is(kind: str, records: list[Any]) -> None:
    """What is no client of the SDK gives what it gives to pydantic-ai's own model, and no record."""
    client = UNOBSERVED[kind]()
    model = GroqModel(LLAMA, provider=GroqProvider(groq_client=client))
    theirs = PydanticAIModel(LLAMA, provider=GroqProvider(groq_client=client))

    assert model.client is client
    assert await used(theirs) == await used(model)
    assert (records, is_instrumented(client)) == ([], False)


@pytest.mark.parametrize("kind", OBSERVED)
async def test_observed(kind: str, records: list[Any]) -> None:
    """A client of the SDK is observed, whatever class of it, and used as it is."""
    client = OBSERVED[kind]()
    model = GroqModel(LLAMA, provider=GroqProvider(groq_client=client))
    found = await used(model)

    assert model.client is client
    assert await used(PydanticAIModel(LLAMA, provider=GroqProvider(groq_client=OBSERVED[kind]()))) == found
    assert [(r.stream, r.outcome) for r in records[:2]] == [(False, "completed"), (True, "completed")]


async def test_seen_through_where_the_process_is_observed(records: list[Any]) -> None:
    """A proxy's requests are its client's, so `instrument()` without a client observes them."""
    groqscope.instrument()
    try:
        proxy: Any = wrapt.ObjectProxy(real())
        await used(GroqModel(LLAMA, provider=GroqProvider(groq_client=proxy)))
    finally:
        groqscope.uninstrument()

    assert len(records) == 2


def test_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line of the log says that it is not observed, and what would be."""
    for make in UNOBSERVED.values():
        model = GroqModel(LLAMA, provider=GroqProvider(groq_client=make()))
        assert model.client is model.client

    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "MockGroq; its requests are not observed" in caplog.text
    assert "groq.AsyncGroq and its subclasses" in caplog.text


def test_an_observed_client_is_not_talked_about(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said of clients that are observed."""
    for make in OBSERVED.values():
        _ = GroqModel(LLAMA, provider=GroqProvider(groq_client=make())).client

    assert not caplog.records
