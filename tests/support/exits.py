"""Programs that end in the middle of a stream: `python -m support.exits DIRECTORY` forks one process for each.

Each writes what its provider exported until it was shut down, a line per record span, into a file of its scenario's
name.
"""

import asyncio
import atexit
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import groqscope
from groqscope.telemetry import price
from groqscope.timeline import Usage
from support.scope import STREAM, Wire, groq_client, sse

CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
)
kept: list[Any] = []
"""What is alive until the end."""


class Exporter(SpanExporter):
    """Writes to a file, until it is shut down."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the record spans."""
        with self._path.open("a") as file:
            for span in spans:
                attributes = span.attributes or {}
                if self._open and "groqscope.record" in attributes:
                    told = [attributes["groqscope.stream.outcome"], attributes.get("groqscope.stream.chunks")]
                    file.write(json.dumps(told) + "\n")
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Take no more."""
        self._open = False


def provide(path: Path) -> TracerProvider:
    """Set the process's provider; it shuts down in an atexit handler of its own."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Exporter(path), schedule_delay_millis=60_000))
    trace.set_tracer_provider(provider)
    return provider


def client(mode: Any = "sync", pieces: int = 3) -> Any:
    """A client whose stream goes on."""
    return groq_client(mode, http={"transport": Wire(lambda _: sse(*[CHUNK] * pieces))})


def begin(pieces: int = 3) -> Any:
    """Open a stream, read one chunk, and keep it."""
    stream = client(pieces=pieces).chat.completions.create(**STREAM)
    kept.append(stream)
    next(iter(stream))
    return stream


async def abegin() -> Any:
    """The same for async."""
    stream = await client("async").chat.completions.create(**STREAM)
    kept.append(stream)
    await anext(aiter(stream))
    return stream


def provider_then_instrument(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    begin()


def instrument_then_provider(path: Path) -> None:
    groqscope.instrument()
    provide(path)
    begin()


def provider_between_requests(path: Path) -> None:
    groqscope.instrument()
    list(begin())
    provide(path)
    begin()


def provider_given_after_a_request(path: Path) -> None:
    groqscope.instrument()
    begin()
    provide(path)
    begin()


def hooks_before(path: Path) -> None:
    atexit.register(lambda: trace.get_tracer_provider().shutdown())  # type: ignore[attr-defined] - the SDK's
    provide(path)
    groqscope.instrument()
    begin()


def hooks_after(path: Path) -> None:
    provider = provide(path)
    groqscope.instrument()
    begin()
    atexit.register(provider.shutdown)


def hook_closes_the_stream(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    stream = begin()
    atexit.register(stream.close)


def hook_reads_on(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    stream = begin()
    atexit.register(lambda: list(stream))


def two_of_one_client(path: Path) -> None:
    provide(path)
    own = groqscope.instrument(client())
    groqscope.instrument()
    for _ in range(2):
        stream = own.chat.completions.create(**STREAM)
        kept.append(stream)
        next(iter(stream))


def exit_inside_the_loop(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    for _ in client().chat.completions.create(**STREAM):
        sys.exit(3)


def error_inside_the_loop(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    sys.excepthook = lambda *_: None
    for _ in client().chat.completions.create(**STREAM):
        raise LookupError


def raw_bytes(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    manager = client().chat.completions.with_streaming_response.create(**STREAM)
    kept.append(manager)
    lines = manager.__enter__().iter_lines()
    kept.append(lines)
    next(lines)


def after_asyncio_run(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    asyncio.run(abegin())


def exit_inside_asyncio(path: Path) -> None:
    provide(path)
    groqscope.instrument()

    async def main() -> None:
        await abegin()
        sys.exit(3)

    asyncio.run(main())


def thread_that_is_gone(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()


def thread_that_ends_later(path: Path) -> None:
    """Its stream stays open after it, when the main thread has long ended."""
    groqscope.instrument()
    started = threading.Event()

    def job() -> None:
        begin()
        started.set()
        time.sleep(0.05)

    threading.Thread(target=job).start()
    started.wait()
    provide(path)  # its handler comes first, being the last
    begin()


def thread_that_reads_on(path: Path) -> None:
    """What a thread reads to the end while the process waits for it is complete, but for the missing [DONE]."""
    provide(path)
    groqscope.instrument()
    stream = begin()

    def job() -> None:
        time.sleep(0.05)
        list(stream)

    threading.Thread(target=job).start()


def daemon_thread(path: Path) -> None:
    provide(path)
    groqscope.instrument()
    started = threading.Event()

    def job() -> None:
        begin()
        started.set()
        time.sleep(60)

    threading.Thread(target=job, daemon=True).start()
    started.wait()


def forked_child(path: Path) -> None:
    """The child neither ends nor exports what its parent has open."""
    provide(path)
    groqscope.instrument()
    begin()
    if os.fork():
        os.wait()
    else:
        kept.clear()


Scenario = Callable[[Path], None]

EXPECTED: dict[Scenario, list[tuple[str, int]]] = {
    provider_then_instrument: [("abandoned", 1)],
    instrument_then_provider: [("abandoned", 1)],
    provider_between_requests: [("abandoned", 1)],
    provider_given_after_a_request: [("abandoned", 1)],
    hooks_before: [("abandoned", 1)],
    hooks_after: [("abandoned", 1)],
    hook_closes_the_stream: [("abandoned", 1)],
    hook_reads_on: [("abandoned", 1)],
    two_of_one_client: [("abandoned", 1), ("abandoned", 1)],
    exit_inside_the_loop: [("abandoned", 1)],
    error_inside_the_loop: [("abandoned", 1)],
    raw_bytes: [("abandoned", 1)],
    after_asyncio_run: [("abandoned", 1)],
    exit_inside_asyncio: [("abandoned", 1)],
    thread_that_is_gone: [("abandoned", 1)],
    thread_that_ends_later: [("abandoned", 1)],
    thread_that_reads_on: [("truncated", 3)],
    daemon_thread: [("abandoned", 1)],
    forked_child: [("abandoned", 1)],
}


def main(directory: Path) -> None:
    """Run each in a process of its own, which ends as a program ends."""
    price(("llama-3.3-70b-versatile",), Usage(input_tokens=1, output_tokens=1))  # loaded once, for all
    gc.freeze()
    for scenario in EXPECTED:
        if os.fork() == 0:
            scenario(directory / scenario.__name__)
            return
        os.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
