"""What `instrument(client)` takes and refuses, and that a client that is gone leaves nothing behind."""

import asyncio
import gc
import re
import threading
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, create_autospec, patch

import groq
import httpx
import pytest
import wrapt
from groq import AsyncGroq, Groq
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai.providers.groq import GroqProvider
from support.figures import Figure
from support.scope import ASK, Exported, completion

import groqscope
from groqscope.instrument import is_instrumented
from groqscope.models.groq import GroqModel
from groqscope.telemetry import ContentPolicy

TAKES = "instrument() takes a client of groq or openai, got "


class Instructor:
    """As Instructor's: a class of its own that holds the client."""

    def __init__(self) -> None:
        self.client = Groq(api_key="gsk")


def patched() -> Any:
    with patch("groq.Groq"):
        return groq.Groq(api_key="gsk")


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "class": (lambda: Groq, "the class groq.Groq: call instrument() without a client"),
    "async class": (lambda: AsyncGroq, "the class groq.AsyncGroq: call instrument() without a client"),
    "Instructor": (Instructor, "Instructor: instrument the client in its `client`"),
    "provider": (lambda: GroqProvider(api_key="gsk"), "GroqProvider: instrument the client in its `client`"),
    "resource": (lambda: Groq(api_key="gsk").chat, "Chat: instrument the client in its `_client`"),
    "proxy": (
        lambda: wrapt.ObjectProxy(Groq(api_key="gsk")),
        "Proxy: instrument the client in its `__wrapped__`",
    ),
    "patched": (patched, "unittest.mock.MagicMock: a mock sends no requests"),
    "spec": (lambda: MagicMock(spec=Groq), "unittest.mock.MagicMock: a mock sends no requests"),
    "autospec": (lambda: create_autospec(AsyncGroq, instance=True), "Mock: a mock sends no requests"),
    "namespace": (SimpleNamespace, "an object of types.SimpleNamespace"),
    "not given": (lambda: groq.NOT_GIVEN, "NotGiven"),
    "false": (lambda: False, "an object of builtins.bool"),
    "text": (lambda: "gsk_key", "an object of builtins.str"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_name(kind: str) -> None:
    """What cannot be observed is refused by a message that names it, what is taken, and what to do; nothing changes."""
    make, message = REFUSED[kind]
    target = make()
    before = type(target)
    with pytest.raises(TypeError, match=re.escape(TAKES) + ".*" + re.escape(message)) as refused:
        groqscope.instrument(target)

    assert "gsk_key" not in str(refused.value)
    assert (before, False) == (type(target), is_instrumented(target))


def test_while_the_name_is_patched() -> None:
    """A test that patches `groq.Groq` does not keep real clients from being observed, nor the process."""
    client = Groq(api_key="gsk")
    with patch("groq.Groq"), patch("groq.AsyncGroq"):
        assert is_instrumented(groqscope.instrument(client))
        groqscope.instrument()
        groqscope.uninstrument()


def census() -> Counter[str]:
    """Objects of the process by type."""
    gc.collect()
    return Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.get_objects())


