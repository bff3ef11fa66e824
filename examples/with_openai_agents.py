"""An agent of the OpenAI Agents SDK on Groq: `python examples/with_openai_agents.py`.

Needs `pip install openai-agents`.
"""

import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(print)
set_tracing_disabled(disabled=True)  # its own traces go to OpenAI


@function_tool
def temperature(city: str) -> str:
    """Tell the temperature of a city."""
    return f"It is 21 degrees in {city}."


async def main():
    """Ask the agent; a record per request that it makes."""
    address = os.environ.get("GROQ_BASE_URL", "https://api.groq.com")
    client = AsyncOpenAI(base_url=f"{address}/openai/v1", api_key=os.environ["GROQ_API_KEY"])
    model = OpenAIChatCompletionsModel(model="openai/gpt-oss-20b", openai_client=client)
    agent = Agent(name="Weather", instructions="Use the tool.", model=model, tools=[temperature])
    with groqscope.run("weather"):
        print((await Runner.run(agent, "Is it warm in Bergen?")).final_output)


asyncio.run(main())
