"""The instrumented streams: `groq.Stream` and `groq.AsyncStream`, with a faster way from bytes to chunks.

`ChunkReader` is what both share: bytes in, chunks out, the request told. The two iterators around it differ in `await`
only. The iterator, not the stream, owns the request's end, because `for chunk in client…create(stream=True)` keeps
nothing else alive.
"""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from time import monotonic_ns
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from groq import AsyncStream, Stream
from groq.types.chat import ChatCompletionChunk
from httpx import Response

from groqscope.fastpath import ChunkDecoder
from groqscope.instrument.facts import chunk_observer
from groqscope.instrument.faults import HOOKS, report
from groqscope.instrument.recorder import RECORDER_EXTENSION, Recorder
from groqscope.timeline import Channel, Outcome, Timeline

T = TypeVar("T")

STREAM: Final = "stream"
"""The hook of what happens for every chunk, where a call more would cost too much."""
HOOKS.add(STREAM)
_UNREAD: Final = Timeline(0, 0, {})
"""The timeline of whatever is part of no record, which nobody reads."""
_OBSERVE_UNREAD: Final = chunk_observer(_UNREAD)
_CHANNELS: Final = {"content": Channel.CONTENT, "reasoning": Channel.REASONING}


class ChunkReader:
    """Takes the chunks of one stream from its bytes, and tells its request what comes and goes."""

    __slots__ = ("_observe", "_read_ns", "decoder", "leaving", "now", "over", "recorder", "timeline")

    def __init__(self, client: Any, cast_to: Any, response: Response, recorder: Recorder | None, *, fast: bool) -> None:
        self.decoder = ChunkDecoder(
            partial(client._process_response_data, cast_to=cast_to, response=response),  # noqa: SLF001 - as the SDK's own streams
            response.request,
            # Not a method of this reader: a circle would keep an abandoned stream from ending at once.
            partial(report, STREAM, observing=recorder),
            fast=fast and cast_to is ChatCompletionChunk and not client._strict_response_validation,  # noqa: SLF001
            # Where content is kept, each chunk has to be looked at.
            learns=recorder is None or recorder.content is None,
        )
        self._read_ns = 0
        self.recorder = recorder
        self.over = False
        self.leaving: Outcome = "closed"
        """How the request ends when the stream is closed now."""
        self.now = monotonic_ns if recorder is None else recorder.now
        self.timeline = _UNREAD if recorder is None else recorder.timeline
        self._observe = (None if recorder is None else recorder.chunk_observer()) or _OBSERVE_UNREAD

    def feed(self, data: bytes) -> Any:
        """Take what a read brought and return the first chunk in it, or `None`. Raises as `ChunkDecoder.feed`."""
        try:
            self._read_ns = self.now()
            self.timeline.received(len(data))
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)
        return self._told(self.decoder.feed(data))

    def take(self) -> Any:
        """Return the next chunk that was read, or `None` when more bytes are needed. Raises as `ChunkDecoder.feed`."""
        return self._told(self.decoder.take())

    def _told(self, chunk: Any) -> Any:
        decoder = self.decoder
        try:
            if chunk is None:
                if decoder.done:
                    self.timeline.stream_done()
            elif decoder.text_field is not None:
                self.timeline.chunk(self._read_ns, _CHANNELS[decoder.text_field], self.now())
            else:
                self._observe(chunk, self._read_ns, valid=decoder.valid)
                self.timeline.returned(self.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)
        return chunk

    def give_up(self, error: Exception) -> None:
        """Count a failure of ours. The request's record stays what it is and ends as the stream does."""
        report(STREAM, error, self.recorder)

    def rest(self) -> Any:
        """Take the end of the bytes and return the next chunk that it completes; without one the request ends."""
        chunk = self._told(self.decoder.rest())
        if chunk is None:
            self.over = True
            if self.recorder is not None:
                self.recorder.exhausted()
        return chunk

    def fail(self, error: BaseException) -> None:
        """An error reaches the caller."""
        self.over = True
        if self.recorder is not None:
            self.recorder.failed(error)

    def close(self) -> None:
        """The caller closes the stream."""
        if self.recorder is not None and self.recorder.open:
            self.recorder.closing()

    def leave(self, error: type[BaseException] | None) -> None:
        """A `with` block ends; a cancelled task leaves it by an exception that is none of the usual ones."""
        if error is not None and not issubclass(error, (Exception, GeneratorExit)):
            self.leaving = "cancelled"

    def closed(self) -> None:
        """The stream is closed; what was read already can still be taken."""
        if self.recorder is not None:
            self.recorder.finish(self.leaving)
            self.timeline, self._observe = _UNREAD, _OBSERVE_UNREAD

    def __del__(self) -> None:
        recorder = getattr(self, "recorder", None)
        if recorder is not None and recorder.open:
            recorder.abandon()


