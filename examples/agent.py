"""A pydantic-ai agent with tools; a record per request it makes to Groq: `python examples/agent.py`.

Needs `pip install 'groqscope[pydantic-ai]'`.
"""

from pydantic_ai import Agent

import groqscope
from groqscope.models.groq import GroqModel

groqscope.configure()
records: list[groqscope.RequestRecord] = []
groqscope.on_record(records.append)

agent = Agent(GroqModel("llama-3.3-70b-versatile"), system_prompt="Use the tools; answer in one sentence.")


@agent.tool_plain
def temperature(city: str) -> str:
    """Tell the temperature of a city."""
    return f"It is 21 degrees in {city}."


@agent.tool_plain
def time_of_day(city: str) -> str:
    """Tell what time it is in a city."""
    return f"It is a quarter past nine in {city}."


print(agent.run_sync("Is it a warm morning in Bergen?").output)

groqscope.flush()
for number, record in enumerate(records, 1):
    tools = ", ".join(call.name or "?" for call in record.tool_calls) or "none"
    tokens = None if record.usage is None else record.usage.output_tokens
    print(f"request {number}: {record.duration_ns / 1e6:.1f} ms, {tokens} tokens, tool calls: {tools}")
