"""Known delays on a clock that only passes when told: a run finds each of them to the nanosecond, in the right part.

`test_ground_truth.py` does the same on real clocks and a real server, within 5 ms or 5 %.
"""

import asyncio
import contextvars
import json
import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from support.known_delays import found, run_of_spans
from support.runs import MS
from support.scope import ASK, Exported, groq_client
from support.virtual_time import MODEL_MS, Wire, answered, clock, run

import groqscope
from groqscope.models.groq import GroqModel
from groqscope.runs import Run
from groqscope.testing import ManualClock

__all__ = ["clock"]


def chunk(text: str) -> bytes:
    """One chunk of a stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": ASK["model"], "choices": [choice]}
    return f"data: {json.dumps(data)}\n\n".encode()


class Program:
    """Clients and spans on the clock."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.exported = Exported()
        self.tracer = self.exported.tracer_provider.get_tracer("program")

    def client(self, mode: Any, *answers: tuple[float, list[tuple[float, bytes]]]) -> Any:
        """Make an instrumented client with these answers."""
        client = groq_client(mode, http={"transport": Wire(self.clock, *answers)}, max_retries=0)
        return self.exported.instrument(client, clock=self.clock)

    def scope(self) -> Any:
        """Begin a run."""
        return groqscope.run("answer", tracer_provider=self.exported.tracer_provider)

    def tool(self, name: str) -> Any:
        """Begin a tool's span, as frameworks make them."""
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        return self.tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes)

    def call(self, name: str) -> Any:
        """Begin the span of a call to another service."""
        attributes = {"http.request.method": "GET"}
        return self.tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    def retrieval(self) -> Any:
        """Begin a retriever's span."""
        return self.tracer.start_as_current_span("look up", attributes={"gen_ai.operation.name": "retrieval"})

    def end(self) -> Run:
        """Return the one run that was exported."""
        spans = self.exported.spans
        self.exported.shutdown()
        return run_of_spans(spans)


def parts(made: Run) -> dict[str, float]:
    """The parts of a run that took any time, in milliseconds, which are all of it."""
    lengths = found(made)
    assert sum(lengths.values()) == made.duration_ns
    return {name: length / MS for name, length in lengths.items() if length}


@pytest.fixture
def program(clock: ManualClock) -> Program:
    return Program(clock)


def test_each_kind_of_part(program: Program) -> None:
    """One after the other: each delay is in its part, and nothing else is anywhere."""
    clock, client = program.clock, program.client("sync", answered())
    with program.scope():
        clock.advance(11)
        client.chat.completions.create(**ASK)
        with program.tool("search"):
            clock.advance(17)
            with program.call("GET search"):
                clock.advance(23)
            clock.advance(5)
        with program.retrieval():
            clock.advance(31)
        with program.call("GET weather"):
            clock.advance(41)
        clock.advance(13)

    made = program.end()
    assert parts(made) == {"own": 24, "model": MODEL_MS, "tool search": 22, "io": 64, "retrieval": 31}
    assert made.duration_ns == (24 + MODEL_MS + 22 + 64 + 31) * MS


def test_nothing_open_is_idle(program: Program) -> None:
    """A trace without a span around its parts: what is between them is idle."""
    clock, client = program.clock, program.client("sync", answered(), answered())
    remote = trace.SpanContext(0xA11CE, 0xB0B, is_remote=True, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(remote)):
        client.chat.completions.create(**ASK)
        clock.advance(70)
        with program.tool("search"):
            clock.advance(29)
        clock.advance(3)
        client.chat.completions.create(**ASK)

    made = program.end()
    assert parts(made) == {"model": 2 * MODEL_MS, "idle": 73, "tool search": 29}
    assert made.missing == ("a parent span is missing (not sampled, not exported, or still running)",)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_time_between_chunks(mode: str, program: Program) -> None:
    """What the caller does with a chunk is its own code, where the next one was not there before."""
    clock = program.clock
    pieces = [(100.0, chunk("a")), (50.0, chunk("b")), (20.0, chunk("c")), (4.0, b"data: [DONE]\n\n")]
    client = program.client(mode, (200.0, pieces))

    def steps(piece: Any) -> None:
        if piece.choices and piece.choices[0].delta.content:
            clock.advance(12)

    async def asynchronously() -> None:
        async with program.scope():
            async for piece in await client.chat.completions.create(**ASK, stream=True):
                steps(piece)

    if mode == "async":
        run(clock, asynchronously())
    else:
        with program.scope():
            for piece in client.chat.completions.create(**ASK, stream=True):
                steps(piece)

    assert parts(program.end()) == {"model": 374, "own": 36}


