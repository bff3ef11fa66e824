"""Transports and auth flows of other people's that make several HTTP exchanges of one attempt of the SDK's."""

import asyncio
import time
from collections.abc import Generator
from functools import cache
from typing import Any

import httpx

from support.both import Mode


class Retrying:
    """Sends a request again when it failed, after a pause, as httpx-retries and pydantic-ai's transports do."""

    _library: Any

    def __init__(self, mode: Mode, pause: float, **options: Any) -> None:
        library = self._library
        self._inner: Any = library.HTTPTransport(**options) if mode == "sync" else library.AsyncHTTPTransport(**options)
        self._pause = pause

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        while True:
            try:
                response: httpx.Response = self._inner.handle_request(request)
            except self._library.TransportError:
                pass
            else:
                if response.is_success:
                    return response
                response.close()
            time.sleep(self._pause)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        while True:
            try:
                response: httpx.Response = await self._inner.handle_async_request(request)
            except self._library.TransportError:
                pass
            else:
                if response.is_success:
                    return response
                await response.aclose()
            await asyncio.sleep(self._pause)

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()


class Renewing:
    """Asks for a new token when the one it had is refused."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers["authorization"] = "Bearer renewed"
            yield request


@cache
def retrying(library: Any) -> Any:
    """Return `Retrying` as a transport of an HTTP library."""
    return type("Retrying", (Retrying, library.BaseTransport, library.AsyncBaseTransport), {"_library": library})


@cache
def renewing(library: Any) -> Any:
    """Return `Renewing` as an auth flow of an HTTP library."""
    return type("Renewing", (Renewing, library.Auth), {})
