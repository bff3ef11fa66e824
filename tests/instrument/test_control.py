"""Tasks, threads and contexts: requests that are cancelled, closed elsewhere, nested, or run side by side."""

import asyncio
import contextvars
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from groq import Groq
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import StatusCode
from support.both import both, each_mode
from support.scope import ASK, STREAM, Exported, Wire, completion, sse

from groqscope import instrument, record_of, uninstrument
from groqscope.simulator import Answer, Delays, Failure, Hang, Received, Simulator

TEXT = Answer(["a", "b", "c"])
SILENT = Answer(["a", "b"], ending=Hang(2))


Job = Callable[[Any, asyncio.Event, Simulator], Coroutine[Any, Any, None]]


async def in_the_stream(client: Any, reached: asyncio.Event, _: Simulator) -> None:
    async with client:
        chunks = aiter(await client.chat.completions.create(**STREAM))
        await anext(chunks)
        await anext(chunks)
        reached.set()
        await anext(chunks)


async def in_the_call(client: Any, reached: asyncio.Event, sim: Simulator) -> None:
    loop = asyncio.get_running_loop()

    def hang(_: Received) -> Hang:
        loop.call_soon_threadsafe(reached.set)
        return Hang()

    sim.play(hang)
    async with client:
        await client.chat.completions.create(**ASK)


async def in_the_back_off(client: Any, reached: asyncio.Event, _: Simulator) -> None:
    def back_off(*_: Any, **__: Any) -> float:
        reached.set()  # the sleep follows before another task can run
        return 60

    client._calculate_retry_timeout = back_off
    async with client:
        await client.chat.completions.create(**ASK)


async def under_lines(client: Any, reached: asyncio.Event, _: Simulator) -> None:
    async with client, client.chat.completions.with_streaming_response.create(**STREAM) as response:
        lines = 0
        async for line in response.iter_lines():
            lines += bool(line)
            if lines == 2:
                reached.set()


async def in_the_callers_code(client: Any, reached: asyncio.Event, _: Simulator) -> None:
    async with client, await client.chat.completions.create(**STREAM) as stream:
        async for _ in stream:
            reached.set()
            await asyncio.sleep(60)


async def by_cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_timeout(task: "asyncio.Task[None]") -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await task


async def by_wait_for(task: "asyncio.Task[None]") -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0.001)


@pytest.mark.parametrize("stop", [by_cancel, by_timeout, by_wait_for])
@pytest.mark.parametrize(
    ("job", "script", "chunks"),
    [
        (in_the_stream, SILENT, 2),
        (in_the_call, None, None),
        (in_the_back_off, Failure(429), None),
        (under_lines, SILENT, 2),
        (in_the_callers_code, SILENT, 1),
    ],
)
def test_cancelled(
    job: Job,
    script: Any,
    chunks: int | None,
    stop: Callable[..., Any],
    sim: Simulator,
    exported: Exported,
) -> None:
    """A cancelled task ends its request as cancelled: one span, status unset, what was seen until then."""
    sim.play(script)

    async def run() -> None:
        reached = asyncio.Event()
        task = asyncio.create_task(job(exported.client("async", sim.base_url), reached, sim))
        await reached.wait()
        await stop(task)

    asyncio.run(run())
    record, span = exported.only()

    assert (record.outcome, record.error_type, record.chunks) == ("cancelled", None, chunks)
    assert span.status.status_code is StatusCode.UNSET
    assert record.phases.total() == record.duration_ns
    assert len(record.attempts) == 1


class Waiting(httpx.AsyncBaseTransport):
    """A transport that never answers."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError


def test_a_coroutine_never_awaited_again_is_abandoned(exported: Exported, caplog: Any) -> None:
    """A call that is thrown away half-way ends as abandoned, and leaves nobody's context changed."""

    async def run() -> None:
        client = exported.client("async", http={"transport": Waiting()})
        call = client.chat.completions.create(**ASK)

        def begin() -> None:
            call.send(None)

        contextvars.copy_context().run(begin)
        call.close()
        await client.close()

    with caplog.at_level(logging.DEBUG, "opentelemetry"):
        asyncio.run(run())

    assert exported.only()[0].outcome == "abandoned"
    assert not [r for r in caplog.records if "ontext" in r.getMessage()]


