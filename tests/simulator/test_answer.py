"""Scripted answers, as the bare SDK sees them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from groqscope.simulator import (
    Answer,
    Chunk,
    Delays,
    Drip,
    Failure,
    Raw,
    Received,
    Simulator,
    ToolCall,
    ToolDelta,
    Usage,
)

Ask = Callable[..., Any]
WEATHER = ToolCall("get_weather", ['{"city":', '"Paris"', "}"], id="call_a")
TIME = ToolCall("get_time", ['{"zone":', '"CET"}'], id="call_b")


def deltas(heard: Any) -> list[list[tuple[int, str | None]]]:
    """Per event with tool calls: index and arguments of each fragment."""
    calls = [chunk.choices[0].delta.tool_calls for chunk in heard.objects]
    return [[(c.index, c.function.arguments) for c in some] for some in calls if some]


def test_a_text_comes_word_by_word_and_ends_with_usage(sim: Simulator, ask: Ask) -> None:
    """Role first, then the words, then finish reason and usage in one event with an empty delta."""
    sim.play(Answer("Hello there, you"))
    heard = ask(sim)

    assert heard.error is None
    assert [c.choices[0].delta.content for c in heard.objects] == ["", "Hello", " there,", " you", None]
    first, *_, last = heard.objects
    assert first.choices[0].delta.role == "assistant"
    assert first.x_groq.id == last.x_groq.id
    assert last.choices[0].finish_reason == "stop"
    assert last.x_groq.usage.completion_tokens == 4
    assert last.usage is None


def test_the_same_answer_unstreamed(sim: Simulator, ask: Ask) -> None:
    """Not asked to stream: one completion with the whole text, reasoning and usage."""
    sim.play(Answer("Hello there", reasoning="They greet."))
    (completion,) = ask(sim, stream=False).objects

    message = completion.choices[0].message
    assert (message.content, message.reasoning) == ("Hello there", "They greet.")
    assert completion.usage.completion_tokens_details.reasoning_tokens == 2
    assert completion.service_tier == "on_demand"


def test_reasoning_comes_before_content(sim: Simulator, ask: Ask) -> None:
    """Reasoning events first, each a token of its own in the usage's details."""
    sim.play(Answer(["4"], reasoning=["2", "+2"]))
    heard = ask(sim)

    assert [c.choices[0].delta.reasoning for c in heard.objects] == [None, "2", "+2", None, None]
    assert heard.objects[-1].x_groq.usage.completion_tokens_details.reasoning_tokens == 2


def test_a_tool_call_comes_whole(sim: Simulator, ask: Ask) -> None:
    """Arguments as one text: one event with id, name and all arguments, as Groq sends it."""
    sim.play(Answer(tool_calls=[ToolCall("get_weather", '{"city":"Paris"}', id="call_a")]))
    heard = ask(sim)

    assert deltas(heard) == [[(0, '{"city":"Paris"}')]]
    assert heard.objects[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("come", "expected"),
    [
        ("in turn", [[(0, '{"city":')], [(0, '"Paris"')], [(0, "}")], [(1, '{"zone":')], [(1, '"CET"}')]]),
        ("interleaved", [[(0, '{"city":')], [(1, '{"zone":')], [(0, '"Paris"')], [(1, '"CET"}')], [(0, "}")]]),
        ("together", [[(0, '{"city":'), (1, '{"zone":')], [(0, '"Paris"'), (1, '"CET"}')], [(0, "}")]]),
    ],
)
def test_parallel_calls_in_fragments(sim: Simulator, ask: Ask, come: Any, expected: list[Any]) -> None:
    """Fragments of two calls: one after the other, by turns, or in one event each rank."""
    sim.play(Answer(tool_calls=[WEATHER, TIME], tools_come=come))

    assert deltas(ask(sim)) == expected


def test_tool_calls_unstreamed_have_no_content(sim: Simulator, ask: Ask) -> None:
    """As recorded: with tool calls `content` is absent."""
    sim.play(Answer(tool_calls=[WEATHER, TIME]))
    (completion,) = ask(sim, stream=False).objects

    message = completion.choices[0].message
    assert "content" not in message.model_fields_set
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [{"city": "Paris"}, {"zone": "CET"}]
    assert completion.choices[0].finish_reason == "tool_calls"


