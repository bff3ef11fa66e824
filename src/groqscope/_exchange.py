"""HTTP exchanges that groqscope itself makes: valid URLs, and limits on total time and on the size of the response.

httpx's timeout applies to each read, so a server that sends a byte now and then can keep a client waiting forever. Here
the limit applies to the whole exchange, from the connection to the last byte of the body.
"""

import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

_now: Final = threading.local()
"""The deadline of the current exchange of each thread."""
_USER: Final = re.compile(r"//[^/?#]*@")


class AnswerTooLongError(Exception):
    """The response takes too long or is too large."""


def exchange(client: "httpx.Client", request: "httpx.Request", *, seconds: float, max_bytes: int) -> "httpx.Response":
    """Send a request and return the response with its body; a redirect is not followed.

    Raises:
        AnswerTooLongError: it took longer than `seconds`, or has more than `max_bytes` (decompressed).
        httpx.HTTPError: the exchange failed.
    """
    import httpx

    _bound(client)
    deadline = _now.deadline = time.monotonic() + seconds
    try:
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            body = bytearray()
            for block in response.iter_bytes():
                body += block
                if len(body) > max_bytes:
                    raise AnswerTooLongError(f"its answer has more than {max_bytes >> 20:,} MiB")
                if time.monotonic() > deadline:
                    raise AnswerTooLongError(f"its answer took longer than {seconds:g} s")
        finally:
            response.close()
    except httpx.TimeoutException:
        if time.monotonic() < deadline:
            raise  # one of the client's other timeouts
        raise AnswerTooLongError(f"its answer took longer than {seconds:g} s") from None
    finally:
        _now.deadline = None
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_TRANSFER]
    return httpx.Response(response.status_code, headers=headers, content=bytes(body), request=request)


_OF_THE_TRANSFER: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def _bound(client: "httpx.Client") -> None:
    """Apply the deadline to the connections of a client.

    httpx cannot pass a network backend to httpcore, so this replaces the one that httpcore's pool holds. Should a later
    version hold it elsewhere, only the client's timeout per read applies.
    """
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see above
        pool: Any = getattr(transport, "_pool", None)
        backend = getattr(pool, "_network_backend", None)
        if backend is not None and not isinstance(backend, _Backend):
            pool._network_backend = _Backend(backend)  # noqa: SLF001 - see above


def _remaining(timeout: float | None) -> float | None:
    deadline = getattr(_now, "deadline", None)
    if deadline is None:
        return timeout
    left = max(0.001, deadline - time.monotonic())
    return left if timeout is None else min(left, timeout)


class _Backend:
    """httpcore's network backend, with timeouts limited to the remaining time."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> "_Stream":
        return _Stream(self._backend.connect_tcp(host, port, timeout=_remaining(timeout), **options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


class _Stream:
    """httpcore's network stream, with timeouts limited to the remaining time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_remaining(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None, timeout: float | None = None) -> "_Stream":
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout=_remaining(timeout)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_http(url: str) -> bool:
    """Return whether it is an HTTP or HTTPS URL with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an incomplete IPv6 address, or a port out of range
        return False


def without_password(url: str) -> str:
    """Return a URL with its user name and password, if any, replaced by asterisks."""
    return _USER.sub("//***@", url)
