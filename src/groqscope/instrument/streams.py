"""The instrumented streams: `groq.Stream` and `groq.AsyncStream`, with a faster way from bytes to chunks.

`Chunks` is what both share: bytes in, chunks out, the timeline told. The two iterators around it differ in `await`
only. The iterator, not the stream, owns the request's end, because `for chunk in client…create(stream=True)` keeps
nothing else alive.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from time import monotonic_ns
from types import TracebackType
from typing import Any, Generic, TypeVar

from groq import APIError, AsyncStream, Stream
from groq._streaming import ServerSentEvent
from groq.types.chat import ChatCompletionChunk
from httpx import Response

from groqscope.fastpath import ChunkTemplate, SSEDecoder, decode_chunk, learn_template
from groqscope.instrument.facts import chunk_observer
from groqscope.instrument.faults import HOOKS, hook, report
from groqscope.instrument.recorder import RECORDER_EXTENSION, Recorder
from groqscope.timeline import Channel, Outcome, Timeline

T = TypeVar("T")

_DONE = "[DONE]"
_DONE_BYTES = b"[DONE]"
STREAM = "stream"
"""The hook of what happens for every chunk, where a call more would cost too much."""
HOOKS.add(STREAM)


class Chunks:
    """Bytes to chunks, observed."""

    __slots__ = (
        "_cast_to",
        "_channel",
        "_client",
        "_decode",
        "_decoder",
        "_learns",
        "_misses",
        "_read_ns",
        "_response",
        "_see",
        "_template",
        "draining",
        "leaving",
        "now",
        "over",
        "pending",
        "recorder",
        "timeline",
    )

    def __init__(self, client: Any, cast_to: Any, response: Response, recorder: Recorder | None, *, fast: bool) -> None:
        self._client = client
        self._cast_to = cast_to
        self._response = response
        fast = fast and cast_to is ChatCompletionChunk and not client._strict_response_validation  # noqa: SLF001
        self._decode: Callable[[bytes], Any] = decode_chunk if fast else _undecoded
        self._learns = fast and (recorder is None or recorder.content is None)
        """Whether chunks may be built from a template. Where content is kept, each has to be looked at."""
        self._template: ChunkTemplate | None = None
        self._channel = Channel.NONE
        """What a chunk that fits the template carries."""
        self._misses = 0
        """Chunks in a row that did not fit."""
        self._decoder = SSEDecoder()
        self.pending: list[bytes | ServerSentEvent] = []
        """Events that came and were not taken yet, the next one last."""
        self._read_ns = 0
        self.recorder = recorder
        self.draining = False
        """`[DONE]` was seen; the rest is read so that the connection can be used again."""
        self.over = False
        self.leaving: Outcome = "closed"
        """How it ends when it is closed now."""
        self.now = recorder.now if recorder is not None else monotonic_ns
        self.timeline: Timeline | _Unobserved = recorder.timeline if recorder is not None else _UNOBSERVED
        self._see: Callable[..., None] = (None if recorder is None else _observer(recorder)) or _ignore

    def feed(self, data: bytes) -> Any:
        """Take what a read brought, and give the first chunk in it, or `None` when it completes none.

        Raises:
            groq.APIError: the stream carries an error.
            ValueError: an event is not JSON (as the SDK).
        """
        try:
            self._read_ns = self.now()
            self.timeline.bytes += len(data)
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)
        if data.startswith(b"data: ") and data.endswith(b"\n\n") and self._decoder.idle:
            chunk = self._repeated(data, 6, len(data) - 2)
            if chunk is not None:
                return chunk
        events = self._decoder.feed(data)
        if self.draining:
            # As the SDK: what follows [DONE] is decoded and ignored.
            for event in events:
                if isinstance(event, bytes):
                    (b"data: " + event).decode("utf-8")
            return None
        if len(events) > 1:
            events.reverse()
        self.pending = events
        return self.take()

    def take(self) -> Any:
        """Give the next chunk that was read, or `None` when more bytes are needed. Raises as `feed`."""
        if not self.pending:
            return None
        event = self.pending.pop()
        if isinstance(event, bytes):
            chunk = self._repeated(event, 0, len(event))
            if chunk is not None:
                return chunk
            chunk = self._decode(event)
            if chunk is not None:
                if self._learns:
                    self._learn(chunk, event)
                return self._seen(chunk, valid=True)
            if event.startswith(_DONE_BYTES):
                return self._done()
            event = ServerSentEvent(data=(b"data: " + event).decode("utf-8")[6:])
        elif event.data.startswith(_DONE):
            return self._done()
        return self._seen(self._slow(event), valid=False)

    def _repeated(self, data: bytes, begin: int, end: int) -> Any:
        """Give the chunk of a payload, from `begin` to `end`, that fits the template."""
        if self._template is None:
            return None
        chunk = None
        try:
            chunk = self._template(data, begin, end)
            if chunk is not None:
                self._misses = 0
                self.timeline.chunk(self._read_ns, self._channel, self.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)
        return chunk

    def _learn(self, chunk: ChatCompletionChunk, payload: bytes) -> None:
        """Expect the next chunks to be like this one. The more have come that were not, the more seldom."""
        self._misses += 1
        if self._misses & (self._misses - 1):
            return
        try:
            found = learn_template(chunk, payload)
        except Exception as error:  # noqa: BLE001 - a shortcut that fails is none
            self.give_up(error)
            return
        if found is not None:
            name, self._template = found
            self._channel = Channel.CONTENT if name == "content" else Channel.REASONING

    def _seen(self, chunk: Any, *, valid: bool) -> Any:
        try:
            self._see(chunk, self._read_ns, valid=valid)
            self.timeline.returned(self.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)
        return chunk

    def _done(self) -> None:
        self.draining = True
        self.pending = []
        self._template = None
        if self.recorder is not None:
            self.recorder.timeline.done = True

    def _slow(self, event: ServerSentEvent) -> Any:
        """What the SDK would make of an event, by its own construction."""
        data = event.json()
        error = data.get("error") if isinstance(data, dict) else None
        if error and event.event in (None, "error"):
            message = error.get("message") if isinstance(error, dict) else None
            if not message or not isinstance(message, str):
                message = "An error occurred during streaming"
            raise APIError(message=message, request=self._response.request, body=error)
        if event.event is not None:
            data = {"data": data, "event": event.event}
        return self._client._process_response_data(data=data, cast_to=self._cast_to, response=self._response)  # noqa: SLF001

    def give_up(self, error: Exception) -> None:
        """A failure of ours: count it. The request's record stays what it is and ends as the stream does."""
        report(STREAM, error, self.recorder)

    def rest(self) -> bool:
        """The bytes have ended: is there still an event to give?"""
        if not self.draining:
            self.pending = self._decoder.end()[::-1]
            if self.pending:
                return True
        self.over = True
        recorder = self.recorder
        if recorder is not None:
            _ended(recorder)
            recorder.finish("completed" if recorder.timeline.done else "truncated")
        return False

    def fail(self, error: BaseException) -> None:
        """An error reaches the caller."""
        self.over = True
        if self.recorder is not None:
            self.recorder.failed(error)

    def close(self) -> None:
        """The caller closes."""
        if self.recorder is not None and self.recorder.open:
            _closing(self.recorder)

    def leave(self, error: type[BaseException] | None) -> None:
        """A `with` block ends; a cancelled task leaves it by an exception that is none of the usual ones."""
        if error is not None and not issubclass(error, (Exception, GeneratorExit)):
            self.leaving = "cancelled"

    def closed(self) -> None:
        """It is closed."""
        if self.recorder is not None:
            self.recorder.finish(self.leaving)
            # What was read already can still be had; it is no part of the record.
            self.timeline, self._see = _UNOBSERVED, _ignore

    def __del__(self) -> None:
        recorder = getattr(self, "recorder", None)
        if recorder is not None and recorder.open:
            recorder.abandon()