def test_several_choices_take_turns(sim: Simulator, ask: Ask) -> None:
    """N = 2: the events of both choices by turns, a finish reason each, usage once."""
    sim.play(Answer(["a"]))
    heard = ask(sim, n=2)

    assert [(c.choices[0].index, c.choices[0].delta.content) for c in heard.objects] == [
        (0, ""), (1, ""), (0, "a"), (1, "a"), (0, None), (1, None),
    ]  # fmt: skip
    assert [c.x_groq.usage is not None for c in heard.objects if c.x_groq] == [False, True]


@pytest.mark.parametrize(
    ("places", "asked", "expected"),
    [
        (None, False, (True, False, False)),
        (None, True, (True, False, True)),
        (["top_level"], False, (False, True, False)),
        (["x_groq", "top_level", "include_usage"], False, (True, True, True)),
        ([], True, (False, False, False)),
    ],
)
def test_usage_stands_where_the_script_says(
    sim: Simulator, ask: Ask, places: Any, asked: bool, expected: tuple[bool, ...]
) -> None:
    """In `x_groq`, at top level, in a chunk without choices; the request's `include_usage` is honoured."""
    sim.play(Answer("a", usage_in=places))
    heard = ask(sim, extra_body={"stream_options": {"include_usage": True}} if asked else None)

    last = next(c for c in heard.objects if c.choices and c.choices[0].finish_reason)
    in_x_groq = bool(last.x_groq and last.x_groq.usage)
    assert (in_x_groq, last.usage is not None, not heard.objects[-1].choices) == expected


def test_usage_can_be_absent(sim: Simulator, ask: Ask) -> None:
    """`usage=None`: none anywhere."""
    sim.play(Answer("a", usage=None))

    heard = ask(sim).objects

    assert heard
    assert not any(c.usage or (c.x_groq and c.x_groq.usage) for c in heard)


def test_reported_times_agree_with_the_delays(sim: Simulator, ask: Ask) -> None:
    """What the script leaves open is what it does: queue before the headers, prompt before the first event."""
    sim.play(Answer(["a", "b"], delays=Delays(before_headers=0.01, before_first=0.02, per_chunk=0.001, at={2: 0.005})))
    usage = ask(sim).objects[-1].x_groq.usage

    assert (usage.queue_time, usage.prompt_time) == (0.01, 0.02)
    assert usage.completion_time == pytest.approx(0.008)
    assert usage.total_time == pytest.approx(0.028)


def test_reported_times_can_lie(sim: Simulator, ask: Ask) -> None:
    """What the script gives is sent as given."""
    sim.play(
        Answer("a", usage=Usage(queue_time=9.0, prompt_time=8.0, completion_time=7.0, total_time=1.0, cached_tokens=3))
    )
    usage = ask(sim).objects[-1].x_groq.usage

    assert (usage.queue_time, usage.prompt_time, usage.completion_time, usage.total_time) == (9.0, 8.0, 7.0, 1.0)
    assert usage.prompt_tokens_details.cached_tokens == 3


def test_events_one_by_one(sim: Simulator, ask: Ask) -> None:
    """Explicit chunks: tool fragments without ids, fields laid over, `x_groq.error`, usage on the last one."""
    sim.play(
        Answer(
            chunks=[
                Chunk("a", fields={"id": "chatcmpl-1"}),
                Chunk(tool_calls=[ToolDelta(0, name="f", arguments="{}")]),
                Chunk(fields={"choices": []}),
                Chunk(finish_reason="length", x_groq={"error": "stopped early"}),
            ]
        )
    )
    a, call, empty, last = ask(sim).objects

    assert (a.id, a.choices[0].delta.content) == ("chatcmpl-1", "a")
    assert call.choices[0].delta.tool_calls[0].id is None
    assert empty.choices == []
    assert (last.choices[0].finish_reason, last.x_groq.error) == ("length", "stopped early")
    assert last.x_groq.usage is not None


def test_inserted_bytes_do_not_disturb_the_stream(sim: Simulator, ask: Ask) -> None:
    """Comments and keep-alives between events: the SDK passes over them."""
    sim.play(Answer(["a", "b"], inserts={1: Raw(b": keep-alive\n\n"), 3: Raw(b":\n\n")}))
    heard = ask(sim)

    assert heard.error is None
    assert heard.text == "ab"


