"""An instrumented client, what it exported, and ways to give it bytes without a server."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import groq
import httpx

from groqscope.testing import InMemoryTelemetry
from support.both import Mode

MODEL = "llama-3.3-70b-versatile"
MESSAGES = [{"role": "user", "content": "Hello?"}]
ASK: dict[str, Any] = {"model": MODEL, "messages": MESSAGES}
STREAM: dict[str, Any] = {**ASK, "stream": True}
COMPLETION: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
"""An answer in one piece."""

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the system's takes 20 ms a client."""


def http_client(mode: Mode, **options: Any) -> Any:
    """An httpx client of either kind that looks at no environment."""
    kind = httpx.Client if mode == "sync" else httpx.AsyncClient
    return kind(**{"verify": NO_CERTIFICATES, "trust_env": False, "timeout": 10.0, **options})


def groq_client(mode: Mode, base_url: str = "http://groq.test", **options: Any) -> Any:
    """A bare SDK client of either kind; `http` are options of its httpx client."""
    http = options.pop("http", {})
    kind = groq.Groq if mode == "sync" else groq.AsyncGroq
    options = {"api_key": "test", "http_client": options.get("http_client") or http_client(mode, **http), **options}
    return kind(base_url=base_url, **options)


class Exported(InMemoryTelemetry):
    """Where a test's spans and metrics go, with options of `instrument` for all its clients."""

    def __init__(self, options: dict[str, Any] | None = None, sampler: Any = None) -> None:
        super().__init__(sampler=sampler)
        self.options = options or {}

    @property
    def providers(self) -> dict[str, Any]:
        """Options of `instrument`."""
        return {**super().providers, **self.options}

    def client(self, mode: Mode, base_url: str = "http://groq.test", **options: Any) -> Any:
        """An instrumented client."""
        return self.instrument(groq_client(mode, base_url, **options))


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in these pieces; an exception among them is raised in its place."""

    def __init__(self, pieces: Sequence[bytes | Exception]) -> None:
        self._pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        """Count it."""
        self.closed += 1

    async def aclose(self) -> None:
        """Count it."""
        self.closed += 1


Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that answers requests in turn, and repeats the last answer."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.requests.append(request)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else reply

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        await request.aread()
        return self.handle_request(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Nothing to close."""


def completion(_: httpx.Request) -> httpx.Response:
    """Answer in one piece."""
    return httpx.Response(200, json=COMPLETION)


def sse(*pieces: bytes | Exception, **headers: str) -> httpx.Response:
    """A stream of server-sent events in these pieces."""
    return httpx.Response(200, headers={"content-type": "text/event-stream", **headers}, stream=Pieces(pieces))
