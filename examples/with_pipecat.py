"""pipecat's service for Groq, which asks by the openai SDK: `python examples/with_pipecat.py`.

Needs `pip install 'pipecat-ai[groq]'`.
"""

import asyncio
import os

from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.groq.llm import GroqLLMService

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(print)


async def main():
    """Ask once; in a pipeline each turn has its record."""
    address = os.environ.get("GROQ_BASE_URL", "https://api.groq.com")
    service = GroqLLMService(
        api_key=os.environ["GROQ_API_KEY"],
        base_url=f"{address}/openai/v1",
        settings=GroqLLMService.Settings(model="llama-3.3-70b-versatile"),
    )
    print(await service.run_inference(LLMContext([{"role": "user", "content": "Why is the sky blue? Two sentences."}])))


asyncio.run(main())
