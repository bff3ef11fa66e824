"""LangGraph: a run finds what its nodes and tools took, by what LangChain's instrumentations write of them."""

import time
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from support.known_delays import Measured, agrees, run_of_spans
from support.scope import ASK, Exported

import groqscope
from groqscope.runs import Run
from groqscope.simulator import Answer, Delays, Simulator, ToolCall

SERVER = Delays(before_headers=0.2, before_first=0.1)
BOTH = Answer(tool_calls=[ToolCall("search", '{"query": "a"}'), ToolCall("weather", '{"city": "b"}')], delays=SERVER)
TEXT = Answer(["done"], delays=SERVER)


def graph(client: Any, measured: Measured) -> Any:
    """A node that thinks, one that asks Groq, and the tools it calls, at once."""

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

    def think(_: MessagesState) -> dict[str, Any]:
        with measured("own"):
            time.sleep(0.5)
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
    made.add_node("tools", ToolNode([search, weather]))
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
            graph(client, measured).invoke({"messages": [HumanMessage("hello")]})
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
