"""A wire without a network: the bytes of an answer, piece by piece, to pydantic-ai's own model and to ours."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
from groq import AsyncGroq
from pydantic_ai.models.groq import GroqModel as PydanticAIModel
from pydantic_ai.providers.groq import GroqProvider

from groqscope.models.groq import GroqModel
from groqscope.simulator import BUNDLED, Recording, read_recordings

Model = PydanticAIModel | GroqModel
Fault = BaseException | None

_FOLDERS = (BUNDLED, Path(__file__).parents[1] / "recordings")


def recordings() -> list[Recording]:
    """Read all recordings the project has, each once."""
    found = {r.name: r for folder in _FOLDERS if folder.is_dir() for r in read_recordings(folder)[0]}
    return sorted(found.values(), key=lambda r: r.name)


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: Iterable[bytes], fault: Fault) -> None:
        self._pieces = pieces
        self._fault = fault

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._fault is not None:
            raise self._fault


class Wire(httpx.AsyncBaseTransport):
    """Answers every request with the same pieces of bytes, and then a fault if there is one."""

    def __init__(
        self,
        pieces: Sequence[bytes],
        *,
        status: int = 200,
        content_type: str = "text/event-stream",
        fault: Fault = None,
    ) -> None:
        """Take the answer."""
        self.pieces, self._status, self._type, self._fault = pieces, status, content_type, fault

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        headers = {"content-type": self._type}
        return httpx.Response(self._status, headers=headers, stream=_Pieces(self.pieces, self._fault))

    def client(self) -> AsyncGroq:
        """Make a client on this wire that does not retry."""
        return AsyncGroq(api_key="test", max_retries=0, http_client=httpx.AsyncClient(transport=self))


def wire_of(recording: Recording) -> Wire:
    """Put a recorded answer on the wire, one event a piece."""
    if recording.body is not None:
        return Wire([json.dumps(recording.body).encode()], status=recording.status, content_type="application/json")
    names = recording.event_names
    pieces = [event(text, names.get(index)) for index, text in enumerate(recording.sse)]
    return Wire(pieces, status=recording.status)


def event(payload: str | dict[str, Any], name: str | None = None) -> bytes:
    """Write one event of a stream."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def theirs(wire: Wire, model_name: str) -> PydanticAIModel:
    """pydantic-ai's own model over a bare client."""
    return PydanticAIModel(model_name, provider=GroqProvider(groq_client=wire.client()))


def ours(wire: Wire, model_name: str) -> GroqModel:
    """Our model."""
    return GroqModel(model_name, groq_client=wire.client())


MAKERS: dict[str, Callable[[Wire, str], Model]] = {"theirs": theirs, "ours": ours}
