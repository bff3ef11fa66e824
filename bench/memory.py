"""Time to import, and memory of an open stream whatever its length."""

import json
import statistics
import subprocess
import sys

_IMPORT = """
import time, groq
begin = time.perf_counter()
import groqscope
groqscope.instrument()
print((time.perf_counter() - begin) * 1000)
"""

_STREAM = """
import gc, sys, tracemalloc, httpx, groq, groqscope
from bench.server import CHUNK, FIRST
from opentelemetry.sdk.trace import TracerProvider

class Body(httpx.SyncByteStream):
    def __iter__(self):
        yield FIRST
        while True:
            yield CHUNK

client = groq.Groq(api_key="x", http_client=httpx.Client(transport=httpx.MockTransport(
    lambda request: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body()))))
{instrument}
def open_streams(count, chunks):
    streams = []
    for _ in range(count):
        stream = iter(client.chat.completions.create(model="m", messages=[], stream=True))
        for _ in range(chunks):
            next(stream)
        streams.append(stream)
    return streams

open_streams(2, 10)
# The price list, which is loaded once in the background, is no stream's memory.
from groqscope.telemetry import price
from groqscope.timeline import Usage
price(("openai/gpt-oss-20b",), Usage(input_tokens=1, output_tokens=1))
gc.collect()
count, chunks = int(sys.argv[1]), int(sys.argv[2])
tracemalloc.start()
before = tracemalloc.get_traced_memory()[0]
streams = open_streams(count, chunks)
gc.collect()
print((tracemalloc.get_traced_memory()[0] - before) / count / 1024)
"""


def _run(code: str, *arguments: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=600, check=True
    )
    return float(done.stdout.split()[0])


def facts(*, smoke: bool) -> dict[str, str]:
    """Measure and return lines for the table."""
    rounds = 1 if smoke else 7
    instrument = "groqscope.instrument(client, tracer_provider=TracerProvider())"
    code = _STREAM.replace("{instrument}", instrument)
    bare = _STREAM.replace("{instrument}", "")
    lengths = (100, 10_000) if smoke else (100, 100_000)
    import_ms = statistics.median(_run(_IMPORT) for _ in range(rounds))
    found = {f"import groqscope; instrument(), beyond import groq (goal {chr(8804)} 60 ms)": f"{import_ms:.1f} ms"}
    for chunks in lengths:
        count = "8" if chunks <= 100 else "2"
        ours, theirs = _run(code, count, str(chunks)), _run(bare, count, "100")
        found[f"memory of an open stream after {chunks:,} chunks (goal {chr(8804)} 64 KiB)"] = (
            f"{ours:.1f} KiB (bare SDK: {theirs:.1f})"
        )
    return json.loads(json.dumps(found))
