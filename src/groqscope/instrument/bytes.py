"""Observes responses that the caller reads as bytes: wraps the byte stream and decodes a copy of what passes.

These are `with_streaming_response`, `with_raw_response` of a stream, and the caller's own stream classes.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache, partial
from typing import Any

from groq import APIError
from httpx import Response
from httpx._decoders import SUPPORTED_DECODERS

from groqscope.fastpath import ChunkDecoder
from groqscope.instrument.families import GROQ
from groqscope.instrument.faults import hook, report
from groqscope.instrument.http import library_of
from groqscope.instrument.recorder import Recorder

_MAX_BODY = 4 * 1024 * 1024
"""A body is kept up to this many bytes, to read its usage."""


class _Observer:
    """Decodes the bytes that pass, and tells the timeline."""

    def __init__(self, recorder: Recorder, response: Response) -> None:
        # Whichever SDK made the request, the answer is Groq's and is decoded as Groq's models.
        self.recorder = recorder
        self.telemetry = recorder.telemetry
        self._chunks = (
            ChunkDecoder(
                GROQ.models if recorder.api.decoded else None,
                recorder.api.construct,
                response.request,
                partial(report, "bytes.read", observing=recorder),
                learns=False,
            )
            if "text/event-stream" in response.headers.get("content-type", "")
            else None
        )
        self._observe = recorder.api.observer(recorder.timeline, recorder.content)
        self._decoders = _decoders(response)
        self._body: list[bytes] = []
        self._size = 0
        self._silent = response.headers.get("content-type", "").startswith("audio/")
        """Whether audio is still to come."""
        self._error: APIError | None = None
        """An error event in the stream, after HTTP 200."""

    @property
    def active(self) -> bool:
        return not self.recorder.adopted and self.recorder.open

    @hook("bytes.asked")
    def asked(self) -> None:
        if self.active:
            self.recorder.timeline.asked(self.recorder.now())

    @hook("bytes.read")
    def read(self, data: bytes) -> None:
        if not self.active:
            return
        timeline, now = self.recorder.timeline, self.recorder.now
        t = now()
        timeline.received(len(data))
        if self._silent and data:
            self._silent = False
            timeline.audio(t)
        if self._decoders is not None:
            for decoder in self._decoders:
                data = decoder.decode(data)
            if self._chunks is not None:
                self._take(partial(self._chunks.feed, data), self._chunks, t)
            elif self._size + len(data) <= _MAX_BODY:
                self._body.append(data)
            self._size += len(data)
        timeline.returned(now())

    def _take(self, first: Callable[[], Any], chunks: ChunkDecoder, t: int) -> None:
        """Observe the chunk that `first` returns, and those that can be taken after it."""
        take = first
        while True:
            try:
                chunk = take()
            except APIError as error:
                self._error = self._error or error
            except ValueError:
                pass  # not JSON, or not UTF-8: left to the caller, who reads the bytes
            else:
                if chunk is None:
                    break
                self._observe(chunk, t, valid=chunks.valid)
            take = chunks.take
        if chunks.done:
            self.recorder.timeline.stream_done()

    @hook("bytes.ended")
    def ended(self) -> None:
        recorder = self.recorder
        if not self.active:
            return
        if self._chunks is not None:
            self._take(self._chunks.rest, self._chunks, recorder.now())
        elif self._body and sum(map(len, self._body)) == self._size:
            recorder.body(b"".join(self._body), recorder.now())
        if self._error is not None:
            recorder.timeline.last_byte(recorder.now())
            recorder.finish("error", self._error)
        else:
            recorder.exhausted(None if self._chunks is not None else self._size)

    def failed(self, error: BaseException) -> None:
        if not self.active:
            return
        if not isinstance(error, GeneratorExit):
            self.recorder.failed(error)
        elif self._error is not None:
            # The caller saw the stream's error too, and stopped reading.
            self.recorder.finish("error", self._error)

    def closing(self) -> None:
        if self.active:
            self.recorder.closing()

    def closed(self) -> None:
        if not self.recorder.adopted:
            self.recorder.finish("closed" if self._error is None else "error", self._error)

    def __del__(self) -> None:
        recorder: Any = getattr(self, "recorder", None)
        if recorder is not None and recorder.open and not recorder.adopted:
            recorder.abandon()


def _decoders(response: Response) -> list[Any] | None:
    """Return decoders for the body's encodings, separate from httpx's own; `None` if one is not supported."""
    names = response.headers.get_list("content-encoding", split_commas=True)
    kinds = [SUPPORTED_DECODERS.get(name.strip().lower()) for name in names]
    return None if None in kinds else [kind() for kind in reversed(kinds) if kind is not None]


class ObservedByteStream:
    """A response's byte stream, observed; synchronous or asynchronous, as the one that it wraps."""

    def __init__(self, inner: Any, observer: _Observer) -> None:
        self._inner = inner
        self._observer = observer

    def __iter__(self) -> Iterator[bytes]:
        observer = self._observer
        try:
            observer.asked()
            for data in self._inner:
                observer.read(data)
                yield data
                observer.asked()
            observer.ended()
        except BaseException as error:
            observer.failed(error)
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        observer = self._observer
        try:
            observer.asked()
            async for data in self._inner:
                observer.read(data)
                yield data
                observer.asked()
            observer.ended()
        except BaseException as error:
            observer.failed(error)
            raise

    def close(self) -> None:
        """Close the wrapped stream."""
        try:
            try:
                self._observer.closing()
            finally:
                self._inner.close()
        finally:
            self._observer.closed()

    async def aclose(self) -> None:
        """Close the wrapped stream."""
        try:
            try:
                self._observer.closing()
            finally:
                await self._inner.aclose()
        finally:
            self._observer.closed()


class ClosingByteStream:
    """A response's byte stream of which only closing is observed: a caller may close the response of a stream."""

    def __init__(self, inner: Any, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._inner)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._inner)

    def close(self) -> None:
        """Close the wrapped stream."""
        try:
            self._recorder.response_closed()
        finally:
            self._inner.close()

    async def aclose(self) -> None:
        """Close the wrapped stream."""
        try:
            self._recorder.response_closed()
        finally:
            await self._inner.aclose()


@cache
def _of(kind: type, base: type) -> Any:
    """Return a subclass of ours and of the HTTP library's base class, whose type the library checks."""
    return type(kind.__name__, (kind, base), {"__module__": kind.__module__})


@hook("bytes.observe")
def observe_bytes(recorder: Recorder, response: Response, *, closing_only: bool) -> bool:
    """Wrap the byte stream of a response that is not read yet; `closing_only` if an instrumented stream reads it."""
    stream: Any = response.stream
    library = library_of(response)
    asynchronous = isinstance(stream, library.AsyncByteStream) and not isinstance(stream, library.SyncByteStream)
    base = library.AsyncByteStream if asynchronous else library.SyncByteStream
    if closing_only:
        response.stream = _of(ClosingByteStream, base)(stream, recorder)
    else:
        response.stream = _of(ObservedByteStream, base)(stream, _Observer(recorder, response))
    return True
