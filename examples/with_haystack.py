"""Haystack's generator for OpenAI's API, at Groq's address: `python examples/with_haystack.py`.

Needs `pip install haystack-ai`.
"""

import os

from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(print)

address = os.environ.get("GROQ_BASE_URL", "https://api.groq.com")
generator = OpenAIChatGenerator(
    api_key=Secret.from_env_var("GROQ_API_KEY"),
    api_base_url=f"{address}/openai/v1",
    model="llama-3.3-70b-versatile",
)
print(generator.run([ChatMessage.from_user("Why is the sky blue? Two sentences.")])["replies"][0].text)
