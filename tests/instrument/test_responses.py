"""The Responses API, which Groq serves too: records as of chat completions, and the caller's objects as they were."""

import contextlib
import json
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from openai.types.responses import Response
from pydantic import BaseModel
from support.both import Mode, both, each_mode
from support.json_bytes import values
from support.openai_clients import LIBRARIES, each_library, observed, openai_client, run, wire
from support.scope import MODEL, Exported, Pieces, groq_client

import groqscope
from groqscope import RequestRecord, record_of
from groqscope.codec import decode, encode
from groqscope.instrument import responses
from groqscope.simulator import (
    Answer,
    Cut,
    ErrorEvent,
    Failure,
    Playable,
    Simulator,
    ToolCall,
    Truncated,
    Usage,
)
from groqscope.telemetry import ContentPolicy
from groqscope.timeline import Timeline

ASK: dict[str, Any] = {"model": MODEL, "input": "Hello?"}
CALLS = [ToolCall("weather", ['{"city":', '"Rome"}'], id="a"), ToolCall("time", "{}", id="b")]
ALL = Answer(
    ["Hel", "lo"],
    reasoning=["Well", " now"],
    tool_calls=CALLS,
    executed_tools=[{"index": 0, "type": "python", "arguments": "1+1", "output": "2"}],
    usage=Usage(prompt_tokens=70, completion_tokens=30, cached_tokens=64, reasoning_tokens=12),
    request_id="req_1",
    response_id="resp_1",
)


@both
async def stream(client: Any) -> Any:
    return [event async for event in await client.responses.create(**ASK, stream=True)]


@both
async def helper(client: Any) -> Any:
    async with client.responses.stream(**ASK) as events:
        return [event async for event in events]


@both
async def whole(client: Any) -> Any:
    return await client.responses.create(**ASK)


@both
async def raw(client: Any) -> Any:
    return (await client.responses.with_raw_response.create(**ASK)).parse()


@both
async def raw_stream(client: Any) -> Any:
    return [event async for event in (await client.responses.with_raw_response.create(**ASK, stream=True)).parse()]


@both
async def lines(client: Any) -> Any:
    async with client.responses.with_streaming_response.create(**ASK, stream=True) as response:
        return [line async for line in response.iter_lines()]


@both
async def streaming_whole(client: Any) -> Any:
    async with client.responses.with_streaming_response.create(**ASK) as response:
        return await response.parse()


@both
async def break_off(client: Any) -> Any:
    async with await client.responses.create(**ASK, stream=True) as events:
        async for event in events:
            if event.type == "response.output_text.delta":
                break


@both
async def stop_at_the_end(client: Any) -> Any:
    async for event in await client.responses.create(**ASK, stream=True):
        if event.type == "response.completed":
            break


STREAMED = [stream, helper, raw_stream, lines]
WHOLE = [whole, raw, streaming_whole]


