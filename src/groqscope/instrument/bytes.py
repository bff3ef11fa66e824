"""Responses that the caller reads as bytes: the byte stream is wrapped, and decoded beside the caller, only to observe.

That is `with_streaming_response`, `with_raw_response` of a stream, and a stream class of the caller's own.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from groq import APIError
from groq._models import construct_type
from groq._streaming import ServerSentEvent
from groq.types.chat import ChatCompletionChunk
from httpx import AsyncByteStream, Response, SyncByteStream
from httpx._decoders import SUPPORTED_DECODERS

from groqscope.fastpath import SSEDecoder, decode_chunk
from groqscope.instrument.facts import chunk_observer
from groqscope.instrument.faults import hook
from groqscope.instrument.recorder import Recorder

_MAX_BODY = 4 * 1024 * 1024
"""Bytes of a body kept to read usage from it."""


class _Observer:
    """Sees the bytes that go by."""

    def __init__(self, recorder: Recorder, response: Response) -> None:
        self.recorder = recorder
        self.telemetry = recorder.telemetry
        self._events = SSEDecoder() if "text/event-stream" in response.headers.get("content-type", "") else None
        self._see = chunk_observer(recorder.timeline, recorder.content)
        self._request = response.request
        self._decoders = _decoders(response)
        self._body: list[bytes] = []
        self._size = 0
        self._failed: APIError | None = None
        """An error that the stream carried, under HTTP 200."""

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
        if self._decoders is not None:
            for decoder in self._decoders:
                data = decoder.decode(data)
            if self._events is not None:
                for event in self._events.feed(data):
                    self._event(event, t)
            elif self._size + len(data) <= _MAX_BODY:
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
            self._see(chunk, t)
        elif isinstance(event, bytes) or event.event in (None, "error"):
            self._odd(json.loads(payload), t)

    def _odd(self, data: Any, t: int) -> None:
        """Note an event that is an error, or a chunk that only the SDK's lenient construction takes."""
        error = data.get("error") if isinstance(data, dict) else None
        if error and self._failed is None:
            self._failed = APIError("the stream carries an error", self._request, body=error)
        elif isinstance(data, dict) and not error:
            self._see(construct_type(value=data, type_=ChatCompletionChunk), t, valid=False)

    @hook("bytes.ended")
    def ended(self) -> None:
        recorder = self.recorder
        if not self.active:
            return
        t = recorder.now()
        recorder.timeline.last_byte(t)
        if self._failed is not None:
            recorder.finish("error", self._failed)
            return
        if self._events is None and self._body and sum(map(len, self._body)) == self._size:
            recorder.body(b"".join(self._body), t)
        recorder.timeline.response["response_size"] = None if self._events is not None else self._size
        streamed = recorder.timeline.streaming
        recorder.finish("completed" if recorder.timeline.done or not streamed else "truncated")

    def failed(self, error: BaseException) -> None:
        if not self.active:
            return
        if not isinstance(error, GeneratorExit):
            self.recorder.failed(error)
        elif self._failed is not None:
            # The reader has seen the stream's error too, and reads no further.
            self.recorder.finish("error", self._failed)

    @hook("bytes.closing")
    def closing(self) -> None:
        if self.active:
            self.recorder.timeline.closing(self.recorder.now())

    def closed(self) -> None:
        if not self.recorder.adopted:
            self.recorder.finish("closed" if self._failed is None else "error", self._failed)

    def __del__(self) -> None:
        recorder: Any = getattr(self, "recorder", None)
        if recorder is not None and recorder.open and not recorder.adopted:
            recorder.abandon()


def _decoders(response: Response) -> list[Any] | None:
    """Give what undoes the body's encodings, apart from httpx's own; `None` when that is not possible."""
    names = response.headers.get_list("content-encoding", split_commas=True)
    kinds = [SUPPORTED_DECODERS.get(name.strip().lower()) for name in names]
    return None if None in kinds else [kind() for kind in reversed(kinds) if kind is not None]


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


class _Closing:
    """Notices that the caller closes the response of a stream, not the stream; the bytes go by untouched."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.telemetry = recorder.telemetry

    @hook("bytes.closed")
    def closed(self) -> None:
        # While the stream is asked for more, it is the end of the body that closes the response.
        recorder = self._recorder
        if recorder.open and recorder.timeline.held_by_caller:
            recorder.timeline.closing(recorder.now())
            recorder.finish("closed")


class ClosingByteStream(SyncByteStream):
    """A response's byte stream, of which only the closing is observed."""

    def __init__(self, inner: SyncByteStream, closing: _Closing) -> None:
        self._inner = inner
        self._closing = closing

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._inner)

    def close(self) -> None:
        """Close what is wrapped."""
        self._closing.closed()
        self._inner.close()


class ClosingAsyncByteStream(AsyncByteStream):
    """The same for async."""

    def __init__(self, inner: AsyncByteStream, closing: _Closing) -> None:
        self._inner = inner
        self._closing = closing

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._inner)

    async def aclose(self) -> None:
        """Close what is wrapped."""
        self._closing.closed()
        await self._inner.aclose()


@hook("bytes.observe")
def observe_bytes(recorder: Recorder, response: Response, *, closing_only: bool) -> bool:
    """Wrap the byte stream of a response that is not read yet; `closing_only` where a stream of ours reads it."""
    stream = response.stream
    if isinstance(stream, AsyncByteStream) and not isinstance(stream, SyncByteStream):
        if closing_only:
            response.stream = ClosingAsyncByteStream(stream, _Closing(recorder))
        else:
            response.stream = ObservedAsyncByteStream(stream, _Observer(recorder, response))
    elif closing_only:
        response.stream = ClosingByteStream(stream, _Closing(recorder))
    else:
        response.stream = ObservedByteStream(stream, _Observer(recorder, response))
    return True
