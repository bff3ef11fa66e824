"""A model of smolagents, which asks by the openai SDK: `python examples/with_smolagents.py`.

Needs `pip install 'smolagents[openai]'`. Its `LiteLLMModel` asks by an HTTP client of litellm's own, which is not seen.
"""

import os

from smolagents import ChatMessage, MessageRole, OpenAIModel

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(print)

address = os.environ.get("GROQ_BASE_URL", "https://api.groq.com")
model = OpenAIModel("llama-3.3-70b-versatile", api_base=f"{address}/openai/v1", api_key=os.environ["GROQ_API_KEY"])
print(model.generate([ChatMessage(MessageRole.USER, "Why is the sky blue? Two sentences.")]).content)
