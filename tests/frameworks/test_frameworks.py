"""Frameworks on top of Groq, as each is used: one span a request, below the caller's; tokens once; nothing changed."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from support.scope import Exported

import groqscope
from groqscope.simulator import Answer, Received, Simulator, ToolCall

from .ways import HERE, MODEL, QUESTION, SPEECH, Framework, Way

litellm: Any = import_module("litellm") if find_spec("litellm") else None
"""Imported here, because it sets variables of the environment when it is."""


def answer(received: Received) -> Answer:
    """Call the tool that is offered, say what it returned, and end as an agent is told to end."""
    offered = str(received.json.get("tools") or [])
    if b"sunny in Rome" in received.body:
        last = [ToolCall("final_answer", '{"answer":"It is sunny"}', id="c2")] if "final_answer" in offered else ()
        return Answer("" if last else "It is sunny", tool_calls=last)
    if "weather" in offered or "City" in offered:
        return Answer(tool_calls=[ToolCall("weather", '{"city":"Rome"}', id="c1")])
    return Answer("It is sunny")


@pytest.fixture
def groq(sim: Simulator) -> Simulator:
    sim.play(answer)
    return sim


@pytest.fixture
def process(groq: Simulator, exported: Exported) -> Iterator[Exported]:
    """The process, observed when the test says so."""
    yield exported
    groqscope.uninstrument()


def observe(exported: Exported, groq: Simulator) -> None:
    groqscope.instrument(**exported.providers, groq_hosts=[groq.base_url.removeprefix("http://")])


def asked(groq: Simulator, since: int) -> list[dict[str, Any]]:
    """What was asked, without the IDs that the simulator has made up for items of an earlier answer."""
    return [_without_ids(served.received.json) for served in groq.settle()[since:] if served.received is not None]


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_ids(part) for name, part in value.items() if name != "id"}
    return [_without_ids(part) for part in value] if isinstance(value, list) else value


CASES = [pytest.param(framework, way, id=f"{framework}-{way}") for framework in HERE for way in framework.ways]


@pytest.mark.parametrize(("framework", "way"), CASES)
def test_a_framework(framework: Framework, way: Way, groq: Simulator, process: Exported) -> None:
    """The same answer and the same requests as without; each request a record, with usage, below the caller's span."""
    groq.forget()
    bare = framework.ask(groq.base_url, way)
    expected = asked(groq, 0)
    observe(process, groq)
    tracer = process.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("app") as app:
        got = framework.ask(groq.base_url, way)
    records = process.records

    assert got == bare
    assert got
    assert asked(groq, len(expected)) == expected
    assert len(records) == len(expected) > 0
    assert {span.parent.span_id for span in record_spans(process)} == {app.get_span_context().span_id}
    assert {record.outcome for record in records} == {"completed"}
    assert {record.stream for record in records} == {way in framework.streams}
    assert all(record.usage.output_tokens and record.cost for record in records)
    assert all(record.phases.total() == record.duration_ns for record in records)
    assert tokens(process) == sum((r.usage.input_tokens or 0) + (r.usage.output_tokens or 0) for r in records)
    if way == "tool":
        assert [call.name for call in records[0].tool_calls] == ["weather"]


@pytest.mark.parametrize(
    ("ask", "operation"),
    [
        pytest.param(
            ask,
            seen,
            id=ask.__name__,
            marks=pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is in the environment with openai 3"),
        )
        for module, ask, seen in SPEECH
    ],
)
def test_speech(
    ask: Callable[[str], Any],
    operation: str | None,
    groq: Simulator,
    process: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is heard and said is as without; a request is a record, below the caller's span, unless it is not seen."""
    monkeypatch.setenv("GROQ_BASE_URL", groq.base_url)
    groq.forget()
    bare = ask(groq.base_url)
    observe(process, groq)
    tracer = process.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("app") as app:
        got = ask(groq.base_url)

    assert got == bare
    assert got
    assert len(groq.settle()) == 2
    assert [(record.operation, record.outcome) for record in process.records] == (
        [] if operation is None else [(operation, "completed")]
    )
    assert {span.parent.span_id for span in record_spans(process)} <= {app.get_span_context().span_id}


def record_spans(exported: Exported) -> list[Any]:
    return [span for span in exported.spans if "groqscope.record" in (span.attributes or {})]


def tokens(exported: Exported) -> int:
    """All tokens that metrics tell of, whoever recorded them."""
    return int(sum(point.sum for point in exported.metrics().get("gen_ai.client.token.usage", ())))


def test_some_are_here() -> None:
    """An environment without any would test nothing."""
    assert len(HERE) >= 5


@pytest.mark.skipif(litellm is None, reason="litellm is in the environment with openai 2")
def test_litellm(groq: Simulator, process: Exported) -> None:
    """Its own HTTP client is not seen; where it asks by openai's, its request is a record as any other."""
    observe(process, groq)
    common = {"api_key": "k", "api_base": f"{groq.base_url}/openai/v1"}
    common["messages"] = [{"role": "user", "content": QUESTION}]

    assert litellm.completion(model=f"groq/{MODEL}", **common).choices[0].message.content == "It is sunny"
    assert process.records == []
    assert litellm.completion(model=f"openai/{MODEL}", **common).choices[0].message.content == "It is sunny"
    streamed = litellm.completion(model=f"openai/{MODEL}", stream=True, **common)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == "It is sunny"
    assert [(record.model, record.stream) for record in process.records] == [(MODEL, False), (MODEL, True)]
