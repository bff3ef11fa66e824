"""LlamaIndex's Groq, which asks by the openai SDK: `python examples/with_llama_index.py`.

Needs `pip install llama-index-llms-groq`.
"""

import os

from llama_index.llms.groq import Groq

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(print)

address = os.environ.get("GROQ_BASE_URL", "https://api.groq.com")
model = Groq(model="llama-3.3-70b-versatile", api_base=f"{address}/openai/v1")
print(model.complete("Why is the sky blue? Two sentences.").text)