class ChunkIterator(Generic[T]):
    """The iterator of an instrumented stream."""

    __slots__ = ("_reader", "_source")

    def __init__(self, reader: ChunkReader, response: Response) -> None:
        self._reader = reader
        self._source: Iterator[bytes] = response.iter_bytes() if _decoded(response) else response.iter_raw()

    def __iter__(self) -> "ChunkIterator[T]":
        return self

    def __next__(self) -> T:
        reader = self._reader
        try:
            if reader.over:
                raise StopIteration
            try:
                reader.timeline.asked(reader.now())
            except Exception as error:  # noqa: BLE001 - observing must not fail the stream
                reader.give_up(error)
            chunk = reader.take() if reader.decoder.pending else None
            while chunk is None:
                data = next(self._source, None)
                if data is not None:
                    chunk = reader.feed(data)
                elif (chunk := reader.rest()) is None:
                    raise StopIteration
        except StopIteration:
            raise
        except BaseException as error:
            reader.fail(error)
            raise
        return chunk


class AsyncChunkIterator(Generic[T]):
    """The asynchronous iterator of an instrumented stream."""

    __slots__ = ("_reader", "_source")

    def __init__(self, reader: ChunkReader, response: Response) -> None:
        self._reader = reader
        self._source: AsyncIterator[bytes] = response.aiter_bytes() if _decoded(response) else response.aiter_raw()

    def __aiter__(self) -> "AsyncChunkIterator[T]":
        return self

    async def __anext__(self) -> T:
        reader = self._reader
        try:
            if reader.over:
                raise StopAsyncIteration
            try:
                reader.timeline.asked(reader.now())
            except Exception as error:  # noqa: BLE001 - observing must not fail the stream
                reader.give_up(error)
            chunk = reader.take() if reader.decoder.pending else None
            while chunk is None:
                data = await anext(self._source, None)
                if data is not None:
                    chunk = reader.feed(data)
                elif (chunk := reader.rest()) is None:
                    raise StopAsyncIteration
        except StopAsyncIteration:
            raise
        except BaseException as error:
            reader.fail(error)
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
        self._reader = _reader_of(client, cast_to, response)
        self._iterator = ChunkIterator[T](self._reader, response)

    def __iter__(self) -> Iterator[T]:
        return self._iterator

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        try:
            self._reader.leave(exc_type)
        finally:
            self.close()

    def close(self) -> None:
        """Close the response and release the connection."""
        try:
            try:
                self._reader.close()
            finally:
                super().close()
        finally:
            self._reader.closed()


class InstrumentedAsyncStream(AsyncStream[T], Generic[T]):
    """`groq.AsyncStream`, observed."""

    def __init__(self, *, cast_to: type[T], response: Response, client: Any, options: Any = None) -> None:
        self.response = response
        self._cast_to = cast_to
        self._client = client
        self._options = options
        self._decoder = client._make_sse_decoder()  # noqa: SLF001 - as the SDK's own streams
        self._reader = _reader_of(client, cast_to, response)
        self._iterator = AsyncChunkIterator[T](self._reader, response)

    def __aiter__(self) -> AsyncIterator[T]:  # type: ignore[override]
        return self._iterator

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        try:
            self._reader.leave(exc_type)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the response and release the connection."""
        try:
            try:
                self._reader.close()
            finally:
                await super().close()
        finally:
            self._reader.closed()


def _reader_of(client: Any, cast_to: Any, response: Response) -> ChunkReader:
    found = response.request.extensions.get(RECORDER_EXTENSION)
    recorder = found if isinstance(found, Recorder) and found.open else None
    if recorder is not None:
        recorder.adopted = True
    return ChunkReader(client, cast_to, response, recorder, fast=getattr(client, "_groqscope_fast", True))
