"""The instrumented streams: subclasses of an SDK's `Stream` and `AsyncStream`.

A `Reader` tells the recorder what is read and returned. For Groq's SDK, `ChunkReader` decodes the bytes to chunks
itself; for others, `SDKReader` observes what the SDK's own stream reads and returns. The two iterators for each reader
differ only in `await`. The iterator, not the stream, owns the request's end, because `for chunk in
client…create(stream=True)` keeps only the iterator alive.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cache, partial
from time import monotonic_ns
from types import TracebackType, new_class
from typing import Any, ClassVar, Final, Generic, TypeVar

from groq import AsyncStream, Stream
from httpx import Response

from groqscope.fastpath import ChunkDecoder, PayloadDecoder
from groqscope.instrument.facts import chunk_observer
from groqscope.instrument.families import GROQ, Family
from groqscope.instrument.faults import HOOKS, hook, report
from groqscope.instrument.recorder import RECORDER_EXTENSION, Recorder
from groqscope.timeline import Channel, Outcome, Timeline

T = TypeVar("T")

STREAM: Final = "stream"
"""The hook for what is done per chunk; without a wrapper, because one more call per chunk would cost too much."""
HOOKS.add(STREAM)
_UNREAD: Final = Timeline(0, 0, {})
"""The timeline of streams that are not observed; nothing reads it."""
_OBSERVE_UNREAD: Final = chunk_observer(_UNREAD)
_CHANNELS: Final = {"content": Channel.CONTENT, "reasoning": Channel.REASONING}


class Reader:
    """Tells the recorder of one stream what is read and returned."""

    __slots__ = ("_observe", "_read_ns", "leaving", "now", "over", "recorder", "timeline")

    def __init__(self, recorder: Recorder | None) -> None:
        self._read_ns = 0
        self.recorder = recorder
        self.over = False
        self.leaving: Outcome = "closed"
        """The outcome if the stream is closed now."""
        self.now = monotonic_ns if recorder is None else recorder.now
        self.timeline = _UNREAD if recorder is None else recorder.timeline
        self._observe = (None if recorder is None else recorder.chunk_observer()) or _OBSERVE_UNREAD

    def give_up(self, error: Exception) -> None:
        """Report a failure of ours. The record keeps what it has, and ends with the stream."""
        report(STREAM, error, self.recorder)

    def finished(self) -> None:
        """The stream has ended."""
        self.over = True
        if self.recorder is not None:
            self.recorder.exhausted()

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
        """A `with` block ends; when a task is cancelled, the exception is not an `Exception`."""
        if error is not None and not issubclass(error, (Exception, GeneratorExit)):
            self.leaving = "cancelled"

    def closed(self) -> None:
        """The stream is closed; chunks that were read already can still be taken."""
        if self.recorder is not None:
            self.recorder.finish(self.leaving)
            self.timeline, self._observe = _UNREAD, _OBSERVE_UNREAD

    def __del__(self) -> None:
        recorder = getattr(self, "recorder", None)
        if recorder is not None and recorder.open:
            recorder.abandon()


class ChunkReader(Reader):
    """Decodes the bytes of one stream to chunks."""

    __slots__ = ("decoder",)

    def __init__(self, client: Any, cast_to: Any, response: Response, recorder: Recorder | None) -> None:
        super().__init__(recorder)
        self.decoder = ChunkDecoder(
            GROQ.models if _builds(recorder, GROQ, client, cast_to) else None,
            partial(client._process_response_data, cast_to=cast_to, response=response),  # noqa: SLF001 - as the SDK's own streams
            response.request,
            # Not a method of this reader: a reference cycle would keep an abandoned stream from ending at once.
            partial(report, STREAM, observing=recorder),
            # If content is recorded, each chunk has to be looked at.
            learns=recorder is None or recorder.content is None,
        )

    def feed(self, data: bytes) -> Any:
        """Take bytes and return the first chunk that they complete, or `None`. Raises as `ChunkDecoder.feed`."""
        try:
            self._read_ns = self.now()
            self.timeline.received(len(data))
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)
        return self._observed(self.decoder.feed(data))

    def take(self) -> Any:
        """Return the next chunk that was read, or `None` when more bytes are needed. Raises as `ChunkDecoder.feed`."""
        return self._observed(self.decoder.take())

    def _observed(self, chunk: Any) -> Any:
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

    def rest(self) -> Any:
        """Take the end of the bytes and return the next chunk that it completes; without one the request ends."""
        chunk = self._observed(self.decoder.rest())
        if chunk is None:
            self.finished()
        return chunk


class SDKReader(Reader):
    """Observes the chunks that the SDK's own stream returns, and builds those of them that are built here."""

    __slots__ = ("_events",)

    def __init__(self, events: "EventDecoder", recorder: Recorder | None) -> None:
        super().__init__(recorder)
        self._events = events

    def asked(self) -> None:
        """The caller asks for the next chunk."""
        try:
            self.timeline.asked(self.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)

    def observed(self, chunk: Any) -> Any:
        """Observe a chunk of the SDK's stream, and return it."""
        events = self._events
        try:
            if events.payloads.text_field is not None:
                self.timeline.chunk(events.read_ns, _CHANNELS[events.payloads.text_field], self.now())
            else:
                # What only Groq's own models declare was not validated.
                self._observe(chunk, events.read_ns, valid=False)
                self.timeline.returned(self.now())
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            self.give_up(error)
        return chunk


