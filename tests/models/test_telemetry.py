"""What an agent's requests look like in telemetry: one inference, one record, tokens and money counted once."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.groq import GroqModel as PydanticAIModel
from pydantic_ai.providers.groq import GroqProvider
from support.agents import GPT, LLAMA, By, Stage, stage

from groqscope import semconv
from groqscope.simulator import Answer, Delays, ErrorEvent, Failure, Hang, Simulator, ToolCall

Use = Callable[[Agent[None, Any]], Awaitable[Any]]

WEATHER = ToolCall("get_weather", '{"city":"Oslo"}')
TIME = ToolCall("get_time", '{"zone":"UTC"}')
TWO_TOOLS = [Answer(tool_calls=[WEATHER, TIME], request_id="req_1"), Answer("it rains at noon", request_id="req_2")]
SAID = "it rains at noon"


class Place(BaseModel):
    """What a structured answer looks like."""

    city: str


async def run(agent: Agent[None, Any]) -> Any:
    return (await agent.run("hi")).output


async def run_stream(agent: Agent[None, Any]) -> Any:
    async with agent.run_stream("hi") as result:
        return "".join([text async for text in result.stream_text(delta=True, debounce_by=None)])


async def run_stream_events(agent: Agent[None, Any]) -> Any:
    async with agent.run_stream_events("hi") as events:
        last: Any = [event async for event in events][-1]
        return last.result.output


async def iterate(agent: Agent[None, Any]) -> Any:
    async with agent.iter("hi") as steps:
        async for _ in steps:
            pass
    return steps.result.output


async def iterate_streaming(agent: Agent[None, Any]) -> Any:
    async with agent.iter("hi") as steps:
        async for node in steps:
            if Agent.is_model_request_node(node):
                async with node.stream(steps.ctx) as stream:
                    async for _ in stream:
                        pass
    return steps.result.output


USES = pytest.mark.parametrize(
    "use", [run, run_stream, run_stream_events, iterate, iterate_streaming], ids=lambda f: f.__name__
)
INSTRUMENTED = pytest.mark.parametrize("on_stage", ["pydantic-ai", "logfire"], indirect=True)
ANYBODY = pytest.mark.parametrize("on_stage", ["nobody", "pydantic-ai", "logfire"], indirect=True)
BARE = pytest.mark.parametrize("on_stage", ["nobody"], indirect=True)


@pytest.fixture
async def on_stage(request: pytest.FixtureRequest, sim: Simulator) -> AsyncIterator[Stage]:
    by: By = request.param
    async with stage(by, sim) as made:
        yield made


def check_nested(on: Stage, inferences: int, requests: int | None = None) -> None:
    """So many inference spans, all pydantic-ai's, and under them a record for each request, which is no inference."""
    chats, spans = on.chats, on.exported.record_spans

    assert [inferences, {"pydantic-ai"}] == [len(chats), {s.instrumentation_scope.name for s in chats}]
    assert (requests or inferences) == len(spans) == len(on.served)
    for span in spans:
        assert span.kind is SpanKind.INTERNAL
        assert span.name == f"groq.request {span.attributes[semconv.REQUEST_MODEL]}"
        assert span.parent.span_id in {chat.context.span_id for chat in chats}
    assert all(record.nested for record in on.exported.records)


def check_counted_once(on: Stage) -> None:
    """Tokens in the metrics are those of the records, and every request has one duration."""
    records = on.exported.records
    for kind in ("input", "output"):
        expected = sum(getattr(record.usage, f"{kind}_tokens") or 0 for record in records)

        assert expected == on.total("gen_ai.client.token.usage", gen_ai__token__type=kind)
    assert len(records) == on.count("gen_ai.client.operation.duration")


@INSTRUMENTED
@USES
async def test_under_an_instrumented_agent(on_stage: Stage, use: Use) -> None:
    """Two requests, two tools between them: two inferences of pydantic-ai's, a record under each, all counted once."""
    on_stage.sim.play(TWO_TOOLS)

    assert await use(on_stage.agent()) == SAID
    check_nested(on_stage, 2)
    check_counted_once(on_stage)
    assert on_stage.total("operation.cost") == pytest.approx(sum(r.cost or 0 for r in on_stage.exported.records))
    assert on_stage.total("groqscope.cost") is None


