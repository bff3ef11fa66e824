"""Responses that the caller reads as bytes: `with_streaming_response`, `with_raw_response` of a stream, a stream class of
the caller's own. The response's byte stream is wrapped, and its bytes are decoded beside the caller's reading, only to observe.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from groq._streaming import ServerSentEvent
from httpx import AsyncByteStream, Response, SyncByteStream

from groqscope.instrument import _registry as registry
from groqscope.instrument._facts import observe_chunk
from groqscope.instrument._faults import hook
from groqscope.instrument._recorder import Recorder
from groqscope.wire import SSEDecoder, decode_chunk

_MAX_BODY = 4 * 1024 * 1024
"""Bytes of a body kept to read usage from it."""


class _Observer:
    """Sees the bytes that go by."""

    def __init__(self, recorder: Recorder, response: Response) -> None:
        self.recorder = recorder
        self._events = SSEDecoder() if "text/event-stream" in response.headers.get("content-type", "") else None
        self._plain = "content-encoding" not in response.headers
        self._body: list[bytes] = []
        self._size = 0
        self._failed: str | None = None

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
        timeline.read(t, len(data))
        if self._events is not None and self._plain:
            for event in self._events.feed(data):
                self._event(event, t)
        elif self._plain and self._size + len(data) <= _MAX_BODY:
            self._body.append(data)
        self._size += len(data)
        timeline.returned(now())

    def _event(self, event: bytes | ServerSentEvent, t: int) -> None:
        payload = event if isinstance(event, bytes) else event.data.encode()
        if payload.startswith(b"[DONE]"):
            self.recorder.timeline.done = True
            return
        chunk = decode_chunk(payload)
        if chunk is not None:
            observe_chunk(self.recorder.timeline, chunk, t, self.recorder.content)
        elif not isinstance(event, bytes) and event.event == "error":
            self._failed = "stream_error"

    @hook("bytes.ended")
    def ended(self) -> None:
        recorder = self.recorder
        if not self.active:
            return
        t = recorder.now()
        recorder.timeline.last_byte(t)
        if self._events is None and self._body and sum(map(len, self._body)) == self._size:
            recorder.body(b"".join(self._body), t)
        recorder.timeline.response["response_size"] = None if self._events is not None else self._size
        streamed = recorder.timeline.streaming
        recorder.finish("completed" if recorder.timeline.done or not streamed else "truncated")

    def failed(self, error: BaseException) -> None:
        if self.active and not isinstance(error, GeneratorExit):
            self.recorder.failed(error)

    @hook("bytes.closing")
    def closing(self) -> None:
        if self.active:
            self.recorder.timeline.closing(self.recorder.now())

    def closed(self) -> None:
        if not self.recorder.adopted:
            self.recorder.finish("closed")

    def __del__(self) -> None:
        recorder: Any = getattr(self, "recorder", None)
        if recorder is not None and recorder.open and not recorder.adopted:
            registry.abandoned(recorder)


class ObservedByteStream(SyncByteStream):
    """A response's byte stream, observed."""

    def __init__(self, inner: SyncByteStream, observer: _Observer) -> None:
        self._inner = inner
        self._observer = observer

    def __iter__(self) -> Iterator[bytes]:
        observer = self._observer
        observer.asked()
        try:
            for data in self._inner:
                observer.read(data)
                yield data
                observer.asked()
        except BaseException as error:
            observer.failed(error)
            raise
        observer.ended()

    def close(self) -> None:
        """Close what is wrapped."""
        self._observer.closing()
        try:
            self._inner.close()
        finally:
            self._observer.closed()


class ObservedAsyncByteStream(AsyncByteStream):
    """The same for async."""

    def __init__(self, inner: AsyncByteStream, observer: _Observer) -> None:
        self._inner = inner
        self._observer = observer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        observer = self._observer
        observer.asked()
        try:
            async for data in self._inner:
                observer.read(data)
                yield data
                observer.asked()
        except BaseException as error:
            observer.failed(error)
            raise
        observer.ended()

    async def aclose(self) -> None:
        """Close what is wrapped."""
        self._observer.closing()
        try:
            await self._inner.aclose()
        finally:
            self._observer.closed()


@hook("bytes.observe")
def observe_bytes(response: Response, recorder: Recorder) -> None:
    """Wrap the byte stream of a response that is not read yet."""
    observer = _Observer(recorder, response)
    stream = response.stream
    if isinstance(stream, AsyncByteStream) and not isinstance(stream, SyncByteStream):
        response.stream = ObservedAsyncByteStream(stream, observer)
    elif isinstance(stream, SyncByteStream):
        response.stream = ObservedByteStream(stream, observer)
