"""LiveKit's plugin for Groq, which asks by the openai SDK, streamed: `python examples/with_livekit.py`.

Needs `pip install livekit-agents livekit-plugins-groq`.
"""

import asyncio
import os

from livekit.agents import llm
from livekit.plugins import groq

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(lambda record: print(f"\n{record}"))


async def main():
    """Ask once; in a session each turn has its record."""
    address = os.environ.get("GROQ_BASE_URL", "https://api.groq.com")
    model = groq.LLM(model="llama-3.3-70b-versatile", base_url=f"{address}/openai/v1")
    context = llm.ChatContext()
    context.add_message(role="user", content="Why is the sky blue? Two sentences.")
    async with model.chat(chat_ctx=context) as stream:
        async for chunk in stream:
            if chunk.delta is not None:
                print(chunk.delta.content or "", end="", flush=True)
    await model.aclose()


asyncio.run(main())