def test_a_call_while_a_generator_is_closed_leaves_the_context_as_it_was(exported: Exported) -> None:
    """A request made while GeneratorExit is being handled does not leave its span current."""
    client = exported.client("sync", http={"transport": Wire(lambda _: sse(b"data: [DONE]\n\n"))})

    def generator() -> Generator[int]:
        try:
            yield 1
        finally:
            with client.chat.completions.create(**STREAM) as stream:
                list(stream)

    before = trace.get_current_span()
    steps = generator()
    next(steps)
    steps.close()

    assert trace.get_current_span() is before
    assert exported.only()[0].outcome == "completed"


def test_closed_by_another_task(sim: Simulator, exported: Exported, caplog: Any) -> None:
    """A stream opened in one task may be closed in another: one span, closed, and no complaint about contexts."""
    sim.play(SILENT)

    async def run() -> None:
        async with exported.client("async", sim.base_url) as client:

            async def open_it() -> Any:
                stream = await client.chat.completions.create(**STREAM)
                await anext(aiter(stream))
                return stream

            stream = await asyncio.create_task(open_it())
            await asyncio.create_task(stream.close())

    asyncio.run(run())
    record, _ = exported.only()

    assert (record.outcome, record.chunks) == ("closed", 1)
    assert "different Context" not in caplog.text


def test_closed_while_another_task_waits_for_a_chunk(sim: Simulator, exported: Exported) -> None:
    """Who waits for a chunk when the stream is closed gets what the SDK gives; the request ends once."""
    sim.play(SILENT)

    async def run() -> None:
        async with exported.client("async", sim.base_url) as client:
            stream = await client.chat.completions.create(**STREAM)

            both_came = asyncio.Event()

            async def read() -> None:
                chunks = aiter(stream)
                await anext(chunks)
                await anext(chunks)
                both_came.set()
                await anext(chunks)

            task = asyncio.create_task(read())
            await both_came.wait()
            await stream.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    record, _ = exported.only()

    assert (record.outcome, record.chunks) == ("closed", 2)
    assert record.phases.total() == record.duration_ns


def test_closed_and_read_by_other_threads(sim: Simulator, exported: Exported) -> None:
    """Opened here, read there, closed in a third thread: one span, closed."""
    sim.play(Answer(["a", "b", "c"]))
    with exported.client("sync", sim.base_url) as client:
        stream = client.chat.completions.create(**STREAM)
        for job in (lambda: next(iter(stream)), stream.close):
            thread = threading.Thread(target=job)
            thread.start()
            thread.join()
    record, _ = exported.only()

    assert (record.outcome, record.chunks) == ("closed", 1)


