"""LangGraph: a run finds what its nodes and tools took, by what LangChain's instrumentations write of them."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from support.known_delays import Measured, agrees, found, run_of_spans
from support.scope import ASK, Exported, groq_client
from support.virtual_time import Wire, answered, clock

import groqscope
from groqscope.runs import Run
from groqscope.simulator import Answer, Delays, Simulator, ToolCall
from groqscope.testing import ManualClock

__all__ = ["clock"]

SERVER = Delays(before_headers=0.2, before_first=0.1)
BOTH = Answer(tool_calls=[ToolCall("search", '{"query": "a"}'), ToolCall("weather", '{"city": "b"}')], delays=SERVER)
TEXT = Answer(["done"], delays=SERVER)


def measured_graph(client: Any, measured: Measured) -> Any:
    """A graph that measures its tools and its own code."""

    @tool
    def search(query: str) -> str:
        """Search."""
        with measured("tool search"):
            time.sleep(0.5)
        return query

    @tool
    def weather(city: str) -> str:
        """Tell the weather."""
        with measured("beside"):
            time.sleep(0.2)
        return city

    def think() -> None:
        with measured("own"):
            time.sleep(0.5)

    return graph(client, think, search, weather)


def graph(client: Any, thought: Callable[[], object], *tools: Any) -> Any:
    """A node that thinks, one that asks Groq, and the tools it calls, at once."""

    def think(_: MessagesState) -> dict[str, Any]:
        thought()
        return {}

    def ask(_: MessagesState) -> dict[str, Any]:
        answer = client.chat.completions.create(**ASK).choices[0].message
        calls = [
            {"name": call.function.name, "args": {"query": "a", "city": "b"}, "id": call.id, "type": "tool_call"}
            for call in answer.tool_calls or ()
        ]
        return {"messages": [AIMessage(answer.content or "", tool_calls=calls)]}

    made = StateGraph(MessagesState)
    made.add_node("think", think)
    made.add_node("ask", ask)
    made.add_node("tools", ToolNode(tools))
    made.add_edge(START, "think")
    made.add_edge("think", "ask")
    made.add_edge("tools", "think")
    made.add_conditional_edges("ask", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    return made.compile()


async def test_a_graph(sim: Simulator) -> None:
    """Tools at once, own code in a node and the model: each within 5 ms or 5% of what the program measured."""
    # In this order: OpenInference's writes nothing in a process that OpenLLMetry's has left again.
    for instrumentor in (LangChainInstrumentor, LangchainInstrumentor):
        await _agrees(instrumentor, sim)


async def _agrees(instrumentor: Any, sim: Simulator) -> None:
    # Instrumented once for all attempts: what these libraries put into LangChain keeps the provider that it was given.
    exported, theirs = Exported(), instrumentor()
    theirs.instrument(tracer_provider=exported.tracer_provider, meter_provider=exported.meter_provider)

    async def attempt() -> tuple[Run, dict[str, int]]:
        measured, earlier = Measured(), len(exported.spans)
        client = exported.client("sync", sim.base_url)
        before = len(sim.settle())
        sim.play([BOTH, TEXT])
        with groqscope.run("answer", tracer_provider=exported.tracer_provider):
            measured_graph(client, measured).invoke({"messages": [HumanMessage("hello")]})
        client.close()
        expected = {name: measured.lengths[name] for name in ("tool search", "own")}
        return run_of_spans(exported.spans[earlier:]), {**expected, "model": measured.server(sim, before)}

    try:
        run = await agrees(attempt)
    finally:
        theirs.uninstrument()
        exported.shutdown()
    assert [tool.name for tool in run.tools if tool.name in ("search", "weather")] in (
        ["search", "weather"],
        ["weather", "search"],
    )
    assert len(run.requests) == 2


class _Ended(SpanProcessor):
    """Waits for the end of a span."""

    def __init__(self, name: str) -> None:
        self._name, self.event = name, threading.Event()

    def on_end(self, span: ReadableSpan) -> None:
        """Note it."""
        if self._name in span.name:
            self.event.set()


def test_a_graph_to_the_nanosecond() -> None:
    """The same, exact, in a process of its own: OpenLLMetry leaves LangGraph wrapped, with its first provider."""
    command = [sys.executable, "-m", "pytest", "-q", "-o", "python_functions=to_the_nanosecond", __file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def to_the_nanosecond(clock: ManualClock) -> None:
    """On a clock that passes when told: two tools in threads at once, of which one ends within the other.

    By OpenLLMetry's instrumentation; OpenInference's takes its spans' times from LangChain, which has another clock.
    """
    exported, theirs, searching, told = Exported(), LangchainInstrumentor(), threading.Event(), _Ended("weather")
    exported.tracer_provider.add_span_processor(told)

    @tool
    def search(query: str) -> str:
        """Search."""
        searching.set()
        assert told.event.wait(30)
        clock.advance(300)
        return query

    @tool
    def weather(city: str) -> str:
        """Tell the weather."""
        assert searching.wait(30)
        clock.advance(200)
        return city

    client = groq_client("sync", http={"transport": Wire(clock, answered("search", "weather"), answered())})
    exported.instrument(client, clock=clock)
    theirs.instrument(tracer_provider=exported.tracer_provider, meter_provider=exported.meter_provider)
    try:
        with groqscope.run("answer", tracer_provider=exported.tracer_provider):
            graph(client, lambda: clock.advance(70), search, weather).invoke({"messages": [HumanMessage("hello")]})
            clock.advance(9)
    finally:
        theirs.uninstrument()
    run = run_of_spans(exported.spans)
    exported.shutdown()

    lengths = {name: length / 1e6 for name, length in found(run).items() if length}
    assert lengths == {"own": 2 * 70 + 9, "model": 2 * 300, "tool search": 500}
    assert sum(overlap.saved_ns for overlap in run.overlaps) == 200_000_000