def grown(before: Counter[str], after: Counter[str], clients: int) -> dict[str, int]:
    """Types of which there is one more for every ten clients, or more: caches of the interpreter are below that."""
    return {name: more for name in after if (more := after[name] - before[name]) > clients // 10}


def transport() -> httpx.MockTransport:
    return httpx.MockTransport(completion)


def test_a_client_per_request(exported: Exported, figure: Figure) -> None:
    """5,000 clients, sync and async, some of which are used: no object of any kind is left of them."""
    http, http_async = httpx.Client(transport=transport()), httpx.AsyncClient()

    def clients(number: int) -> None:
        for i in range(number):
            client = groqscope.instrument(Groq(api_key="gsk", http_client=http), **exported.providers)
            groqscope.instrument(AsyncGroq(api_key="gsk", http_client=http_async), **exported.providers)
            if i % 50 == 0:
                client.chat.completions.create(**ASK)

    def settled() -> Counter[str]:
        groqscope.flush()
        exported.exporter.clear()
        return census()

    clients(60)
    before = settled()
    clients(2_500)
    after = settled()

    assert grown(before, after, 5_000) == {}
    assert after["groqscope.telemetry.metrics.Metrics"] <= before["groqscope.telemetry.metrics.Metrics"]
    figure("5,000 clients, each instrumented on its own: objects left", str(sum((after - before).values())))


async def test_a_model_per_request() -> None:
    """5,000 models of pydantic-ai's, each with a client of its own."""
    http = httpx.AsyncClient()

    def models(number: int) -> None:
        for _ in range(number):
            _ = GroqModel("m", groq_client=AsyncGroq(api_key="gsk", http_client=http)).client

    models(60)
    before = census()
    models(5_000)

    assert grown(before, census(), 5_000) == {}


@pytest.mark.slow
async def test_a_client_per_task_and_thread(exported: Exported) -> None:
    """Clients that are made, used and dropped in a task or a thread of their own."""

    async def task() -> None:
        async with AsyncGroq(api_key="gsk", http_client=httpx.AsyncClient(transport=transport())) as client:
            await groqscope.instrument(client, **exported.providers).chat.completions.create(**ASK)

    def thread() -> None:
        with Groq(api_key="gsk", http_client=httpx.Client(transport=transport())) as client:
            groqscope.instrument(client, **exported.providers).chat.completions.create(**ASK)

    async def round_of(number: int) -> Counter[str]:
        for _ in range(number // 25):
            await asyncio.gather(*(asyncio.create_task(task()) for _ in range(25)))
            threads = [threading.Thread(target=thread) for _ in range(25)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        groqscope.flush()
        exported.exporter.clear()
        return census()

    before = await round_of(50)

    assert grown(before, await round_of(300), 600) == {}


def test_instrumented_again_and_again(exported: Exported) -> None:
    """The process instrumented and taken back a hundred times has one set of metrics."""

    def cycles(number: int) -> Counter[str]:
        for _ in range(number):
            groqscope.instrument(**exported.providers)
            groqscope.uninstrument()
        return census()

    cycles(50)  # what is made once is made by then
    before = cycles(50)

    assert grown(before, cycles(300), 300) == {}


def test_one_provider_one_telemetry() -> None:
    """Clients observed alike share a class and its telemetry; another provider or option has its own."""
    tracers, meters = TracerProvider(), MeterProvider()
    scrubbing = ContentPolicy(spans=True, scrub=str.upper)
    options: list[dict[str, Any]] = [
        {"tracer_provider": tracers, "meter_provider": meters},
        {"tracer_provider": TracerProvider(), "meter_provider": meters},
        {"tracer_provider": tracers, "meter_provider": MeterProvider()},
        {"tracer_provider": tracers, "meter_provider": meters, "phase_spans": False},
        {"tracer_provider": tracers, "meter_provider": meters, "fast_path": False},
        {"tracer_provider": tracers, "meter_provider": meters, "content": scrubbing},
    ]

    def observed() -> list[Groq]:
        return [groqscope.instrument(Groq(api_key="gsk"), **given) for given in options]

    first, second = observed(), observed()
    scopes = [vars(type(c))["_groqscope_scope"] for c in first]

    assert [type(c) for c in first] == [type(c) for c in second]
    assert len({type(c) for c in first}) == len(options)
    assert len({id(s.telemetry.metrics) for s in scopes}) == 2
    for provider in (tracers, meters):
        provider.shutdown()


def test_a_provider_that_is_gone() -> None:
    """A provider per client, as tests have them: what was made for it goes with it, whatever OpenTelemetry keeps."""
    http = httpx.Client()

    def ours() -> dict[str, int]:
        for _ in range(100):
            providers = TracerProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
            client = Groq(api_key="gsk", http_client=http)
            groqscope.instrument(client, tracer_provider=providers[0], meter_provider=providers[1])
        return {name: n for name, n in census().items() if name.startswith("groqscope.") or name == "builtins.type"}

    before = Counter(ours())

    assert grown(before, Counter(ours()), 100) == {}
