"""Decodes the bytes of a stream to chunks. Only here is it decided whether an event is a chunk, an error or the end.

However the bytes are split, the chunks and errors are those of the SDK's own stream. The payload of an event becomes a
chunk by a template where one fits, else by validation.
"""

from collections.abc import Callable
from typing import Any, Final

from groq import APIError
from groq._streaming import ServerSentEvent
from httpx import Request

from groqscope.fastpath.chunk_template import ChunkTemplate, learn_template
from groqscope.fastpath.decode import Models
from groqscope.fastpath.sse import SSEDecoder

_DONE: Final = "[DONE]"
_DONE_BYTES: Final = b"[DONE]"


class PayloadDecoder:
    """Decodes the payloads of one stream to chunks."""

    __slots__ = ("_learned_field", "_learns", "_misses", "_models", "_report", "_template", "text_field", "valid")

    def __init__(self, models: Models | None, report: Callable[[Exception], None], *, learns: bool = True) -> None:
        """Decode payloads.

        Args:
            models: the SDK's models; `None` leaves every chunk to the SDK.
            report: called with an exception of our own decoding; the chunk is then left to the SDK.
            learns: also build chunks from a template; of such a chunk, only `text_field` is known without looking at
                it.
        """
        self._models = models
        self._report = report
        self._learns = learns
        self._template: ChunkTemplate | None = None
        self._learned_field = ""
        self._misses = 0
        """Consecutive chunks that did not fit the template."""
        self.text_field: str | None = None
        """The field of the delta that holds the last chunk's text, if a template built that chunk."""
        self.valid = False
        """Whether the last chunk was validated, so that its parts have their declared types."""

    def decode(self, payload: bytes) -> Any:
        """Return the chunk of a payload; `None` if the SDK has to construct it."""
        if self._template is not None:
            chunk = self._repeated(self._template, payload, 0, len(payload))
            if chunk is not None:
                return chunk
        self.text_field, self.valid = None, False
        chunk = None if self._models is None else self._models.decode_chunk(payload)
        if chunk is not None:
            self.valid = True
            if self._learns:
                self._learn(chunk, payload)
        return chunk

    def _repeated(self, template: ChunkTemplate, data: bytes, begin: int, end: int) -> Any:
        """Return the chunk of the payload between `begin` and `end`; `None` if it does not fit the template."""
        try:
            chunk = template(data, begin, end)
        except Exception as error:  # noqa: BLE001 - the chunk is then parsed as any other
            self._report(error)
            return None
        if chunk is not None:
            self._misses = 0
            self.text_field = self._learned_field
        return chunk

    def _learn(self, chunk: Any, payload: bytes) -> None:
        """Make a template of this chunk; the more chunks in a row did not fit one, the more rarely."""
        self._misses += 1
        if self._misses & (self._misses - 1):
            return
        try:
            found = learn_template(chunk, payload)
        except Exception as error:  # noqa: BLE001 - the chunk is then parsed as any other
            self._report(error)
            return
        if found is not None:
            self._learned_field, self._template = found


class ChunkDecoder(PayloadDecoder):
    """Incremental decoder: `feed` takes bytes; `feed` and `take` return the complete chunks, one at a time."""

    __slots__ = ("_construct", "_events", "_request", "done", "pending")

    def __init__(
        self,
        models: Models | None,
        construct: Callable[..., Any],
        request: Request,
        report: Callable[[Exception], None],
        *,
        learns: bool = True,
    ) -> None:
        """Decode a stream.

        Args:
            models: the SDK's models; `None` leaves every chunk to `construct`.
            construct: the SDK's function that builds a chunk from `data=`, for chunks that are not decoded here.
            request: the request to which errors of the stream belong.
            report: as `PayloadDecoder`.
            learns: as `PayloadDecoder`.
        """
        super().__init__(models, report, learns=learns)
        self._construct = construct
        self._request = request
        self._events = SSEDecoder()
        self.pending: list[bytes | ServerSentEvent] = []
        """Events that were read but not yet taken, in reverse order."""
        self.done = False
        """`[DONE]` was read. What follows is ignored, but still read, so that the connection can be reused."""

    def feed(self, data: bytes) -> Any:
        """Take bytes and return the first chunk that they complete, or `None`.

        Raises:
            groq.APIError: the stream carries an error.
            ValueError: an event is not JSON, or not UTF-8 (as the SDK).
        """
        if self._template is not None and data.startswith(b"data: ") and data.endswith(b"\n\n") and self._events.idle:
            chunk = self._repeated(self._template, data, 6, len(data) - 2)
            if chunk is not None:
                return chunk
        events = self._events.feed(data)
        if self.done:
            # As in the SDK, what follows [DONE] is decoded, which may raise, and ignored.
            for event in events:
                if isinstance(event, bytes):
                    (b"data: " + event).decode("utf-8")
            return None
        if len(events) > 1:
            events.reverse()
        self.pending = events
        return self.take()

    def take(self) -> Any:
        """Return the next chunk that was read, or `None` when more bytes are needed. Raises as `feed`."""
        if not self.pending:
            return None
        event = self.pending.pop()
        if isinstance(event, bytes):
            chunk = self.decode(event)
            if chunk is not None:
                return chunk
            if event.startswith(_DONE_BYTES):
                return self._end()
            event = ServerSentEvent(data=(b"data: " + event).decode("utf-8")[6:])
        elif event.data.startswith(_DONE):
            return self._end()
        self.text_field, self.valid = None, False
        return self._constructed(event)

    def rest(self) -> Any:
        """Take the end of the bytes and return the first chunk that it completes, or `None`. Raises as `feed`."""
        if not self.done:
            self.pending = self._events.end()[::-1]
        return self.take()

    def _end(self) -> None:
        self.done = True
        self.pending = []
        self._template = None

    def _constructed(self, event: ServerSentEvent) -> Any:
        """Return the chunk that the SDK builds from an event, or raise its error."""
        data = event.json()
        error = data.get("error") if isinstance(data, dict) else None
        if error and event.event in (None, "error"):
            message = error.get("message") if isinstance(error, dict) else None
            if not message or not isinstance(message, str):
                message = "An error occurred during streaming"
            raise APIError(message=message, request=self._request, body=error)
        if event.event is not None:
            data = {"data": data, "event": event.event}
        return self._construct(data=data)