@BARE
@USES
async def test_under_an_agent_that_nobody_instruments(on_stage: Stage, use: Use) -> None:
    """The same without: the inferences are ours, CLIENT spans that carry the record."""
    on_stage.sim.play(TWO_TOOLS)

    assert await use(on_stage.agent()) == SAID
    spans = on_stage.exported.record_spans
    assert len(on_stage.served) == len(spans) == len(on_stage.chats)
    assert {(f"chat {LLAMA}", SpanKind.CLIENT)} == {(s.name, s.kind) for s in spans}
    check_counted_once(on_stage)
    assert on_stage.total("groqscope.cost") == pytest.approx(sum(r.cost or 0 for r in on_stage.exported.records))


@ANYBODY
@USES
async def test_record_tells_what_the_agent_got(on_stage: Stage, use: Use) -> None:
    """The records hold the tool calls, the finish reasons and whether it was streamed."""
    on_stage.sim.play(TWO_TOOLS)
    await use(on_stage.agent())
    first, second = sorted(on_stage.exported.records, key=lambda r: r.start_unix_ns)

    assert [call.name for call in first.tool_calls] == ["get_weather", "get_time"]
    assert (first.finish_reasons, second.finish_reasons) == (("tool_calls",), ("stop",))
    assert first.stream is second.stream is use.__name__.startswith(("run_stream", "iterate_streaming"))
    assert (first.request_id, second.request_id) == ("req_1", "req_2")


@ANYBODY
@USES
async def test_structured_output(on_stage: Stage, use: Use) -> None:
    """A structured answer is a tool call in the record and the object in the application."""
    if use is run_stream:
        use = stream_output
    on_stage.sim.play(Answer(tool_calls=[ToolCall("final_result", ['{"city":', '"Oslo"}'])]))

    assert await use(on_stage.agent(output_type=Place)) == Place(city="Oslo")
    (record,) = on_stage.exported.records
    assert [call.name for call in record.tool_calls] == ["final_result"]
    check_counted_once(on_stage)


async def stream_output(agent: Agent[None, Any]) -> Any:
    async with agent.run_stream("hi") as result:
        return [output async for output in result.stream_output(debounce_by=None)][-1]


@ANYBODY
@pytest.mark.wall_clock
async def test_reasoning(on_stage: Stage) -> None:
    """Reasoning that is streamed is seen before the text it leads to; slowly enough that the agent waits for both."""
    on_stage.sim.play(Answer("noon", reasoning="let me see", delays=Delays(before_first=0.05, per_chunk=0.05)))

    assert await run_stream(on_stage.agent(on_stage.model(GPT))) == "noon"
    (record,) = on_stage.exported.records
    assert record.ttfrt_ns < record.ttfot_ns


@INSTRUMENTED
@USES
async def test_summary_on_the_outer_span(on_stage: Stage, use: Use) -> None:
    """The inference span says what went on inside, beside what pydantic-ai writes on it at its end."""
    on_stage.sim.play([Failure(503, retry_after=0.001), Answer("hello")])
    await use(on_stage.agent(on_stage.model(max_retries=1)))
    (chat,), (record,) = on_stage.chats, on_stage.exported.records

    assert tuple(
        chat.attributes[name] for name in ("groqscope.requests", "groqscope.attempts", "groqscope.stream.outcome")
    ) == (1, 2, "completed")
    assert (record.ttft_ns and record.ttft_ns / 1e9) == chat.attributes.get("groqscope.ttft")
    assert record.usage.output_tokens == chat.attributes["gen_ai.usage.output_tokens"]
    assert len(record.attempts) == 2


@INSTRUMENTED
@pytest.mark.parametrize("use", [run, run_stream], ids=["run", "run_stream"])
@pytest.mark.parametrize("status", [400, 429, 503])
async def test_fallback(on_stage: Stage, use: Use, status: int) -> None:
    """One model fails and another answers: one inference with two records, and the tokens of the one that answered."""
    on_stage.sim.play([Failure(status), Answer("hello there")])
    agent = on_stage.agent(FallbackModel(on_stage.model(GPT), on_stage.model(LLAMA)))

    assert await use(agent) == "hello there"
    check_nested(on_stage, 1, requests=2)
    check_counted_once(on_stage)
    (chat,) = on_stage.chats
    failed, answered = sorted(on_stage.exported.records, key=lambda r: r.start_unix_ns)
    assert (failed.model, failed.outcome, answered.model, answered.outcome) == (GPT, "error", LLAMA, "completed")
    assert failed.status == status
    assert tuple(
        chat.attributes[name] for name in ("groqscope.requests", "groqscope.attempts", "groqscope.stream.outcome")
    ) == (2, 2, "completed")
    assert chat.status.status_code is not StatusCode.ERROR


