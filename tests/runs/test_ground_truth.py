"""Known delays in tools, in the program's own code and in the server: a run finds each, to 5 ms or 5%.

What is known is measured by the program itself, in its tools and in the simulator, and never by groqscope. On a machine
that is busy, a clock may be read late; such a program is run again, a few times.
"""

import asyncio
import time
from typing import Any

import pytest
from pydantic_ai import Agent
from support.agents import stage
from support.known_delays import Measured, agrees, run_of_spans
from support.scope import ASK, Exported

import groqscope
from groqscope.runs import Run, findings_of
from groqscope.simulator import Answer, Delays, Simulator, ToolCall

pytestmark = [pytest.mark.slow, pytest.mark.wall_clock]

SERVER = Delays(before_headers=0.2, before_first=0.1)


def calls(*names: str) -> Answer:
    """An answer that calls tools, all at once."""
    tools = [ToolCall(name, "{}") for name in names]
    return Answer(tool_calls=tools, delays=SERVER)


TEXT = Answer(["done"], delays=SERVER)


async def test_an_agent_with_parallel_and_nested_tools(sim: Simulator) -> None:
    """pydantic-ai: three tools at once, one of which asks an agent of its own that has a tool."""

    async def attempt() -> tuple[Run, dict[str, int]]:
        measured = Measured()
        async with stage("pydantic-ai", sim) as made:
            before = len(sim.settle())
            inner: Agent[None, str] = Agent(made.model(), name="researcher")
            outer: Agent[None, str] = Agent(made.model(), name="planner")

            @outer.instructions
            def think() -> str:
                with measured("own"):
                    time.sleep(0.3)
                return "Be brief."

            @inner.tool_plain
            async def archive() -> str:
                with measured("tool archive"):
                    await asyncio.sleep(0.35)
                return "found"

            @outer.tool_plain
            async def research() -> str:
                with measured("research"):
                    with measured("research's own"):
                        await asyncio.sleep(0.12)
                    return (await inner.run("look")).output

            @outer.tool_plain
            async def weather() -> str:
                with measured("beside"):
                    await asyncio.sleep(0.15)
                return "rain"

            @outer.tool_plain
            def clock() -> str:
                with measured("beside"):
                    time.sleep(0.1)
                return "noon"

            sim.play([calls("research", "weather", "clock"), calls("archive"), TEXT, TEXT])
            await outer.run("plan")
            expected = {
                "tool archive": measured.lengths["tool archive"],
                "tool research": measured.lengths["research's own"],
                "own": measured.lengths["own"],
                "model": measured.server(sim, before),
            }
            return run_of_spans(made.exported.spans), expected

    run = await agrees(attempt)
    (overlap,) = run.overlaps
    assert sorted(overlap.names) == ["clock", "research", "weather"]
    assert len(run.requests) == 4
    assert "research" in {finding.name for finding in findings_of(run)}


def think(seconds: float) -> None:
    """Own code that does not let anything else run."""
    time.sleep(seconds)


async def test_plain_asyncio(sim: Simulator) -> None:
    """`groqscope.run` around tasks: of what ran at once, the one that ended last; the rest is told as saved."""

    async def attempt() -> tuple[Run, dict[str, int]]:
        measured, exported = Measured(), Exported()
        tracer = exported.tracer_provider.get_tracer("program")
        client = exported.client("async", sim.base_url)
        before = len(sim.settle())
        sim.play(TEXT)

        async def tool(name: str, seconds: float) -> None:
            attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
            with tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes), measured(f"tool {name}"):
                await asyncio.sleep(seconds)

        async def ask() -> None:
            await client.chat.completions.create(**ASK)

        async with groqscope.run("answer", tracer_provider=exported.tracer_provider):
            with measured("own"):
                think(0.25)
            await ask()
            await asyncio.gather(tool("search", 0.5), tool("weather", 0.2), ask())
            await ask()
            with measured("own"):
                await asyncio.sleep(0.25)
        await client.close()
        spans = exported.spans
        exported.shutdown()
        # The second request ran beside the tool that was waited for.
        served = sim.settle()[before:]
        alone = sum((s.ended_ns or 0) - s.headers_received_ns for s in (served[0], served[2]))
        expected = {"tool search": measured.lengths["tool search"], "own": measured.lengths["own"], "model": alone}
        return run_of_spans(spans), expected

    run = await agrees(attempt)
    (overlap,) = run.overlaps
    assert "weather" in overlap.names
    assert overlap.saved_ns > 400_000_000


async def test_threads_and_streams(sim: Simulator) -> None:
    """A stream read slowly: the caller's time between chunks is its own; a tool in a thread is a tool."""

    async def attempt() -> tuple[Run, dict[str, int]]:
        measured, exported = Measured(), Exported()
        tracer = exported.tracer_provider.get_tracer("program")
        client = exported.client("sync", sim.base_url)
        before = len(sim.settle())
        sim.play(Answer(["a", "b", "c"], delays=SERVER))

        def search() -> None:
            attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
            with tracer.start_as_current_span("execute_tool search", attributes=attributes), measured("tool search"):
                time.sleep(0.3)

        def read() -> None:
            stream: Any = client.chat.completions.create(**ASK, stream=True)
            for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    with measured("own"):
                        time.sleep(0.12)

        with groqscope.run("answer", tracer_provider=exported.tracer_provider):
            await asyncio.to_thread(search)
            await asyncio.to_thread(read)
        client.close()
        spans = exported.spans
        exported.shutdown()
        expected = {name: measured.lengths[name] for name in ("tool search", "own")}
        return run_of_spans(spans), {**expected, "model": measured.server(sim, before)}

    run = await agrees(attempt)
    assert run.requests[0].stream
