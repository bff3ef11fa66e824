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

from groqscope.instrument import _registry as registry
from groqscope.instrument._facts import chunk_observer
from groqscope.instrument._faults import HOOKS, hook, report
from groqscope.instrument._recorder import KEY, Recorder
from groqscope.timeline import Outcome
from groqscope.wire import SSEDecoder, decode_chunk

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
        "_client",
        "_decode",
        "_decoder",
        "_next",
        "_pending",
        "_read",
        "_read_ns",
        "_response",
        "_see",
        "asked",
        "draining",
        "leaving",
        "now",
        "over",
        "recorder",
        "returned",
    )

    def __init__(self, client: Any, cast_to: Any, response: Response, recorder: Recorder | None, *, fast: bool) -> None:
        self._client = client
        self._cast_to = cast_to
        self._response = response
        fast = fast and cast_to is ChatCompletionChunk and not client._strict_response_validation  # noqa: SLF001
        self._decode: Callable[[bytes], Any] = decode_chunk if fast else _undecoded
        self._decoder = SSEDecoder()
        self._pending: list[bytes | ServerSentEvent] = []
        self._next = 0
        self._read_ns = 0
        self.recorder = recorder
        self.draining = False
        """`[DONE]` was seen; the rest is read so that the connection can be used again."""
        self.over = False
        self.leaving: Outcome = "closed"
        """How it ends when it is closed now."""
        # What is called for every chunk is looked up once.
        timeline = recorder.timeline if recorder is not None else _UNOBSERVED
        self.now = recorder.now if recorder is not None else monotonic_ns
        self.asked, self.returned, self._read = timeline.asked, timeline.returned, timeline.read
        self._see: Callable[..., None] = (None if recorder is None else _observer(recorder)) or _ignore

    def feed(self, data: bytes) -> None:
        """A read brought bytes."""
        try:
            self._read_ns = t = self.now()
            self._read(t, len(data))
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)
        if self.draining:
            # As the SDK: what follows [DONE] is decoded and ignored.
            for event in self._decoder.feed(data):
                if isinstance(event, bytes):
                    (b"data: " + event).decode("utf-8")
            return
        if self._next >= len(self._pending):
            self._pending = self._decoder.feed(data)
            self._next = 0
        else:
            self._pending.extend(self._decoder.feed(data))

    def take(self) -> Any:
        """Give the next chunk, or `None` when more bytes are needed.

        Raises:
            groq.APIError: the stream carries an error.
            ValueError: an event is not JSON (as the SDK).
        """
        while self._next < len(self._pending):
            event = self._pending[self._next]
            self._next += 1
            if isinstance(event, bytes):
                chunk = self._decode(event)
                if chunk is not None:
                    try:
                        self._see(chunk, self._read_ns)
                    except Exception as error:  # noqa: BLE001 - observing must not fail the stream
                        self.give_up(error)
                    return chunk
                if event.startswith(_DONE_BYTES):
                    self._done()
                    return None
                event = ServerSentEvent(data=(b"data: " + event).decode("utf-8")[6:])
            elif event.data.startswith(_DONE):
                self._done()
                return None
            chunk = self._slow(event)
            try:
                self._see(chunk, self._read_ns, valid=False)
            except Exception as error:  # noqa: BLE001 - observing must not fail the stream
                self.give_up(error)
            return chunk
        return None

    def _done(self) -> None:
        self.draining = True
        self._pending = []
        self._next = 0
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
        report(STREAM, error)

    def rest(self) -> bool:
        """The bytes have ended: is there still an event to give?"""
        if not self.draining:
            self._pending.extend(self._decoder.end())
            if self._next < len(self._pending):
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
            self.asked, self.returned, self._read = _UNOBSERVED.asked, _UNOBSERVED.returned, _UNOBSERVED.read
            self._see = _ignore

    def __del__(self) -> None:
        recorder = getattr(self, "recorder", None)
        if recorder is not None and recorder.open:
            registry.abandoned(recorder)


class _Unobserved:
    """Stands in for the timeline of a stream that nobody observes."""

    def asked(self, t: int) -> None:
        """Nothing."""

    def returned(self, t: int) -> None:
        """Nothing."""

    def read(self, t: int, size: int) -> None:
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
            chunks.asked(chunks.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            chunks.give_up(error)
        try:
            while (chunk := chunks.take()) is None:
                data = next(self._source, None)
                if data is not None:
                    chunks.feed(data)
                elif not chunks.rest():
                    raise StopIteration
        except StopIteration:
            raise
        except BaseException as error:
            chunks.fail(error)
            raise
        try:
            chunks.returned(chunks.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            chunks.give_up(error)
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
            chunks.asked(chunks.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            chunks.give_up(error)
        try:
            while (chunk := chunks.take()) is None:
                data = await anext(self._source, None)
                if data is not None:
                    chunks.feed(data)
                elif not chunks.rest():
                    raise StopAsyncIteration
        except StopAsyncIteration:
            raise
        except BaseException as error:
            chunks.fail(error)
            raise
        try:
            chunks.returned(chunks.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            chunks.give_up(error)
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
    found = response.request.extensions.get(KEY)
    recorder = found if isinstance(found, Recorder) and found.open else None
    if recorder is not None:
        recorder.adopted = True
    return Chunks(client, cast_to, response, recorder, fast=getattr(client, "_groqscope_fast", True))
