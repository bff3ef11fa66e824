"""LangChain's ChatGroq, which asks by the groq SDK, streamed: `python examples/with_langchain.py`.

Needs `pip install langchain-groq`.
"""

from langchain_groq import ChatGroq

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(lambda record: print(f"\n{record}"))

for piece in ChatGroq(model="llama-3.3-70b-versatile").stream("Why is the sky blue? Two sentences."):
    print(piece.text, end="", flush=True)
