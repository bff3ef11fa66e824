"""Whatever is on the wire, our model's events, response, usage and errors equal those of pydantic-ai's own model."""

import dataclasses
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.groq import GroqStreamedResponse as PydanticAIStreamedResponse
from pydantic_ai.models.instrumented import InstrumentedModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition
from support.model_wire import Model, Wire, event, ours, recordings, theirs, wire_of

from groqscope.models import streamed_response
from groqscope.models.groq import GroqModel, GroqStreamedResponse
from groqscope.simulator import Recording

RECORDINGS = recordings()
STREAMED = [r for r in RECORDINGS if r.stream]
MODEL = "openai/gpt-oss-120b"
GENERATED = re.compile("pyd_ai_[0-9a-f]{32}")

RAISED = (AgentRunError, AttributeError, TypeError, ValueError)

Outcome = tuple[list[Any], Any, Any]
Reading = Callable[[Any, list[Any]], Any]


def plain(value: Any) -> Any:
    """Make plain data of events and responses; the moment they were made and ids made up for them are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, {
            f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "timestamp"
        }
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return GENERATED.sub("made up", value) if isinstance(value, str) else value


def described(error: BaseException) -> Any:
    """Say what an error is, with what caused it."""
    cause = error.__cause__
    status = getattr(error, "status_code", None), getattr(error, "body", None)
    return type(error), str(error), status, cause and (type(cause), str(cause))


async def read_all(stream: Any, events: list[Any]) -> None:
    """Consume a stream, with a look at the response every now and then."""
    async for number in _numbered(stream, events):
        look(stream, events, number)


def look(stream: Any, events: list[Any], number: int) -> None:
    if number % 50 == 7:
        events.append(plain(stream.get()))


async def _numbered(stream: Any, events: list[Any]) -> AsyncIterator[int]:
    number = 0
    async for each in stream:
        events.append(plain(each))
        yield number
        number += 1


async def streamed(
    model: Model | InstrumentedModel, wanted: ModelRequestParameters, reading: Reading = read_all
) -> Outcome:
    """Stream an answer: the events, how it ended, and the response."""
    events: list[Any] = []
    stream = None
    try:
        async with model.request_stream([ModelRequest.user_text_prompt("hi")], None, wanted) as stream:
            await reading(stream, events)
    except RAISED as error:
        return events, described(error), stream and left_behind(stream)
    return events, None, left_behind(stream)


def left_behind(stream: Any) -> Any:
    """Take the response of a stream, or the error of asking for it."""
    try:
        return plain(stream.get())
    except TypeError as error:
        return described(error)


async def whole(model: Model, wanted: ModelRequestParameters) -> Any:
    """Ask for an answer at once."""
    try:
        return plain(await model.request([ModelRequest.user_text_prompt("hi")], None, wanted))
    except RAISED as error:
        return described(error)


def asked(recording: Recording) -> ModelRequestParameters:
    """What the agent that was recorded asked for."""
    definitions = [ToolDefinition(name=tool["function"]["name"]) for tool in recording.request.get("tools") or ()]
    schema = recording.request.get("response_format") or {}
    return ModelRequestParameters(
        function_tools=[d for d in definitions if d.name != "final_result"],
        output_tools=[d for d in definitions if d.name == "final_result"],
        output_mode="native" if schema.get("type") == "json_schema" else "text",
        output_object=OutputObjectDefinition(name="answer", json_schema={"type": "object"}) if schema else None,
    )


@pytest.mark.parametrize("wrap", [lambda m: m, InstrumentedModel], ids=["bare", "instrumented"])
@pytest.mark.parametrize("recording", STREAMED, ids=lambda r: r.name)
async def test_recorded_stream(recording: Recording, wrap: Callable[[Model], Any]) -> None:
    """Every recorded stream gives the same events, the same response on the way and at the end, and the same error."""
    wire, model, wanted = wire_of(recording), recording.model or MODEL, asked(recording)
    expected = await streamed(wrap(theirs(wire, model)), wanted)

    assert expected == await streamed(wrap(ours(wire, model)), wanted)


@pytest.mark.parametrize("recording", STREAMED, ids=lambda r: r.name)
async def test_recorded_stream_cut_anywhere(recording: Recording) -> None:
    """The same when the bytes come in pieces that know nothing of events."""
    text = b"".join(wire_of(recording).pieces)
    wire = Wire([text[at : at + 97] for at in range(0, len(text), 97)])
    model, wanted = recording.model or MODEL, asked(recording)
    expected = await streamed(theirs(wire, model), wanted)

    assert expected == await streamed(ours(wire, model), wanted)


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if not r.stream], ids=lambda r: r.name)
async def test_recorded_answer(recording: Recording) -> None:
    """Every recorded answer that was not streamed gives the same response, or the same error."""
    wire, model, wanted = wire_of(recording), recording.model or MODEL, asked(recording)
    expected = await whole(theirs(wire, model), wanted)

    assert expected == await whole(ours(wire, model), wanted)


def chunk(*deltas: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """Write a chunk with a choice for each delta."""
    choices = [{"index": i, "delta": delta, "finish_reason": finish} for i, delta in enumerate(deltas)]
    known = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1771434740, "model": MODEL}
    return event({**known, "choices": choices, **more})


def call(index: int, arguments: str | None = None, **more: Any) -> dict[str, Any]:
    """Write a fragment of a tool call."""
    return {"index": index, "function": {"name": more.pop("name", None), "arguments": arguments}, **more}


USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "queue_time": 0.1}
FIRST = chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"})
LAST = chunk({}, finish="stop", x_groq={"id": "req_1", "usage": USAGE}, usage=USAGE)
DONE = event("[DONE]")
REFUSED = {"message": "no", "type": "invalid_request_error", "code": "tool_use_failed", "failed_generation": ""}

# What no recording holds: other days' orders, other servers' habits, and what should not happen.
WIRES = {
    "nothing": [],
    "only done": [DONE],
    "no usage": [FIRST, chunk({"content": "a"}), chunk({}, finish="stop"), DONE],
    "usage twice": [FIRST, chunk({"content": "a"}, x_groq={"id": "r", "usage": USAGE}), LAST, DONE],
    "usage in a chunk without choices": [FIRST, chunk({"content": "a"}), chunk(usage=USAGE), LAST, DONE],
    "first chunk carries text": [chunk({"content": "a"}), chunk({"content": "b"}), LAST, DONE],
    "first chunk without a choice": [chunk(), chunk({"content": "b"}), LAST, DONE],
    "everything in one chunk": [
        FIRST,
        chunk({"reasoning": "r", "content": "c", "tool_calls": [call(0, "{}", name="f", id="c1")]}),
        chunk({"reasoning": "s", "content": "d"}),
        LAST,
        DONE,
    ],
    "reasoning that stops and goes on": [
        FIRST,
        chunk({"reasoning": "a"}),
        chunk({"reasoning": ""}),
        chunk({"content": "b"}),
        chunk({}),
        chunk({"reasoning": "c"}),
        chunk({"reasoning": "d"}),
        LAST,
        DONE,
    ],
    "thinking tags": [
        FIRST,
        *(chunk({"content": c}) for c in ("<think>", "a", "b", "</think>", "\n", "c")),
        LAST,
        DONE,
    ],
    "leading whitespace": [
        FIRST,
        chunk({"content": " "}),
        chunk({"content": "\n"}),
        chunk({"content": "a"}),
        LAST,
        DONE,
    ],
    "special tokens": [FIRST, *(chunk({"content": c}) for c in ("a<", "\u200d", "|im_start", "|>", "b")), LAST, DONE],
    "two calls interleaved": [
        FIRST,
        chunk({"tool_calls": [call(0, "", name="f", id="c1"), call(1, "", name="g", id="c2")]}),
        chunk({"tool_calls": [call(0, '{"a":')]}),
        chunk({"tool_calls": [call(1, '{"b":'), call(0, "1}")]}),
        chunk({"tool_calls": [call(1, "2}")]}),
        LAST,
        DONE,
    ],
    "a call whose name and id come late": [
        FIRST,
        chunk({"tool_calls": [{"index": 0, "function": None}]}),
        chunk({"tool_calls": [call(0, "{")]}),
        chunk({"tool_calls": [call(0, "}", name="f")]}),
        chunk({"tool_calls": [call(0, id="c1")]}),
        LAST,
        DONE,
    ],
    "text after a call": [
        FIRST,
        chunk({"tool_calls": [call(0, "{}", name="f", id="c1")]}),
        chunk({"content": "and"}),
        chunk({"content": " more"}, finish="length"),
        LAST,
        DONE,
    ],
    "two choices": [FIRST, chunk({"content": "a"}, {"content": "b"}), chunk({"content": "c"}), LAST, DONE],
    "ids that change": [FIRST, chunk({"content": "a"}, id="other"), chunk({"content": "b"}, id=""), LAST, DONE],
    "no choices at all": [FIRST, chunk({"content": "a"}, choices=None), LAST, DONE],
    "a choice without a delta": [FIRST, chunk(choices=[{"index": 0}]), LAST, DONE],
    "a delta that is null": [FIRST, chunk(choices=[{"index": 0, "delta": None}]), LAST, DONE],
    "text that is a number": [FIRST, chunk({"content": "a"}), chunk({"content": 5}), LAST, DONE],
    "a finish reason that is new": [FIRST, chunk({"content": "a"}, finish="tired"), LAST, DONE],
    "a list": [FIRST, event("[1, 2]"), LAST, DONE],
    "not JSON at first": [event("{oops"), LAST, DONE],
    "not JSON in the middle": [FIRST, chunk({"content": "a"}), event("{oops"), LAST, DONE],
    "not UTF-8": [FIRST, chunk({"content": "a"}), b'data: "\xff"\n\n', LAST, DONE],
    "an error at first": [event({"error": {"message": "busy", "code": "capacity_exceeded"}}, "error")],
    "an error in the middle": [FIRST, chunk({"content": "a"}), event({"error": {"message": "busy"}}, "error")],
    "an error without a message": [FIRST, chunk({"content": "a"}), event({"error": "busy"})],
    "a refused call": [
        FIRST,
        chunk({"reasoning": "a"}),
        event({"error": {**REFUSED, "failed_generation": '{"name": "f", "arguments": {"a": 1}}'}}, "error"),
    ],
    "a refused text": [FIRST, event({"error": {**REFUSED, "failed_generation": "not a call"}}, "error")],
    "cut before done": [FIRST, chunk({"content": "a"})],
}
TOOLS = ModelRequestParameters(function_tools=[ToolDefinition(name="f"), ToolDefinition(name="g")])
ANSWER = ModelRequestParameters(output_tools=[ToolDefinition(name="f")], output_mode="tool", allow_text_output=False)


@pytest.mark.parametrize("model", [MODEL, "llama-3.3-70b-versatile", "qwen/qwen3-32b"])
@pytest.mark.parametrize("wanted", [ModelRequestParameters(), TOOLS, ANSWER], ids=["text", "tools", "output tool"])
@pytest.mark.parametrize("pieces", WIRES.values(), ids=WIRES)
async def test_made_up_stream(pieces: list[bytes], wanted: ModelRequestParameters, model: str) -> None:
    """The same for streams that no recording shows, with every kind of model and of wanted answer."""
    wire = Wire(pieces)
    expected = await streamed(theirs(wire, model), wanted)

    assert expected == await streamed(ours(wire, model), wanted)


@pytest.mark.parametrize(
    "fault", [httpx.ReadError("gone"), httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut")]
)
@pytest.mark.parametrize("before", [0, 1, 2], ids=["at once", "after the first", "later"])
async def test_broken_connection(before: int, fault: Exception) -> None:
    """A connection that breaks becomes the same error, wherever it breaks."""
    wire = Wire([FIRST, chunk({"content": "a"})][:before], fault=fault)
    expected = await streamed(theirs(wire, MODEL), ModelRequestParameters())

    assert expected == await streamed(ours(wire, MODEL), ModelRequestParameters())


async def break_out(stream: Any, events: list[Any]) -> None:
    async for number in _numbered(stream, events):
        if number == 2:
            break


async def fail(stream: Any, events: list[Any]) -> None:
    async for number in _numbered(stream, events):
        if number == 2:
            raise json.JSONDecodeError("the consumer's own", "", 0)


async def cancel(stream: Any, events: list[Any]) -> None:
    async for number in _numbered(stream, events):
        if number == 2:
            await stream.cancel()


async def cancel_late(stream: Any, events: list[Any]) -> None:
    await read_all(stream, events)
    await stream.cancel()


async def not_at_all(stream: Any, events: list[Any]) -> None:
    events.append(plain(stream.get()))


@pytest.mark.parametrize("reading", [break_out, fail, cancel, cancel_late, not_at_all], ids=lambda r: r.__name__)
async def test_ways_out(reading: Reading) -> None:
    """Breaking out, failing, cancelling and never reading leave the same response behind, and the same error."""
    wire = Wire([FIRST, *[chunk({"content": f"{n} "}) for n in range(9)], LAST, DONE])
    expected = await streamed(theirs(wire, MODEL), ModelRequestParameters(), reading)

    assert expected == await streamed(ours(wire, MODEL), ModelRequestParameters(), reading)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json"])
async def test_answer_that_is_not_json(content_type: str) -> None:
    """A gateway's page instead of an answer becomes the same error."""
    wire = Wire([b"<html>"], content_type=content_type)
    expected = await whole(theirs(wire, MODEL), ModelRequestParameters())

    assert expected == await whole(ours(wire, MODEL), ModelRequestParameters())