@each_mode
@each_library
@pytest.mark.parametrize("scenario", [*STREAMED, *WHOLE], ids=lambda scenario: scenario.name)
def test_a_response(scenario: Any, library: Any, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Streamed or whole, however it is read: identity, tokens, cost, tools and the reason of the end."""
    sim.play(ALL)
    run(mode, scenario, observed(exported, mode, sim, library))
    record, span = exported.only()
    usage = record.usage

    assert (record.outcome, record.operation, record.model) == ("completed", "chat", ASK["model"])
    assert (record.request_id, record.response_id, record.response_model) == ("req_1", "resp_1", ASK["model"])
    assert record.created
    assert record.response_service_tier == "default"
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (70, 30, 64, 12)
    assert (record.cost, bool(record.cost_estimate)) == (None, True)  # a tool that Groq ran is billed beside the tokens
    assert record.finish_reasons == ("tool_calls",)
    assert [(c.index, c.id, c.name, c.arguments_size, c.arguments_valid) for c in record.tool_calls] == [
        (0, "a", "weather", 15, True),
        (1, "b", "time", 2, True),
    ]
    assert [(tool.index, tool.type) for tool in record.executed_tools] == [(1, "code_interpreter")]
    assert record.phases.total() == record.duration_ns
    assert (span.attributes or {})["gen_ai.provider.name"] == "groq"
    if scenario in STREAMED:
        assert (record.chunks, record.content_chunks) == (28, 9)
        assert record.first_token_read_ns or record.ttft_ns
    else:
        assert record.chunks is None


BROKEN = "APIConnectionError" if len(LIBRARIES) > 1 else "RemoteProtocolError"
"""openai 2.0 raises what the HTTP library does."""
ENDINGS: list[tuple[str, Any, Playable, str, str | None, tuple[str, ...], bool]] = [
    ("stopped", stream, Answer("a b"), "completed", None, ("stop",), True),
    ("whole", whole, Answer("a b"), "completed", None, ("stop",), True),
    ("cut short", stream, Answer("a", finish_reason="length"), "completed", None, ("length",), True),
    ("whole, cut short", whole, Answer("a", finish_reason="length"), "completed", None, ("length",), True),
    ("filtered", stream, Answer("a", finish_reason="content_filter"), "completed", None, ("content_filter",), True),
    ("left", break_off, Answer("a b"), "closed", None, (), False),
    ("left at the end", stop_at_the_end, Answer("a b"), "completed", None, ("stop",), True),
    ("truncated", stream, Answer("a b", ending=Truncated(2)), "truncated", None, (), False),
    ("lines, truncated", lines, Answer("a b", ending=Truncated(2)), "truncated", None, (), False),
    ("broken", stream, Answer("a b", ending=Cut(2)), "error", BROKEN, (), False),
    ("error", stream, Answer("a b", ending=ErrorEvent(2)), "truncated", None, (), False),
    ("lines, error", lines, Answer("a b", ending=ErrorEvent(2)), "truncated", None, (), False),
    ("429", whole, Failure(429), "error", "rate_limit_exceeded", (), False),
    ("401", stream, Failure(401), "error", "invalid_api_key", (), False),
]


@each_mode
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending[0])
def test_how_it_ends(ending: Any, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """The words of chat completions; an event of an error, which the SDK does not raise, says why it broke off."""
    name, scenario, script, outcome, error, reasons, usage = ending
    sim.play(script)
    with contextlib.suppress(openai.APIError, httpx.HTTPError):
        run(mode, scenario, observed(exported, mode, sim, max_retries=0))
    record, _ = exported.only()

    assert (record.outcome, record.error_type, record.finish_reasons) == (outcome, error, reasons)
    assert record.stream_error == ("tool_use_failed" if name.endswith("error") else None)
    assert (record.usage.output_tokens is not None) is usage
    assert record.phases.total() == record.duration_ns


@each_mode
def test_a_failed_response(mode: Mode, exported: Exported) -> None:
    """The code is kept; not the message, which may repeat what was asked."""
    failed = {"id": "r", "status": "failed", "output": [], "error": {"code": "server_error", "message": "Hello?"}}
    event = b"event: response.failed\ndata: " + json.dumps({"type": "response.failed", "response": failed}).encode()

    def answer(request: Any) -> httpx.Response:
        if json.loads(request.content).get("stream"):
            return httpx.Response(
                200, headers={"content-type": "text/event-stream"}, stream=Pieces([event[:40], event[40:] + b"\n\n"])
            )
        return httpx.Response(200, json=failed)

    for scenario in (stream, whole):
        client = openai_client(mode, library=httpx, http=wire(httpx, answer))
        run(mode, scenario, groqscope.instrument(client, **exported.providers))

    assert [(r.outcome, r.stream_error) for r in exported.records] == [
        ("truncated", "server_error"),
        ("completed", "server_error"),
    ]
    assert not any("Hello?" in str(span.attributes) for span in exported.spans)


@each_mode
def test_the_callers_objects(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Events and responses equal those of a client that is not observed; the record is found by them."""
    sim.play(ALL)
    base_url = f"{sim.base_url}/openai/v1"

    def plain(events: list[Any]) -> list[Any]:
        changing = ("item_id", "id", "created_at")
        shown = [json.loads(event.model_dump_json(warnings=False)) for event in events]
        for event in shown:
            for part in (event, event.get("item") or {}, event.get("response") or {}):
                for name in changing:
                    part.pop(name, None)
            for item in (event.get("response") or {}).get("output", ()):
                item.pop("id", None)
        return [(type(event), told) for event, told in zip(events, shown, strict=True)]

    assert plain(run(mode, stream, observed(exported, mode, sim))) == plain(
        run(mode, stream, openai_client(mode, base_url))
    )
    for scenario in WHOLE:
        answer = run(mode, scenario, observed(exported, mode, sim))
        assert type(answer) is Response
        assert isinstance(record_of(answer), RequestRecord), scenario.name


class Greeting(BaseModel):
    """What is parsed."""

    text: str


@both
async def parsed(client: Any) -> Any:
    answer = await client.responses.parse(**ASK, text_format=Greeting)
    assert answer.output_parsed == Greeting(text="hi")


@each_mode
def test_parse(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """A structured answer; what was asked is in the record."""
    sim.play(Answer('{"text":"hi"}'))
    run(mode, parsed, observed(exported, mode, sim))
    record, _ = exported.only()

    assert (record.outcome, record.output_type) == ("completed", "json")


@both
async def asking_for_all(client: Any) -> Any:
    tool = {"type": "function", "name": "weather", "description": "canary-tool", "parameters": {}, "strict": False}
    await client.responses.create(
        model="m",
        instructions="canary-system",
        input=[
            {"role": "user", "content": "canary-user"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "canary-part"},
                    {"type": "input_image", "image_url": "https://x.test/canary-image.png", "detail": "auto"},
                ],
            },
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"q":"canary-asked"}'},
            {"type": "function_call_output", "call_id": "c", "output": "canary-found"},
        ],
        tools=[tool],
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.25,
        reasoning={"effort": "low"},
        service_tier="auto",
        stream=True,
    )


