"""Ways out of a request that both SDKs have: scenarios, and what the record of each must say."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from groqscope import RequestRecord
from groqscope.simulator import Answer, Chunk, ErrorEvent, Failure, Hang, Playable, Raw, Truncated
from support.both import Both, Mode, both
from support.callers import whole
from support.scope import ASK, MODEL, STREAM

TEXT = Answer(["Hel", "lo", " you"])
"""Five chunks: the role, three texts, the end with usage."""
ERROR_LAST = Answer(["a", "b"], ending=ErrorEvent(2))


@dataclass
class Case:
    """A scenario and what its record must say."""

    scenario: Both
    outcome: str
    script: Playable = TEXT
    error: str | None = None
    status: int | None = 200
    chunks: int | None = None
    """`None`: at least one, not checked further; -1: there are none."""
    usage: bool = False
    """Whether usage came."""
    raises: str | None = None
    """A pattern of the exception's name, or of a base's; each SDK and HTTP library has classes of its own."""
    client: dict[str, Any] = field(default_factory=dict[str, Any])
    check: Callable[[RequestRecord], bool] = lambda _: True
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.scenario.name


@both
async def parsed_of(raw: Any) -> Any:
    """Parse a raw response, which for one SDK is a coroutine and for the other is not."""
    parsed = raw.parse()
    return await parsed if inspect.isawaitable(parsed) else parsed


@both
async def read_to_the_end(client: Any) -> Any:
    return [chunk async for chunk in await client.chat.completions.create(**STREAM)]


@both
async def break_out(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    async for _ in stream:
        break
    del stream


@both
async def with_and_break(client: Any) -> Any:
    async with await client.chat.completions.create(**STREAM) as stream:
        async for _ in stream:
            break


@both
async def close_early(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    async for _ in stream:
        await stream.close()
        break
    await stream.close()


@both
async def close_the_response(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    async for _ in stream:
        break
    await stream.response.aclose()


@both
async def never_iterated(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    assert stream.response.status_code == 200
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    del stream


@both
async def exception_in_the_loop(client: Any) -> Any:
    async for _ in await client.chat.completions.create(**STREAM):
        raise LookupError("the caller's own")


@both
async def raw_and_parsed(client: Any) -> Any:
    raw = await client.chat.completions.with_raw_response.create(**ASK)
    assert raw.status_code == 200
    parsed = await parsed_of.asynchronous(raw)
    assert parsed.choices[0].message.content == "Hello you"
    return raw


@both
async def raw_stream(client: Any) -> Any:
    raw = await client.chat.completions.with_raw_response.create(**STREAM)
    stream = await parsed_of.asynchronous(raw)
    return [chunk async for chunk in stream]


@both
async def iter_lines(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        lines = [line async for line in response.iter_lines()]
    assert lines[-2] == "data: [DONE]"


@both
async def lines_to_a_truncated_end(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return [line async for line in response.iter_lines()]


@both
async def lines_to_an_error(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        lines = [line async for line in response.iter_lines()]
    assert "tool_use_failed" in lines[-2]


@both
async def streaming_whole_parsed(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert (await response.parse()).choices[0].message.content == "Hello you"


def refused(scenario: Both, status: int, error: str) -> Case:
    """A request that gets an error status, and is not tried again."""
    return Case(
        scenario,
        "error",
        Failure(status),
        error,
        status,
        chunks=-1,
        raises="APIStatusError",
        client={"max_retries": 0},
        name=f"{scenario.name}_{status}",
    )


ENDINGS = [
    Case(read_to_the_end, "completed", chunks=5, usage=True),
    Case(read_to_the_end, "completed", Answer(["a"], usage=None), chunks=3, name="no_usage"),
    Case(break_out, "abandoned", chunks=1),
    Case(with_and_break, "closed", chunks=1),
    Case(close_early, "closed", chunks=1),
    Case(close_the_response, "closed", chunks=1),
    Case(never_iterated, "abandoned", chunks=-1),
    Case(exception_in_the_loop, "abandoned", chunks=1, raises="LookupError"),
    Case(whole, "completed", chunks=-1, usage=True),
    Case(raw_and_parsed, "completed", chunks=-1, usage=True),
    Case(raw_stream, "completed", chunks=5, usage=True),
    Case(iter_lines, "completed", chunks=5, usage=True),
    Case(streaming_whole_parsed, "completed", chunks=-1, usage=True),
    Case(read_to_the_end, "truncated", Answer(["a", "b"], ending=Truncated(2)), chunks=2, name="truncated"),
    Case(lines_to_a_truncated_end, "truncated", Answer(["a", "b"], ending=Truncated(2)), chunks=2),
    Case(read_to_the_end, "error", ERROR_LAST, "tool_use_failed", chunks=2, raises="APIError", name="error_event"),
    Case(lines_to_an_error, "error", ERROR_LAST, "tool_use_failed", chunks=2),
    Case(
        read_to_the_end,
        "error",
        Answer(chunks=[Chunk("a"), Chunk("b"), Raw(b"data: {oops\n\n")]),
        "JSONDecodeError",
        chunks=2,
        usage=True,
        raises="ValueError",
        name="invalid_json",
    ),
    Case(
        read_to_the_end,
        "error",
        Answer(["a", "b"], ending=Hang(2)),
        "timeout",
        chunks=2,
        raises="ReadTimeout|APITimeoutError",
        client={"timeout": 0.5},
        name="read_timeout_in_the_stream",
    ),
    Case(
        read_to_the_end,
        "error",
        Hang(),
        "timeout",
        None,
        chunks=-1,
        raises="APITimeoutError",
        client={"max_retries": 0, "timeout": 0.05},
        name="timeout_before_headers",
    ),
    *(
        refused(scenario, status, error)
        for scenario, status, error in (
            (whole, 401, "invalid_api_key"),
            (read_to_the_end, 429, "rate_limit_exceeded"),
            (whole, 503, "service_unavailable"),
        )
    ),
]


def run(case: Case, client: Any, mode: Mode) -> BaseException | None:
    """Run a scenario and close its client; return the exception that the case expects."""
    try:
        _with_client(mode, case.scenario, client)
    except Exception as error:
        expected = re.compile(case.raises or "nothing")
        if not any(expected.fullmatch(kind.__name__) for kind in type(error).__mro__):
            raise
        # As a program that has dealt with the error: nothing of the scenario is kept alive.
        return error.with_traceback(None)
    return None


@both
async def _with_client(scenario: Both, client: Any) -> Any:
    async with client:
        return await scenario.asynchronous(client)


def check(case: Case, raised: BaseException | None, record: RequestRecord, span: ReadableSpan) -> None:
    """Hold what a case raised and recorded against what it must."""
    assert (raised is None) == (case.raises is None), raised
    assert (record.outcome, record.error_type, record.status) == (case.outcome, case.error, case.status)
    assert span.status.status_code is (StatusCode.ERROR if case.outcome == "error" else StatusCode.UNSET)
    assert (span.attributes or {}).get("error.type") == case.error
    if case.chunks is None:
        assert record.chunks
    else:
        assert record.chunks == (None if case.chunks < 0 else case.chunks)
    assert (record.usage.input_tokens is not None) is case.usage
    assert record.phases.total() == record.duration_ns
    assert record.model == MODEL
    assert case.check(record), record
