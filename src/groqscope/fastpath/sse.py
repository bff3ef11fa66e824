"""Incremental parser of server-sent events: takes bytes, however they are split, and returns events.

Groq writes every event as `data: ` + one line of JSON + a blank line. Of such a *plain* event the payload is returned
as bytes, so that it is decoded only once, into the chunk. Everything else (comments, `event:`, `id:`, several data
lines, carriage returns) goes through the SDK's own line decoder, so that the events are the same as the SDK's.

Source: WHATWG HTML, "Server-sent events", section 9.2.6.
"""

from collections.abc import Callable

from groq._streaming import ServerSentEvent
from groq._streaming import SSEDecoder as LineDecoder

_PREFIX = b"data: "


class SSEDecoder:
    """Incremental parser; keeps at most the bytes of one unfinished event."""

    __slots__ = ("_buffer", "_failed", "_lines", "_returns", "idle")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines = LineDecoder()
        self._returns = False
        """A carriage return was seen; from then on, events end where the SDK's decoder ends them."""
        self._failed: UnicodeDecodeError | None = None
        """The error to raise after the events returned last."""
        self.idle = True
        """Whether nothing is buffered, so that a complete plain event can be returned directly."""

    def feed(self, data: bytes) -> list[bytes | ServerSentEvent]:
        """Take bytes and return the events that they complete: payloads of plain events, else the SDK's event objects.

        Raises:
            UnicodeDecodeError: an event that is not plain contains invalid UTF-8 (as in the SDK). The events before
                it are returned first; every later call raises.
        """
        if (
            self.idle
            and data.find(b"\n") == len(data) - 2
            and data.startswith(_PREFIX)
            and data.endswith(b"\n\n")
            and b"\r" not in data
        ):
            # Nearly every read is one complete plain event.
            return [data[6:-2]]
        return self._given(self._feed_with_returns if self._returns or b"\r" in data else self._feed, data)

    def end(self) -> list[bytes | ServerSentEvent]:
        """Return the events that the end of the stream completes; an event without its blank line is dropped.

        Raises:
            UnicodeDecodeError: as `feed`.
        """
        block, self._buffer = self._buffer, b""
        return self._given(self._decode, block)

    def _given(
        self, decode: Callable[[bytes, list[bytes | ServerSentEvent]], None], data: bytes
    ) -> list[bytes | ServerSentEvent]:
        if self._failed is not None:
            raise self._failed
        events: list[bytes | ServerSentEvent] = []
        try:
            decode(data, events)
        except UnicodeDecodeError as error:
            if not events:
                raise
            self._failed = error
        finally:
            self.idle = not (self._buffer or self._returns or self._failed)
        return events

    def _feed(self, data: bytes, events: list[bytes | ServerSentEvent]) -> None:
        if self._buffer:
            data = self._buffer + data
        *blocks, self._buffer = data.split(b"\n\n")
        for block in blocks:
            if block.startswith(_PREFIX) and b"\n" not in block:
                events.append(block[6:])
            else:
                self._decode(block + b"\n\n", events)

    def _feed_with_returns(self, data: bytes, events: list[bytes | ServerSentEvent]) -> None:
        self._returns = True
        for line in data.splitlines(keepends=True):
            self._buffer += line
            if self._buffer.endswith((b"\r\r", b"\n\n", b"\r\n\r\n")):
                block, self._buffer = self._buffer, b""
                self._decode(block, events)

    def _decode(self, block: bytes, events: list[bytes | ServerSentEvent]) -> None:
        for line in block.splitlines():
            event = self._lines.decode(line.decode("utf-8"))
            if event is not None:
                events.append(event)
