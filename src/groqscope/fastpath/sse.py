"""Server-sent events, pushed: bytes in, events out, for any cutting of the bytes.

Groq writes every event as `data: ` + one line of JSON + a blank line. Such an event is handed out as its payload, still
bytes, so that it is decoded once, straight into the chunk. Everything else (comments, `event:`, `id:`, several data
lines, carriage returns) goes through the SDK's own line decoder, so that both see the same events.

Source: WHATWG HTML, "Server-sent events", section 9.2.6.
"""

from collections.abc import Callable

from groq._streaming import ServerSentEvent
from groq._streaming import SSEDecoder as LineDecoder

_PREFIX = b"data: "


class SSEDecoder:
    """Push parser; keeps at most the bytes of one unfinished event."""

    __slots__ = ("_buffer", "_failed", "_lines", "_returns", "idle")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines = LineDecoder()
        self._returns = False
        """A carriage return was seen: from here on, blocks end as the SDK ends them."""
        self._failed: UnicodeDecodeError | None = None
        """What comes after the events given last."""
        self.idle = True
        """Nothing that came before matters: a plain event that comes whole is given as it is."""

    def feed(self, data: bytes) -> list[bytes | ServerSentEvent]:
        """Take bytes and give the events that are complete now: a payload, or the SDK's event where it is not plain.

        Raises:
            UnicodeDecodeError: an event that is not a plain one holds invalid UTF-8 (as the SDK). The events before it
                are given first; then each further call raises.
        """
        if (
            self.idle
            and data.find(b"\n") == len(data) - 2
            and data.startswith(_PREFIX)
            and data.endswith(b"\n\n")
            and b"\r" not in data
        ):
            # Nearly every read: one whole plain event.
            return [data[6:-2]]
        return self._given(self._feed_with_returns if self._returns or b"\r" in data else self._feed, data)

    def end(self) -> list[bytes | ServerSentEvent]:
        """Give what the end of the stream completes; an event without its blank line is not one.

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
