"""The openai SDK at Groq's address, streamed: `python examples/with_openai.py`.

Needs `pip install openai`.
"""

import os

from openai import OpenAI

import groqscope

groqscope.configure()
groqscope.instrument()  # of openai's requests, those to Groq; a proxy or the simulator is named in GROQSCOPE_HOSTS
groqscope.on_record(lambda record: print(f"\n{record}"))

address = os.environ.get("GROQ_BASE_URL", "https://api.groq.com")
with OpenAI(base_url=f"{address}/openai/v1", api_key=os.environ["GROQ_API_KEY"]) as client:
    stream = client.chat.completions.create(
        model="llama-3.3-70b-versatile",
        messages=[{"role": "user", "content": "Why is the sky blue? Two sentences."}],
        stream=True,
    )
    for chunk in stream:
        print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="", flush=True)