async def test_usage_on_the_way() -> None:
    """Usage adds up with each chunk that carries it, and what was handed out before does not change."""
    pieces = [FIRST, chunk({"content": "a"}, x_groq={"id": "r", "usage": USAGE}), chunk({"content": "b"}), LAST, DONE]

    async def totals(stream: Any, events: list[Any]) -> None:
        seen = [stream.usage async for _ in stream]
        events.append(plain(seen))

    expected = await streamed(theirs(Wire(pieces), MODEL), ModelRequestParameters(), totals)
    found = await streamed(ours(Wire(pieces), MODEL), ModelRequestParameters(), totals)

    assert expected == found
    assert [each[1]["output_tokens"] for each in found[0][0]] == [3, 3, 3, 6]


async def test_pydantic_ai_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """This pydantic-ai is known; one that is built otherwise maps every chunk itself."""
    wire = Wire([FIRST, chunk({"content": "a"}), LAST, DONE])
    seen: list[Any] = []
    map_chunk = PydanticAIStreamedResponse._map_chunk
    monkeypatch.setattr(PydanticAIStreamedResponse, "_map_chunk", lambda *a: seen.append(a) or map_chunk(*a))
    known = await streamed(ours(wire, MODEL), ModelRequestParameters())

    assert len(seen) == 2
    monkeypatch.setattr(streamed_response, "_KNOWN", False)
    assert known == await streamed(ours(wire, MODEL), ModelRequestParameters())
    assert len(seen) == 2 + 3


async def test_it_is_pydantic_ais() -> None:
    """The streamed response is one of pydantic-ai's, with the fields the design names."""
    model = ours(Wire([FIRST, LAST, DONE]), MODEL)
    async with model.request_stream([ModelRequest.user_text_prompt("hi")], None, ModelRequestParameters()) as stream:
        assert isinstance(stream, GroqStreamedResponse)
        assert isinstance(stream, PydanticAIStreamedResponse)
        assert isinstance(model, GroqModel)
        names = {f.name for f in dataclasses.fields(stream)}
        assert {"_model_name", "_response", "_timestamp"} <= names
        assert (MODEL, stream._timestamp) == (stream.model_name, stream.timestamp)