def test_generators_around_streams_close_in_any_context(exported: Exported, caplog: Any) -> None:
    """An async generator that holds a stream and is closed by the loop's shutdown logs nothing about contexts."""
    events = [b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'] * 3

    async def run() -> None:
        client = exported.client("async", http={"transport": Wire(sse(*events))})

        async def texts() -> AsyncIterator[str]:
            async with await client.chat.completions.create(**STREAM) as stream:
                async for chunk in stream:
                    yield chunk.choices[0].delta.content or ""

        async def first() -> Any:
            generator = texts()
            await anext(generator)
            return generator

        kept.append(await asyncio.create_task(first()))

    kept: list[Any] = []
    with caplog.at_level(logging.DEBUG, "opentelemetry"):
        asyncio.run(run())
        kept.clear()
    gc.collect()

    assert exported.only()[0].outcome == "closed"
    assert "different Context" not in caplog.text


def test_side_by_side_in_one_task(sim: Simulator, exported: Exported) -> None:
    """Streams that are read by turns keep their records and their parents apart."""
    sim.play([Answer(["a"] * n) for n in (1, 2, 3)])

    async def run() -> None:
        async with exported.client("async", sim.base_url) as client:
            with exported.tracer_provider.get_tracer("test").start_as_current_span("outer"):
                streams = [await client.chat.completions.create(**STREAM) for _ in range(3)]
                open_streams = [aiter(stream) for stream in streams]
                while open_streams:
                    for stream in tuple(open_streams):
                        if await anext(stream, None) is None:
                            open_streams.remove(stream)
            found.extend(record_of(stream) for stream in streams)

    found: list[Any] = []
    asyncio.run(run())
    outer = next(span for span in exported.spans if span.name == "outer")

    assert [record.chunks for record in found] == [3, 4, 5]
    assert sorted(record.chunks or 0 for record in exported.records) == [3, 4, 5]
    assert len({record.span_id for record in found}) == 3
    for span in exported.record_spans:
        assert span.parent is not None
        assert span.parent.span_id == outer.context.span_id


def test_many_tasks_and_threads(sim: Simulator, exported: Exported) -> None:
    """Fifty requests at once from tasks, then threads: fifty records each, in flight none."""
    sim.play(Answer(["a", "b"], delays=Delays(before_first=0.01)))

    async def run() -> None:
        async with exported.client("async", sim.base_url) as client:

            async def one() -> None:
                async for _ in await client.chat.completions.create(**STREAM):
                    pass

            await asyncio.gather(*(one() for _ in range(50)))

    asyncio.run(run())
    with exported.client("sync", sim.base_url) as client:
        threads = [
            threading.Thread(target=lambda: list(client.chat.completions.create(**STREAM)), name=f"reader-{n}")
            for n in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [record.outcome for record in exported.records] == ["completed"] * 100
    assert all(record.phases.total() == record.duration_ns for record in exported.records)
    assert [point.value for point in exported.metrics()["groqscope.requests.active"]] == [0]


class _Locking(SpanProcessor):
    """A processor with a lock that is not re-entrant, as batching ones have; another thread waits for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holder: int | None = None
        self.deadlocks = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        with self.lock:
            self.holder = threading.get_ident()
            yield
            self.holder = None

    def on_end(self, span: ReadableSpan) -> None:
        if self.holder == threading.get_ident():
            self.deadlocks += 1
        else:
            self.lock.acquire()
            self.lock.release()


def test_a_garbage_collection_while_a_lock_is_held(sim: Simulator, exported: Exported) -> None:
    """A stream that the collector finds in the middle of the exporter's work ends after it, not inside it."""
    sim.play(TEXT)
    processor = _Locking()
    exported.tracer_provider.add_span_processor(processor)
    with exported.client("sync", sim.base_url) as client:
        cycle: list[Any] = [client.chat.completions.create(**STREAM)]
        cycle.append(cycle)
        with processor.held():
            del cycle
            gc.collect()
        assert [record.outcome for record in exported.records] == ["abandoned"]
        client.chat.completions.create(**ASK)

    assert processor.deadlocks == 0
    assert [record.outcome for record in exported.records] == ["abandoned", "completed"]


class _Own(Groq):
    """A class of the user's, each of whose methods calls the SDK's."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        return super().request(*args, **kwargs)

    def _prepare_request(self, request: httpx.Request) -> None:
        request.headers["x-signed"] = "yes"
        super()._prepare_request(request)

    def _sleep_for_retry(self, **kwargs: Any) -> None:
        super()._sleep_for_retry(**kwargs)

    def _process_response(self, **kwargs: Any) -> Any:
        return super()._process_response(**kwargs)

    def _process_response_data(self, **kwargs: Any) -> Any:
        return super()._process_response_data(**kwargs)


@pytest.mark.parametrize("request_of", [STREAM, ASK], ids=["stream", "whole"])
@pytest.mark.parametrize("first", ["client", "process"])
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "slow"])
def test_a_client_of_a_subclass_and_the_process(
    fast: bool, first: str, request_of: dict[str, Any], sim: Simulator, exported: Exported
) -> None:
    """A client whose class calls the SDK's own methods is observed once, whichever is instrumented first."""
    sim.play([Failure(429, retry_after=0.001), TEXT])
    with _Own(base_url=sim.base_url, api_key="test", max_retries=1) as client:
        for target in (client, None) if first == "client" else (None, client):
            instrument(target, **exported.providers, fast_path=fast)
        try:
            answer = client.chat.completions.create(**request_of)
            _ = list(answer) if request_of is STREAM else None
        finally:
            uninstrument()

    (record,) = exported.records
    assert (record.outcome, len(record.attempts), record.retries) == ("completed", 2, 1)
    assert record.phases.total() == record.duration_ns
    assert record.phases.pool_wait is not None


def test_the_former_name_of_fast_path(sim: Simulator, exported: Exported) -> None:
    """`fast_decode` is `fast_path` for one release, and warns."""
    with Groq(base_url=sim.base_url, api_key="test") as client:
        with pytest.warns(DeprecationWarning, match="fast_path"):
            instrument(client, **exported.providers, fast_decode=False)

        assert vars(type(client))["_groqscope_fast"] is False


@both
async def nest(client: Any) -> None:
    async with client, await client.chat.completions.create(**STREAM) as outer:
        async for _ in outer:
            async for _ in await client.chat.completions.create(**STREAM):
                pass


@each_mode
def test_nested_streams_are_siblings(mode: Any, sim: Simulator, exported: Exported) -> None:
    """A request made while a stream is read is not its child: no span is held across a yield."""
    sim.play(TEXT)
    nest(mode, exported.client(mode, sim.base_url))
    spans = exported.record_spans

    assert len(spans) == 6
    assert all(span.parent is None for span in spans)
    assert {record.outcome for record in exported.records} == {"completed"}


@both
async def within_a_transport(outer: Any, inner: Any) -> None:
    await outer.chat.completions.create(**ASK)
    await inner.close()
    await outer.close()


def test_a_request_inside_a_request(exported: Exported) -> None:
    """A transport that itself asks Groq: two records, the inner one below the outer one, attempts kept apart."""
    plain = Wire(completion)
    inner = exported.client("sync", http={"transport": plain})

    def ask_again(request: httpx.Request) -> httpx.Response:
        inner.chat.completions.create(**ASK)
        return plain.handle_request(request)

    outer = exported.client("sync", http={"transport": Wire(ask_again)})
    within_a_transport.synchronous(outer, inner)
    first, second = exported.record_spans

    assert first.parent is not None
    assert first.parent.span_id == second.context.span_id
    assert [len(record.attempts) for record in exported.records] == [1, 1]


@both
async def whole_and_stream(client: Any) -> list[Any]:
    async with client:
        answer = await client.chat.completions.create(**ASK)
        chunks = [chunk async for chunk in await client.chat.completions.create(**STREAM)]
        return [record_of(answer), len(chunks)]


@each_mode
def test_suppressed(mode: Any, sim: Simulator, exported: Exported) -> None:
    """Under OpenTelemetry's suppression nothing is observed, and everything works."""
    sim.play(TEXT)
    token = otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, value=True))
    try:
        found = whole_and_stream(mode, exported.client(mode, sim.base_url))
    finally:
        otel_context.detach(token)

    assert found == [None, 5]
    assert exported.spans == []
    assert "groqscope.stream.outcomes" not in exported.metrics()


def test_suppressed_inside_a_request(exported: Exported) -> None:
    """A suppressed request inside another one is not counted among its attempts."""
    plain = Wire(completion)
    inner = exported.client("sync", http={"transport": plain})

    def ask_again(request: httpx.Request) -> httpx.Response:
        token = otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, value=True))
        try:
            inner.chat.completions.create(**ASK)
        finally:
            otel_context.detach(token)
        return plain.handle_request(request)

    outer = exported.client("sync", http={"transport": Wire(ask_again)})
    within_a_transport.synchronous(outer, inner)

    assert len(exported.only()[0].attempts) == 1
