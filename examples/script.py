"""A stream, and where its time went: `python examples/script.py`."""

from groq import Groq

import groqscope

groqscope.configure()  # OTEL_EXPORTER_OTLP_ENDPOINT if set, else local files
groqscope.instrument()  # every Groq client of the process

with Groq() as client:
    stream = client.chat.completions.create(
        model="llama-3.3-70b-versatile",
        messages=[{"role": "user", "content": "Why is the sky blue? Two sentences."}],
        stream=True,
    )
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)

record = groqscope.record_of(stream)
if record is not None:
    print(f"\n\n{record.request_id}  {record.outcome}  {record.duration_ns / 1e6:.1f} ms, of which")
    for phase, length in record.phases.items():
        if length:
            print(f"  {phase:<10} {length / 1e6:8.1f} ms")