class _Unobserved:
    """Stands in for the timeline of a stream that nobody observes."""

    bytes = 0

    def asked(self, t: int) -> None:
        """Nothing."""

    def returned(self, t: int) -> None:
        """Nothing."""

    def chunk(self, t: int, channel: int, left: int) -> None:
        """Nothing."""


def _undecoded(_payload: bytes) -> None:
    """Leave every event to the SDK's own construction."""


_UNOBSERVED = _Unobserved()


def _ignore(*_args: Any, **_kwargs: Any) -> None:
    """Nothing."""


@hook("observe_chunks")
def _observer(recorder: Recorder) -> Callable[..., None]:
    return chunk_observer(recorder.timeline, recorder.content)


@hook("last_byte")
def _ended(recorder: Recorder) -> None:
    recorder.timeline.last_byte(recorder.now())


@hook("closing")
def _closing(recorder: Recorder) -> None:
    recorder.timeline.closing(recorder.now())


class ChunkIterator(Generic[T]):
    """What `iter(stream)` gives."""

    __slots__ = ("_chunks", "_source")

    def __init__(self, chunks: Chunks, response: Response) -> None:
        self._chunks = chunks
        self._source: Iterator[bytes] = response.iter_bytes() if _decoded(response) else response.iter_raw()

    def __iter__(self) -> "ChunkIterator[T]":
        return self

    def __next__(self) -> T:
        chunks = self._chunks
        if chunks.over:
            raise StopIteration
        try:
            chunks.timeline.asked(chunks.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            chunks.give_up(error)
        try:
            chunk = chunks.take() if chunks.pending else None
            while chunk is None:
                data = next(self._source, None)
                if data is not None:
                    chunk = chunks.feed(data)
                elif chunks.rest():
                    chunk = chunks.take()
                else:
                    raise StopIteration
        except StopIteration:
            raise
        except BaseException as error:
            chunks.fail(error)
            raise
        return chunk


class AsyncChunkIterator(Generic[T]):
    """What `aiter(stream)` gives."""

    __slots__ = ("_chunks", "_source")

    def __init__(self, chunks: Chunks, response: Response) -> None:
        self._chunks = chunks
        self._source: AsyncIterator[bytes] = response.aiter_bytes() if _decoded(response) else response.aiter_raw()

    def __aiter__(self) -> "AsyncChunkIterator[T]":
        return self

    async def __anext__(self) -> T:
        chunks = self._chunks
        if chunks.over:
            raise StopAsyncIteration
        try:
            chunks.timeline.asked(chunks.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            chunks.give_up(error)
        try:
            chunk = chunks.take() if chunks.pending else None
            while chunk is None:
                data = await anext(self._source, None)
                if data is not None:
                    chunk = chunks.feed(data)
                elif chunks.rest():
                    chunk = chunks.take()
                else:
                    raise StopAsyncIteration
        except StopAsyncIteration:
            raise
        except BaseException as error:
            chunks.fail(error)
            raise
        return chunk

    async def aclose(self) -> None:
        """Nothing: as with the SDK's iterator, the stream stays open until it is closed itself."""


def _decoded(response: Response) -> bool:
    """Whether httpx has to decode the bytes, or has read them already."""
    return "content-encoding" in response.headers or hasattr(response, "_content")


class InstrumentedStream(Stream[T], Generic[T]):
    """`groq.Stream`, observed."""

    def __init__(self, *, cast_to: type[T], response: Response, client: Any, options: Any = None) -> None:
        self.response = response
        self._cast_to = cast_to
        self._client = client
        self._options = options
        self._decoder = client._make_sse_decoder()  # noqa: SLF001 - as the SDK's own streams
        self._chunks = _chunks_of(client, cast_to, response)
        self._iterator = ChunkIterator[T](self._chunks, response)

    def __iter__(self) -> Iterator[T]:
        return self._iterator

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._chunks.leave(exc_type)
        self.close()

    def close(self) -> None:
        """Close the response and release the connection."""
        self._chunks.close()
        try:
            super().close()
        finally:
            self._chunks.closed()


class InstrumentedAsyncStream(AsyncStream[T], Generic[T]):
    """`groq.AsyncStream`, observed."""

    def __init__(self, *, cast_to: type[T], response: Response, client: Any, options: Any = None) -> None:
        self.response = response
        self._cast_to = cast_to
        self._client = client
        self._options = options
        self._decoder = client._make_sse_decoder()  # noqa: SLF001 - as the SDK's own streams
        self._chunks = _chunks_of(client, cast_to, response)
        self._iterator = AsyncChunkIterator[T](self._chunks, response)

    def __aiter__(self) -> AsyncIterator[T]:  # type: ignore[override]
        return self._iterator

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._chunks.leave(exc_type)
        await self.close()

    async def close(self) -> None:
        """Close the response and release the connection."""
        self._chunks.close()
        try:
            await super().close()
        finally:
            self._chunks.closed()


def _chunks_of(client: Any, cast_to: Any, response: Response) -> Chunks:
    found = response.request.extensions.get(RECORDER_EXTENSION)
    recorder = found if isinstance(found, Recorder) and found.open else None
    if recorder is not None:
        recorder.adopted = True
    return Chunks(client, cast_to, response, recorder, fast=getattr(client, "_groqscope_fast", True))