def test_invalid_json_breaks_the_stream(sim: Simulator, ask: Ask) -> None:
    """An event that is not JSON: the SDK raises what the JSON decoder raises."""
    sim.play(Answer(chunks=[Chunk("a"), Raw(b"data: {oops\n\n"), Chunk("b")]))
    heard = ask(sim)

    assert heard.text == "a"
    assert isinstance(heard.error, json.JSONDecodeError)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_drip_cuts_inside_characters(sim: Simulator, ask: Ask, size: int) -> None:
    """Bytes in small pieces, UTF-8 sequences cut: the same text."""
    sim.play(Answer(["é", "漢字", "🎉 <&>"], drip=Drip(size=size)))
    heard = ask(sim)

    assert heard.error is None
    assert heard.text == "é漢字🎉 <&>"
    assert max(w.size for w in sim.settle()[0].writes) <= max(size, 1)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_can_be_compressed(sim: Simulator, ask: Ask, stream: bool) -> None:
    """gzip: fewer bytes on the wire, the same answer, each event readable when it arrives."""
    words = ["word "] * 50
    sim.play([Answer(words), Answer(words, gzip=True)])
    plain, packed = (ask(sim, stream=stream) for _ in range(2))

    def content(heard: Any) -> str:
        return heard.text if stream else heard.objects[0].choices[0].message.content

    assert content(plain) == content(packed) == "word " * 50
    sizes = [sum(write.size for write in served.writes) for served in sim.settle()]
    assert sizes[1] < sizes[0] / 2
    assert not stream or len(packed.objects) == 52


def test_several_events_in_a_write(sim: Simulator, ask: Ask) -> None:
    """`events_per_write`: all events arrive, in fewer writes; `[DONE]` has its own."""
    sim.play(Answer(["a", "b", "c"], events_per_write=2))
    heard = ask(sim)

    assert heard.text == "abc"
    assert [w.events for w in sim.settle()[0].writes] == [2, 4, 5, 6]


def test_a_sequence_repeats_its_last_reply(sim: Simulator, ask: Ask) -> None:
    """429, then an answer, then that answer again."""
    sim.play([Failure(429), Answer("yes")])

    assert [ask(sim).text for _ in range(3)] == ["", "yes", "yes"]


def test_a_function_decides_by_the_request(sim: Simulator, ask: Ask) -> None:
    """A script may look at the request."""

    def answer(received: Received) -> Answer:
        return Answer(f"{received.model} {received.messages[0]['content']} {received.stream}")

    sim.play(answer)

    assert ask(sim).text == "llama-3.3-70b-versatile hi True"


def test_a_function_may_leave_it_to_the_simulator(sim: Simulator, ask: Ask) -> None:
    """`None` from a script: what the simulator says by itself."""
    sim.play(lambda _: None)

    assert "it was given no script" in ask(sim).text


def test_an_empty_sequence_leaves_it_to_the_simulator(sim: Simulator, ask: Ask) -> None:
    """No reply at all in the script: the same."""
    sim.play([])

    assert "it was given no script" in ask(sim).text


def test_tools_that_groq_ran(sim: Simulator, ask: Ask) -> None:
    """`executed_tools` come in an event of their own; unstreamed in the message."""
    tool = {"index": 0, "type": "search", "arguments": "{}", "output": "found"}
    sim.play(Answer("a", executed_tools=[tool]))
    streamed = [c.choices[0].delta.executed_tools for c in ask(sim).objects]
    (completion,) = ask(sim, stream=False).objects

    assert [some[0].output for some in streamed if some] == ["found"]
    assert completion.choices[0].message.executed_tools[0].type == "search"


def test_a_call_without_arguments_is_a_call(sim: Simulator, ask: Ask) -> None:
    """No fragment at all: one event with the name and empty arguments."""
    sim.play(Answer(tool_calls=[ToolCall("f", [])]))

    assert deltas(ask(sim)) == [[(0, "")]]


def test_identity_of_an_answer(sim: Simulator, ask: Ask) -> None:
    """`x_groq.id` is the request id of the header, in Groq's shape, and new each time."""
    sim.play(Answer("a"))
    ids = [ask(sim).objects[0].x_groq.id for _ in range(2)]

    assert len(set(ids)) == 2
    assert all(one.startswith("req_") and len(one) == 30 for one in ids)
