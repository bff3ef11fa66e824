"""Decodes the payloads of a stream's events to chunks: from a template where that fits, else by validation."""

from collections.abc import Callable
from typing import Any

from groqscope.fastpath.chunk_template import ChunkTemplate, learn_template
from groqscope.fastpath.decode import Models


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
        except Exception as error:  # noqa: BLE001 - a shortcut that fails is none
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
        except Exception as error:  # noqa: BLE001 - a shortcut that fails is none
            self._report(error)
            return
        if found is not None:
            self._learned_field, self._template = found