@BARE
async def test_fallback_that_nobody_instruments(on_stage: Stage) -> None:
    """Without instrumentation each request is an inference of its own, and the failed one brings no tokens."""
    on_stage.sim.play([Failure(429), Answer("hello there")])
    await run(on_stage.agent(FallbackModel(on_stage.model(GPT), on_stage.model(LLAMA))))

    assert [f"chat {GPT}", f"chat {LLAMA}"] == [s.name for s in on_stage.named("chat")]
    check_counted_once(on_stage)


@INSTRUMENTED
@USES
async def test_tools_run_between_the_requests(on_stage: Stage, use: Use) -> None:
    """The tools' time is pydantic-ai's spans, once each, after the record that asked for them and before the next."""
    on_stage.sim.play(TWO_TOOLS)
    await use(on_stage.agent())
    first, second = on_stage.named("groq.request")
    tools = on_stage.named("execute_tool")

    assert {"execute_tool get_weather", "execute_tool get_time"} == {s.name for s in tools}
    assert [s.instrumentation_scope.name for s in tools] == ["pydantic-ai"] * 2
    (agent,) = on_stage.named("invoke_agent")
    for span in tools:
        assert first.end_time <= span.start_time <= span.end_time <= second.start_time
        assert span.parent.span_id == agent.context.span_id


@INSTRUMENTED
async def test_groq_inside_a_tool(on_stage: Stage) -> None:
    """A request that a tool makes by itself is an inference of its own, below the tool."""
    on_stage.sim.play([Answer(tool_calls=[ToolCall("ask")]), Answer("from the tool"), Answer("done")])
    agent, client = on_stage.agent(), on_stage.client()

    @agent.tool_plain
    async def ask() -> str:
        answer = await client.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "hi"}])
        return str(answer.choices[0].message.content)

    assert await run(agent) == "done"
    (inner,) = on_stage.named(f"chat {GPT}")
    (tool,) = on_stage.named("execute_tool ask")
    assert (inner.kind, inner.parent.span_id) == (SpanKind.CLIENT, tool.context.span_id)


@ANYBODY
@pytest.mark.parametrize("use", [run, run_stream], ids=["run", "run_stream"])
async def test_several_at_once(on_stage: Stage, use: Use) -> None:
    """Agents that run at the same time do not mix: every record lies in the trace of its own run."""
    on_stage.sim.play(Answer("hello", delays=Delays(before_first=0.02)))
    agent = on_stage.agent()

    assert await asyncio.gather(*(use(agent) for _ in range(8))) == ["hello"] * 8
    records = on_stage.exported.records
    assert 8 == len(records) == len({r.request_id for r in records}) == len({r.trace_id for r in records})
    assert len(on_stage.chats) == 8
    check_counted_once(on_stage)


PAUSE = 0.03
WORDS = ("a ", "b ", "c ", "d ", "e ")


async def slow_text(agent: Agent[None, Any]) -> None:
    async with agent.run_stream("hi") as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            await asyncio.sleep(PAUSE)


async def slow_events(agent: Agent[None, Any]) -> None:
    async with agent.run_stream_events("hi") as events:
        await slowly(events)


async def slow_node(agent: Agent[None, Any]) -> None:
    async with agent.iter("hi") as steps:
        async for node in steps:
            if Agent.is_model_request_node(node):
                async with node.stream(steps.ctx) as stream:
                    await slowly(stream)


async def slow_handler(agent: Agent[None, Any]) -> None:
    await agent.run("hi", event_stream_handler=lambda _, events: slowly(events))


async def slowly(events: AsyncIterable[Any]) -> None:
    async for _ in events:
        await asyncio.sleep(PAUSE)


@ANYBODY
@pytest.mark.parametrize("use", [slow_text, slow_events, slow_node, slow_handler], ids=lambda f: f.__name__)
async def test_slow_consumer(on_stage: Stage, use: Use) -> None:
    """Time that the application takes between chunks is `consume`, through all of pydantic-ai's layers."""
    on_stage.sim.play(Answer(WORDS))
    await use(on_stage.agent())
    (record,) = on_stage.exported.records

    assert record.phases.consume >= PAUSE * (len(WORDS) - 1) * 0.95e9
    assert record.phases.total() == record.duration_ns


