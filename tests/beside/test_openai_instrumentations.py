"""Instrumentations of the openai SDK on the same calls: an inference and its tokens count once."""

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import groq
import openai
import pytest
from openai.resources.chat.completions import AsyncCompletions, Completions
from support.both import Both, Mode, both, each_mode
from support.callers import streamed_text, whole_text
from support.scope import ASK, Exported

import groqscope
from groqscope import semconv
from groqscope.instrument import flush
from groqscope.simulator import Answer, Simulator

INSTRUMENTATIONS = {
    "OpenLLMetry": "opentelemetry.instrumentation.openai",
    "genai-openai": "opentelemetry.instrumentation.genai.openai",
    "OpenInference": "openinference.instrumentation.openai",
}


@both
async def streamed_text_with_usage(client: Any) -> str:
    return await streamed_text.asynchronous(client, stream_options={"include_usage": True})


def client(mode: Mode, sim: Simulator) -> Any:
    kind = openai.OpenAI if mode == "sync" else openai.AsyncOpenAI
    return kind(api_key="k", base_url=f"{sim.base_url}/openai/v1")


@pytest.fixture(params=["ours first", "theirs first"])
def order(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=INSTRUMENTATIONS)
def instrumentor(request: pytest.FixtureRequest) -> Any:
    return import_module(INSTRUMENTATIONS[request.param]).OpenAIInstrumentor()


@pytest.fixture
def both_on(
    instrumentor: Any, order: str, sim: Simulator, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Ours and theirs, the one that came last taken back first: each puts back what it found."""
    for cls in (Completions, AsyncCompletions):
        # OpenLLMetry's stays when it is taken back.
        monkeypatch.setattr(cls, "create", cls.create)
    providers = exported.providers
    theirs = partial(instrumentor.instrument, **providers), instrumentor.uninstrument
    hosts = [sim.base_url.removeprefix("http://")]
    ours = partial(groqscope.instrument, **providers, groq_hosts=hosts), groqscope.uninstrument
    switches = (ours, theirs) if order == "ours first" else (theirs, ours)
    for on, _ in switches:
        on()
    yield
    for _, off in reversed(switches):
        off()


# OpenLLMetry's own models are of an older form of pydantic's.
@pytest.mark.filterwarnings("ignore:Support for class-based `config`")
@each_mode
@pytest.mark.parametrize("scene", [whole_text, streamed_text_with_usage], ids=lambda scene: scene.name)
@pytest.mark.usefixtures("both_on")
def test_one_inference(
    instrumentor: Any, order: str, scene: Both, mode: Mode, sim: Simulator, exported: Exported
) -> None:
    """By OpenTelemetry's names one span is the inference, and tokens and durations are those of one request."""
    sim.play(Answer(["a", "b"]))
    assert scene(mode, client(mode, sim)) == "ab"
    flush()
    record, span = exported.only()
    chats = [s.context.span_id for s in exported.spans if (s.attributes or {}).get("gen_ai.operation.name") == "chat"]
    theirs = [s for s in exported.spans if s.instrumentation_scope.name != semconv.SCOPE]
    metrics = exported.metrics()

    assert len(theirs) == 1
    if instrumentor.__module__.startswith("openinference"):
        # It wraps the method that we do, and has names of its own: by OpenTelemetry's, only ours can be one.
        inside = order == "ours first"
        assert chats == ([] if inside else [span.context.span_id])
    else:
        inside = True
        assert chats == [theirs[0].context.span_id]
    assert record.nested is inside
    assert (span.parent is not None and span.parent.span_id == theirs[0].context.span_id) is inside
    assert sum(point.sum for point in metrics["gen_ai.client.token.usage"]) == (
        (record.usage.input_tokens or 0) + (record.usage.output_tokens or 0)
    )
    assert sum(point.count for point in metrics["gen_ai.client.operation.duration"]) == 1


def test_groqs_own_sdk_is_not_theirs(sim: Simulator, exported: Exported) -> None:
    """Beside an instrumentation of openai's, a request by groq's SDK is an inference of ours."""
    groqscope.instrument(**exported.providers)
    sim.play(Answer("a"))
    with groq.Groq(api_key="k", base_url=sim.base_url) as ours:
        ours.chat.completions.create(**ASK)
    groqscope.uninstrument()

    assert exported.only()[0].nested is False