def test_tasks_at_once(program: Program) -> None:
    """Of what ran at once, the one that ended last; what the others took is told as saved."""
    clock, client = program.clock, program.client("async", answered(), answered(), answered())

    async def tool(name: str, ms: float) -> None:
        with program.tool(name):
            await asyncio.sleep(ms / 1000)

    async def answer() -> None:
        async with program.scope():
            clock.advance(250)
            await client.chat.completions.create(**ASK)
            await asyncio.gather(tool("search", 500), tool("weather", 200), client.chat.completions.create(**ASK))
            await client.chat.completions.create(**ASK)
            await asyncio.sleep(0.04)

    run(clock, answer())
    made = program.end()
    assert parts(made) == {"own": 290, "model": 2 * MODEL_MS, "tool search": 500}
    (overlap,) = made.overlaps
    assert (overlap.saved_ns, len(overlap.names)) == ((200 + MODEL_MS) * MS, 3)


def test_threads_at_once(program: Program) -> None:
    """Two threads with a tool each, and a request in a third; each ends when it is told."""
    clock, client = program.clock, program.client("sync", answered())
    begun, done = threading.Barrier(3), {name: threading.Event() for name in ("search", "weather")}

    def tool(name: str) -> None:
        with program.tool(name):
            begun.wait(30)
            assert done[name].wait(30)

    with program.scope():
        clock.advance(9)
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(tool, name)) for name in done]
        for thread in threads:
            thread.start()
        begun.wait(30)
        for name, thread, ms in zip(reversed(done), reversed(threads), (150, 350), strict=True):
            clock.advance(ms)
            done[name].set()
            thread.join(30)
        asking = threading.Thread(
            target=contextvars.copy_context().run, args=(lambda: client.chat.completions.create(**ASK),)
        )
        asking.start()
        asking.join(30)
        clock.advance(8)

    made = program.end()
    assert parts(made) == {"own": 17, "tool search": 500, "model": MODEL_MS}
    (overlap,) = made.overlaps
    assert (sorted(overlap.names), overlap.saved_ns) == (["search", "weather"], 150 * MS)


async def _agents(program: Program) -> None:
    """An agent that thinks, then has three tools at once, one of which asks an agent of its own that has a tool."""
    clock = program.clock
    client = program.client(
        "async", answered("research", "weather", "time"), answered("archive"), answered(), answered()
    )
    model = GroqModel("llama-3.3-70b-versatile", groq_client=client)
    inner: Agent[None, str] = Agent(model, name="researcher")
    outer: Agent[None, str] = Agent(model, name="planner")

    @outer.instructions
    def think() -> str:
        clock.advance(150)
        return "Be brief."

    @inner.tool_plain
    async def archive() -> str:
        with program.call("GET archive"):
            await asyncio.sleep(0.25)
        await asyncio.sleep(0.1)
        return "found"

    @outer.tool_plain
    async def research() -> str:
        await asyncio.sleep(0.12)
        return (await inner.run("look")).output

    @outer.tool_plain
    async def weather() -> str:
        await asyncio.sleep(0.15)
        return "rain"

    @outer.tool_plain
    async def time() -> str:
        await asyncio.sleep(0.02)
        return "noon"

    async with program.scope():
        await outer.run("plan")
        clock.advance(45)
    await client.close()


def test_agents_with_parallel_and_nested_tools(program: Program) -> None:
    """pydantic-ai: the slowest tool, with what the agent in it did; the others beside it cost nothing."""
    Agent.instrument_all(InstrumentationSettings(tracer_provider=program.exported.tracer_provider))
    try:
        run(program.clock, _agents(program))
    finally:
        Agent.instrument_all(False)

    made = program.end()
    thought = 150 * 2  # before each of the planner's requests
    assert parts(made) == {
        "own": thought + 45,
        "model": 4 * MODEL_MS,
        "tool research": 120,
        "tool archive": 100,
        "io": 250,
    }
    (overlap,) = made.overlaps
    assert (sorted(overlap.names), overlap.saved_ns) == (["research", "time", "weather"], 170 * MS)