@ANYBODY
@pytest.mark.wall_clock
async def test_slow_model(on_stage: Stage) -> None:
    """Time that the model takes between chunks is not the application's."""
    on_stage.sim.play(Answer(WORDS, delays=Delays(per_chunk=PAUSE)))
    await run_stream(on_stage.agent())
    (record,) = on_stage.exported.records

    waited = record.phases.receive + record.phases.network  # chunks that come while the machine is busy come at once
    assert waited >= PAUSE * (len(WORDS) - 1) * 0.95e9
    assert record.phases.consume < waited


async def leave(agent: Agent[None, Any]) -> None:
    async with agent.run_stream("hi") as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            return


async def fail(agent: Agent[None, Any]) -> None:
    async with agent.run_stream("hi") as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            raise ZeroDivisionError


async def cancel(agent: Agent[None, Any]) -> None:
    all_read = asyncio.Event()

    async def read() -> None:
        async with agent.run_stream("hi") as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                if text == " b":
                    all_read.set()

    reading = asyncio.create_task(read())
    await all_read.wait()
    for _ in range(20):  # until it waits for Groq again, and not inside pydantic-ai
        await asyncio.sleep(0)
    reading.cancel()
    await reading


async def deadline(agent: Agent[None, Any]) -> None:
    async with agent.run_stream("hi", model_settings={"request_timeout": 0.5}) as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            pass


@ANYBODY
@pytest.mark.parametrize(
    ("use", "outcome"),
    [(leave, "closed"), (fail, "closed"), (cancel, "cancelled"), (deadline, "cancelled")],
    ids=["leave", "fail", "cancel", "deadline"],
)
async def test_ways_out(on_stage: Stage, use: Use, outcome: str) -> None:
    """A stream that is left, failed in, cancelled or out of time ends its record once, under its inference."""
    on_stage.sim.play(Answer("a b c d", ending=Hang(3)))
    raised = (ZeroDivisionError, asyncio.CancelledError, TimeoutError, ModelAPIError)
    with nullcontext() if use is leave else pytest.raises(raised):
        await use(on_stage.agent())
    (span,), (record,), (chat,) = on_stage.exported.record_spans, on_stage.exported.records, on_stage.chats

    assert outcome == record.outcome
    assert span.status.status_code is StatusCode.UNSET
    assert chat is span or span.parent.span_id == chat.context.span_id


@ANYBODY
async def test_failure(on_stage: Stage) -> None:
    """An error reaches the application as pydantic-ai's, and the record says what Groq said."""
    on_stage.sim.play(Failure(429))
    with pytest.raises(ModelHTTPError):
        await run(on_stage.agent())
    (record,) = on_stage.exported.records

    assert (record.outcome, record.status, record.error_type) == ("error", 429, "rate_limit_exceeded")


@ANYBODY
@pytest.mark.parametrize("use", [run_stream, iterate_streaming], ids=lambda f: f.__name__)
async def test_refused_tool_call(on_stage: Stage, use: Use) -> None:
    """A tool call that Groq refuses inside a stream is an error in the record, and the agent asks again."""
    generated = '{"name": "get_weather", "arguments": {"town": "Oslo"}}'
    on_stage.sim.play([Answer(ending=ErrorEvent(1, failed_generation=generated)), Answer("sorry")])

    assert await use(on_stage.agent()) == "sorry"
    first, second = sorted(on_stage.exported.records, key=lambda r: r.start_unix_ns)
    assert (first.outcome, first.error_type, second.outcome) == ("error", "tool_use_failed", "completed")
    assert len(on_stage.chats) == 2


@INSTRUMENTED
async def test_direct_request(on_stage: Stage) -> None:
    """pydantic-ai's direct requests are inferences of its own too."""
    on_stage.sim.play(Answer("hello"))
    settings = Agent._instrument_default
    await model_request(on_stage.model(), [ModelRequest.user_text_prompt("hi")], instrument=settings)

    check_nested(on_stage, 1)
    check_counted_once(on_stage)


@INSTRUMENTED
@USES
async def test_pydantic_ais_own_model(on_stage: Stage, use: Use) -> None:
    """pydantic-ai's own `GroqModel` over an instrumented client looks the same."""
    on_stage.sim.play(TWO_TOOLS)
    model = PydanticAIModel(LLAMA, provider=GroqProvider(groq_client=on_stage.client()))

    assert await use(on_stage.agent(model)) == SAID
    check_nested(on_stage, 2)
    check_counted_once(on_stage)
