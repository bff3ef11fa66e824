"""The Responses API as Groq documents it, read by the openai SDK: the answer of a script, in events or whole."""

import json
from typing import Any

import httpx
import httpx2
import openai
import pytest
from pydantic import TypeAdapter

from groqscope.simulator import (
    Answer,
    Chunk,
    Delays,
    ErrorEvent,
    Raw,
    Received,
    Recording,
    Simulator,
    ToolCall,
    Usage,
)
from groqscope.simulator.answer import plan_answer

TOOLS = Answer(
    ["Hel", "lo"],
    reasoning="Well now",
    tool_calls=[ToolCall("f", ['{"a":', "1}"], id="c1"), ToolCall("g", id="c2")],
    executed_tools=[{"index": 0, "type": "search", "arguments": "{}", "action": {"type": "search", "query": "q"}}],
    usage=Usage(cached_tokens=2, reasoning_tokens=1),
)
ASK: dict[str, Any] = {"model": "m", "input": "hi"}


def ask(sim: Simulator, **more: Any) -> Any:
    with openai.OpenAI(
        base_url=f"{sim.base_url}/openai/v1", api_key="k", max_retries=0, http_client=httpx2.Client(trust_env=False)
    ) as client:
        answer: Any = client.responses.create(**ASK, **more)
        return list(answer) if more.get("stream") else answer


@pytest.mark.parametrize("how", ["in turn", "interleaved", "together"])
def test_the_events_are_valid_and_add_up(how: Any, sim: Simulator) -> None:
    """Each has its number; items are opened, completed and as a whole in the last event, as in a whole answer."""
    sim.play(Answer(tool_calls=TOOLS.tool_calls, tools_come=how, reasoning=TOOLS.reasoning, content=TOOLS.content))
    events = ask(sim, stream=True)
    last = events[-1].response
    whole = ask(sim)

    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events[2:-1]:  # but for those with usage, of which Groq sends less than the model has
        TypeAdapter(type(event)).validate_python(event.model_dump(warnings="error"), strict=False)
    assert {(e.type, e.output_index) for e in events if e.type.startswith("response.output_item")} == {
        (f"response.output_item.{what}", index) for what in ("added", "done") for index in range(len(last.output))
    }
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == last.output_text == "Hello"
    assert [(c.name, c.arguments, c.call_id) for c in last.output if c.type == "function_call"] == [
        ("f", '{"a":1}', "c1"),
        ("g", "{}", "c2"),
    ]
    assert [item.type for item in whole.output] == [item.type for item in last.output]
    assert whole.output_text == last.output_text


def test_a_whole_answer(sim: Simulator) -> None:
    """Valid for the SDK's own model, with usage in the names of the Responses API, and what was asked."""
    sim.play(TOOLS)
    answer = ask(sim, instructions="Be brief", max_output_tokens=5, reasoning={"effort": "low"})
    assert answer.model_dump(warnings="error")["object"] == "response"

    assert [item.type for item in answer.output] == [
        "reasoning",
        "web_search_call",
        "message",
        "function_call",
        "function_call",
    ]
    assert answer.usage.input_tokens_details.cached_tokens == 2
    assert answer.usage.output_tokens_details.reasoning_tokens == 1
    assert (answer.instructions, answer.max_output_tokens, answer.reasoning.effort) == ("Be brief", 5, "low")


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [(None, "completed", None), ("length", "incomplete", "max_output_tokens"), ("content_filter", "incomplete", None)],
)
def test_how_it_ended(reason: str | None, status: str, why: str | None, sim: Simulator) -> None:
    """As a status, and in the name of the last event."""
    sim.play(Answer("a", finish_reason=reason))
    whole, last = ask(sim), ask(sim, stream=True)[-1]

    assert (whole.status, last.type, last.response.status) == (status, f"response.{status}", status)
    if status == "incomplete":
        assert whole.incomplete_details.reason == (why or reason)


def test_delays_are_those_of_the_script() -> None:
    """An event of a script is what the Responses API sends for it, written together; there is no `[DONE]`."""
    received = Received(0, "POST", "/openai/v1/responses", {}, json.dumps(ASK | {"stream": True}).encode(), {})
    delays = Delays(before_first=1, per_chunk=2, at={2: 3}, before_done=4)
    plan = plan_answer(Answer("a b c", delays=delays), received, {})

    assert [(write.delay, write.events) for write in plan.writes] == [(1, 2), (2, 3), (5, 1), (2, 1), (6, 4)]
    assert b"[DONE]" not in b"".join(write.data for write in plan.writes)


def test_an_error_and_broken_bytes(sim: Simulator) -> None:
    """An error has the form of the Responses API; raw bytes go out as they are."""
    sim.play(Answer("a b", ending=ErrorEvent(2)))
    assert ask(sim, stream=True)[-1].code == "tool_use_failed"
    sim.play(Answer(chunks=[Chunk("a"), Raw(b"data: {oops\n\n")]))
    with pytest.raises(json.JSONDecodeError):
        ask(sim, stream=True)


def test_without_a_script(sim: Simulator) -> None:
    """Its only answer; by GET there is nothing."""
    sim.play(None)
    url, key = f"{sim.base_url}/openai/v1/responses", {"authorization": "Bearer k"}

    assert "simulator" in ask(sim).output_text
    assert httpx.get(url, headers=key, trust_env=False).status_code == 404


def test_recordings_are_of_chat_completions() -> None:
    """A replay says so, instead of making an answer up."""
    recording = Recording("r", "here", {"model": "m", "messages": []}, 200, {}, body={"id": "x"})
    with Simulator(replay=[recording]) as sim, pytest.raises(openai.NotFoundError, match="chat completions"):
        ask(sim)