@both
async def and_reading(client: Any) -> Any:
    async for _ in await client.responses.create(model="m", input="canary-user", stream=True):
        pass


def test_what_was_asked(sim: Simulator, exported: Exported) -> None:
    """The parameters are those of the record."""
    sim.play(Answer("a"))
    run("sync", asking_for_all, observed(exported, "sync", sim))
    record, span = exported.only()

    assert (record.max_tokens, record.temperature, record.top_p) == (100, 0.5, 0.25)
    assert (record.tools, record.messages, record.reasoning_effort) == (1, 5, "low")
    assert record.request_service_tier == "auto"
    assert record.stream
    assert "canary" not in str(span.attributes)


@pytest.mark.parametrize("scenario", [and_reading, lines, whole], ids=lambda scenario: scenario.name)
def test_content(scenario: Any, sim: Simulator, exported: Exported) -> None:
    """Where content is recorded, it is in the form of the conventions: the question, reasoning, text and calls."""
    exported.options["content"] = ContentPolicy(spans=True)
    sim.play(ALL)
    run("sync", scenario, observed(exported, "sync", sim))
    (answer,) = json.loads(str((exported.only()[1].attributes or {})["gen_ai.output.messages"]))

    assert answer["finish_reason"] == "tool_calls"
    assert [part.get("content") or part.get("arguments") for part in answer["parts"]] == [
        "Well now",
        "Hello",
        '{"city":"Rome"}',
        "{}",
    ]


def test_content_of_the_request(sim: Simulator, exported: Exported) -> None:
    """Instructions, messages, an image, a call, its result and the tools."""
    exported.options["content"] = ContentPolicy(spans=True)
    sim.play(Answer("a"))
    run("sync", asking_for_all, observed(exported, "sync", sim))
    told = exported.only()[1].attributes or {}

    assert "canary-system" in str(told["gen_ai.system_instructions"])
    assert "canary-tool" in str(told["gen_ai.tool.definitions"])
    for canary in ("canary-user", "canary-part", "canary-image", "canary-asked", "canary-found"):
        assert canary in str(told["gen_ai.input.messages"])


def test_the_wait_ends_with_the_first_token() -> None:
    """The events before it, which announce the response and its items, do not end it."""
    timeline = Timeline(0, 0, {"operation": "chat", "stream": True})
    observe = responses.EventObserver(timeline)
    observe({"type": "response.created", "response": {"id": "r"}}, 10)
    observe({"type": "response.output_item.added", "item": {"type": "message"}}, 20)
    assert timeline.record(25).stream_start_ns is None
    observe({"type": "response.output_text.delta", "delta": "a"}, 30)

    assert timeline.record(40).stream_start_ns == 30


@both
async def by_groqs_sdk(client: Any) -> Any:
    return await client.post("/openai/v1/responses", cast_to=object, body=ASK)


@each_mode
def test_groqs_own_sdk_asks_too(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """It has no method for the Responses API, but asks any endpoint by its path."""
    sim.play(ALL)
    client = groqscope.instrument(groq_client(mode, sim.base_url), **exported.providers)
    assert run(mode, by_groqs_sdk, client)["id"] == "resp_1"
    record, _ = exported.only()

    assert (record.operation, record.usage.output_tokens, len(record.tool_calls)) == ("chat", 30, 2)


@given(event=values, more=values)
def test_any_event_gives_a_record_that_can_be_written(event: Any, more: Any) -> None:
    """Whatever a server sends, observing does not raise, and the record survives its way through JSON."""
    timeline = Timeline(0, 0, {"operation": "chat", "stream": True})
    observe = responses.EventObserver(timeline)
    for kind in (*sorted(responses.EVENTS), "response.created", "error", event):
        for item in (event, {"type": "function_call", "arguments": more, "call_id": event}, {"type": more}):
            told = {"type": kind, "delta": more, "item": item, "output_index": event, "code": more}
            observe({**told, "response": {"status": "completed", "usage": more, "created_at": event}}, 5)
    responses.observe_response(timeline, event, 6)
    responses.observe_response(timeline, {"output": more, "status": "failed", "error": event}, 6)
    record = timeline.record(9, "completed")
    attributes, events = json.loads(json.dumps(encode(record)))
    span = {"start_unix_ns": 0, "duration_ns": 9, "trace_id": None, "span_id": None, "nested": False, "service": None}

    assert decode(attributes, [(name, told, at) for name, at, told in events], **span) == record


@given(body=values)
def test_any_body_can_be_asked(body: Any) -> None:
    """Bodies are the caller's: nothing in them makes observing fail."""
    names = ("input", "instructions", "tools", "text", "reasoning", "temperature", "max_output_tokens", "service_tier")
    bodies: list[dict[str, Any]] = [dict.fromkeys(names, body), {"input": [body, {"content": [body]}], "tools": [body]}]
    for given_body in bodies:
        responses.asked({}, given_body)
        responses.as_chat(given_body)
