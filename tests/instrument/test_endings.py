"""Every way out of a request, sync and async: one ended span, its outcome, and what was seen until then."""

import contextlib
import gc
from typing import Any

import groq
import httpx
import pytest
from groq.types.chat import ChatCompletionChunk
from support.both import Mode, both, each_mode
from support.callers import whole
from support.endings import (
    ENDINGS,
    ERROR_LAST,
    TEXT,
    Case,
    check,
    iter_lines,
    lines_to_an_error,
    raw_stream,
    read_to_the_end,
    refused,
    run,
)
from support.scope import ASK, STREAM, Exported

from groqscope.simulator import (
    Answer,
    Chunk,
    Close,
    Cut,
    Delays,
    ErrorEvent,
    Failure,
    Raw,
    Reset,
    Simulator,
    ToolCall,
)

TOOLS = Answer(
    "Let me see", tool_calls=[ToolCall("weather", '{"city":"Rome"}'), ToolCall("time", ['{"city"', ':"Rome"}'])]
)


@both
async def read_with_anext(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    with contextlib.suppress(StopAsyncIteration):
        while True:
            await stream.__anext__()


@both
async def read_again_after_the_end(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    first = [chunk async for chunk in stream]
    assert first
    assert not [chunk async for chunk in stream]
    await stream.close()
    await stream.close()


@both
async def break_out_of_a_temporary(client: Any) -> Any:
    async for _ in await client.chat.completions.create(**STREAM):
        break


@both
async def break_after_the_finish_reason(client: Any) -> Any:
    async for chunk in await client.chat.completions.create(**STREAM):
        if chunk.choices[0].finish_reason:
            break


@both
async def with_and_read(client: Any) -> Any:
    async with await client.chat.completions.create(**STREAM) as stream:
        return [chunk async for chunk in stream]


@both
async def with_and_finish_reason(client: Any) -> Any:
    async with await client.chat.completions.create(**STREAM) as stream:
        async for chunk in stream:
            if chunk.choices[0].finish_reason:
                break


@both
async def never_iterated_but_closed(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    await stream.close()


@both
async def exception_inside_with(client: Any) -> Any:
    async with await client.chat.completions.create(**STREAM) as stream:
        async for _ in stream:
            raise LookupError("the caller's own")


@both
async def dropped_inside_a_cycle(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    async for _ in stream:
        break
    cycle: list[Any] = [stream]
    cycle.append(cycle)
    del stream, cycle
    gc.collect()


@both
async def ask_for_usage(client: Any) -> Any:
    options = {"stream_options": {"include_usage": True}}
    chunks = [chunk async for chunk in await client.chat.completions.create(**STREAM, extra_body=options)]
    assert not chunks[-1].choices
    assert chunks[-1].usage is not None


@both
async def raw_never_parsed(client: Any) -> Any:
    raw = await client.chat.completions.with_raw_response.create(**ASK)
    return raw.headers


@both
async def raw_stream_of_another_class(client: Any) -> Any:
    raw = await client.chat.completions.with_raw_response.create(**STREAM)
    stream = await raw.parse(to=groq.AsyncStream[ChatCompletionChunk])
    return [chunk async for chunk in stream]


@both
async def raw_stream_closed(client: Any) -> Any:
    raw = await client.chat.completions.with_raw_response.create(**STREAM)
    await raw.http_response.aclose()


@both
async def raw_stream_parsed_and_dropped(client: Any) -> Any:
    raw = await client.chat.completions.with_raw_response.create(**STREAM)
    await raw.parse()


@both
async def raw_stream_dropped(client: Any) -> Any:
    await client.chat.completions.with_raw_response.create(**STREAM)
    gc.collect()


@both
async def iter_bytes(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return [piece async for piece in response.iter_bytes(7)]


@both
async def iter_text(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return [text async for text in response.iter_text()]


@both
async def iter_lines_and_break(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        async for _ in response.iter_lines():
            break


@both
async def streaming_parsed(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return [chunk async for chunk in await response.parse()]


@both
async def streaming_read(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        assert (await response.read()).endswith(b"data: [DONE]\n\n")


@both
async def streaming_never_read(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        assert response.status_code == 200


@both
async def streaming_whole_json(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert await response.json()


@both
async def streaming_whole_never_read(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**ASK):
        pass


@both
async def with_options(client: Any) -> Any:
    return [chunk async for chunk in await client.with_options(timeout=5).chat.completions.create(**STREAM)]


@both
async def copy(client: Any) -> Any:
    return await client.copy(max_retries=0).chat.completions.create(**ASK)


class OwnStream(groq.Stream[ChatCompletionChunk]):
    """A stream class of the caller's."""


class OwnAsyncStream(groq.AsyncStream[ChatCompletionChunk]):
    """A stream class of the caller's."""


@both
async def own_stream_class(client: Any) -> Any:
    kind: Any = OwnStream if type(client).__name__ == "Groq" else OwnAsyncStream
    stream = await client.post(
        "/openai/v1/chat/completions", cast_to=ChatCompletionChunk, body=STREAM, stream=True, stream_cls=kind
    )
    assert type(stream) is kind
    return [chunk async for chunk in stream]


@both
async def own_stream_class_and_close(client: Any) -> Any:
    kind: Any = OwnStream if type(client).__name__ == "Groq" else OwnAsyncStream
    stream = await client.post(
        "/openai/v1/chat/completions", cast_to=ChatCompletionChunk, body=STREAM, stream=True, stream_cls=kind
    )
    async for _ in stream:
        break
    await stream.close()


@both
async def posted_for_httpx(client: Any) -> Any:
    response = await client.post("/openai/v1/chat/completions", cast_to=httpx.Response, body=ASK)
    assert isinstance(response, httpx.Response)


CASES = [
    *ENDINGS,
    Case(read_with_anext, "completed", chunks=5, usage=True),
    Case(read_again_after_the_end, "completed", chunks=5, usage=True),
    Case(break_out_of_a_temporary, "abandoned", chunks=1),
    Case(break_after_the_finish_reason, "completed", chunks=5, usage=True),
    Case(with_and_read, "completed", chunks=5, usage=True),
    Case(with_and_finish_reason, "completed", chunks=5, usage=True),
    Case(never_iterated_but_closed, "closed", chunks=-1),
    Case(exception_inside_with, "closed", chunks=1, raises="LookupError"),
    Case(dropped_inside_a_cycle, "abandoned", chunks=1),
    # what the answer holds
    Case(ask_for_usage, "completed", Answer(["a", "b"], usage_in=["include_usage"]), chunks=5, usage=True),
    Case(ask_for_usage, "completed", Answer(["a", "b"]), chunks=5, usage=True, name="usage_twice"),
    Case(
        read_to_the_end,
        "completed",
        TOOLS,
        usage=True,
        check=lambda r: (
            [(c.name, c.deltas, c.arguments_valid) for c in r.tool_calls] == [("weather", 1, True), ("time", 2, True)]
        ),
        name="streamed_tools",
    ),
    Case(
        iter_lines,
        "completed",
        TOOLS,
        usage=True,
        check=lambda r: [c.name for c in r.tool_calls] == ["weather", "time"],
        name="streamed_tools_as_lines",
    ),
    Case(
        whole,
        "completed",
        TOOLS,
        chunks=-1,
        usage=True,
        check=lambda r: [(c.name, c.assembly_ns) for c in r.tool_calls] == [("weather", None), ("time", None)],
        name="tools_whole",
    ),
    # errors in the stream
    Case(
        with_and_read,
        "error",
        Answer(["a", "b"], ending=ErrorEvent(2, named=False)),
        "tool_use_failed",
        chunks=2,
        raises="APIError",
        name="error_in_data",
    ),
    Case(
        lines_to_an_error,
        "error",
        Answer(["a", "b"], ending=ErrorEvent(2, named=False)),
        "tool_use_failed",
        chunks=2,
        name="lines_to_an_error_in_data",
    ),
    Case(
        read_to_the_end,
        "error",
        Answer(chunks=[Chunk("a"), Chunk("b"), Raw(b'data: "\xff"\n\n')]),
        "UnicodeDecodeError",
        chunks=2,
        usage=True,
        raises="UnicodeDecodeError",
        name="invalid_utf8",
    ),
    Case(
        read_to_the_end,
        "error",
        Answer(["a", "b"], ending=Cut(2)),
        "RemoteProtocolError",
        chunks=2,
        raises="RemoteProtocolError",
        name="cut",
    ),
    Case(
        iter_bytes,
        "error",
        Answer(["a", "b"], ending=Cut(2)),
        "RemoteProtocolError",
        chunks=2,
        raises="RemoteProtocolError",
        name="cut_under_bytes",
    ),
    Case(
        read_to_the_end,
        "error",
        Answer(["a", "b"], ending=Reset(2), delays=Delays(at={2: 0.02})),
        "ReadError",
        raises="ReadError",
        name="reset",
    ),
    # errors before the stream
    *(
        refused(scenario, status, error)
        for scenario in (read_to_the_end, whole)
        for status, error in (
            (400, "400"),
            (401, "invalid_api_key"),
            (404, "model_not_found"),
            (413, "rate_limit_exceeded"),
            (429, "rate_limit_exceeded"),
            (498, "capacity_exceeded"),
            (500, "500"),
            (503, "service_unavailable"),
        )
        if (scenario, status) not in {(whole, 401), (read_to_the_end, 429), (whole, 503)}
    ),
    Case(
        read_to_the_end,
        "error",
        Close(),
        "APIConnectionError",
        None,
        chunks=-1,
        raises="APIConnectionError",
        client={"max_retries": 0},
        name="closed_before_headers",
    ),
    Case(
        whole,
        "error",
        Reset(),
        "APIConnectionError",
        None,
        chunks=-1,
        raises="APIConnectionError",
        client={"max_retries": 0},
        name="reset_before_headers",
    ),
    # attempts
    *(
        Case(
            scenario,
            "completed",
            [Failure(429, retry_after=0.01), Failure(429, retry_after=0.01), TEXT],
            usage=True,
            chunks=5 if scenario is read_to_the_end else -1,
            check=lambda r: (
                [a.status for a in r.attempts] == [429, 429, 200]
                and [a.retry_after for a in r.attempts] == [0.01, 0.01, None]
                and all((a.backoff_ns or 0) >= 9_000_000 for a in r.attempts[:2])
            ),
            name=f"{scenario.name}_429_429_200",
        )
        for scenario in (read_to_the_end, whole)
    ),
    Case(
        whole,
        "error",
        [Failure(429, retry_after=0.01)],
        "rate_limit_exceeded",
        429,
        chunks=-1,
        raises="RateLimitError",
        check=lambda r: [a.error_type for a in r.attempts] == ["rate_limit_exceeded"] * 3,
        name="429_until_retries_are_spent",
    ),
    # raw and streaming responses
    Case(raw_never_parsed, "completed", chunks=-1, usage=True),
    Case(raw_stream_of_another_class, "completed", chunks=5, usage=True),
    Case(raw_stream_closed, "closed", chunks=-1),
    Case(raw_stream_parsed_and_dropped, "abandoned", chunks=-1),
    Case(raw_stream_dropped, "abandoned", chunks=-1),
    Case(iter_bytes, "completed", chunks=5, usage=True),
    Case(iter_text, "completed", chunks=5, usage=True),
    Case(iter_lines_and_break, "closed", chunks=1),
    Case(streaming_parsed, "completed", chunks=5, usage=True),
    Case(streaming_read, "completed", chunks=5, usage=True),
    Case(streaming_never_read, "closed", chunks=-1),
    Case(streaming_whole_json, "completed", chunks=-1, usage=True),
    Case(streaming_whole_never_read, "closed", chunks=-1),
    Case(with_options, "completed", chunks=5, usage=True),
    Case(copy, "completed", chunks=-1, usage=True),
    Case(own_stream_class, "completed", chunks=5, usage=True),
    Case(own_stream_class_and_close, "closed", chunks=1),
    *(
        Case(
            scenario,
            "error",
            ERROR_LAST,
            "tool_use_failed",
            chunks=2,
            raises="APIError",
            name=f"{scenario.name}_with_an_error",
        )
        for scenario in (own_stream_class, raw_stream_of_another_class, raw_stream, streaming_parsed)
    ),
    Case(
        iter_lines,
        "error",
        Failure(401),
        "invalid_api_key",
        401,
        chunks=-1,
        raises="AuthenticationError",
        name="iter_lines_401",
    ),
    Case(posted_for_httpx, "completed", chunks=-1, usage=True),
]


@each_mode
@pytest.mark.parametrize("case", CASES, ids=str)
def test_way_out(case: Case, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """One ended span, with the outcome, the status, the error, and usage and chunks until then; phases that add up."""
    sim.play(case.script)
    raised = run(case, exported.client(mode, sim.base_url, **case.client), mode)
    record, span = exported.only()

    check(case, raised, record, span)
