"""One trace from the browser's request through a streaming endpoint to the Groq call.

    pip install fastapi uvicorn opentelemetry-instrumentation-fastapi
    uvicorn --app-dir examples fastapi_app:app          then http://127.0.0.1:8000

The page sends a `traceparent`, the server's span takes it up, and the span of the Groq call is below that one.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from groq import AsyncGroq
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

import groqscope

groqscope.configure(service_name="fastapi-example")
groqscope.instrument()

PAGE = """<!doctype html><meta charset="utf-8"><title>groqscope</title>
<form><input name="question" value="Why is the sky blue?" size="60"><button>Ask</button></form>
<p id="trace"></p><pre></pre>
<script>
const hex = n => [...crypto.getRandomValues(new Uint8Array(n))].map(b => b.toString(16).padStart(2, "0")).join("")
document.querySelector("form").onsubmit = async event => {
  event.preventDefault()
  const trace = hex(16), out = document.querySelector("pre")
  document.querySelector("#trace").textContent = `groqscope audit ${trace}`
  out.textContent = ""
  const url = "/ask?question=" + encodeURIComponent(event.target.question.value)
  const answer = await fetch(url, {headers: {traceparent: `00-${trace}-${hex(8)}-01`}})
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) out.textContent += part.value
}
</script>"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one client for all requests, so that connections are reused."""
    async with AsyncGroq() as client:
        app.state.groq = client
        yield


app = FastAPI(lifespan=lifespan)
FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])  # not a span per piece sent


@app.get("/")
def page() -> HTMLResponse:
    """Return the page."""
    return HTMLResponse(PAGE)


@app.get("/ask")
async def ask(question: str, request: Request) -> StreamingResponse:
    """Pass the answer on, piece by piece."""
    stream = await request.app.state.groq.chat.completions.create(
        model="llama-3.3-70b-versatile", messages=[{"role": "user", "content": question}], stream=True
    )

    async def pieces() -> AsyncIterator[str]:
        async with stream:  # a browser that leaves ends the stream, and its span
            async for chunk in stream:
                yield chunk.choices[0].delta.content or ""

    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8")