class EventDecoder:
    """The SDK's decoder of server-sent events, which also notes when bytes and `[DONE]` were read, and builds chunks.

    A chunk stands in for the JSON of its event: the SDK's stream reads that, and passes it on to
    `_process_response_data`, which returns it as it is. So events begin, end and fail as the SDK says.

    It does not refer to the reader: the SDK's stream refers to this decoder, and a reference cycle would keep an
    abandoned stream from ending at once.
    """

    def __init__(self, decoder: Any, recorder: Recorder | None, payloads: PayloadDecoder) -> None:
        self._decoder = decoder
        self._recorder = recorder
        self.payloads = payloads
        self.read_ns = 0

    def iter_bytes(self, pieces: Iterator[bytes]) -> Iterator[Any]:
        """Decode the pieces of a body."""
        return map(self._event, self._decoder.iter_bytes(map(self._read, pieces)))

    def aiter_bytes(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Decode the pieces of a body."""
        return _AsyncMap(self._event, self._decoder.aiter_bytes(_AsyncMap(self._read, pieces)))

    def _read(self, piece: bytes) -> bytes:
        try:
            if self._recorder is not None:
                self.read_ns = self._recorder.now()
                self._recorder.timeline.received(len(piece))
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            report(STREAM, error, self._recorder)
        return piece

    def _event(self, event: Any) -> Any:
        try:
            self.payloads.text_field = None
            if event.data.startswith("[DONE]"):
                if self._recorder is not None:
                    self._recorder.timeline.stream_done()
            elif event.event is None and (chunk := self.payloads.decode(event.data.encode())) is not None:
                event.json = lambda: chunk
        except Exception as error:  # noqa: BLE001 - observing must not fail the stream
            report(STREAM, error, self._recorder)
        return event


class _AsyncMap(Generic[T]):
    """`map` for an asynchronous iterator; not a generator, because that would have to be closed."""

    __slots__ = ("_function", "_items")

    def __init__(self, function: Callable[[T], T], items: AsyncIterator[T]) -> None:
        self._function = function
        self._items = items

    def __aiter__(self) -> "_AsyncMap[T]":
        return self

    async def __anext__(self) -> T:
        return self._function(await anext(self._items))


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
        """Do nothing: as with the SDK's iterator, the stream stays open until it is closed itself."""


class SDKIterator(Generic[T]):
    """The iterator of an instrumented stream whose chunks the SDK makes."""

    __slots__ = ("_chunks", "_reader")

    def __init__(self, reader: SDKReader, chunks: Iterator[T]) -> None:
        self._reader = reader
        self._chunks = chunks

    def __iter__(self) -> "SDKIterator[T]":
        return self

    def __next__(self) -> T:
        reader = self._reader
        if reader.over:
            raise StopIteration
        reader.asked()
        try:
            chunk = next(self._chunks)
        except StopIteration:
            reader.finished()
            raise
        except BaseException as error:
            reader.fail(error)
            raise
        return reader.observed(chunk)


class AsyncSDKIterator(Generic[T]):
    """The asynchronous iterator of an instrumented stream whose chunks the SDK makes."""

    __slots__ = ("_chunks", "_reader")

    def __init__(self, reader: SDKReader, chunks: AsyncIterator[T]) -> None:
        self._reader = reader
        self._chunks = chunks

    def __aiter__(self) -> "AsyncSDKIterator[T]":
        return self

    async def __anext__(self) -> T:
        reader = self._reader
        if reader.over:
            raise StopAsyncIteration
        reader.asked()
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            reader.finished()
            raise
        except BaseException as error:
            reader.fail(error)
            raise
        return reader.observed(chunk)

    async def aclose(self) -> None:
        """Do nothing: as with the SDK's iterator, the stream stays open until it is closed itself."""


def _decoded(response: Response) -> bool:
    """Return whether httpx has to decode the bytes, or has read them already."""
    return "content-encoding" in response.headers or hasattr(response, "_content")


class _Instrumented:
    """A stream of an SDK, observed."""

    _family: ClassVar[Family] = GROQ
    _sdks: ClassVar[Any]
    """The SDK's class."""
    _of_bytes: ClassVar[Any]
    _of_chunks: ClassVar[Any]
    """The iterators: over bytes, and over the chunks of the SDK's stream."""
    _reader: Reader

    def __init__(self, *, cast_to: Any, response: Response, client: Any, **more: Any) -> None:
        # `more` is what this version of the SDK gives: `options`, which openai 2.0 does not know, or nothing.
        recorder = _adopting(response)
        if self._family.streams_of_bytes:
            self.response = response
            self._cast_to = cast_to
            self._client = client
            self._options = more.get("options")
            self._decoder = client._make_sse_decoder()  # noqa: SLF001 - as the SDK's own streams
            self._reader = reader = ChunkReader(client, cast_to, response, recorder)
            self._iterator = self._of_bytes(reader, response)
        else:
            # A separate stream: it and its iterator are a reference cycle, but an abandoned stream must end at once.
            inner = self._sdks(cast_to=cast_to, response=response, client=client, **more)
            vars(self).update(vars(inner))
            builds = _builds(recorder, self._family, client, cast_to, more.get("options"))
            payloads = PayloadDecoder(
                self._family.models if builds else None,
                partial(report, STREAM, observing=recorder),
                learns=recorder is None or recorder.content is None,
            )
            inner._decoder = events = EventDecoder(inner._decoder, recorder, payloads)  # noqa: SLF001
            self._reader = reader = SDKReader(events, recorder)
            self._iterator = self._of_chunks(reader, inner._iterator)  # noqa: SLF001


class _Synchronous(_Instrumented, Generic[T]):
    _of_bytes = ChunkIterator
    _of_chunks = SDKIterator

    def __iter__(self) -> Any:
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
                self._sdks.close(self)
        finally:
            self._reader.closed()


class _Asynchronous(_Instrumented, Generic[T]):
    _of_bytes = AsyncChunkIterator
    _of_chunks = AsyncSDKIterator

    def __aiter__(self) -> Any:
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
                await self._sdks.close(self)
        finally:
            self._reader.closed()


class InstrumentedStream(_Synchronous[T], Stream[T], Generic[T]):
    """`groq.Stream`, observed."""

    _sdks = Stream


class InstrumentedAsyncStream(_Asynchronous[T], AsyncStream[T], Generic[T]):
    """`groq.AsyncStream`, observed."""

    _sdks = AsyncStream


@cache
def instrumented(family: Family) -> Mapping[Any, Any]:
    """Return the instrumented class for each stream class of an SDK."""
    if family is GROQ:
        return {Stream: InstrumentedStream, AsyncStream: InstrumentedAsyncStream}
    return {
        family.stream: _derived(family, _Synchronous, family.stream),
        family.async_stream: _derived(family, _Asynchronous, family.async_stream),
    }


def _derived(family: Family, observed: Any, sdks: Any) -> Any:
    own = {"__module__": __name__, "__doc__": f"`{family.package}.{sdks.__name__}`, observed."}
    # With type arguments, in which the SDK looks for the type of a chunk.
    bases = (observed[T], sdks[T], Generic[T])  # pyright: ignore[reportGeneralTypeIssues] - a class made here
    return new_class(
        f"Instrumented{sdks.__name__}", bases, exec_body=lambda space: space.update(own, _family=family, _sdks=sdks)
    )


@hook("builds_chunks")
def _builds(_recorder: Recorder | None, family: Family, client: Any, cast_to: Any, options: Any = None) -> bool:
    """Return whether `fastpath` builds the chunks of a stream; whatever is not plain is left to the SDK."""
    return (
        getattr(client, "_groqscope_fast", True)
        and cast_to is family.models.chunk
        and not client._strict_response_validation  # noqa: SLF001 - as the SDK's own streams
        and not getattr(options, "synthesize_event_and_data", False)
        # Not a method of the user's subclass, which may want to see the JSON.
        and str(client._process_response_data.__module__).startswith(f"{family.package}.")  # noqa: SLF001
    )


def _adopting(response: Response) -> Recorder | None:
    """Return the open recorder of a response, and note that an instrumented stream reads it."""
    found = response.request.extensions.get(RECORDER_EXTENSION)
    recorder = found if isinstance(found, Recorder) and found.open else None
    if recorder is not None:
        recorder.adopted = True
    return recorder
